//! Aliases and merge keys looked up, keys turned to text, everything put into a tree.

use std::collections::HashMap;

use super::compose::{Composed, Item, Kind};
use super::scalar::{Scalar, key_float};
use super::{Fault, Limits, MAX_DEPTH, Mark, Marked, shown};
use crate::tree::{NodeId, Text, Value};

/// Makes the tree of a document.
///
/// # Errors
/// Every key that is there twice or is no text, and the first place where the document grows past its limits.
pub(super) fn expand(composed: &Composed, limits: Limits) -> Result<Marked, Vec<Fault>> {
    let mut expander = Expander { items: &composed.items, limits, marked: Marked::default(), faults: Vec::new() };
    if let Some(root) = composed.root {
        let place = Place { parent: None, key: "", key_mark: None, depth: 0 };
        if let Err(fault) = expander.place(root, &place) {
            expander.faults.push(fault);
        }
    }
    if expander.faults.is_empty() { Ok(expander.marked) } else { Err(expander.faults) }
}

struct Expander<'c> {
    items: &'c [Item],
    limits: Limits,
    marked: Marked,
    faults: Vec<Fault>,
}

struct Place<'k> {
    parent: Option<NodeId>,
    key: &'k str,
    key_mark: Option<Mark>,
    depth: usize,
}

struct Member {
    key: String,
    key_mark: Mark,
    value: usize,
}

/// The members of a map so far, and where each key stands among them.
#[derive(Default)]
struct Members {
    list: Vec<Member>,
    index: HashMap<String, usize>,
}

