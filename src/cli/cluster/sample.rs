//! A Pod made up for one preset, sent to the API server as a dry run: without the preset first, so that what is wrong with the Pod, the
//! namespace or the user's rights is not blamed on it, then with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answer, Cluster};
use crate::cli::overlap::specimen;
use crate::cli::source::Fault;
use crate::graft::{self, Fate, Subject};
use crate::pod::EXCLUDE;
use crate::preset::{Preset, PresetSet};
use crate::tree::{self, NodeId, Tree, View};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The API server takes a Pod with the preset; what it warns about that it does not warn about without.
    Taken(Vec<String>),
    /// It does not: each with the path in the Pod, which may be empty.
    Refused(Vec<(String, String)>),
    /// That cannot be known: why.
    Untold(String),
}

/// Tries a preset on Pods of a namespace.
///
/// # Errors
/// Nobody answers.
pub fn attempt(cluster: &Cluster, preset: &Arc<Preset>, namespace: &str, labels: &[(String, String)]) -> Result<Tried, Fault> {
    let mut first = None;
    // One that says as little as possible, then one as strict namespaces ask for.
    for strict in [false, true] {
        let Some(pod) = pod(preset, strict) else {
            return Ok(Tried::Untold("its selector contradicts itself: no Pod has such labels".to_owned()));
        };
        let bare = send(cluster, namespace, &left_alone(&pod))?;
        if !bare.is_fine() {
            first.get_or_insert(bare.message());
            continue;
        }
        let grafted = match grafted(preset, &pod, namespace, labels) {
            Ok(grafted) => grafted,
            Err(why) => {
                first.get_or_insert(why);
                continue;
            }
        };
        let sent = left_alone(&grafted);
        let answer = send(cluster, namespace, &sent)?;
        return Ok(match answer.status {
            200..300 => Tried::Taken(answer.warnings.into_iter().filter(|warning| !bare.warnings.contains(warning)).collect()),
            // Not about the Pod: another webhook does not answer, say.
            429 | 500.. => Tried::Untold(answer.message()),
            _ => Tried::Refused(causes(&answer, &sent)),
        });
    }
    let why = first.unwrap_or_default();
    Ok(Tried::Untold(format!("a Pod made up for it is not taken in the namespace {namespace} without it either: {why}")))
}

/// Sends a Pod as a dry run.
///
/// # Errors
/// Nobody answers.
pub fn send(cluster: &Cluster, namespace: &str, pod: &Value) -> Result<Answer, Fault> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldManager=podgraft&fieldValidation=Warn");
    cluster.post(&path, &pod.to_string())
}

/// A Pod that the preset selects, with what it asks of a Pod: containers without an image, volumes that it mounts.
#[must_use]
pub fn pod(preset: &Arc<Preset>, strict: bool) -> Option<Value> {
    let labels = specimen::labels(std::iter::once(&preset.spec().selector))?;
    let mut pod: Value = serde_json::from_str(&specimen::pod(&labels, preset, preset)).ok()?;
    pod["metadata"] = json!({"generateName": "podgraft-check-", "labels": labels});
    let volumes: Vec<Value> = lacking(preset).into_iter().map(volume).collect();
    let spec = pod.get_mut("spec")?.as_object_mut()?;
    if spec.get("initContainers").is_some_and(|list| list.as_array().is_some_and(Vec::is_empty)) {
        spec.remove("initContainers");
    }
    if !volumes.is_empty() {
        spec.insert("volumes".to_owned(), Value::Array(volumes));
    }
    if strict {
        // Pod Security Standards, "Restricted"; and what a ResourceQuota asks for.
        spec.insert("securityContext".to_owned(), json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}));
        for list in ["initContainers", "containers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container["securityContext"] = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
                let amounts = json!({"cpu": "10m", "memory": "16Mi"});
                container["resources"] = json!({"requests": amounts.clone(), "limits": amounts});
            }
        }
    }
    Some(pod)
}

/// Volumes that the preset mounts (false) or takes as devices (true) and does not bring.
fn lacking(preset: &Preset) -> BTreeSet<(String, bool)> {
    let fragment = preset.fragment();
    let tree = fragment.tree();
    if tree.is_empty() {
        return BTreeSet::new();
    }
    let name = |node: NodeId| tree.get_str(node, "name").unwrap_or_default().to_owned();
    let brought: BTreeSet<String> =
        [&["volumes"][..], &["template", "spec", "volumes"]].iter().flat_map(|path| fragment.entries(path)).map(name).collect();
    let lists = |owner: NodeId| {
        [("volumeMounts", false), ("volumeDevices", true)].into_iter().flat_map(move |(list, device)| {
            let entries = tree.present(owner, list).into_iter().flat_map(|list| tree.children(list));
            entries.map(move |entry| (name(entry), device))
        })
    };
    let containers = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| tree.at(NodeId::ROOT, &["template", "spec", list]).into_iter().flat_map(|list| tree.children(list)));
    std::iter::once(NodeId::ROOT).chain(containers).flat_map(lists).filter(|(name, _)| !brought.contains(name)).collect()
}

fn volume((name, device): (String, bool)) -> Value {
    if device { json!({"name": name, "persistentVolumeClaim": {"claimName": "check"}}) } else { json!({"name": name, "emptyDir": {}}) }
}

