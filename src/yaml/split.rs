//! Splitting a file into documents, line by line, before anything is parsed.
//!
//! A line that starts with `---` in its first column, followed by a blank or the end of the line, starts a document wherever it stands, also
//! inside what looks like a block scalar (YAML 1.2.2, section 9.1.2: such a line is no content). A line `...` ends one.

/// A part of a file that holds one YAML document, or JSON values one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'t> {
    /// The text, with its `---` line where it has one.
    pub text: &'t str,
    /// The line of the file on which the text starts, counted from 1.
    pub line: usize,
}

/// Splits a file. Parts that hold nothing are among the result.
#[must_use]
pub fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut part = Part { text, line: 1 };
    let mut start = 0;
    let mut at = 0;
    for (number, line) in lines(text).enumerate() {
        let content = line.trim_end_matches(['\n', '\r']).trim_start_matches('\u{feff}');
        if is_marker(content, "---") {
            let before = &text[start..at];
            if !before.is_empty() && !only_directives(before) {
                parts.push(Part { text: before, ..part });
                start = at;
                part.line = number + 1;
            }
        } else if is_marker(content, "...") {
            parts.push(Part { text: &text[start..at], ..part });
            start = at + line.len();
            part.line = number + 2;
        }
        at += line.len();
    }
    if start < text.len() {
        parts.push(Part { text: &text[start..], ..part });
    }
    for part in &mut parts {
        part.text = part.text.trim_start_matches('\u{feff}');
        // A file with a mark of its own after a line `---`: files that were put together.
        let first = lines(part.text).next().unwrap_or("");
        if first.trim_end() == "---" && part.text[first.len()..].starts_with('\u{feff}') {
            part.text = part.text[first.len()..].trim_start_matches('\u{feff}');
            part.line += 1;
        }
    }
    parts
}

/// Lines with their ends, which are `\n`, `\r\n` or a lone `\r`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = match rest.find(['\n', '\r']) {
            Some(end) if rest[end..].starts_with("\r\n") => end + 2,
            Some(end) => end + 1,
            None => rest.len(),
        };
        let (line, after) = rest.split_at(end);
        rest = after;
        Some(line)
    })
}

/// Whether a line is a document marker.
pub(super) fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Whether a text is what may stand before the `---` of its own document: directives, comments and empty lines.
fn only_directives(text: &str) -> bool {
    let mut directives = 0;
    for line in lines(text) {
        let content = line.trim_start_matches('\u{feff}');
        if content.starts_with('%') {
            directives += 1;
        } else if !content.trim().is_empty() && !content.trim_start().starts_with('#') {
            return false;
        }
    }
    directives > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_where_yaml_splits_them() {
        for (text, expected) in [
            ("", vec![]),
            ("a: 1", vec![("a: 1", 1)]),
            ("---\na: 1\n---\nb: 2\n", vec![("---\na: 1\n", 1), ("---\nb: 2\n", 3)]),
            ("a: 1\n--- # comment\nb: 2", vec![("a: 1\n", 1), ("--- # comment\nb: 2", 2)]),
            ("--- {a: 1}\n--- {b: 2}\n", vec![("--- {a: 1}\n", 1), ("--- {b: 2}\n", 2)]),
            ("\u{feff}---\r\na: 1\r\n---\r\nb: 2\r\n", vec![("---\r\na: 1\r\n", 1), ("---\r\nb: 2\r\n", 3)]),
            ("a: 1\n---\n\u{feff}b: 2\n", vec![("a: 1\n", 1), ("b: 2\n", 3)]),
            ("a: 1\r---\rb: 2", vec![("a: 1\r", 1), ("---\rb: 2", 2)]),
            ("a: |\n  text\n---\nb: 2", vec![("a: |\n  text\n", 1), ("---\nb: 2", 3)]),
            ("a: |\n  ---\n  ...\n", vec![("a: |\n  ---\n  ...\n", 1)]),
            ("a: 1\n...\nb: 2\n...\n", vec![("a: 1\n", 1), ("b: 2\n", 3)]),
            ("%YAML 1.2\n# c\n---\na: 1\n", vec![("%YAML 1.2\n# c\n---\na: 1\n", 1)]),
            ("---x: 1\n----\n", vec![("---x: 1\n----\n", 1)]),
            ("# only\n---\n", vec![("# only\n", 1), ("---\n", 2)]),
        ] {
            let found: Vec<_> = split(text).iter().map(|part| (part.text, part.line)).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
