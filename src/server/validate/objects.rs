//! Objects of the cluster that hold presets, read into documents as the stores read them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::crd::KINDS;
use crate::document::{self, Document};
use crate::server::store::config_maps::{self, Place};
use crate::server::store::custom_resources;

/// Reads all keys of a ConfigMap; two documents of one preset are both refused.
#[must_use]
pub fn config_map(place: &Place<'_>, data: &BTreeMap<String, String>) -> Vec<Document> {
    let mut documents: Vec<Document> = data.iter().flat_map(|(key, text)| config_maps::read(place, key, text)).collect();
    document::refuse_twins(&mut documents);
    documents
}

/// Reads a custom resource of a kind, as in `podpresets`. Of another kind there is nothing to read.
#[must_use]
pub fn custom_resource(plural: &str, namespace: &str, name: &str, spec: &Value) -> Vec<Document> {
    let kind = KINDS.iter().find(|kind| kind.plural == plural);
    kind.and_then(|kind| custom_resources::read(kind, namespace, name, spec)).into_iter().collect()
}
