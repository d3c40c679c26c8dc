//! Presets as custom resources, on a control plane of its own: others may have installed the kinds, and here they are missing at first. Then
//! the API server goes away and comes back.

use serde_json::{Value, json};

use crate::away::away;
use crate::harness::account::Account;
use crate::harness::plane::Plane;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::stores::{apply, events, map, pod, preset, until_variables, variables};

pub const STORIES: Stories = &[("custom_resources_are_noticed_and_an_outage_is_not", own_plane)];

fn own_plane(shared: &Story) {
    let plane = Plane::start(&shared.plane.version, &crate::runs()).unwrap();
    let story = Story::begin(&plane, "own-plane");
    installed_later(&story);
    away(&story);
    story.end();
    plane.remove();
}

/// The definitions as they are shipped.
pub fn install(story: &Story) {
    for file in ["podpresets", "clusterpodpresets"] {
        let path = format!("{}/deploy/chart/files/crds/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
        story.kubectl().run(&["apply", "--server-side", "--validate=strict", "-f", &path]).fine();
        story.kubectl().until_established(&[&format!("crd/{file}.podgraft.dev")]);
    }
}

fn resource(story: &Story, name: &str) -> Value {
    story.kubectl().run(&["get", "podpreset", name, "-o", "json"]).json()
}

/// Reason and message of a condition of a PodPreset, once its status is this one.
fn condition(story: &Story, name: &str, kind: &str, status: &str) -> (String, String) {
    condition_of(story, &format!("podpreset/{name}"), kind, status)
}

fn condition_of(story: &Story, what: &str, kind: &str, status: &str) -> (String, String) {
    wait::until(&format!("condition {kind}={status} of {what}"), || {
        let object = story.kubectl().run(&["get", what, "-o", "json"]).json();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|condition| condition["type"] == kind && condition["status"] == status);
        let found = found
            .filter(|condition| condition["observedGeneration"] == object["metadata"]["generation"])
            .ok_or(object["status"].clone())?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok::<_, Value>((text("reason"), text("message")))
    })
}

fn installed_later(story: &Story) {
    let account = Account::make(story.plane, &story.name);
    // The same preset in all three stores.
    let in_directory = preset("same", "FROM", "directory").replace("{name: same}", &format!("{{name: same, namespace: {}}}", story.name));
    let podgraft = story.podgraft_of(&account, &in_directory, &[]);
    assert_eq!(variables(story, &story.name), ["FROM=directory"]);
    let said = podgraft.serving.held.printed();
    assert_eq!(said.matches("the kind is not installed").count(), 2, "once a kind: {said}");
    apply(story, &map(&story.name, "team", &json!({"a.yaml": preset("same", "FROM", "config-map")})));
    until_variables(story, &story.name, &["FROM=config-map"]);
    install(story);
    story.kubectl().run_with(&["apply", "-f", "-"], &preset("same", "FROM", "resource")).fine();
    until_variables(story, &story.name, &["FROM=resource"]);
    let (reason, message) = condition(story, "same", "Ready", "True");
    let version = resource(story, "same")["status"]["version"].as_str().unwrap().to_owned();
    assert_eq!((reason.as_str(), message), ("InForce", format!("version {version} is in force")));
    let made = story.try_pod(&story.name, &pod()).object("a Pod");
    assert_eq!(made["metadata"]["annotations"]["podpreset.admission.kubernetes.io/podpreset-same"], version.as_str());
    assert_eq!(condition(story, "same", "Conflicting", "False").0, "NoConflict");
    let printed = story.kubectl().run(&["get", "podpresets"]).fine().out;
    assert!(
        printed.lines().next().unwrap().split_whitespace().eq(["NAME", "MODE", "PRIORITY", "CONFLICT", "POLICY", "READY", "AGE"]),
        "{printed}"
    );
    // What is overruled is said, once for each.
    let said = podgraft.serving.held.printed();
    for (store, winner) in [("directory", "config_maps"), ("directory", "custom_resources"), ("config_maps", "custom_resources")] {
        let told = said.lines().filter(|line| line.contains("is in another store") && line.contains(&format!("\"store\":\"{store}\"")));
        assert!(told.clone().count() == 1 || store == "directory", "{said}");
        assert!(told.clone().count() >= 1, "{store} {winner}: {said}");
    }
    refused(story);
    conflicting(story);
    everywhere(story);
    // Written once: the status does not change of itself.
    let before = resource(story, "same")["metadata"]["resourceVersion"].clone();
    for number in 0..5 {
        apply(story, &map(&story.name, "team", &json!({"b.yaml": preset("other", "OTHER", &number.to_string())})));
        until_variables(story, &story.name, &["FROM=resource", &format!("OTHER={number}")]);
    }
    assert_eq!(resource(story, "same")["metadata"]["resourceVersion"], before);
    story.kubectl().run(&["delete", "configmap", "team"]).fine();
    // Taken away: what is below comes to light, and the kind may go and come back.
    story.kubectl().run(&["delete", "podpreset", "same"]).fine();
    until_variables(story, &story.name, &["FROM=directory"]);
    story.kubectl().run_with(&["apply", "-f", "-"], &preset("same", "FROM", "resource")).fine();
    until_variables(story, &story.name, &["FROM=resource"]);
    story.kubectl().run(&["delete", "crd", "podpresets.podgraft.dev"]).fine();
    until_variables(story, &story.name, &["FROM=directory"]);
    install(story);
    story.kubectl().run_with(&["apply", "-f", "-"], &preset("same", "FROM", "again")).fine();
    until_variables(story, &story.name, &["FROM=again"]);
    podgraft.serving.ready().unwrap();
    assert_eq!(podgraft.serving.metric("podgraft_panics_total", "").unwrap(), 0.0);
}

