//! Whether two documents say the same.

use super::{Node, NodeId, Text, Tree, Value};

impl<'a> Tree<'a> {
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
