//! Podgraft's own table of a Pod against the API server: fields, types, list keys against its OpenAPI document; each default and each
//! zero value by sending a Pod without the field, and with its zero value.
//!
//! The table is `kubernetes/pod-schema.json`, which `build.rs` compiles in. `places.yaml` has, for each type, a Pod that holds one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::harness::say;
use crate::harness::story::{Stories, Story};
use crate::support::case;

pub const STORIES: Stories = &[
    ("fields_types_and_keys_are_those_of_the_openapi_document", documented),
    ("defaults_and_zero_values_are_as_the_api_server_has_them", defaults),
];

/// Written by the API server itself, into every object.
const OWN: [&str; 3] = ["uid", "creationTimestamp", "managedFields"];

/// Given to every Pod where it is absent.
const GIVEN: [&str; 2] = ["ObjectMeta.namespace", "ObjectMeta.generation"];

fn table() -> Map<String, Value> {
    let text = fs::read_to_string("kubernetes/pod-schema.json").unwrap();
    let table: Value = serde_json::from_str(&text).unwrap();
    table["types"].as_object().unwrap().clone()
}

/// As in `1.36`, from what the server says it is.
fn minor(story: &Story) -> String {
    let release = story.plane.release().unwrap();
    release.trim_start_matches('v').split('.').take(2).collect::<Vec<_>>().join(".")
}

