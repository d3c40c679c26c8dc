//! Every way in which a Pod comes to be: each gets what its preset says, with the record, and is else the same as its twin in a
//! namespace that no preset reaches.

use serde_json::{Value, json};

use crate::compare;
use crate::harness::plane::User;
use crate::harness::podgraft::Registration;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::words;

pub const STORIES: Stories = &[
    ("workloads_get_what_the_preset_says", workloads),
    ("bare_pods_get_what_the_preset_says", bare_pods),
    ("a_dry_run_gets_the_same_and_leaves_nothing", dry_run),
    ("rights_of_the_user_do_not_matter", rights),
    ("excluded_pods_are_left_alone_but_by_opt_out_denied", excluded),
    ("the_order_of_documents_does_not_matter", order),
    ("what_is_not_a_new_pod_is_left_alone", left_alone),
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
fn pod(name: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": name, "spec": {"containers": [
        {"name": "app", "image": "registry.example/app:1", "env": [{"name": "PORT", "value": "8080"}]}]}})
}

/// What [`LOGS`] brought is all there; gives the Pod without it.
fn without_logs(pod: &Value) -> Value {
    let mut pod = pod.clone();
    assert_eq!(compare::take(&mut pod, "/metadata/labels", "logs"), "shipped");
    let record = compare::take(&mut pod, "/metadata/annotations", "podpreset.admission.kubernetes.io/podpreset-logs");
    assert_eq!(record.as_str().map(str::len), Some(12), "the record has the hash");
    let shipper = compare::take_entry(&mut pod, "/spec/initContainers", "name", "shipper");
    assert_eq!((&shipper["image"], &shipper["restartPolicy"]), (&json!("registry.example/shipper:1"), &json!("Always")));
    let mounts: Vec<&str> =
        shipper["volumeMounts"].as_array().into_iter().flatten().filter_map(|mount| mount["mountPath"].as_str()).collect();
    assert_eq!(
        mounts,
        ["/logs", "/var/run/secrets/kubernetes.io/serviceaccount"],
        "the sidecar's mounts, and the token that the API server adds"
    );
    compare::take_entry(&mut pod, "/spec/volumes", "name", "logs");
    for container in [compare::containers(&pod, "initContainers"), compare::containers(&pod, "containers")].concat() {
        assert_eq!(compare::take_entry(&mut pod, &format!("{container}/env"), "name", "LOG_DIR")["value"], "/var/log/app");
        assert_eq!(compare::take_entry(&mut pod, &format!("{container}/volumeMounts"), "mountPath", "/var/log/app")["name"], "logs");
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

/// Two presets that an author may do without, and one that he may not.
const OPT_OUT: &str = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: held}
spec: {selector: {}, optOut: Denied, env: [{name: HELD, value: '1'}]}
---
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: first}
spec: {selector: {}, env: [{name: FIRST, value: '1'}]}
---
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: second}
spec: {selector: {}, env: [{name: SECOND, value: '1'}]}
";

fn variables(pod: &Value) -> Vec<&str> {
    pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten().filter_map(|variable| variable["name"].as_str()).collect()
}

fn excluded(story: &Story) {
    let podgraft = story.podgraft(OPT_OUT);
    let sent = |annotations: Value| story.create(&story.name, &pod(&json!({"generateName": "pod-", "annotations": annotations})));
    assert_eq!(variables(&sent(json!({}))), ["PORT", "HELD", "FIRST", "SECOND"]);
    let exclude = json!({"podpreset.admission.kubernetes.io/exclude": "true"});
    let excluded = story.create(&story.name, &pod(&json!({"name": "excluded", "annotations": exclude})));
    assert_eq!(variables(&excluded), ["PORT", "HELD"], "the exclude annotation stops all but what the author may not opt out of");
    let notes = words::notes(story, "excluded");
    assert_eq!(notes["skipped"], "Excluded");
    assert!(notes["presets"].as_str().is_some_and(|presets| presets.starts_with("clusterpodpreset-held=")), "{notes}");
    assert_eq!(podgraft.serving.metric("podgraft_skipped_total", "\"Excluded\"").unwrap(), 1.0);
    assert_eq!(variables(&sent(json!({"podpreset.admission.kubernetes.io/exclude": "yes"}))), ["PORT", "HELD", "FIRST", "SECOND"]);
    assert_eq!(variables(&sent(json!({"podgraft.dev/exclude": "first, held"}))), ["PORT", "HELD", "SECOND"], "one by name");
    assert_eq!(variables(&sent(json!({"podgraft.dev/exclude": "none-of-this-name"}))), ["PORT", "HELD", "FIRST", "SECOND"]);
    // A record that an author forged does not stop it either.
    let record = excluded["metadata"]["annotations"]["podpreset.admission.kubernetes.io/clusterpodpreset-held"].clone();
    let forged = sent(json!({"podpreset.admission.kubernetes.io/clusterpodpreset-held": record}));
    assert_eq!(variables(&forged), ["PORT", "HELD", "FIRST", "SECOND"]);
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
    let sorted = |pod: &Value| {
        let mut names = variables(pod).into_iter().map(str::to_owned).collect::<Vec<_>>();
        names.sort_unstable();
        names
    };
    assert_eq!(variables(&first), ["PORT", "one", "three", "two"]);
    assert_eq!(variables(&late), ["PORT", "one", "two", "three"], "priorities count");
    assert_eq!(sorted(&first), sorted(&late));
}

