//! What the documents promise: the README's first screen is what the program does, each guarantee names a test that is there, each link leads
//! somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use podgraft::document::{ReadOptions, Reading};
use podgraft::server::metrics::{Metrics, State};

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        open = match open.take() {
            Some(block) if line == "```" => {
                found.push(block);
                None
            }
            Some(block) => Some(block + line + "\n"),
            None if line == format!("```{language}") => Some(String::new()),
            None => None,
        };
    }
    found
}

fn markdown() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed =
        Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]).current_dir(root).output().unwrap();
    assert!(listed.status.success());
    String::from_utf8(listed.stdout).unwrap().lines().map(|path| root.join(path)).collect()
}

/// `[text](target)` and its line, for each link of a text outside its fenced blocks.
fn links(text: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let mut rest = line;
        while let Some(middle) = rest.find("](").filter(|_| !fenced) {
            let (before, after) = (&rest[..middle], &rest[middle + 2..]);
            let Some(end) = after.find(')') else { break };
            let label = before.rfind('[').map_or("", |start| &before[start + 1..]);
            found.push((number, label.to_owned(), after[..end].to_owned()));
            rest = &after[end..];
        }
    }
    found
}

#[test]
fn the_first_screen_is_what_the_program_does() {
    let readme = text("README.md");
    let (yaml, diff) = (blocks(&readme, "yaml"), blocks(&readme, "diff"));
    let folder = std::env::temp_dir().join(format!("podgraft-readme-{}", std::process::id()));
    fs::create_dir_all(folder.join("presets")).unwrap();
    fs::write(folder.join("presets/nginx-logs.yaml"), &yaml[0]).unwrap();
    fs::write(folder.join("pod.yaml"), &yaml[1]).unwrap();
    let podgraft = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_podgraft")).args(arguments).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(podgraft(&["inject", "-f", "pod.yaml", "--presets", "presets", "-o", "diff"]), diff[0]);
    podgraft(&["check", "--strict", "presets"]);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn each_guarantee_names_a_test_that_is_there() {
    let readme = text("README.md");
    let (_, guarantees) = readme.split_once("\n## Guarantees\n").unwrap();
    let (guarantees, _) = guarantees.split_once("\n## ").unwrap();
    let mut bullets = 0;
    for bullet in guarantees.split("\n- ").skip(1) {
        bullets += 1;
        let tests: Vec<_> =
            links(bullet).into_iter().filter(|(_, _, target)| target.starts_with("tests/") || target.starts_with("src/")).collect();
        assert!(!tests.is_empty(), "no test for: {bullet}");
        for (_, label, target) in tests {
            let name = label.trim_matches('`');
            if target.ends_with(".rs") {
                assert!(text(&target).contains(&format!("fn {name}(")), "{target} has no test {name}");
            }
        }
    }
    assert!(bullets >= 8, "only {bullets} guarantees found");
}

#[test]
fn the_presets_in_the_documents_are_fine() {
    let presets = blocks(&text("docs/presets.md"), "yaml");
    assert!(!presets.is_empty());
    for preset in presets {
        let documents = podgraft::document::read("docs/presets.md", &preset, &ReadOptions { default_namespace: "default" });
        let problems: Vec<String> = documents.iter().flat_map(|document| &document.problems).map(ToString::to_string).collect();
        assert!(problems.is_empty() && matches!(documents[0].reading, Reading::Preset(_)), "{problems:?}");
    }
}

#[test]
fn the_files_that_the_architecture_names_are_there() {
    let architecture = text("ARCHITECTURE.md");
    let named: Vec<&str> =
        architecture.split('`').skip(1).step_by(2).filter(|name| name.starts_with("src/") || name.starts_with("tests/")).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists(), "{name}");
    }
}

#[test]
fn the_stories_that_the_architecture_names_are_told() {
    let architecture = text("ARCHITECTURE.md");
    let (_, table) = architecture.split_once("The guarantees on a real API server").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let (mut file, mut stories) = (String::new(), 0);
    for name in table.split('`').skip(1).step_by(2) {
        if name.starts_with("tests/cluster/") {
            file = text(name);
        } else if name.contains('_') && !name.starts_with("apiserver_") {
            stories += 1;
            assert!(file.contains(&format!("(\"{name}\", ")), "no story {name}");
        }
    }
    assert!(stories >= 20, "only {stories} stories found");
}

#[test]
fn each_link_of_each_document_leads_somewhere() {
    let mut broken = Vec::new();
    for path in markdown() {
        let content = fs::read_to_string(&path).unwrap();
        for (line, _, target) in links(&content) {
            let file = target.split('#').next().unwrap_or_default();
            let there = target.starts_with("https://") || file.is_empty() || path.parent().unwrap().join(file).exists();
            if !there {
                broken.push(format!("{}:{line}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_flag_of_serve_is_in_its_document() {
    let document = text("docs/serve.md");
    let help = Command::new(env!("CARGO_BIN_EXE_podgraft")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: Vec<&str> = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2).collect();
    assert!(flags.len() > 20, "{help}");
    for flag in flags.into_iter().map(|flag| flag.trim_end_matches([',', ']', '.', ';'])).filter(|flag| *flag != "--help") {
        assert!(document.contains(flag), "docs/serve.md does not have {flag}");
    }
}

#[test]
fn every_metric_is_in_its_document_and_every_documented_one_is_there() {
    let document = text("docs/serve.md");
    let metrics = Metrics::new();
    // Families are shown from their first series on.
    metrics.presets("directory", State::Active, 1);
    metrics.store_is_fresh("directory");
    metrics.serving_not_after(0);
    metrics.trusted(Some(true));
    let _ = metrics.applied("shop/podpreset-a");
    let metrics = metrics.text();
    let names: Vec<&str> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 15, "{metrics}");
    for name in &names {
        let family = name.strip_suffix("_total").unwrap_or(name);
        assert!(document.contains(family), "docs/serve.md does not have {name}");
    }
    for row in document.lines().filter_map(|line| line.strip_prefix("| `podgraft_")) {
        let name = format!("podgraft_{}", row.split(['`', '{']).next().unwrap_or_default());
        let family = name.strip_suffix("_total").unwrap_or(&name);
        assert!(names.iter().any(|known| *known == name || *known == family), "{name} is not there");
    }
}
