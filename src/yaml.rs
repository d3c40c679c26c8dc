//! YAML and JSON text as a [`Tree`], with the place of every node and key in the file.
//!
//! Documents are split on `---` before anything is parsed, so that broken YAML spoils its own document only. Values come out as kubectl's
//! reader gives them (sigs.k8s.io/yaml on go-yaml v2): `yes`, `on` and `y` are booleans, `0644` is octal, timestamps stay strings, and keys
//! that are numbers or booleans become their text. Unlike there, a key that stands twice is an error.

mod compose;
mod expand;
mod json;
mod scalar;
mod split;

use crate::tree::{NodeId, Tree};

pub use split::{Part, split};

/// How deep lists and objects may nest.
pub const MAX_DEPTH: usize = 100;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
}

/// What a document may become once its aliases are expanded.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes.
    pub nodes: usize,
    /// Bytes of all keys and strings together.
    pub text: usize,
}

/// Something that keeps a document from being read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {text}", mark.line, mark.column)]
pub struct Fault {
    /// Where.
    pub mark: Mark,
    /// A sentence that says what to do.
    pub text: String,
}

/// One document: its tree, and where each node and its key stand in the file.
#[derive(Clone, Debug, Default)]
pub struct Marked {
    /// The document. Empty where the text holds nothing but comments.
    pub tree: Tree<'static>,
    /// How many bytes of text the document was.
    pub bytes: usize,
    marks: Vec<(Mark, Mark)>,
}

impl Marked {
    /// Where a node's value starts.
    #[must_use]
    pub fn mark(&self, node: NodeId) -> Mark {
        self.marks.get(node.index()).map_or_else(Mark::default, |(_, value)| *value)
    }

    /// Where a member's key starts; for other nodes, where the value does.
    #[must_use]
    pub fn key_mark(&self, node: NodeId) -> Mark {
        self.marks.get(node.index()).map_or_else(Mark::default, |(key, _)| *key)
    }

    /// Whether the document says nothing: no text, comments only, or null.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty() || self.tree.view(NodeId::ROOT) == crate::tree::View::Null
    }
}

/// What became of a part of a file: the documents up to the first that cannot be read, and why that cannot.
#[derive(Debug, Default)]
pub struct Parsed {
    /// One document, for JSON also several one after the other.
    pub documents: Vec<Marked>,
    /// Why the rest cannot be read; empty where all was.
    pub faults: Vec<Fault>,
}

/// Reads one part of a file as [`split()`] gives it. Text that starts with `{` is tried as JSON first, then as YAML.
#[must_use]
pub fn parse(part: &Part<'_>, limits: Limits) -> Parsed {
    let mut parsed = parse_as(part, limits);
    for fault in &mut parsed.faults {
        fault.mark = within(part, fault.mark);
    }
    parsed
}

/// A place that an editor can go to: what ends too early is noticed behind the last line.
fn within(part: &Part<'_>, mark: Mark) -> Mark {
    let lines = || part.text.split('\n');
    let last = u32::try_from(part.line + lines().count() - 1).unwrap_or(u32::MAX);
    if mark.line <= last {
        return mark;
    }
    let width = lines().next_back().map_or(0, |line| line.chars().count());
    Mark { line: last, column: u32::try_from(width + 1).unwrap_or(u32::MAX) }
}

fn parse_as(part: &Part<'_>, limits: Limits) -> Parsed {
    let Some(start) = json::start(part.text) else { return yaml(part, limits) };
    let as_json = json::parse(part, start, limits);
    if as_json.faults.is_empty() || !as_json.documents.is_empty() {
        return as_json;
    }
    let as_yaml = yaml(part, limits);
    let reached = |parsed: &Parsed| parsed.faults.first().map(|fault| fault.mark);
    // Whoever got further has understood more of what was meant.
    if as_yaml.faults.is_empty() || reached(&as_yaml) > reached(&as_json) { as_yaml } else { as_json }
}

/// Whether a text looks like JSON: its first line that is no comment starts with `{`.
#[must_use]
pub fn is_json(text: &str) -> bool {
    json::start(text).is_some()
}

fn yaml(part: &Part<'_>, limits: Limits) -> Parsed {
    match compose::compose(part) {
        Ok(composed) => match expand::expand(&composed, limits) {
            Ok(tree) => Parsed { documents: vec![Marked { bytes: part.text.len(), ..tree }], faults: Vec::new() },
            Err(faults) => Parsed { documents: Vec::new(), faults },
        },
        Err(fault) => Parsed { documents: Vec::new(), faults: vec![fault] },
    }
}

