//! The commands that ask a cluster, as people with rights and people without run them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::kubectl::Said;
use crate::harness::plane::{Plane, User};
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::stores::{apply, map, preset, until_variables};

pub const STORIES: Stories = &[
    ("a_live_pod_is_explained", explained),
    ("what_cannot_be_seen_is_not_called_gone", unseen),
    ("presets_of_the_cluster_are_put_into_manifests", injected),
    ("the_api_server_is_asked_about_each_preset", checked),
    ("cluster_presets_are_asked_about_where_they_apply", checked_elsewhere),
    ("a_cluster_behind_a_proxy_is_asked_through_it", proxied),
];

/// Runs the program as a user. `input` is its standard input.
pub fn podgraft(plane: &Plane, user: User, arguments: &[&str], input: &str) -> Said {
    run(&[env!("CARGO_BIN_EXE_podgraft").into()], plane, user, arguments, input)
}

fn run(command: &[std::ffi::OsString], plane: &Plane, user: User, arguments: &[&str], input: &str) -> Said {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let (program, leading) = command.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(leading).args(arguments).env_clear().env("KUBECONFIG", plane.kubeconfig(user)).env("HOME", plane.folder.join("kubectl"));
    command.env("PATH", plugins(plane));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with the program as a plugin of kubectl.
fn plugins(plane: &Plane) -> PathBuf {
    let folder = plane.folder.join("data").join("plugins");
    fs::create_dir_all(&folder).unwrap();
    // It may be there.
    let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_podgraft"), folder.join("kubectl-podgraft"));
    folder
}

/// A line of the output; the test fails where there is none that has all of these.
pub fn line<'s>(text: &'s str, parts: &[&str]) -> &'s str {
    let found = text.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    found.unwrap_or_else(|| panic!("no line with {parts:?} in:\n{text}"))
}

fn web() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}})
}

