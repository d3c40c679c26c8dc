//! What is said of documents that should be presets. `tests/documents/NAME.yaml` or `NAME.json` is read, and `NAME.txt` holds what each
//! document turned out to be and every problem with its line and column; `UPDATE_GOLDEN=1` writes them anew. What API servers answered
//! (`kubernetes/pod-rules.json`, `pod-values.json`) is put into presets as `tests/documents/kubernetes/` says.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use podgraft::document::{self, Document, MAX_DOCUMENT, ReadOptions, Reading, Severity};
use serde_json::{Value, json};
use support::case;

const FOLDER: &str = "tests/documents";

fn read(source: &str, text: &str) -> Vec<Document> {
    let mut documents = document::read(source, text, &ReadOptions { default_namespace: "default" });
    document::refuse_twins(&mut documents);
    documents
}

/// What is said of a text: a line for each document, and one below it for each of its problems.
fn said(text: &str) -> String {
    let mut out = String::new();
    for document in read("presets.yaml", text) {
        let line = document.origin.line;
        match (&document.reading, document.key()) {
            (Reading::Preset(preset), _) => writeln!(out, "{line}: {} is taken", preset.key).unwrap(),
            (Reading::Refused { .. }, Some(key)) => writeln!(out, "{line}: {key} is refused").unwrap(),
            (Reading::Refused { .. }, None) => writeln!(out, "{line}: a document without a name is refused").unwrap(),
            (Reading::Ignored, _) => writeln!(out, "{line}: a document is ignored").unwrap(),
        }
        for problem in &document.problems {
            let path = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
            let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
            writeln!(out, "  {}:{}: {path}{} ({severity})", problem.line, problem.column, problem.text).unwrap();
        }
    }
    out
}

#[test]
fn every_document_gets_the_sentences_that_are_written_beside_it() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut inputs: BTreeMap<String, String> = BTreeMap::new();
    let mut goldens: BTreeSet<String> = BTreeSet::new();
    let mut report = String::new();
    for entry in fs::read_dir(FOLDER).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            assert_eq!(name, "kubernetes", "an unknown folder");
            continue;
        }
        match name.rsplit_once('.') {
            Some((stem, "yaml" | "json")) => {
                if let Some(other) = inputs.insert(stem.to_owned(), name.clone()) {
                    writeln!(report, "{other} and {name} have one golden file").unwrap();
                }
            }
            Some((stem, "txt")) => {
                goldens.insert(stem.to_owned());
            }
            _ => writeln!(report, "{name} is neither document nor golden file").unwrap(),
        }
    }
    assert!(inputs.len() >= 25, "only {} files", inputs.len());
    for stem in goldens.iter().filter(|stem| !inputs.contains_key(*stem)) {
        writeln!(report, "{stem}.txt belongs to no document").unwrap();
    }
    for (stem, name) in &inputs {
        let found = said(&fs::read_to_string(Path::new(FOLDER).join(name)).unwrap());
        let golden = Path::new(FOLDER).join(format!("{stem}.txt"));
        if update {
            fs::write(&golden, found).unwrap();
            continue;
        }
        match fs::read_to_string(&golden) {
            Ok(expected) if expected == found => {}
            Ok(expected) => writeln!(report, "{name}\n-- expected\n{expected}-- found\n{found}").unwrap(),
            Err(_) => writeln!(report, "{name} has no {stem}.txt; found\n{found}").unwrap(),
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn sentences_hold_no_values_of_variables() {
    for entry in fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("s3cr3t"), "{}", path.display());
        }
    }
}

/// `x*64` in a text is 64 times an x.
fn repeated(text: &str) -> String {
    match text.split_once("x*").and_then(|(before, count)| Some((before, count.parse().ok()?))) {
        Some((before, count)) => format!("{before}{}", "x".repeat(count)),
        None => text.to_owned(),
    }
}

/// A place with its repetitions written out.
fn written_out(at: &Value) -> Value {
    match at {
        Value::String(text) => repeated(text).into(),
        Value::Array(entries) => entries.iter().map(written_out).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (repeated(key), written_out(value))).collect(),
        other => other.clone(),
    }
}

