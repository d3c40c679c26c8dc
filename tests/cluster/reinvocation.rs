//! A second real webhook beside Podgraft: it adds a container, rewrites images and adds a label. In both orders, and with every policy of
//! reinvocation: complete, nothing twice, no false conflict, the records right.

use serde_json::{Value, json};

use crate::compare;
use crate::harness::endpoint::{self, Endpoint};
use crate::harness::podgraft::{Registered, Registration};
use crate::harness::story::{Call, InFront, Stories, Story};
use crate::harness::wait;

pub const STORIES: Stories = &[
    ("asked_before_the_other_and_again", |story| both(story, "a", "IfNeeded", "IfNeeded")),
    ("asked_before_the_other_which_is_not_asked_again", |story| both(story, "a", "IfNeeded", "Never")),
    ("asked_after_the_other_and_again", |story| both(story, "z", "IfNeeded", "IfNeeded")),
    ("asked_after_the_other_which_is_not_asked_again", |story| both(story, "z", "IfNeeded", "Never")),
    ("asked_after_the_other_never_again", |story| both(story, "z", "Never", "IfNeeded")),
    ("asked_after_the_other_and_neither_again", |story| both(story, "z", "Never", "Never")),
    ("asked_before_the_other_never_again", |story| never(story, "IfNeeded")),
    ("asked_before_the_other_and_neither_again", |story| never(story, "Never")),
    ("alone_it_is_asked_again_and_has_nothing_to_add", alone),
];

const RECORD: &str = "podpreset.admission.kubernetes.io/clusterpodpreset-";

/// One preset for all, with a sidecar whose image the other rewrites; one for Pods that have the other's label.
const PRESETS: &str = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: logs}
spec:
  selector: {}
  env: [{name: LOG_DIR, value: /var/log/app}]
  volumes: [{name: logs, emptyDir: {}}]
  volumeMounts: [{name: logs, mountPath: /var/log/app}]
  template:
    spec:
      initContainers:
        - {name: shipper, image: 'registry.example/shipper:1', restartPolicy: Always, volumeMounts: [{name: logs, mountPath: /logs}]}
---
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: meshed}
spec:
  selector: {matchLabels: {mesh: 'on'}}
  env: [{name: MESH, value: 'on'}]
";

/// What the other webhook does to a Pod; done once, it does no more.
fn mesh(pod: &Value) -> Value {
    let mut operations = Vec::new();
    let spec = &pod["spec"];
    for list in ["initContainers", "containers"] {
        for (index, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            let image = container["image"].as_str().unwrap_or_default();
            if !image.starts_with("mirror.example/") {
                operations.push(
                    json!({"op": "replace", "path": format!("/spec/{list}/{index}/image"), "value": format!("mirror.example/{image}")}),
                );
            }
        }
    }
    let there = spec["containers"].as_array().into_iter().flatten().any(|container| container["name"] == "mesh");
    if !there {
        operations.push(json!({"op": "add", "path": "/spec/containers/-", "value": {"name": "mesh", "image": "mirror.example/mesh:1"}}));
    }
    if pod["metadata"]["labels"]["mesh"] != "on" {
        operations.push(json!({"op": "add", "path": "/metadata/labels/mesh", "value": "on"}));
    }
    Value::Array(operations)
}

/// The other webhook, registered; the value holds it.
fn other(story: &Story, policy: &'static str) -> (Registered, Endpoint) {
    let endpoint = Endpoint::start(&story.plane.authority, endpoint::patching(mesh)).unwrap();
    let registration = Registration { reinvocation_policy: policy, ..Registration::of(&format!("{}-m-other", story.name), &story.name) };
    (Registered::make(story.api.clone(), &registration.object(&endpoint.url("/mesh"), &story.plane.authority.pem)), endpoint)
}

/// Podgraft, asked before (`a`) or after (`z`) the other: the API server goes by the names.
fn podgraft(story: &Story, place: &str, policy: &'static str) -> InFront {
    let name = format!("{}-{place}-podgraft", story.name);
    story.podgraft_as(&Registration { reinvocation_policy: policy, ..Registration::of(&name, &story.name) }, PRESETS)
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-", "labels": {"app": "web"}},
        "spec": {"initContainers": [{"name": "setup", "image": "registry.example/setup:1"}], "containers": [{"name": "app", "image": "registry.example/app:1"}]}})
}

/// Sends it when both webhooks are in force.
fn send(story: &Story) -> (Value, String) {
    wait::until("the other webhook", || {
        let probe = story.try_pod(&story.name, &pod()).object("a probe");
        if probe["metadata"]["labels"]["mesh"] == "on" { Ok(()) } else { Err("it is not asked") }
    });
    let answer = story.api.post(&format!("/api/v1/namespaces/{}/pods", story.name), &pod());
    assert_eq!(answer.warnings, Vec::<String>::new(), "no false conflict");
    let audit = answer.audit.clone();
    (answer.object("the Pod"), audit)
}

fn names<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    list.as_array().into_iter().flatten().filter_map(|entry| entry[key].as_str()).collect()
}