fn explained(story: &Story) {
    let account = Account::make(story.plane, &story.name);
    let _podgraft = story.podgraft_of(&account, "", &[]);
    apply(story, &map(&story.name, "team", &json!({"one.yaml": preset("one", "A", "s3cret"), "two.yaml": preset("two", "B", "2")})));
    until_variables(story, &story.name, &["A=s3cret", "B=2"]);
    story.create(&story.name, &web());
    let own = format!("--podgraft-namespace={}", account.namespace);
    let arguments = ["explain", "pod/web", "-n", &story.name, &own];
    let ask = |user, more: &[&str]| podgraft(story.plane, user, &[&arguments[..], more].concat(), "");
    let said = ask(User::Admin, &[]).fine();
    line(&said.out, &[&format!("Pod {}/web (live): current", story.name)]);
    line(&said.out, &["podpreset-one: applied"]);
    assert!(said.err.is_empty(), "{}", said.err);
    // As a plugin of kubectl, the same.
    let kubectl = story.kubectl().command;
    let plugin = run(&kubectl, story.plane, User::Admin, &[&["podgraft"], &arguments[..]].concat(), "").fine();
    assert_eq!(plugin.out, said.out);
    // What changed since is not on it.
    let changed = json!({"one.yaml": preset("one", "A", "s3cret2"), "three.yaml": preset("three", "C", "3")});
    apply(story, &map(&story.name, "team", &changed));
    let said = ask(User::Admin, &[]).fine();
    line(&said.out, &["(live): stale"]);
    line(&said.out, &["podpreset-one: applied in another version"]);
    line(&said.out, &["podpreset-two: applied when the Pod was made; no ConfigMap and no custom resource has it any more"]);
    line(&said.out, &["podpreset-three: not on this Pod", "env C in app"]);
    line(&said.err, &["note: ", "kubectl rollout restart"]);
    assert!(!said.out.contains("s3cret") && !said.err.contains("s3cret"));
    let json: Value = serde_json::from_str(&ask(User::Admin, &["-o", "json"]).fine().out).unwrap();
    assert_eq!((&json[0]["outcome"], &json[0]["line"]), (&json!("stale"), &json!(0)));
    let became = |name: &str| {
        let presets = json[0]["presets"].as_array().unwrap();
        presets.iter().find(|one| one["preset"] == format!("podpreset-{name}")).unwrap()["became"].clone()
    };
    assert_eq!([became("one"), became("two"), became("three")], [json!("outdated"), json!("gone"), json!("missing")]);
    // Who may see the Pod and the ConfigMaps here sees what they may, and is told what not.
    story.kubectl().run(&["create", "rolebinding", "author", "--clusterrole=edit", "--user=author"]).fine();
    wait::until("the author's rights", || {
        let said = ask(User::Author, &[]);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
    let said = ask(User::Author, &[]).fine();
    line(&said.out, &["podpreset-three: not on this Pod"]);
    line(&said.err, &["warning: ConfigMaps of the namespace", &account.namespace, "not considered"]);
    assert_eq!(said.err.lines().filter(|line| line.starts_with("warning: ")).count(), 1, "{}", said.err);
    let said = ask(User::Stranger, &[]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    line(&said.err, &["podgraft: the Pod", "cannot be read", "forbidden"]);
    let said = podgraft(story.plane, User::Admin, &["explain", "pod/nobody", "-n", &story.name], "");
    assert_eq!(said.code, 2);
    line(&said.err, &["not found"]);
}

/// A preset of all namespaces of a story.
fn everywhere(story: &Story, name: &str, variable: &str, value: &str) -> String {
    let text = preset(name, variable, value).replace("kind: PodPreset", "kind: ClusterPodPreset");
    text.replace("selector: {}", &format!("selector: {{}}, namespaceSelector: {{matchLabels: {{story: {}}}}}", story.name))
}

fn unseen(story: &Story) {
    let account = Account::make(story.plane, &story.name);
    let _podgraft = story.podgraft_of(&account, "", &[]);
    let own = story.kubectl().within(&account.namespace);
    let all = map(&account.namespace, "all", &json!({"all.yaml": everywhere(story, "all", "ALL", "1")}));
    own.run_with(&["apply", "-f", "-"], &all.to_string()).fine();
    let team = |data: &Value| apply(story, &map(&story.name, "team", data));
    team(&json!({"one.yaml": preset("one", "A", "1")}));
    until_variables(story, &story.name, &["ALL=1", "A=1"]);
    story.create(&story.name, &web());
    let flag = format!("--podgraft-namespace={}", account.namespace);
    let ask = |user| podgraft(story.plane, user, &["explain", "pod/web", "-n", &story.name, &flag], "");
    // Who may see this namespace only does not know what else there is, and the Pod is not stale for that.
    story.kubectl().run(&["create", "rolebinding", "author", "--clusterrole=edit", "--user=author"]).fine();
    let said = wait::until("the author's rights", || {
        let said = ask(User::Author);
        if said.out.contains("podpreset-one: applied:") { Ok(said) } else { Err(said.err) }
    });
    line(&said.out, &["(live): current"]);
    line(&said.out, &["clusterpodpreset-all: applied when the Pod was made; whether it is still there cannot be seen"]);
    assert!(!said.err.contains("kubectl rollout restart"), "{}", said.err);
    // Of what is broken now, the last good version applies.
    team(&json!({"one.yaml": "{{{"}));
    let said = ask(User::Admin);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    line(&said.out, &["(live): current"]);
    line(&said.out, &["clusterpodpreset-all: applied:"]);
    line(&said.out, &["podpreset-one: applied when the Pod was made; whether it is still there cannot be seen"]);
    // What came since, and is in conflict with what the Pod has, takes nothing from it.
    team(&json!({"one.yaml": preset("one", "A", "1"), "two.yaml": preset("two", "A", "2")}));
    let said = ask(User::Admin).fine();
    line(&said.out, &["(live): current"]);
    line(&said.out, &["podpreset-one: applied:"]);
    line(&said.out, &["podpreset-two: left out, because it is in conflict"]);
    // A new version that is for other Pods.
    team(&json!({"one.yaml": preset("one", "A", "1").replace("selector: {}", "selector: {matchLabels: {app: other}}")}));
    let said = ask(User::Admin).fine();
    line(&said.out, &["(live): stale"]);
    line(&said.out, &["podpreset-one: applied in another version", "which a new Pod would not get"]);
}

fn injected(story: &Story) {
    let account = Account::make(story.plane, &story.name);
    let _podgraft = story.podgraft_of(&account, "", &[]);
    apply(story, &map(&story.name, "team", &json!({"one.yaml": preset("one", "A", "1")})));
    let everywhere = everywhere(story, "all", "ALL", "1");
    let kubectl = story.kubectl().within(&account.namespace);
    kubectl.run_with(&["apply", "-f", "-"], &map(&account.namespace, "all", &json!({"all.yaml": everywhere})).to_string()).fine();
    until_variables(story, &story.name, &["ALL=1", "A=1"]);
    let own = format!("--podgraft-namespace={}", account.namespace);
    let arguments = ["inject", "-f", "-", "--from-cluster", "-n", &story.name, &own, "-o", "json"];
    let ask = |user| podgraft(story.plane, user, &arguments, &web().to_string());
    let said = ask(User::Admin).fine();
    assert!(said.err.is_empty(), "{}", said.err);
    let offline = said.json();
    let made = story.try_pod(&story.name, &web()).object("the Pod");
    assert_eq!(offline["spec"]["containers"][0]["env"], made["spec"]["containers"][0]["env"]);
    assert_eq!(offline["metadata"]["annotations"], made["metadata"]["annotations"], "the same records");
    // explain, too, knows the labels of the namespace.
    let explain = ["explain", "-f", "-", "--from-cluster", "-n", &story.name, &own];
    let said = podgraft(story.plane, User::Admin, &explain, &web().to_string()).fine();
    line(&said.out, &["clusterpodpreset-all: applied: env ALL in app"]);
    // Who may see less gets less, and is told.
    story.kubectl().run(&["create", "rolebinding", "author", "--clusterrole=edit", "--user=author"]).fine();
    wait::until("the author's rights", || {
        let said = ask(User::Author);
        if said.out.contains("\"A\"") { Ok(()) } else { Err(said.err) }
    });
    let said = ask(User::Author).fine();
    assert_eq!(said.json()["spec"]["containers"][0]["env"], json!([{"name": "A", "value": "1"}]));
    let said = ask(User::Stranger).fine();
    line(&said.err, &["warning: ConfigMaps of the namespace", &story.name, "cannot be read"]);
    line(&said.err, &["warning: the labels of the namespace", "are not known"]);
    assert!(said.json()["spec"]["containers"][0].get("env").is_none());
    // A preset that is refused is said.
    apply(story, &map(&story.name, "bad", &json!({"bad.yaml": preset("bad", "A", "1").replace("selector", "selektor")})));
    let said = ask(User::Admin);
    assert_eq!(said.code, 1);
    line(&said.err, &["error: configmap", "key bad.yaml:4:", "selektor"]);
    story.kubectl().run(&["delete", "configmap", "bad"]).fine();
    // So is what concerns everybody, if nobody knows which preset it is.
    kubectl.run_with(&["apply", "-f", "-"], &map(&account.namespace, "broken", &json!({"broken.yaml": "{{{"})).to_string()).fine();
    let said = ask(User::Admin);
    assert_eq!(said.code, 1, "{}", said.err);
    line(&said.err, &["error: configmap", "/broken key broken.yaml:1:"]);
    // Nobody is there.
    let nowhere = story.plane.kubeconfig_of("nowhere", "https://127.0.0.1:1", "x");
    let flag = format!("--kubeconfig={}", nowhere.display());
    let said = podgraft(story.plane, User::Admin, &["inject", "-f", "-", "--from-cluster", &flag], &web().to_string());
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    line(&said.err, &["podgraft: the cluster does not answer"]);
    let said = podgraft(story.plane, User::Admin, &["inject", "-f", "-", "--from-cluster", "--context=other"], &web().to_string());
    assert_eq!(said.code, 2);
    line(&said.err, &["cannot reach the cluster"]);
}

fn checked(story: &Story) {
    let folder = story.plane.folder.join("data").join(format!("{}-presets", story.name));
    fs::create_dir_all(&folder).unwrap();
    let strict = format!("{}-strict", story.name);
    story.namespace(&strict);
    story.kubectl().run(&["label", "namespace", &strict, "pod-security.kubernetes.io/enforce=restricted"]).fine();
    let of = |name: &str, namespace: &str, spec: &str| {
        format!("apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n")
    };
    let sidecar = "{name: side, image: registry.example/side:1, restartPolicy: Always, securityContext: {privileged: true}}";
    let presets = [
        of(
            "good",
            &story.name,
            "{selector: {matchLabels: {app: web}}, volumeMounts: [{name: cache, mountPath: /c}], env: [{name: A, value: s3cret}]}",
        ),
        of("class", &story.name, "{selector: {}, template: {spec: {priorityClassName: nowhere}}}"),
        of("dns", &story.name, "{selector: {}, template: {spec: {dnsPolicy: None}}}"),
        of("fine-there", &strict, "{selector: {}, env: [{name: A, value: s3cret}]}"),
        of("privileged", &strict, &format!("{{selector: {{}}, template: {{spec: {{initContainers: [{sidecar}]}}}}}}")),
    ];
    fs::write(folder.join("presets.yaml"), presets.join("---\n")).unwrap();
    let path = folder.display().to_string();
    let ask = |user, more: &[&str]| podgraft(story.plane, user, &[&["check", path.as_str(), "-n", &story.name], more].concat(), "");
    // Without the API server nothing is wrong.
    ask(User::Admin, &[]).fine();
    let said = ask(User::Admin, &["--server"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    line(&said.out, &["presets.yaml:6:1: ", "the API server refuses a Pod with it", "no PriorityClass with name nowhere", "(error)"]);
    line(&said.out, &["presets.yaml:11:1: spec.dnsConfig: ", "(error)"]);
    line(&said.out, &["presets.yaml:21:1: ", "violates PodSecurity", "privileged", "(error)"]);
    assert!(!said.out.contains("presets.yaml:1:1") && !said.out.contains("presets.yaml:16:1"), "{}", said.out);
    assert!(!said.out.contains("s3cret"));
    line(&said.out, &["3 errors", "2 presets are fine"]);
    assert!(story.pods(&story.name, "app=web").is_empty(), "a dry run leaves nothing");
    let json: Value = serde_json::from_str(&ask(User::Admin, &["--server", "-o", "json"]).out).unwrap();
    assert_eq!((&json["errors"], &json["presets"]), (&json!(3), &json!(2)));
    // Who may not create Pods is told so, and the presets are not blamed.
    let said = ask(User::Stranger, &["--server"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    line(&said.out, &["presets.yaml:1:1: ", "was not tried", "forbidden", "(warning)"]);
    line(&said.out, &["0 errors, 7 warnings"]);
    assert_eq!(ask(User::Stranger, &["--server", "--strict"]).code, 1);
}

fn checked_elsewhere(story: &Story) {
    let folder = story.plane.folder.join("data").join(format!("{}-presets", story.name));
    fs::create_dir_all(&folder).unwrap();
    let strict = format!("{}-strict", story.name);
    story.namespace(&strict);
    let labels = ["pod-security.kubernetes.io/enforce=restricted", &format!("strict={}", story.name)];
    story.kubectl().run(&[&["label", "namespace", strict.as_str()], &labels[..]].concat()).fine();
    let of = |name: &str, spec: &str| {
        format!("apiVersion: podgraft.dev/v1beta1\nkind: ClusterPodPreset\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    let class = "selector: {matchLabels: {app: web}}, template: {spec: {priorityClassName: nowhere}}";
    let there = format!("namespaceSelector: {{matchLabels: {{strict: {}}}}}", story.name);
    let nowhere = "namespaceSelector: {matchLabels: {strict: nobody-has-this}}";
    let presets = [
        of("here", &format!("{{{class}}}")),
        of("there", &format!("{{{class}, {there}}}")),
        of("nowhere", &format!("{{{class}, {nowhere}}}")),
        of("shadow", &format!("{{mode: Shadow, {class}}}")),
        of("future", "{selector: {matchLabels: {app: api}}, template: {spec: {fromTheFuture: s3cret}}}"),
        of("denied", "{selector: {matchLabels: {app: db}}, optOut: Denied, conflictPolicy: KeepPod, env: [{name: A, value: s3cret}]}"),
    ];
    fs::write(folder.join("presets.yaml"), presets.join("---\n")).unwrap();
    let path = folder.display().to_string();
    let said = podgraft(story.plane, User::Admin, &["check", &path, "-n", &story.name, "--server"], "");
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let in_namespace = |name: &str| format!("the API server refuses a Pod with it in the namespace {name}: ");
    line(&said.out, &["presets.yaml:1:1: ", &in_namespace(&story.name), "no PriorityClass with name nowhere", "(error)"]);
    line(&said.out, &["presets.yaml:6:1: ", &in_namespace(&strict), "no PriorityClass with name nowhere", "(error)"]);
    line(&said.out, &["presets.yaml:11:1: ", "was not tried: no namespace has the labels", "(warning)"]);
    line(&said.out, &["presets.yaml:21:1: ", "the API server warns of a Pod with it: unknown field \"spec.fromTheFuture\"", "(warning)"]);
    line(&said.out, &["2 errors, ", "; 4 presets are fine"]);
    for (tried, place) in [("a Shadow", "presets.yaml:16:1: the API"), ("a preset that is fine", "presets.yaml:26:1: the API")] {
        assert!(!said.out.contains(place), "{tried}: {}", said.out);
    }
    assert!(!said.out.contains("s3cret"), "{}", said.out);
}

fn proxied(story: &Story) {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    // A proxy that knows CONNECT only, and counts.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let seen = std::sync::Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
            seen.lock().unwrap().push(target.clone());
            let Ok(there) = TcpStream::connect(&target) else { continue };
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            for (mut from, mut to) in [(stream.try_clone().unwrap(), there.try_clone().unwrap()), (there, stream)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    let mut config: Value = serde_json::from_str(&fs::read_to_string(story.plane.kubeconfig(User::Admin)).unwrap()).unwrap();
    config["clusters"][0]["cluster"]["proxy-url"] = json!(format!("http://{address}"));
    let file = story.plane.folder.join("data").join(format!("{}.proxied.kubeconfig", story.name));
    fs::write(&file, config.to_string()).unwrap();
    story.create(&story.name, &web());
    let flag = format!("--kubeconfig={}", file.display());
    let said = podgraft(story.plane, User::Admin, &["explain", "pod/web", "-n", &story.name, &flag], "").fine();
    line(&said.out, &[&format!("Pod {}/web (live): current", story.name)]);
    let server = story.plane.url().trim_start_matches("https://").to_owned();
    assert!(asked.lock().unwrap().contains(&server), "{:?} does not have {server}", asked.lock().unwrap());
}
