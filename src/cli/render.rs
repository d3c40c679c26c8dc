//! Writing nodes of a tree as YAML: block style by indentation, flow style in brackets.

use std::fmt::Write;

use crate::tree::{NodeId, Tree, View};

/// How far a document indents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indent {
    /// Members of an object below their key.
    pub object: usize,
    /// Dashes of a list below their key.
    pub list: usize,
}

impl Default for Indent {
    /// As the Kubernetes documentation and `kubectl get -o yaml` have it.
    fn default() -> Self {
        Indent { object: 2, list: 0 }
    }
}

/// Writes trees as YAML.
#[derive(Clone, Copy, Debug)]
pub struct Renderer<'t, 'a> {
    /// What is written.
    pub tree: &'t Tree<'a>,
    /// How far it is indented.
    pub indent: Indent,
    /// Whether flow style is that of JSON.
    pub json: bool,
}

impl Renderer<'_, '_> {
    /// Whether a node takes lines of its own below its key.
    #[must_use]
    pub fn is_block(&self, node: NodeId) -> bool {
        matches!(self.tree.view(node), View::List | View::Object) && self.tree.count(node) > 0
    }

    /// A whole document.
    pub fn document(&self, node: NodeId, out: &mut String) {
        if self.is_block(node) {
            self.block(node, 0, out);
        } else {
            self.scalar(node, 0, out);
            out.push('\n');
        }
    }

    /// Entries or members, each on lines of its own that start at `column`.
    pub fn block(&self, node: NodeId, column: usize, out: &mut String) {
        let object = matches!(self.tree.view(node), View::Object);
        for child in self.tree.children(node) {
            if object {
                self.member(child, column, out);
            } else {
                self.entry(child, column, out);
            }
        }
    }

    /// A member of an object on lines of its own.
    pub fn member(&self, node: NodeId, column: usize, out: &mut String) {
        pad(column, out);
        text(self.tree.key(node), false, out);
        out.push(':');
        self.after_colon(node, column, out);
    }

    /// What follows a key's colon, with the line break.
    pub fn after_colon(&self, node: NodeId, column: usize, out: &mut String) {
        if self.is_block(node) {
            out.push('\n');
            self.block(node, self.below(node, column), out);
        } else {
            out.push(' ');
            self.scalar(node, column + self.indent.object, out);
            out.push('\n');
        }
    }

    /// The column of what stands below a key at `column`.
    #[must_use]
    pub fn below(&self, node: NodeId, column: usize) -> usize {
        column + if matches!(self.tree.view(node), View::List) { self.indent.list } else { self.indent.object }
    }

    /// An entry of a list on lines of its own; `column` is that of the dash.
    pub fn entry(&self, node: NodeId, column: usize, out: &mut String) {
        pad(column, out);
        out.push('-');
        self.after_dash(node, column, out);
    }

    /// What follows a dash, with the line break.
    pub fn after_dash(&self, node: NodeId, column: usize, out: &mut String) {
        out.push(' ');
        if self.is_block(node) {
            let mut lines = String::new();
            self.block(node, column + 2, &mut lines);
            out.push_str(lines.trim_start_matches(' '));
        } else {
            self.scalar(node, column + 2, out);
            out.push('\n');
        }
    }

    /// A scalar, or an empty list or object. `column` is where further lines start.
    pub fn scalar(&self, node: NodeId, column: usize, out: &mut String) {
        match self.tree.view(node) {
            View::String(value) if literal(value) => {
                let chomp = match (value.ends_with("\n\n"), value.ends_with('\n')) {
                    (true, _) => "+",
                    (_, true) => "",
                    _ => "-",
                };
                let _ = write!(out, "|{chomp}");
                for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
                    out.push('\n');
                    if !line.is_empty() {
                        pad(column, out);
                        out.push_str(line);
                    }
                }
            }
            View::String(value) => text(value, false, out),
            _ => self.flow(node, out),
        }
    }

    /// A node on one line.
    pub fn flow(&self, node: NodeId, out: &mut String) {
        match self.tree.view(node) {
            View::List => {
                out.push('[');
                self.flow_children(node, out);
                out.push(']');
            }
            View::Object => {
                out.push('{');
                self.flow_children(node, out);
                out.push('}');
            }
            View::String(value) => text(value, self.json, out),
            View::Null => out.push_str("null"),
            View::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            View::Int(value) => {
                let _ = write!(out, "{value}");
            }
            View::Number(value) => out.push_str(value),
        }
    }

    fn flow_children(&self, node: NodeId, out: &mut String) {
        for (count, child) in self.tree.children(node).enumerate() {
            if count > 0 {
                out.push_str(", ");
            }
            self.flow_child(child, out);
        }
    }

    /// An entry, or a member with its key, on one line.
    pub fn flow_child(&self, node: NodeId, out: &mut String) {
        if self.tree.parent(node).is_some_and(|parent| matches!(self.tree.view(parent), View::Object)) {
            text(self.tree.key(node), self.json, out);
            out.push_str(": ");
        }
        self.flow(node, out);
    }
}