/// A template as JSON text. `sent` may be what no JSON value is: the text `JSON 1e3` stands for the bare 1e3.
fn place(at: &Value, sent: &Value) -> String {
    let raw = sent.as_str().and_then(|text| text.strip_prefix("JSON ")).map_or_else(|| sent.to_string(), str::to_owned);
    written_out(at).to_string().replace("\"SENT\"", &raw)
}

fn remove(value: &mut Value, pointer: &str) {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    assert!(value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member).is_some(), "{pointer}");
}

/// The errors of a preset with such a template. A variable is there too, so that there is always something to inject.
fn errors_of(template: &str) -> Vec<String> {
    let preset = format!(
        r#"{{"apiVersion": "podgraft.dev/v1beta1", "kind": "PodPreset", "metadata": {{"name": "p"}},
            "spec": {{"selector": {{}}, "env": [{{"name": "SOMETHING_TO_INJECT", "value": "x"}}], "template": {template}}}}}"#
    );
    let documents = read("p.json", &preset);
    assert_eq!(documents.len(), 1);
    let problems = documents.iter().flat_map(|document| &document.problems);
    problems.filter(|problem| problem.severity == Severity::Error).map(|problem| format!("{}: {}", problem.path, problem.text)).collect()
}

/// What is wrong with one row, if anything.
fn check_row(row: &Value, group: &Value, own: Option<&Value>) -> Option<String> {
    let own = own.unwrap_or(&Value::Null);
    if let Some(reason) = own.get("unasked") {
        return reason.as_str().is_none_or(str::is_empty).then(|| "`unasked` needs a reason".to_owned());
    }
    let mut sent = row["sent"].clone();
    for pointer in own.get("without").and_then(Value::as_array).into_iter().flatten() {
        remove(&mut sent, pointer.as_str().unwrap());
    }
    let template = place(own.get("at").unwrap_or(&group["at"]), &sent);
    let errors = errors_of(&template);
    let refused = row.get("refused").is_some();
    assert!(refused || row["accepted"] == true || row.get("returned").is_some(), "{row}");
    match (refused != errors.is_empty(), own.get("differs").map(|reason| reason.as_str().unwrap_or(""))) {
        (true, None) => None,
        (false, Some(reason)) if !reason.is_empty() => None,
        (false, Some(_)) => Some("`differs` needs a reason".to_owned()),
        (true, Some(_)) => Some("is said to differ, and does not: remove that".to_owned()),
        (false, None) if refused => Some(format!("was refused, and is no error here: {}\n    {template}", row["refused"])),
        (false, None) => Some(format!("was taken, and is an error here:\n    {}\n    {template}", errors.join("\n    "))),
    }
}

/// What a row is called.
fn row_name(row: &Value) -> String {
    let name = row.get("case").unwrap_or(&row["sent"]);
    name.as_str().map_or_else(|| name.to_string(), str::to_owned)
}

/// Puts every row of a file of `kubernetes/` into a preset, and says how many there were and what is wrong.
fn check_rows(file: &str) -> (usize, String) {
    let recorded: Value = serde_json::from_str(&fs::read_to_string(format!("kubernetes/{file}.json")).unwrap()).unwrap();
    let places = case::yaml_file(&Path::new(FOLDER).join(format!("kubernetes/{file}.yaml")));
    let (mut asked, mut report) = (0, String::new());
    for (section, groups) in recorded.as_object().unwrap().iter().filter(|(_, groups)| groups.is_object()) {
        for (group, rows) in groups.as_object().unwrap() {
            let placed = &places[section][group];
            let own = placed.get("rows").and_then(Value::as_object);
            let mut left: BTreeSet<&String> = own.into_iter().flat_map(|rows| rows.keys()).collect();
            if placed.get("at").is_none() {
                writeln!(report, "{section} / {group}: it is not said where it belongs").unwrap();
                continue;
            }
            for row in rows.as_array().unwrap() {
                let name = row_name(row);
                left.remove(&name);
                asked += 1;
                if let Some(problem) = check_row(row, placed, own.and_then(|rows| rows.get(&name))) {
                    writeln!(report, "{section} / {group} / {name}: {problem}").unwrap();
                }
            }
            for name in left {
                writeln!(report, "{section} / {group} / {name}: there is no such row").unwrap();
            }
        }
    }
    for (section, groups) in places.as_object().unwrap() {
        for group in groups.as_object().unwrap().keys().filter(|group| recorded[section].get(*group).is_none()) {
            writeln!(report, "{section} / {group}: there is no such group").unwrap();
        }
    }
    (asked, report)
}

