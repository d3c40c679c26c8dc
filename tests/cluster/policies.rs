//! Each policy that ships, in front of a workload of each kind that it is for: its Pod is, field by field, that of the same workload whose
//! template says all of it, and sent again it is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use podgraft::preset::RECORD_PREFIX;
use serde_json::{Value, json};

use crate::compare;
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

fn twin(story: &Story) -> String {
    format!("{}-twin", story.name)
}

/// The case that shows a policy at work has its name.
fn workloads(story: &Story) {
    // Nobody is asked about this one.
    story.plane.namespace(&twin(story), &json!({})).unwrap();
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

/// The presets of a case for the story's namespace.
fn presets(story: &Story, case: &Case) -> String {
    let here = format!("namespace: {}", story.name);
    case.presets_text.replace("namespace: shop", &here).replace("namespace: default", &here)
}

/// Gives what answers, and its address.
fn answering(story: &Story, case: &Case, name: &str) -> (Answering, String) {
    let presets = presets(story, case);
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
        for namespace in [&story.name, &twin(story)] {
            let made = story.api.post(
                &format!("/api/v1/namespaces/{namespace}/serviceaccounts"),
                &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}),
            );
            assert!(made.taken() || made.status == 409, "{account}: {}", made.message());
        }
    }
    wait::until(&format!("{} to be in force", case.name), || {
        let mut probe = pod.clone();
        probe["metadata"].as_object_mut().unwrap().remove("namespace");
        let answer = story.try_pod(&story.name, &probe);
        let message = answer.message();
        if answer.taken() && !records(&answer.body).is_empty() { Ok(()) } else { Err(message) }
    });
    let hash = |record: &String| compare::hash(&presets(story, case), record);
    let workload = |kind: &str| format!("{}-{}", case.name, kind.to_lowercase());
    let applies = |kind: &str| for_jobs(case) || !kind.ends_with("Job");
    for (version, kind) in KINDS {
        let expected = if applies(kind) { &without_records(&expected) } else { &pod };
        make(story, &story.name, &workload(kind), version, kind, &pod);
        make(story, &twin(story), &workload(kind), version, kind, expected);
    }
    for (_, kind) in KINDS {
        let workload = workload(kind);
        let applied = case.expect["applied"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let wanted: BTreeSet<String> = applied.filter(|_| applies(kind)).collect();
        let [made, twin] = [&story.name, &twin(story)].map(|namespace| {
            wait::until(&format!("the Pod of {workload}"), || story.pods(namespace, &format!("workload={workload}")).pop().ok_or("none"))
        });
        assert_eq!(records(&made).into_keys().collect::<BTreeSet<_>>(), wanted, "{workload}");
        for (record, version) in records(&made) {
            assert_eq!(version, hash(&record), "{workload}: {record}");
        }
        let plain = |pod: &Value| corpus::sorted(&without_hashes(&without_records(pod)));
        if let Some(difference) = compare::difference(&plain(&made), &plain(&twin)) {
            panic!("{workload}: not as its twin, whose template says all of it: {difference}");
        }
        let mut made = made;
        // A list does not say of its entries what they are.
        made.as_object_mut().unwrap().extend([("apiVersion".to_owned(), json!("v1")), ("kind".to_owned(), json!("Pod"))]);
        let again = story.try_pod(&story.name, &compare::afresh(&made)).object(&format!("{workload}, sent again"));
        compare::same(&format!("{workload}, sent again"), &again, &made);
    }
}

/// The presets that a Pod says were applied to it, with their versions.
fn records(pod: &Value) -> BTreeMap<String, String> {
    let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    let records =
        annotations.filter_map(|(key, version)| Some((key.strip_prefix(RECORD_PREFIX)?.to_owned(), version.as_str()?.to_owned())));
    records.collect()
}

fn without_records(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for (record, _) in records(&pod) {
        compare::take(&mut pod, "/metadata/annotations", &format!("{RECORD_PREFIX}{record}"));
    }
    pod
}

/// Without the hash of its template, which its controller writes into labels and names.
fn without_hashes(pod: &Value) -> Value {
    let mut text = pod.to_string();
    for label in ["pod-template-hash", "controller-revision-hash"] {
        if let Some(hash) = pod["metadata"]["labels"][label].as_str() {
            text = text.replace(hash, "HASH");
        }
    }
    serde_json::from_str(&text).unwrap()
}

/// Makes a workload of a kind whose Pods are as this one.
fn make(story: &Story, namespace: &str, workload: &str, version: &str, kind: &str, pod: &Value) {
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
    story.api.post(&format!("{group}/namespaces/{namespace}/{}s", kind.to_lowercase()), &object).object(workload);
    if kind == "CronJob" {
        story
            .kubectl()
            .within(namespace)
            .run(&["create", "job", &format!("{workload}-by-hand"), &format!("--from=cronjob/{workload}")])
            .fine();
    }
}
