//! A JSON document in one flat vector of nodes.
//!
//! Nodes are `Copy` and know each other by index, strings are borrowed from the text that was read. So a second copy of a Pod is one copy of
//! memory, grafting a preset copies a few nodes, and fields that no Kubernetes release knows pass through like any other. Numbers that fit an
//! `i64` are kept as such, all others as they were written.

mod read;
mod scan;
mod write;

pub use read::{Duplicate, TreeSeed, Unread, parse};
pub use scan::Scanner;
pub use write::{write_json_string, write_number};

/// The index of a node. It means something in the tree that gave it and in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

const NONE: u32 = u32::MAX;

impl NodeId {
    /// The root of every tree that is not empty.
    pub const ROOT: NodeId = NodeId(0);

    /// The node that stands to this one as `of` stands to `from`, where both subtrees were copied one from the other in order.
    #[must_use]
    pub fn moved_by(self, from: NodeId, of: NodeId) -> NodeId {
        NodeId(self.0 + of.0.saturating_sub(from.0))
    }

    /// The index as a number, for tables that run parallel to the nodes.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Who put a node where it is: 0 is the document's author, any other number the place of a preset in merge order, counted from 1.
pub type HolderId = u32;

/// A text: borrowed from what was read, or a range of the tree's own string (it had escapes, or the tree was built).
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// Part of the text that was read, or of a preset's fragment.
    Borrowed(&'a str),
    /// Start and length in the tree's own text.
    Own(u32, u32),
}

/// What a node is. Children of lists and objects hang on the node itself.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number that fits an `i64`.
    Int(i64),
    /// Any other number, as it was written.
    Number(Text<'a>),
    /// A string.
    String(Text<'a>),
    /// A list; its entries are the children.
    List,
    /// An object; its members are the children, each with a key.
    Object,
}

#[derive(Clone, Copy, Debug)]
struct Node<'a> {
    key: Text<'a>,
    value: Value<'a>,
    parent: u32,
    first: u32,
    last: u32,
    next: u32,
    holder: HolderId,
}

impl<'a> Node<'a> {
    /// Makes the texts of a node that was copied from the tree `from` such that are borrowed from there.
    #[inline]
    fn borrow(&mut self, from: &'a Tree<'a>) {
        self.key = borrow(from, self.key);
        if let Value::Number(text) | Value::String(text) = &mut self.value {
            *text = borrow(from, *text);
        }
    }

    const NOTHING: Self =
        Node { key: Text::Borrowed(""), value: Value::Null, parent: NONE, first: NONE, last: NONE, next: NONE, holder: 0 };
}

/// A node's value with its text looked up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View<'t> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number that fits an `i64`.
    Int(i64),
    /// Any other number, as it was written.
    Number(&'t str),
    /// A string, unescaped.
    String(&'t str),
    /// A list.
    List,
    /// An object.
    Object,
}

/// A JSON document. `'a` is the life of the text it borrows from: a request body, or the presets.
#[derive(Clone, Debug, Default)]
pub struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    own: String,
}

impl<'a> Tree<'a> {
    /// An empty tree; the first node that is pushed becomes the root.
    #[must_use]
    pub fn new() -> Self {
        Tree { nodes: Vec::new(), own: String::new() }
    }

    /// An empty tree with room for `nodes` nodes.
    #[must_use]
    pub fn with_capacity(nodes: usize) -> Self {
        Tree { nodes: Vec::with_capacity(nodes), own: String::new() }
    }

    /// A tree that starts as an empty object.
    #[must_use]
    pub fn object() -> Self {
        let mut tree = Tree::new();
        tree.push(None, Text::Borrowed(""), Value::Object);
        tree
    }

    /// How many nodes there are, also those that were cut off.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was read or built yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of all keys and strings: less than the document has as JSON.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text_bytes_from(0)
    }

