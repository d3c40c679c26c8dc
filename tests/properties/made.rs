//! Random presets of the vocabulary.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::vocabulary::*;

fn selector() -> Made {
    of(vec![
        json!({}),
        json!({}),
        json!({}),
        json!({"matchLabels": {"app": "web"}}),
        json!({"matchLabels": {"tier": "edge"}}),
        json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}),
        json!({"matchExpressions": [{"key": "x", "operator": "Exists"}]}),
        json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}),
    ])
}

fn placement() -> Made {
    let places = || {
        of(vec![
            json!("First"),
            json!("Last"),
            json!({"before": "app"}),
            json!({"after": "app"}),
            json!({"after": "side"}),
            json!({"before": "none"}),
        ])
    };
    object(vec![maybe("containers", 0.5, places()), maybe("initContainers", 0.5, places()), maybe("env", 0.4, words(&["First", "Last"]))])
}

fn targets() -> Made {
    object(vec![
        maybe("include", 0.3, of(vec![json!(["*"]), json!(["app"]), json!(["s*", "l?g"])])),
        maybe("exclude", 0.3, of(vec![json!(["side"]), json!(["a*"])])),
        maybe("initContainers", 0.3, of(vec![json!(true), json!(false)])),
        maybe("added", 0.4, of(vec![json!(true), json!(false)])),
    ])
}

fn template() -> Made {
    let metadata = object(vec![maybe("labels", 0.3, labels()), maybe("annotations", 0.3, annotations())]);
    (
        metadata,
        object(pod_fields()),
        containers(&["app", "log", "side", "init"], false),
        prop::bool::weighted(0.5),
        prop::bool::weighted(0.6),
    )
        .prop_map(|(metadata, spec, [plain, init], with_spec, with_containers)| {
            let mut spec = if with_spec { spec } else { json!({}) };
            if with_containers && !plain.is_empty() {
                spec["containers"] = Value::Array(plain);
            }
            if with_containers && !init.is_empty() {
                spec["initContainers"] = Value::Array(init);
            }
            json!({"metadata": metadata, "spec": spec})
        })
        .boxed()
}

/// A preset of this name, as a document.
fn preset(name: String) -> Made {
    let spec = object(vec![
        always("selector", selector()),
        maybe("priority", 0.3, of(vec![json!(1), json!(-1)])),
        maybe("mode", 0.1, words(&["Shadow", "Enforce"])),
        maybe("conflictPolicy", 0.9, words(&["KeepPod", "Override", "Skip", "Abort", "Reject", "KeepPod", "Override", "Skip"])),
        maybe("env", 0.5, env()),
        maybe("envFrom", 0.2, env_from()),
        maybe("volumeMounts", 0.4, mounts()),
        maybe("volumes", 0.4, volumes()),
        maybe("targets", 0.3, targets()),
        maybe("template", 0.6, template()),
        maybe("placement", 0.4, placement()),
    ]);
    (spec, prop::option::weighted(0.5, prop::bool::weighted(0.5)))
        .prop_map(move |(mut spec, cluster)| {
            let mut metadata = Map::new();
            metadata.insert("name".to_owned(), json!(name));
            let kind = if cluster.is_some() { "ClusterPodPreset" } else { "PodPreset" };
            if cluster == Some(true) {
                spec["optOut"] = json!("Denied");
            }
            json!({"apiVersion": "podgraft.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec})
        })
        .boxed()
}

/// One to four presets.
pub fn presets() -> BoxedStrategy<Vec<Value>> {
    let four = (0..4).map(|number| preset(format!("p{number}"))).collect::<Vec<_>>();
    (1..=4_usize, four).prop_map(|(count, four)| four.into_iter().take(count).collect()).boxed()
}

/// Presets of which no two touch the same place, told apart by a number in every name that they give.
pub fn disjoint(number: usize) -> Made {
    let env = object(vec![always("name", of(vec![json!(format!("A{number}"))])), always("value", words(&["hush-one", "hush-two"]))]);
    let volume = format!("v{number}");
    let mount = json!({"name": volume, "mountPath": format!("/m{number}")});
    let side = of(vec![
        json!([{"name": format!("side{number}"), "image": "side:1", "volumeMounts": [mount.clone()]}]),
        json!([{"name": format!("side{number}"), "image": "side:1", "ports": [{"containerPort": 1000 + number, "hostPort": 1000 + number}]}]),
        json!([{"name": "app", "env": [{"name": format!("B{number}"), "value": "hush-one"}]}]),
    ]);
    let pod = object(vec![
        maybe("tolerations", 0.5, of(vec![json!([{"key": format!("t{number}"), "operator": "Exists"}])])),
        maybe("nodeSelector", 0.5, of(vec![json!({format!("n{number}"): "x"})])),
        maybe("hostAliases", 0.5, of(vec![json!([{"ip": "10.0.0.1", "hostnames": [format!("h{number}")]}])])),
        maybe("containers", 0.5, side),
    ]);
    let metadata = of(vec![json!({}), json!({"labels": {format!("l{number}"): "x"}}), json!({"annotations": {format!("a{number}"): "x"}})]);
    let template = object(vec![always("spec", pod), always("metadata", metadata)]);
    object(vec![
        always("selector", of(vec![json!({}), json!({"matchLabels": {"app": "web"}})])),
        maybe("conflictPolicy", 0.8, words(&["KeepPod", "Override", "Skip", "Abort", "Reject"])),
        maybe("env", 0.6, list(env, 1, named)),
        maybe("envFrom", 0.3, of(vec![json!([{"configMapRef": {"name": format!("c{number}")}}])])),
        always("volumes", of(vec![json!([{"name": volume, "emptyDir": {}}]), json!([{"name": volume, "secret": {"secretName": "s"}}])])),
        maybe("volumeMounts", 0.6, of(vec![json!([mount.clone()])])),
        always("template", template),
    ])
}
