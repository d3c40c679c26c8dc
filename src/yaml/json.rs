//! JSON text into marked trees: one value, or several one after the other.

use super::split::is_marker;
use super::{Fault, Limits, MAX_DEPTH, Mark, Marked, Parsed, Part, shown};
use crate::tree::{NodeId, Text, Value};

/// Where the JSON of a text starts, if it looks like JSON: the first `{` after blanks, comments and the `---` line.
pub(super) fn start(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        if content.starts_with('{') {
            return Some(at + line.find('{')?);
        }
        if !content.is_empty() && !content.starts_with('#') {
            let rest = line.strip_prefix("---").map_or("", str::trim);
            if !is_marker(line.trim_end(), "---") || !(rest.is_empty() || rest.starts_with(['#', '{'])) {
                return None;
            }
            if rest.starts_with('{') {
                return Some(at + line.find('{')?);
            }
        }
        at += line.len();
    }
    None
}

/// Reads values until the end, or until something is no JSON.
pub(super) fn parse(part: &Part<'_>, start: usize, limits: Limits) -> Parsed {
    let mut parsed = Parsed::default();
    let mut reader =
        Reader { text: part.text, at: start, seen: 0, line: part.line, column: 1, limits, marked: Marked::default(), faults: Vec::new() };
    loop {
        reader.blanks();
        if reader.at >= part.text.len() {
            return parsed;
        }
        let from = reader.at;
        reader.limits = limits;
        reader.marked = Marked::default();
        if let Err(fault) = reader.value(None, None, 0) {
            reader.faults.push(fault);
        }
        if !reader.faults.is_empty() {
            parsed.faults = reader.faults;
            return parsed;
        }
        let marked = std::mem::take(&mut reader.marked);
        parsed.documents.push(Marked { bytes: reader.at - from, ..marked });
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// How far lines and columns were counted.
    seen: usize,
    line: usize,
    column: usize,
    limits: Limits,
    marked: Marked,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The place that the reader is at; what was counted once is not counted again.
    fn mark(&mut self) -> Mark {
        for character in self.text.get(self.seen..self.at).unwrap_or("").chars() {
            if character == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.seen = self.at;
        Mark { line: u32::try_from(self.line).unwrap_or(u32::MAX), column: u32::try_from(self.column).unwrap_or(u32::MAX) }
    }

    fn fault<T>(&mut self, text: &str) -> Result<T, Fault> {
        Err(Fault { mark: self.mark(), text: format!("this is not valid JSON: {text}") })
    }

    fn value(&mut self, parent: Option<NodeId>, key: Option<(&str, Mark)>, depth: usize) -> Result<(), Fault> {
        let mark = self.mark();
        if depth > MAX_DEPTH {
            return Err(Fault { mark, text: format!("lists and objects nest deeper than {MAX_DEPTH}") });
        }
        let bytes = key.map_or(0, |(key, _)| key.len());
        self.spend(bytes, mark)?;
        let value = match self.peek() {
            Some(b'{') => Value::Object,
            Some(b'[') => Value::List,
            Some(b'"') => {
                let text = self.string()?;
                self.spend(text.len(), mark)?;
                Value::String(self.marked.tree.keep(&text))
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(_) => return self.fault("a value is expected here"),
            None => return self.fault("the text ends where a value is expected"),
        };
        let key_text = key.map_or(Text::Borrowed(""), |(key, _)| self.marked.tree.keep(key));
        let node = self.marked.tree.push(parent, key_text, value);
        self.marked.marks.push((key.map_or(mark, |(_, mark)| mark), mark));
        match value {
            Value::Object => self.object(node, depth),
            Value::List => self.list(node, depth),
            _ => Ok(()),
        }
    }

    fn spend(&mut self, text: usize, mark: Mark) -> Result<(), Fault> {
        match (self.limits.nodes.checked_sub(1), self.limits.text.checked_sub(text)) {
            (Some(nodes), Some(text)) => {
                self.limits = Limits { nodes, text };
                Ok(())
            }
            _ => Err(Fault { mark, text: "the document grows too large here: split it".to_owned() }),
        }
    }

    fn object(&mut self, object: NodeId, depth: usize) -> Result<(), Fault> {
        let mut keys = std::collections::HashMap::new();
        self.entries(b'}', |reader| {
            if reader.peek() != Some(b'"') {
                return reader.fault("a key in double quotes is expected here");
            }
            let mark = reader.mark();
            let key = reader.string()?;
            if let Some(first) = keys.insert(key.clone(), mark) {
                let text =
                    format!("the key `{}` is there twice, first on line {}, column {}: remove one", shown(&key), first.line, first.column);
                reader.faults.push(Fault { mark, text });
            }
            reader.blanks();
            if reader.peek() != Some(b':') {
                return reader.fault("a colon is expected here");
            }
            reader.at += 1;
            reader.blanks();
            reader.value(Some(object), Some((&key, mark)), depth + 1)
        })
    }

    fn list(&mut self, list: NodeId, depth: usize) -> Result<(), Fault> {
        self.entries(b']', |reader| reader.value(Some(list), None, depth + 1))
    }

    fn entries(&mut self, end: u8, mut entry: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.at += 1;
        self.blanks();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            entry(self)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == end => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return self.fault("a comma or the end is expected here"),
                None => return self.fault("the text ends before the list or object does"),
            }
        }
    }

    fn word(&mut self, word: &str, value: Value<'static>) -> Result<Value<'static>, Fault> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(value)
        } else {
            self.fault("a value is expected here")
        }
    }

    fn number(&mut self) -> Result<Value<'static>, Fault> {
        let rest = self.text.get(self.at..).unwrap_or("");
        let end = rest.find(|character: char| !matches!(character, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let text = &rest[..end];
        if let Ok(value) = text.parse::<i64>()
            && text.trim_start_matches('-') == value.unsigned_abs().to_string()
        {
            self.at += end;
            return Ok(Value::Int(value));
        }
        // serde_json knows what a number is; one too large for it is read by the same grammar.
        if !is_number(text) {
            return self.fault("this is no number as JSON writes it");
        }
        let mark = self.mark();
        self.at += end;
        self.spend(text.len(), mark)?;
        Ok(Value::Number(self.marked.tree.keep(text)))
    }

    fn string(&mut self) -> Result<String, Fault> {
        let rest = self.text.get(self.at..).unwrap_or("");
        let bytes = rest.as_bytes();
        let mut end = 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return self.fault("the text ends inside a string"),
            }
        }
        let Some(quoted) = rest.get(..=end) else { return self.fault("the text ends inside a string") };
        match serde_json::from_str::<String>(quoted) {
            Ok(text) => {
                self.at += end + 1;
                Ok(text)
            }
            Err(_) => self.fault("the string has an escape or a control character that JSON does not take"),
        }
    }
}

