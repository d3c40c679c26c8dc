//! One case of `tests/cases/`: reading it, running it, comparing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use podgraft::admit::{self, Outcome, Scratch, World};
use podgraft::document::{self, ReadOptions, Reading, Severity};
use podgraft::graft::{self, Grafted, Subject};
use podgraft::preset::{Preset, PresetSet, RECORD_PREFIX};
use podgraft::tree::{self, NodeId, Tree};
use podgraft::yaml;
use serde_json::{Value, json};

/// A case with what it expects.
pub struct Case {
    pub name: String,
    pub about: String,
    pub covers: Vec<String>,
    pub cell: Option<[String; 3]>,
    pub presets_text: String,
    pub presets: PresetSet,
    pub reading_problems: Vec<String>,
    pub pod: Tree<'static>,
    pub expect: Value,
    pub namespace: String,
    pub labels: Vec<(String, String)>,
}

/// All cases, sorted by name.
pub fn all() -> Vec<Case> {
    let mut folders: Vec<PathBuf> = fs::read_dir("tests/cases").unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.iter().map(|folder| Case::read(folder)).collect()
}

/// The only document of a YAML text.
pub fn yaml_tree(text: &str, source: &str) -> Tree<'static> {
    let limits = yaml::Limits { nodes: 1_000_000, text: 10_000_000 };
    let parts = yaml::split(text);
    let mut documents: Vec<Tree<'static>> = Vec::new();
    for part in &parts {
        let parsed = yaml::parse(part, limits);
        assert!(parsed.faults.is_empty(), "{source}: {:?}", parsed.faults);
        documents.extend(parsed.documents.into_iter().filter(|document| !document.is_empty()).map(|document| document.tree));
    }
    assert_eq!(documents.len(), 1, "{source}: one document");
    documents.remove(0)
}

pub fn json_of(tree: &Tree<'_>) -> String {
    let mut text = String::new();
    tree.write(NodeId::ROOT, &mut text);
    text
}

pub fn yaml_file(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let only_comments = text.lines().all(|line| line.trim().is_empty() || line.starts_with('#'));
    if only_comments {
        return Value::Null;
    }
    serde_json::from_str(&json_of(&yaml_tree(&text, &path.display().to_string()))).unwrap()
}

pub fn strings(value: &Value) -> BTreeMap<String, String> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|entry| entry.as_str().unwrap().to_owned()).collect()
}

/// Reads presets, compiled; problems that are errors beside.
pub fn read_presets(text: &str, source: &str) -> (PresetSet, Vec<String>) {
    let mut documents = document::read(source, text, &ReadOptions { default_namespace: "default" });
    document::refuse_twins(&mut documents);
    let mut presets = Vec::new();
    let mut problems = Vec::new();
    for document in documents {
        problems.extend(document.problems.iter().filter(|problem| problem.severity == Severity::Error).map(ToString::to_string));
        if let Reading::Preset(spec) = document.reading {
            presets.push(Arc::new(Preset::compile(*spec)));
        }
    }
    (PresetSet::new(presets), problems)
}

impl Case {
    fn read(folder: &Path) -> Case {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let read = |file: &str| {
            let path = folder.join(file);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let known = ["presets.yaml", "pod.yaml", "expect.yaml"];
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().file_name();
            assert!(known.iter().any(|known| *known == file), "{name}: {} is not run", file.to_string_lossy());
        }
        let expect = yaml_file(&folder.join("expect.yaml"));
        let members = [
            "about",
            "covers",
            "cell",
            "given",
            "outcome",
            "skipped",
            "applied",
            "conflicts",
            "warnings",
            "silent",
            "sendable",
            "why",
            "pod",
        ];
        for key in expect.as_object().unwrap().keys() {
            assert!(members.contains(&key.as_str()), "{name}: expect.yaml has {key}, which nothing looks at");
        }
        let presets_text = read("presets.yaml");
        let (presets, reading_problems) = read_presets(&presets_text, &format!("tests/cases/{name}/presets.yaml"));
        let namespace = expect["given"]["namespace"].as_str().unwrap_or("default").to_owned();
        let mut labels: Vec<(String, String)> = strings(&expect["given"]["namespaceLabels"]).into_iter().collect();
        labels.push(("kubernetes.io/metadata.name".to_owned(), namespace.clone()));
        let cell = expect.get("cell").map(|cell| ["policy", "kind", "holder"].map(|key| cell[key].as_str().unwrap().to_owned()));
        Case {
            about: expect["about"].as_str().unwrap_or_else(|| panic!("{name}: about")).to_owned(),
            covers: list(&expect["covers"]),
            cell,
            pod: yaml_tree(&read("pod.yaml"), &name),
            presets_text,
            presets,
            reading_problems,
            expect,
            namespace,
            labels,
            name,
        }
    }

