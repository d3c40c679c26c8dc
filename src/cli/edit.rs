//! Editing the text of a YAML document so that it says what a changed tree says, and everything else stays byte for byte.
//!
//! The changed tree is a copy of the one that was read, so nodes that stayed have the same [`NodeId`], and what is new has a higher one. The
//! two are walked side by side; what is new is written at the place where it belongs, in the style of its surroundings. Where the style
//! leaves no room (a list inside a list's first line, a removed first member, ...) the smallest enclosing node is written anew. The result
//! is read again: where it does not say what the tree says (an anchor's text was changed, and its aliases with it), aliases are written out,
//! and as the last resort the whole document is written anew.

mod places;
#[cfg(test)]
mod tests;
mod write;

use std::ops::Range;

use super::lines;
use super::render::{Indent, Renderer};
use super::spans::{Manuscript, Span, Style};
use crate::tree::{NodeId, Tree, View};
use crate::yaml::Part;

/// How much of a document's text could stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All but what changed.
    Text,
    /// Nothing: the document was written anew, its comments are lost.
    Nothing,
}

/// The text with the changes of `after`, a changed copy of the manuscript's tree.
#[must_use]
pub fn edit(text: &str, manuscript: &Manuscript, after: &Tree<'_>) -> (String, Kept) {
    let crlf = text.contains("\r\n");
    let ended = text.is_empty() || text.ends_with('\n');
    let line_break = if crlf { "\r\n" } else { "\n" };
    let whole = if ended { text.to_owned() } else { format!("{text}{line_break}") };
    for expand in [false, true] {
        let mut editor = Editor { text: &whole, before: manuscript, after, indent: indent(&whole, manuscript), expand, edits: Vec::new() };
        if editor.node(NodeId::ROOT).is_none() {
            break;
        }
        let edited = editor.apply(crlf);
        let edited = if ended { edited } else { edited.strip_suffix(line_break).map(str::to_owned).unwrap_or(edited) };
        if says(&edited, after) {
            return (edited, Kept::Text);
        }
    }
    let anew = anew(text, after, indent(text, manuscript));
    (if crlf { anew.replace('\n', "\r\n") } else { anew }, Kept::Nothing)
}

/// Whether a text, read again, says what it should.
fn says(text: &str, wanted: &Tree<'_>) -> bool {
    Manuscript::read(&Part { text, line: 1 }).is_ok_and(|again| again.tree.same(NodeId::ROOT, wanted, NodeId::ROOT))
}

/// The document written anew, behind the `---` that it had.
fn anew(text: &str, after: &Tree<'_>, indent: Indent) -> String {
    let start = if text.starts_with("---") { "---\n" } else { "" };
    let mut out = start.to_owned();
    Renderer { tree: after, indent, json: false }.document(NodeId::ROOT, &mut out);
    if !says(&out, after) {
        // Nobody knows such a document; but all JSON is YAML.
        out.truncate(start.len());
        after.write(NodeId::ROOT, &mut out);
        out.push('\n');
    }
    out
}

/// How the document indents, as far as it shows.
fn indent(text: &str, manuscript: &Manuscript) -> Indent {
    let (mut object, mut list) = (None, None);
    for index in descend(&manuscript.tree) {
        let Some(Span { key: Some(key), style: Style::Block, .. }) = manuscript.span(index) else { continue };
        let column = lines::column(text, key.start);
        let Some(first) = manuscript.tree.children(index).find_map(|child| manuscript.span(child)) else { continue };
        match &first.key {
            Some(first) => object = object.or(lines::column(text, first.start).checked_sub(column).filter(|step| *step > 0)),
            None => list = list.or_else(|| lines::column(text, lines::dash(text, first.start)?).checked_sub(column)),
        }
        if object.is_some() && list.is_some() {
            break;
        }
    }
    Indent { object: object.unwrap_or(2), list: list.unwrap_or(0) }
}

/// All nodes, those above first.
fn descend(tree: &Tree<'_>) -> impl Iterator<Item = NodeId> {
    let mut waiting = if tree.is_empty() { Vec::new() } else { vec![NodeId::ROOT] };
    std::iter::from_fn(move || {
        let node = waiting.pop()?;
        let from = waiting.len();
        waiting.extend(tree.children(node));
        waiting[from..].reverse();
        Some(node)
    })
}

