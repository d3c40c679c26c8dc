//! Where each node of a YAML document stands in its text, so that the text can be edited.
//!
//! What the text means is for [`crate::yaml`] to say; this is a second look at the same events for their places alone. A node that the two
//! do not agree on has no place, and what can't be placed is not edited but written anew.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks};

use crate::tree::{NodeId, Tree, View};
use crate::yaml;

/// What a manifest may become once its aliases are written out.
const LIMITS: yaml::Limits = yaml::Limits { nodes: 4_000_000, text: 256 << 20 };

/// How a node is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A list or object by indentation.
    Block,
    /// A list or object in brackets.
    Flow,
    /// A scalar on one or several lines, quoted or not.
    Scalar,
    /// A scalar after `|` or `>`.
    Literal,
    /// Nothing is written: null.
    Empty,
    /// An alias: what it stands for is written elsewhere.
    Alias,
    /// Not written here: below an alias, or brought by a merge key.
    Elsewhere,
}

/// Where a node stands in the text; in bytes.
#[derive(Clone, Debug)]
pub struct Span {
    /// The key, with its quotes, where the node is a member of an object.
    pub key: Option<Range<usize>>,
    /// Where the node starts, its anchor and tag included. [`Style::Literal`] starts after its first line, a block list at what stands
    /// behind its first dash.
    pub start: usize,
    /// Where the node ends. For [`Style::Block`] and [`Style::Literal`] that is where what follows starts.
    pub end: usize,
    /// How it is written.
    pub style: Style,
}

const ELSEWHERE: Span = Span { key: None, start: 0, end: 0, style: Style::Elsewhere };

/// One YAML document with the places of its nodes.
#[derive(Clone, Debug, Default)]
pub struct Manuscript {
    /// The document; empty where there is none.
    pub tree: Tree<'static>,
    /// By [`NodeId::index`].
    pub spans: Vec<Span>,
}

impl Manuscript {
    /// Reads a part of a file that holds at most one YAML document.
    ///
    /// # Errors
    /// The first place that is not YAML.
    pub fn read(part: &yaml::Part<'_>) -> Result<Manuscript, yaml::Fault> {
        let parsed = yaml::parse(part, LIMITS);
        if let Some(fault) = parsed.faults.into_iter().next() {
            return Err(fault);
        }
        let tree = parsed.documents.into_iter().next().map(|document| document.tree).unwrap_or_default();
        Ok(Manuscript::of(part.text, tree))
    }

    /// Finds the places of a tree that was read from `text`.
    #[must_use]
    pub fn of(text: &str, tree: Tree<'static>) -> Manuscript {
        let mut spans = vec![ELSEWHERE; tree.len()];
        let layout = Layout::read(text);
        if !tree.is_empty() && !layout.nodes.is_empty() {
            layout.align(0, &tree, NodeId::ROOT, &mut spans);
        }
        Manuscript { tree, spans }
    }

    /// The place of a node.
    #[must_use]
    pub fn span(&self, node: NodeId) -> Option<&Span> {
        self.spans.get(node.index())
    }
}

/// The nodes of a document as they are written.
struct Layout<'t> {
    text: &'t str,
    /// Byte offsets by character, where they differ.
    offsets: Option<Vec<usize>>,
    nodes: Vec<Written>,
    /// Lists and objects that have not ended, and the key that waits for its value.
    open: Vec<(usize, Option<Key>)>,
}

/// A key and where it is written.
type Key = (String, Range<usize>);

struct Written {
    span: Span,
    object: bool,
    /// With their keys in objects.
    children: Vec<(String, usize)>,
}

impl<'t> Layout<'t> {
    /// As far as the text can be read; what is behind has no place.
    fn read(text: &'t str) -> Self {
        let offsets = (!text.is_ascii()).then(|| text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect());
        let mut layout = Layout { text, offsets, nodes: Vec::new(), open: Vec::new() };
        let mut parser = Parser::new_from_str(text);
        while let Some(Ok((event, marks))) = parser.next_event() {
            layout.take(event, marks);
        }
        layout
    }

