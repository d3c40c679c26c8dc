//! What Podgraft does not touch: Pods whose authors opt out, and whatever is not a new Pod of a namespace that presets reach.

use serde_json::{Value, json};

use crate::every_kind::{pod, variables};
use crate::harness::podgraft::Registration;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::words;

pub const STORIES: Stories = &[
    ("excluded_pods_are_left_alone_but_by_opt_out_denied", excluded),
    ("what_is_not_a_new_pod_is_left_alone", left_alone),
    ("exempt_namespaces_are_left_alone", exempt),
];

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

/// In everything that could get it.
const EVERYWHERE: &str = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: everywhere}
spec: {selector: {}, env: [{name: EVERYWHERE, value: '1'}], template: {metadata: {labels: {everywhere: 'yes'}}}}
";

/// Registered for everything about Pods, it still touches nothing but new ones.
fn left_alone(story: &Story) {
    let registration = Registration { creations_only: false, ..Registration::of(&story.name, &story.name) };
    let podgraft = story.podgraft_as(&registration, EVERYWHERE);
    let skipped = |reason: &str| podgraft.serving.metric("podgraft_skipped_total", &format!("\"{reason}\"")).unwrap();
    let path = format!("/api/v1/namespaces/{}/pods", story.name);

    // A mirror Pod is a static Pod's picture.
    let mirror = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mirror", "annotations": {"kubernetes.io/config.mirror": "static"}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "registry.example/app:1"}]}});
    let mirror = story.create(&story.name, &mirror);
    assert!(mirror["metadata"].get("labels").is_none() && variables(&mirror).is_empty(), "{mirror}");
    assert_eq!(skipped("MirrorPod"), 1.0);

    // A Pod that was there before the preset: what happens to it later changes nothing.
    let before =
        story.create(&story.name, &pod(&json!({"name": "old", "annotations": {"podpreset.admission.kubernetes.io/exclude": "true"}})));
    assert_eq!(variables(&before), ["PORT"]);
    let asked = |operation: &str| {
        let metric = "apiserver_admission_webhook_admission_duration_seconds_count";
        story.metric(metric, &registration, &format!("operation=\"{operation}\""))
    };
    // The API server asks about each of them, and Podgraft says that it is none of its business. Controllers update and delete too, what
    // they find bound to a node that nobody answers for; nobody else creates anything here.
    let reviewed = |what: &str, operation: &str, act: &dyn Fn() -> Value| {
        let counts = (asked(operation), skipped("NotPodCreate"));
        let answer = act();
        let (asked, skipped) = (asked(operation) - counts.0, skipped("NotPodCreate") - counts.1);
        assert!(asked >= 1.0 && skipped >= 1.0, "{what}: asked {asked}, skipped {skipped}");
        assert!(asked == 1.0 || operation != "CREATE", "{what}: asked {asked}");
        answer
    };
    let freed = reviewed("an update", "UPDATE", &|| {
        let free = json!({"metadata": {"annotations": {"podpreset.admission.kubernetes.io/exclude": null}}});
        story.api.patch(&format!("{path}/old"), "merge", &free).object("an update")
    });
    assert!(freed["metadata"].get("labels").is_none(), "an update");
    let debugged = reviewed("an ephemeral container", "UPDATE", &|| {
        let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "registry.example/debug:1"}]}});
        story.api.patch(&format!("{path}/old/ephemeralcontainers"), "strategic-merge", &debug).object("an ephemeral container")
    });
    assert!(debugged["spec"]["ephemeralContainers"][0].get("env").is_none(), "{debugged}");
    assert_eq!(variables(&debugged), ["PORT"]);
    reviewed("a binding", "CREATE", &|| {
        let binding =
            json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "old"}, "target": {"kind": "Node", "name": "node-1"}});
        story.api.post(&format!("{path}/old/binding"), &binding).object("a binding")
    });
    reviewed("an eviction", "CREATE", &|| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "old"}});
        story.api.post(&format!("{path}/old/eviction"), &eviction).object("an eviction")
    });
    reviewed("a deletion", "DELETE", &|| story.api.delete(&format!("{path}/mirror?gracePeriodSeconds=0")).unwrap().object("a deletion"));

    // And it is in force: a new Pod of the same namespace gets it.
    assert_eq!(variables(&story.create(&story.name, &pod(&json!({"name": "new"})))), ["PORT", "EVERYWHERE"]);
}

/// Namespaces of the cluster's own and Podgraft's, though the registration asks about them.
fn exempt(story: &Story) {
    let podgraft = story.podgraft(EVERYWHERE);
    let skipped = || podgraft.serving.metric("podgraft_skipped_total", "\"ExemptNamespace\"").unwrap();
    // Where it does not run in a cluster, its own has its name.
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "podgraft"] {
        story.plane.namespace(namespace, &json!({})).unwrap();
        story.kubectl().run(&["label", "namespace", namespace, &format!("story={}", story.name)]).fine();
        let before = skipped();
        wait::until(&format!("a review from {namespace}"), || {
            let made = story.try_pod(namespace, &pod(&json!({"name": "system"}))).object("a Pod");
            assert_eq!(variables(&made), ["PORT"], "{namespace}");
            assert!(made["metadata"].get("labels").is_none() && made["metadata"].get("annotations").is_none(), "{namespace}: {made}");
            if skipped() > before { Ok(()) } else { Err("none") }
        });
    }
    assert_eq!(variables(&story.create(&story.name, &pod(&json!({"name": "new"})))), ["PORT", "EVERYWHERE"]);
}
