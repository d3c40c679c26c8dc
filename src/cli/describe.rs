//! What an operation does, in words that name places and never values.

use super::patching::steps;
use crate::tree::{NodeId, Tree, View};

/// What an operation on a Pod changes: `volume cache`, `env DB_HOST in web`. `pod` is the Pod right before, `value` what is put there.
#[must_use]
pub fn describe(op: &str, path: &str, value: &str, pod: &Tree<'_>) -> Vec<String> {
    let mut names = Vec::new();
    let mut node = (!pod.is_empty()).then_some(NodeId::ROOT);
    let mut list = false;
    for step in steps(path) {
        let child = node.and_then(|node| match pod.view(node) {
            View::Object => pod.get(node, &step),
            View::List => pod.children(node).nth(step.parse().ok()?),
            _ => None,
        });
        list = node.is_some_and(|node| matches!(pod.view(node), View::List));
        names.push(match child {
            Some(child) if list => entry_name(pod, child),
            _ => step,
        });
        node = child;
    }
    let Ok(tree) = crate::tree::parse(if value.is_empty() { "null" } else { value }) else { return Vec::new() };
    if list && op == "add" {
        names.pop();
        names.push(entry_name(&tree, NodeId::ROOT));
    }
    let mut found = Vec::new();
    expand(&mut names, &tree, NodeId::ROOT, &mut found);
    match op {
        "add" => found,
        "remove" => found.into_iter().map(|place| format!("{place} removed")).collect(),
        _ => found.into_iter().map(|place| format!("{place} replaced")).collect(),
    }
}

/// Names a node, or what is in it where it is only a frame.
fn expand(names: &mut Vec<String>, tree: &Tree<'_>, node: NodeId, found: &mut Vec<String>) {
    let path: Vec<&str> = names.iter().map(String::as_str).collect();
    let frame = matches!(
        path.as_slice(),
        [] | ["metadata" | "spec"]
            | ["metadata", "labels" | "annotations"]
            | ["spec", "volumes" | "containers" | "initContainers" | "tolerations" | "imagePullSecrets" | "hostAliases" | "nodeSelector"]
            | ["spec", "containers" | "initContainers", _, "env" | "envFrom" | "volumeMounts" | "volumeDevices" | "ports"]
    );
    if !frame {
        found.extend(phrase(&path, tree, node));
        return;
    }
    let list = matches!(tree.view(node), View::List);
    for child in tree.children(node) {
        names.push(if list { entry_name(tree, child) } else { tree.key(child).to_owned() });
        expand(names, tree, child, found);
        names.pop();
    }
}

fn phrase(path: &[&str], tree: &Tree<'_>, node: NodeId) -> Option<String> {
    Some(match path {
        // The record that every applied preset leaves.
        ["metadata", "annotations", key] if key.starts_with(crate::preset::RECORD_PREFIX) => return None,
        ["metadata", "labels", key] => format!("label {key}"),
        ["metadata", "annotations", key] => format!("annotation {key}"),
        ["spec", "volumes", name] => format!("volume {name}"),
        ["spec", "containers", name] => format!("container {name}"),
        ["spec", "initContainers", name] if tree.get_str(node, "restartPolicy") == Some("Always") => format!("native sidecar {name}"),
        ["spec", "initContainers", name] => format!("init container {name}"),
        ["spec", "tolerations", name] => format!("toleration {name}"),
        ["spec", "imagePullSecrets", name] => format!("image pull secret {name}"),
        ["spec", "hostAliases", name] => format!("host alias {name}"),
        ["spec", "containers" | "initContainers", container, list, entry] => match *list {
            "env" | "envFrom" => format!("{list} {entry} in {container}"),
            "volumeMounts" => format!("mount {entry} in {container}"),
            "volumeDevices" => format!("device {entry} in {container}"),
            "ports" => format!("port {entry} in {container}"),
            _ => format!("{list}.{entry} in {container}"),
        },
        ["spec", "containers" | "initContainers", container, field @ ..] => format!("{} in {container}", field.join(".")),
        ["spec", field @ ..] | field => field.join("."),
    })
}

/// What an entry of a list is called.
fn entry_name(tree: &Tree<'_>, entry: NodeId) -> String {
    let named = ["name", "mountPath", "devicePath", "ip", "key", "topologyKey"];
    // A mount has a name too, its volume's; its path says more.
    let named = if tree.get(entry, "mountPath").is_some() || tree.get(entry, "devicePath").is_some() { &named[1..] } else { &named[..] };
    if let Some(port) = tree.get(entry, "containerPort").and_then(|port| tree.int(port)) {
        return format!("{port}/{}", tree.get_str(entry, "protocol").unwrap_or("TCP"));
    }
    if let Some(source) = ["configMapRef", "secretRef"].iter().find_map(|source| tree.str(tree.at(entry, &[source, "name"])?)) {
        return format!("{}{source}", tree.get_str(entry, "prefix").unwrap_or_default());
    }
    let name = named.iter().find_map(|key| tree.get_str(entry, key));
    name.map_or_else(
        || if tree.get(entry, "operator").is_some() { "of everything".to_owned() } else { tree.position(entry).to_string() },
        str::to_owned,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_and_values_are_not() {
        let pod = crate::tree::parse(
            r#"{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"old"}],"envFrom":[]}],"tolerations":[]}}"#,
        )
        .unwrap();
        for (op, path, value, words) in [
            ("add", "/spec/volumes", r#"[{"name":"a"},{"name":"b"}]"#, "volume a, volume b"),
            ("add", "/spec/containers/0/env/-", r#"{"name":"B","value":"secret"}"#, "env B in web"),
            ("replace", "/spec/containers/0/env/0", r#"{"name":"A","value":"secret"}"#, "env A in web replaced"),
            ("add", "/spec/containers/0/volumeMounts", r#"[{"name":"v","mountPath":"/c"}]"#, "mount /c in web"),
            ("add", "/spec/containers/0/envFrom/0", r#"{"prefix":"P_","secretRef":{"name":"s"}}"#, "envFrom P_s in web"),
            (
                "add",
                "/spec/initContainers",
                r#"[{"name":"s","restartPolicy":"Always"},{"name":"i"}]"#,
                "native sidecar s, init container i",
            ),
            ("add", "/metadata", r#"{"labels":{"x/y":"1"},"annotations":{}}"#, "label x/y"),
            ("add", "/metadata/annotations/podpreset.admission.kubernetes.io~1podpreset-a", "\"1\"", ""),
            ("add", "/spec/containers/0/resources/limits/cpu", "\"1\"", "resources.limits.cpu in web"),
            ("remove", "/spec/priority", "", "priority removed"),
            ("add", "/spec/tolerations/-", r#"{"key":"spot"}"#, "toleration spot"),
            ("add", "/spec/dnsPolicy", "\"None\"", "dnsPolicy"),
        ] {
            assert_eq!(describe(op, path, value, &pod).join(", "), words, "{path}");
        }
    }
}
