//! What `deploy/install.yaml` makes in a cluster: the chart with its defaults.

use podgraft::tree::NodeId;
use podgraft::yaml;
use serde_json::Value;

const FILE: &str = include_str!("../../../deploy/install.yaml");

/// Its objects.
pub fn objects() -> Vec<Value> {
    documents(FILE)
}

/// The rules of a role of Podgraft's own account: `ClusterRole`, or `Role` in its namespace.
pub fn rules(kind: &str) -> Vec<Value> {
    let roles = objects().into_iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == "podgraft");
    let rules: Vec<Value> = roles.flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default()).collect();
    assert!(!rules.is_empty(), "deploy/install.yaml has no {kind}");
    rules
}

/// The documents of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    let limits = yaml::Limits { nodes: 1_000_000, text: 10_000_000 };
    let mut found = Vec::new();
    for part in yaml::split(text) {
        let parsed = yaml::parse(&part, limits);
        assert!(parsed.faults.is_empty(), "{:?} in {part:?}", parsed.faults);
        for document in parsed.documents.into_iter().filter(|document| !document.is_empty()) {
            let mut json = String::new();
            document.tree.write(NodeId::ROOT, &mut json);
            found.push(serde_json::from_str(&json).unwrap());
        }
    }
    found
}
