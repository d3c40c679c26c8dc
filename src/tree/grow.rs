//! How a tree grows: texts of its own, and nodes behind the last ones.

use super::{NONE, Node, NodeId, Text, Tree, Value, mark};

impl<'a> Tree<'a> {
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
        let mark = mark(self.text(key));
        self.nodes.push(Node { key, value, parent: parent_index, first: NONE, last: NONE, next: NONE, holder: 0, mark });
        if let Some(parent) = parent {
            self.link_last(parent, id);
        }
        NodeId(id)
    }

    /// As [`Tree::push`], where the child before is known, or [`NONE`], and the key's mark; [`Tree::close`] must follow the last.
    #[inline]
    pub(super) fn push_after(&mut self, parent: NodeId, before: u32, key: Text<'a>, mark: u32, value: Value<'a>) -> NodeId {
        let id = self.nodes.len() as u32;
        if before == NONE {
            self.nodes[parent.index()].first = id;
        } else {
            self.nodes[before as usize].next = id;
        }
        self.nodes.push(Node { key, value, parent: parent.0, first: NONE, last: NONE, next: NONE, holder: 0, mark });
        NodeId(id)
    }

    /// Says which child of a node is the last.
    pub(super) fn close(&mut self, parent: NodeId, last: u32) {
        self.nodes[parent.index()].last = last;
    }

    pub(super) fn link_last(&mut self, parent: NodeId, id: u32) {
        let last = self.nodes[parent.index()].last;
        if last == NONE {
            self.nodes[parent.index()].first = id;
        } else {
            self.nodes[last as usize].next = id;
        }
        self.nodes[parent.index()].last = id;
    }
}
