//! Equality as Kubernetes sees it: two values are equal where the API server's own defaulting makes the same of both.
//!
//! The rules are those of the recorded table ([`crate::schema`]): an absent field equals its default, and its zero value where the server
//! drops it or takes it for absence; `{}` of a struct equals absence, but not as a member of a union, as a label selector or as an entry of a
//! list; null is absence as a member of an object, and the zero value as a value of a map or an entry of a list. Keys of maps always count,
//! and so do fields that the table has not.

mod absent;
mod image;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

pub use absent::equals_absent;
pub use image::pull_policy;

use crate::quantity::Quantity;
use crate::schema::{Field, Kind, List, Merge, Type, TypeId};
use crate::tree::{NodeId, Tree, View};

/// A node together with the tree that it is of.
#[derive(Clone, Copy, Debug)]
pub struct Place<'t> {
    /// The tree.
    pub tree: &'t Tree<'t>,
    /// The node.
    pub node: NodeId,
}

impl<'t> Place<'t> {
    /// A node of a tree.
    #[must_use]
    pub fn new(tree: &'t Tree<'t>, node: NodeId) -> Self {
        Place { tree, node }
    }

    fn at(self, node: NodeId) -> Self {
        Place { node, ..self }
    }

    fn view(self) -> View<'t> {
        self.tree.view(self.node)
    }

    fn key(self) -> &'t str {
        self.tree.key(self.node)
    }

    fn children(self) -> impl Iterator<Item = Place<'t>> + Clone {
        self.tree.children(self.node).map(move |child| self.at(child))
    }

    /// Members that are there and not null.
    fn members(self) -> impl Iterator<Item = Place<'t>> + Clone {
        self.children().filter(|member| !member.is_null())
    }

    fn member(self, key: &str) -> Option<Self> {
        self.tree.present(self.node, key).map(|node| self.at(node))
    }

    fn str(self, key: &str) -> Option<&'t str> {
        self.tree.get_str(self.node, key)
    }

    fn is_null(self) -> bool {
        self.view() == View::Null
    }

    /// An object, or the null that stands for an empty one.
    fn is_object(self) -> bool {
        matches!(self.view(), View::Object | View::Null)
    }

    fn is_list(self) -> bool {
        matches!(self.view(), View::List | View::Null)
    }
}

/// Whether two values that are both there, of the same kind, are equal. Under `host_network` an absent host port equals its container port.
///
/// Two texts or numbers equal only each other: where both are a field's value, and one is the zero value and the other the default, ask
/// [`fields_equal`]. A quantity right below `limits`, `requests` or `overhead` is rounded up to thousandths first, as the server does.
#[must_use]
pub fn equal(kind: Kind, left: Place<'_>, right: Place<'_>, host_network: bool) -> bool {
    let rounded = kind == Kind::Quantity && (in_resource_list(left) || in_resource_list(right));
    values_equal(if rounded { Value::Resource } else { Value::Of(kind) }, left, right, host_network)
}

/// Whether a field that is there in two objects of its type has equal values.
#[must_use]
pub fn fields_equal(
    field: &Field,
    left_owner: Place<'_>,
    left: Place<'_>,
    right_owner: Place<'_>,
    right: Place<'_>,
    host_network: bool,
) -> bool {
    if absent::is_requests(field) {
        return absent::requests_equal(left_owner, left, right_owner, right);
    }
    // A zero value that says what its absence says there: then the other has to say that too. Of two values that both say something, each may
    // be the default where it stands, and still be another.
    let as_absent = |owner: Place<'_>, silent: Place<'_>, other: Place<'_>| {
        matches!(silent.tree.view(silent.node), View::Null | View::String("") | View::Int(0) | View::Bool(false))
            && equals_absent(field, owner, silent, host_network)
            && equals_absent(field, owner, other, host_network)
    };
    equal(field.kind, left, right, host_network)
        || (is_scalar(field.kind) && (as_absent(left_owner, left, right) || as_absent(right_owner, right, left)))
}

/// A kind, or what a map of resources holds.
#[derive(Clone, Copy)]
enum Value {
    Of(Kind),
    Resource,
}

fn values_equal(value: Value, left: Place<'_>, right: Place<'_>, host_network: bool) -> bool {
    match value {
        Value::Resource => quantities_equal(left, right, true),
        Value::Of(Kind::Quantity) => quantities_equal(left, right, false),
        Value::Of(Kind::Struct(id)) if left.is_object() && right.is_object() => objects_equal(id, left, right, host_network),
        Value::Of(Kind::List(list)) if left.is_list() && right.is_list() => lists_equal(list, left, right, host_network),
        Value::Of(Kind::StringMap) if left.is_object() && right.is_object() => maps_equal(Value::Of(Kind::String), left, right),
        Value::Of(Kind::QuantityMap) if left.is_object() && right.is_object() => maps_equal(Value::Resource, left, right),
        Value::Of(kind) => structurally_equal(zero_of(kind, left), left, zero_of(kind, right), right),
    }
}