/// A preset that the schema lets through and Podgraft does not.
fn refused(story: &Story) {
    let bad = preset("same", "FROM", "5432").replace("value: '5432'", "value: 5432");
    story.kubectl().run_with(&["apply", "-f", "-"], &bad).fine();
    let (reason, message) = condition(story, "same", "Ready", "False");
    assert_eq!(reason, "Refused");
    assert!(message.starts_with("spec.env[0].value: must be a string") && !message.contains("5432"), "{message}");
    assert_eq!(variables(story, &story.name), ["FROM=resource"], "the last good version");
    let event =
        wait::until("the Event on the preset", || events(story, &story.name, "PresetRefused", "same").into_iter().next().ok_or("none"));
    assert_eq!(event["involvedObject"]["kind"], "PodPreset");
    let described = story.kubectl().run(&["describe", "podpreset", "same"]).fine();
    assert!(described.out.contains("PresetRefused"), "{}", described.out);
    // What the schema knows, the API server says itself.
    let unknown = preset("unknown", "A", "1").replace("selector: {}", "selector: {}, conflictPolicy: Sometimes");
    let said = story.kubectl().run_with(&["apply", "-f", "-"], &unknown).refused();
    assert!(said.err.contains("spec.conflictPolicy"), "{}", said.err);
    let long = preset(&"a".repeat(54), "A", "1");
    assert!(story.kubectl().run_with(&["apply", "-f", "-"], &long).refused().err.contains("metadata.name"));
    story.kubectl().run_with(&["apply", "-f", "-"], &preset("same", "FROM", "resource")).fine();
    condition(story, "same", "Ready", "True");
}

fn conflicting(story: &Story) {
    let clashing = |container: &str| {
        let mut other = pod();
        other["metadata"] = json!({"name": "other"});
        other["spec"]["containers"][0]["name"] = json!(container);
        other["spec"]["containers"][0]["env"] = json!([{"name": "FROM", "value": "s3cret"}]);
        other
    };
    // A dry run leaves nothing: what is told is of the Pod that comes after it.
    story.try_pod(&story.name, &clashing("tried")).object("a Pod");
    story.create(&story.name, &clashing("app"));
    let (reason, message) = condition(story, "same", "Conflicting", "True");
    assert_eq!(reason, "PodConflict");
    assert_eq!(message, "podpreset-same conflicts with the Pod at /spec/containers/app/env/FROM: no presets applied (Abort)");
    let told = wait::until("the Event on the preset", || match events(story, &story.name, "PresetConflict", "same") {
        told if told.is_empty() => Err("none"),
        told => Ok(told),
    });
    assert!(told.iter().all(|event| event["involvedObject"]["kind"] == "PodPreset" && event["message"] == message.as_str()), "{told:?}");
    let changed = preset("same", "FROM", "resource").replace("selector: {}", "selector: {}, priority: 1");
    story.kubectl().run_with(&["apply", "-f", "-"], &changed).fine();
    condition(story, "same", "Conflicting", "False");
}

/// A preset of no namespace: in force in all of them, with a status, and with its Events where those of such objects are.
fn everywhere(story: &Story) {
    let good = preset("all", "ALL", "1").replace("kind: PodPreset", "kind: ClusterPodPreset");
    let good = good.replace("selector: {}", "selector: {}, conflictPolicy: KeepPod");
    story.kubectl().run_with(&["apply", "-f", "-"], &good).fine();
    until_variables(story, &story.name, &["ALL=1", "FROM=resource"]);
    let (reason, message) = condition_of(story, "clusterpodpreset/all", "Ready", "True");
    let version = story.kubectl().run(&["get", "clusterpodpreset", "all", "-o", "jsonpath={.status.version}"]).fine().out;
    assert_eq!((reason.as_str(), message), ("InForce", format!("version {version} is in force")));
    let made = story.try_pod(&story.name, &pod()).object("a Pod");
    assert_eq!(made["metadata"]["annotations"]["podpreset.admission.kubernetes.io/clusterpodpreset-all"], version.as_str());
    let mut other = pod();
    other["metadata"] = json!({"name": "elsewhere"});
    other["spec"]["containers"][0]["env"] = json!([{"name": "ALL", "value": "s3cret"}]);
    story.create(&story.name, &other);
    let line = "clusterpodpreset-all conflicts with the Pod at /spec/containers/app/env/ALL: kept (KeepPod)";
    assert_eq!(condition_of(story, "clusterpodpreset/all", "Conflicting", "True"), ("PodConflict".to_owned(), line.to_owned()));
    let event = |reason: &str| {
        wait::until(&format!("{reason} on the preset"), || events(story, "default", reason, "all").into_iter().next().ok_or("none"))
    };
    let told = event("PresetConflict");
    assert_eq!(told["message"], format!("in namespace {}: {line}", story.name));
    assert_eq!(told["involvedObject"]["kind"], "ClusterPodPreset");
    let bad = good.replace("value: '1'", "value: 5432");
    story.kubectl().run_with(&["apply", "-f", "-"], &bad).fine();
    assert_eq!(condition_of(story, "clusterpodpreset/all", "Ready", "False").0, "Refused");
    assert!(event("PresetRefused")["message"].as_str().unwrap().starts_with("spec.env[0].value: must be a string"));
    assert_eq!(variables(story, &story.name), ["ALL=1", "FROM=resource"], "the last good version");
    story.kubectl().run(&["delete", "clusterpodpreset", "all"]).fine();
    until_variables(story, &story.name, &["FROM=resource"]);
}
