//! Pod-shaped values against the table of types: what is known must have its type, what is not known passes with a warning.

use super::fields::{kind_of, none_of, not_text};
use super::names::Check;
use super::report::Report;
use super::rules::{self, tables};
use crate::quantity::Quantity;
use crate::schema::{Field, Kind, List, Type, TypeId, Zero, words};
use crate::tree::{NodeId, View};
use crate::yaml::shown;

/// Whether a value is taken as it is, or merged field by field into what the Pod has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// As it is: what it needs must be there.
    Yes,
    /// The Pod may have the rest.
    No,
}

/// Checks a value of a type.
pub(super) fn value(report: &mut Report<'_>, kind: Kind, node: NodeId, whole: Whole) {
    let tree = report.tree;
    match (kind, tree.view(node)) {
        (Kind::Struct(id), _) => structure(report, id, node, whole),
        (Kind::List(list), View::List) => entries(report, list, node),
        (Kind::List(_), found) => report.error(node, format!("must be a list, and is {}", kind_of(found))),
        (Kind::Bool, View::Bool(_)) | (Kind::String, View::String(_)) | (Kind::Opaque, _) => {}
        (Kind::Bool, View::String(_)) => report.error(node, "must be true or false, and is a string: remove the quotes"),
        (Kind::Bool, found) => report.error(node, format!("must be true or false, and is {}", kind_of(found))),
        (Kind::String, found) => report.error(node, not_text(found)),
        (Kind::Int32, View::Int(value)) if i32::try_from(value).is_ok() => {}
        (Kind::Int64, View::Int(_)) => {}
        (Kind::IntOrString, View::Int(value)) if i32::try_from(value).is_ok() => {}
        (Kind::IntOrString, View::String(_)) => {}
        (Kind::Int32 | Kind::Int64 | Kind::IntOrString, found) => report.error(node, not_whole_number(kind, found)),
        (Kind::Quantity, found) => quantity(report, node, found),
        (Kind::StringMap | Kind::QuantityMap, View::Object) => {
            let of = if kind == Kind::StringMap { Kind::String } else { Kind::Quantity };
            for member in tree.children(node) {
                if tree.view(member) == View::Null {
                    report.error(
                        member,
                        "must not be null: the API server would make an empty value of it; remove the key, or give it a value",
                    );
                } else {
                    value(report, of, member, Whole::Yes);
                }
            }
        }
        (Kind::StringMap | Kind::QuantityMap, found) => report.error(node, format!("must be an object, and is {}", kind_of(found))),
    }
}

fn not_whole_number(kind: Kind, found: View<'_>) -> String {
    let range = if kind == Kind::Int64 { "64" } else { "32" };
    match found {
        View::Number(text) if text.contains(['.', 'e', 'E']) => "must be a whole number, without a fraction or exponent".to_owned(),
        View::Int(_) | View::Number(_) => format!("must be a number of {range} bits, and is too large or too small"),
        View::String(_) => "must be a number, and is a string: remove the quotes".to_owned(),
        found if kind == Kind::IntOrString => format!("must be a number or a name, and is {}", kind_of(found)),
        found => format!("must be a number, and is {}", kind_of(found)),
    }
}

fn quantity(report: &mut Report<'_>, node: NodeId, found: View<'_>) {
    if !matches!(found, View::Int(_) | View::Number(_) | View::String(_)) {
        report.error(node, format!("must be a quantity such as 100m or 1Gi, and is {}", kind_of(found)));
    } else if Quantity::of(found).is_none() {
        report.error(node, "is no quantity: write a number with a suffix such as m, k, M, G, Ki, Mi or Gi, without a blank");
    }
}

fn entries(report: &mut Report<'_>, list: &List, node: NodeId) {
    let tree = report.tree;
    for entry in tree.children(node) {
        if tree.view(entry) == View::Null {
            report.error(entry, "must not be null: the API server would make an empty entry of it; remove it, or give it a value");
            continue;
        }
        // A container without an image is merged into one that is there; other entries are taken as they are.
        let partial = list.of == Kind::Struct(TypeId::CONTAINER) && tree.present(entry, "image").is_none();
        let whole = if partial { Whole::No } else { Whole::Yes };
        value(report, list.of, entry, whole);
    }
}

/// Checks an object of a type.
pub(super) fn structure(report: &mut Report<'_>, id: TypeId, node: NodeId, whole: Whole) {
    let tree = report.tree;
    let of = id.get();
    if tree.view(node) != View::Object {
        report.error(node, format!("must be an object with fields, and is {}", kind_of(tree.view(node))));
        return;
    }
    for member in tree.children(node) {
        let key = tree.key(member);
        match of.field(key) {
            Some(known) => field(report, of, known, member, whole),
            None => report.warn_at_key(member, not_known(of, key)),
        }
    }
    if whole == Whole::Yes {
        for field in of.fields {
            let needed = (field.required && field.zero == Zero::Refused) || tables::needed(of.name, field.name);
            if needed && tree.present(node, field.name).is_none() {
                report.missing(node, field.name, "is missing: no API server takes a Pod without it");
            }
        }
    }
    rules::check(report, id, node, whole);
}

fn not_known(of: &Type, key: &str) -> String {
    let meant = of.nearest(key).map_or_else(String::new, |nearest| format!(" (`{nearest}` is the nearest)"));
    format!(
        "Kubernetes up to 1.36 has no field `{}` in {}{meant}: an API server that does not know it drops it without a word",
        shown(key),
        of.name
    )
}

/// Checks the value of a field that is known. null is absent.
pub(super) fn field(report: &mut Report<'_>, of: &'static Type, field: &'static Field, node: NodeId, whole: Whole) {
    let tree = report.tree;
    if tree.view(node) == View::Null {
        return;
    }
    let below = match field.kind {
        // These are one value, not merged field by field.
        Kind::Struct(id) if id.get().union || id.get().atomic => Whole::Yes,
        _ => whole,
    };
    value(report, field.kind, node, below);
    match tree.view(node) {
        View::String("") if field.zero == Zero::Refused && field.kind == Kind::String => report.error(node, "must not be empty"),
        View::String(text) if field.kind == Kind::String => self::text(report, of, field, node, text),
        View::Int(number) if field.kind != Kind::Int32 || i32::try_from(number).is_ok() => {
            tables::in_range(report, of.name, field.name, node, number);
        }
        View::List => {
            let mut entries = tree.children(node).peekable();
            if entries.peek().is_none() && below == Whole::Yes && tables::not_empty(of.name, field) {
                report.error(node, "must not be empty");
            }
            for entry in entries {
                match tree.view(entry) {
                    View::String(text) => self::text(report, of, field, entry, text),
                    View::Int(number) => tables::in_range(report, of.name, field.name, entry, number),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    if field.kind == Kind::IntOrString {
        tables::port(report, node);
    }
}

fn text(report: &mut Report<'_>, of: &Type, field: &Field, node: NodeId, text: &str) {
    let in_list = matches!(field.kind, Kind::List(_));
    if let Some(words) = words(of.name, field.name)
        && !words.contains(&text)
        && (in_list || !text.is_empty())
    {
        report.error(node, none_of(text, words));
    }
    let check: Option<Check> = tables::check_of(of.name, field.name);
    if let Some(wrong) = check.filter(|_| in_list || !text.is_empty()).and_then(|check| check(text)) {
        report.error(node, wrong);
    }
}
