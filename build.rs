//! Makes the static tables of `src/schema.rs` from `kubernetes/pod-schema.json`.
//!
//! A row that is not understood stops the build: a table that was half read would make the merge guess.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs, process};

use serde_json::{Map, Value};

/// Members of unions whose presence alone says something: `emptyDir: {}` is not the absence of a source. `None`: every field but `name`.
const MEMBERS: &[(&str, Option<&[&str]>)] = &[
    // Scalars and lists exclude each other here, and those say something by their value.
    ("AppArmorProfile", Some(&[])),
    ("ClusterTrustBundleProjection", Some(&[])),
    ("FCVolumeSource", Some(&[])),
    ("FlockerVolumeSource", Some(&[])),
    ("PodSchedulingGroup", Some(&[])),
    ("SeccompProfile", Some(&[])),
    ("VolumeMount", Some(&[])),
    ("DownwardAPIVolumeFile", Some(&["fieldRef", "resourceFieldRef"])),
    ("EnvFromSource", Some(&["configMapRef", "secretRef"])),
    ("EnvVar", Some(&["valueFrom"])),
    ("EnvVarSource", None),
    ("LifecycleHandler", None),
    ("PersistentVolumeClaimSpec", Some(&["dataSource", "dataSourceRef"])),
    ("PodResourceClaim", Some(&["resourceClaimName", "resourceClaimTemplateName"])),
    ("Probe", Some(&["exec", "grpc", "httpGet", "tcpSocket"])),
    ("Volume", None),
    ("VolumeProjection", None),
];

/// Defaults with a condition (`when`), and whether they have to be computed (`src/equality/absent.rs` does) or hold as they are.
const CONDITIONS: &[(&str, &str, bool)] = &[
    ("Container", "imagePullPolicy", true),
    ("ContainerPort", "hostPort", true),
    ("FileKeySelector", "optional", false),
    ("ImageVolumeSource", "pullPolicy", true),
    ("PodSpec", "enableServiceLinks", false),
    ("PodSpec", "preemptionPolicy", true),
    ("PodSpec", "priority", true),
    ("PodSpec", "serviceAccount", true),
    ("PodSpec", "serviceAccountName", true),
    ("PodSpec", "tolerations", true),
    ("ResourceRequirements", "requests", true),
    ("Volume", "emptyDir", true),
];

/// Types of which nothing was asked that have the fields of another type, and take its rows.
const TWINS: &[(&str, &str)] = &[("EphemeralContainer", "Container")];

const TYPE_ROWS: &[&str] = &["fields", "union", "atomic", "since"];
const FIELD_ROWS: &[&str] =
    &["type", "required", "default", "when", "zero", "list", "keys", "patchMergeKey", "patchStrategy", "map", "off", "since"];

fn main() {
    if let Err(problem) = run() {
        println!("cargo::error=kubernetes/pod-schema.json: {problem}");
        process::exit(1);
    }
}

fn run() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kubernetes/pod-schema.json");
    let home = env::var("CARGO_MANIFEST_DIR").map_err(|error| error.to_string())?;
    let out = env::var("OUT_DIR").map_err(|error| error.to_string())?;
    let text = fs::read_to_string(PathBuf::from(home).join("kubernetes/pod-schema.json")).map_err(|error| error.to_string())?;
    let table: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let types: BTreeMap<&str, &Map<String, Value>> = object(&table["types"], "types")?
        .iter()
        .map(|(name, row)| Ok((name.as_str(), object(row, name)?)))
        .collect::<Result<_, String>>()?;
    let code = tables(&types)?;
    fs::write(PathBuf::from(out).join("schema.rs"), code).map_err(|error| error.to_string())
}