impl Expander<'_> {
    fn place(&mut self, item: usize, place: &Place<'_>) -> Result<(), Fault> {
        let Some(Item { kind, mark }) = self.items.get(item) else { return Ok(()) };
        let mark = *mark;
        if place.depth > MAX_DEPTH {
            return Err(Fault { mark, text: format!("lists and objects nest deeper than {MAX_DEPTH}") });
        }
        match kind {
            Kind::Alias(of) => return self.place(*of, place),
            Kind::Scalar(scalar) => {
                let value = self.value(scalar, mark)?;
                self.push(place, value, mark)?;
            }
            Kind::List(entries) => {
                let list = self.push(place, Value::List, mark)?;
                for entry in entries {
                    self.place(*entry, &Place { parent: Some(list), key: "", key_mark: None, depth: place.depth + 1 })?;
                }
            }
            Kind::Map(_) => {
                let object = self.push(place, Value::Object, mark)?;
                let mut members = Members::default();
                self.members(item, &mut members, place.depth)?;
                for member in &members.list {
                    let place = Place { parent: Some(object), key: &member.key, key_mark: Some(member.key_mark), depth: place.depth + 1 };
                    self.place(member.value, &place)?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, place: &Place<'_>, value: Value<'static>, mark: Mark) -> Result<NodeId, Fault> {
        self.spend(place.key.len(), mark)?;
        let tree = &mut self.marked.tree;
        let key = if place.key.is_empty() { Text::Borrowed("") } else { tree.keep(place.key) };
        let node = tree.push(place.parent, key, value);
        self.marked.marks.push((place.key_mark.unwrap_or(mark), mark));
        Ok(node)
    }

    /// Counts what a node needs against the limits.
    fn spend(&mut self, text: usize, mark: Mark) -> Result<(), Fault> {
        match (self.limits.nodes.checked_sub(1), self.limits.text.checked_sub(text)) {
            (Some(nodes), Some(text)) => {
                self.limits = Limits { nodes, text };
                Ok(())
            }
            _ => Err(Fault { mark, text: "the document grows too large here, with its aliases written out: split it".to_owned() }),
        }
    }

    fn value(&mut self, scalar: &Scalar, mark: Mark) -> Result<Value<'static>, Fault> {
        Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Int(value) => Value::Int(*value),
            Scalar::Number(text) => Value::Number(self.keep(text, mark)?),
            Scalar::Text(text) => Value::String(self.keep(text, mark)?),
            Scalar::Merge => Value::String(self.keep("<<", mark)?),
            Scalar::NotJson => {
                return Err(Fault {
                    mark,
                    text: "infinity and not-a-number cannot be written as JSON: put the value in quotes".to_owned(),
                });
            }
        })
    }

    fn keep(&mut self, text: &str, mark: Mark) -> Result<Text<'static>, Fault> {
        self.spend(text.len(), mark)?;
        Ok(self.marked.tree.keep(text))
    }

    /// Adds the members of a map, with those that `<<` brings in.
    fn members(&mut self, map: usize, members: &mut Members, depth: usize) -> Result<(), Fault> {
        let items = self.items;
        let Some(Item { kind: Kind::Map(pairs), mark }) = items.get(map) else { return Ok(()) };
        if depth > MAX_DEPTH {
            return Err(Fault { mark: *mark, text: format!("lists and objects nest deeper than {MAX_DEPTH}") });
        }
        let mut merged_at = None;
        let mut own: HashMap<String, Mark> = HashMap::new();
        for pair in pairs.chunks_exact(2) {
            let &[key, value] = pair else { continue };
            let Some(key_item) = items.get(key) else { continue };
            self.spend(0, key_item.mark)?;
            if matches!(key_item.kind, Kind::Scalar(Scalar::Merge)) {
                if let Some(first) = merged_at.replace(key_item.mark) {
                    self.twice("<<", first, key_item.mark);
                    continue;
                }
                let before: Vec<String> = own.keys().cloned().collect();
                self.merge(value, members, &before, depth)?;
                continue;
            }
            let Some(text) = self.key(key) else { continue };
            if let Some(first) = own.insert(text.clone(), key_item.mark) {
                self.twice(&text, first, key_item.mark);
                continue;
            }
            members.set(Member { key: text, key_mark: key_item.mark, value });
        }
        Ok(())
    }

    /// What `<<` brings in: a map, or a list of maps of which an earlier one wins. `before`: the keys that stand before `<<`.
    fn merge(&mut self, value: usize, members: &mut Members, before: &[String], depth: usize) -> Result<(), Fault> {
        let items = self.items;
        let value = self.target(value);
        let Some(item) = items.get(value) else { return Ok(()) };
        let maps: Vec<usize> = match &item.kind {
            Kind::Map(_) => vec![value],
            Kind::List(entries) => entries.iter().rev().map(|entry| self.target(*entry)).collect(),
            _ => Vec::new(),
        };
        let all_maps = maps.iter().all(|map| matches!(items.get(*map), Some(Item { kind: Kind::Map(_), .. })));
        if maps.is_empty() && !matches!(item.kind, Kind::List(_)) || !all_maps {
            self.faults.push(Fault { mark: item.mark, text: "`<<` takes an object or a list of objects".to_owned() });
            return Ok(());
        }
        let mut merged = Members::default();
        for map in maps {
            self.members(map, &mut merged, depth + 1)?;
        }
        for member in merged.list {
            if before.contains(&member.key) {
                // kubectl's reader lets the merged value win here, YAML's own rule the stated one.
                let text = format!("`{}` stands before `<<`, which brings it in again: put `<<` first", shown(&member.key));
                self.faults.push(Fault { mark: item.mark, text });
            } else {
                members.set(member);
            }
        }
        Ok(())
    }

    fn target(&self, item: usize) -> usize {
        match self.items.get(item) {
            Some(Item { kind: Kind::Alias(of), .. }) => *of,
            _ => item,
        }
    }

    /// A key as text, as sigs.k8s.io/yaml makes it.
    fn key(&mut self, key: usize) -> Option<String> {
        let item = self.items.get(self.target(key))?;
        let text = match &item.kind {
            Kind::Scalar(Scalar::Text(text)) => return Some(text.clone()),
            Kind::Scalar(Scalar::Merge) => return Some("<<".to_owned()),
            Kind::Scalar(Scalar::Bool(value)) => return Some(value.to_string()),
            Kind::Scalar(Scalar::Int(value)) => return Some(value.to_string()),
            Kind::Scalar(Scalar::Number(text)) if text.contains(['.', 'e']) => return Some(key_float(text)),
            Kind::Scalar(Scalar::Number(text)) => return Some(text.clone()),
            Kind::Scalar(Scalar::Null | Scalar::NotJson) => "a key is missing here: null is none",
            _ => "a key must be text, not a list or an object",
        };
        let mark = self.items.get(key).map_or(item.mark, |item| item.mark);
        self.faults.push(Fault { mark, text: text.to_owned() });
        None
    }

    fn twice(&mut self, key: &str, first: Mark, mark: Mark) {
        let text = format!("the key `{}` is there twice, first on line {}, column {}: remove one", shown(key), first.line, first.column);
        self.faults.push(Fault { mark, text });
    }
}

