//! What may not stand twice in a list.

use std::collections::BTreeMap;

use crate::document::report::Report;
use crate::tree::{NodeId, Tree, View};
use crate::yaml::shown;

/// Refuses entries whose key another entry of the lists has. `what` names the key: "the variable".
pub(in crate::document) fn unique(
    report: &mut Report<'_>,
    lists: &[NodeId],
    what: &str,
    key: impl Fn(&Tree<'_>, NodeId) -> Option<String>,
) {
    for (entry, key, first) in repeated(report.tree, lists, key) {
        let first = report.path(first);
        report.error(entry, format!("{what} `{}` is already at {first}: remove one", shown(&key)));
    }
}

/// Warns of entries whose key another entry of the lists has.
pub(in crate::document) fn warn_repeated(
    report: &mut Report<'_>,
    lists: &[NodeId],
    what: &str,
    key: impl Fn(&Tree<'_>, NodeId) -> Option<String>,
) {
    for (entry, key, first) in repeated(report.tree, lists, key) {
        let first = report.path(first);
        report.warn(entry, format!("{what} `{}` is already at {first}", shown(&key)));
    }
}

/// Entries whose key an earlier entry has: the entry, the key, the earlier entry.
pub(in crate::document) fn repeated(
    tree: &Tree<'_>,
    lists: &[NodeId],
    key: impl Fn(&Tree<'_>, NodeId) -> Option<String>,
) -> Vec<(NodeId, String, NodeId)> {
    let mut first: BTreeMap<String, NodeId> = BTreeMap::new();
    let mut found = Vec::new();
    for entry in lists.iter().flat_map(|list| tree.children(*list)) {
        let Some(key) = key(tree, entry) else { continue };
        match first.get(&key) {
            Some(before) => found.push((entry, key, *before)),
            None => {
                first.insert(key, entry);
            }
        }
    }
    found
}

/// Entries by their key; of two with one key, the first.
pub(in crate::document) fn index(
    tree: &Tree<'_>,
    lists: impl IntoIterator<Item = NodeId>,
    key: impl Fn(&Tree<'_>, NodeId) -> Option<String>,
) -> BTreeMap<String, NodeId> {
    let mut index = BTreeMap::new();
    for entry in lists.into_iter().flat_map(|list| tree.children(list)) {
        if let Some(key) = key(tree, entry) {
            index.entry(key).or_insert(entry);
        }
    }
    index
}

/// The text of a field, where it is there and not empty: the usual key.
pub(in crate::document) fn named(field: &'static str) -> impl Fn(&Tree<'_>, NodeId) -> Option<String> {
    move |tree, entry| tree.get_str(entry, field).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Container port and protocol of a port.
pub(in crate::document) fn port_key(tree: &Tree<'_>, port: NodeId) -> Option<String> {
    let number = tree.get(port, "containerPort").and_then(|node| tree.int(node))?;
    Some(format!("{number}/{}", protocol(tree, port)))
}

/// Protocol, address and host port of a port that asks for one.
pub(in crate::document) fn host_port_key(tree: &Tree<'_>, port: NodeId) -> Option<String> {
    let number = tree.get(port, "hostPort").and_then(|node| tree.int(node)).filter(|number| *number != 0)?;
    Some(format!("{}/{}/{number}", protocol(tree, port), tree.get_str(port, "hostIP").unwrap_or("")))
}

/// Protocol, address and host port of a port under `hostNetwork`, where every port is one.
pub(in crate::document) fn host_network_key(tree: &Tree<'_>, port: NodeId) -> Option<String> {
    host_port_key(tree, port).or_else(|| {
        let number = tree.get(port, "containerPort").and_then(|node| tree.int(node))?;
        Some(format!("{}/{}/{number}", protocol(tree, port), tree.get_str(port, "hostIP").unwrap_or("")))
    })
}

fn protocol<'t>(tree: &'t Tree<'_>, port: NodeId) -> &'t str {
    tree.get_str(port, "protocol").filter(|protocol| !protocol.is_empty()).unwrap_or("TCP")
}

/// Prefix and name of a source of variables.
pub(in crate::document) fn source_key(tree: &Tree<'_>, source: NodeId) -> Option<String> {
    let prefix = tree.get_str(source, "prefix").unwrap_or("");
    ["configMapRef", "secretRef"].iter().find_map(|kind| {
        let name = tree.get_str(tree.present(source, kind)?, "name")?;
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix} ") };
        Some(format!("{prefix}{kind} {name}"))
    })
}

/// The path of a mount or device as Go's `path.Clean` makes it, from the root.
pub(in crate::document) fn path_key(tree: &Tree<'_>, entry: NodeId) -> Option<String> {
    let path = tree.get_str(entry, "mountPath").or_else(|| tree.get_str(entry, "devicePath")).filter(|path| !path.is_empty())?;
    Some(clean(path))
}

fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// A member of an object where it is a list.
pub(in crate::document) fn list_at(tree: &Tree<'_>, object: NodeId, field: &str) -> Option<NodeId> {
    tree.present(object, field).filter(|list| tree.view(*list) == View::List)
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [("/a/", "/a"), ("/a//b/..", "/a"), ("m", "/m"), ("/", "/"), (".", "/"), ("/../a", "/a"), ("/a/./b", "/a/b")]
        {
            assert_eq!(clean(path), cleaned);
        }
    }
}
