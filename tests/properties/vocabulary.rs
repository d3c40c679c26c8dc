//! Random Pods, and what presets may give them, from a vocabulary so small that they meet often.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// The values of variables hold this word, and nothing else does.
pub const HUSH: &str = "hush";

pub type Made = BoxedStrategy<Value>;
pub type Field = BoxedStrategy<Option<(&'static str, Value)>>;

pub fn of(values: Vec<Value>) -> Made {
    select(values).boxed()
}

pub fn words(values: &'static [&'static str]) -> Made {
    select(values).prop_map(|word| json!(word)).boxed()
}

pub fn always(key: &'static str, value: Made) -> Field {
    value.prop_map(move |value| Some((key, value))).boxed()
}

pub fn maybe(key: &'static str, chance: f64, value: Made) -> Field {
    prop::option::weighted(chance, value).prop_map(move |value| value.map(|value| (key, value))).boxed()
}

pub fn object(fields: Vec<Field>) -> Made {
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().map(|(key, value)| (key.to_owned(), value)).collect())).boxed()
}

/// A list whose entries differ in their key.
pub fn list(entry: Made, most: usize, key: fn(&Value) -> String) -> Made {
    prop::collection::vec(entry, 1..=most)
        .prop_map(move |entries| {
            let mut seen = Vec::new();
            let fresh = |entry: &Value| {
                let key = key(entry);
                let fresh = !seen.contains(&key);
                seen.push(key);
                fresh
            };
            Value::Array(entries.into_iter().filter(fresh).collect())
        })
        .boxed()
}

pub fn named(entry: &Value) -> String {
    entry["name"].to_string()
}

fn whole(entry: &Value) -> String {
    entry.to_string()
}

fn path(entry: &Value) -> String {
    let path = entry["mountPath"].as_str().or(entry["devicePath"].as_str()).unwrap_or_default();
    path.trim_matches('/').to_owned()
}

fn port(entry: &Value) -> String {
    format!("{}/{}", entry["containerPort"], entry["protocol"].as_str().unwrap_or("TCP"))
}

fn source(entry: &Value) -> String {
    let name = if entry["secretRef"].is_object() { &entry["secretRef"]["name"] } else { &entry["configMapRef"]["name"] };
    format!("{} {name}", entry["prefix"])
}

pub fn env() -> Made {
    let variable = (words(&["A", "B", "C"]), of(variables())).prop_map(|(name, mut variable)| {
        variable["name"] = name;
        variable
    });
    list(variable.boxed(), 3, named)
}

fn variables() -> Vec<Value> {
    vec![
        json!({"value": "hush-one"}),
        json!({"value": "hush-two"}),
        json!({"value": "$(A) hush-three"}),
        json!({"value": ""}),
        json!({}),
        json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}),
        json!({"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        json!({"valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": false}}}),
    ]
}

pub fn env_from() -> Made {
    let reference = || object(vec![always("name", words(&["c", "d"])), maybe("optional", 0.3, of(vec![json!(true), json!(false)]))]);
    let entry = (any::<bool>(), reference(), prop::option::weighted(0.3, words(&["", "P_"]))).prop_map(|(secret, reference, prefix)| {
        let mut entry = json!({ if secret { "secretRef" } else { "configMapRef" }: reference });
        if let Some(prefix) = prefix {
            entry["prefix"] = prefix;
        }
        entry
    });
    list(entry.boxed(), 2, source)
}

pub fn mounts() -> Made {
    let entry = object(vec![
        always("name", words(&["data", "logs", "tmp"])),
        always("mountPath", words(&["/a", "/a/", "/b", "b", "/c", "/var/run/secrets/kubernetes.io/serviceaccount"])),
        maybe("readOnly", 0.3, of(vec![json!(true), json!(false)])),
        maybe("subPath", 0.2, words(&["x", ""])),
    ]);
    list(entry, 2, path)
}

fn devices() -> Made {
    list(object(vec![always("name", words(&["data", "disk"])), always("devicePath", words(&["/a", "/dev/x"]))]), 2, path)
}

