//! What the API server makes of a Pod after a patch: `defaulting` of `kubernetes/pod-defaults.json` and the token mount of the
//! ServiceAccount plugin. Written for the tests, from the recorded tables, and apart from the equality that it is held against.

use podgraft::equality::pull_policy;
use podgraft::tree::{self, NodeId, Tree};
use serde_json::{Map, Value, json};

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A Pod as the webhook would see it on a second call.
pub fn as_the_api_server(pod: &Tree<'_>) -> Tree<'static> {
    let mut text = String::new();
    pod.write(NodeId::ROOT, &mut text);
    // Numbers that no integer holds would become floats; such Pods stay as they are.
    if text.contains("18446744073709551616") || text.contains("123456789012345678901234567890") {
        return pod.to_owned_tree(NodeId::ROOT);
    }
    let mut value: Value = serde_json::from_str(&text).unwrap();
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        defaulted(spec);
    }
    tree::parse(&value.to_string()).unwrap().to_owned_tree(NodeId::ROOT)
}

fn set(object: &mut Map<String, Value>, key: &str, default: Value) {
    let empty = object.get(key).is_none_or(|value| value.is_null() || value == "");
    if empty {
        object.insert(key.to_owned(), default);
    }
}

fn set_number(object: &mut Map<String, Value>, key: &str, default: i64) {
    if object.get(key).is_none_or(|value| value.is_null() || value == 0) {
        object.insert(key.to_owned(), json!(default));
    }
}

fn objects<'v>(object: &'v mut Map<String, Value>, list: &str) -> impl Iterator<Item = &'v mut Map<String, Value>> {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn defaulted(spec: &mut Map<String, Value>) {
    if !spec.contains_key("serviceAccountName") && spec.get("serviceAccount").is_some_and(Value::is_string) {
        spec.insert("serviceAccountName".to_owned(), spec["serviceAccount"].clone());
    }
    for (key, default) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("securityContext", json!({})),
        ("enableServiceLinks", json!(true)),
        ("serviceAccountName", json!("default")),
    ] {
        set(spec, key, default);
    }
    spec.insert("serviceAccount".to_owned(), spec["serviceAccountName"].clone());
    if !spec.contains_key("priorityClassName") {
        set(spec, "priority", json!(0));
        set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    }
    let host_network = spec.get("hostNetwork") == Some(&json!(true));
    let mounts_token = spec.get("automountServiceAccountToken") != Some(&json!(false));
    let token = token_volume(spec, mounts_token);
    for list in ["containers", "initContainers"] {
        for container in objects(spec, list) {
            container_defaults(container, host_network, token.as_deref());
        }
    }
    for volume in objects(spec, "volumes") {
        volume_defaults(volume);
    }
    tolerations(spec);
}

fn token_volume(spec: &mut Map<String, Value>, mounts_token: bool) -> Option<String> {
    if !mounts_token {
        return None;
    }
    let known = objects(spec, "volumes").filter_map(|volume| volume["name"].as_str().map(str::to_owned));
    if let Some(name) = known.into_iter().find(|name| name.starts_with("kube-api-access-")) {
        return Some(name);
    }
    let volumes = spec.entry("volumes").or_insert(json!([]));
    if volumes.is_null() {
        *volumes = json!([]);
    }
    volumes.as_array_mut().unwrap().push(json!({"name": "kube-api-access-x1y2z", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}));
    Some("kube-api-access-x1y2z".to_owned())
}

fn container_defaults(container: &mut Map<String, Value>, host_network: bool, token: Option<&str>) {
    let policy = pull_policy(container.get("image").and_then(Value::as_str).unwrap_or_default());
    set(container, "imagePullPolicy", json!(policy));
    set(container, "terminationMessagePath", json!("/dev/termination-log"));
    set(container, "terminationMessagePolicy", json!("File"));
    set(container, "resources", json!({}));
    if let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut)
        && let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned()
    {
        let requests = resources.entry("requests").or_insert(json!({}));
        if let Some(requests) = requests.as_object_mut() {
            for (key, limit) in limits {
                requests.entry(key).or_insert(limit);
            }
        }
    }
    for port in objects(container, "ports") {
        set(port, "protocol", json!("TCP"));
        if host_network {
            let number = port["containerPort"].as_i64().unwrap_or_default();
            set_number(port, "hostPort", number);
        }
    }
    for variable in objects(container, "env") {
        if variable.get("value") == Some(&json!("")) {
            variable.remove("value");
        }
        if let Some(source) = variable.get_mut("valueFrom").and_then(Value::as_object_mut) {
            reference_defaults(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
            probe_defaults(probe);
        }
    }
    if let Some(token) = token {
        let mounts = container.entry("volumeMounts").or_insert(json!([]));
        if mounts.is_null() {
            *mounts = json!([]);
        }
        let mounts = mounts.as_array_mut().unwrap();
        if !mounts.iter().any(|mount| mount["mountPath"] == TOKEN_PATH) {
            mounts.push(json!({"name": token, "readOnly": true, "mountPath": TOKEN_PATH}));
        }
    }
}

fn probe_defaults(probe: &mut Map<String, Value>) {
    for (key, default) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)] {
        set_number(probe, key, default);
    }
    if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
        set(get, "path", json!("/"));
        set(get, "scheme", json!("HTTP"));
    }
    if let Some(grpc) = probe.get_mut("grpc").and_then(Value::as_object_mut) {
        set(grpc, "service", json!(""));
    }
}

fn reference_defaults(source: &mut Map<String, Value>) {
    if let Some(field) = source.get_mut("fieldRef").and_then(Value::as_object_mut) {
        set(field, "apiVersion", json!("v1"));
    }
    if let Some(resource) = source.get_mut("resourceFieldRef").and_then(Value::as_object_mut) {
        set(resource, "divisor", json!("0"));
    }
}

fn volume_defaults(volume: &mut Map<String, Value>) {
    if volume.iter().all(|(key, value)| key == "name" || value.is_null()) {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) else { continue };
        if source.get("defaultMode").is_none_or(Value::is_null) {
            source.insert("defaultMode".to_owned(), json!(420));
        }
        for item in objects(source, "items") {
            reference_defaults(item);
        }
        for projected in objects(source, "sources") {
            if let Some(token) = projected.get_mut("serviceAccountToken").and_then(Value::as_object_mut) {
                set_number(token, "expirationSeconds", 3600);
            }
            if let Some(api) = projected.get_mut("downwardAPI").and_then(Value::as_object_mut) {
                for item in objects(api, "items") {
                    reference_defaults(item);
                }
            }
        }
    }
    if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        set(path, "type", json!(""));
    }
    if let Some(image) = volume.get_mut("image").and_then(Value::as_object_mut) {
        let policy = pull_policy(image.get("reference").and_then(Value::as_str).unwrap_or_default());
        set(image, "pullPolicy", json!(policy));
    }
}

fn tolerations(spec: &mut Map<String, Value>) {
    let list = spec.entry("tolerations").or_insert(json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    let list = list.as_array_mut().unwrap();
    for taint in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = list.iter().any(|given| {
            let key = given["key"].as_str().unwrap_or_default();
            let effect = given["effect"].as_str().unwrap_or_default();
            (key == taint || key.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !tolerated {
            list.push(json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}