    /// As [`Tree::text_bytes`], of the nodes that came after the first `nodes`.
    #[must_use]
    pub fn text_bytes_from(&self, nodes: usize) -> usize {
        let length = |text: Text<'_>| match text {
            Text::Borrowed(text) => text.len(),
            Text::Own(_, length) => length as usize,
        };
        let value = |value: Value<'_>| match value {
            Value::String(text) | Value::Number(text) => length(text),
            _ => 1,
        };
        self.nodes.iter().skip(nodes).map(|node| length(node.key) + value(node.value)).sum()
    }

    /// A copy in which nobody but the document's author holds anything, with room for what a few presets add.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut nodes = Vec::with_capacity(self.nodes.len() + 160);
        nodes.extend(self.nodes.iter().map(|node| Node { holder: 0, ..*node }));
        let mut own = String::new();
        if !self.own.is_empty() {
            own.reserve_exact(self.own.len() + 256);
            own.push_str(&self.own);
        }
        Tree { nodes, own }
    }

    /// Empties the tree and keeps its memory.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.own.clear();
    }

    /// Stores a text in the tree itself.
    pub fn keep(&mut self, text: &str) -> Text<'a> {
        let start = self.own.len() as u32;
        self.own.push_str(text);
        Text::Own(start, text.len() as u32)
    }

    /// Adds a node as the last child of `parent`. `key` counts only where the parent is an object.
    pub fn push(&mut self, parent: Option<NodeId>, key: Text<'a>, value: Value<'a>) -> NodeId {
        let id = self.nodes.len() as u32;
        let parent_index = parent.map_or(NONE, |parent| parent.0);
        self.nodes.push(Node { key, value, parent: parent_index, first: NONE, last: NONE, next: NONE, holder: 0 });
        if let Some(parent) = parent {
            self.link_last(parent, id);
        }
        NodeId(id)
    }

    /// As [`Tree::push`], where the child before is known; [`Tree::close`] must follow the last.
    #[inline]
    fn push_after(&mut self, parent: NodeId, before: Option<NodeId>, key: Text<'a>, value: Value<'a>) -> NodeId {
        let id = self.nodes.len() as u32;
        match before {
            Some(before) => self.nodes[before.index()].next = id,
            None => self.nodes[parent.index()].first = id,
        }
        self.nodes.push(Node { key, value, parent: parent.0, first: NONE, last: NONE, next: NONE, holder: 0 });
        NodeId(id)
    }

    fn close(&mut self, parent: NodeId, last: Option<NodeId>) {
        self.nodes[parent.index()].last = last.map_or(NONE, |last| last.0);
    }

    fn link_last(&mut self, parent: NodeId, id: u32) {
        let last = self.nodes[parent.index()].last;
        if last == NONE {
            self.nodes[parent.index()].first = id;
        } else {
            self.nodes[last as usize].next = id;
        }
        self.nodes[parent.index()].last = id;
    }

    /// The text of a [`Text`] of this tree.
    #[must_use]
    pub fn text(&self, text: Text<'a>) -> &str {
        match text {
            Text::Borrowed(text) => text,
            Text::Own(start, len) => &self.own[start as usize..(start + len) as usize],
        }
    }

    /// The key of an object's member; "" for entries of lists and the root.
    #[must_use]
    pub fn key(&self, node: NodeId) -> &str {
        self.text(self.nodes[node.index()].key)
    }

    /// The value of a node.
    #[must_use]
    #[inline]
    pub fn view(&self, node: NodeId) -> View<'_> {
        match self.nodes[node.index()].value {
            Value::Null => View::Null,
            Value::Bool(value) => View::Bool(value),
            Value::Int(value) => View::Int(value),
            Value::Number(text) => View::Number(self.text(text)),
            Value::String(text) => View::String(self.text(text)),
            Value::List => View::List,
            Value::Object => View::Object,
        }
    }

    /// The string that a node is, if it is one.
    #[must_use]
    pub fn str(&self, node: NodeId) -> Option<&str> {
        match self.view(node) {
            View::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number that a node is, if it is one.
    #[must_use]
    pub fn int(&self, node: NodeId) -> Option<i64> {
        match self.view(node) {
            View::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The node above, `None` for the root and for what was cut off.
    #[must_use]
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        let parent = self.nodes[node.index()].parent;
        (parent != NONE).then_some(NodeId(parent))
    }

    /// Entries of a list or members of an object, in order; nothing for scalars.
    pub fn children(&self, node: NodeId) -> Children<'_, 'a> {
        Children { tree: self, next: self.nodes[node.index()].first }
    }

    /// The entry or member after a node.
    #[must_use]
    pub fn after(&self, node: NodeId) -> Option<NodeId> {
        let next = self.nodes[node.index()].next;
        (next != NONE).then_some(NodeId(next))
    }

    /// The member `key` of an object. Of two, the first: a reader that minds has refused them.
    #[must_use]
    pub fn get(&self, node: NodeId, key: &str) -> Option<NodeId> {
        let mut index = self.nodes[node.index()].first;
        while let Some(child) = self.nodes.get(index as usize) {
            if self.says(child.key, key) {
                return Some(NodeId(index));
            }
            index = child.next;
        }
        None
    }

    /// Whether a text of this tree is this one. As bytes, and the length first: most are not.
    fn says(&self, text: Text<'a>, wanted: &str) -> bool {
        match text {
            Text::Borrowed(text) => text == wanted,
            Text::Own(start, length) => {
                length as usize == wanted.len()
                    && self.own.as_bytes().get(start as usize..).is_some_and(|own| own.starts_with(wanted.as_bytes()))
            }
        }
    }

    /// The member `key` of an object, where it is there and not null. To Kubernetes null is absent.
    #[must_use]
    pub fn present(&self, node: NodeId, key: &str) -> Option<NodeId> {
        self.get(node, key).filter(|child| !matches!(self.nodes[child.index()].value, Value::Null))
    }

    /// The string at member `key` of an object.
    #[must_use]
    pub fn get_str(&self, node: NodeId, key: &str) -> Option<&str> {
        self.get(node, key).and_then(|child| self.str(child))
    }

    /// The node at a path of member names from `node` on, where every step is there and not null.
    #[must_use]
    pub fn at(&self, node: NodeId, path: &[&str]) -> Option<NodeId> {
        path.iter().try_fold(node, |node, key| self.present(node, key))
    }

    /// How many children a node has.
    #[must_use]
    pub fn count(&self, node: NodeId) -> usize {
        self.children(node).count()
    }

    /// The place of an entry in its list.
    #[must_use]
    pub fn position(&self, node: NodeId) -> usize {
        self.parent(node).map_or(0, |parent| self.children(parent).take_while(|child| *child != node).count())
    }

    /// Who put the node there.
    #[must_use]
    pub fn holder(&self, node: NodeId) -> HolderId {
        self.nodes[node.index()].holder
    }

    /// Says who holds a node and everything below it, where nobody but the author did.
    pub fn hold(&mut self, node: NodeId, holder: HolderId) {
        if self.nodes[node.index()].holder == 0 {
            self.nodes[node.index()].holder = holder;
        }
        let mut child = self.nodes[node.index()].first;
        while child != NONE {
            self.hold(NodeId(child), holder);
            child = self.nodes[child as usize].next;
        }
    }

    /// Whether a node is an object all of whose members are texts or null, or have another name than these.
    #[must_use]
    pub fn has_texts(&self, node: NodeId, names: &[&str]) -> bool {
        let object = &self.nodes[node.index()];
        if !matches!(object.value, Value::Object) {
            return false;
        }
        let mut child = if names.is_empty() { NONE } else { object.first };
        while child != NONE {
            let member = &self.nodes[child as usize];
            if !matches!(member.value, Value::String(_) | Value::Null) && names.contains(&self.key(NodeId(child))) {
                return false;
            }
            child = member.next;
        }
        true
    }

    /// Takes over who holds each node from a copy of this tree, where nobody but the author does here.
    pub fn hold_as(&mut self, copy: &Tree<'_>) {
        for (node, theirs) in self.nodes.iter_mut().zip(&copy.nodes).filter(|(node, _)| node.holder == 0) {
            node.holder = theirs.holder;
        }
    }

    /// Says who holds this very node, and nothing of what is below it.
    pub fn hold_only(&mut self, node: NodeId, holder: HolderId) {
        self.nodes[node.index()].holder = holder;
    }

    /// Copies `node` of `from` with everything below it, except the nodes that `without` names, and hangs it nowhere yet. The nodes of `from`
    /// must be in the order in which they are read, as those of a fragment are.
    pub fn graft(&mut self, from: &'a Tree<'a>, node: NodeId, without: &[NodeId], holder: HolderId) -> NodeId {
        let copied = NodeId(self.nodes.len() as u32);
        if without.is_empty() {
            self.nodes.extend_from_slice(&from.nodes[node.index()..from.end(node)]);
            for copy in &mut self.nodes[copied.index()..] {
                for link in [&mut copy.parent, &mut copy.first, &mut copy.last, &mut copy.next] {
                    if *link != NONE {
                        *link = link.wrapping_sub(node.0).wrapping_add(copied.0);
                    }
                }
                copy.borrow(from);
                copy.holder = holder;
            }
            let root = &mut self.nodes[copied.index()];
            (root.parent, root.next) = (NONE, NONE);
            return copied;
        }
        let source = &from.nodes[node.index()];
        let mut copy = Node { parent: NONE, first: NONE, last: NONE, next: NONE, holder, ..*source };
        copy.borrow(from);
        self.nodes.push(copy);
        let mut child = source.first;
        while child != NONE {
            if !without.contains(&NodeId(child)) {
                let below = self.graft(from, NodeId(child), without, holder);
                self.nodes[below.index()].parent = copied.0;
                self.link_last(copied, below.0);
            }
            child = from.nodes[child as usize].next;
        }
        copied
    }

    /// One past the last node below this one, where nodes are in the order in which they are read.
    fn end(&self, node: NodeId) -> usize {
        let mut last = node.0;
        while self.nodes[last as usize].last != NONE {
            last = self.nodes[last as usize].last;
        }
        last as usize + 1
    }

    /// Makes a string node that hangs nowhere yet.
    pub fn detached(&mut self, value: Value<'a>, holder: HolderId) -> NodeId {
        let id = self.push(None, Text::Borrowed(""), value);
        self.nodes[id.index()].holder = holder;
        id
    }

    /// Hangs a node that hangs nowhere into an object under `key`, in the place of a member of that name, or at the end.
    pub fn set_member(&mut self, object: NodeId, key: Text<'a>, node: NodeId) {
        let there = self.get(object, self.text(key));
        self.nodes[node.index()].key = key;
        match there {
            Some(there) => self.exchange(there, node),
            None => {
                self.nodes[node.index()].parent = object.0;
                self.link_last(object, node.0);
            }
        }
    }

    /// Puts `new`, which hangs nowhere, in the place of `old`, which hangs nowhere afterwards.
    pub fn exchange(&mut self, old: NodeId, new: NodeId) {
        let Some(parent) = self.parent(old) else { return };
        let before = self.before(parent, old);
        self.nodes[new.index()].parent = parent.0;
        self.nodes[new.index()].next = self.nodes[old.index()].next;
        match before {
            Some(before) => self.nodes[before.index()].next = new.0,
            None => self.nodes[parent.index()].first = new.0,
        }
        if self.nodes[parent.index()].last == old.0 {
            self.nodes[parent.index()].last = new.0;
        }
        self.nodes[old.index()].parent = NONE;
        self.nodes[old.index()].next = NONE;
    }

    /// As [`Tree::exchange`]; the new node takes the old one's key.
    pub fn exchange_keeping_key(&mut self, old: NodeId, new: NodeId) {
        self.nodes[new.index()].key = self.nodes[old.index()].key;
        self.exchange(old, new);
    }

    /// A copy of a node and all below it that borrows nothing, its nodes in the order in which they are read, no larger than it must be.
    #[must_use]
    pub fn to_owned_tree(&self, node: NodeId) -> Tree<'static> {
        let mut copy = Tree::new();
        self.copy_into(node, None, &mut copy);
        copy.nodes.shrink_to_fit();
        copy.own.shrink_to_fit();
        copy
    }

    fn copy_into(&self, node: NodeId, parent: Option<NodeId>, copy: &mut Tree<'static>) {
        let key = if parent.is_some() { copy.keep(self.key(node)) } else { Text::Borrowed("") };
        let value = match self.view(node) {
            View::Null => Value::Null,
            View::Bool(value) => Value::Bool(value),
            View::Int(value) => Value::Int(value),
            View::Number(text) => Value::Number(copy.keep(text)),
            View::String(text) => Value::String(copy.keep(text)),
            View::List => Value::List,
            View::Object => Value::Object,
        };
        let copied = copy.push(parent, key, value);
        for child in self.children(node) {
            self.copy_into(child, Some(copied), copy);
        }
    }

    /// The memory of this tree for a document of another life.
    #[must_use]
    pub fn recycle<'b>(mut self) -> Tree<'b> {
        self.clear();
        // Collecting in place keeps the allocation; there is nothing left to map.
        let nodes = self.nodes.into_iter().map(|_| Node::NOTHING).collect();
        Tree { nodes, own: self.own }
    }

    /// Hangs a node that hangs nowhere into a list, before the entry that is at `index` now; past the end: at the end.
    pub fn insert(&mut self, list: NodeId, index: usize, node: NodeId) {
        self.nodes[node.index()].parent = list.0;
        if index == 0 {
            self.nodes[node.index()].next = self.nodes[list.index()].first;
            self.nodes[list.index()].first = node.0;
            if self.nodes[list.index()].last == NONE {
                self.nodes[list.index()].last = node.0;
            }
            return;
        }
        let before = if index == usize::MAX { None } else { self.children(list).nth(index - 1) };
        match before {
            Some(before) if before.0 != self.nodes[list.index()].last => {
                self.nodes[node.index()].next = self.nodes[before.index()].next;
                self.nodes[before.index()].next = node.0;
            }
            _ => self.link_last(list, node.0),
        }
    }

    /// Takes a node out of what it hangs in.
    pub fn cut(&mut self, node: NodeId) {
        let Some(parent) = self.parent(node) else { return };
        let before = self.before(parent, node);
        let next = self.nodes[node.index()].next;
        match before {
            Some(before) => self.nodes[before.index()].next = next,
            None => self.nodes[parent.index()].first = next,
        }
        if self.nodes[parent.index()].last == node.0 {
            self.nodes[parent.index()].last = before.map_or(NONE, |before| before.0);
        }
        self.nodes[node.index()].parent = NONE;
        self.nodes[node.index()].next = NONE;
    }

    fn before(&self, parent: NodeId, node: NodeId) -> Option<NodeId> {
        let mut before = None;
        for child in self.children(parent) {
            if child == node {
                return before;
            }
            before = Some(child);
        }
        None
    }

    /// Whether two nodes say the same, members of objects in any order, numbers and strings to the letter.
    #[must_use]
    pub fn same(&self, node: NodeId, other: &Tree<'_>, at: NodeId) -> bool {
        match (self.nodes[node.index()].value, other.nodes[at.index()].value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Int(left), Value::Int(right)) => left == right,
            (Value::Number(left), Value::Number(right)) | (Value::String(left), Value::String(right)) => self.same_text(left, other, right),
            (Value::List, Value::List) => {
                let (mut left, mut right) = (self.children(node), other.children(at));
                loop {
                    match (left.next(), right.next()) {
                        (None, None) => return true,
                        (Some(left), Some(right)) if self.same(left, other, right) => {}
                        _ => return false,
                    }
                }
            }
            (Value::Object, Value::Object) => self.same_members(node, other, at),
            _ => false,
        }
    }

    /// Two copies of one document borrow from one place: then there is nothing to compare.
    #[inline]
    fn same_text<'b>(&self, left: Text<'a>, other: &Tree<'b>, right: Text<'b>) -> bool {
        match (left, right) {
            (Text::Borrowed(left), Text::Borrowed(right)) if std::ptr::eq(left, right) => true,
            _ => self.text(left) == other.text(right),
        }
    }

    /// Whether two trees were built in the same steps: then they say the same. Where they were not, they may say the same nevertheless.
    #[must_use]
    pub fn built_alike<'b>(&self, other: &Tree<'b>) -> bool {
        let texts = |left: Text<'a>, right: Text<'b>| match (left, right) {
            (Text::Borrowed(left), Text::Borrowed(right)) if std::ptr::eq(left, right) => true,
            _ => self.same_text(left, other, right),
        };
        let alike = |(left, right): (&Node<'a>, &Node<'b>)| {
            let links = left.first == right.first && left.next == right.next;
            let values = match (left.value, right.value) {
                (Value::Null, Value::Null) | (Value::List, Value::List) | (Value::Object, Value::Object) => true,
                (Value::Bool(left), Value::Bool(right)) => left == right,
                (Value::Int(left), Value::Int(right)) => left == right,
                (Value::Number(left), Value::Number(right)) | (Value::String(left), Value::String(right)) => texts(left, right),
                _ => false,
            };
            links && values && texts(left.key, right.key)
        };
        self.nodes.len() == other.nodes.len() && self.nodes.iter().zip(&other.nodes).all(alike)
    }

    fn same_members(&self, node: NodeId, other: &Tree<'_>, at: NodeId) -> bool {
        let (mut left, mut right) = (self.children(node), other.children(at));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return true,
                (Some(mine), Some(theirs)) if self.same_text(self.nodes[mine.index()].key, other, other.nodes[theirs.index()].key) => {
                    if !self.same(mine, other, theirs) {
                        return false;
                    }
                }
                // Out of step: the slow way, by name.
                (Some(_), Some(_)) => {
                    return self.count(node) == other.count(at)
                        && self
                            .children(node)
                            .all(|mine| other.get(at, self.key(mine)).is_some_and(|theirs| self.same(mine, other, theirs)));
                }
                _ => return false,
            }
        }
    }
}

