//! Editing the text of a YAML document so that it says what a changed tree says, and everything else stays byte for byte.
//!
//! The changed tree is a copy of the one that was read, so nodes that stayed have the same [`NodeId`], and what is new has a higher one. The
//! two are walked side by side; what is new is written at the place where it belongs, in the style of its surroundings. Where the style
//! leaves no room (a list inside a list's first line, a removed first member, ...) the smallest enclosing node is written anew. The result
//! is read again: where it does not say what the tree says (an anchor's text was changed, and its aliases with it), aliases are written out,
//! and as the last resort the whole document is written anew.

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
    let whole = if ended { text.to_owned() } else { format!("{text}\n") };
    for expand in [false, true] {
        let mut editor = Editor { text: &whole, before: manuscript, after, indent: indent(&whole, manuscript), expand, edits: Vec::new() };
        if editor.node(NodeId::ROOT).is_none() {
            break;
        }
        let edited = editor.apply(crlf);
        let edited =
            if ended { edited } else { edited.strip_suffix('\n').map(|text| text.trim_end_matches('\r').to_owned()).unwrap_or(edited) };
        if Manuscript::read(&Part { text: &edited, line: 1 }).is_ok_and(|again| again.tree.same(NodeId::ROOT, after, NodeId::ROOT)) {
            return (edited, Kept::Text);
        }
    }
    (anew(text, after, indent(text, manuscript)), Kept::Nothing)
}

