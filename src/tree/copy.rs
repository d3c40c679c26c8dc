//! Copies: of a whole document, of a preset's part into a document, of a part that outlives what it was read from.

use super::{HolderId, NONE, Node, NodeId, Text, Tree, Value, View};

impl<'a> Tree<'a> {
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

    /// A copy of a node and all below it that borrows nothing, its nodes in the order in which they are read, no larger than it must be.
    #[must_use]
    pub fn to_owned_tree(&self, node: NodeId) -> Tree<'static> {
        let mut copy = Tree::new();
        self.copy_into(node, &mut copy, None);
        copy.nodes.shrink_to_fit();
        copy.own.shrink_to_fit();
        copy
    }

    /// Copies a node, with its key and all below it, as the last child of `parent`, or as the root without a key; borrows nothing.
    pub fn copy_into(&self, node: NodeId, copy: &mut Tree<'static>, parent: Option<NodeId>) {
        let key = self.key(node);
        let key = if parent.is_none() || key.is_empty() { Text::Borrowed("") } else { copy.keep(key) };
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
            self.copy_into(child, copy, Some(copied));
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