/// The same Pod, which asks every Podgraft that is in front of the API server to leave it alone.
#[must_use]
pub fn left_alone(pod: &Value) -> Value {
    let mut pod = pod.clone();
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.entry("annotations").or_insert_with(|| json!({}))[EXCLUDE] = json!("true");
    }
    pod
}

/// The Pod with the preset and no other.
fn grafted(preset: &Arc<Preset>, pod: &Value, namespace: &str, labels: &[(String, String)]) -> Result<Value, String> {
    let text = pod.to_string();
    let tree = tree::parse(&text).map_err(|error| error.to_string())?;
    let subject = Subject { pod: &tree, namespace, namespace_labels: labels, extra_labels: &[], claims: &[], exempt: &[] };
    let grafted = graft::graft(&subject, &PresetSet::new(vec![Arc::clone(preset)])).map_err(|error| error.to_string())?;
    match grafted.fates.first().map(|fate| &fate.fate) {
        Some(Fate::Applied) => {}
        Some(Fate::NamespaceSelector) => return Err(format!("it does not apply in the namespace {namespace}")),
        Some(Fate::Shadow { .. }) => return Err("it is in Shadow mode".to_owned()),
        _ => return Err("no Pod could be made up that takes it".to_owned()),
    }
    serde_json::from_str(&grafted.pod).map_err(|error| error.to_string())
}

/// What the API server says, by path where it says one.
fn causes(answer: &Answer, sent: &Value) -> Vec<(String, String)> {
    let status = answer.value();
    let text = sent.to_string();
    let pod = tree::parse(&text).unwrap_or_default();
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let told: Vec<(String, String)> = causes
        .filter_map(|cause| Some((named(cause["field"].as_str()?, &pod), cause["message"].as_str()?.to_owned())))
        .filter(|(field, _)| !field.is_empty())
        .collect();
    if told.is_empty() { vec![(String::new(), answer.message())] } else { told }
}

/// `spec.containers[1].ports[0].name` with names for numbers: `spec.containers[web].ports[http].name`.
fn named(field: &str, pod: &Tree<'_>) -> String {
    let mut out = String::new();
    let mut node = (!pod.is_empty()).then_some(NodeId::ROOT);
    for (index, step) in field.split('.').enumerate() {
        if index > 0 {
            out.push('.');
        }
        let (key, places) = step.split_once('[').map_or((step, ""), |(key, places)| (key, places));
        out.push_str(key);
        node = node.and_then(|node| pod.present(node, key));
        for place in places.split('[').filter(|place| !place.is_empty()) {
            let place = place.trim_end_matches(']');
            let list = node.filter(|node| pod.view(*node) == View::List);
            let entry = list.and_then(|list| pod.children(list).nth(place.parse().ok()?));
            let name = entry.and_then(|entry| pod.get_str(entry, "name"));
            out.push_str(&format!("[{}]", name.unwrap_or(place)));
            node = entry;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{self, ReadOptions};

    fn preset(spec: &str) -> Arc<Preset> {
        let text = format!("apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: a, namespace: shop}}\nspec: {spec}\n");
        let documents = document::read("x.yaml", &text, &ReadOptions { default_namespace: "default" });
        crate::cli::presets::compile(documents).remove(0)
    }

    #[test]
    fn a_pod_that_takes_the_preset_is_made_up() {
        for spec in [
            "{selector: {}, env: [{name: A, value: b}]}",
            "{selector: {matchLabels: {app: web}}, volumeMounts: [{name: cache, mountPath: /c}]}",
            "{selector: {matchExpressions: [{key: app, operator: In, values: [x]}]}, template: {spec: {containers: [{name: web, env: [{name: A, value: b}]}]}}}",
            "{selector: {}, template: {spec: {initContainers: [{name: s, image: i, restartPolicy: Always, volumeDevices: [{name: d, devicePath: /d}]}]}}}",
            "{selector: {}, targets: {include: ['web-*']}, env: [{name: A, value: b}]}",
        ] {
            let preset = preset(spec);
            for strict in [false, true] {
                let pod = pod(&preset, strict).unwrap();
                let grafted = grafted(&preset, &pod, "shop", &[]).unwrap_or_else(|why| panic!("{spec}: {why}"));
                let alone = left_alone(&grafted);
                assert_eq!(alone["metadata"]["annotations"].as_object().unwrap().len(), 2, "{alone}");
            }
        }
        let mounts = pod(&preset("{selector: {}, volumeMounts: [{name: cache, mountPath: /c}]}"), false).unwrap();
        assert_eq!(mounts["spec"]["volumes"], json!([{"name": "cache", "emptyDir": {}}]));
    }

    #[test]
    fn places_in_the_pod_have_names() {
        let pod = tree::parse(r#"{"spec":{"containers":[{"name":"a"},{"name":"web","ports":[{"containerPort":1}]}]}}"#).unwrap();
        for (field, expected) in [
            ("spec.containers[1].ports[0].name", "spec.containers[web].ports[0].name"),
            ("spec.containers[7].image", "spec.containers[7].image"),
            ("metadata.labels", "metadata.labels"),
            ("", ""),
        ] {
            assert_eq!(named(field, &pod), expected);
        }
    }
}
