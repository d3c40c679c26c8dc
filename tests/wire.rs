//! The program over real TLS: what real API servers sent it, byte for byte, and every case that a server without a cluster can be asked.

#[path = "support/client.rs"]
#[allow(dead_code, reason = "every test program takes what it needs")]
mod client;
#[path = "support/made.rs"]
#[allow(dead_code, reason = "every test program takes what it needs")]
mod made;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "every test program takes what it needs")]
mod process;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use podgraft::admit::{self, Scratch, World};
use podgraft::preset::PresetSet;
use serde_json::{Value, json};

use made::{Folder, patch};
use process::{Process, Served};
use support::case;

/// What is in the environment of a preset, a Pod: told to nobody.
const SECRETS: [&str; 2] = ["s3cr3t-of-a-preset", "s3cr3t-of-the-pod"];

/// Presets that have something to do in every recorded Pod: every way of adding, a conflict, a Shadow.
const PRESETS: &str = r#"
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: everything}
spec:
  selector: {}
  conflictPolicy: KeepPod
  env:
    - {name: FROM_PRESET, value: s3cr3t-of-a-preset}
    - {name: EMPTY, value: s3cr3t-of-a-preset}
    - {name: LOG_LEVEL, value: s3cr3t-of-a-preset}
  envFrom: [{configMapRef: {name: settings, optional: true}}]
  volumes: [{name: grafted, emptyDir: {}}]
  volumeMounts: [{name: grafted, mountPath: /grafted}]
  template:
    metadata:
      labels: {grafted: "yes"}
      annotations: {"podgraft.dev/example": a/b~c}
    spec:
      initContainers:
        - name: grafted
          image: example.com/grafted:1
          restartPolicy: Always
          env: [{name: TOKEN, value: s3cr3t-of-a-preset}]
      tolerations: [{key: grafted, operator: Exists, effect: NoSchedule}]
      nodeSelector: {grafted: "yes"}
---
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: shadow}
spec:
  selector: {}
  mode: Shadow
  env: [{name: FROM_PRESET, value: s3cr3t-of-the-pod}]
---
apiVersion: settings.k8s.io/v1alpha1
kind: PodPreset
metadata: {name: classic, namespace: default}
spec:
  selector: {matchLabels: {grafted: "yes"}}
  env: [{name: CLASSIC, value: s3cr3t-of-a-preset}]
"#;

fn exempt() -> Vec<String> {
    ["kube-system", "kube-public", "kube-node-lease", "podgraft"].map(str::to_owned).to_vec()
}

