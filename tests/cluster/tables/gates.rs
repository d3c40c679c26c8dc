//! Fields whose feature is off: the API server drops them, or refuses them; and where it is on, on a control plane of its own, they are as
//! recorded.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::places::{self, Asked, Place};
use super::{Table, defaults, fails_with, unions};
use crate::harness::plane::{Plane, User};
use crate::harness::say;
use crate::harness::story::Story;

pub fn all(story: &Story) {
    let Some(table) = Table::of(story) else { return };
    let given = places::all();
    let off: Vec<String> = table
        .types
        .iter()
        .flat_map(|(name, row)| row["fields"].as_object().into_iter().flatten().map(move |(field, row)| (format!("{name}.{field}"), row)))
        .filter(|(_, row)| table.off(row) && !table.later(row))
        .map(|(at, _)| at)
        .collect();
    assert!(!off.is_empty(), "no field is off in {}", table.minor);
    let gate = |at: &String| &given["gates"][at];
    let missing: Vec<&String> = off.iter().filter(|at| gate(at).is_null()).collect();
    assert!(missing.is_empty(), "places.yaml does not say which gates these are behind: {missing:?}");

    let mut problems = Vec::new();
    let there = |asked: &Asked, at: &String| {
        let place = Place::read(gate(at));
        let field = at.split_once('.').unwrap().1;
        place.send(asked, place.here.clone()).map(|here| here.get(field).is_some_and(|value| *value != json!([])))
    };
    let asked = Asked::of(story);
    for at in off.iter().filter(|at| there(&asked, at) == Ok(true)) {
        problems.push(format!("{at}: it is off, and comes back"));
    }

    let gates: BTreeSet<&str> = off.iter().flat_map(|at| gate(at)["gates"].as_array().unwrap()).filter_map(Value::as_str).collect();
    let gates = gates.into_iter().map(|gate| format!("{gate}=true")).collect::<Vec<_>>().join(",");
    // What some of them are about has kinds of its own, which are not served unless they are asked for.
    let flags = [("feature-gates", gates), ("runtime-config", "api/alpha=true,api/beta=true".to_owned())];
    let plane = Plane::start_with(&story.plane.version, &crate::runs(), &flags).unwrap_or_else(|trouble| panic!("{trouble}"));
    plane.namespace(&story.name, &json!({})).unwrap();
    let asked = Asked { api: plane.api(User::Admin), namespace: story.name.clone() }.without_tokens();
    for at in &off {
        let seen = there(&asked, at);
        if seen != Ok(true) {
            problems.push(format!("{at}: it is on, and does not come back: {seen:?}"));
        }
    }
    let mut number = 0;
    for (name, row) in &table.types {
        let own = given["places"][name].as_array().into_iter().flatten().all(|place| place.get("behind").is_some());
        let fields = row["fields"].as_object().into_iter().flatten().filter(|(_, row)| !table.later(row));
        // Of a type that is nowhere else every field, of others those that are off.
        let fields: Vec<String> = fields.map(|(field, _)| format!("{name}.{field}")).filter(|at| own || off.contains(at)).collect();
        if fields.is_empty() || given["elsewhere"].get(name).is_some() {
            continue;
        }
        let (open, refused) = Place::open(&asked, &table, &given["places"][name], true);
        problems.extend(refused);
        problems.extend(unions::of_type(&asked, &table, name, true).1);
        for at in fields.iter().filter(|_| !open.is_empty()) {
            let found = defaults::of_field(&asked, &table, &open, at);
            number += usize::from(found.is_some());
            problems.extend(found.into_iter().flatten());
        }
    }
    say(&format!("{}: {} fields are off; where they are on, {number} were asked, those of their types too", table.minor, off.len()));
    fails_with(&problems);
    plane.remove();
}