fn tables(types: &BTreeMap<&str, &Map<String, Value>>) -> Result<String, String> {
    let mut constants = String::new();
    let mut rows = String::new();
    for (index, (name, row)) in types.iter().enumerate() {
        understood(row, TYPE_ROWS, name)?;
        let _ = writeln!(constants, "    /// `{name}`\n    pub const {}: TypeId = TypeId({index});", screaming(name));
        let members = MEMBERS.iter().find(|(of, _)| of == name).map(|(_, members)| members);
        if row.contains_key("union") != members.is_some() {
            return Err(format!("{name}: is it a union? build.rs and the table differ; see MEMBERS"));
        }
        let atomic = flag(row, "atomic", name)?;
        let _ = writeln!(rows, "    Type {{ name: {name:?}, union: {}, atomic: {atomic}, fields: &[", members.is_some());
        let twin = TWINS.iter().find(|(of, _)| of == name).and_then(|(_, other)| types.get(other));
        let fields: BTreeMap<&str, &Value> =
            object(field(row, "fields", name)?, name)?.iter().map(|(key, value)| (key.as_str(), value)).collect();
        for (key, value) in fields {
            let place = format!("{name}.{key}");
            let own = object(value, &place)?;
            let other = twin.and_then(|twin| twin.get("fields")?.get(key)?.as_object());
            let owner = if other.is_some() { twin_of(name) } else { name };
            let member = match members {
                None => false,
                Some(None) => key != "name",
                Some(Some(members)) => members.contains(&key),
            };
            rows.push_str(&field_row(key, other.unwrap_or(own), owner, member, types, &place)?);
        }
        rows.push_str("    ] },\n");
    }
    for (name, _) in MEMBERS {
        if !types.contains_key(name) {
            return Err(format!("{name}: MEMBERS of build.rs names a type that the table has not"));
        }
    }
    Ok(format!("impl TypeId {{\n{constants}}}\n\nstatic TYPES: [Type; {}] = [\n{rows}];\n", types.len()))
}

fn twin_of(name: &str) -> &str {
    TWINS.iter().find(|(of, _)| *of == name).map_or(name, |(_, other)| other)
}

fn field_row(
    name: &str,
    row: &Map<String, Value>,
    owner: &str,
    member: bool,
    types: &BTreeMap<&str, &Map<String, Value>>,
    place: &str,
) -> Result<String, String> {
    understood(row, FIELD_ROWS, place)?;
    let kind = kind(text(field(row, "type", place)?, place)?, row, types, place)?;
    let required = flag(row, "required", place)?;
    let default = default(row, owner, name, &kind, place)?;
    let zero = zero(row, place)?;
    let off = strings(row.get("off"), place)?;
    Ok(format!(
        "        Field {{ name: {name:?}, kind: {kind}, required: {required}, default: {default}, zero: Zero::{zero}, member: {member}, off: &{off:?} }},\n"
    ))
}

fn kind(name: &str, row: &Map<String, Value>, types: &BTreeMap<&str, &Map<String, Value>>, place: &str) -> Result<String, String> {
    if let Some(entry) = name.strip_prefix("[]") {
        let keys = strings(row.get("keys"), place)?;
        let merge = match row.get("list").and_then(Value::as_str) {
            Some("map") if !keys.is_empty() => "Map",
            Some("set") if keys.is_empty() => "Set",
            Some("atomic") if keys.is_empty() => "Atomic",
            other => return Err(format!("{place}: a list of the kind {other:?} with the keys {keys:?}")),
        };
        let of = kind(entry, &Map::new(), types, place)?;
        return Ok(format!("Kind::List(&List {{ of: {of}, merge: Merge::{merge}, keys: &{keys:?} }})"));
    }
    if row.contains_key("list") || row.contains_key("keys") {
        return Err(format!("{place}: `list` or `keys` of {name}, which is no list"));
    }
    if row.contains_key("map") && !(name.starts_with("map[") && row["map"] == "atomic") {
        return Err(format!("{place}: map {} of {name}", row["map"]));
    }
    Ok(match name {
        "bool" => "Kind::Bool".to_owned(),
        "int32" => "Kind::Int32".to_owned(),
        "int64" => "Kind::Int64".to_owned(),
        "string" => "Kind::String".to_owned(),
        "Quantity" => "Kind::Quantity".to_owned(),
        "IntOrString" => "Kind::IntOrString".to_owned(),
        "Time" | "FieldsV1" | "PodStatus" => "Kind::Opaque".to_owned(),
        "map[string]string" => "Kind::StringMap".to_owned(),
        "map[string]Quantity" => "Kind::QuantityMap".to_owned(),
        _ => match types.keys().position(|key| *key == name) {
            Some(index) => format!("Kind::Struct(TypeId({index}))"),
            None => return Err(format!("{place}: the type {name} is not in the table")),
        },
    })
}

