//! Many Pods at once, on simulated nodes: each has exactly its twin's fields and the preset's, also when it runs, and not one call of the
//! webhook failed.

use std::thread;

use serde_json::{Value, json};

use crate::compare;
use crate::harness::nodes;
use crate::harness::plane::User;
use crate::harness::podgraft::Registration;
use crate::harness::story::{Stories, Story};

pub const STORIES: Stories = &[("a_thousand_pods_by_twenty_workers", thousand)];

const WORKERS: usize = 20;
const EACH: usize = 50;
const SHAPES: usize = 5;
const NODES: usize = 10;

/// One that wants more of Pods with a second container.
fn presets(namespace: &str) -> String {
    format!(
        "
apiVersion: podgraft.dev/v1beta1
kind: PodPreset
metadata: {{name: all, namespace: {namespace}}}
spec: {{selector: {{}}, env: [{{name: ALL, value: '1'}}], volumes: [{{name: cache}}], volumeMounts: [{{name: cache, mountPath: /cache}}]}}
---
apiVersion: podgraft.dev/v1beta1
kind: PodPreset
metadata: {{name: odd, namespace: {namespace}}}
spec: {{selector: {{matchLabels: {{shape: odd}}}}, template: {{spec: {{initContainers: [{{name: side, image: 'registry.example/side:1', restartPolicy: Always}}]}}}}}}
"
    )
}

/// Pods of some shapes, none like the next.
fn pod(shape: usize) -> Value {
    let containers: Vec<Value> =
        (0..=shape).map(|number| json!({"name": format!("app-{number}"), "image": format!("registry.example/app:{number}")})).collect();
    let word = if shape % 2 == 1 { "odd" } else { "even" };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": format!("pod-{shape}-"), "labels": {"shape": word}}, "spec": {"containers": containers, "tolerations": [nodes::toleration()]}})
}

/// The presets' part is there, as they have it; gives the Pod without it.
fn without(pod: &Value, shape: usize, hashes: &[String; 2]) -> Value {
    let mut pod = pod.clone();
    let [all, odd] = hashes;
    let mut record =
        |preset: &str| compare::take(&mut pod, "/metadata/annotations", &format!("podpreset.admission.kubernetes.io/podpreset-{preset}"));
    if shape % 2 == 1 {
        assert_eq!(record("odd"), *odd);
    }
    assert_eq!(record("all"), *all);
    let mut containers = compare::containers(&pod, "containers");
    if shape % 2 == 1 {
        // Another preset's container gets it too.
        containers.extend(compare::containers(&pod, "initContainers"));
    }
    for container in containers {
        let variable = compare::take_entry(&mut pod, &format!("{container}/env"), "name", "ALL");
        assert_eq!(variable, json!({"name": "ALL", "value": "1"}));
        let mount = compare::take_entry(&mut pod, &format!("{container}/volumeMounts"), "mountPath", "/cache");
        assert_eq!(mount, json!({"name": "cache", "mountPath": "/cache"}));
    }
    if shape % 2 == 1 {
        let side = compare::take_entry(&mut pod, "/spec/initContainers", "name", "side");
        assert_eq!(compare::as_written(&side), json!({"name": "side", "image": "registry.example/side:1", "restartPolicy": "Always"}));
    }
    assert_eq!(compare::take_entry(&mut pod, "/spec/volumes", "name", "cache"), json!({"name": "cache", "emptyDir": {}}));
    pod
}

/// The shape of a Pod that has its name from the API server.
fn shape_of(pod: &Value) -> usize {
    let shape = pod["metadata"]["generateName"].as_str().and_then(|name| name.strip_prefix("pod-")?.strip_suffix('-')?.parse().ok());
    shape.unwrap_or_else(|| panic!("not a Pod of the crowd: {}", pod["metadata"]))
}

fn thousand(story: &Story) {
    let twin = format!("{}-twin", story.name);
    story.namespace(&twin);
    story.nodes(NODES);
    let presets = presets(&story.name);
    let hashes = ["podpreset-all", "podpreset-odd"].map(|record| compare::hash(&presets, record));
    let podgraft = story.podgraft(&presets);
    let twins: Vec<Value> = (0..SHAPES).map(|shape| story.create(&twin, &pod(shape))).collect();
    let path = format!("/api/v1/namespaces/{}/pods", story.name);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (api, path, twins, hashes) = (story.plane.api(User::Admin), &path, &twins, &hashes);
            scope.spawn(move || {
                for number in 0..EACH {
                    let shape = (worker + number) % SHAPES;
                    let made = api.post(path, &pod(shape)).object("a Pod of the crowd");
                    compare::same("a Pod of the crowd", &without(&made, shape, hashes), &twins[shape]);
                }
            });
        }
    });
    for namespace in [&story.name, &twin] {
        story.all_run(namespace);
    }
    let running = |namespace: &str| story.pods(namespace, "").iter().map(compare::unbound).collect::<Vec<Value>>();
    let mut twins = running(&twin);
    twins.sort_by_key(shape_of);
    let crowd = running(&story.name);
    assert_eq!((crowd.len(), twins.len()), (WORKERS * EACH, SHAPES));
    for pod in &crowd {
        let shape = shape_of(pod);
        compare::same("a Pod of the crowd that runs", &without(pod, shape, &hashes), &twins[shape]);
    }
    let registration = Registration::of(&story.name, &story.name);
    assert_eq!(story.metric("apiserver_admission_webhook_fail_open_count", &registration, ""), 0.0);
    let failed =
        ["error", "shed", "rejected"].map(|outcome| podgraft.serving.metric("podgraft_reviews_total", &format!("\"{outcome}\"")).unwrap());
    assert_eq!(failed, [0.0; 3]);
}
