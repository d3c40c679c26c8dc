//! Volumes and what they are made of.

use std::collections::BTreeSet;

use super::lists::list_at;
use crate::document::names::{annotation_key, dns_subdomain};
use crate::document::report::Report;
use crate::document::selector::label_map;
use crate::quantity::Quantity;
use crate::schema::TypeId;
use crate::tree::{NodeId, Tree, View};

fn is_set(tree: &Tree<'_>, node: NodeId, field: &str) -> bool {
    tree.present(node, field).is_some_and(|found| match tree.view(found) {
        View::String(text) => !text.is_empty(),
        View::List => tree.count(found) > 0,
        _ => true,
    })
}

pub(super) fn empty_dir(report: &mut Report<'_>, node: NodeId) {
    if let Some(limit) = report.tree.get(node, "sizeLimit")
        && Quantity::of(report.tree.view(limit)).is_some_and(Quantity::is_negative)
    {
        report.error(limit, "must not be less than 0");
    }
}

/// Files of all sources of a projected volume: each path once.
pub(super) fn projected(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for source in list_at(tree, node, "sources").into_iter().flat_map(|list| tree.children(list)) {
        let items =
            ["secret", "configMap", "downwardAPI"].into_iter().filter_map(|kind| list_at(tree, tree.present(source, kind)?, "items"));
        let files = items.flat_map(|list| tree.children(list)).filter_map(|item| tree.get(item, "path"));
        let bundle = tree.at(source, &["clusterTrustBundle", "path"]);
        let certificate = ["credentialBundlePath", "keyPath", "certificateChainPath"];
        let certificates = certificate.into_iter().filter_map(|field| tree.at(source, &["podCertificate", field]));
        for at in files.chain(bundle).chain(certificates) {
            let Some(path) = tree.str(at).filter(|path| !path.is_empty()) else { continue };
            if !seen.insert(path) {
                report.error(at, "another source of this volume writes the same path");
            }
        }
    }
}

pub(super) fn trust_bundle(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    match (tree.present(node, "name"), tree.present(node, "signerName")) {
        (Some(_), Some(signer)) => report.error_at_key(signer, "may not be there beside `name`: remove one"),
        (None, None) => report.error(node, "must have `name` or `signerName`"),
        (Some(_), None) => {
            if let Some(selector) = tree.present(node, "labelSelector") {
                report.error_at_key(selector, "goes with `signerName` only: remove it");
            }
        }
        (None, Some(_)) => {}
    }
}

pub(super) fn pod_certificate(report: &mut Report<'_>, node: NodeId) {
    let paths = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    if !paths.iter().any(|path| is_set(report.tree, node, path)) {
        report.error(node, format!("must have one of {}", paths.join(", ")));
    }
}

pub(super) fn fibre_channel(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    match (is_set(tree, node, "targetWWNs"), is_set(tree, node, "wwids")) {
        (true, true) => report.error(node, "must have `targetWWNs` or `wwids`, not both"),
        (false, false) => report.error(node, "must have `targetWWNs` or `wwids`"),
        (true, false) => match tree.present(node, "lun") {
            None => report.missing(node, "lun", "is missing: targetWWNs need it"),
            Some(lun) if tree.int(lun).is_some_and(|lun| !(0..=255).contains(&lun)) => report.error(lun, "must be between 0 and 255"),
            Some(_) => {}
        },
        (false, true) => {}
    }
}

pub(super) fn flocker(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    if is_set(tree, node, "datasetName") == is_set(tree, node, "datasetUUID") {
        report.error(node, "must have one of datasetName and datasetUUID");
    }
    if let Some(name) = tree.get(node, "datasetName").filter(|name| tree.str(*name).is_some_and(|name| name.contains('/'))) {
        report.error(name, "must not contain `/`");
    }
}

pub(super) fn iscsi(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let on = |field: &str| tree.get(node, field).is_some_and(|found| tree.view(found) == View::Bool(true));
    if (on("chapAuthDiscovery") || on("chapAuthSession")) && tree.present(node, "secretRef").is_none() {
        report.missing(node, "secretRef", "is missing: CHAP authentication needs it");
    }
    for at in ["iqn", "initiatorName"].into_iter().filter_map(|field| tree.get(node, field)) {
        if tree.str(at).is_some_and(|text| !text.is_empty() && !["iqn", "eui", "naa"].iter().any(|start| text.starts_with(start))) {
            report.error(at, "must start with iqn, eui or naa");
        }
    }
}

