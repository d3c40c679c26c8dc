//! The patch that is sent, and the check that it passes before.
//!
//! A patch that does not apply is a 500 to the user even under `failurePolicy: Ignore`, so nothing is sent that was not applied first: to a
//! second view of the received object, in order, by a reading of RFC 6902 that shares nothing with the merge but the grafting.

use std::borrow::Cow;

use crate::draft::{Draft, OpKind};
use crate::tree::{NodeId, Tree, View, write_json_string};

/// What the self-check found.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// An operation does not apply to the received object.
    #[error("operation {index} does not apply at {path}")]
    DoesNotApply {
        /// Its place in the patch.
        index: usize,
        /// Its JSON Pointer.
        path: String,
    },
    /// The operations lead to another Pod than the merge did.
    #[error("the operations do not give the Pod that the merge gave")]
    Differs,
    /// A second merge would change the Pod again.
    #[error("a second merge is not empty: it would {0}")]
    NotSettled(String),
}

/// Applies the operations of a draft to the received object and compares.
///
/// # Errors
/// Where an operation does not apply, or the result is not the working copy.
pub fn check<'a>(draft: &Draft<'a>, received: &mut Tree<'a>) -> Result<(), Fault> {
    // Where the operation before was: one in the same place need not be looked for, as nothing above it has changed.
    let mut before = ("", NodeId::ROOT);
    for (index, operation) in draft.operations().iter().enumerate() {
        let path = draft.path(operation);
        let fault = || Fault::DoesNotApply { index, path: path.to_owned() };
        let end = path.bytes().rposition(|byte| byte == b'/').ok_or_else(fault)?;
        let (above, token) = (&path[..end], &path[end + 1..]);
        if above != before.0 {
            before = (above, locate(received, above).ok_or_else(fault)?);
        }
        let (parent, token) = (before.1, unescaped(token));
        let value = operation.value.make(received, 0);
        apply(received, operation.kind, parent, &token, value).ok_or_else(fault)?;
    }
    let same = received.built_alike(draft.tree()) || received.same(NodeId::ROOT, draft.tree(), NodeId::ROOT);
    if same { Ok(()) } else { Err(Fault::Differs) }
}

/// The node of a JSON Pointer.
fn locate(tree: &Tree<'_>, path: &str) -> Option<NodeId> {
    let mut node = NodeId::ROOT;
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('/')?;
        let end = rest.bytes().position(|byte| byte == b'/').unwrap_or(rest.len());
        node = child(tree, node, &unescaped(&rest[..end]))?;
        rest = &rest[end..];
    }
    Some(node)
}

fn unescaped(step: &str) -> Cow<'_, str> {
    let plain = !step.bytes().any(|byte| byte == b'~');
    if plain {
        return Cow::Borrowed(step);
    }
    let mut pieces = step.split('~');
    let mut out = String::with_capacity(step.len());
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (character, rest) = match (piece.strip_prefix('1'), piece.strip_prefix('0')) {
            (Some(rest), _) => ('/', rest),
            (_, Some(rest)) => ('~', rest),
            _ => ('~', piece),
        };
        out.push(character);
        out.push_str(rest);
    }
    Cow::Owned(out)
}

fn child(tree: &Tree<'_>, node: NodeId, step: &str) -> Option<NodeId> {
    match tree.view(node) {
        View::Object => tree.get(node, step),
        View::List => tree.children(node).nth(step.parse().ok()?),
        _ => None,
    }
}

fn apply<'a>(tree: &mut Tree<'a>, kind: OpKind, parent: NodeId, token: &str, value: Option<NodeId>) -> Option<()> {
    match (kind, value) {
        (OpKind::Add, Some(value)) => match tree.view(parent) {
            View::Object => {
                let key = tree.keep(token);
                tree.set_member(parent, key, value);
            }
            View::List => {
                let count = tree.count(parent);
                let index = if token == "-" { count } else { token.parse().ok().filter(|index| *index <= count)? };
                tree.insert(parent, index, value);
            }
            _ => return None,
        },
        (OpKind::Replace, Some(value)) => {
            let old = child(tree, parent, token)?;
            tree.exchange_keeping_key(old, value);
        }
        (OpKind::Remove, None) => {
            let old = child(tree, parent, token)?;
            tree.cut(old);
        }
        _ => return None,
    }
    Some(())
}

/// Appends the operations as the JSON array that RFC 6902 describes.
pub fn write(draft: &Draft<'_>, out: &mut String) {
    out.push('[');
    for (count, operation) in draft.operations().iter().enumerate() {
        if count > 0 {
            out.push(',');
        }
        out.push_str("{\"op\":\"");
        out.push_str(operation.kind.word());
        out.push_str("\",\"path\":");
        write_json_string(draft.path(operation), out);
        if operation.kind != OpKind::Remove {
            out.push_str(",\"value\":");
            operation.value.write(out);
        }
        out.push('}');
    }
    out.push(']');
}

#[cfg(test)]
mod tests;