    fn take(&mut self, event: Event<'_>, marks: Marks) {
        let range = self.bytes(marks);
        match event {
            Event::Scalar(value, style, ..) => {
                let style = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Literal,
                    ScalarStyle::Plain if value.is_empty() => Style::Empty,
                    _ => Style::Scalar,
                };
                match self.open.last_mut() {
                    Some((parent, key @ None)) if self.nodes.get(*parent).is_some_and(|parent| parent.object) => {
                        *key = Some((value.into_owned(), range));
                    }
                    _ => {
                        self.push(range, style, false);
                    }
                }
            }
            Event::Alias(_) => {
                self.push(range, Style::Alias, false);
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                let node = self.push(range, Style::Block, matches!(event, Event::MappingStart(..)));
                self.open.push((node, None));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let closed = self.open.pop().and_then(|(node, _)| self.nodes.get_mut(node));
                if let Some(closed) = closed {
                    // The end of a block takes no room, the end of a flow collection is its bracket, with what is behind it on the line.
                    let bracket = !range.is_empty() && self.text[range.start..].starts_with([']', '}']);
                    closed.span.style = if bracket { Style::Flow } else { Style::Block };
                    closed.span.end = range.start + usize::from(bracket);
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, range: Range<usize>, style: Style, object: bool) -> usize {
        let node = self.nodes.len();
        let mut key = None;
        if let Some((parent, waiting)) = self.open.last_mut() {
            let (name, place) = waiting.take().map_or((String::new(), None), |(name, place)| (name, Some(place)));
            key = place;
            if let Some(parent) = self.nodes.get_mut(*parent) {
                parent.children.push((name, node));
            }
        }
        self.nodes.push(Written { span: Span { key, start: range.start, end: range.end, style }, object, children: Vec::new() });
        node
    }

    fn bytes(&self, marks: Marks) -> Range<usize> {
        let byte = |index: usize| match &self.offsets {
            Some(offsets) => offsets.get(index).copied().unwrap_or(self.text.len()),
            None => index.min(self.text.len()),
        };
        byte(marks.start.index())..byte(marks.end.index())
    }

    /// Gives a node of the tree the place of what is written, and their children likewise.
    fn align(&self, written: usize, tree: &Tree<'_>, node: NodeId, spans: &mut [Span]) {
        let (Some(written), Some(span)) = (self.nodes.get(written), spans.get_mut(node.index())) else { return };
        *span = written.span.clone();
        match tree.view(node) {
            View::Object => {
                for child in tree.children(node) {
                    let key = tree.key(child);
                    if let Some((_, there)) = written.children.iter().find(|(name, _)| name == key) {
                        self.align(*there, tree, child, spans);
                    }
                }
            }
            View::List if tree.count(node) == written.children.len() => {
                for (child, (_, there)) in tree.children(node).zip(&written.children) {
                    self.align(*there, tree, child, spans);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manuscript(text: &str) -> Manuscript {
        Manuscript::read(&yaml::Part { text, line: 1 }).unwrap()
    }

    fn at(manuscript: &Manuscript, path: &[&str]) -> Span {
        let node = manuscript.tree.at(NodeId::ROOT, path).unwrap();
        manuscript.span(node).unwrap().clone()
    }

    #[test]
    fn spans_are_bytes_of_the_text() {
        let text = "é: ü # c\nlist:\n- {a: ö} # c\n";
        let manuscript = manuscript(text);
        let span = at(&manuscript, &["é"]);
        assert_eq!((&text[span.start..span.end], span.key.clone().map(|key| &text[key])), ("ü", Some("é")));
        let list = manuscript.tree.get(NodeId::ROOT, "list").unwrap();
        let entry = manuscript.tree.children(list).next().unwrap();
        let span = manuscript.span(entry).unwrap();
        assert_eq!((&text[span.start..span.end], span.style), ("{a: ö}", Style::Flow));
    }

    #[test]
    fn what_is_not_written_here_has_no_place() {
        let manuscript = manuscript("a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  z: 3\n");
        assert_eq!(at(&manuscript, &["b"]).style, Style::Alias);
        assert_eq!(at(&manuscript, &["b", "x"]).style, Style::Elsewhere);
        assert_eq!(at(&manuscript, &["c", "x"]).style, Style::Elsewhere);
        assert_eq!(at(&manuscript, &["c", "z"]).style, Style::Scalar);
    }
}
