//! Label selectors: read as part of a preset, and checked inside Pod-shaped values.

use super::fields::{none_of, object, only, text, text_of, texts};
use super::names::{label_value, qualified};
use super::outline::{EXPRESSION, OPERATORS, SELECTOR};
use super::report::Report;
use crate::selector::{Requirement, Selector};
use crate::tree::{NodeId, View};

/// Reads a selector of the preset itself. What is wrong with it is reported, and left out.
pub(super) fn read(report: &mut Report<'_>, node: NodeId) -> Selector {
    let tree = report.tree;
    let mut selector = Selector::default();
    if !object(report, node) {
        return selector;
    }
    only(report, node, &SELECTOR);
    if let Some(labels) = tree.present(node, "matchLabels")
        && object(report, labels)
    {
        for label in tree.children(labels) {
            if let Some(value) = text_of(report, label) {
                selector.requirements.push(Requirement::In(tree.key(label).to_owned(), vec![value.to_owned()]));
            }
        }
    }
    if let Some(list) = tree.present(node, "matchExpressions") {
        if tree.view(list) != View::List {
            report.error(list, "must be a list of objects with key, operator and values");
            return selector;
        }
        for entry in tree.children(list) {
            if !object(report, entry) {
                continue;
            }
            only(report, entry, &EXPRESSION);
            selector.requirements.extend(expression(report, entry));
        }
    }
    check(report, node);
    selector
}

fn expression(report: &mut Report<'_>, entry: NodeId) -> Option<Requirement> {
    let tree = report.tree;
    for field in ["key", "operator"] {
        if tree.present(entry, field).is_none() {
            report.missing(entry, field, "is missing");
        }
    }
    let key = text(report, entry, "key").map(str::to_owned);
    let operator = text(report, entry, "operator");
    let values = texts(report, entry, "values").unwrap_or_default().into_iter().map(|(_, value)| value).collect();
    match operator? {
        "In" => Some(Requirement::In(key?, values)),
        "NotIn" => Some(Requirement::NotIn(key?, values)),
        "Exists" => Some(Requirement::Exists(key?)),
        "DoesNotExist" => Some(Requirement::DoesNotExist(key?)),
        _ => None,
    }
}

/// Checks what the terms of a selector say (apimachinery `ValidateLabelSelector`); types are checked elsewhere.
pub(super) fn check(report: &mut Report<'_>, selector: NodeId) {
    let tree = report.tree;
    if let Some(labels) = tree.present(selector, "matchLabels") {
        label_map(report, labels);
    }
    let Some(list) = tree.present(selector, "matchExpressions") else { return };
    for entry in tree.children(list) {
        if let Some(key) = tree.get(entry, "key") {
            check_text(report, key, qualified);
        }
        // Values that are no list were refused for that.
        let values = tree.present(entry, "values");
        let count = values.filter(|values| tree.view(*values) == View::List).map(|values| tree.count(values));
        let count = if values.is_none() { Some(0) } else { count };
        if let Some(node) = tree.get(entry, "operator") {
            match tree.str(node) {
                Some("In" | "NotIn") if count == Some(0) => report.missing(entry, "values", "In and NotIn need at least one value"),
                Some("Exists" | "DoesNotExist") if count.is_some_and(|count| count > 0) => {
                    report.error(tree.get(entry, "values").unwrap_or(entry), "Exists and DoesNotExist take no values: remove them");
                }
                Some(operator) if !OPERATORS.contains(&operator) => report.error(node, none_of(operator, &OPERATORS)),
                _ => {}
            }
        }
        for value in tree.present(entry, "values").into_iter().flat_map(|values| tree.children(values)) {
            check_text(report, value, label_value);
        }
    }
}

/// Checks keys and values of a map of labels.
pub(super) fn label_map(report: &mut Report<'_>, labels: NodeId) {
    let tree = report.tree;
    if tree.view(labels) != View::Object {
        return;
    }
    for label in tree.children(labels) {
        if let Some(wrong) = qualified(tree.key(label)) {
            report.error_at_key(label, format!("the key {wrong}"));
        }
        check_text(report, label, label_value);
    }
}

fn check_text(report: &mut Report<'_>, node: NodeId, check: super::names::Check) {
    if let Some(wrong) = report.tree.str(node).and_then(check) {
        report.error(node, wrong);
    }
}
