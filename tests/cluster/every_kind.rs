//! Every way in which a Pod comes to be: each gets what its preset says, with the record, and is else the same as its twin in a
//! namespace that no preset reaches.

use serde_json::{Value, json};

use crate::compare;
use crate::harness::plane::User;
use crate::harness::podgraft::Registration;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;

pub const STORIES: Stories = &[
    ("workloads_get_what_the_preset_says", workloads),
    ("bare_pods_get_what_the_preset_says", bare_pods),
    ("a_dry_run_gets_the_same_and_leaves_nothing", dry_run),
    ("rights_of_the_user_do_not_matter", rights),
    ("the_order_of_documents_does_not_matter", order),
];

/// A native sidecar that ships what the containers log, in the namespace `NAMESPACE`.
const LOGS: &str = "
apiVersion: podgraft.dev/v1beta1
kind: PodPreset
metadata: {name: logs, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: web}}
  env: [{name: LOG_DIR, value: /var/log/app}]
  volumeMounts: [{name: logs, mountPath: /var/log/app}]
  volumes: [{name: logs, emptyDir: {}}]
  template:
    metadata: {labels: {logs: shipped}}
    spec:
      initContainers:
        - name: shipper
          image: registry.example/shipper:1
          restartPolicy: Always
          volumeMounts: [{name: logs, mountPath: /logs, readOnly: true}]
";

/// Workloads of every kind. Their templates differ in the label `kind` alone.
const WORKLOADS: &[(&str, &str)] = &[
    ("deployment", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: deployment}, spec: {selector: SELECTOR, template: TEMPLATE}}"),
    (
        "statefulset",
        "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: statefulset}, spec: {serviceName: web, selector: SELECTOR, template: TEMPLATE}}",
    ),
    ("daemonset", "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: daemonset}, spec: {selector: SELECTOR, template: TEMPLATE}}"),
    ("replicaset", "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: replicaset}, spec: {selector: SELECTOR, template: TEMPLATE}}"),
    (
        "controller",
        "{apiVersion: v1, kind: ReplicationController, metadata: {name: controller}, spec: {selector: LABELS, template: TEMPLATE}}",
    ),
    ("job", "{apiVersion: batch/v1, kind: Job, metadata: {name: job}, spec: {template: JOBTEMPLATE}}"),
    (
        "cronjob",
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: cronjob}, spec: {schedule: '0 0 1 1 *', jobTemplate: {spec: {template: JOBTEMPLATE}}}}",
    ),
];

fn manifest(kind: &str, shape: &str) -> String {
    let labels = format!("{{app: web, kind: {kind}}}");
    let spec = |more: &str| {
        format!(
            "{{metadata: {{labels: {labels}, annotations: {{team: shop}}}}, spec: {{{more} initContainers: [{{name: setup, image: 'registry.example/setup:1'}}], \
             containers: [{{name: app, image: 'registry.example/app:1', env: [{{name: PORT, value: '8080'}}]}}, {{name: helper, image: registry.example/helper}}]}}}}"
        )
    };
    shape
        .replace("JOBTEMPLATE", &spec("restartPolicy: Never,"))
        .replace("TEMPLATE", &spec(""))
        .replace("SELECTOR", &format!("{{matchLabels: {labels}}}"))
        .replace("LABELS", &labels)
}

/// A Pod alone, as JSON.
pub fn pod(name: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": name, "spec": {"containers": [
        {"name": "app", "image": "registry.example/app:1", "env": [{"name": "PORT", "value": "8080"}]}]}})
}

