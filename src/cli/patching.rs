//! Applying operations to a tree. What was there keeps its [`NodeId`], so that the text of the document can be edited.

use serde::de::DeserializeSeed;

use crate::tree::{NodeId, Text, Tree, TreeSeed, View};

/// An operation on a document: RFC 6902, with a path from the document's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `add`, `replace` or `remove`.
    pub op: &'static str,
    /// A JSON Pointer.
    pub path: String,
    /// JSON text; "" for a removal.
    pub value: String,
}

/// Applies one operation. `None` where it does not apply.
pub fn apply<'a>(tree: &mut Tree<'a>, operation: &'a Operation) -> Option<()> {
    let (parent, token) = locate(tree, &operation.path)?;
    if operation.op == "remove" {
        let old = child(tree, parent, &token)?;
        tree.cut(old);
        return Some(());
    }
    let mut reader = serde_json::Deserializer::from_str(&operation.value);
    let value = TreeSeed { tree: &mut *tree, parent: None, key: Text::Borrowed(""), skip: &[] }.deserialize(&mut reader).ok()?;
    if operation.op == "replace" {
        let old = child(tree, parent, &token)?;
        tree.exchange_keeping_key(old, value);
        return Some(());
    }
    match tree.view(parent) {
        View::Object => {
            let key = tree.keep(&token);
            tree.set_member(parent, key, value);
        }
        View::List => {
            let count = tree.count(parent);
            let index = if token == "-" { count } else { token.parse().ok().filter(|index| *index <= count)? };
            tree.insert(parent, index, value);
        }
        _ => return None,
    }
    Some(())
}

/// The node that a JSON Pointer names.
#[must_use]
pub fn find(tree: &Tree<'_>, path: &str) -> Option<NodeId> {
    if path.is_empty() {
        return Some(NodeId::ROOT);
    }
    let (parent, token) = locate(tree, path)?;
    child(tree, parent, &token)
}

/// The steps of a JSON Pointer, unescaped.
pub fn steps(path: &str) -> impl Iterator<Item = String> {
    path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
}

fn locate(tree: &Tree<'_>, path: &str) -> Option<(NodeId, String)> {
    let mut steps = steps(path).peekable();
    let mut node = NodeId::ROOT;
    loop {
        let step = steps.next()?;
        if steps.peek().is_none() {
            return Some((node, step));
        }
        node = child(tree, node, &step)?;
    }
}

fn child(tree: &Tree<'_>, node: NodeId, step: &str) -> Option<NodeId> {
    match tree.view(node) {
        View::Object => tree.get(node, step),
        View::List => tree.children(node).nth(step.parse().ok()?),
        _ => None,
    }
}
