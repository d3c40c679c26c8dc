//! Where a node's text ends, and in which column its entries or members stand.

use super::Editor;
use crate::cli::lines;
use crate::cli::spans::Style;
use crate::tree::NodeId;

impl Editor<'_, '_> {
    /// Where the text of a node ends.
    pub(super) fn content_end(&self, node: NodeId) -> Option<usize> {
        let span = self.before.span(node)?;
        match span.style {
            Style::Scalar | Style::Flow | Style::Alias => Some(span.end),
            Style::Elsewhere => None,
            Style::Empty => match &span.key {
                Some(key) => Some(lines::colon(self.text, key.end)? + 1),
                None => Some(span.start),
            },
            Style::Literal => Some(lines::last_line(self.text, span.start, span.end)),
            Style::Block => {
                let last = self
                    .before
                    .tree
                    .children(node)
                    .filter(|child| self.before.span(*child).is_some_and(|span| span.style != Style::Elsewhere))
                    .last();
                match last {
                    Some(last) => self.content_end(last),
                    None => Some(lines::last_content(self.text, span.start, span.end)),
                }
            }
        }
    }

    /// The column at which the members of a block object start.
    pub(super) fn column(&self, node: NodeId) -> Option<usize> {
        let first = self.before.tree.children(node).find_map(|member| self.before.span(member)?.key.as_ref());
        let start = first.map_or_else(|| self.before.span(node).map(|span| span.start), |key| Some(key.start))?;
        (!self.text[start..].starts_with(['&', '!', '?'])).then(|| lines::column(self.text, start))
    }

    /// The column of the key that a node is the value of.
    pub(super) fn above(&self, node: NodeId) -> Option<usize> {
        self.before.span(node)?.key.as_ref().map(|key| lines::column(self.text, key.start))
    }

    pub(super) fn dash(&self, entry: NodeId) -> Option<usize> {
        let span = self.before.span(entry)?;
        if span.style == Style::Literal { lines::dash_above(self.text, span.start) } else { lines::dash(self.text, span.start) }
    }
}
