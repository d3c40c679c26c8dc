//! Problems as they are found, each with its place and path.

use std::cell::OnceCell;

use super::{Document, Problem, Reading, Severity, origin};
use crate::tree::{NodeId, Tree};
use crate::yaml::{Mark, Marked, shown};

/// Collects the problems of one document. Paths are found by walking up from a node, so that nobody has to carry them.
#[derive(Debug)]
pub(super) struct Report<'d> {
    /// The tree that the document is in.
    pub(super) tree: &'d Tree<'static>,
    marked: &'d Marked,
    source: &'d str,
    problems: Vec<Problem>,
    /// The place of each node among its siblings, made when the first problem is found.
    positions: OnceCell<Vec<u32>>,
}

impl<'d> Report<'d> {
    pub(super) fn new(source: &'d str, marked: &'d Marked) -> Self {
        Report { tree: &marked.tree, marked, source, problems: Vec::new(), positions: OnceCell::new() }
    }

    /// Something is wrong with a value.
    pub(super) fn error(&mut self, node: NodeId, text: impl Into<String>) {
        self.add(Severity::Error, self.marked.mark(node), self.path(node), text.into());
    }

    /// Something is wrong with the key of a member.
    pub(super) fn error_at_key(&mut self, node: NodeId, text: impl Into<String>) {
        self.add(Severity::Error, self.marked.key_mark(node), self.path(node), text.into());
    }

    /// A member that should be there is not.
    pub(super) fn missing(&mut self, object: NodeId, field: &str, text: impl Into<String>) {
        self.add(Severity::Error, self.marked.mark(object), self.path_to(object, field), text.into());
    }

    /// Something may be wrong with a value.
    pub(super) fn warn(&mut self, node: NodeId, text: impl Into<String>) {
        self.add(Severity::Warning, self.marked.mark(node), self.path(node), text.into());
    }

    /// Something may be wrong with the key of a member.
    pub(super) fn warn_at_key(&mut self, node: NodeId, text: impl Into<String>) {
        self.add(Severity::Warning, self.marked.key_mark(node), self.path(node), text.into());
    }

    /// Whether there is an error so far.
    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The document with all that was found, in the order of the text.
    pub(super) fn document(mut self, root: NodeId, reading: Reading) -> Document {
        self.problems.sort_by_key(|problem| (problem.line, problem.column, problem.severity));
        self.problems.dedup();
        // What is refused needs no warning beside that.
        self.problems.dedup_by(|later, earlier| {
            later.severity > earlier.severity && (later.line, later.column, &later.path) == (earlier.line, earlier.column, &earlier.path)
        });
        let start = self.marked.mark(root);
        let name = self.tree.at(root, &["metadata", "name"]).map_or(start, |name| self.marked.mark(name));
        Document {
            origin: origin(self.source, start.line as usize),
            named: (name.line as usize, name.column as usize),
            reading,
            problems: self.problems,
        }
    }

    /// `spec.env[0].value`
    pub(super) fn path(&self, node: NodeId) -> String {
        let mut nodes = vec![node];
        while let Some(parent) = nodes.last().and_then(|node| self.tree.parent(*node)) {
            nodes.push(parent);
        }
        let mut path = String::new();
        // The root itself has no name.
        for pair in nodes.windows(2).rev() {
            let &[node, parent] = pair else { continue };
            if self.tree.view(parent) == crate::tree::View::List {
                path.push_str(&format!("[{}]", self.position(node)));
            } else {
                push_key(&mut path, self.tree.key(node));
            }
        }
        path
    }

    fn position(&self, node: NodeId) -> u32 {
        let positions = self.positions.get_or_init(|| {
            let mut positions = vec![0; self.tree.len()];
            let mut open = vec![NodeId::ROOT];
            while let Some(parent) = open.pop() {
                for (place, child) in (0..).zip(self.tree.children(parent)) {
                    if let Some(position) = positions.get_mut(child.index()) {
                        *position = place;
                    }
                    open.push(child);
                }
            }
            positions
        });
        positions.get(node.index()).copied().unwrap_or(0)
    }

    fn path_to(&self, object: NodeId, field: &str) -> String {
        let mut path = self.path(object);
        push_key(&mut path, field);
        path
    }

    fn add(&mut self, severity: Severity, mark: Mark, path: String, text: String) {
        let (line, column) = (mark.line as usize, mark.column as usize);
        self.problems.push(Problem { severity, source: self.source.to_owned(), line, column, path, text });
    }
}

/// `.key`, or `[key]` where the key is no plain word, as Kubernetes writes paths.
fn push_key(path: &mut String, key: &str) {
    if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) && key.len() <= 80 {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else {
        path.push('[');
        path.push_str(&shown(key));
        path.push(']');
    }
}