pub fn volumes() -> Made {
    let sources = vec![
        json!({"emptyDir": {}}),
        json!({"emptyDir": {"medium": "Memory"}}),
        json!({"secret": {"secretName": "s"}}),
        json!({"secret": {"secretName": "s", "defaultMode": 420}}),
        json!({"configMap": {"name": "c", "optional": false}}),
        json!({"hostPath": {"path": "/x"}}),
        json!({"hostPath": {"path": "/x", "type": ""}}),
        json!({}),
        json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
    ];
    let entry = (words(&["data", "logs", "tmp", "disk"]), of(sources)).prop_map(|(name, mut volume)| {
        volume["name"] = name;
        volume
    });
    list(entry.boxed(), 3, named)
}

fn ports() -> Made {
    let entry = object(vec![
        always("containerPort", of(vec![json!(80), json!(81)])),
        maybe("protocol", 0.3, words(&["TCP", "UDP"])),
        maybe("name", 0.3, words(&["http", "adm"])),
        maybe("hostPort", 0.3, of(vec![json!(80), json!(81), json!(0)])),
        maybe("hostIP", 0.1, words(&["127.0.0.1", "0.0.0.0", ""])),
    ]);
    list(entry, 2, port)
}

fn resources() -> Made {
    let amounts = |cpu, memory| {
        object(vec![maybe("cpu", 0.6, words(cpu)), maybe("memory", 0.4, words(memory)), maybe("example.com/gpu", 0.1, words(&["1"]))])
    };
    object(vec![
        maybe("limits", 0.5, amounts(&["1", "1000m", "2"], &["1Gi", "1024Mi", "2Gi"])),
        maybe("requests", 0.5, amounts(&["500m", "0.5", "1"], &["512Mi", "1Gi"])),
    ])
}

fn container_security() -> Made {
    object(vec![
        maybe("runAsUser", 0.4, of(vec![json!(0), json!(1000)])),
        maybe("runAsNonRoot", 0.3, of(vec![json!(true), json!(false)])),
        maybe("allowPrivilegeEscalation", 0.3, of(vec![json!(false)])),
        maybe("capabilities", 0.3, of(vec![json!({"drop": ["ALL"]}), json!({"add": ["CHOWN"], "drop": ["ALL"]}), json!({})])),
        maybe("seccompProfile", 0.2, of(vec![json!({"type": "RuntimeDefault"}), json!({"type": "Unconfined"})])),
    ])
}

/// What stands in a container besides its name and image.
fn container_fields() -> Vec<Field> {
    let probe = vec![
        json!({"httpGet": {"port": 80}}),
        json!({"httpGet": {"port": 80, "path": "/"}, "periodSeconds": 10}),
        json!({"exec": {"command": ["x"]}}),
    ];
    vec![
        maybe("env", 0.4, env()),
        maybe("envFrom", 0.2, env_from()),
        maybe("volumeMounts", 0.3, mounts()),
        maybe("volumeDevices", 0.1, devices()),
        maybe("ports", 0.3, ports()),
        maybe("resources", 0.3, resources()),
        maybe("securityContext", 0.2, container_security()),
        maybe("imagePullPolicy", 0.2, words(&["Always", "IfNotPresent", "Never"])),
        maybe("terminationMessagePath", 0.1, words(&["/dev/termination-log", "/x"])),
        maybe("terminationMessagePolicy", 0.1, words(&["File", "FallbackToLogsOnError"])),
        maybe("command", 0.2, of(vec![json!(["x"]), json!(["x", "y"]), json!([])])),
        maybe("livenessProbe", 0.1, of(probe)),
        maybe(
            "lifecycle",
            0.1,
            of(vec![json!({}), json!({"preStop": {"sleep": {"seconds": 1}}}), json!({"preStop": {"exec": {"command": ["x"]}}})]),
        ),
        maybe("stdin", 0.1, of(vec![json!(true), json!(false)])),
        maybe("workingDir", 0.1, words(&["/w", ""])),
    ]
}