fn objects_equal(id: TypeId, left: Place<'_>, right: Place<'_>, host_network: bool) -> bool {
    let of = id.get();
    let mut shared = 0;
    // Both were mostly written in the same order, so the next member of the other is tried first.
    let mut others = right.members();
    for mine in left.members() {
        let key = mine.key();
        let ahead = others.clone().next().filter(|other| other.key() == key);
        let theirs = if ahead.is_some() { others.next() } else { right.member(key) };
        let equal = match (of.field(key), theirs) {
            (Some(field), Some(theirs)) => fields_equal(field, left, mine, right, theirs, host_network),
            (None, Some(theirs)) => structurally_equal(mine.view(), mine, theirs.view(), theirs),
            (_, None) => member_equals_absent(of, right, mine, host_network),
        };
        if !equal {
            return false;
        }
        shared += usize::from(theirs.is_some());
    }
    right.members().count() == shared
        || right.members().all(|theirs| left.member(theirs.key()).is_some() || member_equals_absent(of, left, theirs, host_network))
}

fn member_equals_absent(of: &Type, owner: Place<'_>, value: Place<'_>, host_network: bool) -> bool {
    of.field(value.key()).is_some_and(|field| equals_absent(field, owner, value, host_network))
}

fn lists_equal(list: &List, left: Place<'_>, right: Place<'_>, host_network: bool) -> bool {
    let entries_equal = |mine: Place<'_>, theirs: Place<'_>| values_equal(Value::Of(list.of), mine, theirs, host_network);
    if list.merge == Merge::Set {
        let within = |some: Place<'_>, all: Place<'_>| some.children().all(|entry| all.children().any(|other| entries_equal(entry, other)));
        return within(left, right) && within(right, left);
    }
    let (mut mine, mut theirs) = (left.children(), right.children());
    loop {
        match (mine.next(), theirs.next()) {
            (None, None) => return true,
            (Some(mine), Some(theirs)) if entries_equal(mine, theirs) => {}
            _ => return false,
        }
    }
}

fn maps_equal(value: Value, left: Place<'_>, right: Place<'_>) -> bool {
    left.children().count() == right.children().count()
        && left
            .children()
            .all(|mine| right.tree.get(right.node, mine.key()).is_some_and(|theirs| values_equal(value, mine, right.at(theirs), false)))
}

fn quantities_equal(left: Place<'_>, right: Place<'_>, rounded: bool) -> bool {
    let (mine, theirs) = (zero_of(Kind::Quantity, left), zero_of(Kind::Quantity, right));
    if mine == theirs && !matches!(mine, View::List | View::Object) {
        return true;
    }
    match (Quantity::of(mine), Quantity::of(theirs)) {
        (Some(mine), Some(theirs)) if rounded => mine.round_up_to_milli() == theirs.round_up_to_milli(),
        (Some(mine), Some(theirs)) => mine == theirs,
        _ => structurally_equal(mine, left, theirs, right),
    }
}

/// Equality of what the table does not know: to the letter, but numbers by value, members in any order, and null members as if absent.
fn structurally_equal(mine: View<'_>, left: Place<'_>, theirs: View<'_>, right: Place<'_>) -> bool {
    match (mine, theirs) {
        (View::List, View::List) => {
            let (mut mine, mut theirs) = (left.children(), right.children());
            loop {
                match (mine.next(), theirs.next()) {
                    (None, None) => return true,
                    (Some(mine), Some(theirs)) if structurally_equal(mine.view(), mine, theirs.view(), theirs) => {}
                    _ => return false,
                }
            }
        }
        (View::Object, View::Object) => {
            left.members().count() == right.members().count()
                && left
                    .members()
                    .all(|mine| right.member(mine.key()).is_some_and(|theirs| structurally_equal(mine.view(), mine, theirs.view(), theirs)))
        }
        (mine, theirs) => mine == theirs || numbers_equal(mine, theirs),
    }
}

/// Null as Go decodes it into a value that is no pointer: the zero value.
fn zero_of(kind: Kind, place: Place<'_>) -> View<'_> {
    match (place.view(), kind) {
        (View::Null, Kind::Bool) => View::Bool(false),
        (View::Null, Kind::Int32 | Kind::Int64 | Kind::IntOrString | Kind::Quantity) => View::Int(0),
        (View::Null, Kind::String) => View::String(""),
        (view, _) => view,
    }
}

fn is_scalar(kind: Kind) -> bool {
    matches!(kind, Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::String | Kind::Quantity | Kind::IntOrString)
}

fn in_resource_list(place: Place<'_>) -> bool {
    place.tree.parent(place.node).is_some_and(|parent| matches!(place.tree.key(parent), "limits" | "requests" | "overhead"))
}

/// Whether two numbers have the same value, however they are written. JSON's own notation; anything else is no number here.
fn numbers_equal(left: View<'_>, right: View<'_>) -> bool {
    let number = |view: View<'_>| match view {
        View::Int(value) => Decimal::of(&value.to_string()),
        View::Number(text) => Decimal::of(text),
        _ => None,
    };
    match (left, right) {
        (View::Int(left), View::Int(right)) => left == right,
        (View::Int(_) | View::Number(_), View::Int(_) | View::Number(_)) => number(left).is_some_and(|left| number(right) == Some(left)),
        _ => false,
    }
}

/// A number as digits without zeros around them, and the power of ten of the last.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0').trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits, exponent: 0 });
        }
        let dropped = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent.saturating_add(i64::try_from(dropped).ok()?).saturating_sub(i64::try_from(fraction.len()).ok()?);
        Some(Decimal { negative, digits, exponent })
    }
}
