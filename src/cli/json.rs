//! JSON text: pretty where it is for people, and in the style of a file where it goes back there.

use crate::tree::{NodeId, Tree, View, write_json_string};

/// How a program laid out a JSON text.
#[derive(Clone, Copy, Debug)]
pub struct Style<'t> {
    /// What a member or entry is indented by; `None`: all on one line.
    indent: Option<&'t str>,
    crlf: bool,
}

impl<'t> Style<'t> {
    /// As far as it shows in a text.
    #[must_use]
    pub fn of(text: &'t str) -> Style<'t> {
        let second = text.split('\n').nth(1);
        let indent = second.map(|line| &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]);
        Style { indent, crlf: text.contains("\r\n") }
    }

    /// A document in this style.
    #[must_use]
    pub fn write(&self, tree: &Tree<'_>) -> String {
        let mut out = String::new();
        match self.indent {
            None => tree.write(NodeId::ROOT, &mut out),
            Some(indent) => pretty(tree, NodeId::ROOT, indent, &mut out),
        }
        if self.crlf { out.replace('\n', "\r\n") } else { out }
    }
}

/// Appends a node with a member or entry a line, each deeper by `indent`.
pub fn pretty(tree: &Tree<'_>, node: NodeId, indent: &str, out: &mut String) {
    write(tree, node, indent, 0, out);
}

fn write(tree: &Tree<'_>, node: NodeId, indent: &str, depth: usize, out: &mut String) {
    let (object, brackets) = match tree.view(node) {
        View::Object => (true, ['{', '}']),
        View::List => (false, ['[', ']']),
        _ => return tree.write(node, out),
    };
    out.push(brackets[0]);
    let mut any = false;
    for child in tree.children(node) {
        out.push_str(if any { ",\n" } else { "\n" });
        any = true;
        out.push_str(&indent.repeat(depth + 1));
        if object {
            write_json_string(tree.key(child), out);
            out.push_str(": ");
        }
        write(tree, child, indent, depth + 1, out);
    }
    if any {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
    out.push(brackets[1]);
}

/// A string in quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_json_string(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_style() {
        for text in [
            "{\"a\":[1,{\"b\":null}],\"c\":{}}",
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}",
            "{\r\n\t\"a\": 1\r\n}",
        ] {
            assert_eq!(Style::of(text).write(&crate::tree::parse(text).unwrap()), text);
        }
    }
}