/// Containers by name, dealt to the two lists; what an init container may not have is taken away.
pub fn containers(names: &'static [&'static str], first: bool) -> BoxedStrategy<[Vec<Value>; 2]> {
    let container = || {
        let mut fields = container_fields();
        let images = words(&["app:1", "app:latest", "registry.example/app:2"]);
        fields.push(if first { always("image", images) } else { maybe("image", 0.5, images) });
        fields.push(maybe("restartPolicy", 0.5, words(&["Always"])));
        object(fields)
    };
    let each =
        names.iter().map(|name| prop::option::weighted(0.5, (container(), prop::bool::weighted(0.3))).prop_map(move |made| (*name, made)));
    each.collect::<Vec<_>>()
        .prop_map(move |made| {
            let mut lists = [Vec::new(), Vec::new()];
            for (place, (name, made)) in made.into_iter().enumerate() {
                let (mut container, init) = match made {
                    Some(made) => made,
                    None if first && place == 0 => (json!({"image": "app:1"}), false),
                    None => continue,
                };
                let init = init && !(first && place == 0);
                container["name"] = json!(name);
                let object = container.as_object_mut().unwrap();
                if !init {
                    object.remove("restartPolicy");
                } else if !object.contains_key("restartPolicy") {
                    object.remove("livenessProbe");
                    object.remove("lifecycle");
                }
                lists[usize::from(init)].push(container);
            }
            lists
        })
        .boxed()
}

fn tolerations() -> Made {
    let entries = vec![
        json!({"key": "a", "operator": "Exists"}),
        json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"}),
        json!({"operator": "Exists"}),
        json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
        json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}),
        json!({"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}),
    ];
    list(of(entries), 2, whole)
}

fn host_aliases() -> Made {
    let names = prop::collection::vec(select(vec!["h", "i", "j"]), 1..3).prop_map(|mut names| {
        names.dedup();
        json!(names)
    });
    list(object(vec![always("ip", words(&["10.0.0.1", "10.0.0.2"])), always("hostnames", names.boxed())]), 2, |entry| {
        entry["ip"].to_string()
    })
}