#[test]
fn what_api_servers_refused_in_any_pod_is_an_error_and_what_they_took_is_none() {
    for (file, least) in [("pod-rules", 200), ("pod-values", 300)] {
        let (asked, report) = check_rows(file);
        assert!(asked >= least, "only {asked} rows of {file}");
        assert!(report.is_empty(), "{file}:\n{report}");
    }
}

#[test]
fn a_document_without_a_name_takes_that_of_its_key() {
    let options = ReadOptions { default_namespace: "shop" };
    let unnamed = preset("p", "  env: [{name: A, value: b}]\n").replace("metadata: {name: p}\n", "");
    let keys = |text: &str, name: &str| -> Vec<String> {
        let documents = document::read_named("config.yaml", text, &options, Some(name));
        documents.iter().map(|document| format!("{} {}", document.key().unwrap(), document.problems.len())).collect()
    };
    assert_eq!(keys(&unnamed, "stem"), ["PodPreset shop/stem 0"]);
    assert_eq!(keys(&preset("p", "  env: [{name: A, value: b}]\n"), "stem"), ["PodPreset shop/p 0"]);
    assert_eq!(keys(&unnamed, "Not_A_Name"), ["PodPreset shop/Not_A_Name 1"]);
}

/// A preset in YAML with a name and lines below `spec`.
fn preset(name: &str, spec: &str) -> String {
    format!("apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: {name}}}\nspec:\n  selector: {{}}\n{spec}")
}

#[test]
fn a_document_has_at_most_a_mebibyte() {
    let base = preset("p", "  env: [{name: A, value: b}]\n#");
    let exact = format!("{base}{}", "x".repeat(MAX_DOCUMENT - base.len()));
    assert_eq!(said(&exact), "1: PodPreset default/p is taken\n");
    let text = format!("{exact}x\n---\n{}", preset("q", "  env: [{name: A, value: b}]\n"));
    let expected = "1: a document without a name is refused\n  1:1: the document has 1048578 bytes, and at most 1048576 are read: split it (error)\n\
                    9: PodPreset default/q is taken\n";
    assert_eq!(said(&text), expected);
    let json = |name: &str, more: usize| {
        let annotations = json!({"a": "x".repeat(more)});
        json!({"apiVersion": "podgraft.dev/v1beta1", "kind": "PodPreset", "metadata": {"name": name, "annotations": annotations},
               "spec": {"selector": {}, "env": [{"name": "A", "value": "b"}]}})
        .to_string()
    };
    let several = format!("{}\n{}\n", json("p", 700_000), json("q", 700_000));
    assert_eq!(said(&several), "1: PodPreset default/p is taken\n2: PodPreset default/q is taken\n");
    let found = said(&format!("{}\n{}\n", json("p", 1), json("q", MAX_DOCUMENT)));
    assert!(
        found.starts_with("1: PodPreset default/p is taken\n2: a document without a name is refused\n  2:1: the document has 10"),
        "{found}"
    );
    let list = format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{},\n{}]}}", json("p", 700_000), json("q", MAX_DOCUMENT));
    let found = said(&list);
    assert!(
        found.starts_with("1: PodPreset default/p is taken\n2: a document without a name is refused\n  2:1: the document has 10"),
        "{found}"
    );
}