fn fails_with(problems: &[String]) {
    assert!(
        problems.is_empty(),
        "{} rows of kubernetes/pod-schema.json are not what this API server shows:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// Whether a field, or a type, came after this version.
fn later(row: &Value, minor: &str) -> bool {
    row["since"].as_str().is_some_and(|since| since == format!("after {minor}"))
}

fn off(row: &Value, minor: &str) -> bool {
    row["off"].as_array().into_iter().flatten().any(|version| version.as_str().is_some_and(|version| version.starts_with(minor)))
}

fn documented(story: &Story) {
    let types = table();
    let minor = minor(story);
    let document = story.api.get("/openapi/v3/api/v1").unwrap().object("the OpenAPI document");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut problems = Vec::new();
    let mut ahead = vec!["io.k8s.api.core.v1.Pod".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(name) = ahead.pop() {
        let short = name.rsplit('.').next().unwrap().to_owned();
        if !seen.insert(short.clone()) {
            continue;
        }
        let schema = &schemas[&name];
        let Some(row) = types.get(&short) else {
            problems.push(format!("{short} is not in the table"));
            continue;
        };
        if (schema["x-kubernetes-map-type"] == "atomic") != (row["atomic"] == true) {
            problems.push(format!("{short}: atomic"));
        }
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let fields = row["fields"].as_object().unwrap();
        for field in fields.keys().filter(|field| !properties.contains_key(*field) && !later(&fields[*field], &minor)) {
            problems.push(format!("{short}.{field}: the API server does not know it"));
        }
        for (field, property) in properties {
            let Some(row) = fields.get(field) else {
                problems.push(format!("{short}.{field} is not in the table"));
                continue;
            };
            let required = schema["required"].as_array().into_iter().flatten().any(|name| name == field);
            if required != (row["required"] == true) {
                problems.push(format!("{short}.{field}: required is {required}"));
            }
            let shown = shown(property, &mut ahead);
            for (key, value) in &shown {
                if row.get(key) != Some(value) {
                    problems.push(format!("{short}.{field}: {key} is {value}, not {}", row.get(key).unwrap_or(&Value::Null)));
                }
            }
            for key in ["list", "keys", "patchMergeKey", "patchStrategy", "map"] {
                if row.get(key).is_some() && !shown.contains_key(key) {
                    problems.push(format!("{short}.{field}: has no {key}"));
                }
            }
        }
    }
    for (name, row) in &types {
        if !seen.contains(name) && !later(row, &minor) {
            problems.push(format!("{name}: no Pod has one"));
        }
    }
    fails_with(&problems);
    assert!(seen.len() > 100, "only {} types were seen", seen.len());
}

/// What a schema says, in the words of the table. Types that it leads to are put ahead.
fn shown(property: &Value, ahead: &mut Vec<String>) -> BTreeMap<&'static str, Value> {
    let mut shown = BTreeMap::from([("type", json!(type_of(property, ahead)))]);
    let mut given = |key: &'static str, value: &Value| {
        if !value.is_null() {
            shown.insert(key, value.clone());
        }
    };
    given("list", &property["x-kubernetes-list-type"]);
    given("keys", &property["x-kubernetes-list-map-keys"]);
    given("map", &property["x-kubernetes-map-type"]);
    let merge = &property["x-kubernetes-patch-merge-key"];
    if property["x-kubernetes-list-map-keys"] != json!([merge]) {
        given("patchMergeKey", merge);
    }
    if property["x-kubernetes-patch-strategy"] != "merge" {
        given("patchStrategy", &property["x-kubernetes-patch-strategy"]);
    }
    shown
}

fn type_of(schema: &Value, ahead: &mut Vec<String>) -> String {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    if let Some(reference) = reference {
        let name = reference.trim_start_matches("#/components/schemas/").to_owned();
        let short = name.rsplit('.').next().unwrap().to_owned();
        if !matches!(short.as_str(), "Quantity" | "IntOrString" | "Time" | "FieldsV1" | "PodStatus") {
            ahead.push(name);
        }
        return short;
    }
    match schema["type"].as_str() {
        Some("array") => format!("[]{}", type_of(&schema["items"], ahead)),
        Some("object") => format!("map[string]{}", type_of(&schema["additionalProperties"], ahead)),
        Some("boolean") => "bool".to_owned(),
        Some("integer") => schema["format"].as_str().unwrap_or("integer").to_owned(),
        Some(other) => other.to_owned(),
        None => "?".to_owned(),
    }
}

/// A place in a Pod where an object of a type stands.
struct Place {
    pod: Value,
    pointer: String,
    here: Map<String, Value>,
    behind: Option<String>,
}

impl Place {
    fn read(given: &Value) -> Place {
        let container = |more: &Value| {
            let mut container = json!({"name": "app", "image": "app:1"});
            container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"containers": [container]})
        };
        let volume = |source: &Value| {
            let mut volume = source.clone();
            volume["name"] = json!("v");
            json!({"containers": [{"name": "app", "image": "app:1"}], "volumes": [volume]})
        };
        let spec = match given {
            _ if given.get("container").is_some() => container(&given["container"]),
            _ if given.get("volume").is_some() => volume(&given["volume"]),
            _ => given.get("spec").cloned().unwrap_or_else(|| container(&json!({}))),
        };
        let metadata = given.get("metadata").cloned().unwrap_or_else(|| json!({"name": "pod"}));
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        let pointer = marked(&pod, "").unwrap_or_else(|| panic!("no HERE in {given}"));
        let behind = given["behind"].as_str().map(str::to_owned);
        Place { pod, pointer, here: given["here"].as_object().unwrap().clone(), behind }
    }

    /// Sends it with a field as given, or without. What comes back at the field, or the refusal.
    fn send(&self, story: &Story, field: &str, value: Option<Value>) -> Result<Option<Value>, String> {
        let mut here = self.here.clone();
        match value {
            Some(value) => here.insert(field.to_owned(), value),
            None => here.remove(field),
        };
        let mut pod = self.pod.clone();
        *pod.pointer_mut(&self.pointer).unwrap() = Value::Object(here);
        let answer = story.try_pod(&story.name, &pod);
        if !answer.taken() {
            return Err(answer.message());
        }
        Ok(answer.body.pointer(&format!("{}/{field}", self.pointer)).cloned())
    }
}

/// The pointer to the one HERE.
fn marked(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) if text == "HERE" => Some(path.to_owned()),
        Value::Object(members) => members.iter().find_map(|(key, member)| marked(member, &format!("{path}/{key}"))),
        Value::Array(entries) => entries.iter().enumerate().find_map(|(index, entry)| marked(entry, &format!("{path}/{index}"))),
        _ => None,
    }
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

