//! Podgraft's own table of a Pod against the API server: fields, types, list keys against its OpenAPI document; each default, each zero
//! value and each union by sending Pods with and without.
//!
//! The table is `kubernetes/pod-schema.json`, which `build.rs` compiles in. `places.yaml` has, for each type, a Pod that holds one.

mod defaults;
mod gates;
mod images;
mod places;
mod unions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Map, Value, json};

use crate::harness::say;
use crate::harness::story::{Stories, Story};

pub const STORIES: Stories = &[
    ("fields_types_and_keys_are_those_of_the_openapi_document", documented),
    ("defaults_and_zero_values_are_as_the_api_server_has_them", defaults::all),
    ("what_excludes_each_other_is_a_union", unions::all),
    ("fields_that_are_off_are_dropped_and_on_as_recorded", gates::all),
    ("pull_policies_follow_the_image", images::all),
];

/// Types by name, as recorded.
struct Table {
    types: Map<String, Value>,
    /// As in `1.36`: the version that is asked.
    minor: String,
}

impl Table {
    /// The table, where it was recorded from this version too. Of others it knows nothing.
    fn of(story: &Story) -> Option<Table> {
        let text = fs::read_to_string("kubernetes/pod-schema.json").unwrap();
        let table: Value = serde_json::from_str(&text).unwrap();
        let release = story.plane.release().unwrap();
        let minor = release.trim_start_matches('v').split('.').take(2).collect::<Vec<_>>().join(".");
        let versions = table["versions"].as_array().unwrap();
        let recorded = versions.iter().any(|version| version.as_str().unwrap().starts_with(&format!("{minor}.")));
        if !recorded {
            say(&format!("LEFT OUT: {}: kubernetes/ was not recorded from Kubernetes {minor}", story.name));
            return None;
        }
        Some(Table { types: table["types"].as_object().unwrap().clone(), minor })
    }

    /// Whether a field, or a type, came after this version.
    fn later(&self, row: &Value) -> bool {
        row["since"].as_str().is_some_and(|since| since == format!("after {}", self.minor))
    }

    /// Whether a field's feature is off in this version.
    fn off(&self, row: &Value) -> bool {
        let minor = format!("{}.", self.minor);
        row["off"].as_array().into_iter().flatten().any(|version| version.as_str().is_some_and(|version| version.starts_with(&minor)))
    }

    /// The row of a field, `Volume.image` say.
    fn field(&self, at: &str) -> &Value {
        let (owner, field) = at.split_once('.').unwrap();
        &self.types[owner]["fields"][field]
    }
}

fn fails_with(problems: &[String]) {
    assert!(problems.is_empty(), "{} rows of kubernetes/ are not what this API server shows:\n{}", problems.len(), problems.join("\n"));
}

fn documented(story: &Story) {
    let Some(table) = Table::of(story) else { return };
    let types = &table.types;
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
        if schema.get("x-kubernetes-unions").is_some() && row.get("union").is_none() {
            problems.push(format!("{short}: a union, by its schema"));
        }
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let fields = row["fields"].as_object().unwrap();
        for field in fields.keys().filter(|field| !properties.contains_key(*field) && !table.later(&fields[*field])) {
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
    for (name, row) in types {
        if !seen.contains(name) && !table.later(row) {
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
