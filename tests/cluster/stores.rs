//! Presets from ConfigMaps, and the labels of namespaces: what is applied is in force, what is taken away is gone, what is broken keeps its
//! last good version and says so, and nobody reaches a namespace that is not theirs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::podgraft::Serving;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;

pub const STORIES: Stories = &[
    ("a_config_map_is_in_force_until_its_label_is_gone", in_force),
    ("a_broken_document_keeps_its_last_good_version", broken),
    ("nobody_reaches_another_namespace", tenants),
    ("two_of_one_name_are_both_refused", twins),
    ("namespaces_are_selected_by_the_labels_of_the_moment", namespaces),
];

/// A ConfigMap with presets.
pub fn map(namespace: &str, name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, "labels": {"podgraft.dev/presets": "true"}}, "data": data})
}

/// A document without namespace that sets one variable.
pub fn preset(name: &str, variable: &str, value: &str) -> String {
    format!(
        "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: {name}}}\nspec: {{selector: {{}}, env: [{{name: {variable}, value: '{value}'}}]}}\n"
    )
}

pub fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-"}, "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}})
}

/// The variables that a Pod gets in a namespace, as `NAME=VALUE`.
pub fn variables(story: &Story, namespace: &str) -> Vec<String> {
    let made = story.try_pod(namespace, &pod()).object("a Pod");
    let env = made["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
    env.iter().map(|one| format!("{}={}", one["name"].as_str().unwrap(), one["value"].as_str().unwrap_or_default())).collect()
}

/// Waits until Pods get exactly these.
pub fn until_variables(story: &Story, namespace: &str, wanted: &[&str]) {
    wait::until(&format!("Pods to get {wanted:?}"), || {
        let seen = variables(story, namespace);
        if seen == wanted { Ok(()) } else { Err(seen) }
    });
}

pub fn apply(story: &Story, object: &Value) {
    story.kubectl().run_with(&["apply", "-f", "-"], &object.to_string()).fine();
}

/// How many presets of a store are in a state.
pub fn presets(serving: &Serving, store: &str, state: &str) -> f64 {
    let text = ureq::get(format!("http://{}/metrics", serving.admin)).call().unwrap().body_mut().read_to_string().unwrap();
    crate::harness::podgraft::sum(&text, "podgraft_presets", &format!("store=\"{store}\",state=\"{state}\""))
}

/// The Events about an object, with a reason.
pub fn events(story: &Story, namespace: &str, reason: &str, name: &str) -> Vec<Value> {
    let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector=reason%3D{reason}%2CinvolvedObject.name%3D{name}");
    let list = story.api.get(&path).unwrap().object("the Events");
    list["items"].as_array().cloned().unwrap_or_default()
}

fn in_force(story: &Story) {
    let podgraft = story.podgraft_within("", &[]);
    assert!(variables(story, &story.name).is_empty());
    // Two keys, one of which has no name of its own.
    let nameless = preset("x", "B", "2").replace("metadata: {name: x}\n", "");
    apply(story, &map(&story.name, "team", &json!({"one.yaml": preset("one", "A", "1"), "two.yaml": nameless})));
    until_variables(story, &story.name, &["A=1", "B=2"]);
    let made = story.try_pod(&story.name, &pod()).object("a Pod");
    let records = made["metadata"]["annotations"].as_object().unwrap();
    for name in ["one", "two"] {
        let record = records[&format!("podpreset.admission.kubernetes.io/podpreset-{name}")].as_str().unwrap();
        assert!(record.len() == 12 && record.bytes().all(|byte| byte.is_ascii_hexdigit()), "{record}");
    }
    apply(story, &map(&story.name, "team", &json!({"one.yaml": preset("one", "A", "3")})));
    until_variables(story, &story.name, &["A=3"]);
    story.kubectl().run(&["label", "configmap", "team", "podgraft.dev/presets-"]).fine();
    until_variables(story, &story.name, &[]);
    story.kubectl().run(&["label", "configmap", "team", "podgraft.dev/presets=true"]).fine();
    until_variables(story, &story.name, &["A=3"]);
    story.kubectl().run(&["delete", "configmap", "team"]).fine();
    until_variables(story, &story.name, &[]);
    assert_eq!(podgraft.serving.metric("podgraft_panics_total", "").unwrap(), 0.0);
    let age = podgraft.serving.metric("podgraft_store_age_seconds", "store=\"config_maps\"").unwrap();
    assert!((0.0..300.0).contains(&age), "{age}");
}

fn broken(story: &Story) {
    let podgraft = story.podgraft_within("", &[]);
    let good = preset("one", "A", "s3cret");
    apply(story, &map(&story.name, "team", &json!({"one.yaml": good})));
    until_variables(story, &story.name, &["A=s3cret"]);
    // A number where a string belongs, and beside it a document that is fine.
    let bad = good.replace("value: 's3cret'", "value: 5432");
    apply(story, &map(&story.name, "team", &json!({"one.yaml": bad, "two.yaml": preset("two", "B", "2")})));
    until_variables(story, &story.name, &["A=s3cret", "B=2"]);
    assert!(presets(&podgraft.serving, "config_maps", "refused") >= 1.0);
    assert!(presets(&podgraft.serving, "config_maps", "stale") >= 1.0);
    podgraft.serving.ready().expect("a bad document is no reason not to be ready");
    let event =
        wait::until("the Event on the ConfigMap", || events(story, &story.name, "PresetRefused", "team").into_iter().next().ok_or("none"));
    assert_eq!((&event["type"], &event["involvedObject"]["kind"]), (&json!("Warning"), &json!("ConfigMap")));
    let said = event["message"].as_str().unwrap();
    let wanted = format!("configmap {}/team key one.yaml:4:", story.name);
    assert!(said.starts_with(&wanted) && said.contains("spec.env[0].value") && said.contains("put the value in quotes"), "{said}");
    assert!(!said.contains("5432") && !said.contains("s3cret"), "{said}");
    let described = story.kubectl().run(&["describe", "configmap", "team"]).fine();
    assert!(described.out.contains("PresetRefused"), "{}", described.out);
    assert!(podgraft.serving.held.printed().contains("preset refused"));
    // Nobody can say what it was: everything that its key held stays.
    apply(story, &map(&story.name, "team", &json!({"one.yaml": "{{{", "two.yaml": preset("two", "B", "2")})));
    until_variables(story, &story.name, &["A=s3cret", "B=2"]);
    apply(story, &map(&story.name, "team", &json!({"one.yaml": preset("one", "A", "mended")})));
    until_variables(story, &story.name, &["A=mended"]);
}

fn tenants(story: &Story) {
    let mallory = format!("{}-mallory", story.name);
    story.namespace(&mallory);
    let account = Account::make(story.plane, &story.name);
    let podgraft = story.podgraft_of(&account, "", &[]);
    apply(story, &map(&story.name, "own", &json!({"own.yaml": preset("own", "OWN", "1")})));
    until_variables(story, &story.name, &["OWN=1"]);
    let planted = |name: &str| {
        preset(name, "PLANTED", "1").replace(&format!("{{name: {name}}}"), &format!("{{name: {name}, namespace: {}}}", story.name))
    };
    let cluster = preset("everywhere", "EVERYWHERE", "1").replace("kind: PodPreset", "kind: ClusterPodPreset");
    let data = json!({
        // Of a new name, and of that of a preset which must not fall because of it.
        "planted.yaml": planted("planted"), "own.yaml": planted("own"), "everywhere.yaml": cluster, "mine.yaml": preset("mine", "MINE", "1"),
    });
    story.kubectl().within(&mallory).run_with(&["apply", "-f", "-"], &map(&mallory, "planted", &data).to_string()).fine();
    until_variables(story, &mallory, &["MINE=1"]);
    assert_eq!(variables(story, &story.name), ["OWN=1"]);
    assert!(presets(&podgraft.serving, "config_maps", "refused") >= 3.0);
    // The Podgrafts of other stories say it too, of their own namespaces.
    let told = wait::until("the Events on the ConfigMap", || {
        let told = events(story, &mallory, "PresetRefused", "planted").into_iter();
        let told: BTreeSet<String> = told.map(|event| event["message"].as_str().unwrap().to_owned()).collect();
        let ours = format!("Podgraft's own namespace only, which is {}", account.namespace);
        let planted = ["planted.yaml", "own.yaml"]
            .map(|key| told.iter().any(|said| said.contains(key) && said.contains("are for its own namespace")));
        if told.iter().any(|said| said.contains(&ours)) && planted == [true; 2] { Ok(told) } else { Err(told) }
    });
    assert!(told.iter().all(|said| !said.contains("mine.yaml")), "{told:?}");
    // Where Podgraft is, its administrators write.
    let mut map = map(&account.namespace, "all", &json!({"everywhere.yaml": cluster}));
    map["metadata"]["namespace"] = json!(account.namespace);
    story.kubectl().within(&account.namespace).run_with(&["apply", "-f", "-"], &map.to_string()).fine();
    until_variables(story, &story.name, &["EVERYWHERE=1", "OWN=1"]);
    until_variables(story, &mallory, &["EVERYWHERE=1", "MINE=1"]);
}

fn twins(story: &Story) {
    let podgraft = story.podgraft_within("", &[]);
    apply(story, &map(&story.name, "first", &json!({"a.yaml": preset("same", "A", "1")})));
    until_variables(story, &story.name, &["A=1"]);
    apply(story, &map(&story.name, "second", &json!({"a.yaml": preset("same", "A", "2"), "b.yaml": preset("other", "B", "1")})));
    until_variables(story, &story.name, &["B=1", "A=1"]);
    assert!(presets(&podgraft.serving, "config_maps", "refused") >= 2.0);
    for name in ["first", "second"] {
        let said = wait::until("the Event on both", || events(story, &story.name, "PresetRefused", name).into_iter().next().ok_or("none"));
        assert!(said["message"].as_str().unwrap().contains("both are refused"), "{said}");
    }
    story.kubectl().run(&["delete", "configmap", "first"]).fine();
    until_variables(story, &story.name, &["B=1", "A=2"]);
}

fn namespaces(story: &Story) {
    let account = Account::make(story.plane, &story.name);
    let podgraft = story.podgraft_of(&account, "", &[]);
    let preset = preset("gold", "TIER", "gold").replace("kind: PodPreset", "kind: ClusterPodPreset");
    let preset = preset.replace("selector: {}", "selector: {}, namespaceSelector: {matchLabels: {tier: gold}}");
    story
        .kubectl()
        .within(&account.namespace)
        .run_with(&["apply", "-f", "-"], &map(&account.namespace, "gold", &json!({"gold.yaml": preset})).to_string())
        .fine();
    wait::until("the preset to be there", || {
        if presets(&podgraft.serving, "config_maps", "active") >= 1.0 { Ok(()) } else { Err("it is not") }
    });
    assert!(variables(story, &story.name).is_empty());
    story.kubectl().run(&["label", "namespace", &story.name, "tier=gold"]).fine();
    until_variables(story, &story.name, &["TIER=gold"]);
    story.kubectl().run(&["label", "namespace", &story.name, "tier=silver", "--overwrite"]).fine();
    until_variables(story, &story.name, &[]);
    // The first Pod of a namespace that was made this moment: known by then, or asked for, never taken for one without labels.
    for number in 0..10 {
        let name = format!("{}-{number}", story.name);
        let body =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"story": story.name, "tier": "gold"}}});
        story.api.post("/api/v1/namespaces", &body).object("a namespace");
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts");
        story
            .api
            .post(&account, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "early"}}))
            .object("an account");
        let mut early = pod();
        early["spec"]["serviceAccountName"] = json!("early");
        let made = story.try_pod(&name, &early).object("the first Pod");
        assert_eq!(made["spec"]["containers"][0]["env"][0]["value"], "gold", "{name}");
    }
}