#[test]
fn nesting_and_aliases_have_an_end() {
    let deep = preset("p", &format!("  future: {}{}\n", "[".repeat(200), "]".repeat(200)));
    assert_eq!(said(&deep), "6: a document without a name is refused\n  6:109: lists and objects nest deeper than 100 (error)\n");
    let deep_json = format!("{}{}", "{\"a\":".repeat(200), "1");
    assert!(said(&deep_json).contains("lists and objects nest deeper than 100 (error)"), "{}", said(&deep_json));
    for text in ["[".repeat(MAX_DOCUMENT), "{\"a\":".repeat(MAX_DOCUMENT / 5), "- ".repeat(MAX_DOCUMENT / 2), "? ".repeat(MAX_DOCUMENT / 2)]
    {
        let found = said(&text);
        assert!(found.starts_with("1: a document without a name is refused\n") && found.lines().count() == 2, "{found}");
    }

    // The billion laughs, as lists, as objects, with merge keys, and as one long text over and over.
    let lists: String =
        (1..30).map(|level| format!("x{level}: &x{level} [{}]\n", vec![format!("*x{}", level - 1); 10].join(", "))).collect();
    let maps: String = (1..30)
        .map(|level| {
            let members: Vec<String> = (0..10).map(|member| format!("m{member}: *x{}", level - 1)).collect();
            format!("x{level}: &x{level} {{{}}}\n", members.join(", "))
        })
        .collect();
    let merged: String =
        (1..30).map(|level| format!("x{level}: &x{level} {{<<: [*x{0}, *x{0}], a{level}: *x{0}, b{level}: *x{0}}}\n", level - 1)).collect();
    let long = format!("x0: &x0 {}\ny: [{}]\n", "x".repeat(500_000), vec!["*x0"; 100_000].join(","));
    for (bomb, start) in [(lists, "x0: &x0 [lol]\n"), (maps, "x0: &x0 {lol: lol}\n"), (merged, "x0: &x0 {lol: lol}\n"), (long, "")] {
        let text = format!("{start}{bomb}---\n{}", preset("after", "  env: [{name: A, value: b}]\n"));
        let found = said(&text);
        assert!(found.contains("aliases") && found.contains("(error)"), "{found}");
        assert!(found.ends_with(": PodPreset default/after is taken\n") && found.lines().count() == 3, "{found}");
    }
    // Aliases that stay small are read.
    let small = preset("p", "  env: &env [{name: A, value: b}]\n  template: {spec: {containers: [{name: a, image: a, env: *env}]}}\n");
    assert_eq!(said(&small), "1: PodPreset default/p is taken\n");
}

#[test]
fn places_are_those_of_the_text_whatever_its_line_ends_and_marks() {
    let text = format!("# first\n---\n{}", preset("p", "  env:\n  - name: A\n    value: 5432\n  - {name: \"ü\u{1F600}\", values: x}\n"));
    let expected = "3: PodPreset default/p is refused\n  \
                    10:12: spec.env[0].value: must be a string, and is a number: put the value in quotes (error)\n  \
                    11:12: spec.env[1].name: WRONG (error)\n  \
                    11:18: spec.env[1].values: Kubernetes up to 1.36 has no field `values` in EnvVar (`value` is the nearest): an API server that does not know it drops it without a word (warning)\n";
    let found = said(&text);
    let wrong = found.lines().find_map(|line| line.strip_prefix("  11:12: spec.env[1].name: ")).unwrap().trim_end_matches(" (error)");
    let expected = format!("1: a document is ignored\n{}", expected.replace("WRONG", wrong));
    assert_eq!(found, expected);
    assert_eq!(said(&format!("\u{feff}{text}")), expected, "after a byte order mark");
    assert_eq!(said(&text.replace('\n', "\r\n")), expected, "with Windows' line ends");
    assert_eq!(said(&text.replace('\n', "\r")), expected, "with old line ends");
    assert_eq!(said(&text.replace("---\n", "---\n\u{feff}")), expected, "with a mark after the line that separates");
}

/// The version of the only preset of a text.
fn version(text: &str) -> String {
    let document = read("x.yaml", text).remove(0);
    let Reading::Preset(spec) = document.reading else { panic!("{:?}", document.problems) };
    spec.version
}

#[test]
fn the_version_is_that_of_kind_and_spec_whatever_the_layout() {
    let block = "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {name: a}\nspec:\n  # A comment.\n  selector: {}\n  env:\n  - {name: A, value: \"1\"}\n";
    let json = r#"{"kind":"PodPreset","apiVersion":"podgraft.dev/v1beta1","metadata":{"name":"b","labels":{"x":"y"}},"spec":{"env":[{"value":"1","name":"A"}],"selector":{}}}"#;
    assert_eq!(version(block), version(json));
    assert_ne!(version(block), version(&block.replace("\"1\"", "\"2\"")));
    assert_ne!(version(block), version(&block.replace("selector: {}", "selector: {}\n  priority: 0")), "defaults are not filled in");
    // {"kind":"PodPreset","spec":{"env":[{"name":"A","value":"1"}],"selector":{}}}, by sha256sum.
    assert_eq!(version(block), "26b2aaee5ce4");
}
