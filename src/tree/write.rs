//! Writing a [`Tree`] as compact JSON text.

use std::fmt::Write;

use super::{NodeId, Tree, View};

impl Tree<'_> {
    /// Appends a node as compact JSON.
    pub fn write(&self, node: NodeId, out: &mut String) {
        self.write_without(node, &[], out);
    }

    /// Appends a node as compact JSON and leaves out the nodes that `without` names.
    pub fn write_without(&self, node: NodeId, without: &[NodeId], out: &mut String) {
        match self.view(node) {
            View::Null => out.push_str("null"),
            View::Bool(true) => out.push_str("true"),
            View::Bool(false) => out.push_str("false"),
            View::Int(value) => write_number(value, out),
            View::Number(text) => out.push_str(text),
            View::String(text) => write_json_string(text, out),
            View::List => {
                out.push('[');
                for (count, entry) in self.children(node).filter(|child| !without.contains(child)).enumerate() {
                    if count > 0 {
                        out.push(',');
                    }
                    self.write_without(entry, without, out);
                }
                out.push(']');
            }
            View::Object => {
                out.push('{');
                for (count, member) in self.children(node).filter(|child| !without.contains(child)).enumerate() {
                    if count > 0 {
                        out.push(',');
                    }
                    write_json_string(self.key(member), out);
                    out.push(':');
                    self.write_without(member, without, out);
                }
                out.push('}');
            }
        }
    }
}

impl Tree<'_> {
    /// How many bytes [`Tree::write`] appends.
    #[must_use]
    pub fn length(&self, node: NodeId) -> usize {
        let children = || self.children(node);
        // Brackets, and a comma after every child but the last.
        let around = || 2 + children().count().saturating_sub(1);
        match self.view(node) {
            View::Null | View::Bool(true) => 4,
            View::Bool(false) => 5,
            View::Int(value) => 1 + value.unsigned_abs().checked_ilog10().unwrap_or_default() as usize + usize::from(value < 0),
            View::Number(text) => text.len(),
            View::String(text) => string_length(text),
            View::List => around() + children().map(|entry| self.length(entry)).sum::<usize>(),
            View::Object => around() + children().map(|member| string_length(self.key(member)) + 1 + self.length(member)).sum::<usize>(),
        }
    }
}

fn string_length(text: &str) -> usize {
    let more = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..=0x1f => 5,
        _ => 0,
    };
    2 + text.len() + text.bytes().map(more).sum::<usize>()
}

/// Appends a number in decimal.
pub fn write_number(value: i64, out: &mut String) {
    // Writing to a String does not fail.
    let _ = write!(out, "{value}");
}

/// Appends a string with quotes and the escapes that JSON asks for (RFC 8259, section 7).
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    // Nearly every text is one piece.
    if !text.bytes().fold(false, |odd, byte| odd | matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut clean = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[clean..index]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        clean = index + 1;
    }
    out.push_str(&text[clean..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_character_and_quote_can_be_read_back() {
        let text: String = (0u8..128).map(char::from).chain("é\u{2028}😀".chars()).collect();
        let mut out = String::new();
        write_json_string(&text, &mut out);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        assert_eq!(string_length(&text), out.len());
    }

    #[test]
    fn the_length_is_that_of_what_is_written() {
        for text in
            [r#"{"a":[1,-10,0,99,100,9223372036854775807,-9223372036854775808,1.5e300],"b\n":{},"c":[]}"#, r#"[true,false,null,"\u0001"]"#]
        {
            let tree = crate::tree::parse(text).unwrap();
            let mut out = String::new();
            tree.write(NodeId::ROOT, &mut out);
            assert_eq!(tree.length(NodeId::ROOT), out.len(), "{out}");
        }
    }
}