/// Text that takes the place of a range; an insertion's range is empty.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    text: String,
}

struct Editor<'e, 'a> {
    text: &'e str,
    before: &'e Manuscript,
    after: &'e Tree<'a>,
    indent: Indent,
    expand: bool,
    edits: Vec<Edit>,
}

impl<'e, 'a> Editor<'e, 'a> {
    /// Brings the changes below a node that stayed. `None`: they can't be brought in here, the node has to be written anew.
    fn node(&mut self, node: NodeId) -> Option<()> {
        let span = self.before.span(node)?;
        match span.style {
            Style::Alias | Style::Elsewhere => {
                let expand = self.expand && span.style == Style::Alias;
                (!expand && self.before.tree.same(node, self.after, node)).then_some(())
            }
            Style::Block | Style::Flow => match self.after.view(node) {
                View::Object => self.object(node, span),
                _ => self.list(node, span),
            },
            _ => Some(()),
        }
    }

    fn object(&mut self, node: NodeId, span: &Span) -> Option<()> {
        let start = self.edits.len();
        let outcome = self.members(node, span);
        if outcome.is_none() {
            self.edits.truncate(start);
        }
        outcome
    }

    fn members(&mut self, node: NodeId, span: &Span) -> Option<()> {
        let (before, after) = (self.before, self.after);
        let mut new = Vec::new();
        for member in after.children(node) {
            match before.tree.get(node, after.key(member)) {
                Some(there) if there == member && self.node(there).is_some() => {}
                // A member that a merge key brought is written out, which wins over the merged one.
                Some(there) if before.span(there)?.style == Style::Elsewhere => new.push(member),
                Some(there) => self.replace(there, member, node, span)?,
                None => new.push(member),
            }
        }
        for member in before.tree.children(node) {
            if after.get(node, before.tree.key(member)).is_none() {
                self.remove(member, node, span)?;
            }
        }
        if new.is_empty() {
            return Some(());
        }
        let last = before.tree.children(node).filter(|member| before.span(*member).is_some_and(|span| span.key.is_some())).last();
        if span.style == Style::Flow {
            return self.insert_flow(&new, last, None, span);
        }
        let column = self.column(node)?;
        // Where only a merge key is written, behind that.
        let end = self.content_end(last.unwrap_or(node))?;
        let at = lines::after_comments(self.text, end, column, self.above(node));
        let mut out = String::new();
        for member in new {
            self.renderer().member(member, column, &mut out);
        }
        self.edits.push(Edit { range: at..at, text: out });
        Some(())
    }

    fn list(&mut self, node: NodeId, span: &Span) -> Option<()> {
        let start = self.edits.len();
        let outcome = self.entries(node, span);
        if outcome.is_none() {
            self.edits.truncate(start);
        }
        outcome
    }

    fn entries(&mut self, node: NodeId, span: &Span) -> Option<()> {
        let stays = |entry: NodeId| self.before.spans.len() > entry.index();
        let mut old = self.before.tree.children(node).peekable();
        let mut last = None;
        let mut new: Vec<NodeId> = Vec::new();
        let after: Vec<NodeId> = self.after.children(node).collect();
        let mut rest = after.into_iter().peekable();
        while let Some(entry) = rest.next() {
            if !stays(entry) {
                new.push(entry);
                if rest.peek().is_some() {
                    continue;
                }
            }
            // Entries that went: each gives its place to a new one.
            let mut gone = Vec::new();
            let until = stays(entry).then_some(entry);
            while let Some(there) = old.next_if(|there| Some(*there) != until) {
                gone.push(there);
            }
            if gone.len() > new.len() {
                return None;
            }
            for there in gone {
                self.replace(there, new.remove(0), node, span)?;
                last = Some(there);
            }
            let here = old.next();
            if !new.is_empty() {
                self.insert(&std::mem::take(&mut new), last, here, node, span)?;
            }
            if let Some(here) = here {
                if self.node(here).is_none() {
                    self.replace(here, here, node, span)?;
                }
                last = Some(here);
            }
        }
        old.next().is_none().then_some(())
    }
}
