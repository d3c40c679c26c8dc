//! Conflicts, warnings and rejections, as kubectl prints them and as the audit log and a ReplicaSet's events carry them. The value of no
//! variable is in any of it.

use serde_json::{Value, json};

use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::stores;

pub const STORIES: Stories = &[
    ("each_policy_says_what_it_did", policies),
    ("a_workload_whose_pods_are_refused_says_why", refused_workload),
    ("events_of_a_replica_set_say_what_each_policy_did", replica_sets),
    ("a_warning_a_line_and_no_more_than_eight", many),
    ("a_shadow_preset_is_told_and_changes_nothing", shadow),
];

/// In every value that must not be told.
const SECRET: &str = "s3cret";

/// For each policy a preset that disagrees with the Pod about one variable and has another thing to give, and one beside it.
fn presets(namespace: &str) -> String {
    let one = |policy: &str| {
        let name = policy.to_lowercase();
        format!(
            "
apiVersion: podgraft.dev/v1beta1
kind: PodPreset
metadata: {{name: clash-{name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{policy: {name}}}}}
  conflictPolicy: {policy}
  env: [{{name: PASSWORD, value: {SECRET}-of-the-preset}}, {{name: USER, value: {SECRET}-user}}]
---
apiVersion: podgraft.dev/v1beta1
kind: PodPreset
metadata: {{name: beside-{name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{policy: {name}}}}}
  env: [{{name: BESIDE, value: {SECRET}-beside}}]
"
        )
    };
    POLICIES.map(|(policy, ..)| one(policy)).join("---")
}

/// Policy, what the warning says of it, and the variables that the Pod has then.
const POLICIES: [(&str, &str, &[&str]); 5] = [
    ("Abort", "no presets applied", &["PASSWORD"]),
    ("Skip", "it is left out", &["PASSWORD", "BESIDE"]),
    ("KeepPod", "kept", &["PASSWORD", "BESIDE", "USER"]),
    ("Override", "replaced", &["PASSWORD", "BESIDE", "USER"]),
    ("Reject", "Pod refused", &[]),
];

/// The warning of a policy.
fn warning(policy: &str, effect: &str) -> String {
    format!("podpreset-clash-{} conflicts with the Pod at {PLACE}: {effect} ({policy})", policy.to_lowercase())
}

/// Where the Pod and the presets disagree.
const PLACE: &str = "/spec/containers/app/env/PASSWORD";

fn pod(policy: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": policy, "labels": {"policy": policy}}, "spec": {"containers": [
        {"name": "app", "image": "registry.example/app:1", "env": [{"name": "PASSWORD", "value": format!("{SECRET}-of-the-author")}]}]}})
}

/// What Podgraft had the API server note about the Pods of a namespace.
pub fn notes(story: &Story, name: &str) -> Value {
    let prefix = format!("{}.podgraft.dev/", story.name);
    let event = wait::until("the audit event", || {
        let events = story.plane.audit(&story.name);
        events
            .into_iter()
            .find(|event| event["objectRef"]["name"] == name || event["requestObject"]["metadata"]["name"] == name)
            .ok_or("none")
    });
    let annotations = event["annotations"].as_object().into_iter().flatten();
    annotations
        .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn silent(what: &str, text: &str) {
    assert!(!text.contains(SECRET), "{what} tells a value: {text}");
}

fn policies(story: &Story) {
    let podgraft = story.podgraft(&presets(&story.name));
    for (policy, effect, variables) in POLICIES {
        let name = policy.to_lowercase();
        let said = story.kubectl().run_with(&["create", "-f", "-"], &pod(&name).to_string());
        silent("kubectl", &format!("{}{}", said.out, said.err));
        let notes = notes(story, &name);
        silent("the audit log", &notes.to_string());
        assert_eq!(notes["conflicts"], format!("podpreset-clash-{name} {PLACE} Pod"), "{policy}");
        if policy == "Reject" {
            let said = said.refused();
            let wanted = format!(
                "Warning: {}\nError from server (Forbidden): error when creating \"STDIN\": admission webhook \"{}.podgraft.dev\" denied the request: PodPreset {}/clash-reject \
                 requires {PLACE}, the Pod has it otherwise",
                warning(policy, effect),
                story.name,
                story.name
            );
            assert_eq!(said.err.trim(), wanted);
            assert_eq!(notes.get("presets"), None, "what was refused has none: {notes}");
            continue;
        }
        let said = said.fine();
        assert_eq!(said.warnings(), [warning(policy, effect)], "{policy}");
        let made = story.kubectl().run(&["get", "pod", &name, "-o", "json"]).json();
        let env = made["spec"]["containers"][0]["env"].as_array().unwrap();
        assert_eq!(env.iter().map(|variable| variable["name"].as_str().unwrap()).collect::<Vec<_>>(), variables, "{policy}");
        let value = if policy == "Override" { "of-the-preset" } else { "of-the-author" };
        assert_eq!(env[0]["value"], format!("{SECRET}-{value}"), "{policy}");
        let annotations = &made["metadata"]["annotations"];
        let recorded = |preset: &str| annotations.get(format!("podpreset.admission.kubernetes.io/podpreset-{preset}-{name}")).is_some();
        assert_eq!((recorded("clash"), recorded("beside")), (variables.contains(&"USER"), variables.contains(&"BESIDE")), "{policy}");
        let noted = notes["presets"].as_str().unwrap_or_default();
        assert_eq!(noted.contains(&format!("podpreset-beside-{name}=")), variables.contains(&"BESIDE"), "{policy}: {noted}");
    }
    silent("podgraft's log", &podgraft.serving.held.printed());
}

fn refused_workload(story: &Story) {
    let _podgraft = story.podgraft(&presets(&story.name));
    let mut template = pod("reject");
    template["metadata"].as_object_mut().unwrap().remove("name");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "refused"},
        "spec": {"selector": {"matchLabels": {"policy": "reject"}}, "template": {"metadata": template["metadata"], "spec": template["spec"]}}});
    let kubectl = story.kubectl();
    kubectl.run_with(&["create", "-f", "-"], &deployment.to_string()).fine();
    let reason = format!("PodPreset {}/clash-reject requires {PLACE}", story.name);
    let event = wait::until("the event of the ReplicaSet", || {
        let events =
            kubectl.run(&["get", "events", "--field-selector=reason=FailedCreate,involvedObject.kind=ReplicaSet", "-o", "json"]).json();
        events["items"][0]["message"].as_str().map(str::to_owned).ok_or("none")
    });
    assert!(event.contains(&reason), "{event}");
    silent("the event", &event);
    let condition = wait::until("the condition of the ReplicaSet", || {
        let sets = kubectl.run(&["get", "replicasets", "-o", "json"]).json();
        let conditions = sets["items"][0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == "ReplicaFailure").ok_or(sets)
    });
    assert!(condition["message"].as_str().unwrap().contains(&reason), "{condition}");
    silent("the condition", &condition.to_string());
    assert_eq!(story.pods(&story.name, "policy=reject").len(), 0);
}

