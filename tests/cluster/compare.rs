//! A Pod beside its twin that no preset reached: what the preset brought is taken away, and the two must be the same, field by field.

use serde_json::{Map, Value, json};

use crate::support::case;

/// Where the API server mounts the token of a Pod's account.
pub const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What differs between any two Pods, made the same: names that the API server gave, times, the namespace.
pub fn plain(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let owner = pod["metadata"]["ownerReferences"][0]["uid"].as_str().map(str::to_owned);
    let object = pod.as_object_mut().unwrap();
    object.remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for key in ["uid", "creationTimestamp", "resourceVersion", "managedFields", "generation"] {
        metadata.remove(key);
    }
    if metadata.contains_key("generateName") {
        metadata.remove("name");
    }
    let mut text = pod.to_string().replace(&format!("\"{namespace}\""), "\"NAMESPACE\"");
    if let Some(owner) = owner {
        text = text.replace(&owner, "OWNER");
    }
    while let Some(start) = text.find("kube-api-access-") {
        let end = text[start..].find('"').unwrap() + start;
        text.replace_range(start..end, "token");
    }
    serde_json::from_str(&text).unwrap()
}

/// A Pod that was made, as one that is to be made.
pub fn afresh(pod: &Value) -> Value {
    let mut again = pod.clone();
    let metadata = again["metadata"].as_object_mut().unwrap();
    for key in ["name", "uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        metadata.remove(key);
    }
    again.as_object_mut().unwrap().remove("status");
    again
}

/// A Pod that runs, as it was before it was bound to a node.
pub fn unbound(pod: &Value) -> Value {
    let mut pod = pod.clone();
    assert_eq!(pod["status"]["phase"], "Running");
    assert!(take(&mut pod, "/spec", "nodeName").is_string());
    pod
}

/// Where the first difference is, for people.
pub fn difference(one: &Value, other: &Value) -> Option<String> {
    fn at(path: &str, one: &Value, other: &Value) -> Option<String> {
        match (one, other) {
            (Value::Object(one), Value::Object(other)) => {
                let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
                let get = |object: &Map<String, Value>, key: &str| object.get(key).cloned().unwrap_or(Value::String("(absent)".to_owned()));
                keys.into_iter().find_map(|key| at(&format!("{path}/{key}"), &get(one, key), &get(other, key)))
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                one.iter().zip(other).enumerate().find_map(|(index, (one, other))| at(&format!("{path}/{index}"), one, other))
            }
            _ if one == other => None,
            _ => Some(format!("{path}: {one} is not {other}")),
        }
    }
    at("", one, other)
}

/// Fails the test where two Pods are not the same but for what always differs.
pub fn same(what: &str, one: &Value, other: &Value) {
    if let Some(difference) = difference(&plain(one), &plain(other)) {
        panic!("{what}: {difference}");
    }
}

/// Takes a member out of the object at a pointer, and the object with it where it was the last.
pub fn take(pod: &mut Value, pointer: &str, key: &str) -> Value {
    let object = pod.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("there is no {pointer}"));
    let taken = object.remove(key).unwrap_or_else(|| panic!("{pointer} has no {key}"));
    if object.is_empty() {
        remove(pod, pointer);
    }
    taken
}

/// Takes the one entry with this key out of a list, and the list with it where it was the last.
pub fn take_entry(pod: &mut Value, pointer: &str, key: &str, value: &str) -> Value {
    let list = pod.pointer_mut(pointer).and_then(Value::as_array_mut).unwrap_or_else(|| panic!("there is no {pointer}"));
    let found: Vec<usize> = (0..list.len()).filter(|&index| list[index][key] == value).collect();
    assert_eq!(found.len(), 1, "{pointer} has {} entries with {key} {value}", found.len());
    let taken = list.remove(found[0]);
    if list.is_empty() {
        remove(pod, pointer);
    }
    taken
}

/// A container as a preset has it: the token that the API server mounts and its defaults must be there, and are taken away.
pub fn as_written(container: &Value) -> Value {
    let mut container = container.clone();
    take_entry(&mut container, "/volumeMounts", "mountPath", TOKEN);
    for (field, default) in [
        ("imagePullPolicy", json!("IfNotPresent")),
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
    ] {
        assert_eq!(take(&mut container, "", field), default, "{field}");
    }
    container
}

/// The hash that the record of a preset has, `podpreset-logs` say, of some presets.
pub fn hash(presets: &str, record: &str) -> String {
    let (presets, problems) = case::read_presets(presets, "presets.yaml");
    assert!(problems.is_empty(), "{problems:?}");
    let preset = presets.presets().iter().find(|preset| preset.record() == record).unwrap_or_else(|| panic!("no preset {record}"));
    preset.version().to_owned()
}

/// Each container of a list: its pointer.
pub fn containers(pod: &Value, list: &str) -> Vec<String> {
    let number = pod["spec"][list].as_array().map_or(0, Vec::len);
    (0..number).map(|index| format!("/spec/{list}/{index}")).collect()
}

fn remove(pod: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    pod.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().remove(key);
}
