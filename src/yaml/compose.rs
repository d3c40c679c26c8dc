//! The events of `saphyr-parser` as a list of items: what a document says before aliases and merge keys are looked up.

use std::borrow::Cow;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::scalar::{Scalar, resolve};
use super::{Fault, MAX_DEPTH, Mark, Part};

/// One node as it was written.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) mark: Mark,
}

/// What a node is; other nodes by their index.
#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<usize>),
    /// Keys and values in turn.
    Map(Vec<usize>),
    Alias(usize),
}

/// A document as it was written. The root is `root`; `None` where there is nothing.
#[derive(Debug, Default)]
pub(super) struct Composed {
    pub(super) items: Vec<Item>,
    pub(super) root: Option<usize>,
}

/// Reads the events of one document.
///
/// # Errors
/// The first place that is not YAML.
pub(super) fn compose(part: &Part<'_>) -> Result<Composed, Fault> {
    refuse_control_characters(part)?;
    let mut composer = Composer { first_line: part.line, composed: Composed::default(), open: Vec::new(), anchors: Vec::new() };
    let mut parser = Parser::new_from_str(part.text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| composer.syntax(*error.marker(), error.info()))?;
        composer.take(event, span)?;
    }
    Ok(composer.composed)
}

struct Composer {
    first_line: usize,
    composed: Composed,
    /// Lists and maps that have not ended, by index.
    open: Vec<usize>,
    /// The item of each anchor, by the parser's number for it.
    anchors: Vec<Option<usize>>,
}

impl Composer {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let mark = self.mark(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // The parser takes these for text in braces and brackets, where there are no blocks.
                if style == ScalarStyle::Plain && text.starts_with(['|', '>', '%', '@', '`']) {
                    let text = "a value without quotes must not start with this character: put it in quotes; a text of several lines with | or > \
                                cannot stand in braces or brackets";
                    return Err(Fault { mark, text: text.to_owned() });
                }
                let scalar = resolve(&text, style == ScalarStyle::Plain, &tag_text(tag)).map_err(|text| Fault { mark, text })?;
                self.add(Kind::Scalar(scalar), mark, anchor)?;
            }
            Event::SequenceStart(anchor, _) => {
                let list = self.add(Kind::List(Vec::new()), mark, anchor)?;
                self.open.push(list);
            }
            Event::MappingStart(anchor, _) => {
                let map = self.add(Kind::Map(Vec::new()), mark, anchor)?;
                self.open.push(map);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            Event::Alias(anchor) => {
                let Some(item) = self.anchors.get(anchor).copied().flatten() else {
                    return Err(Fault { mark, text: "the alias refers to an anchor that is not there".to_owned() });
                };
                if self.open.contains(&item) {
                    return Err(Fault { mark, text: "the alias stands inside what it refers to: write it out".to_owned() });
                }
                self.add(Kind::Alias(item), mark, 0)?;
            }
            Event::DocumentStart(_) if self.composed.root.is_some() => {
                return Err(Fault { mark, text: "another document starts here: put a line --- before it".to_owned() });
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind, mark: Mark, anchor: usize) -> Result<usize, Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault { mark, text: format!("lists and objects nest deeper than {MAX_DEPTH}") });
        }
        let item = self.composed.items.len();
        self.composed.items.push(Item { kind, mark });
        if anchor > 0 {
            if self.anchors.len() <= anchor {
                self.anchors.resize(anchor + 1, None);
            }
            if let Some(place) = self.anchors.get_mut(anchor) {
                *place = Some(item);
            }
        }
        match self.open.last().and_then(|open| self.composed.items.get_mut(*open)) {
            Some(Item { kind: Kind::List(children) | Kind::Map(children), .. }) => children.push(item),
            _ => self.composed.root = Some(item),
        }
        Ok(item)
    }

    fn mark(&self, marker: Marker) -> Mark {
        let line = marker.line().max(1) - 1 + self.first_line;
        Mark { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(marker.col() + 1).unwrap_or(u32::MAX) }
    }

    fn syntax(&self, marker: Marker, info: &str) -> Fault {
        Fault { mark: self.mark(marker), text: format!("this is not valid YAML: {info}") }
    }
}

fn tag_text(tag: Option<Cow<'_, Tag>>) -> String {
    tag.map_or_else(String::new, |tag| format!("{}{}", tag.handle, tag.suffix))
}

/// YAML takes printable characters only (YAML 1.2.2, section 5.1), and the parser takes NUL for the end.
fn refuse_control_characters(part: &Part<'_>) -> Result<(), Fault> {
    let refused = |character: char| matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    let Some(at) = part.text.find(refused) else { return Ok(()) };
    let before = &part.text[..at];
    let line = before.matches('\n').count() + part.line;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let mark = Mark { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX) };
    Err(Fault { mark, text: "here is a control character, which YAML does not take: write it as an escape in double quotes".to_owned() })
}

#[cfg(test)]
mod tests {
    use crate::yaml::tests::json;

    #[test]
    fn what_is_not_yaml_is_named_with_its_place() {
        for (text, at) in [
            ("a: [1\nb: 2\n", "2:"),
            ("a: 1\n b: 2\n", "2:"),
            ("a: *none\n", "1:"),
            ("a: \u{0}b\n", "1:4"),
            ("a: 1\nb: \u{7}\n", "2:4"),
            ("a: &x [*x]\n", "1:8"),
            ("a: \"open\n", ""),
            ("a: {b: |\n  text}\n", "1:8"),
            ("a: [>]\n", "1:5"),
            ("a: %b\n", "1:4"),
            ("a: @b\n", "1:4"),
            ("a: `b\n", "1:4"),
        ] {
            let error = json(text).unwrap_err();
            assert!(error.starts_with(at), "{text:?}: {error}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        assert!(json(&("[".repeat(100) + &"]".repeat(100))).is_ok());
        assert!(json(&("[".repeat(101) + &"]".repeat(101))).unwrap_err().contains("deeper than 100"));
        assert!(json(&"- ".repeat(100_000)).unwrap_err().contains("deeper"));
        assert!(json(&"[".repeat(500_000)).is_err());
        assert!(json(&"{a: ".repeat(100_000)).is_err());
    }

    #[test]
    fn what_go_yaml_reads_is_read() {
        for (text, expected) in [
            ("# nothing\n", ""),
            ("---\n", "null"),
            ("a: |\n  x\n   y\nb: >-\n  c\n  d\n", r#"{"a":"x\n y\n","b":"c d"}"#),
            ("a: 'it''s'\nb: \"x\\ty\\u00e9\"\n", r#"{"a":"it's","b":"x\ty"#),
            ("? k\n: v\n", r#"{"k":"v"}"#),
            ("1: a\ntrue: b\n1.5: c\n~x: d\n", r#"{"1":"a","true":"b","1.5":"c","~x":"d"}"#),
            ("a: !!str 1\nb: !own {c: d}\n", r#"{"a":"1","b":{"c":"d"}}"#),
            ("a:\r\n  - b\r\n  - |\r\n    c\r\n", r#"{"a":["b","c\n"]}"#),
            ("%YAML 1.1\n---\na: 1\n", r#"{"a":1}"#),
            ("a: {b, c: }\n", r#"{"a":{"b":null,"c":null}}"#),
        ] {
            let found = json(text).unwrap();
            assert!(found.starts_with(expected), "{text:?}: {found}");
        }
    }
}