/// What [`LOGS`] brought is all there; gives the Pod without it.
fn without_logs(pod: &Value) -> Value {
    let mut pod = pod.clone();
    assert_eq!(compare::take(&mut pod, "/metadata/labels", "logs"), "shipped");
    let presets = LOGS.replace("NAMESPACE", pod["metadata"]["namespace"].as_str().unwrap());
    let record = compare::take(&mut pod, "/metadata/annotations", "podpreset.admission.kubernetes.io/podpreset-logs");
    assert_eq!(record, compare::hash(&presets, "podpreset-logs"), "the record has the hash");
    let last = pod["spec"]["initContainers"].as_array().and_then(|list| list.last()).map(|container| container["name"].clone());
    assert_eq!(last, Some(json!("shipper")), "it comes after the author's own");
    let shipper = compare::take_entry(&mut pod, "/spec/initContainers", "name", "shipper");
    assert_eq!(
        compare::as_written(&shipper),
        json!({"name": "shipper", "image": "registry.example/shipper:1", "restartPolicy": "Always",
            "volumeMounts": [{"name": "logs", "mountPath": "/logs", "readOnly": true}]})
    );
    assert_eq!(compare::take_entry(&mut pod, "/spec/volumes", "name", "logs"), json!({"name": "logs", "emptyDir": {}}));
    for container in [compare::containers(&pod, "initContainers"), compare::containers(&pod, "containers")].concat() {
        let variable = compare::take_entry(&mut pod, &format!("{container}/env"), "name", "LOG_DIR");
        assert_eq!(variable, json!({"name": "LOG_DIR", "value": "/var/log/app"}));
        let mount = compare::take_entry(&mut pod, &format!("{container}/volumeMounts"), "mountPath", "/var/log/app");
        assert_eq!(mount, json!({"name": "logs", "mountPath": "/var/log/app"}));
    }
    pod
}

pub fn grafted_and_else_its_twin(what: &str, grafted: &Value, twin: &Value) {
    compare::same(what, &without_logs(grafted), twin);
}

/// The story's namespace has the preset; its twin is asked about too, and has none.
pub fn twins(story: &Story) -> (String, String) {
    let twin = format!("{}-twin", story.name);
    story.namespace(&twin);
    (LOGS.replace("NAMESPACE", &story.name), twin)
}

fn workloads(story: &Story) {
    let (presets, twin) = twins(story);
    let _podgraft = story.podgraft(&presets);
    for (kind, shape) in WORKLOADS {
        let manifest = manifest(kind, shape);
        for namespace in [&story.name, &twin] {
            story.kubectl().within(namespace).run_with(&["apply", "-f", "-"], &manifest).fine();
            if *kind == "cronjob" {
                story.kubectl().within(namespace).run(&["create", "job", "by-hand", "--from=cronjob/cronjob"]).fine();
            }
        }
    }
    for (kind, _) in WORKLOADS {
        let [grafted, twin] = [&story.name, &twin].map(|namespace| {
            wait::until(&format!("the Pod of a {kind}"), || story.pods(namespace, &format!("kind={kind}")).pop().ok_or("there is none"))
        });
        grafted_and_else_its_twin(kind, &grafted, &twin);
    }
}

fn bare_pods(story: &Story) {
    let (presets, twin) = twins(story);
    let _podgraft = story.podgraft(&presets);
    let names = [
        ("create", json!({"name": "bare", "labels": {"app": "web"}})),
        ("create", json!({"generateName": "bare-", "labels": {"app": "web"}})),
        ("apply", json!({"name": "applied", "labels": {"app": "web"}})),
        ("apply --server-side", json!({"name": "by-the-server", "labels": {"app": "web"}})),
    ];
    for (command, name) in names {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.extend(["-f", "-", "-o", "json"]);
        let manifest = pod(&name).to_string();
        let [mut grafted, mut twin] =
            [&story.name, &twin].map(|namespace| story.kubectl().within(namespace).run_with(&arguments, &manifest).json());
        if command == "apply" {
            for pod in [&mut grafted, &mut twin] {
                compare::take(pod, "/metadata/annotations", "kubectl.kubernetes.io/last-applied-configuration");
            }
        }
        grafted_and_else_its_twin(command, &grafted, &twin);
    }
    // Nothing is replaced, nothing removed.
    let answer =
        story.api.post(&format!("/api/v1/namespaces/{}/pods", story.name), &pod(&json!({"name": "by-api", "labels": {"app": "web"}})));
    let calls = story.calls(&story.name, &answer.audit);
    assert!(calls[0].mutated && !calls[0].patch.is_empty(), "{calls:?}");
    assert!(calls.iter().flat_map(|call| &call.patch).all(|operation| operation["op"] == "add"), "{calls:?}");

    // Applied again it is left as it is: what the preset brought does not belong to who applies.
    let manifest = pod(&json!({"name": "by-the-server", "labels": {"app": "web"}})).to_string();
    story.kubectl().run_with(&["apply", "--server-side", "-f", "-"], &manifest).fine();
    without_logs(&story.kubectl().run(&["get", "pod", "by-the-server", "-o", "json"]).json());
}