fn both(story: &Story, place: &str, ours: &'static str, others: &'static str) {
    let podgraft = podgraft(story, place, ours);
    let _other = other(story, others);
    let (pod, audit) = send(story);

    assert_eq!(names(&pod["spec"]["initContainers"], "name"), ["setup", "shipper"]);
    assert_eq!(names(&pod["spec"]["containers"], "name"), ["app", "mesh"]);
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array().unwrap() {
            let name = container["name"].as_str().unwrap();
            let mut variables = names(&container["env"], "name");
            let mut mounts = names(&container["volumeMounts"], "mountPath");
            variables.sort_unstable();
            mounts.sort_unstable();
            let token = "/var/run/secrets/kubernetes.io/serviceaccount";
            if name == "shipper" {
                assert_eq!((variables, mounts), (vec!["MESH"], vec!["/logs", token]), "{name}");
            } else {
                assert_eq!((variables, mounts), (vec!["LOG_DIR", "MESH"], vec!["/var/log/app", token]), "{name}");
            }
            // The other is asked again about the sidecar that came after it, unless it is never asked again.
            let rewritten = container["image"].as_str().unwrap().starts_with("mirror.example/");
            let too_late = name == "shipper" && place == "z" && others == "Never";
            assert_eq!(rewritten, !too_late, "the image of {name} is {}", container["image"]);
        }
    }
    for preset in ["logs", "meshed"] {
        let record = &pod["metadata"]["annotations"][format!("{RECORD}{preset}")];
        assert_eq!(*record, compare::hash(PRESETS, &format!("clusterpodpreset-{preset}")), "the record of {preset}");
    }

    // The patch of a second call touches only what came in between: nothing of the first call is there again.
    let calls = story.calls(&story.name, &audit);
    let ours: Vec<_> = calls.iter().filter(|call| call.webhook == format!("{}.podgraft.dev", podgraft.registered.name)).collect();
    assert!(ours[0].mutated && ours[0].turn.starts_with("round_0"), "{calls:?}");
    if place == "a" {
        assert!(ours.len() == 2 && ours[1].mutated, "the other brought a container and a label: {calls:?}");
        let second = json!(ours[1].patch).to_string();
        assert!(!second.contains("shipper") && !second.contains("clusterpodpreset-logs"), "it was there already: {second}");
        let allowed = |operation: &Value| operation["op"] == "add";
        assert!(ours[1].patch.iter().all(allowed), "{second}");
    } else {
        assert!(ours.iter().skip(1).all(|call| call.idle()), "nothing came in between that wants more: {calls:?}");
    }
    // A sidecar that the other came to see too late has its image rewritten when it is sent again.
    sent_again(story, &pod, &podgraft, place == "a" || others != "Never");
}

/// What was created, sent again, is left alone: the same Pod comes back, and Podgraft had nothing to add.
fn sent_again(story: &Story, pod: &Value, podgraft: &InFront, settled: bool) {
    let answer = story.try_pod(&story.name, &compare::afresh(pod));
    let webhook = format!("{}.podgraft.dev", podgraft.registered.name);
    let calls = story.calls(&story.name, &answer.audit);
    assert!(calls.iter().any(|call| call.webhook == webhook), "it was asked: {calls:?}");
    assert!(calls.iter().filter(|call| call.webhook == webhook).all(Call::idle), "sent again: {calls:?}");
    let again = answer.object("the Pod again");
    if settled {
        compare::same("sent again", &again, pod);
    }
}

/// With `Never`, asked first, what comes later is not seen; what it did stands. Sent again, the Pod is completed.
fn never(story: &Story, others: &'static str) {
    let podgraft = podgraft(story, "a", "Never");
    let _other = other(story, others);
    let (pod, audit) = send(story);
    assert_eq!(names(&pod["spec"]["initContainers"], "name"), ["setup", "shipper"]);
    assert_eq!(names(&pod["spec"]["containers"], "name"), ["app", "mesh"]);
    assert_eq!(names(&pod["spec"]["containers"][0]["env"], "name"), ["LOG_DIR"]);
    assert_eq!(pod["spec"]["containers"][1].get("env"), None, "it is what Never says");
    assert_eq!(pod["spec"]["initContainers"][1]["image"], "mirror.example/registry.example/shipper:1", "the other came after it");
    let records = &pod["metadata"]["annotations"];
    assert_eq!(records[format!("{RECORD}logs")], compare::hash(PRESETS, "clusterpodpreset-logs"));
    assert!(records.get(format!("{RECORD}meshed")).is_none());
    let webhook = format!("{}.podgraft.dev", podgraft.registered.name);
    let asked = story.calls(&story.name, &audit).iter().filter(|call| call.webhook == webhook).count();
    assert_eq!(asked, 1);

    let answer = story.try_pod(&story.name, &compare::afresh(&pod));
    assert_eq!(answer.warnings, Vec::<String>::new());
    let whole = answer.object("the Pod again");
    assert_eq!(names(&whole["spec"]["containers"], "name"), ["app", "mesh"]);
    for container in whole["spec"]["containers"].as_array().unwrap() {
        let mut variables = names(&container["env"], "name");
        variables.sort_unstable();
        assert_eq!(variables, ["LOG_DIR", "MESH"], "{}", container["name"]);
    }
    assert_eq!(whole["metadata"]["annotations"][format!("{RECORD}meshed")], compare::hash(PRESETS, "clusterpodpreset-meshed"));
}

/// The token that the API server mounts into the sidecar is reason enough to ask again.
fn alone(story: &Story) {
    let podgraft = podgraft(story, "a", "IfNeeded");
    let answer = story.api.post(&format!("/api/v1/namespaces/{}/pods", story.name), &pod());
    let calls = story.calls(&story.name, &answer.audit);
    let turns: Vec<(&str, bool)> = calls.iter().map(|call| (call.turn.as_str(), call.mutated)).collect();
    assert_eq!(turns, [("round_0_index_0", true), ("round_1_index_0", false)]);
    assert!(calls[1].idle(), "{calls:?}");
    sent_again(story, &answer.object("the Pod"), &podgraft, true);
}
