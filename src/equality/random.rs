//! A second reading of the rules, from one value alone, against random pairs.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::tests::same_under;
use super::*;
use crate::schema::{Default, Zero};

/// Small random values, from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }

    fn value(&mut self, kind: Kind, depth: usize) -> Json {
        match kind {
            Kind::Bool => self.one(&[json!(true), json!(false)]),
            Kind::Int32 | Kind::Int64 => self.one(&[json!(0), json!(1), json!(3), json!(80)]),
            Kind::String => self.one(&[json!(""), json!("a"), json!("Always"), json!("IfNotPresent"), json!("default"), json!("TCP")]),
            Kind::Quantity => self.one(&[json!("0"), json!("1"), json!("1000m"), json!("1m"), json!("1n"), json!(1), json!("x")]),
            Kind::IntOrString => self.one(&[json!(80), json!("80"), json!("http")]),
            Kind::Opaque => self.one(&[json!("t"), json!({}), json!({"a": null})]),
            Kind::StringMap => self.one(&[json!({}), json!({"a": ""}), json!({"a": null}), json!({"a": "b"}), json!({"b": "b"})]),
            Kind::QuantityMap => {
                let mut map = Map::new();
                for key in ["cpu", "memory"] {
                    if self.roll(2) == 0 {
                        let value = if self.roll(6) == 0 { Json::Null } else { self.value(Kind::Quantity, 0) };
                        map.insert(key.to_owned(), value);
                    }
                }
                Json::Object(map)
            }
            Kind::Struct(id) => {
                let mut map = Map::new();
                let fields = id.get().fields;
                for _ in 0..if depth == 0 { 0 } else { self.roll(4) } {
                    let field = &fields[self.roll(fields.len())];
                    let value = self.member(field, depth);
                    map.insert(field.name.to_owned(), value);
                }
                if self.roll(12) == 0 {
                    let value = self.one(&[json!(null), json!({}), json!({"a": null, "b": 1}), json!([0])]);
                    map.insert("future".to_owned(), value);
                }
                Json::Object(map)
            }
            Kind::List(list) => (0..self.roll(3)).map(|_| self.entry(list.of, depth)).collect(),
        }
    }

    fn entry(&mut self, kind: Kind, depth: usize) -> Json {
        if self.roll(6) == 0 { Json::Null } else { self.value(kind, depth.saturating_sub(1)) }
    }

    fn member(&mut self, field: &Field, depth: usize) -> Json {
        match (self.roll(6), field.default) {
            (0, _) => Json::Null,
            (1 | 2, Some(Default::Int(value))) => json!(value),
            (1 | 2, Some(Default::Str(value))) => json!(value),
            (1 | 2, Some(Default::Bool(value))) => json!(value),
            _ => self.value(field.kind, depth.saturating_sub(1)),
        }
    }

    /// A copy with some of it changed.
    fn vary(&mut self, kind: Kind, value: &Json) -> Json {
        match (kind, value) {
            (Kind::Struct(id), Json::Object(map)) => {
                let mut varied = Map::new();
                for (key, value) in map {
                    let Some(field) = id.get().field(key) else {
                        varied.insert(key.clone(), value.clone());
                        continue;
                    };
                    match self.roll(8) {
                        0 => {}
                        1 => drop(varied.insert(key.clone(), self.member(field, 2))),
                        _ => drop(varied.insert(key.clone(), self.vary(field.kind, value))),
                    }
                }
                if self.roll(3) == 0 {
                    let fields = id.get().fields;
                    let field = &fields[self.roll(fields.len())];
                    let value = self.member(field, 1);
                    varied.entry(field.name).or_insert(value);
                }
                Json::Object(varied)
            }
            (Kind::List(list), Json::Array(entries)) => entries.iter().map(|entry| self.vary(list.of, entry)).collect(),
            (kind, value) if self.roll(5) == 0 && !value.is_null() => self.value(kind, 1),
            _ => value.clone(),
        }
    }
}

/// What two equal values have in common, made of one of them alone: everything that says what its absence says is taken out.
fn normal(kind: Kind, value: &Json, host_network: bool) -> Json {
    match (kind, value) {
        (Kind::Struct(id), Json::Object(map)) => normal_object(id, map, host_network),
        (Kind::Struct(_) | Kind::StringMap | Kind::QuantityMap, Json::Null) => json!({}),
        (Kind::List(_), Json::Null) => json!([]),
        (Kind::Bool, Json::Null) => json!(false),
        (Kind::Int32 | Kind::Int64 | Kind::IntOrString, Json::Null) => json!(0),
        (Kind::String, Json::Null) => json!(""),
        (Kind::List(list), Json::Array(entries)) => {
            let mut entries: Vec<Json> = entries.iter().map(|entry| normal(list.of, entry, host_network)).collect();
            if list.merge == Merge::Set {
                entries.sort_by_key(Json::to_string);
                entries.dedup();
            }
            Json::Array(entries)
        }
        (Kind::Quantity, value) => normal_quantity(value, false),
        (Kind::QuantityMap, Json::Object(map)) => map.iter().map(|(key, value)| (key.clone(), normal_quantity(value, true))).collect(),
        (Kind::StringMap, Json::Object(map)) => {
            map.iter().map(|(key, value)| (key.clone(), normal(Kind::String, value, host_network))).collect()
        }
        (_, value) => without_nulls(value),
    }
}

fn without_nulls(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            map.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), without_nulls(value))).collect()
        }
        Json::Array(entries) => entries.iter().map(without_nulls).collect(),
        value => value.clone(),
    }
}