/// The document written anew, behind the `---` that it had.
fn anew(text: &str, after: &Tree<'_>, indent: Indent) -> String {
    let mut out = if text.starts_with("---") { "---\n".to_owned() } else { String::new() };
    Renderer { tree: after, indent, json: false }.document(NodeId::ROOT, &mut out);
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

    /// New entries of a list, after `last` and before `next`.
    fn insert(&mut self, new: &[NodeId], last: Option<NodeId>, next: Option<NodeId>, list: NodeId, span: &Span) -> Option<()> {
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

    fn insert_flow(&mut self, new: &[NodeId], last: Option<NodeId>, next: Option<NodeId>, span: &Span) -> Option<()> {
        let mut out = String::new();
        let renderer = Renderer { json: self.looks_json(span), ..self.renderer() };
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

    /// Writes `new` (which may be the same node, changed) in the place of `old`, a child of `parent`.
    fn replace(&mut self, old: NodeId, new: NodeId, parent: NodeId, span: &Span) -> Option<()> {
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
    fn remove(&mut self, member: NodeId, parent: NodeId, span: &Span) -> Option<()> {
        let key = self.before.span(member)?.key.as_ref()?;
        let start = key.start - lines::column(self.text, key.start);
        if span.style == Style::Flow || self.after.count(parent) == 0 || !self.text[start..key.start].trim().is_empty() {
            return None;
        }
        self.edits.push(Edit { range: start..lines::end_of_line(self.text, self.content_end(member)?), text: String::new() });
        Some(())
    }

    /// Where the text of a node ends.
    fn content_end(&self, node: NodeId) -> Option<usize> {
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
    fn column(&self, node: NodeId) -> Option<usize> {
        let first = self.before.tree.children(node).find_map(|member| self.before.span(member)?.key.as_ref());
        let start = first.map_or_else(|| self.before.span(node).map(|span| span.start), |key| Some(key.start))?;
        (!self.text[start..].starts_with(['&', '!', '?'])).then(|| lines::column(self.text, start))
    }

    /// The column of the key that a node is the value of.
    fn above(&self, node: NodeId) -> Option<usize> {
        self.before.span(node)?.key.as_ref().map(|key| lines::column(self.text, key.start))
    }

    fn dash(&self, entry: NodeId) -> Option<usize> {
        let span = self.before.span(entry)?;
        if span.style == Style::Literal { lines::dash_above(self.text, span.start) } else { lines::dash(self.text, span.start) }
    }

    fn looks_json(&self, span: &Span) -> bool {
        self.text[span.start..span.end].contains("\":")
    }

    fn renderer(&self) -> Renderer<'e, 'a> {
        Renderer { tree: self.after, indent: self.indent, json: false }
    }

    fn apply(mut self, crlf: bool) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::patching::{Operation, apply};
    use proptest::prelude::*;

    fn edited(text: &str, operations: &[(&'static str, &str, &str)]) -> (String, Kept) {
        let manuscript = Manuscript::read(&Part { text, line: 1 }).unwrap();
        let operations: Vec<Operation> =
            operations.iter().map(|(op, path, value)| Operation { op, path: (*path).into(), value: (*value).into() }).collect();
        let mut after = manuscript.tree.clone();
        for operation in &operations {
            apply(&mut after, operation).unwrap();
        }
        let (edited, kept) = edit(text, &manuscript, &after);
        assert!(Manuscript::read(&Part { text: &edited, line: 1 }).unwrap().tree.same(NodeId::ROOT, &after, NodeId::ROOT), "{edited}");
        (edited, kept)
    }

    fn lines_added(text: &str, operations: &[(&'static str, &str, &str)]) -> String {
        let (edited, kept) = edited(text, operations);
        assert_eq!(kept, Kept::Text, "{edited}");
        edited
    }

    const POD: &str = "# a Pod\nkind:   Pod\nspec:\n  containers:\n    - name: a   # first\n      image: 'x'\n    # the second\n    - name: b\n      args: [\"-v\", 'w']  # flow\n      # more: of b\n  # about dns\n  dnsPolicy: Default # kept\n";

    #[test]
    fn entries_go_where_they_belong_and_comments_stay_with_their_own() {
        let out = lines_added(
            POD,
            &[
                ("add", "/spec/containers/-", r#"{"name":"z"}"#),
                ("add", "/spec/containers/1", r#"{"name":"m","env":[{"name":"E","value":"1"}]}"#),
                ("add", "/spec/containers/0", r#"{"name":"f"}"#),
                ("add", "/spec/containers/1/env", r#"[{"name":"E"}]"#),
                ("add", "/spec/volumes", r#"[{"name":"v","emptyDir":{}}]"#),
                ("add", "/metadata", r#"{"labels":{"a":"b"}}"#),
                ("add", "/spec/containers/3/args/0", r#""first""#),
                ("add", "/spec/containers/3/args/-", r#""--last""#),
                ("replace", "/spec/dnsPolicy", r#""None""#),
            ],
        );
        assert_eq!(
            out,
            "# a Pod\nkind:   Pod\nspec:\n  containers:\n    - name: f\n    - name: a   # first\n      image: 'x'\n      env:\n        - name: E\n    - name: m\n      env:\n        - name: E\n          value: \"1\"\n    # the second\n    - name: b\n      args: [first, \"-v\", 'w', --last]  # flow\n      # more: of b\n    - name: z\n  # about dns\n  dnsPolicy: None # kept\n  volumes:\n    - name: v\n      emptyDir: {}\nmetadata:\n  labels:\n    a: b\n"
        );
    }

    #[test]
    fn empty_and_null_values_become_blocks() {
        let out = lines_added(
            "a:\nb: {}  # none\nc: []\nd: ~ # x\ne:\n",
            &[
                ("add", "/a", r#"{"x":1}"#),
                ("add", "/b/k", "[2]"),
                ("add", "/c/-", r#"{"z":3}"#),
                ("add", "/d", r#"{"v":4}"#),
                ("add", "/e", "5"),
                ("add", "/f", "6"),
            ],
        );
        assert_eq!(out, "a:\n  x: 1\nb:  # none\n  k:\n  - 2\nc:\n- z: 3\nd: # x\n  v: 4\ne: 5\nf: 6\n");
    }

    #[test]
    fn literals_line_breaks_and_missing_ends() {
        let text = "a:\r\n- |\r\n  x\r\n\r\n  y\r\n# c\r\nb: >-\r\n  z\r\n";
        let out = lines_added(text, &[("add", "/a/-", "1"), ("add", "/c", "2"), ("add", "/a/0", "0")]);
        assert_eq!(out, "a:\r\n- 0\r\n- |\r\n  x\r\n\r\n  y\r\n- 1\r\n# c\r\nb: >-\r\n  z\r\nc: 2\r\n");
        assert_eq!(lines_added("a: 1 # c", &[("add", "/b", "2")]), "a: 1 # c\nb: 2");
        assert_eq!(lines_added("a: |\n  x\n  y\nb: 1\n", &[("replace", "/a", r#""z""#)]), "a: z\nb: 1\n");
        assert_eq!(lines_added("a:\n- |+\n  x\n\n\nb: 1\n", &[("add", "/a/-", "2")]), "a:\n- |+\n  x\n\n\n- 2\nb: 1\n");
    }

    #[test]
    fn aliases_and_merge_keys() {
        let out =
            lines_added("s: &l\n  a: b\nt: *l # same\nu:\n  <<: *l\n", &[("add", "/t/c", "1"), ("add", "/u/a", "2"), ("add", "/u/d", "3")]);
        assert_eq!(out, "s: &l\n  a: b\nt: # same\n  a: b\n  c: 1\nu:\n  <<: *l\n  a: 2\n  d: 3\n");
        let out = lines_added("s: &l\n  a: b # c\nt: *l\n", &[("add", "/s/c", "1")]);
        assert_eq!(out, "s: &l\n  a: b # c\n  c: 1\nt:\n  a: b\n");
    }

    #[test]
    fn lists_in_first_lines_removed_members_and_json() {
        assert_eq!(lines_added("a:\n- - x\n  - w\n- z\n", &[("add", "/a/0/0", "1")]), "a:\n- - 1\n  - x\n  - w\n- z\n");
        assert_eq!(lines_added("a:\n  b: 1\n  c:\n    d: 2\n  e: 3\n", &[("remove", "/a/c", "")]), "a:\n  b: 1\n  e: 3\n");
        assert_eq!(lines_added("- a: 1\n  b: 2\n", &[("remove", "/0/a", "")]), "- b: 2\n");
        assert_eq!(lines_added("a:\n  b: 1\n", &[("remove", "/a/b", "")]), "a: {}\n");
        assert_eq!(
            lines_added("{\"a\": {\"b\": []}}\n", &[("add", "/a/b/-", r#"{"c":"d"}"#), ("add", "/e", "1")]),
            "{\"a\": {\"b\": [{\"c\": \"d\"}]}, \"e\": 1}\n"
        );
        assert_eq!(edited("--- {}\n", &[("add", "/e", "1")]), ("---\ne: 1\n".to_owned(), Kept::Nothing));
    }

    /// A document of a few words in block style, with a comment on some lines and above some.
    fn document() -> impl Strategy<Value = (String, serde_json::Value)> {
        let leaf = prop_oneof![
            Just(serde_json::json!(null)),
            Just(serde_json::json!(7)),
            Just(serde_json::json!("word")),
            Just(serde_json::json!("two\nlines\n")),
            Just(serde_json::json!("# no comment\n\nend")),
            Just(serde_json::json!({})),
            Just(serde_json::json!([])),
        ];
        let value = leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map("[a-f]", inner, 1..4).prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        });
        let root = prop::collection::btree_map("[a-f]", value, 1..5);
        (root, 0..3usize, any::<u64>()).prop_map(|(root, list, mut dice)| {
            let json = serde_json::Value::Object(root.into_iter().collect());
            let text = json.to_string();
            let tree = crate::tree::parse(&text).unwrap();
            let mut plain = String::new();
            Renderer { tree: &tree, indent: Indent { object: 2, list }, json: false }.document(NodeId::ROOT, &mut plain);
            let mut out = String::new();
            for line in plain.lines() {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let column = line.len() - line.trim_start_matches(' ').len();
                let scalar = line.ends_with("word") || line.ends_with('7') || line.ends_with(':');
                match dice >> 61 {
                    0 if scalar => out.push_str(&format!("{}# above\n{line}\n", " ".repeat(column))),
                    1 if scalar => out.push_str(&format!("{line}   # behind\n")),
                    2 if scalar => out.push_str(&format!("{line}\n\n")),
                    _ => out.push_str(&format!("{line}\n")),
                }
            }
            (out, json)
        })
    }

    proptest! {
        #[test]
        fn every_edit_leaves_the_rest_alone((text, json) in document(), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..6)) {
            let marked = Manuscript::read(&Part { text: &text, line: 1 }).unwrap();
            let same = json.to_string();
            let mut after = marked.tree.clone();
            prop_assert!(after.same(NodeId::ROOT, &crate::tree::parse(&same).unwrap(), NodeId::ROOT));
            let values = [r#"{"x":[{"z":1}],"w":"v"}"#, r#""new""#, "[1,[2]]"];
            let values: Vec<Tree<'_>> = values.iter().map(|value| crate::tree::parse(value).unwrap()).collect();
            for (turn, pick) in picks.iter().enumerate() {
                let nodes: Vec<NodeId> = descend(&after).collect();
                let node = *pick.get(&nodes);
                let new = after.graft(&values[turn % 3], NodeId::ROOT, &[], 0);
                match after.view(node) {
                    View::List => {
                        let at = pick.index(after.count(node) + 1);
                        after.insert(node, at, new);
                    }
                    View::Object => {
                        let key = after.keep(&format!("new{turn}"));
                        after.set_member(node, key, new);
                    }
                    _ => after.exchange_keeping_key(node, new),
                }
            }
            let (edited, kept) = edit(&text, &marked, &after);
            let again = Manuscript::read(&Part { text: &edited, line: 1 }).unwrap();
            prop_assert!(again.tree.same(NodeId::ROOT, &after, NodeId::ROOT));
            prop_assert_eq!(kept, Kept::Text, "{}", edited);
        }
    }
}
