//! Every case of `tests/cases/`: a Pod and presets in, what must come out as data. A folder that is not a whole case is a failure.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use podgraft::tree::NodeId;
use support::case::{self, Case};
use support::defaults;

/// Runs a check over all cases and fails with what every one of them says.
fn over_all(check: impl Fn(&Case) -> Vec<String>) {
    let cases = case::all();
    assert!(cases.len() >= 200, "only {} cases", cases.len());
    let mut report = String::new();
    let mut failed = 0;
    for case in &cases {
        let problems = check(case);
        if !problems.is_empty() {
            failed += 1;
            writeln!(report, "{} ({})\n  {}", case.name, case.about, problems.join("\n  ")).unwrap();
        }
    }
    println!("{} cases, {failed} failed", cases.len());
    assert!(failed == 0, "{failed} of {} cases failed:\n{report}", cases.len());
}

#[test]
fn every_case_gives_what_it_expects() {
    over_all(Case::compare);
}

#[test]
fn the_patch_applied_by_another_library_gives_the_same_pod() {
    over_all(Case::apply_elsewhere);
}

#[test]
fn a_result_sent_again_is_left_alone() {
    over_all(|case| case.again("sent again", |pod| pod.to_owned_tree(NodeId::ROOT)));
}

#[test]
fn a_result_sent_again_after_defaulting_and_token_mount_is_left_alone() {
    over_all(|case| case.again("after defaulting", defaults::as_the_api_server));
}

#[test]
fn a_review_of_the_pod_gets_the_same_patch() {
    over_all(Case::review);
}

/// What is claimed in the contract and not shown by a case, with the test that shows it.
fn shown_elsewhere() -> BTreeMap<String, String> {
    case::strings(&case::yaml_file(Path::new("tests/rules-shown-elsewhere.yaml")))
}

#[test]
fn every_rule_is_named_by_a_case() {
    let rules: BTreeSet<String> = case::strings(&case::yaml_file(Path::new("tests/rules.yaml"))).into_keys().collect();
    let mut covered: BTreeSet<String> = case::all().into_iter().flat_map(|case| case.covers).collect();
    let unknown: Vec<&String> = covered.difference(&rules).collect();
    assert!(unknown.is_empty(), "cases name rules that tests/rules.yaml has not: {unknown:?}");
    for (rule, test) in shown_elsewhere() {
        let (file, name) = test.split_once(' ').unwrap_or_else(|| panic!("{rule}: must be `FILE TEST`"));
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{rule}: {file}: {error}"));
        assert!(text.contains(&format!("fn {name}(")), "{rule}: {file} has no test {name}");
        covered.insert(rule);
    }
    let missing: Vec<&String> = rules.difference(&covered).collect();
    assert!(missing.is_empty(), "no case shows: {missing:?}");
}

#[test]
fn every_cell_of_the_conflict_table_is_a_case() {
    let cases = case::all();
    let impossible = case::yaml_file(Path::new("tests/cells-that-cannot-be.yaml"));
    let mut missing = Vec::new();
    for policy in ["Abort", "Skip", "KeepPod", "Override", "Reject"] {
        for kind in ["volume", "container", "env", "envFrom", "mount", "port", "label", "annotation", "resources", "field"] {
            for holder in ["Pod", "FirstLayer", "Preset"] {
                let cell = [policy, kind, holder];
                let excused = impossible.as_array().is_some_and(|cells| {
                    cells.iter().any(|given| ["policy", "kind", "holder"].iter().zip(cell).all(|(key, value)| given[key] == value))
                });
                if !excused && !cases.iter().any(|case| case.cell.as_ref().is_some_and(|given| given.iter().eq(cell.iter()))) {
                    missing.push(cell.join(" x "));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no case for {missing:?}");
}

/// The table of the documentation, made from the cases.
#[test]
fn the_conflict_table_in_the_docs_is_the_one_that_the_cases_show() {
    let table = case::conflict_table(&case::all());
    let path = Path::new("docs/conflicts.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, &table).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), table, "run the test with UPDATE_GOLDEN=1 to write docs/conflicts.md");
}

#[test]
fn every_policy_is_run_as_it_ships() {
    let cases = case::all();
    for entry in fs::read_dir("policies").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        let shipped = cases.iter().any(|case| case.name.starts_with("policy-") && case.presets_text.contains(&text));
        assert!(shipped, "no case of tests/cases/policy-* holds policies/{name}.yaml as it is");
    }
}
