//! A JSON document in one flat vector of nodes.
//!
//! Nodes are `Copy` and know each other by index, strings are borrowed from the text that was read. So a second copy of a Pod is one copy of
//! memory, grafting a preset copies a few nodes, and fields that no Kubernetes release knows pass through like any other. Numbers that fit an
//! `i64` are kept as such, all others as they were written.

mod change;
mod compare;
mod copy;
mod grow;
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
    /// The key's [`mark`].
    mark: u32,
}

impl<'a> Node<'a> {
    const NOTHING: Self =
        Node { key: Text::Borrowed(""), value: Value::Null, parent: NONE, first: NONE, last: NONE, next: NONE, holder: 0, mark: 0 };
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

    /// Empties the tree and keeps its memory.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.own.clear();
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
    #[inline]
    pub fn get(&self, node: NodeId, key: &str) -> Option<NodeId> {
        self.find(node, mark(key), key)
    }

    /// As [`Tree::get`], where the key's mark is known.
    fn find(&self, node: NodeId, mark: u32, key: &str) -> Option<NodeId> {
        let mut index = self.nodes[node.index()].first;
        while let Some(child) = self.nodes.get(index as usize) {
            if child.mark == mark && self.says(child.key, key) {
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
}

/// A number for a name: two names that have not the same are different, and most that are different have not the same.
#[inline]
fn mark(name: &str) -> u32 {
    let bytes = name.as_bytes();
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u32::from_le_bytes(*first) ^ u32::from_le_bytes(*last).rotate_left(13) ^ (bytes.len() as u32).rotate_left(27)
        }
        _ => bytes.iter().fold(bytes.len() as u32, |mark, byte| mark << 8 | u32::from(*byte)),
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
mod tests;
