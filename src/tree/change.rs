//! Changing a tree: hanging nodes in and taking them out, and who holds them.

use super::{HolderId, NONE, Node, NodeId, Text, Tree, Value, mark};

impl<'a> Tree<'a> {
    /// Makes a node that hangs nowhere yet.
    pub fn detached(&mut self, value: Value<'a>, holder: HolderId) -> NodeId {
        let id = self.push(None, Text::Borrowed(""), value);
        self.nodes[id.index()].holder = holder;
        id
    }

    /// Hangs a node that hangs nowhere into an object under `key`, in the place of a member of that name, or at the end.
    pub fn set_member(&mut self, object: NodeId, key: Text<'a>, node: NodeId) {
        let there = self.get(object, self.text(key));
        (self.nodes[node.index()].key, self.nodes[node.index()].mark) = (key, mark(self.text(key)));
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
        let Node { key, mark, .. } = self.nodes[old.index()];
        (self.nodes[new.index()].key, self.nodes[new.index()].mark) = (key, mark);
        self.exchange(old, new);
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
}
