//! Tolerations, affinity, topology spread.

use std::collections::BTreeSet;

use super::lists::list_at;
use crate::document::fields::none_of;
use crate::document::names::{Check, dns_subdomain, label_value, qualified};
use crate::document::report::Report;
use crate::tree::NodeId;
use crate::yaml::shown;

/// A toleration.
pub(super) fn toleration(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let text = |field: &str| tree.get_str(node, field).unwrap_or("");
    let at = |field: &str| tree.get(node, field).unwrap_or(node);
    let operator = text("operator");
    if text("key").is_empty() && operator != "Exists" {
        report.error(at("operator"), "must be Exists where there is no key, which tolerates everything");
    }
    if tree.present(node, "tolerationSeconds").is_some() && text("effect") != "NoExecute" {
        report.error(at("tolerationSeconds"), "needs `effect: NoExecute` beside it");
    }
    match operator {
        "" | "Equal" => {
            if let Some(wrong) = label_value(text("value")) {
                report.error(at("value"), wrong);
            }
        }
        "Exists" if !text("value").is_empty() => report.error(at("value"), "must be empty where the operator is Exists"),
        "Gt" | "Lt" => {
            report
                .error(at("operator"), "API servers refuse Gt and Lt unless a feature is on that is off by default: write Equal or Exists");
        }
        _ => {}
    }
}

/// A topology spread constraint.
pub(super) fn spread(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    if let Some(domains) = tree.present(node, "minDomains")
        && tree.get_str(node, "whenUnsatisfiable") == Some("ScheduleAnyway")
    {
        report.error_at_key(domains, "goes with `whenUnsatisfiable: DoNotSchedule` only");
    }
    label_keys(report, node, "matchLabelKeys");
}

/// A term of pod affinity or anti-affinity.
pub(super) fn affinity_term(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    label_keys(report, node, "matchLabelKeys");
    label_keys(report, node, "mismatchLabelKeys");
    let Some(mismatch) = list_at(tree, node, "mismatchLabelKeys") else { return };
    let mismatch: BTreeSet<&str> = tree.children(mismatch).filter_map(|key| tree.str(key)).collect();
    for key in list_at(tree, node, "matchLabelKeys").into_iter().flat_map(|list| tree.children(list)) {
        if tree.str(key).is_some_and(|text| mismatch.contains(text)) {
            report.error(key, "is also in mismatchLabelKeys: remove one");
        }
    }
}

fn label_keys(report: &mut Report<'_>, node: NodeId, field: &str) {
    let tree = report.tree;
    let Some(list) = list_at(tree, node, field).filter(|list| tree.count(*list) > 0) else { return };
    if tree.present(node, "labelSelector").is_none() {
        report.error_at_key(list, "needs a labelSelector beside it");
    }
    texts(report, list, qualified);
}

fn texts(report: &mut Report<'_>, list: NodeId, check: Check) {
    let tree = report.tree;
    for entry in tree.children(list) {
        if let Some(wrong) = tree.str(entry).and_then(check) {
            report.error(entry, wrong);
        }
    }
}

/// A requirement of a node: on its labels (`matchExpressions`) or its fields (`matchFields`).
pub(super) fn node_requirement(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let Some(list) = tree.parent(node) else { return };
    let on_fields = tree.key(list) == "matchFields";
    let values = list_at(tree, node, "values");
    let count = values.map_or(0, |values| tree.count(values));
    let Some(operator_at) = tree.get(node, "operator") else { return };
    let operator = tree.str(operator_at).unwrap_or("");
    let wrong = match operator {
        "In" | "NotIn" if on_fields => (count != 1).then_some("a field is compared with exactly one value"),
        _ if on_fields => {
            report.error(operator_at, none_of(operator, &["In", "NotIn"]));
            None
        }
        "In" | "NotIn" => (count == 0).then_some("In and NotIn need at least one value"),
        "Exists" | "DoesNotExist" => (count > 0).then_some("Exists and DoesNotExist take no values: remove them"),
        "Gt" | "Lt" => (count != 1).then_some("Gt and Lt need exactly one value"),
        _ => None,
    };
    match (wrong, values) {
        (Some(wrong), Some(values)) => report.error(values, wrong),
        (Some(wrong), None) => report.missing(node, "values", wrong),
        (None, _) => {}
    }
    let key_at = tree.get(node, "key");
    if on_fields {
        if let Some(key_at) = key_at.filter(|key| tree.str(*key).is_some_and(|key| key != "metadata.name")) {
            report.error(key_at, "must be metadata.name, the only field of a node that can be asked for");
        }
        values.into_iter().for_each(|values| texts(report, values, dns_subdomain));
        return;
    }
    if let Some((key_at, wrong)) = key_at.and_then(|key| Some((key, tree.str(key).filter(|key| !key.is_empty()).and_then(qualified)?))) {
        report.error(key_at, wrong);
    }
    // Servers look at the values of what is required only.
    let preferred = tree.parent(list).is_some_and(|term| tree.key(term) == "preference");
    if let Some(values) = values.filter(|_| !preferred) {
        texts(report, values, label_value);
    }
}

/// Spread constraints of one template: one for each topology key and `whenUnsatisfiable`.
pub(super) fn spread_list(report: &mut Report<'_>, list: NodeId) {
    super::lists::unique(report, &[list], "a constraint for", |tree, entry| {
        let (key, when) = (tree.get_str(entry, "topologyKey")?, tree.get_str(entry, "whenUnsatisfiable")?);
        Some(format!("{} {}", shown(key), shown(when)))
    });
}
