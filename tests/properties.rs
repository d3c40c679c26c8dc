//! What holds for every Pod and every set of presets: random ones of a small vocabulary, so that they meet often.

mod support;

use std::sync::Arc;

use base64::Engine;
use podgraft::admit::{self, Admission, Outcome, Refusal, Scratch, World};
use podgraft::conflict::ConflictPolicy;
use podgraft::document::{self, ReadOptions, Reading};
use podgraft::preset::{Preset, PresetSet};
use podgraft::tree;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};
use support::{case, defaults};

/// Random Pods and presets that each property is tried with.
const TRIES: u32 = 250;

type Made = BoxedStrategy<Value>;

/// An object of members that may be there or not.
fn object(members: Vec<(&'static str, Made)>) -> Made {
    let keys: Vec<&'static str> = members.iter().map(|(key, _)| *key).collect();
    let values: Vec<_> = members.into_iter().map(|(_, value)| prop::option::weighted(0.4, value)).collect();
    let object = move |values: Vec<Option<Value>>| {
        keys.iter().zip(values).filter_map(|(key, value)| value.map(|value| ((*key).to_owned(), value))).collect::<Map<String, Value>>()
    };
    values.prop_map(move |values| Value::Object(object(values))).boxed()
}

/// Entries with different keys.
fn list(keys: &'static [&'static str], most: usize, entry: impl Fn(&'static str) -> Made + Clone + 'static) -> Made {
    subsequence(keys.to_vec(), 0..=most)
        .prop_flat_map(move |keys| keys.into_iter().map(entry.clone()).collect::<Vec<_>>())
        .prop_map(Value::Array)
        .boxed()
}

fn one_of(values: Vec<Value>) -> Made {
    select(values).boxed()
}

fn env() -> Made {
    list(&["A", "B", "C"], 3, |name| {
        let field = json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        one_of(vec![json!({"name": name, "value": "1"}), json!({"name": name, "value": "2"}), json!({"name": name}), field])
    })
}

fn env_from() -> Made {
    list(&["c", "d"], 2, |name| {
        one_of(vec![json!({"configMapRef": {"name": name}}), json!({"configMapRef": {"name": name, "optional": true}})])
    })
}

fn volumes() -> Made {
    list(&["v", "w"], 2, |name| {
        one_of(vec![
            json!({"name": name, "emptyDir": {}}),
            json!({"name": name, "emptyDir": {"medium": "Memory"}}),
            json!({"name": name, "secret": {"secretName": "s"}}),
        ])
    })
}

fn mounts() -> Made {
    list(&["/a", "/b"], 2, |path| {
        one_of(vec![json!({"name": "v", "mountPath": path}), json!({"name": "w", "mountPath": path, "readOnly": true})])
    })
}

fn ports() -> Made {
    let port = |more: Value| {
        let mut port = json!({"containerPort": 80});
        port.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        port
    };
    one_of(vec![json!([port(json!({}))]), json!([port(json!({"hostPort": 80}))]), json!([port(json!({"name": "web"}))]), json!([])])
}

fn resources() -> Made {
    one_of(vec![
        json!({"limits": {"cpu": "1"}}),
        json!({"requests": {"cpu": "500m"}}),
        json!({"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}),
        json!({"limits": {"cpu": "100m", "memory": "1Gi"}}),
    ])
}

/// Fields of a container besides its name and image.
fn container_fields() -> Vec<(&'static str, Made)> {
    vec![
        ("env", env()),
        ("envFrom", env_from()),
        ("volumeMounts", mounts()),
        ("ports", ports()),
        ("resources", resources()),
        ("workingDir", one_of(vec![json!("/x"), json!("/y")])),
        ("imagePullPolicy", one_of(vec![json!("Always"), json!("IfNotPresent"), json!("Never")])),
        ("command", one_of(vec![json!(["run"]), json!(["other"])])),
        ("securityContext", one_of(vec![json!({}), json!({"runAsUser": 0}), json!({"runAsUser": 1, "privileged": false})])),
    ]
}

fn container(name: &'static str, image: Made) -> Made {
    (object(container_fields()), image)
        .prop_map(move |(mut container, image)| {
            container["name"] = json!(name);
            if !image.is_null() {
                container["image"] = image;
            }
            container
        })
        .boxed()
}

/// Fields of a Pod's spec besides containers.
fn spec_fields() -> Vec<(&'static str, Made)> {
    vec![
        ("volumes", volumes()),
        ("hostNetwork", one_of(vec![json!(true)])),
        ("terminationGracePeriodSeconds", one_of(vec![json!(30), json!(60)])),
        ("priorityClassName", one_of(vec![json!("high"), json!("low")])),
        ("nodeSelector", one_of(vec![json!({"disk": "ssd"}), json!({"disk": "hdd", "zone": "a"})])),
        ("tolerations", one_of(vec![json!([{"operator": "Exists"}]), json!([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}])])),
        ("hostAliases", one_of(vec![json!([{"ip": "10.0.0.1", "hostnames": ["a"]}]), json!([{"ip": "10.0.0.1", "hostnames": ["b"]}])])),
        ("securityContext", one_of(vec![json!({}), json!({"runAsNonRoot": true})])),
        ("resources", one_of(vec![json!({"requests": {"cpu": "3"}}), json!({"limits": {"cpu": "4"}})])),
    ]
}

fn pod() -> Made {
    let image = || one_of(vec![json!("r/i:1"), json!("r/i:2")]);
    let containers = list(&["app", "side"], 2, move |name| container(name, image()));
    let inits = list(&["init", "extra"], 1, move |name| container(name, one_of(vec![json!("r/i:1")])));
    let labels = object(vec![("x", one_of(vec![json!("1"), json!("2")])), ("y", one_of(vec![json!("1")]))]);
    (object(spec_fields()), containers, inits, labels)
        .prop_map(|(mut spec, containers, inits, labels)| {
            let none = containers.as_array().is_some_and(Vec::is_empty);
            spec["containers"] = if none { json!([{"name": "app", "image": "r/i:1"}]) } else { containers };
            spec["initContainers"] = inits;
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": labels}, "spec": spec})
        })
        .boxed()
}

fn template() -> Made {
    let image = || one_of(vec![json!("r/i:1"), json!("r/i:2"), Value::Null]);
    let containers = list(&["app", "side", "extra"], 2, move |name| container(name, image()));
    let labels = one_of(vec![json!({}), json!({"y": "1"}), json!({"z": "1"}), json!({"x": "2"})]);
    (object(spec_fields()), prop::option::weighted(0.5, containers), labels)
        .prop_map(|(mut spec, containers, labels)| {
            if let Some(containers) = containers {
                spec["containers"] = containers;
            }
            json!({"metadata": {"labels": labels, "annotations": {}}, "spec": spec})
        })
        .boxed()
}

fn preset(name: &'static str) -> Made {
    let fields = object(vec![
        ("env", env()),
        ("envFrom", env_from()),
        ("volumes", volumes()),
        ("volumeMounts", mounts()),
        ("template", template()),
        (
            "targets",
            one_of(vec![
                json!({"added": false}),
                json!({"initContainers": false}),
                json!({"include": ["a*"]}),
                json!({"exclude": ["side"]}),
            ]),
        ),
        ("placement", one_of(vec![json!({"env": "First"}), json!({"containers": "First"}), json!({"containers": {"before": "app"}})])),
        ("priority", one_of(vec![json!(1), json!(2)])),
    ]);
    let policy = one_of(["Abort", "Skip", "KeepPod", "Override", "Reject"].iter().map(|policy| json!(policy)).collect());
    let selector = one_of(vec![
        json!({}),
        json!({}),
        json!({"matchLabels": {"x": "1"}}),
        json!({"matchLabels": {"y": "1"}}),
        json!({"matchLabels": {"z": "1"}}),
    ]);
    let kind = select(vec!["PodPreset", "ClusterPodPreset", "Denied"]);
    let shadow = prop::bool::weighted(0.1);
    (fields, policy, selector, kind, shadow)
        .prop_map(move |(mut spec, policy, selector, kind, shadow)| {
            spec["conflictPolicy"] = policy;
            spec["selector"] = selector;
            if shadow {
                spec["mode"] = json!("Shadow");
            }
            if kind == "Denied" {
                spec["optOut"] = json!("Denied");
            }
            let kind = if kind == "PodPreset" { kind } else { "ClusterPodPreset" };
            json!({"apiVersion": "podgraft.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec})
        })
        .boxed()
}

fn presets() -> BoxedStrategy<Vec<Value>> {
    (1_usize..5).prop_flat_map(|count| ["p0", "p1", "p2", "p3"][..count].iter().map(|name| preset(name)).collect::<Vec<_>>()).boxed()
}

/// Those that can be read; what is refused is never met by a Pod.
fn compiled(presets: &[Value]) -> Vec<Arc<Preset>> {
    let read = |preset: &Value| document::read("preset", &preset.to_string(), &ReadOptions { default_namespace: "shop" });
    let documents = presets.iter().flat_map(read);
    documents
        .filter_map(|document| match document.reading {
            Reading::Preset(spec) => Some(Arc::new(Preset::compile(*spec))),
            _ => None,
        })
        .collect()
}

fn set(presets: &[Arc<Preset>]) -> PresetSet {
    PresetSet::new(presets.to_vec())
}

struct Answered {
    admission: Admission,
    response: Value,
    operations: Vec<Value>,
    pod: Value,
}

fn review(pod: &Value) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE", "namespace": "shop",
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "object": pod}})
    .to_string()
}