/// What a row says becomes of the zero value in this version: one of these.
fn said(row: &Value, minor: &str) -> Option<Vec<String>> {
    let older = row.as_object()?.iter().find(|(key, _)| key.starts_with(&format!("zero {minor}."))).map(|(_, value)| value);
    match older.or_else(|| row.get("zero"))? {
        Value::String(word) => Some(vec![word.clone()]),
        words => Some(words.as_object()?.keys().cloned().collect()),
    }
}

fn defaults(story: &Story) {
    let types = table();
    let minor = minor(story);
    let places = case::yaml_file(Path::new("tests/cluster/places.yaml"));
    // No token volume: where a Pod has no volumes, it has none.
    let account = format!("/api/v1/namespaces/{}/serviceaccounts/default", story.name);
    story.api.patch(&account, "merge", &json!({"automountServiceAccountToken": false})).object("the service account");
    let (mut problems, mut not_asked, mut asked) = (Vec::new(), Vec::new(), 0);
    for (name, row) in &types {
        if places["elsewhere"].get(name).is_some() {
            continue;
        }
        let given = places["places"][name].as_array().unwrap_or_else(|| panic!("places.yaml has no place for {name}"));
        let places: Vec<Place> = given.iter().map(Place::read).collect();
        let mut open = Vec::new();
        for place in places {
            let behind =
                place.behind.as_deref().and_then(|behind| behind.split_once('.')).map(|(owner, field)| &types[owner]["fields"][field]);
            if behind.is_some_and(|row| off(row, &minor) || later(row, &minor)) {
                continue;
            }
            if let Err(refusal) = place.send(story, "$none", None) {
                problems.push(format!("{name}: places.yaml has a Pod that is refused: {refusal}"));
                continue;
            }
            open.push(place);
        }
        for (field, row) in row["fields"].as_object().unwrap() {
            let at = format!("{name}.{field}");
            if name == "ObjectMeta" && OWN.contains(&field.as_str()) {
                continue;
            }
            let (Some(zero), Some(said)) = (zero_of(row["type"].as_str().unwrap()), said(row, &minor)) else { continue };
            if open.is_empty() || off(row, &minor) || later(row, &minor) {
                not_asked.push(at);
                continue;
            }
            asked += 1;
            for place in &open {
                let absent = place.send(story, field, None).ok();
                let own = row["required"] == true || GIVEN.contains(&at.as_str());
                if let (Some(absent), false) = (&absent, own) {
                    problems.extend(wrong_default(&at, row, absent.as_ref()));
                }
                let became = match place.send(story, field, Some(zero.clone())) {
                    Err(_) => "refused".to_owned(),
                    // Its condition does not hold here: the default is that there is none.
                    Ok(None) if row.get("when").is_some() && absent == Some(None) && said.contains(&"default".to_owned()) => {
                        "default".to_owned()
                    }
                    Ok(None) => "dropped".to_owned(),
                    Ok(got) if absent.as_ref() == Some(&got) => "default".to_owned(),
                    // A struct comes back with its own defaults.
                    Ok(Some(got)) if got == zero || (zero == json!({}) && got.is_object()) => "kept".to_owned(),
                    Ok(Some(got)) => format!("made {got}"),
                };
                if !said.contains(&became) {
                    problems.push(format!("{at}: {zero} is {became}, not {} (at {})", said.join(" or "), place.pointer));
                }
            }
        }
    }
    say(&format!("{minor}: {asked} fields asked; {} are behind a feature that is off: {}", not_asked.len(), not_asked.join(" ")));
    fails_with(&problems);
    assert!(asked > 400, "only {asked} fields were asked");
}

/// What is written where a field is absent, against its row. A default with a condition is compared only where it is there.
fn wrong_default(at: &str, row: &Value, absent: Option<&Value>) -> Option<String> {
    let conditional = row.get("when").is_some();
    match (row.get("default"), absent) {
        (None, None) => None,
        (None, Some(got)) => Some(format!("{at}: absent becomes {got}, and the table has no default")),
        (Some(_), None) if conditional => None,
        (Some(Value::String(computed)), Some(_)) if conditional && computed.starts_with('=') => None,
        (Some(default), got) if Some(default) == got => None,
        (Some(default), got) => Some(format!("{at}: absent becomes {got:?}, not {default}")),
    }
}