/// A fragment's text as text that is borrowed from it.
#[inline]
fn borrow<'a>(from: &'a Tree<'a>, text: Text<'a>) -> Text<'a> {
    match text {
        // What has no text, and most entries of lists have no key, needs no look.
        Text::Borrowed(_) => text,
        Text::Own(_, 0) => Text::Borrowed(""),
        Text::Own(start, len) => Text::Borrowed(&from.own[start as usize..(start + len) as usize]),
    }
}

/// Walks the children of a node.
#[derive(Clone, Debug)]
pub struct Children<'t, 'a> {
    tree: &'t Tree<'a>,
    next: u32,
}

impl Iterator for Children<'_, '_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        if self.next == NONE {
            return None;
        }
        let id = NodeId(self.next);
        self.next = self.tree.nodes[id.index()].next;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(tree: &Tree<'_>) -> String {
        let mut out = String::new();
        tree.write(NodeId::ROOT, &mut out);
        out
    }

    #[test]
    fn what_is_read_is_written() {
        for text in [r#"{"a":[1,2.50,-7,18446744073709551616,true,null,"x\n\u00e9\"\\"],"b":{},"c":[]}"#, "[]", "\"text\""] {
            let tree = parse(text).unwrap();
            let back: serde_json::Value = serde_json::from_str(&json(&tree)).unwrap();
            assert_eq!(back, serde_json::from_str::<serde_json::Value>(text).unwrap());
        }
    }

    #[test]
    fn entries_are_inserted_exchanged_and_cut() {
        let fragment = parse(r#"{"x":"new"}"#).unwrap();
        let mut tree = parse(r#"{"list":["a","b"],"n":1}"#).unwrap();
        let list = tree.get(NodeId::ROOT, "list").unwrap();
        for index in [0, 2, 9] {
            let new = tree.graft(&fragment, NodeId::ROOT, &[], 3);
            tree.insert(list, index, new);
        }
        assert_eq!(json(&tree), r#"{"list":[{"x":"new"},"a",{"x":"new"},"b",{"x":"new"}],"n":1}"#);
        let last = tree.children(list).last().unwrap();
        assert_eq!(tree.holder(last), 3);
        assert_eq!(tree.position(last), 4);
        tree.cut(last);
        let first = tree.children(list).next().unwrap();
        let new = tree.detached(Value::Bool(true), 1);
        tree.exchange(first, new);
        let number = tree.get(NodeId::ROOT, "n").unwrap();
        tree.cut(number);
        assert_eq!(json(&tree), r#"{"list":[true,"a",{"x":"new"},"b"]}"#);
        let end = tree.graft(&fragment, NodeId::ROOT, &[], 0);
        tree.insert(list, 4, end);
        assert_eq!(tree.position(end), 4);
    }

    #[test]
    fn sameness_is_to_the_letter_but_for_the_order_of_members() {
        let tree = parse(r#"{"a":1,"b":[1,2]}"#).unwrap();
        for (text, same) in [
            (r#"{"b":[1,2],"a":1}"#, true),
            (r#"{"b":[2,1],"a":1}"#, false),
            (r#"{"a":1}"#, false),
            (r#"{"a":1,"b":[1,2],"c":0}"#, false),
            (r#"{"a":1.0,"b":[1,2]}"#, false),
        ] {
            assert_eq!(tree.same(NodeId::ROOT, &parse(text).unwrap(), NodeId::ROOT), same, "{text}");
        }
    }
}