fn answer(body: &str, presets: &PresetSet, out: &mut String) -> Result<Admission, Refusal> {
    let labels = |_: &str| Some(Vec::new());
    let world = World { exempt_namespaces: &[], namespace_labels: &labels };
    admit::answer(body, presets, &world, &mut Scratch::default(), out)
}

/// The answer, applied by another library. A self-check that fails is a failure of the property.
fn answered(pod: &Value, presets: &PresetSet) -> Answered {
    let mut out = String::new();
    let admission = answer(&review(pod), presets, &mut out).unwrap_or_else(|refusal| panic!("{refusal}\n{pod}"));
    assert!(admission.faults.is_empty(), "{:?}\n{pod}", admission.faults);
    let response = serde_json::from_str::<Value>(&out).unwrap()["response"].clone();
    let mut patched = pod.clone();
    let operations = match response["patch"].as_str() {
        Some(patch) => serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(patch).unwrap()).unwrap(),
        None => json!([]),
    };
    let patch: json_patch::Patch = serde_json::from_value(operations.clone()).unwrap();
    json_patch::patch(&mut patched, &patch).unwrap_or_else(|error| panic!("{error}\n{pod}\n{operations}"));
    Answered { admission, response, operations: operations.as_array().unwrap().clone(), pod: patched }
}