/// Spaces up to a column.
pub fn pad(column: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', column));
}

/// Whether a string is best written line by line after `|`.
fn literal(value: &str) -> bool {
    let mut lines = value.split('\n');
    value.contains('\n')
        && !lines.next().is_some_and(|first| first.is_empty() || first.starts_with([' ', '\t']))
        && !value.trim_end_matches('\n').is_empty()
        && value.split('\n').all(|line| !line.ends_with(' ') && !line.ends_with('\t'))
        && value.chars().all(|letter| letter == '\n' || printable(letter))
}

fn printable(letter: char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

/// A string, in quotes where some YAML reader could take it for something else.
fn text(value: &str, always: bool, out: &mut String) {
    if !always && plain(value) {
        out.push_str(value);
        return;
    }
    out.push('"');
    for letter in value.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            letter if printable(letter) => out.push(letter),
            letter => {
                // All of them are in the basic plane.
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
        }
    }
    out.push('"');
}

/// Whether a string without quotes is the same string to every reader of YAML 1.1 and 1.2, in block and flow style.
fn plain(value: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if quantity(value) {
        return true;
    }
    // A dash or two before a letter, as flags have them, is no entry of a list.
    let bare = value.strip_prefix("--").or_else(|| value.strip_prefix('-')).unwrap_or(value);
    let Some(first) = bare.chars().next() else { return false };
    (first.is_ascii_alphabetic() || matches!(first, '_' | '/'))
        && !value.ends_with([':', ' '])
        && !value.contains(": ")
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
        && value.chars().all(|letter| letter.is_ascii_alphanumeric() || " _/.@%+=:;()$-".contains(letter))
}

/// `100m`, `1.5Gi`: starts with a digit and is no number to anybody.
fn quantity(value: &str) -> bool {
    let number = ["m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"].iter().find_map(|unit| value.strip_suffix(unit));
    number.is_some_and(|number| {
        let mut parts = number.splitn(2, '.');
        parts.all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::spans::Manuscript;

    fn yaml(json: &str, list: usize) -> String {
        let tree = crate::tree::parse(json).unwrap();
        let mut out = String::new();
        Renderer { tree: &tree, indent: Indent { object: 2, list }, json: false }.document(NodeId::ROOT, &mut out);
        let again = Manuscript::read(&crate::yaml::Part { text: &out, line: 1 }).unwrap();
        assert!(again.tree.same(NodeId::ROOT, &tree, NodeId::ROOT), "{out}");
        out
    }

    #[test]
    fn block_style_with_both_kinds_of_list() {
        let json = r#"{"a":[{"b":1,"c":["x",["q","z"],{}]}],"d":{"e":"f"},"g":[]}"#;
        assert_eq!(yaml(json, 0), "a:\n- b: 1\n  c:\n  - x\n  - - q\n    - z\n  - {}\nd:\n  e: f\ng: []\n");
        assert_eq!(yaml(json, 2), "a:\n  - b: 1\n    c:\n      - x\n      - - q\n        - z\n      - {}\nd:\n  e: f\ng: []\n");
    }

    #[test]
    fn strings_stay_strings() {
        let words = [
            "yes",
            "NULL",
            "1",
            "1e3",
            "1:30",
            "0x1f",
            "2001-01-01",
            "~",
            "",
            " a",
            "a ",
            "a: b",
            "a #b",
            "#",
            "- a",
            "*a",
            "&a",
            "{a",
            "a,b",
        ];
        for word in words {
            let mut out = String::new();
            text(word, false, &mut out);
            assert!(out.starts_with('"'), "{out}");
            yaml(&format!("{{\"a\":{}}}", serde_json::to_string(word).unwrap()), 0);
        }
        for word in ["web", "nginx:1.2", "100m", "1.5Gi", "/var/log", "a b", "podgraft.dev/x", "-c", "--a=b"] {
            let mut out = String::new();
            text(word, false, &mut out);
            assert_eq!(out, word);
        }
    }

    #[test]
    fn several_lines_come_as_they_are() {
        assert_eq!(yaml(r#"{"a":["x\n  y\n","x\ny","x\n\ny\n\n"]}"#, 0), "a:\n- |\n  x\n    y\n- |-\n  x\n  y\n- |+\n  x\n\n  y\n\n");
        assert_eq!(yaml(r#"{"a":" x\ny","b":"\n","c":"x \ny","d":"\u0001\u007f\u2028\r"}"#, 0).lines().count(), 4);
    }
}
