//! Every policy and every cell of the conflict table of `tests/cases/` inside every kind with a Pod template: what `inject` writes, `inject` leaves alone.

use std::fmt::Write;

use podgraft::admit::Outcome;
use podgraft::tree::{self, NodeId};

use super::shell::{Folder, podgraft, run};
use super::support::case::{self, Case, json_of};

/// Kinds with the place of the Pod template in each, and whether their controller sets no label.
const KINDS: [(&str, &str, &str, bool); 8] = [
    ("apps/v1", "Deployment", "spec", false),
    ("apps/v1", "ReplicaSet", "spec", true),
    ("apps/v1", "StatefulSet", "spec", false),
    ("apps/v1", "DaemonSet", "spec", false),
    ("v1", "ReplicationController", "spec", true),
    ("batch/v1", "Job", "spec", false),
    ("batch/v1", "CronJob", "spec.jobTemplate.spec", false),
    ("v1", "PodTemplate", "", true),
];

/// The Pod in all of them as YAML by indentation, each in its document.
fn manifest(case: &Case) -> String {
    let tree = &case.pod;
    let mut template = String::new();
    for part in ["metadata", "spec"] {
        let Some(node) = tree.get(NodeId::ROOT, part) else { continue };
        let value = tree.to_owned_tree(node);
        let renderer = podgraft::cli::render::Renderer { tree: &value, indent: Default::default(), json: false };
        if renderer.is_block(NodeId::ROOT) {
            writeln!(template, "{part}: # of the Pod").unwrap();
            renderer.block(NodeId::ROOT, 2, &mut template);
        } else {
            writeln!(template, "{part}: {}", json_of(&value)).unwrap();
        }
    }
    let mut out = String::new();
    for (version, kind, path, _) in KINDS {
        writeln!(out, "---\n# {kind}\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: x, namespace: {}}}", case.namespace).unwrap();
        let mut column = 0;
        for step in path.split('.').filter(|step| !step.is_empty()).chain(["template"]) {
            writeln!(out, "{:column$}{step}:", "").unwrap();
            column += 2;
        }
        for line in template.lines() {
            writeln!(out, "{}", if line.is_empty() { String::new() } else { format!("{:column$}{line}", "") }).unwrap();
        }
    }
    out
}

#[test]
fn what_inject_wrote_inject_leaves_alone() {
    let mut problems = String::new();
    let mut changed = 0;
    for case in case::all().into_iter().filter(|case| case.name.starts_with("policy-") || case.cell.is_some()) {
        let folder = Folder::new().with("presets/presets.yaml", &case.presets_text).with("in.yaml", manifest(&case));
        let labels: Vec<String> = case.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let inject = |file: &str| {
            let mut command = podgraft();
            command.args(["inject", "--presets", "presets", "-f", file, "--namespace-labels", &labels.join(",")]).current_dir(&folder.0);
            run(&mut command, "")
        };
        let first = inject("in.yaml");
        std::fs::write(folder.0.join("out.yaml"), &first.stdout).unwrap();
        let second = inject("out.yaml");
        if first.stdout != second.stdout || first.status != second.status {
            let told = String::from_utf8_lossy(&first.stderr);
            writeln!(problems, "{}: {} {}\n{told}", case.name, first.status, second.status).unwrap();
            continue;
        }
        let refused = case.run().is_ok_and(|grafted| grafted.outcome == Outcome::Rejected);
        if !refused && first.status.code() != Some(0) {
            writeln!(problems, "{}: {}", case.name, String::from_utf8_lossy(&first.stderr)).unwrap();
        }
        let text = String::from_utf8(first.stdout).unwrap();
        changed += usize::from(text != manifest(&case));
        if text.matches(" # of the Pod\n").count() != manifest(&case).matches(" # of the Pod\n").count() {
            writeln!(problems, "{}: comments got lost", case.name).unwrap();
        }
        problems.extend(templates(&case, &text));
    }
    assert!(problems.is_empty(), "{problems}");
    assert!(changed > 100, "only {changed} cases change something");
}

/// Where the controller sets no label, the template becomes what the Pod becomes.
fn templates(case: &Case, text: &str) -> Option<String> {
    let Ok(grafted) = case.run() else { return None };
    let pod = tree::parse(&grafted.pod).unwrap();
    for (part, (_, kind, path, plain)) in podgraft::yaml::split(text).iter().zip(KINDS) {
        if !plain {
            continue;
        }
        let document = case::yaml_tree(part.text, kind);
        let steps: Vec<&str> = path.split('.').filter(|step| !step.is_empty()).chain(["template"]).collect();
        let template = document.at(NodeId::ROOT, &steps).unwrap();
        for member in ["metadata", "spec"] {
            let (found, wanted) = (document.get(template, member), pod.get(NodeId::ROOT, member));
            let same = match (found, wanted) {
                (Some(found), Some(wanted)) => document.same(found, &pod, wanted),
                (found, wanted) => found.is_none() && wanted.is_none(),
            };
            if !same {
                return Some(format!("{}: {kind}: {}\n  wanted {}\n", case.name, json_of(&document), grafted.pod));
            }
        }
    }
    None
}