pub(super) fn azure_disk(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let Some(at) = tree.get(node, "diskURI") else { return };
    let Some(uri) = tree.str(at).filter(|uri| !uri.is_empty()) else { return };
    let managed = tree.get_str(node, "kind") == Some("Managed");
    if managed && !uri.starts_with("/subscriptions/") {
        report.error(at, "must start with /subscriptions/ where kind is Managed");
    } else if !managed && !uri.starts_with("https://") {
        report.error(at, "must start with https:// where kind is Shared, as it is by default, or Dedicated");
    }
}

pub(super) fn flex(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    for option in tree.present(node, "options").into_iter().flat_map(|options| tree.children(options)) {
        let domain = tree.key(option).split('/').next().unwrap_or("").to_lowercase();
        let domain = format!(".{domain}");
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            report.error_at_key(option, "the domains kubernetes.io and k8s.io are reserved");
        }
    }
}

/// A reference to a Secret that needs its name.
pub(super) fn secret_name(report: &mut Report<'_>, node: NodeId, field: &str) {
    let tree = report.tree;
    let Some(reference) = tree.present(node, field).filter(|reference| tree.view(*reference) == View::Object) else { return };
    match tree.present(reference, "name").and_then(|name| Some((name, tree.str(name)?))) {
        Some((_, "")) | None => report.missing(reference, "name", "is missing: no API server takes a Pod without it"),
        Some((name, text)) => {
            if let Some(wrong) = dns_subdomain(text).filter(|_| field == "nodePublishSecretRef") {
                report.error(name, wrong);
            }
        }
    }
}

/// The template of a claim: labels and annotations are all that its metadata may have.
pub(super) fn claim_template(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let Some(metadata) = tree.present(node, "metadata") else { return };
    for member in tree.children(metadata).filter(|member| tree.view(*member) != View::Null) {
        match tree.key(member) {
            "labels" => label_map(report, member),
            "annotations" => annotation_map(report, member),
            // Unknown fields were named already, and zero values are as good as absent.
            key if TypeId::OBJECT_META.get().field(key).is_some() && !matches!(tree.view(member), View::String("") | View::Int(0)) => {
                report.error_at_key(member, "the template of a claim takes labels and annotations only");
            }
            _ => {}
        }
    }
}

/// Checks the keys of a map of annotations.
pub(in crate::document) fn annotation_map(report: &mut Report<'_>, annotations: NodeId) {
    let tree = report.tree;
    for annotation in tree.children(annotations) {
        if let Some(wrong) = annotation_key(tree.key(annotation)) {
            report.error_at_key(annotation, format!("the key {wrong}"));
        }
    }
}

/// A claim.
pub(super) fn claim(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    match tree.at(node, &["resources", "requests", "storage"]) {
        None => report.missing(node, "resources", "must state `requests.storage`"),
        Some(storage) => {
            if Quantity::of(tree.view(storage)).is_some_and(|amount| amount.is_zero() || amount.is_negative()) {
                report.error(storage, "must be more than 0");
            }
        }
    }
    if let Some(modes) = list_at(tree, node, "accessModes") {
        let alone = tree.children(modes).any(|mode| tree.str(mode) == Some("ReadWriteOncePod"));
        if alone && tree.children(modes).any(|mode| tree.str(mode) != Some("ReadWriteOncePod")) {
            report.error(modes, "ReadWriteOncePod does not go with other access modes");
        }
    }
    let (source, reference) = (tree.present(node, "dataSource"), tree.present(node, "dataSourceRef"));
    for of in source.into_iter().chain(reference) {
        if tree.get_str(of, "apiGroup").is_none_or(str::is_empty)
            && tree.get_str(of, "kind").is_some_and(|kind| kind != "PersistentVolumeClaim")
        {
            report.error(of, "must have `kind: PersistentVolumeClaim`, or an apiGroup");
        }
    }
    if let (Some(source), Some(reference)) = (source, reference) {
        let text = |node: NodeId, field: &str| tree.get_str(node, field).unwrap_or("").to_owned();
        if is_set(tree, reference, "namespace") {
            report.error_at_key(source, "may not be there beside a dataSourceRef with a namespace");
        } else if ["apiGroup", "kind", "name"].iter().any(|field| text(source, field) != text(reference, field)) {
            report.error_at_key(source, "must say the same as dataSourceRef, or be left out");
        }
    }
}
