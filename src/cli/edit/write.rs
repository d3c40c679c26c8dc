//! Writing what is new at its place: between the entries of a list, behind the members of an object, or instead of something.

use super::{Edit, Editor};
use crate::cli::lines;
use crate::cli::render::Renderer;
use crate::cli::spans::{Span, Style};
use crate::tree::{NodeId, View};

/// Entries in brackets that have lines of their own.
struct Lines<'e> {
    indent: &'e str,
    end: usize,
    comma: bool,
    next: usize,
}

impl<'e, 'a> Editor<'e, 'a> {
    /// New entries of a list, after `last` and before `next`.
    pub(super) fn insert(&mut self, new: &[NodeId], last: Option<NodeId>, next: Option<NodeId>, list: NodeId, span: &Span) -> Option<()> {
        if span.style == Style::Flow {
            return self.insert_flow(new, last, next, span);
        }
        let dash = self.dash(last.or(next)?)?;
        let column = lines::column(self.text, dash);
        let at = match (last, next) {
            (Some(last), None) => lines::after_comments(self.text, self.content_end(last)?, column, self.above(list)),
            // What stands at the dashes' column before the next entry is about that one.
            (Some(last), Some(_)) => lines::after_comments(self.text, self.content_end(last)?, column + 1, None),
            _ => lines::before_comments(self.text, dash)?,
        };
        let mut out = String::new();
        for entry in new {
            self.renderer().entry(*entry, column, &mut out);
        }
        self.edits.push(Edit { range: at..at, text: out });
        Some(())
    }

    pub(super) fn insert_flow(&mut self, new: &[NodeId], last: Option<NodeId>, next: Option<NodeId>, span: &Span) -> Option<()> {
        let renderer = Renderer { json: self.looks_json(span), ..self.renderer() };
        if let (Some(last), None) = (last, next)
            && let Some(lines) = self.lines_of_their_own(last)
        {
            self.add_lines(new, &renderer, &lines);
            return Some(());
        }
        let mut out = String::new();
        for entry in new {
            match (last, next) {
                (Some(_), _) => {
                    out.push_str(", ");
                    renderer.flow_child(*entry, &mut out);
                }
                (None, Some(_)) => {
                    renderer.flow_child(*entry, &mut out);
                    out.push_str(", ");
                }
                // Nothing was in the brackets: the whole is written anew, by indentation where that is possible.
                (None, None) => return None,
            }
        }
        let at = match (last, next) {
            (Some(last), _) => self.content_end(last)?,
            (None, next) => self.before.span(next?)?.start,
        };
        self.edits.push(Edit { range: at..at, text: out });
        Some(())
    }

    /// Where the entries in some brackets have lines of their own: how the last is indented, where it ends, whether a comma follows there,
    /// and where the next line starts.
    fn lines_of_their_own(&self, last: NodeId) -> Option<Lines<'e>> {
        let span = self.before.span(last)?;
        let start = span.key.as_ref().map_or(span.start, |key| key.start);
        let indent = self.text.get(start - lines::column(self.text, start)..start)?;
        let end = self.content_end(last)?;
        let next = lines::end_of_line(self.text, end);
        let behind = self.text.get(end..next)?.trim_start();
        let comma = behind.starts_with(',');
        let behind = behind.strip_prefix(',').unwrap_or(behind).trim();
        (indent.trim().is_empty() && (behind.is_empty() || behind.starts_with('#'))).then_some(Lines { indent, end, comma, next })
    }

    fn add_lines(&mut self, new: &[NodeId], renderer: &Renderer<'_, '_>, lines: &Lines<'_>) {
        let &Lines { indent, end, comma, next } = lines;
        let mut out = String::new();
        for (count, entry) in new.iter().enumerate() {
            out.push_str(indent);
            renderer.flow_child(*entry, &mut out);
            out.push_str(if comma || count + 1 < new.len() { ",\n" } else { "\n" });
        }
        if !comma {
            self.edits.push(Edit { range: end..end, text: ",".to_owned() });
        }
        self.edits.push(Edit { range: next..next, text: out });
    }

    /// Writes `new` (which may be the same node, changed) in the place of `old`, a child of `parent`.
    pub(super) fn replace(&mut self, old: NodeId, new: NodeId, parent: NodeId, span: &Span) -> Option<()> {
        let place = self.before.span(old)?;
        let end = self.content_end(old)?;
        if span.style == Style::Flow {
            let mut out = String::new();
            let start = place.start;
            if matches!(place.style, Style::Empty | Style::Elsewhere) || start > end {
                return None;
            }
            Renderer { json: self.looks_json(span), ..self.renderer() }.flow(new, &mut out);
            self.edits.push(Edit { range: start..end, text: out });
            return Some(());
        }
        let object = matches!(self.after.view(parent), View::Object);
        let (start, column) = if object {
            let key = place.key.as_ref()?;
            (lines::colon(self.text, key.end)? + 1, lines::column(self.text, key.start))
        } else {
            let dash = self.dash(old)?;
            (dash + 1, lines::column(self.text, dash))
        };
        let mut out = String::new();
        if object {
            self.renderer().after_colon(new, column, &mut out);
        } else {
            self.renderer().after_dash(new, column, &mut out);
        }
        let out = out.strip_suffix('\n').unwrap_or(&out);
        // A comment behind the value stays on the key's line.
        let line = lines::end_of_line(self.text, end);
        match out.strip_prefix('\n') {
            Some(below) if lines::end_of_line(self.text, start) == line => {
                self.edits.push(Edit { range: start..end, text: String::new() });
                self.edits.push(Edit { range: line..line, text: format!("{below}\n") });
            }
            _ => self.edits.push(Edit { range: start..end, text: out.to_owned() }),
        }
        Some(())
    }

    /// Takes a member's lines out.
    pub(super) fn remove(&mut self, member: NodeId, parent: NodeId, span: &Span) -> Option<()> {
        let key = self.before.span(member)?.key.as_ref()?;
        let start = key.start - lines::column(self.text, key.start);
        if span.style == Style::Flow || self.after.count(parent) == 0 || !self.text[start..key.start].trim().is_empty() {
            return None;
        }
        self.edits.push(Edit { range: start..lines::end_of_line(self.text, self.content_end(member)?), text: String::new() });
        Some(())
    }
    fn looks_json(&self, span: &Span) -> bool {
        self.text[span.start..span.end].contains("\":")
    }

    pub(super) fn renderer(&self) -> Renderer<'e, 'a> {
        Renderer { tree: self.after, indent: self.indent, json: false }
    }

    pub(super) fn apply(mut self, crlf: bool) -> String {
        self.edits.sort_by_key(|edit| edit.range.start);
        let mut out = String::with_capacity(self.text.len() * 2);
        let mut at = 0;
        for edit in &self.edits {
            // Overlapping edits give a text that the check refuses.
            out.push_str(self.text.get(at..edit.range.start).unwrap_or_default());
            out.push_str(&if crlf { edit.text.replace('\n', "\r\n") } else { edit.text.clone() });
            at = edit.range.end.max(at);
        }
        out.push_str(self.text.get(at..).unwrap_or_default());
        out
    }
}