/// Fields of a PodSpec that a Pod and a template both may have.
pub fn pod_fields() -> Vec<Field> {
    let affinity = vec![
        json!({}),
        json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "labelSelector": {}}]}}),
        json!({"podAffinity": {}}),
    ];
    let spread = vec![
        json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
        json!([{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
        json!([{"maxSkew": 1, "topologyKey": "host", "whenUnsatisfiable": "ScheduleAnyway"}]),
    ];
    let dns = vec![
        json!({"searches": ["a"]}),
        json!({"searches": ["b"], "options": [{"name": "ndots", "value": "2"}]}),
        json!({"options": [{"name": "ndots", "value": "3"}]}),
    ];
    vec![
        maybe("volumes", 0.4, volumes()),
        maybe("hostNetwork", 0.15, of(vec![json!(true), json!(false)])),
        maybe("nodeSelector", 0.2, object(vec![maybe("disk", 0.6, words(&["ssd", "hdd"])), maybe("zone", 0.6, words(&["a", ""]))])),
        maybe("tolerations", 0.25, tolerations()),
        maybe("hostAliases", 0.2, host_aliases()),
        maybe("serviceAccountName", 0.2, words(&["default", "robot", "other"])),
        maybe("dnsPolicy", 0.1, words(&["ClusterFirst", "Default"])),
        maybe("schedulerName", 0.1, words(&["default-scheduler", "mine"])),
        maybe("terminationGracePeriodSeconds", 0.15, of(vec![json!(30), json!(60)])),
        maybe("enableServiceLinks", 0.1, of(vec![json!(true), json!(false)])),
        maybe("priorityClassName", 0.15, words(&["high", "low"])),
        maybe("imagePullSecrets", 0.15, of(vec![json!([{"name": "r"}]), json!([{"name": "r"}, {"name": "q"}]), json!([{"name": "q"}])])),
        maybe(
            "securityContext",
            0.2,
            object(vec![
                maybe("runAsUser", 0.4, of(vec![json!(0), json!(1000)])),
                maybe("fsGroup", 0.4, of(vec![json!(1), json!(2)])),
                maybe("supplementalGroups", 0.3, of(vec![json!([1]), json!([1, 2])])),
                maybe("sysctls", 0.2, of(vec![json!([{"name": "a.b", "value": "1"}]), json!([{"name": "a.b", "value": "2"}])])),
            ]),
        ),
        maybe("affinity", 0.1, of(affinity)),
        maybe("topologySpreadConstraints", 0.1, of(spread)),
        maybe("dnsConfig", 0.1, of(dns)),
        maybe("shareProcessNamespace", 0.1, of(vec![json!(true), json!(false)])),
        maybe("readinessGates", 0.1, of(vec![json!([{"conditionType": "x/a"}]), json!([{"conditionType": "x/b"}])])),
        maybe("runtimeClassName", 0.1, words(&["kata", "runc"])),
        maybe("resources", 0.1, resources()),
        maybe("fieldOfTomorrow", 0.1, of(vec![json!({"a": 1}), json!({"a": 1, "b": [1]}), json!({"a": 2})])),
    ]
}

pub fn labels() -> Made {
    object(vec![maybe("app", 0.7, words(&["web", "db"])), maybe("tier", 0.3, words(&["edge", "back"])), maybe("x", 0.3, words(&["1", ""]))])
}

pub fn annotations() -> Made {
    object(vec![maybe("note", 0.5, words(&["one", "two"])), maybe("a/b~c", 0.4, words(&["one", "two"]))])
}

/// A Pod as an author could write it, its lists not always there.
pub fn pod() -> Made {
    let mut fields = pod_fields();
    fields.push(maybe("restartPolicy", 0.2, words(&["Always", "Never"])));
    fields.push(maybe("serviceAccount", 0.1, words(&["robot"])));
    let metadata = object(vec![
        always("name", words(&["pod"])),
        maybe("labels", 0.8, labels()),
        maybe("annotations", 0.4, (annotations(), marks()).prop_map(|(annotations, marks)| united(annotations, marks)).boxed()),
    ]);
    let empty = prop::option::weighted(
        0.15,
        (select(vec!["volumes", "tolerations", "nodeSelector", "securityContext", "hostAliases"]), any::<bool>()),
    );
    let hole = prop::option::weighted(0.15, (select(vec!["env", "envFrom", "volumeMounts", "ports", "resources"]), any::<bool>()));
    (metadata, object(fields), containers(&["app", "log", "init"], true), empty, hole)
        .prop_map(|(metadata, mut spec, [mut plain, init], empty, hole)| {
            if let Some((key, null)) = empty {
                let map = matches!(key, "nodeSelector" | "securityContext");
                spec[key] = if null {
                    Value::Null
                } else if map {
                    json!({})
                } else {
                    json!([])
                };
            }
            if let Some((key, null)) = hole {
                plain[0][key] = if null {
                    Value::Null
                } else if key == "resources" {
                    json!({})
                } else {
                    json!([])
                };
            }
            spec["containers"] = Value::Array(plain);
            if !init.is_empty() {
                spec["initContainers"] = Value::Array(init);
            }
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        })
        .boxed()
}

/// Annotations that mean something to Podgraft, an outdated record among them.
fn marks() -> Made {
    object(vec![
        maybe("podpreset.admission.kubernetes.io/podpreset-p0", 0.2, words(&["000000000000"])),
        maybe("podpreset.admission.kubernetes.io/clusterpodpreset-p1", 0.2, words(&["000000000000"])),
        maybe("podgraft.dev/exclude", 0.05, words(&["p1", "p0, p2", ""])),
        maybe("podpreset.admission.kubernetes.io/exclude", 0.05, words(&["true", "TRUE"])),
    ])
}

fn united(left: Value, right: Value) -> Value {
    let (Value::Object(mut left), Value::Object(right)) = (left, right) else { return Value::Null };
    left.extend(right);
    Value::Object(left)
}