    pub fn run(&self) -> Result<Grafted, String> {
        self.run_on(&self.pod)
    }

    pub fn run_on(&self, pod: &Tree<'_>) -> Result<Grafted, String> {
        let exempt: Vec<String> = ["kube-system", "kube-public", "kube-node-lease", "podgraft"].map(str::to_owned).to_vec();
        let subject =
            Subject { pod, namespace: &self.namespace, namespace_labels: &self.labels, extra_labels: &[], claims: &[], exempt: &exempt };
        graft::graft(&subject, &self.presets).map_err(|error| error.to_string())
    }

    /// The Pod that must come out, as JSON text with the records' versions in place.
    pub fn expected_pod(&self) -> Tree<'static> {
        let mut pod = if self.expect.get("pod").is_some() { self.expected_tree() } else { json_of(&self.pod) };
        for preset in self.presets.presets() {
            let record = |version: &str| format!("\"{RECORD_PREFIX}{}\":\"{version}\"", preset.record());
            pod = pod.replace(&record("HASH"), &record(preset.version()));
        }
        tree::parse(&pod).unwrap().to_owned_tree(NodeId::ROOT)
    }

    /// Read again as text: a `Value` would make floats of big integers.
    fn expected_tree(&self) -> String {
        let text = fs::read_to_string(format!("tests/cases/{}/expect.yaml", self.name)).unwrap();
        let tree = yaml_tree(&text, &self.name);
        let mut out = String::new();
        tree.write(tree.get(NodeId::ROOT, "pod").unwrap(), &mut out);
        out
    }

    /// Everything that expect.yaml says against what comes out.
    pub fn compare(&self) -> Vec<String> {
        let mut problems = self.reading_problems.clone();
        let grafted = match self.run() {
            Ok(grafted) => grafted,
            Err(error) => return vec![error],
        };
        let mut differs = |what: &str, wanted: &Value, got: &Value| {
            if wanted != got {
                problems.push(format!("{what}: wanted {wanted}, got {got}"));
            }
        };
        let skipped = grafted.skipped.map(podgraft::decide::Skip::word);
        let outcome = match (grafted.outcome, skipped) {
            (Outcome::Mutated, _) => "patched",
            (Outcome::Rejected, _) => "rejected",
            (Outcome::Unchanged, Some(_)) if self.expect["outcome"] == "skipped" => "skipped",
            (Outcome::Unchanged, _) => "unchanged",
        };
        differs("outcome", &self.expect["outcome"], &json!(outcome));
        if let Some(skip) = self.expect.get("skipped") {
            differs("skipped", skip, &json!(skipped));
        }
        let applied: Vec<&str> = grafted.applied.iter().map(|applied| applied.record.as_str()).collect();
        differs("applied", self.expect.get("applied").unwrap_or(&json!([])), &json!(applied));
        let mut wanted: Vec<String> = self.expect["conflicts"].as_array().into_iter().flatten().map(conflict_line).collect();
        let conflicts = grafted.conflicts.iter().filter(|conflict| !conflict.shadow);
        let mut got: Vec<String> =
            conflicts.map(|found| format!("{} {} {} {}", found.preset, found.path, found.holder, found.kind.word())).collect();
        wanted.sort();
        got.sort();
        differs("conflicts", &json!(wanted), &json!(got));
        for text in list(&self.expect["warnings"]) {
            if !grafted.warnings.iter().any(|warning| warning.contains(&text)) {
                problems.push(format!("no warning has {text:?}: {:?}", grafted.warnings));
            }
        }
        for secret in list(&self.expect["silent"]) {
            let said = [grafted.warnings.join("\n"), grafted.message.clone().unwrap_or_default(), format!("{:?}", grafted.conflicts)];
            if said.iter().any(|text| text.contains(&secret)) {
                problems.push(format!("the value {secret:?} is told"));
            }
        }
        let expected = self.expected_pod();
        let result = tree::parse(&grafted.pod).unwrap();
        if !result.same(NodeId::ROOT, &expected, NodeId::ROOT) {
            problems.push(format!("pod: wanted {}\n        got {}", json_of(&expected), grafted.pod));
        }
        problems
    }

    /// The operations applied by the json-patch crate to a plain value must give the merge's result.
    pub fn apply_elsewhere(&self) -> Vec<String> {
        let Ok(grafted) = self.run() else { return vec!["does not run".to_owned()] };
        let mut value: Value = serde_json::from_str(&json_of(&self.pod)).unwrap();
        let patch: json_patch::Patch = serde_json::from_str(&patch_text(&grafted)).unwrap();
        if let Err(error) = json_patch::patch(&mut value, &patch) {
            return vec![format!("the patch does not apply: {error}")];
        }
        let result: Value = serde_json::from_str(&grafted.pod).unwrap();
        let allowed = grafted.operations.iter().all(|step| {
            step.op != podgraft::draft::OpKind::Remove || matches!(step.path.as_str(), "/spec/priority" | "/spec/preemptionPolicy")
        });
        match (value == result, allowed) {
            (true, true) => Vec::new(),
            (false, _) => vec![format!("json-patch gives {value}\n  the merge {result}")],
            (_, false) => vec!["removes something else than priority and preemptionPolicy".to_owned()],
        }
    }

    /// What came out, changed in between, must get an empty patch.
    pub fn again(&self, what: &str, between: impl Fn(&Tree<'_>) -> Tree<'static>) -> Vec<String> {
        let Ok(grafted) = self.run() else { return vec!["does not run".to_owned()] };
        if grafted.outcome != Outcome::Mutated {
            return Vec::new();
        }
        let parsed = tree::parse(&grafted.pod).unwrap().to_owned_tree(NodeId::ROOT);
        let pod = between(&parsed);
        match self.run_on(&pod) {
            Ok(again) if again.outcome == Outcome::Unchanged => Vec::new(),
            Ok(again) => vec![format!("{what}: {:?} {:?} {:?}", again.outcome, again.operations, again.message)],
            Err(error) => vec![error],
        }
    }

    /// The Pod as an AdmissionReview: same patch, nothing told that must not be.
    pub fn review(&self) -> Vec<String> {
        let Ok(grafted) = self.run() else { return vec!["does not run".to_owned()] };
        let body = format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","resource":{{"group":"","version":"v1","resource":"pods"}},"operation":"CREATE","namespace":"{}","object":{}}}}}"#,
            self.namespace,
            json_of(&self.pod)
        );
        let exempt: Vec<String> = ["kube-system", "kube-public", "kube-node-lease", "podgraft"].map(str::to_owned).to_vec();
        let world = World { exempt_namespaces: &exempt, namespace_labels: &|_| Some(self.labels.clone()) };
        let mut out = String::new();
        let admission = match admit::answer(&body, &self.presets, &world, &mut Scratch::default(), &mut out) {
            Ok(admission) => admission,
            Err(error) => return vec![error.to_string()],
        };
        let mut problems = Vec::new();
        let answer: Value = serde_json::from_str(&out).unwrap();
        let response = &answer["response"];
        let allowed = grafted.outcome != Outcome::Rejected;
        if admission.outcome != grafted.outcome || response["allowed"] != allowed {
            problems.push(format!("the review gets {:?}, inject {:?}", admission.outcome, grafted.outcome));
        }
        let patch = response["patch"].as_str().map(|text| base64::engine::general_purpose::STANDARD.decode(text).unwrap());
        let wanted = if grafted.operations.is_empty() { None } else { Some(patch_text(&grafted)) };
        if patch.map(|bytes| String::from_utf8(bytes).unwrap()) != wanted {
            problems.push("the review gets another patch than inject".to_owned());
        }
        let warnings: Vec<String> = list(&response["warnings"]);
        if warnings.len() > 8 || warnings.iter().any(|line| line.len() > 256 || line.chars().any(char::is_control)) {
            problems.push(format!("warnings: {warnings:?}"));
        }
        let told = format!("{}{}{}", response["warnings"], response["auditAnnotations"], response["status"]);
        for secret in list(&self.expect["silent"]) {
            if told.contains(&secret) {
                problems.push(format!("the value {secret:?} is told"));
            }
        }
        problems
    }
}

