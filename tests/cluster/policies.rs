//! Each policy that ships, in front of a workload of each kind that it is for.

use std::collections::BTreeSet;
use std::path::Path;

use podgraft::preset::RECORD_PREFIX;
use serde_json::{Value, json};

use crate::corpus;
use crate::harness::podgraft::{Registered, Registration, Serving};
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::support::case::{self, Case};

pub const STORIES: Stories = &[("each_policy_on_each_workload_kind", workloads)];

/// The case that shows a policy at work, and those for Pods that end. What asks for labels of a namespace needs a cluster to be read from.
fn shown() -> Vec<Case> {
    let mut cases = case::all();
    cases.retain(|case| {
        let Some(policy) = case.name.strip_prefix("policy-") else { return false };
        let whole =
            Path::new("policies").join(format!("{policy}.yaml")).is_file() || policy.ends_with("-job") || policy.ends_with("-never");
        whole && case.expect["outcome"] == "patched" && case.expect["given"].get("namespaceLabels").is_none()
    });
    cases
}

fn kinds(restart: &str) -> &'static [(&'static str, &'static str)] {
    match restart {
        "Always" => &[("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("v1", "ReplicationController")],
        _ => &[("batch/v1", "Job")],
    }
}

fn workloads(story: &Story) {
    let cases = shown();
    assert!(cases.len() >= 15, "only {} policies", cases.len());
    for case in &cases {
        each(story, case);
    }
}

fn each(story: &Story, case: &Case) {
    let presets = case
        .presets_text
        .replace("namespace: shop", &format!("namespace: {}", story.name))
        .replace("namespace: default", &format!("namespace: {}", story.name));
    let name = format!("{}-{}", story.name, case.name);
    let flags = ["--listen=127.0.0.1:0", "--shutdown-delay=0s", &format!("--default-namespace={}", story.name)];
    let serving = Serving::start_as(story.plane, &name, &presets, &flags).unwrap();
    let object = Registration::of(&name, &story.name).object(&serving.url(), &story.plane.authority.pem);
    let _registered = Registered::make(story.api.clone(), &object);
    serving.in_force(&story.api, &story.name).unwrap();

    let pod: Value = serde_json::from_str(&case::json_of(&case.pod)).unwrap();
    let expected: Value = serde_json::from_str(&case::json_of(&case.expected_pod())).unwrap();
    for account in corpus::named(&expected.to_string(), "serviceAccountName") {
        let made = story.api.post(
            &format!("/api/v1/namespaces/{}/serviceaccounts", story.name),
            &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}),
        );
        assert!(made.taken() || made.status == 409, "{account}: {}", made.message());
    }
    for (version, kind) in kinds(pod["spec"]["restartPolicy"].as_str().unwrap_or("Always")) {
        let workload = format!("{}-{}", case.name, kind.to_lowercase());
        let mut labels = pod["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        // What its controller sets itself.
        labels.retain(|label, _| {
            !(label.contains("kubernetes.io/") || ["pod-template-hash", "job-name", "controller-uid"].contains(&label.as_str()))
        });
        labels.insert("workload".to_owned(), json!(workload));
        let template = json!({"metadata": {"labels": labels, "annotations": pod["metadata"]["annotations"]}, "spec": pod["spec"]});
        let mut spec = json!({"template": template});
        match *kind {
            "Job" => {}
            "ReplicationController" => spec["selector"] = json!({"workload": workload}),
            _ => spec["selector"] = json!({"matchLabels": {"workload": workload}}),
        }
        if *kind == "StatefulSet" {
            spec["serviceName"] = json!("none");
        }
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": workload}, "spec": spec});
        let group = if *version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
        story.api.post(&format!("{group}/namespaces/{}/{}s", story.name, kind.to_lowercase()), &object).object(&workload);
        let made =
            wait::until(&format!("the Pod of {workload}"), || story.pods(&story.name, &format!("workload={workload}")).pop().ok_or("none"));
        let wanted: BTreeSet<&str> = case.expect["applied"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let records: BTreeSet<&str> = made["metadata"]["annotations"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, _)| key.strip_prefix(RECORD_PREFIX))
            .collect();
        assert_eq!(records, wanted, "{workload}");
        for list in ["initContainers", "containers"] {
            let names = |pod: &Value| {
                pod["spec"][list].as_array().into_iter().flatten().map(|container| container["name"].clone()).collect::<Vec<_>>()
            };
            assert_eq!(names(&made), names(&expected), "{workload}: {list}");
        }
    }
}
