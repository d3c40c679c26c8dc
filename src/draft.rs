//! The working copy of a Pod and the record of what was done to it.
//!
//! `add`, `replace` and `remove` write the operation and change the tree; nothing else can. So the patch never has to be found by comparing
//! two Pods, and touches nothing that no preset asked for.

use crate::fragment::Fragment;
use crate::tree::{HolderId, NodeId, Text, Tree, Value, write_number};

/// What an operation does (RFC 6902, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// Adds an entry or a member.
    Add,
    /// Replaces what is there: the Pod's value under `Override`, a default, or an outdated record.
    Replace,
    /// Removes `priority` or `preemptionPolicy`, which the API server filled in.
    Remove,
}

impl OpKind {
    /// The word of RFC 6902.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            OpKind::Add => "add",
            OpKind::Replace => "replace",
            OpKind::Remove => "remove",
        }
    }
}

/// Part of a preset, as it is put into a Pod.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The preset's fragment.
    pub of: &'a Fragment,
    /// Which part of it.
    pub node: NodeId,
    /// What is left out of it.
    pub without: Box<[NodeId]>,
}

impl<'a> Part<'a> {
    /// A whole part.
    #[must_use]
    pub fn whole(of: &'a Fragment, node: NodeId) -> Self {
        Part { of, node, without: Box::default() }
    }
}

/// The value of an operation.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// None: a removal.
    Nothing,
    /// An empty object, for a parent that is missing.
    Object,
    /// Part of a preset.
    Part(Part<'a>),
    /// A list with this one entry, where the list is missing.
    Listed(Part<'a>),
    /// A preset's version.
    Version(&'a str),
}

impl<'a> Content<'a> {
    /// Makes the value in a tree, hanging nowhere yet.
    pub fn make(&self, tree: &mut Tree<'a>, holder: HolderId) -> Option<NodeId> {
        match self {
            Content::Nothing => None,
            Content::Object => Some(tree.detached(Value::Object, holder)),
            Content::Part(part) => Some(tree.graft(part.of.tree(), part.node, &part.without, holder)),
            Content::Listed(part) => {
                let entry = tree.graft(part.of.tree(), part.node, &part.without, holder);
                let list = tree.detached(Value::List, holder);
                tree.insert(list, 0, entry);
                Some(list)
            }
            Content::Version(version) => Some(tree.detached(Value::String(Text::Borrowed(version)), holder)),
        }
    }

    /// Appends the value as JSON.
    pub fn write(&self, out: &mut String) {
        match self {
            Content::Nothing => {}
            Content::Object => out.push_str("{}"),
            Content::Part(part) => write_part(part, out),
            Content::Listed(part) => {
                out.push('[');
                write_part(part, out);
                out.push(']');
            }
            Content::Version(version) => crate::tree::write_json_string(version, out),
        }
    }
}

fn write_part(part: &Part<'_>, out: &mut String) {
    if part.without.is_empty() {
        out.push_str(part.of.text(part.node));
    } else {
        part.of.tree().write_without(part.node, &part.without, out);
    }
}

/// One recorded operation.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// Add, replace or remove.
    pub kind: OpKind,
    path: (u32, u32),
    /// What is added or put in the place.
    pub value: Content<'a>,
    /// Whose it is: the place in merge order, from 1; 0 for none.
    pub holder: HolderId,
}

#[cfg(test)]
impl Operation<'_> {
    /// Aims it where another one goes.
    pub(crate) fn aim_as(&mut self, other: &Operation<'_>) {
        self.path = other.path;
    }
}

/// The working copy and its record.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    tree: Tree<'a>,
    operations: Vec<Operation<'a>>,
    paths: String,
    held: Vec<(NodeId, &'a str, HolderId)>,
    /// What the operation before was in, and where its path stands.
    before: Option<(NodeId, usize, usize)>,
}

impl<'a> Draft<'a> {
    /// Starts on a copy of what was received.
    #[must_use]
    pub fn new(tree: Tree<'a>) -> Self {
        Draft { tree, operations: Vec::new(), paths: String::new(), held: Vec::new(), before: None }
    }

