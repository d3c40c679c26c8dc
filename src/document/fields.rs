//! The preset's own structure: objects of which every field is known.

use super::report::Report;
use crate::schema::nearest;
use crate::tree::{NodeId, View};
use crate::yaml::shown;

/// Whether a node is an object; an error where it is not.
pub(super) fn object(report: &mut Report<'_>, node: NodeId) -> bool {
    let found = report.tree.view(node);
    if found == View::Object {
        return true;
    }
    report.error(node, format!("must be an object with fields, and is {}", kind_of(found)));
    false
}

/// Names every member that is none of the fields, with the nearest.
pub(super) fn only(report: &mut Report<'_>, object: NodeId, fields: &[&'static str]) {
    let tree = report.tree;
    for member in tree.children(object) {
        let key = tree.key(member);
        if !fields.contains(&key) {
            report.error_at_key(member, unknown(key, nearest(key, fields.iter().copied()), fields));
        }
    }
}

/// What is said of a field that is not known.
pub(super) fn unknown(key: &str, nearest: Option<&str>, fields: &[&str]) -> String {
    match nearest {
        Some(nearest) => format!("there is no field `{}` here: `{nearest}` is the nearest", shown(key)),
        None => format!("there is no field `{}` here: the fields are {}", shown(key), fields.join(", ")),
    }
}

/// A text, where there is one.
pub(super) fn text<'d>(report: &mut Report<'d>, object: NodeId, field: &str) -> Option<&'d str> {
    let node = report.tree.present(object, field)?;
    text_of(report, node)
}

/// The text that a node is; an error where it is something else.
pub(super) fn text_of<'d>(report: &mut Report<'d>, node: NodeId) -> Option<&'d str> {
    let tree = report.tree;
    match tree.view(node) {
        View::String(text) => Some(text),
        found => {
            report.error(node, not_text(found));
            None
        }
    }
}

/// What is said of a value that should be a text. The value is not in it: it may be a secret.
pub(super) fn not_text(found: View<'_>) -> String {
    match found {
        View::Int(_) | View::Number(_) => "must be a string, and is a number: put the value in quotes".to_owned(),
        View::Bool(_) => {
            "must be a string, and is a boolean (in YAML yes, no, on, off, y, n, true and false are): put the value in quotes".to_owned()
        }
        View::Null => "must be a string, and is null: write \"\" for an empty one".to_owned(),
        found => format!("must be a string, and is {}", kind_of(found)),
    }
}

/// A boolean, or what is meant without one.
pub(super) fn boolean(report: &mut Report<'_>, object: NodeId, field: &str, default: bool) -> bool {
    let Some(node) = report.tree.present(object, field) else { return default };
    match report.tree.view(node) {
        View::Bool(value) => value,
        found => {
            report.error(node, format!("must be true or false, and is {}", kind_of(found)));
            default
        }
    }
}

/// One of a few words, or what is meant without one.
pub(super) fn word<T: Copy + Default>(report: &mut Report<'_>, object: NodeId, field: &str, words: &[(&'static str, T)]) -> T {
    let Some(node) = report.tree.present(object, field) else { return T::default() };
    let Some(text) = text_of(report, node) else { return T::default() };
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => *value,
        None => {
            report.error(node, none_of(text, &words.iter().map(|(word, _)| *word).collect::<Vec<_>>()));
            T::default()
        }
    }
}

/// What is said of a text that is none of the words.
pub(super) fn none_of(text: &str, words: &[&str]) -> String {
    let listed = words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(", ");
    match nearest(text, words.iter().copied().filter(|word| !word.is_empty())) {
        Some(nearest) => format!("must be one of {listed}: `{nearest}` is the nearest"),
        None => format!("must be one of {listed}"),
    }
}

/// The texts of a list; `None` where the list is not there.
pub(super) fn texts(report: &mut Report<'_>, object: NodeId, field: &str) -> Option<Vec<(NodeId, String)>> {
    let tree = report.tree;
    let list = tree.present(object, field)?;
    if tree.view(list) != View::List {
        report.error(list, format!("must be a list of strings, and is {}", kind_of(tree.view(list))));
        return None;
    }
    let entries = tree.children(list);
    Some(entries.filter_map(|entry| text_of(report, entry).map(|text| (entry, text.to_owned()))).collect())
}

/// What a value is, in words.
pub(super) fn kind_of(view: View<'_>) -> &'static str {
    match view {
        View::Null => "null",
        View::Bool(_) => "a boolean",
        View::Int(_) | View::Number(_) => "a number",
        View::String(_) => "a string",
        View::List => "a list",
        View::Object => "an object",
    }
}
