//! Each default and each zero value: Pods without a field, and with its zero value.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::places::{self, Asked, Place};
use super::{Table, fails_with};
use crate::harness::say;
use crate::harness::story::Story;

/// Written by the API server itself, into every object.
const OWN: [&str; 3] = ["uid", "creationTimestamp", "managedFields"];

/// Given to every Pod where it is absent.
const GIVEN: [&str; 2] = ["ObjectMeta.namespace", "ObjectMeta.generation"];

pub fn all(story: &Story) {
    let Some(table) = Table::of(story) else { return };
    let places = places::all();
    let asked = Asked::of(story).without_tokens();
    let (mut problems, mut not_asked, mut number) = (Vec::new(), Vec::new(), 0);
    for (name, row) in &table.types {
        if places["elsewhere"].get(name).is_some() {
            continue;
        }
        let given = places["places"].get(name).unwrap_or_else(|| panic!("places.yaml has no place for {name}"));
        let (open, refused) = Place::open(&asked, &table, given, false);
        problems.extend(refused);
        for (field, row) in row["fields"].as_object().unwrap() {
            let at = format!("{name}.{field}");
            if name == "ObjectMeta" && OWN.contains(&field.as_str()) {
                continue;
            }
            if open.is_empty() || table.off(row) || table.later(row) {
                not_asked.push(at);
            } else if let Some(found) = of_field(&asked, &table, &open, &at) {
                number += 1;
                problems.extend(found);
            }
        }
    }
    say(&format!("{}: {number} fields asked; {} are behind a feature that is off: {}", table.minor, not_asked.len(), not_asked.join(" ")));
    fails_with(&problems);
    assert!(number > 400, "only {number} fields were asked");
}

/// What the row of a field says against what comes back in each of its places; nothing where there is no zero value to send.
pub fn of_field(asked: &Asked, table: &Table, open: &[Place], at: &str) -> Option<Vec<String>> {
    let row = table.field(at);
    let (_, field) = at.split_once('.')?;
    let (zero, said) = (zero_of(row["type"].as_str()?)?, said(row, &table.minor)?);
    let own = row["required"] == true || GIVEN.contains(&at);
    let (mut problems, mut shown, mut written) = (Vec::new(), BTreeSet::new(), false);
    for place in open {
        let absent = place.send_field(asked, field, None).ok();
        if let (Some(absent), false) = (&absent, own) {
            problems.extend(wrong_default(at, row, &place.here, absent.as_ref()));
            written |= absent.is_some();
        }
        let became = match place.send_field(asked, field, Some(zero.clone())) {
            Err(_) => "refused".to_owned(),
            Ok(None) => "dropped".to_owned(),
            Ok(got) if absent.as_ref() == Some(&got) => "default".to_owned(),
            // A struct comes back with its own defaults.
            Ok(Some(got)) if got == zero || (zero == json!({}) && got.is_object()) => "kept".to_owned(),
            Ok(Some(got)) => format!("made {got}"),
        };
        // Where the condition of a default does not hold, the default is that there is none.
        let conditional = row.get("when").is_some() && became == "dropped" && absent == Some(None) && !said.contains("dropped");
        if !said.contains(&became) && !conditional {
            let words: Vec<&str> = said.iter().map(String::as_str).collect();
            problems.push(format!("{at}: {zero} is {became}, not {} (at {})", words.join(" or "), place.pointer));
        }
        shown.insert(became);
    }
    problems.extend(said.difference(&shown).map(|word| format!("{at}: no place of places.yaml shows that {zero} is {word}")));
    if row.get("default").is_some() && !own && !written {
        problems.push(format!("{at}: no place of places.yaml shows its default"));
    }
    Some(problems)
}

fn zero_of(kind: &str) -> Option<Value> {
    Some(match kind {
        "bool" => json!(false),
        "int32" | "int64" | "IntOrString" => json!(0),
        "string" => json!(""),
        "Quantity" => json!("0"),
        "Time" | "FieldsV1" => return None,
        _ if kind.starts_with("[]") => json!([]),
        _ => json!({}),
    })
}

/// What a row says becomes of the zero value in this version: one of these, each in some place.
fn said(row: &Value, minor: &str) -> Option<BTreeSet<String>> {
    let older = row.as_object()?.iter().find(|(key, _)| key.starts_with(&format!("zero {minor}."))).map(|(_, value)| value);
    match older.or_else(|| row.get("zero"))? {
        Value::String(word) => Some(BTreeSet::from([word.clone()])),
        words => Some(words.as_object()?.keys().cloned().collect()),
    }
}

/// What is written where a field is absent, against its row. A default with a condition is compared where it is there.
fn wrong_default(at: &str, row: &Value, here: &Map<String, Value>, absent: Option<&Value>) -> Option<String> {
    let conditional = row.get("when").is_some();
    let default = match row.get("default") {
        // `= x`: what that field says.
        Some(Value::String(text)) => match text.strip_prefix("= ") {
            Some(other) => Some(here.get(other).cloned().unwrap_or_default()),
            None => row.get("default").cloned(),
        },
        other => other.cloned(),
    };
    match (default, absent) {
        (None, None) => None,
        (None, Some(got)) => Some(format!("{at}: absent becomes {got}, and the table has no default")),
        (Some(_), None) if conditional => None,
        (Some(default), Some(got)) if default == *got => None,
        (Some(default), got) => Some(format!("{at}: absent becomes {got:?}, not {default}")),
    }
}