fn normal_quantity(value: &Json, rounded: bool) -> Json {
    let text = match value {
        Json::Null => "0".to_owned(),
        Json::String(text) => text.clone(),
        value => value.to_string(),
    };
    match Quantity::parse(&text) {
        Some(quantity) if rounded => json!(quantity.round_up_to_milli().to_string()),
        Some(quantity) => json!(quantity.to_string()),
        None => value.clone(),
    }
}

fn normal_object(id: TypeId, map: &Map<String, Json>, host_network: bool) -> Json {
    let of = id.get();
    let map = &twin_as_name(id, map);
    let mut out: Map<String, Json> = map
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| {
            let normal = of.field(key).map_or_else(|| without_nulls(value), |field| normal(field.kind, value, host_network));
            (key.clone(), normal)
        })
        .collect();
    let text = |key: &str| map.get(key).and_then(Json::as_str).filter(|text| !text.is_empty());
    let sources = out.keys().filter(|key| of.field(key).is_some_and(|field| field.member)).count();
    let limits = out.get("limits").cloned();
    let keys: Vec<String> = out.keys().cloned().collect();
    for key in keys {
        let Some(field) = of.field(&key) else { continue };
        let zero = matches!(field.zero, Zero::Dropped | Zero::Default) && !matches!(field.kind, Kind::Struct(_));
        let zeros = [json!(false), json!(0), json!(""), json!([]), json!({})];
        if field.name == "requests"
            && field.default.is_some()
            && let (Some(Json::Object(limits)), Some(Json::Object(requests))) = (&limits, out.get_mut("requests"))
        {
            requests.retain(|key, value| limits.get(key) != Some(value));
        }
        let value = &out[&key];
        let computed = match field.name {
            _ if field.default != Some(Default::Computed) => None,
            "imagePullPolicy" => text("image").map(|image| json!(pull_policy(image))),
            "pullPolicy" => text("reference").map(|image| json!(pull_policy(image))),
            "hostPort" => map.get("containerPort").filter(|port| host_network && !port.is_null()).cloned(),
            "serviceAccountName" => Some(json!("default")),
            "serviceAccount" => Some(json!(text("serviceAccountName").unwrap_or("default"))),
            "preemptionPolicy" => text("priorityClassName").is_none().then(|| json!("PreemptLowerPriority")),
            _ => None,
        };
        let default = match field.default {
            Some(Default::Int(value)) => Some(json!(value)),
            Some(Default::Bool(value)) => Some(json!(value)),
            Some(Default::Str(value)) => Some(json!(value)),
            _ => computed,
        };
        let says_nothing = match field.kind {
            Kind::Struct(TypeId::LABEL_SELECTOR) => false,
            Kind::Struct(_) if field.name == "emptyDir" => sources == 1 && *value == json!({}),
            _ if field.member => false,
            Kind::Struct(_) => *value == json!({}),
            Kind::Quantity => (zero && *value == json!("0")) || default.as_ref() == Some(value),
            _ if field.name == "priority" && text("priorityClassName").is_some() => false,
            _ => (zero && zeros.contains(value)) || default.as_ref() == Some(value),
        };
        if says_nothing {
            out.remove(&key);
        }
    }
    Json::Object(out)
}

/// The old twin of `serviceAccountName`, where it stands alone, is the name.
fn twin_as_name(id: TypeId, map: &Map<String, Json>) -> Map<String, Json> {
    let mut map = map.clone();
    let says = |map: &Map<String, Json>, key: &str| map.get(key).and_then(Json::as_str).is_some_and(|text| !text.is_empty());
    if id == TypeId::POD_SPEC
        && says(&map, "serviceAccount")
        && !says(&map, "serviceAccountName")
        && let Some(name) = map.remove("serviceAccount")
    {
        map.insert("serviceAccountName".to_owned(), name);
    }
    map
}

/// JSON with the members of every object turned around.
fn turned(value: &Json, out: &mut String) {
    match value {
        Json::Object(map) => {
            out.push('{');
            for (count, (key, value)) in map.iter().rev().enumerate() {
                out.push_str(if count > 0 { "," } else { "" });
                out.push_str(&json!(key).to_string());
                out.push(':');
                turned(value, out);
            }
            out.push('}');
        }
        Json::Array(entries) => {
            out.push('[');
            for (count, entry) in entries.iter().enumerate() {
                out.push_str(if count > 0 { "," } else { "" });
                turned(entry, out);
            }
            out.push(']');
        }
        value => out.push_str(&value.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn equality_is_that_of_what_is_left_when_silence_is_taken_out(seed in any::<u64>(), index in any::<prop::sample::Index>(), host_network in any::<bool>()) {
        let ids: Vec<TypeId> = TypeId::all().collect();
        let id = *index.get(&ids);
        let mut dice = Dice(seed);
        let left = dice.value(Kind::Struct(id), 4);
        let right = dice.vary(Kind::Struct(id), &left);
        let mut text = String::new();
        turned(&right, &mut text);
        let expected = normal(Kind::Struct(id), &left, host_network) == normal(Kind::Struct(id), &right, host_network);
        prop_assert_eq!(same_under(id, &left.to_string(), &text, host_network), expected, "{} {} {}", id.get().name, left, right);
        // Said again, and by what is left of it.
        prop_assert!(same_under(id, &left.to_string(), &normal(Kind::Struct(id), &left, host_network).to_string(), host_network), "{} {}", id.get().name, left);
    }
}