impl Members {
    /// Adds a member, in the place of one of the same key.
    fn set(&mut self, member: Member) {
        match self.index.get(&member.key).and_then(|at| self.list.get_mut(*at)) {
            Some(there) => *there = member,
            None => {
                self.index.insert(member.key.clone(), self.list.len());
                self.list.push(member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Part, parse};
    use crate::yaml::tests::{LIMITS, json};

    #[test]
    fn aliases_and_merge_keys_are_written_out() {
        for (text, expected) in [
            ("a: &x {p: 1}\nb: *x\n", r#"{"a":{"p":1},"b":{"p":1}}"#),
            ("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n", r#"{"a":{"p":1,"q":2},"b":{"p":1,"q":3}}"#),
            ("a: &x {p: 1}\nb: &y {p: 2, r: 3}\nc: {<<: [*x, *y]}\n", r#"{"a":{"p":1},"b":{"p":2,"r":3},"c":{"p":1,"r":3}}"#),
            ("a: &x\n  <<: {p: 1}\nb: {<<: *x}\n", r#"{"a":{"p":1},"b":{"p":1}}"#),
            ("a: \"<<\"\n\"<<\": b\n", r#"{"a":"<<","<<":"b"}"#),
            ("&k key: 1\nb: *k\n", r#"{"key":1,"b":"key"}"#),
        ] {
            assert_eq!(json(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn keys_that_are_none_or_twice_are_all_reported_with_both_places() {
        let text = "a: 1\nb: 2\na: 3\n~: 4\n? [x]\n: 5\nc: {d: 1, d: 2}\ne: {f: 1, <<: {f: 2}}\n";
        let faults = parse(&Part { text, line: 10 }, LIMITS).faults;
        let lines: Vec<u32> = faults.iter().map(|fault| fault.mark.line).collect();
        assert_eq!(lines, [12, 13, 14, 16, 17]);
        assert!(faults[0].text.contains("line 10, column 1"), "{}", faults[0].text);
        assert!(json("1: a\n\"1\": b\n").unwrap_err().contains("twice"));
        assert!(json("a: {<<: 5}\n").unwrap_err().contains("takes an object"));
    }

    #[test]
    fn aliases_cannot_make_a_document_grow_without_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", ")));
        }
        assert!(json(&text).unwrap_err().contains("too large"));

        let mut text = "a0: &a0 {k: 1}\n".to_owned();
        for level in 1..60 {
            let before = level - 1;
            text.push_str(&format!("a{level}: &a{level} {{<<: [*a{before}, *a{before}]}}\n"));
        }
        assert!(json(&text).unwrap_err().contains("too large"));

        let long = format!("a: &x {}\nb: [{}]\n", "y".repeat(100_000), vec!["*x"; 1000].join(", "));
        assert!(json(&long).unwrap_err().contains("too large"));

        let mut deep = "a0: &a0 [1]\n".to_owned();
        for level in 1..150 {
            deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(json(&deep).unwrap_err().contains("deeper"));
    }

    #[test]
    fn numbers_that_json_has_not_are_refused() {
        assert!(json("a: .inf\n").unwrap_err().contains("quotes"));
        assert_eq!(json("a: \".inf\"\n").unwrap(), r#"{"a":".inf"}"#);
    }
}
