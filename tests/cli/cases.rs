//! Every case of `tests/cases/` through the program: the Pod as it is written there, in all formats, and as an API server would send it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use podgraft::admit::Outcome;
use podgraft::conflict::Conflict;
use podgraft::graft::Grafted;
use podgraft::preset::{Preset, Scope};
use podgraft::tree::{self, NodeId};
use serde_json::Value;

use super::shell::{Folder, podgraft, run};
use super::support::case::{self, Case, json_of, yaml_tree};
use super::support::defaults;

fn pod_text(case: &Case) -> String {
    std::fs::read_to_string(format!("tests/cases/{}/pod.yaml", case.name)).unwrap()
}

/// What is wrong with the program's answer in one format.
fn differs(case: &Case, folder: &Folder, format: &str, grafted: &Grafted) -> Option<String> {
    let labels: Vec<String> = case.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut command = podgraft();
    command.args(["inject", "--presets", "presets", "-f", "pod.yaml", "-o", format, "-n", &case.namespace]);
    let output = run(command.args(["--namespace-labels", &labels.join(",")]).current_dir(&folder.0), "");
    let told = String::from_utf8(output.stderr).unwrap();
    let status = i32::from(grafted.outcome == Outcome::Rejected);
    if output.status.code() != Some(status) {
        return Some(format!("{}: {told}", output.status));
    }
    for secret in case.expect["silent"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if told.contains(secret) {
            return Some(format!("the value {secret} is told: {told}"));
        }
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let wanted = tree::parse(&grafted.pod).unwrap();
    let found = match format {
        "yaml" => yaml_tree(&text, "output"),
        "json" => tree::parse(&text).unwrap().to_owned_tree(NodeId::ROOT),
        _ => {
            let steps: Vec<Value> = serde_json::from_str(&text).unwrap();
            return (steps.len() != grafted.operations.len()).then(|| format!("{} operations", steps.len()));
        }
    };
    (!found.same(NodeId::ROOT, &wanted, NodeId::ROOT)).then(|| format!("{format}: {}\n  wanted {}", json_of(&found), grafted.pod))
}

#[test]
fn every_case_through_the_program() {
    let mut problems = String::new();
    let mut run = 0;
    for case in case::all() {
        let elsewhere = case.pod.at(NodeId::ROOT, &["metadata", "namespace"]).and_then(|node| case.pod.str(node));
        // The program takes a Pod's own namespace, the webhook the request's; and --namespace is that of presets that name none, too.
        let elsewhere = elsewhere.is_some_and(|namespace| !namespace.is_empty() && namespace != case.namespace);
        let of_default = |preset: &Arc<Preset>| preset.spec().key.scope == Scope::Namespace("default".to_owned());
        if elsewhere || (case.namespace != "default" && case.presets.presets().iter().any(of_default)) {
            continue;
        }
        run += 1;
        let folder = Folder::new().with("presets/presets.yaml", &case.presets_text).with("pod.yaml", pod_text(&case));
        let grafted = case.run().unwrap();
        // What json and patch write does not depend on the case much.
        for format in if case.name.starts_with("policy-") { &["yaml", "json", "patch"][..] } else { &["yaml"] } {
            if let Some(problem) = differs(&case, &folder, format, &grafted) {
                writeln!(problems, "{}: {problem}", case.name).unwrap();
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
    assert!(run > 450, "only {run} cases");
}

/// Cases in which the Pod as its author wrote it and the Pod as an API server sends it are answered differently: docs/cli.md says why.
const OFFLINE_DIFFERS: [&str; 0] = [];

#[test]
fn a_pod_without_defaults_is_in_the_same_conflicts() {
    let lines = |conflicts: &[Conflict]| -> BTreeSet<String> { conflicts.iter().map(|conflict| format!("{conflict:?}")).collect() };
    let mut found = Vec::new();
    let mut problems = String::new();
    for case in case::all() {
        let (written, sent) = (case.run().unwrap(), case.run_on(&defaults::as_the_api_server(&case.pod)).unwrap());
        if lines(&written.conflicts) != lines(&sent.conflicts) || written.applied != sent.applied {
            writeln!(problems, "{}\n  {:?}\n  {:?}", case.name, written.conflicts, sent.conflicts).unwrap();
            found.push(case.name);
        }
    }
    assert_eq!(found, OFFLINE_DIFFERS, "{problems}");
}

/// What a Pod becomes too large with is left out with all others but those that nobody opts out of; of none of them it is said that it was not
/// selected.
#[test]
fn what_makes_a_pod_too_large_is_said_to_be_left_out() {
    let preset = |name: &str, spec: &str| {
        format!(
            "apiVersion: podgraft.dev/v1beta1\nkind: ClusterPodPreset\nmetadata: {{name: {name}}}\nspec: {{selector: {{}}, {spec}}}\n---\n"
        )
    };
    let large = format!("template: {{metadata: {{annotations: {{note: {}}}}}}}", "x".repeat(100 << 10));
    let presets = [
        preset("must", "optOut: Denied, env: [{name: A, value: '1'}]"),
        preset("large", &large),
        preset("small", "env: [{name: B, value: '1'}]"),
        preset("other", "env: [{name: C, value: '1'}]").replace("selector: {}", "selector: {matchLabels: {app: other}}"),
    ];
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web, annotations: {{own: {}}}}}\nspec: {{containers: [{{name: app, image: nginx}}]}}\n",
        "x".repeat(200 << 10)
    );
    let folder = Folder::new().with("presets/all.yaml", presets.concat()).with("pod.yaml", pod);
    let output = run(podgraft().args(["explain", "--presets", "presets", "-f", "pod.yaml", "-o", "json"]).current_dir(&folder.0), "");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = report[0]["presets"].as_array().unwrap_or_else(|| panic!("{report}"));
    let became: Vec<(&str, &str)> = said.iter().map(|one| (one["preset"].as_str().unwrap(), one["became"].as_str().unwrap())).collect();
    assert_eq!(
        became,
        [
            ("clusterpodpreset-must", "applied"),
            ("clusterpodpreset-large", "stopped"),
            ("clusterpodpreset-other", "notSelected"),
            ("clusterpodpreset-small", "stopped"),
        ]
    );
}