/// Whoever looks at a ReplicaSet sees what became of its Pods.
fn replica_sets(story: &Story) {
    let _podgraft = story.podgraft_within(&presets(&story.name), &[]);
    let kubectl = story.kubectl();
    for (policy, ..) in POLICIES {
        let name = policy.to_lowercase();
        let mut template = pod(&name);
        template["metadata"].as_object_mut().unwrap().remove("name");
        let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"policy": name}}, "template": {"metadata": template["metadata"], "spec": template["spec"]}}});
        kubectl.run_with(&["create", "-f", "-"], &set.to_string()).fine();
    }
    for (policy, effect, variables) in POLICIES {
        let name = policy.to_lowercase();
        let said = |reason: &str| {
            let told = stores::events(story, &story.name, reason, &name);
            told.iter().map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect::<Vec<String>>()
        };
        wait::until(&format!("what {policy} did, on the ReplicaSet"), || match said("PresetConflict") {
            told if told == [warning(policy, effect)] => Ok(()),
            told => Err(told),
        });
        let (reason, word) = if variables.is_empty() { ("FailedCreate", PLACE) } else { ("SuccessfulCreate", "Created pod") };
        wait::until(&format!("{reason} of {policy}"), || match said(reason) {
            told if !told.is_empty() && told.iter().all(|line| line.contains(word)) => Ok(()),
            told => Err(told),
        });
    }
    silent("an Event", &kubectl.run(&["get", "events", "-o", "json"]).fine().out);
}

fn many(story: &Story) {
    let preset = |number: usize| {
        format!(
            "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: preset-{number:02}, namespace: {}}}\n\
             spec: {{selector: {{}}, conflictPolicy: KeepPod, env: [{{name: PASSWORD, value: {SECRET}-{number}}}]}}\n",
            story.name
        )
    };
    let _podgraft = story.podgraft(&(0..12).map(preset).collect::<Vec<_>>().join("---\n"));
    let said = story.kubectl().run_with(&["create", "-f", "-"], &pod("many").to_string()).fine();
    let warnings = said.warnings();
    assert_eq!(warnings.len(), 8, "{warnings:?}");
    for (number, warning) in warnings.iter().take(7).enumerate() {
        assert_eq!(*warning, format!("podpreset-preset-{number:02} conflicts with the Pod at {PLACE}: kept (KeepPod)"));
    }
    assert_eq!(warnings[7], "and 5 more; `podgraft explain` shows all");
    let conflicts = notes(story, "many")["conflicts"].as_str().unwrap().to_owned();
    assert_eq!(conflicts.split(';').count(), 12, "the audit log has all of them: {conflicts}");
    silent("kubectl", &said.err);
}

fn shadow(story: &Story) {
    let preset = format!(
        "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: planned, namespace: {}}}\n\
         spec: {{selector: {{}}, mode: Shadow, env: [{{name: PLANNED, value: {SECRET}}}, {{name: PASSWORD, value: {SECRET}}}]}}\n",
        story.name
    );
    let _podgraft = story.podgraft(&preset);
    let said = story.kubectl().run_with(&["create", "-f", "-", "-o", "json"], &pod("shadow").to_string()).fine();
    let warnings: Vec<String> = said.warnings().into_iter().map(str::to_owned).collect();
    assert!(warnings.iter().any(|line| line.contains("shadow podpreset-planned would conflict with the Pod")), "{warnings:?}");
    silent("kubectl", &said.err);
    let made = said.json();
    assert_eq!(made["spec"]["containers"][0]["env"].as_array().unwrap().len(), 1);
    assert!(made["metadata"].get("annotations").is_none(), "{made}");
}
