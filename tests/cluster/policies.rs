//! Each policy that ships, in front of a workload of each kind that it is for.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use podgraft::preset::RECORD_PREFIX;
use serde_json::{Value, json};

use crate::corpus;
use crate::harness::endpoint::Endpoint;
use crate::harness::podgraft::{Registered, Registration, Serving};
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::support::case::{self, Case};

pub const STORIES: Stories = &[("each_policy_on_each_workload_kind", workloads)];

const KINDS: [(&str, &str); 6] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("v1", "ReplicationController"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
];

/// The names of the files in `policies/`.
fn policies() -> BTreeSet<String> {
    let files = fs::read_dir("policies").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| file.strip_suffix(".yaml").map(str::to_owned)).collect()
}

/// A policy is for Jobs as for all others, unless its selector says that it is not.
fn for_jobs(case: &Case) -> bool {
    !case.presets_text.contains("key: batch.kubernetes.io/job-name")
}

/// The case that shows a policy at work has its name.
fn workloads(story: &Story) {
    let policies = policies();
    let mut shown = BTreeSet::new();
    for case in case::all() {
        let Some(policy) = case.name.strip_prefix("policy-").filter(|name| policies.contains(*name)) else { continue };
        shown.insert(policy.to_owned());
        each(story, &case);
    }
    assert_eq!(shown, policies);
}

/// What answers the API server, for as long as it is there.
enum Answering {
    Podgraft {
        _serving: Serving,
    },
    /// Where a policy asks for labels of a namespace, which needs a cluster to be read from: the engine, given the labels.
    Engine {
        _endpoint: Endpoint,
    },
}

/// Gives what answers, and its address.
fn answering(story: &Story, case: &Case, name: &str) -> (Answering, String) {
    let here = format!("namespace: {}", story.name);
    let presets = case.presets_text.replace("namespace: shop", &here).replace("namespace: default", &here);
    if case.expect["given"].get("namespaceLabels").is_some() {
        let (presets, problems) = case::read_presets(&presets, name);
        assert!(problems.is_empty(), "{problems:?}");
        let labels = case.labels.clone();
        let reply = move |_: &str, body: &str| match corpus::answer(body, &presets, &labels) {
            Ok((_, answer)) => (200, answer),
            Err(refusal) => (500, refusal),
        };
        let endpoint = Endpoint::start(&story.plane.authority, Arc::new(reply)).unwrap();
        let url = endpoint.url("/mutate");
        return (Answering::Engine { _endpoint: endpoint }, url);
    }
    let flags = ["--listen=127.0.0.1:0", "--shutdown-delay=0s", &format!("--default-namespace={}", story.name)];
    let serving = Serving::start_as(story.plane, name, &presets, &flags).unwrap();
    let url = serving.url();
    (Answering::Podgraft { _serving: serving }, url)
}

fn each(story: &Story, case: &Case) {
    let name = format!("{}-{}", story.name, case.name);
    let (_answering, url) = answering(story, case, &name);
    let object = Registration::of(&name, &story.name).object(&url, &story.plane.authority.pem);
    let _registered = Registered::make(story.api.clone(), &object);

    let pod: Value = serde_json::from_str(&case::json_of(&case.pod)).unwrap();
    let expected: Value = serde_json::from_str(&case::json_of(&case.expected_pod())).unwrap();
    for account in corpus::named(&expected.to_string(), "serviceAccountName") {
        let made = story.api.post(
            &format!("/api/v1/namespaces/{}/serviceaccounts", story.name),
            &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}),
        );
        assert!(made.taken() || made.status == 409, "{account}: {}", made.message());
    }
    wait::until(&format!("{} to be in force", case.name), || {
        let mut probe = pod.clone();
        probe["metadata"].as_object_mut().unwrap().remove("namespace");
        let answer = story.try_pod(&story.name, &probe);
        let message = answer.message();
        if answer.taken() && !records(&answer.body).is_empty() { Ok(()) } else { Err(message) }
    });
    for (version, kind) in KINDS {
        let workload = format!("{}-{}", case.name, kind.to_lowercase());
        make(story, &workload, version, kind, &pod);
        let made =
            wait::until(&format!("the Pod of {workload}"), || story.pods(&story.name, &format!("workload={workload}")).pop().ok_or("none"));
        let applied = case.expect["applied"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let (wanted, expected) = if kind.ends_with("Job") && !for_jobs(case) { (BTreeSet::new(), &pod) } else { (applied, &expected) };
        assert_eq!(records(&made), wanted, "{workload}");
        for list in ["initContainers", "containers"] {
            let names = |pod: &Value| {
                pod["spec"][list].as_array().into_iter().flatten().map(|container| container["name"].clone()).collect::<Vec<_>>()
            };
            assert_eq!(names(&made), names(expected), "{workload}: {list}");
        }
    }
}

/// The presets that a Pod says were applied to it.
fn records(pod: &Value) -> BTreeSet<String> {
    let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    annotations.filter_map(|(key, _)| key.strip_prefix(RECORD_PREFIX).map(str::to_owned)).collect()
}

/// Makes a workload of a kind whose Pods are as this one.
fn make(story: &Story, workload: &str, version: &str, kind: &str, pod: &Value) {
    let mut labels = pod["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    // What its controller sets itself.
    labels.retain(|label, _| {
        !(label.contains("kubernetes.io/") || ["pod-template-hash", "job-name", "controller-uid"].contains(&label.as_str()))
    });
    labels.insert("workload".to_owned(), json!(workload));
    let mut template = json!({"metadata": {"labels": labels, "annotations": pod["metadata"]["annotations"]}, "spec": pod["spec"]});
    if kind.ends_with("Job") {
        template["spec"]["restartPolicy"] = json!("Never");
    }
    let mut spec = json!({"template": template});
    match kind {
        "Job" => {}
        // Its time never comes: its Job is made by hand, as it would make it.
        "CronJob" => spec = json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": spec}}),
        "ReplicationController" => spec["selector"] = json!({"workload": workload}),
        _ => spec["selector"] = json!({"matchLabels": {"workload": workload}}),
    }
    if kind == "StatefulSet" {
        spec["serviceName"] = json!("none");
    }
    let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": workload}, "spec": spec});
    let group = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    story.api.post(&format!("{group}/namespaces/{}/{}s", story.name, kind.to_lowercase()), &object).object(workload);
    if kind == "CronJob" {
        story.kubectl().run(&["create", "job", &format!("{workload}-by-hand"), &format!("--from=cronjob/{workload}")]).fine();
    }
}