fn default(row: &Map<String, Value>, owner: &str, name: &str, kind: &str, place: &str) -> Result<String, String> {
    let condition = CONDITIONS.iter().find(|(of, field, _)| *of == owner && *field == name);
    if row.contains_key("when") != condition.is_some() {
        return Err(format!("{place}: does its default have a condition? build.rs and the table differ; see CONDITIONS"));
    }
    let Some(value) = row.get("default") else {
        return if condition.is_some() { Err(format!("{place}: a condition without a default")) } else { Ok("None".to_owned()) };
    };
    if condition.is_some_and(|(_, _, computed)| *computed) {
        return Ok("Some(Default::Computed)".to_owned());
    }
    let default = match (value, kind) {
        (Value::Null, _) => "Null".to_owned(),
        (Value::Bool(value), "Kind::Bool") => format!("Bool({value})"),
        (Value::Number(value), "Kind::Int32" | "Kind::Int64") if value.is_i64() => format!("Int({value})"),
        (Value::String(value), "Kind::String" | "Kind::Quantity") if !value.starts_with("= ") => format!("Str({value:?})"),
        (Value::Object(value), kind) if value.is_empty() && kind.starts_with("Kind::Struct") => "Empty".to_owned(),
        _ => return Err(format!("{place}: the default {value} of {kind}")),
    };
    Ok(format!("Some(Default::{default})"))
}

/// Where the answer depends on the place or the version: kept before default before dropped before refused. Not asked: kept, which equals nothing.
fn zero(row: &Map<String, Value>, place: &str) -> Result<&'static str, String> {
    const WORDS: [(&str, &str); 4] = [("kept", "Kept"), ("default", "Default"), ("dropped", "Dropped"), ("refused", "Refused")];
    let mut seen: Vec<&str> = Vec::new();
    for (_, value) in row.iter().filter(|(key, _)| is_zero_row(key)) {
        match value {
            Value::String(word) => seen.push(word),
            Value::Object(places) if !places.is_empty() => seen.extend(places.keys().map(String::as_str)),
            _ => return Err(format!("{place}: zero {value}")),
        }
    }
    if let Some(word) = seen.iter().find(|word| !WORDS.iter().any(|(known, _)| known == *word)) {
        return Err(format!("{place}: zero {word:?}"));
    }
    Ok(WORDS.iter().find(|(word, _)| seen.contains(word)).map_or("Kept", |(_, name)| name))
}

fn is_zero_row(key: &str) -> bool {
    key == "zero" || key.starts_with("zero 1.")
}

fn understood(row: &Map<String, Value>, known: &[&str], place: &str) -> Result<(), String> {
    match row.keys().find(|key| !known.contains(&key.as_str()) && !is_zero_row(key)) {
        Some(key) => Err(format!("{place}: build.rs does not know what {key:?} means")),
        None => Ok(()),
    }
}

fn screaming(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(index + 1);
        let starts = letter.is_ascii_uppercase()
            && before.is_some_and(|before| !before.is_ascii_uppercase() || after.is_some_and(char::is_ascii_lowercase));
        if starts {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

fn field<'v>(row: &'v Map<String, Value>, key: &str, place: &str) -> Result<&'v Value, String> {
    row.get(key).ok_or_else(|| format!("{place}: no {key:?}"))
}

fn object<'v>(value: &'v Value, place: &str) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{place}: not an object"))
}

fn text<'v>(value: &'v Value, place: &str) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("{place}: {value} is not a text"))
}

fn flag(row: &Map<String, Value>, key: &str, place: &str) -> Result<bool, String> {
    match row.get(key) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(value) => Err(format!("{place}: {key} is {value}")),
    }
}

fn strings<'v>(value: Option<&'v Value>, place: &str) -> Result<Vec<&'v str>, String> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries.iter().map(|entry| text(entry, place)).collect(),
        Some(value) => Err(format!("{place}: {value} is not a list")),
    }
}
