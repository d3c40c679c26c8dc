//! What a field that is not there equals: its default, computed where it depends on something, or its zero value.

use super::image::pull_policy;
use super::{Place, Value, numbers_equal, quantities_equal, values_equal};
use crate::quantity::Quantity;
use crate::schema::{Default, Field, Kind, TypeId, Zero};
use crate::tree::View;

/// Whether the value of a field says what its absence in `owner` says: it is null, the API server's default, or a zero value that the server
/// drops or takes for absence. Under `host_network` an absent host port is the container port.
///
/// Of `tolerations` only the empty list is absence: which default ones the API server adds depends on all of them.
#[must_use]
pub fn equals_absent(field: &Field, owner: Place<'_>, value: Place<'_>, host_network: bool) -> bool {
    says_nothing(field, Some(owner), value, host_network)
}

/// `owner` is `None` inside of an object that is itself not there on the other side.
fn says_nothing(field: &Field, owner: Option<Place<'_>>, value: Place<'_>, host_network: bool) -> bool {
    if value.is_null() {
        return true;
    }
    if field.default == Some(Default::Computed) {
        return computed(field, owner, value, host_network);
    }
    if field.member {
        return false;
    }
    match field.kind {
        // An empty selector selects everything, an absent one nothing.
        Kind::Struct(TypeId::LABEL_SELECTOR) => false,
        Kind::Struct(id) => is_empty_object(id, value, host_network),
        _ => is_dropped_zero(field, value) || is_default(field, value),
    }
}

/// An object all of whose members say what their absence says.
fn is_empty_object(id: TypeId, value: Place<'_>, host_network: bool) -> bool {
    value.view() == View::Object
        && value.members().all(|member| id.get().field(member.key()).is_some_and(|field| says_nothing(field, None, member, host_network)))
}

fn is_default(field: &Field, value: Place<'_>) -> bool {
    match field.default {
        Some(Default::Bool(default)) => value.view() == View::Bool(default),
        Some(Default::Int(default)) => value.view() == View::Int(default) || numbers_equal(value.view(), View::Int(default)),
        Some(Default::Str(default)) if field.kind == Kind::Quantity => {
            Quantity::of(value.view()).is_some_and(|value| Quantity::parse(default) == Some(value))
        }
        Some(Default::Str(default)) => value.view() == View::String(default),
        Some(Default::Null | Default::Empty | Default::Computed) | None => false,
    }
}

fn is_dropped_zero(field: &Field, value: Place<'_>) -> bool {
    if !matches!(field.zero, Zero::Dropped | Zero::Default) {
        return false;
    }
    match (value.view(), field.kind) {
        (View::Bool(value), Kind::Bool) => !value,
        (View::String(""), Kind::String) => true,
        (view @ (View::Int(_) | View::Number(_)), Kind::Int32 | Kind::Int64) => view == View::Int(0) || numbers_equal(view, View::Int(0)),
        (view, Kind::Quantity) => Quantity::of(view) == Some(Quantity::ZERO),
        (View::List, Kind::List(_)) | (View::Object, Kind::StringMap | Kind::QuantityMap) => value.children().next().is_none(),
        _ => false,
    }
}

/// Defaults that depend on something else (`kubernetes/pod-defaults.json`).
fn computed(field: &Field, owner: Option<Place<'_>>, value: Place<'_>, host_network: bool) -> bool {
    let said = |key: &str| owner.and_then(|owner| owner.str(key)).filter(|text| !text.is_empty());
    match field.name {
        "emptyDir" => {
            // A volume without a source is an empty directory. A source that the table has not is a member of its own.
            let Kind::Struct(id) = field.kind else { return false };
            owner.is_some_and(|owner| !has_source(owner)) && is_empty_object(id, value, host_network)
        }
        "requests" => is_dropped_zero(field, value) || owner.is_some_and(|owner| requests_are_limits(owner, value)),
        "hostPort" => {
            let port = owner.filter(|_| host_network).and_then(|owner| owner.member("containerPort"));
            is_dropped_zero(field, value) || port.is_some_and(|port| values_equal(Value::Of(field.kind), port, value, host_network))
        }
        "imagePullPolicy" => is_text(value, "") || said("image").is_some_and(|image| is_text(value, pull_policy(image))),
        "pullPolicy" => is_text(value, "") || said("reference").is_some_and(|image| is_text(value, pull_policy(image))),
        // Each is the other's twin; `serviceAccountName` wins where both are there.
        "serviceAccountName" => is_text(value, "") || is_text(value, said("serviceAccount").unwrap_or("default")),
        "serviceAccount" => is_text(value, "") || is_text(value, said("serviceAccountName").unwrap_or("default")),
        // With a class they are the class's.
        "priority" => said("priorityClassName").is_none() && is_dropped_zero(field, value),
        "preemptionPolicy" => said("priorityClassName").is_none() && is_text(value, "PreemptLowerPriority"),
        _ => is_dropped_zero(field, value),
    }
}

fn is_text(value: Place<'_>, text: &str) -> bool {
    value.view() == View::String(text)
}

fn has_source(volume: Place<'_>) -> bool {
    volume.members().any(|member| TypeId::VOLUME.get().field(member.key()).is_some_and(|field| field.member))
}

/// Whether a field is the requests of a container or of a Pod, which the API server fills up from the limits.
pub(super) fn is_requests(field: &Field) -> bool {
    field.kind == Kind::QuantityMap && field.default == Some(Default::Computed)
}

/// Requests, each filled up with the limits beside it.
pub(super) fn requests_equal(left_owner: Place<'_>, left: Place<'_>, right_owner: Place<'_>, right: Place<'_>) -> bool {
    if !left.is_object() || !right.is_object() {
        return values_equal(Value::Of(Kind::QuantityMap), left, right, false);
    }
    filled_up(left_owner, left, right_owner, right) && filled_up(right_owner, right, left_owner, left)
}

/// Every request that is stated or filled up on the left is the same on the right.
fn filled_up(left_owner: Place<'_>, left: Place<'_>, right_owner: Place<'_>, right: Place<'_>) -> bool {
    let (left_limits, right_limits) = (copied_limits(left_owner), copied_limits(right_owner));
    let stated = |place: Place<'_>, key: &str| place.tree.get(place.node, key);
    let same = |mine: Place<'_>| {
        let theirs = stated(right, mine.key())
            .map(|node| right.at(node))
            .or_else(|| right_limits.and_then(|limits| stated(limits, mine.key()).map(|node| limits.at(node))));
        theirs.is_some_and(|theirs| quantities_equal(mine, theirs, true))
    };
    left.children().all(same)
        && left_limits.is_none_or(|limits| limits.children().filter(|limit| stated(left, limit.key()).is_none()).all(same))
}

fn requests_are_limits(owner: Place<'_>, value: Place<'_>) -> bool {
    let limits = copied_limits(owner);
    value.view() == View::Object
        && value.children().all(|mine| {
            limits.is_some_and(|limits| {
                limits.tree.get(limits.node, mine.key()).is_some_and(|limit| quantities_equal(mine, limits.at(limit), true))
            })
        })
}

/// The limits that become requests. Not those of the Pod itself: there the containers' requests come first, and they are not at hand.
fn copied_limits(owner: Place<'_>) -> Option<Place<'_>> {
    let of_pod = owner.tree.parent(owner.node).is_some_and(|parent| owner.tree.key(parent) == "spec");
    owner.member("limits").filter(|limits| !of_pod && limits.view() == View::Object)
}