/// What the library answers to a body.
fn by_the_library(body: &str, presets: &PresetSet) -> String {
    let labels = |namespace: &str| Some(vec![("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
    let world = World { exempt_namespaces: &exempt(), namespace_labels: &labels };
    let mut out = String::new();
    admit::answer(body, presets, &world, &mut Scratch::default(), &mut out).unwrap();
    out
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// What the answer says beside the patch.
fn told(answer: &Value) -> String {
    let response = &answer["response"];
    format!("{}{}{}", response["warnings"], response["auditAnnotations"], response["status"])
}

#[test]
fn what_real_api_servers_sent_is_answered() {
    let folder = Folder::holding("presets.yaml", PRESETS);
    let (presets, problems) = case::read_presets(PRESETS, "presets.yaml");
    assert!(problems.is_empty(), "{problems:?}");
    let server = Process::start(&["--presets", folder.text(), "--log-level", "trace"]);
    let mut kept = server.connect();
    let (mut sent, mut mutated) = (BTreeMap::new(), 0);
    for path in files(Path::new("tests/reviews")) {
        let name = path.to_str().unwrap();
        if path.extension().is_none_or(|extension| extension != "json") {
            assert!(name.ends_with("/headers.txt") || name.ends_with("/README.md"), "{name} is not sent");
            continue;
        }
        let body = fs::read_to_string(&path).unwrap();
        let given: Value = serde_json::from_str(&body).unwrap();
        // As kube-apiserver does it: many on one connection. And each on a new one.
        let answer = kept.review(&body);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert_eq!(server.connect().review(&body).body, answer.body, "{name}: same input, same bytes out");
        assert_eq!(answer.text(), by_the_library(&body, &presets), "{name}");
        let review = answer.json();
        assert_eq!((&review["apiVersion"], &review["kind"]), (&given["apiVersion"], &given["kind"]), "{name}");
        assert_eq!(review["response"]["uid"], given["request"]["uid"], "{name}");
        assert_eq!(review["response"]["allowed"], true, "{name}");
        let operations = patch(&review);
        let untouched = if name.contains("/not-a-pod-create/") {
            Some("NotPodCreate")
        } else if name.ends_with("/excluded.json") {
            Some("Excluded")
        } else if name.ends_with("/mirror.json") {
            // A static Pod of the control plane; its namespace is asked first.
            Some("ExemptNamespace")
        } else {
            None
        };
        if let Some(reason) = untouched {
            assert_eq!(operations, json!([]), "{name}");
            assert!(review["response"].get("patch").is_none() && review["response"].get("patchType").is_none(), "{name}: {review}");
            assert_eq!(review["response"]["auditAnnotations"]["skipped"], reason, "{name}");
        } else {
            let mut pod = given["request"]["object"].clone();
            let patch: json_patch::Patch = serde_json::from_value(operations).unwrap();
            json_patch::patch(&mut pod, &patch).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(pod["metadata"]["labels"]["grafted"], "yes", "{name}");
            let inits = pod["spec"]["initContainers"].as_array().unwrap();
            assert!(inits.iter().any(|container| container["name"] == "grafted"), "{name}");
            for container in pod["spec"]["containers"].as_array().unwrap() {
                assert!(container["env"].as_array().unwrap().iter().any(|env| env["name"] == "FROM_PRESET"), "{name}: {container}");
            }
            let mut again = given.clone();
            again["request"]["object"] = pod;
            let second = kept.review(&again.to_string()).json();
            assert_eq!(self::patch(&second), json!([]), "{name}: a second call");
            mutated += 1;
        }
        for secret in SECRETS {
            assert!(!told(&review).contains(secret), "{name}: {}", told(&review));
        }
        sent.insert(name.to_owned(), untouched);
    }
    assert!(sent.len() >= 52 && mutated >= 30, "{} sent, {mutated} with a patch", sent.len());
    assert_eq!(server.metric("podgraft_reviews_total{outcome=\"mutated\"}") as usize, 2 * mutated);
    assert_eq!(server.metric("podgraft_self_check_failures_total"), 0.0);
    assert_eq!(server.metric("podgraft_panics_total"), 0.0);
    for secret in SECRETS {
        assert!(!server.log().contains(secret), "{secret} is in the log");
    }
}

/// Values of variables, planted wherever they could be: in presets that are refused, in Pods that are, in bodies that cannot be read.
#[test]
fn no_value_of_a_variable_is_in_an_answer_or_in_the_log() {
    let folder = Folder::holding("presets.yaml", PRESETS);
    folder.write("reject.yaml", PRESETS.split("---").next().unwrap().replace("everything", "reject").replace("KeepPod", "Reject"));
    folder.write(
        "typed.yaml",
        PRESETS.split("---").next().unwrap().replace("everything", "typed").replace("grafted, emptyDir: {}", "s, emptyDir: 7"),
    );
    folder.write(
        "null.yaml",
        PRESETS
            .split("---")
            .next()
            .unwrap()
            .replace("everything", "null")
            .replace("{name: EMPTY, value: s3cr3t-of-a-preset}", "{name: EMPTY, value: [s3cr3t-of-a-preset]}"),
    );
    folder.write("torn.yaml", "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nspec: {env: [{name: A, value: s3cr3t-of-a-preset}]");
    folder.write("twin-a.yaml", PRESETS.split("---").next().unwrap().replace("everything", "twin"));
    folder.write("twin-b.yaml", PRESETS.split("---").next().unwrap().replace("everything", "twin"));
    let server = Process::start(&["--presets", folder.text(), "--log-level", "trace"]);
    let env = r#""env":[{"name":"EMPTY","value":"s3cr3t-of-the-pod"},{"name":"LOG_LEVEL","value":"s3cr3t-of-the-pod"},{"name":"FROM_PRESET","value":"s3cr3t-of-the-pod"}]"#;
    let good = made::review("secret").replace(r#""image":"nginx""#, &format!(r#""image":"nginx",{env}"#));
    let mut client = server.connect();
    let answer = client.review(&good).json();
    assert_eq!(answer["response"]["allowed"], false, "{answer}");
    let told = told(&answer);
    for word in ["reject", "EMPTY"] {
        assert!(told.contains(word), "{told}");
    }
    let mut said = vec![told];
    for body in [
        good.replace(r#""value":"s3cr3t-of-the-pod"}]"#, r#""value":{"s3cr3t-of-the-pod":1}}]"#),
        good.replace(r#""value":"s3cr3t-of-the-pod"}]"#, r#""value":"s3cr3t-of-the-pod"]"#),
        good.replace(r#""containers":["#, r#""containers":"s3cr3t-of-the-pod","was":["#),
        good.replace(r#""metadata":{"#, r#""metadata":"s3cr3t-of-the-pod","was":{"#),
        good.replace(r#""name":"web""#, r#""name":"web","name":"web""#),
        good[..good.len() - 40].to_owned(),
        good.replace(r#""uid":"secret""#, r#""uid":7"#),
    ] {
        let answer = client.review(&body);
        said.push(if answer.status == 200 { self::told(&answer.json()) } else { answer.text().to_owned() });
    }
    // Presets that change while it runs are logged on another way.
    folder.write(
        "late.yaml",
        PRESETS.split("---").next().unwrap().replace("everything", "late").replace("value: s3cr3t-of-a-preset", "valu: s3cr3t-of-a-preset"),
    );
    process::eventually("the change is in the log", || server.line("presets read again").is_some());
    assert!(server.metric("podgraft_presets{store=\"directory\",state=\"refused\"}") >= 5.0);
    let metrics = client::get(server.admin, "/metrics").unwrap().text().to_owned();
    for secret in SECRETS {
        for said in &said {
            assert!(!said.contains(secret), "{said}");
        }
        assert!(!server.log().contains(secret), "{secret} is in the log: {}", server.log());
        assert!(!metrics.contains(secret));
    }
    assert!(server.log().contains("presets in conflict") || server.log().contains("\"outcome\":\"Rejected\""), "{}", server.log());
}

/// A preset that conflicts does over TLS what section 4 says, and says so in the warnings.
#[test]
fn every_case_over_tls() {
    let folder = Folder::new();
    let (mut asked, mut cells, mut rejected) = (0, BTreeSet::new(), 0);
    let mut problems = Vec::new();
    for case in case::all() {
        // Labels of namespaces come from a cluster.
        if case.expect["given"].get("namespaceLabels").is_some() {
            continue;
        }
        folder.write("presets.yaml", &case.presets_text);
        let server = Served::start(&["--presets", folder.text()]);
        let pod = case::json_of(&case.pod);
        let body = made::review_of(&case.name, &pod).replacen(r#""namespace":"shop""#, &format!(r#""namespace":"{}""#, case.namespace), 1);
        let response = server.connect().review(&body);
        let (presets, _) = case::read_presets(&case.presets_text, "presets.yaml");
        if response.status != 200 || response.text() != by_the_library(&body, &presets) {
            problems.push(format!("{}: not what the library says: {response:?}", case.name));
            continue;
        }
        let answer = response.json();
        let outcome = match (answer["response"]["allowed"] == true, answer["response"].get("patch").is_some()) {
            (true, true) => "patched",
            (true, false) => "unchanged",
            (false, false) => "rejected",
            (false, true) => "rejected with a patch",
        };
        let wanted = case.expect["outcome"].as_str().unwrap().replace("skipped", "unchanged");
        if outcome != wanted {
            problems.push(format!("{}: {outcome}, not {wanted}", case.name));
        }
        let told = told(&answer);
        let warnings = answer["response"]["warnings"].as_array().cloned().unwrap_or_default();
        for text in case.expect["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if warnings.len() < 8 && !told.contains(text) {
                problems.push(format!("{}: nothing says {text:?}: {told}", case.name));
            }
        }
        for conflict in case.expect["conflicts"].as_array().into_iter().flatten() {
            let (preset, path) = (conflict["preset"].as_str().unwrap(), conflict["path"].as_str().unwrap());
            let said = |line: &Value| line.as_str().is_some_and(|line| line.contains(preset) && (line.len() > 200 || line.contains(path)));
            if case.cell.is_some() && !warnings.iter().any(said) {
                problems.push(format!("{}: no warning names {preset} and {path}: {told}", case.name));
            }
        }
        for secret in case.expect["silent"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if told.contains(secret) {
                problems.push(format!("{}: {secret} is told", case.name));
            }
        }
        rejected += usize::from(outcome == "rejected");
        cells.extend(case.cell.clone());
        asked += 1;
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    let all: BTreeSet<[String; 3]> = case::all().into_iter().filter_map(|case| case.cell).collect();
    assert_eq!(cells, all, "every cell of the table");
    assert!(asked >= 350 && rejected >= 30, "{asked} cases, {rejected} rejected");
    println!("{asked} cases over TLS, {} cells", cells.len());
}