/// The Pod as the API server sends it.
fn defaulted(pod: &Value) -> Value {
    let pod = tree::parse(&pod.to_string()).unwrap().to_owned_tree(tree::NodeId::ROOT);
    serde_json::from_str(&case::json_of(&defaults::as_the_api_server(&pod))).unwrap()
}

/// Everything of `before` is in `after`, lists in their order. Where it is not, the place.
fn lost(before: &Value, after: &Value, path: &str) -> Option<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().find_map(|(key, value)| match after.get(key) {
            Some(there) => lost(value, there, &format!("{path}/{key}")),
            None => Some(format!("{path}/{key}")),
        }),
        (Value::Array(before), Value::Array(after)) => {
            let mut rest = after.iter();
            before.iter().enumerate().find_map(|(index, entry)| {
                let found = rest.any(|there| lost(entry, there, "").is_none());
                (!found).then(|| format!("{path}/{index}"))
            })
        }
        (before, after) => (before != after).then(|| path.to_owned()),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(entries) => {
            let mut entries: Vec<Value> = entries.iter().map(sorted).collect();
            entries.sort_by_key(Value::to_string);
            Value::Array(entries)
        }
        Value::Object(members) => Value::Object(members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect()),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: TRIES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_second_pass_changes_nothing(pod in pod(), presets in presets()) {
        let presets = set(&compiled(&presets));
        for received in [defaulted(&pod), pod] {
            let first = answered(&received, &presets);
            if first.admission.outcome != Outcome::Mutated {
                continue;
            }
            for again in [defaulted(&first.pod), first.pod] {
                let second = answered(&again, &presets);
                prop_assert!(second.admission.outcome == Outcome::Unchanged, "{:?}\n{received}\n{again}", second.operations);
            }
        }
    }

    #[test]
    fn nothing_the_author_wrote_is_lost(pod in pod(), presets in presets()) {
        let compiled = compiled(&presets);
        let overrides = compiled.iter().any(|preset| preset.spec().conflict_policy == ConflictPolicy::Override);
        let received = defaulted(&pod);
        let Answered { operations, pod: after, .. } = answered(&received, &set(&compiled));
        let removed = operations.iter().filter(|operation| operation["op"] == "remove").map(|operation| operation["path"].clone());
        for path in removed {
            prop_assert!(path == "/spec/priority" || path == "/spec/preemptionPolicy", "{path}");
        }
        if !overrides {
            // Defaults are nobody's word: what the author wrote is measured before the API server filled in.
            let mut written = pod.clone();
            let spec = written["spec"].as_object_mut().unwrap();
            if spec.get("terminationGracePeriodSeconds") == Some(&json!(30)) {
                spec.remove("terminationGracePeriodSeconds");
            }
            if spec.get("securityContext") == Some(&json!({})) {
                spec.remove("securityContext");
            }
            for list in ["containers", "initContainers"] {
                for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    if container.get("imagePullPolicy") == Some(&json!("IfNotPresent")) {
                        container.as_object_mut().unwrap().remove("imagePullPolicy");
                    }
                }
            }
            prop_assert_eq!(lost(&written, &after, ""), None, "{} {}", received, after);
        }
    }

    #[test]
    fn the_order_of_documents_does_not_matter(pod in pod(), presets in presets()) {
        let mut compiled = compiled(&presets);
        let one = answered(&pod, &set(&compiled)).response;
        compiled.reverse();
        prop_assert_eq!(one, answered(&pod, &set(&compiled)).response);
    }

    #[test]
    fn disjoint_presets_do_not_depend_on_order(pod in pod(), one in -1..2, two in -1..2) {
        let preset = |name: &str, priority: i32| json!({"apiVersion": "podgraft.dev/v1beta1", "kind": "PodPreset", "metadata": {"name": name}, "spec": {
            "selector": {}, "priority": priority, "conflictPolicy": "Reject", "env": [{"name": format!("ONLY_{name}"), "value": name}],
            "volumes": [{"name": format!("only-{name}"), "emptyDir": {}}], "volumeMounts": [{"name": format!("only-{name}"), "mountPath": format!("/only/{name}")}],
            "template": {"metadata": {"annotations": {format!("only.{name}"): name}}, "spec": {"nodeSelector": {format!("only.{name}"): name},
                "containers": [{"name": format!("only-{name}"), "image": name, "env": [{"name": "OWN", "value": name}]}]}}}});
        let result = |one: i32, two: i32| {
            let mut answered = answered(&pod, &set(&compiled(&[preset("one", one), preset("two", two)])));
            // A record goes by the priority too.
            answered.pod["metadata"]["annotations"].as_object_mut().unwrap().retain(|key, _| key.starts_with("only."));
            sorted(&answered.pod)
        };
        prop_assert_eq!(result(one, two), result(two, one));
    }

    #[test]
    fn shadow_changes_nothing(pod in pod(), presets in presets(), mut shadow in preset("shadow")) {
        shadow["spec"]["mode"] = json!("Shadow");
        let mut compiled = compiled(&presets);
        let without = answered(&pod, &set(&compiled));
        compiled.extend(self::compiled(&[shadow]));
        let with = answered(&pod, &set(&compiled));
        prop_assert_eq!(without.operations, with.operations);
        prop_assert_eq!(without.admission.outcome, with.admission.outcome);
    }

    #[test]
    fn an_abort_leaves_the_first_layer_alone(pod in pod(), presets in presets()) {
        let compiled = compiled(&presets);
        let all = answered(&pod, &set(&compiled));
        let first_layer = |record: &str| compiled.iter().any(|preset| preset.record() == record && preset.is_first_layer());
        let mut aborts = all.admission.conflicts.iter().filter(|conflict| !conflict.shadow && conflict.policy == ConflictPolicy::Abort);
        if all.admission.outcome != Outcome::Rejected && aborts.any(|conflict| !first_layer(&conflict.preset)) {
            let first: Vec<Arc<Preset>> = compiled.iter().filter(|preset| preset.is_first_layer()).cloned().collect();
            prop_assert_eq!(all.operations, answered(&pod, &set(&first)).operations);
        }
    }

    #[test]
    fn only_a_reject_refuses_a_pod(pod in pod(), presets in presets()) {
        let compiled = compiled(&presets);
        let rejects = compiled.iter().any(|preset| preset.spec().conflict_policy == ConflictPolicy::Reject);
        let answered = answered(&pod, &set(&compiled));
        if answered.admission.outcome == Outcome::Rejected {
            prop_assert!(rejects && answered.operations.is_empty());
            prop_assert_eq!(answered.response["status"]["code"].clone(), json!(403));
        }
    }

    #[test]
    fn a_review_that_was_tampered_with_is_answered_or_refused(pod in pod(), presets in presets(), cut in 0..4000_usize, with in "[\\x00-\\x7f]{0,3}") {
        let mut body = review(&pod);
        let at = cut % body.len();
        let end = (at + 2).min(body.len());
        body.replace_range(at..end, &with);
        let mut out = String::new();
        if answer(&body, &set(&compiled(&presets)), &mut out).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&out).is_ok(), "{}", out);
        } else {
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,200}", presets in presets(), cut in 0..4000_usize) {
        let options = ReadOptions { default_namespace: "shop" };
        let _ = document::read("x.yaml", &text, &options);
        let mut preset = presets[0].to_string();
        let at = cut % preset.len();
        preset.replace_range(at..(at + 1), &text.chars().take(2).collect::<String>());
        let _ = document::read("x.yaml", &preset, &options);
    }
}
