//! What is said about documents, as data: each file of `tests/documents/` against the file of its name that ends in `.txt`, which has every
//! problem with its place. `UPDATE_GOLDEN=1` writes them.

use std::fs;
use std::path::PathBuf;

use podgraft::document::{self, Document, ReadOptions, Reading, Severity};
use podgraft::preset::Preset;

fn read(source: &str, text: &str) -> Vec<Document> {
    let mut documents = document::read(source, text, &ReadOptions { default_namespace: "default" });
    document::refuse_twins(&mut documents);
    documents
}

/// What became of each document, and what is said about it.
fn told(documents: &[Document]) -> String {
    let mut lines = String::new();
    for document in documents {
        let became = match &document.reading {
            Reading::Preset(spec) => format!("{} is fine", spec.key),
            Reading::Refused { key: Some(key) } => format!("{key} is refused"),
            Reading::Refused { key: None } => "refused".to_owned(),
            Reading::Ignored => "ignored".to_owned(),
        };
        lines.push_str(&format!("line {}: {became}\n", document.origin.line));
        for problem in &document.problems {
            let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
            lines.push_str(&format!("  {problem} ({severity})\n"));
        }
    }
    lines
}

#[test]
fn every_problem_of_every_document_is_told_with_its_place() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut paths: Vec<PathBuf> = fs::read_dir("tests/documents").unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let goldens: Vec<&PathBuf> = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    let documents: Vec<&PathBuf> = paths.iter().filter(|path| path.extension().is_none_or(|end| end != "txt")).collect();
    assert!(documents.len() >= 9);
    let mut wrong = Vec::new();
    for path in &documents {
        let name = path.file_name().unwrap().to_string_lossy();
        let said = told(&read(&name, &fs::read_to_string(path).unwrap()));
        let golden = path.with_extension("txt");
        if update {
            fs::write(&golden, &said).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{name}:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for golden in goldens {
        assert!(documents.iter().any(|path| path.with_extension("txt") == **golden), "{} has no document", golden.display());
    }
}

/// The version of the only preset of a text.
fn version(text: &str) -> String {
    let mut documents = read("x.yaml", text);
    let document = documents.remove(0);
    let Reading::Preset(spec) = document.reading else { panic!("{:?}", document.problems) };
    Preset::compile(*spec).version().to_owned()
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

#[test]
fn a_document_over_a_mebibyte_is_refused_and_the_others_stay() {
    let small = "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {name: small}\nspec: {selector: {}, env: [{name: A}]}\n";
    let large = format!("{}# {}\n", small.replace("small", "large"), "x".repeat(1 << 20));
    let documents = read("x.yaml", &format!("{large}---\n{small}"));
    assert!(matches!(documents[0].reading, Reading::Refused { .. }) && told(&documents).contains("1048576"), "{}", told(&documents));
    assert!(matches!(documents[1].reading, Reading::Preset(_)));
}

#[test]
fn aliases_that_multiply_are_refused_at_once() {
    let mut text = "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {name: laughs}\nspec:\n  selector: {}\n  env:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        text += &format!("  - &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
    }
    let documents = read("x.yaml", &text);
    assert!(matches!(documents[0].reading, Reading::Refused { .. }), "{}", told(&documents));
    assert!(documents[0].problems.len() < 1000);
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!(
            "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: deep}}\nspec: {}{}\n",
            open.repeat(50_000),
            close.repeat(50_000)
        );
        assert!(matches!(read("x.yaml", &text)[0].reading, Reading::Refused { .. }));
    }
}