    /// The working copy.
    #[must_use]
    pub fn tree(&self) -> &Tree<'a> {
        &self.tree
    }

    /// What was done, in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation<'a>] {
        &self.operations
    }

    /// The JSON Pointer of an operation.
    #[must_use]
    pub fn path(&self, operation: &Operation<'_>) -> &str {
        &self.paths[operation.path.0 as usize..operation.path.1 as usize]
    }

    /// The record, to be spoilt by tests of the check that reads it.
    #[cfg(test)]
    pub(crate) fn operations_mut(&mut self) -> &mut Vec<Operation<'a>> {
        &mut self.operations
    }

    /// Takes the working copy and leaves the record behind.
    #[must_use]
    pub fn into_tree(self) -> Tree<'a> {
        self.tree
    }

    /// A preset's entry was there and equal: it holds it from now on.
    pub fn hold(&mut self, node: NodeId, holder: HolderId) {
        self.tree.hold(node, holder);
    }

    /// Says who holds this very node, and nothing below it.
    pub fn hold_only(&mut self, node: NodeId, holder: HolderId) {
        self.tree.hold_only(node, holder);
    }

    /// Takes over who holds what is in this working copy from a copy of it that was merged onto.
    pub fn hold_as(&mut self, merged: &Draft<'a>) {
        self.tree.hold_as(&merged.tree);
        let count = self.tree.len();
        self.held.extend(merged.held.iter().filter(|(object, _, _)| object.index() < count));
    }

    /// A preset's value equals the absence of a field: it holds that from now on.
    pub fn hold_absent(&mut self, object: NodeId, key: &'a str, holder: HolderId) {
        self.held.push((object, key, holder));
    }

    /// Who holds the absence of a field.
    #[must_use]
    pub fn absent_holder(&self, object: NodeId, key: &str) -> HolderId {
        self.held.iter().find(|(held, name, _)| *held == object && *name == key).map_or(0, |(_, _, holder)| *holder)
    }

    /// Adds a member to an object, also in the place of a null, or of a value that means absent.
    pub fn add_member(&mut self, object: NodeId, key: &'a str, value: Content<'a>, holder: HolderId) -> Option<NodeId> {
        let start = self.begin_in(object);
        push_token(&mut self.paths, key);
        let node = value.make(&mut self.tree, holder)?;
        self.tree.set_member(object, Text::Borrowed(key), node);
        self.record(OpKind::Add, start, value, holder);
        Some(node)
    }

    /// Adds an entry to the list `key` of an object, before the entry that is at `index`, and the list where it is missing.
    pub fn add_entry(&mut self, object: NodeId, key: &'a str, index: usize, part: Part<'a>, holder: HolderId) -> Option<NodeId> {
        let Some(list) = self.tree.present(object, key) else {
            let list = self.add_member(object, key, Content::Listed(part), holder)?;
            self.tree.hold_only(list, 0);
            return self.tree.children(list).next();
        };
        let start = self.begin_in(list);
        self.paths.push('/');
        if index != usize::MAX && index < self.tree.count(list) {
            write_number(index as i64, &mut self.paths);
        } else {
            self.paths.push('-');
        }
        let value = Content::Part(part);
        let node = value.make(&mut self.tree, holder)?;
        self.tree.insert(list, index, node);
        self.record(OpKind::Add, start, value, holder);
        Some(node)
    }

    /// Puts something else in the place of a node.
    pub fn replace(&mut self, node: NodeId, value: Content<'a>, holder: HolderId) -> Option<NodeId> {
        let start = self.begin();
        write_path(&self.tree, node, &mut self.paths);
        let new = value.make(&mut self.tree, holder)?;
        self.tree.exchange_keeping_key(node, new);
        self.record(OpKind::Replace, start, value, holder);
        Some(new)
    }

    /// Removes a member.
    pub fn remove(&mut self, node: NodeId, holder: HolderId) {
        let start = self.begin();
        write_path(&self.tree, node, &mut self.paths);
        self.tree.cut(node);
        self.record(OpKind::Remove, start, Content::Nothing, holder);
    }

    /// As [`Draft::begin`], with the path of what the next operation adds to. Many operations in a row add to the same, where nothing moves.
    fn begin_in(&mut self, parent: NodeId) -> u32 {
        let before = self.before.filter(|(node, ..)| *node == parent);
        let start = self.begin();
        match before {
            Some((_, from, to)) => self.paths.extend_from_within(from..to),
            None => write_path(&self.tree, parent, &mut self.paths),
        }
        self.before = Some((parent, start as usize, self.paths.len()));
        start
    }

    /// Where the path of the next operation will start. The first makes room for some: a merge that changes nothing needs none.
    fn begin(&mut self) -> u32 {
        if self.operations.is_empty() {
            self.operations.reserve(32);
            self.paths.reserve(1024);
        }
        self.before = None;
        self.paths.len() as u32
    }

    /// Says by other numbers whose the operations are.
    pub fn renumber(&mut self, number: impl Fn(HolderId) -> HolderId) {
        for operation in &mut self.operations {
            operation.holder = number(operation.holder);
        }
    }

    fn record(&mut self, kind: OpKind, start: u32, value: Content<'a>, holder: HolderId) {
        self.operations.push(Operation { kind, path: (start, self.paths.len() as u32), value, holder });
    }
}

/// Appends the JSON Pointer (RFC 6901) of a node.
pub fn write_path(tree: &Tree<'_>, node: NodeId, out: &mut String) {
    let Some(parent) = tree.parent(node) else { return };
    write_path(tree, parent, out);
    if matches!(tree.view(parent), crate::tree::View::List) {
        out.push('/');
        write_number(tree.position(node) as i64, out);
    } else {
        push_token(out, tree.key(node));
    }
}

/// Appends a slash and a member's name, escaped as RFC 6901 says.
pub fn push_token(out: &mut String, token: &str) {
    out.push('/');
    if !token.bytes().any(|byte| matches!(byte, b'~' | b'/')) {
        out.push_str(token);
        return;
    }
    for character in token.chars() {
        match character {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            other => out.push(other),
        }
    }
}