/// A key as it may be shown in a message: short, on one line, and without what may be the value of a variable.
#[must_use]
pub fn shown(key: &str) -> String {
    const LONGEST: usize = 80;
    let mut out = String::new();
    for (count, character) in key.chars().enumerate() {
        if count == LONGEST || character == '=' {
            out.push_str("...");
            break;
        }
        if character.is_control() {
            out.push('\u{fffd}');
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const LIMITS: Limits = Limits { nodes: 100_000, text: 4 << 20 };

    pub(crate) fn json(text: &str) -> Result<String, String> {
        let parsed = parse(&Part { text, line: 1 }, LIMITS);
        if let Some(fault) = parsed.faults.first() {
            return Err(fault.to_string());
        }
        let document = parsed.documents.into_iter().next().ok_or("nothing")?;
        let mut out = String::new();
        if document.tree.is_empty() {
            return Ok(out);
        }
        document.tree.write(NodeId::ROOT, &mut out);
        Ok(out)
    }

    #[test]
    fn every_node_and_key_has_its_place() {
        let text = "a: 1\nb:\n  - x\n  - k: {m: n}\n";
        for (text, line) in [(text, 1), ("{\"a\": 1,\n\"b\":\n  [\"x\",\n  {\"k\": {\"m\": 0}}]}", 1)] {
            let document = parse(&Part { text, line }, LIMITS).documents.remove(0);
            let tree = &document.tree;
            let list = tree.get(NodeId::ROOT, "b").unwrap();
            let entry = tree.children(list).nth(1).unwrap();
            let inner = tree.at(entry, &["k", "m"]).unwrap();
            assert_eq!(document.key_mark(list).line, 2);
            assert_eq!(document.mark(list).line, 3);
            assert_eq!(document.mark(list).column, 3);
            assert_eq!(document.mark(tree.get(entry, "k").unwrap()).line, 4);
            assert!(document.key_mark(inner) < document.mark(inner));
        }
        let document = parse(&Part { text, line: 41 }, LIMITS).documents.remove(0);
        let list = document.tree.get(NodeId::ROOT, "b").unwrap();
        assert_eq!(document.key_mark(list), Mark { line: 42, column: 1 });
        let entry = document.tree.children(list).nth(1).unwrap();
        assert_eq!(document.key_mark(document.tree.get(entry, "k").unwrap()), Mark { line: 44, column: 5 });
    }

    #[test]
    fn a_text_that_ends_too_early_is_told_where_it_ends() {
        for (text, place) in [("[a", "1:3"), ("a:\n  {b", "2:5"), ("a: [\n", "2:1"), ("%!", "1:3")] {
            let said = json(text).unwrap_err();
            assert!(said.starts_with(&format!("{place}: ")), "{text:?}: {said}");
        }
    }

    #[test]
    fn json_is_read_as_json_and_flow_yaml_as_yaml() {
        assert_eq!(json("{\"a\": \"\\ud83d\\ude00\\/\", \"n\": 1e3}").unwrap(), "{\"a\":\"😀/\",\"n\":1e3}");
        assert_eq!(json("{a: 1e3, b: yes} # c").unwrap(), "{\"a\":1000,\"b\":true}");
        assert_eq!(json("--- # comment\n# more\n{\"a\": 1}\n").unwrap(), "{\"a\":1}");
        assert!(json("{\"a\": 1, \"a\": 2}").unwrap_err().contains("twice"));
        assert!(json("{a: 1, a: 2}").unwrap_err().contains("twice"));
    }

    #[test]
    fn what_is_shown_of_a_key_is_short_and_no_value() {
        assert_eq!(shown("PASSWORD=hunter2"), "PASSWORD...");
        assert_eq!(shown("a\nb"), "a\u{fffd}b");
        assert_eq!(shown(&"x".repeat(200)).len(), 83);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[-{}\\[\\]:,&*!|>'\"%@`# a-c0-9\\n\\t?~<.\\\\]{0,120}") {
            for part in split(&text) {
                let _ = parse(&part, LIMITS);
            }
        }

        #[test]
        fn no_unicode_text_panics(text in "\\PC{0,60}") {
            for part in split(&text) {
                let _ = parse(&part, LIMITS);
            }
        }
    }
}
