//! Where the values of variables and files come from.

use super::super::fields::none_of;
use super::super::names::{annotation_key, qualified};
use crate::document::report::Report;
use crate::quantity::Quantity;
use crate::tree::{NodeId, View};

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    // Old clients send it; it means spec.nodeName.
    "spec.host",
];
const FILE_FIELDS: &[&str] = &["metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"];

const RESOURCES: &[&str] =
    &["limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"];
const SIZES: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// A variable. Its value is looked at for being empty only.
pub(super) fn env(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    if let Some(source) = tree.present(node, "valueFrom")
        && tree.get_str(node, "value").is_some_and(|value| !value.is_empty())
    {
        report.error_at_key(source, "may not be there beside a `value` that is not empty: remove one");
    }
}

/// `fieldRef` of a variable or a file.
pub(super) fn field(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let Some(at) = tree.get(node, "fieldPath") else { return };
    let Some(path) = tree.str(at).filter(|path| !path.is_empty()) else { return };
    let fields = if is_env(report, node) { ENV_FIELDS } else { FILE_FIELDS };
    if let Some((field, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let wrong = match field {
            "metadata.annotations" => annotation_key(key),
            "metadata.labels" => qualified(key),
            _ => Some("must be metadata.labels['KEY'] or metadata.annotations['KEY']: other fields have no keys"),
        };
        if let Some(wrong) = wrong {
            report.error(at, if field.starts_with("metadata.") { format!("the key in it {wrong}") } else { wrong.to_owned() });
        }
    } else if path.contains("[\"") || (path.contains('[') && !path.ends_with("']")) {
        report.error(at, "must be written with single quotes: metadata.annotations['KEY']");
    } else if matches!(path, "metadata.labels" | "metadata.annotations") && is_env(report, node) {
        report.error(at, format!("a variable holds one of them: write {path}['KEY']"));
    } else if !fields.contains(&path) {
        let listed: Vec<&str> = fields.iter().copied().filter(|field| *field != "spec.host").collect();
        report.error(at, format!("{}; also metadata.labels['KEY'] and metadata.annotations['KEY']", none_of(path, &listed)));
    }
}

fn is_env(report: &Report<'_>, node: NodeId) -> bool {
    report.tree.parent(node).is_some_and(|parent| report.tree.key(parent) == "valueFrom")
}

/// `resourceFieldRef` of a variable or a file.
pub(super) fn resource(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    if !is_env(report, node) && tree.get_str(node, "containerName").is_none_or(str::is_empty) {
        report.missing(node, "containerName", "is missing: a file has to say whose resources it shows");
    }
    let Some(at) = tree.get(node, "resource") else { return };
    let Some(resource) = tree.str(at).filter(|resource| !resource.is_empty()) else { return };
    let huge_pages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if !RESOURCES.contains(&resource) && !huge_pages {
        report.error(at, none_of(resource, RESOURCES));
        return;
    }
    let Some(divisor_at) = tree.present(node, "divisor") else { return };
    let Some(divisor) = Quantity::of(tree.view(divisor_at)).filter(|divisor| !divisor.is_zero()) else { return };
    let sizes: &[&str] = if resource.ends_with(".cpu") { &["1m", "1"] } else { SIZES };
    // Servers look at the text, in its canonical form.
    let text = divisor.to_string();
    if !sizes.contains(&text.as_str()) && !matches!(tree.view(divisor_at), View::String(written) if sizes.contains(&written)) {
        report.error(divisor_at, format!("must be one of {}", sizes.join(", ")));
    }
}