/// A conflict that a case expects, in one line.
pub fn conflict_line(conflict: &Value) -> String {
    let part = |key: &str| conflict[key].as_str().unwrap().to_owned();
    format!("{} {} {} {}", part("preset"), part("path"), part("holder"), part("kind"))
}

/// The patch as the webhook writes it.
pub fn patch_text(grafted: &Grafted) -> String {
    let step = |step: &graft::Step| {
        let mut out = format!("{{\"op\":\"{}\",\"path\":", step.op.word());
        tree::write_json_string(&step.path, &mut out);
        if let Some(value) = &step.value {
            out.push_str(",\"value\":");
            out.push_str(value);
        }
        out.push('}');
        out
    };
    format!("[{}]", grafted.operations.iter().map(step).collect::<Vec<_>>().join(","))
}

/// `docs/conflicts.md`: for each policy, kind and holder what becomes of the Pod.
pub fn conflict_table(cases: &[Case]) -> String {
    let mut out = String::from(
        "# What a conflict does\n\nMade from the cases in `tests/cases/table-*` by `tests/corpus.rs`; each cell names what is applied to the Pod of its case, in which the\n\
         preset `in conflict` also asks for something else, and a second preset stands beside it.\n\nHolder: who has the place, the Pod, a preset with `optOut: Denied` (first layer), or another preset.\n",
    );
    for policy in ["Abort", "Skip", "KeepPod", "Override", "Reject"] {
        out.push_str(&format!("\n## {policy}\n\n| kind | Pod | first layer | other preset |\n|---|---|---|---|\n"));
        for kind in ["volume", "container", "env", "envFrom", "mount", "port", "label", "annotation", "resources", "field"] {
            let cell = |holder: &str| {
                let wanted = [policy, kind, holder];
                let found = cases.iter().find(|case| case.cell.as_ref().is_some_and(|cell| cell.iter().eq(wanted.iter())));
                found.map_or_else(|| "cannot be".to_owned(), effect)
            };
            out.push_str(&format!("| {kind} | {} | {} | {} |\n", cell("Pod"), cell("FirstLayer"), cell("Preset")));
        }
    }
    out
}

fn effect(case: &Case) -> String {
    let Ok(grafted) = case.run() else { return "does not run".to_owned() };
    let Some(conflict) = grafted.conflicts.iter().find(|conflict| case.cell.as_ref().is_some_and(|cell| conflict.policy.word() == cell[0]))
    else {
        return "no conflict".to_owned();
    };
    let applied = |record: &str| grafted.applied.iter().any(|applied| applied.record == record);
    let effect = match grafted.outcome {
        Outcome::Rejected => "Pod refused",
        _ if conflict.replaced => "value replaced, rest applied",
        _ if applied(&conflict.preset) => "entry kept, rest applied",
        _ if grafted.applied.is_empty() => "nothing applied",
        _ if conflict.policy.word() == "Abort" => "first layer alone",
        _ => "left out, others applied",
    };
    format!("[{effect}](../tests/cases/{})", case.name)
}