fn dry_run(story: &Story) {
    let (presets, twin) = twins(story);
    let _podgraft = story.podgraft(&presets);
    let manifest = pod(&json!({"name": "tried", "labels": {"app": "web"}})).to_string();
    let [grafted, twin] = [&story.name, &twin].map(|namespace| {
        story.kubectl().within(namespace).run_with(&["create", "--dry-run=server", "-f", "-", "-o", "json"], &manifest).json()
    });
    grafted_and_else_its_twin("a dry run", &grafted, &twin);
    assert_eq!(story.pods(&story.name, "app=web").len(), 0);
}

fn rights(story: &Story) {
    let (presets, twin) = twins(story);
    let _podgraft = story.podgraft(&presets);
    let manifest = pod(&json!({"name": "authors", "labels": {"app": "web"}})).to_string();
    let [grafted, twin] = [&story.name, &twin].map(|namespace| {
        story.kubectl().within(namespace).run(&["create", "rolebinding", "author", "--clusterrole=edit", "--user=author"]).fine();
        let author = story.plane.kubectl(User::Author, namespace);
        // What was granted is known to the API server a moment later.
        wait::until("the author's rights", || {
            let said = author.run_with(&["create", "-f", "-", "-o", "json"], &manifest);
            if said.code == 0 { Ok(said.json()) } else { Err(said) }
        })
    });
    grafted_and_else_its_twin("a user who may edit", &grafted, &twin);
    let stranger = story.plane.kubectl(User::Stranger, &story.name).run_with(&["create", "-f", "-"], &manifest).refused();
    assert!(stranger.err.contains("cannot create resource \"pods\""), "{}", stranger.err);
}

/// The variables of a Pod's first container.
pub fn variables(pod: &Value) -> Vec<&str> {
    pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten().filter_map(|variable| variable["name"].as_str()).collect()
}

/// Two replicas that hold the presets in another order make the same Pod; and presets that do not overlap give the same whichever is merged
/// first.
fn order(story: &Story) {
    let documents = |priorities: [usize; 3]| {
        let document = |(name, priority): (&str, usize)| {
            format!(
                "apiVersion: podgraft.dev/v1beta1\nkind: ClusterPodPreset\nmetadata: {{name: {name}}}\n\
                 spec: {{selector: {{}}, priority: {priority}, env: [{{name: {name}, value: '1'}}], volumes: [{{name: {name}}}], volumeMounts: [{{name: {name}, mountPath: /{name}}}]}}\n"
            )
        };
        ["one", "two", "three"].into_iter().zip(priorities).map(document).collect::<Vec<String>>()
    };
    let made = |suffix: &str, documents: &[String]| {
        let name = format!("{}-{suffix}", story.name);
        story.plane.namespace(&name, &json!({"story": name})).unwrap();
        let _podgraft = story.podgraft_in(&Registration::of(&name, &name), &documents.join("---\n"), &name);
        story.create(&name, &pod(&json!({"name": "pod"})))
    };
    let mut turned = documents([0, 0, 0]);
    turned.reverse();
    let (first, other) = (made("first", &documents([0, 0, 0])), made("other", &turned));
    compare::same("the presets in another order", &first, &other);
    let late = made("late", &documents([3, 2, 1]));
    assert_eq!(variables(&first), ["PORT", "one", "three", "two"]);
    assert_eq!(variables(&late), ["PORT", "one", "two", "three"], "priorities count");
    compare::same("whichever is merged first", &in_no_order(&late), &in_no_order(&first));
}

/// A Pod whose lists are sorted, with records that do not say which version: a priority is part of it.
fn in_no_order(pod: &Value) -> Value {
    fn sort(list: &mut Value) {
        list.as_array_mut().unwrap().sort_by_key(|entry| entry["name"].to_string());
    }
    let mut pod = pod.clone();
    for (_, record) in pod["metadata"]["annotations"].as_object_mut().unwrap() {
        *record = json!("record");
    }
    sort(&mut pod["spec"]["volumes"]);
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        sort(&mut container["env"]);
        sort(&mut container["volumeMounts"]);
    }
    pod
}