/// Registered for everything about Pods, it still touches nothing but new ones.
fn left_alone(story: &Story) {
    let presets = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: everywhere}
spec: {selector: {}, env: [{name: EVERYWHERE, value: '1'}], template: {metadata: {labels: {everywhere: 'yes'}}}}
";
    let registration = Registration { creations_only: false, ..Registration::of(&story.name, &story.name) };
    let podgraft = story.podgraft_as(&registration, presets);
    let skipped = |reason: &str| podgraft.serving.metric("podgraft_skipped_total", &format!("\"{reason}\"")).unwrap();
    let kubectl = story.kubectl();
    let path = format!("/api/v1/namespaces/{}/pods", story.name);

    // A mirror Pod is a static Pod's picture.
    let mirror = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mirror", "annotations": {"kubernetes.io/config.mirror": "static"}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "registry.example/app:1"}]}});
    let mirror = story.create(&story.name, &mirror);
    assert!(mirror["metadata"].get("labels").is_none() && variables(&mirror).is_empty(), "{mirror}");
    assert_eq!(skipped("MirrorPod"), 1.0);

    // Namespaces of the cluster's own, though the registration asks.
    kubectl.run(&["label", "namespace", "kube-public", &format!("story={}", story.name)]).fine();
    story.plane.namespace("kube-public", &json!({})).unwrap();
    wait::until("a review from kube-public", || {
        let pod = story.try_pod("kube-public", &pod(&json!({"name": "system"}))).object("a Pod in kube-public");
        assert_eq!(variables(&pod), ["PORT"]);
        if skipped("ExemptNamespace") > 0.0 { Ok(()) } else { Err("none") }
    });

    // A Pod that was there before the preset: what happens to it later changes nothing.
    let before =
        story.create(&story.name, &pod(&json!({"name": "old", "annotations": {"podpreset.admission.kubernetes.io/exclude": "true"}})));
    assert_eq!(variables(&before), ["PORT"]);
    let others = skipped("NotPodCreate");
    let freed = story.api.patch(
        &format!("{path}/old"),
        "merge",
        &json!({"metadata": {"annotations": {"podpreset.admission.kubernetes.io/exclude": null}}}),
    );
    let freed = freed.object("an update");
    assert!(freed["metadata"].get("labels").is_none(), "an update");
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "registry.example/debug:1"}]}});
    let debugged = story.api.patch(&format!("{path}/old/ephemeralcontainers"), "strategic-merge", &debug).object("an ephemeral container");
    assert!(debugged["spec"]["ephemeralContainers"][0].get("env").is_none(), "{debugged}");
    assert_eq!(variables(&debugged), ["PORT"]);
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "old"}, "target": {"kind": "Node", "name": "node-1"}});
    story.api.post(&format!("{path}/old/binding"), &binding).object("a binding");
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "old"}});
    story.api.post(&format!("{path}/old/eviction"), &eviction).object("an eviction");
    let gone = story.api.delete(&format!("{path}/mirror?gracePeriodSeconds=0")).unwrap();
    assert!(gone.taken(), "{}", gone.message());
    assert!(skipped("NotPodCreate") - others >= 5.0, "asked, and left alone: {}", skipped("NotPodCreate") - others);

    // And it is in force: a new Pod of the same namespace gets it.
    assert_eq!(variables(&story.create(&story.name, &pod(&json!({"name": "new"})))), ["PORT", "EVERYWHERE"]);
}