/// RFC 8259, section 6.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, part) = match mantissa.split_once('.') {
        Some((whole, part)) => (whole, Some(part)),
        None => (mantissa, None),
    };
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && part.is_none_or(digits) && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::tests::LIMITS;

    fn texts(text: &str) -> (Vec<String>, Vec<String>) {
        let part = Part { text, line: 1 };
        let parsed = parse(&part, start(text).unwrap(), LIMITS);
        let documents = parsed.documents.iter().map(|document| {
            let mut out = String::new();
            document.tree.write(NodeId::ROOT, &mut out);
            out
        });
        (documents.collect(), parsed.faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn values_one_after_the_other_are_documents() {
        let (documents, faults) = texts("{\"a\":1}\n{\"b\":[true,null,\"x\\n\"]} {\"c\":18446744073709551616,\"d\":-0.50e+1}");
        assert_eq!(documents, [r#"{"a":1}"#, r#"{"b":[true,null,"x\n"]}"#, r#"{"c":18446744073709551616,"d":-0.50e+1}"#]);
        assert!(faults.is_empty());
        let (documents, faults) = texts("{\"a\":1}\n{\"b\":}");
        assert_eq!(documents.len(), 1);
        assert!(faults[0].starts_with("2:6"), "{faults:?}");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":+1}",
            "{\"a\":tru}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\n\"}",
            "{\"a\":[1 2]}",
            "{\"a\":1} x",
            "{\"a\":\"\\",
            "{\"a\":-}",
            "{\"a\":1e}",
        ] {
            assert_eq!(texts(text).1.len(), 1, "{text:?}");
        }
        assert!(texts(&format!("{{\"a\":{}", "[".repeat(100_000))).1[0].contains("deeper"));
    }
}
