//! Unions: of what excludes each other each is taken alone, and no two are. Objects by their presence, as the compiled table has them;
//! what excludes each other by its value stands in `places.yaml`.

use std::collections::BTreeSet;

use podgraft::schema::{Type, TypeId};
use serde_json::{Map, Value};

use super::places::{self, Asked, Place};
use super::{Table, fails_with};
use crate::harness::say;
use crate::harness::story::Story;

pub fn all(story: &Story) {
    let Some(table) = Table::of(story) else { return };
    let asked = Asked::of(story);
    let (mut problems, mut number) = (Vec::new(), 0);
    for name in table.types.keys() {
        let (asked, found) = of_type(&asked, &table, name, false);
        number += asked;
        problems.extend(found);
    }
    say(&format!("{}: {number} pairs of fields asked whether they exclude each other", table.minor));
    fails_with(&problems);
    assert!(number > 450, "only {number} pairs were asked");
}

/// Which fields of a type exclude each other, against its rows: how many pairs were asked, and what is wrong.
pub fn of_type(asked: &Asked, table: &Table, name: &str, gates_are_on: bool) -> (usize, Vec<String>) {
    let places = places::all();
    let (open, _) = Place::open(asked, table, &places["places"][name], gates_are_on);
    let Some(known) = TypeId::named(name).map(TypeId::get) else { return (0, vec![format!("{name} is not compiled in")]) };
    if open.is_empty() {
        return (0, Vec::new());
    }
    if let Some(choices) = places["choices"].get(name) {
        return (0, wrong_choices(asked, &open[0], name, choices));
    }
    let by_value = places["unions"].get(name).and_then(Value::as_array);
    let alternatives: Vec<Map<String, Value>> = match by_value {
        Some(given) => given.iter().map(|given| given.as_object().unwrap().clone()).collect(),
        None => objects(table, name, &places["places"], gates_are_on),
    };
    let named: BTreeSet<&String> = alternatives.iter().flat_map(Map::keys).collect();
    let bases = |place: &Place| {
        let without: Map<String, Value> =
            place.here.iter().filter(|(key, _)| !named.contains(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
        [without, place.here.clone()]
    };
    let bases: Vec<(&Place, Map<String, Value>)> = open.iter().flat_map(|place| bases(place).map(|base| (place, base))).collect();
    let with = |base: &Map<String, Value>, more: &[&Map<String, Value>]| {
        let mut here = base.clone();
        more.iter().for_each(|more| here.extend((*more).clone()));
        here
    };
    // Where each is taken alone.
    let alone: Vec<BTreeSet<usize>> = alternatives
        .iter()
        .map(|one| (0..bases.len()).filter(|&index| bases[index].0.send(asked, with(&bases[index].1, &[one])).is_ok()).collect())
        .collect();
    let (mut number, mut problems, mut excluding) = (0, Vec::new(), false);
    for (first, one) in alternatives.iter().enumerate() {
        for (second, other) in alternatives.iter().enumerate().skip(first + 1) {
            let pair = format!("{name}: {} and {}", words(one), words(other));
            let Some(&index) = alone[first].intersection(&alone[second]).next() else {
                problems.push(format!("{pair}: no place of places.yaml takes either alone"));
                continue;
            };
            number += 1;
            let refused = bases[index].0.send(asked, with(&bases[index].1, &[one, other])).is_err();
            excluding |= refused;
            let said = match by_value {
                None => is_member(known, one) && is_member(known, other),
                // Objects among them say something by their presence all the same.
                Some(_) => [one, other].iter().all(|one| one.values().any(|value| !value.is_object()) || is_member(known, one)),
            };
            if refused != said {
                let seen = if refused { "exclude each other, and the table has no such union" } else { "are taken together" };
                problems.push(format!("{pair} {seen}"));
            }
        }
    }
    // A union of one member so far is one by its schema alone.
    if known.union != excluding && known.fields.len() > 1 {
        problems.push(format!("{name}: is it a union? {} by the table, {excluding} by the API server", known.union));
    }
    (number, problems)
}

fn words(alternative: &Map<String, Value>) -> String {
    alternative.keys().map(String::as_str).collect::<Vec<_>>().join(" with ")
}

fn is_member(known: &Type, alternative: &Map<String, Value>) -> bool {
    alternative.keys().all(|field| known.field(field).is_some_and(|field| field.member))
}

/// The fields of a type that are objects, each with the least that is valid.
fn objects(table: &Table, name: &str, places: &Value, gates_are_on: bool) -> Vec<Map<String, Value>> {
    let fields = table.types[name]["fields"].as_object().into_iter().flatten();
    // What is always there excludes nothing.
    let there = fields.filter(|(_, row)| row["required"] != true && !table.later(row) && (gates_are_on || !table.off(row)));
    there
        .filter_map(|(field, row)| {
            let least = places[row["type"].as_str()?].get(0)?["here"].clone();
            Some(Map::from_iter([(field.clone(), least)]))
        })
        .collect()
}

/// One field says whether another must or may not be there.
fn wrong_choices(asked: &Asked, place: &Place, name: &str, choices: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (list, taken) in [("taken", true), ("refused", false)] {
        for here in choices[list].as_array().unwrap() {
            let answer = place.send(asked, here.as_object().unwrap().clone());
            if answer.is_ok() != taken {
                problems.push(format!("{name}: {here} is not {list}: {answer:?}"));
            }
        }
    }
    problems
}
