//! A document with the presets grafted onto every Pod and Pod template in it.

use std::collections::BTreeMap;

use super::describe::describe;
use super::edit::{self, Kept};
use super::manifest::{Document, Manifest};
use super::patching::{self, Operation};
use super::setting::Setting;
use super::source::Fault;
use super::workload::{self, Workload};
use super::{json, source};
use crate::admit::Outcome;
use crate::conflict::Conflict;
use crate::graft::{self, Grafted, Step, Subject};
use crate::preset::PresetSet;
use crate::tree::{self, NodeId, Tree};

/// One Pod or template and what became of it.
#[derive(Debug)]
pub struct Treated {
    /// What it is.
    pub workload: Workload,
    /// What the engine says, or why it can't work on this one.
    pub result: Result<Grafted, String>,
    /// What each preset added, by record.
    pub added: BTreeMap<String, Vec<String>>,
    /// The Pod or template as received and as it became, as JSON.
    pub pods: [String; 2],
}

impl Treated {
    /// Conflicts that have consequences.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.result.iter().flat_map(|grafted| &grafted.conflicts).filter(|conflict| !conflict.shadow)
    }

    /// Whether the Pod would be refused, or can't be read.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.result.as_ref().map_or(true, |grafted| grafted.outcome == Outcome::Rejected)
    }

    /// What its author should know, a line each, with the object in front and its place, `FILE:LINE`.
    #[must_use]
    pub fn notes(&self, place: &str) -> Vec<String> {
        let workload = format!("{} ({place})", self.workload);
        let mut notes: Vec<String> = self.workload.warnings.iter().map(|warning| format!("warning: {workload}: {warning}")).collect();
        match &self.result {
            Err(reason) => notes.push(format!("error: {workload}: {reason}")),
            Ok(grafted) => {
                notes.extend(grafted.warnings.iter().map(|warning| format!("warning: {workload}: {warning}")));
                notes.extend(grafted.message.iter().map(|message| format!("error: {workload}: {message}")));
            }
        }
        notes
    }
}

/// A document, treated.
#[derive(Debug)]
pub struct TreatedDocument {
    /// All Pods and templates in it.
    pub workloads: Vec<Treated>,
    /// All operations, with paths from the document's root.
    pub operations: Vec<Operation>,
    /// The text that takes the place of the document's, where that changes.
    pub text: Option<String>,
    /// The document with the presets in it, as compact JSON.
    pub json: String,
    /// Kind, namespace and name of the document's object.
    pub names: [String; 3],
    /// Whether comments got lost.
    pub rewritten: bool,
}

/// A file, treated.
#[derive(Debug)]
pub struct TreatedFile {
    /// The file as it was read.
    pub manifest: Manifest,
    /// One for each of its documents.
    pub documents: Vec<TreatedDocument>,
}

impl TreatedFile {
    /// The text of the file with the presets in it.
    #[must_use]
    pub fn text(&self) -> String {
        let text = &self.manifest.source.text;
        let mut out = String::with_capacity(text.len() * 2);
        let mut at = 0;
        for (document, treated) in self.manifest.documents.iter().zip(&self.documents) {
            out.push_str(&text[at..document.range.start]);
            out.push_str(treated.text.as_deref().unwrap_or(&text[document.range.clone()]));
            at = document.range.end;
        }
        out.push_str(&text[at..]);
        out
    }
}

/// Reads manifests.
///
/// # Errors
/// Where a file can't be read.
pub fn read(paths: &[std::path::PathBuf]) -> Result<Vec<Manifest>, Fault> {
    let mut manifests = Vec::new();
    for path in paths {
        for source in source::read(path)? {
            manifests.push(Manifest::read(source)?);
        }
    }
    Ok(manifests)
}

/// Grafts presets onto what is in manifests.
#[must_use]
pub fn files(manifests: Vec<Manifest>, setting: &Setting, presets: &PresetSet) -> Vec<TreatedFile> {
    let treated = manifests.into_iter().map(|manifest| {
        let documents = manifest.documents.iter().map(|one| document(one, &manifest.source.text, setting, presets)).collect();
        TreatedFile { manifest, documents }
    });
    treated.collect()
}

fn document(document: &Document, file: &str, setting: &Setting, presets: &PresetSet) -> TreatedDocument {
    let tree = document.tree();
    let mut workloads = Vec::new();
    let mut operations = Vec::new();
    for workload in workload::find(tree, &setting.namespace) {
        let treated = treat(tree, workload, setting, presets);
        if let Ok(grafted) = &treated.result {
            operations.extend(grafted.operations.iter().map(|step| operation(step, &treated.workload.pointer)));
        }
        workloads.push(treated);
    }
    let mut after = tree.clone();
    for operation in &operations {
        // They were applied before, one by one, in `treat`.
        let _ = patching::apply(&mut after, operation);
    }
    let text = &file[document.range.clone()];
    let (edited, kept) = if operations.is_empty() { (None, Kept::Text) } else { rewritten(text, document, &after) };
    let mut compact = String::new();
    after.write(NodeId::ROOT, &mut compact);
    let rewritten = kept == Kept::Nothing && text.contains('#');
    TreatedDocument { names: names(tree, &setting.namespace), workloads, text: edited, json: compact, rewritten, operations }
}

/// The document's text with the changes of `after` in it.
fn rewritten(text: &str, document: &Document, after: &Tree<'_>) -> (Option<String>, Kept) {
    let style = document.json.then(|| json::Style::of(text));
    if let Some(style) = &style {
        // What a program wrote keeps the layout of that program.
        if style.write(document.tree()) == text {
            return (Some(style.write(after)), Kept::Text);
        }
    }
    match (edit::edit(text, &document.manuscript, after), style) {
        ((_, Kept::Nothing), Some(style)) => (Some(style.write(after)), Kept::Text),
        ((edited, kept), _) => (Some(edited), kept),
    }
}

fn names(tree: &Tree<'_>, namespace: &str) -> [String; 3] {
    let text = |path: &[&str]| tree.at(NodeId::ROOT, path).and_then(|node| tree.str(node)).unwrap_or_default().to_owned();
    let kind = text(&["kind"]);
    let own = text(&["metadata", "namespace"]);
    // Of objects without a template nothing is known, not even whether they have a namespace.
    let namespace = if own.is_empty() && !kind.ends_with("List") { namespace.to_owned() } else { own };
    [kind, namespace, text(&["metadata", "name"])]
}

fn operation(step: &Step, pointer: &str) -> Operation {
    Operation { op: step.op.word(), path: format!("{pointer}{}", step.path), value: step.value.clone().unwrap_or_default() }
}

fn treat(document: &Tree<'_>, workload: Workload, setting: &Setting, presets: &PresetSet) -> Treated {
    let mut received = String::new();
    document.write(workload.node, &mut received);
    let mut treated = Treated { workload, result: Err(String::new()), added: BTreeMap::new(), pods: [received.clone(), received] };
    let result = engine(&treated.pods[0], &treated.workload, setting, presets);
    treated.result = result.and_then(|grafted| {
        let (added, pod) = follow(&treated.pods[0], &grafted)?;
        treated.added = added;
        treated.pods[1] = pod;
        Ok(grafted)
    });
    treated
}

fn engine(pod: &str, workload: &Workload, setting: &Setting, presets: &PresetSet) -> Result<Grafted, String> {
    let labels = setting.labels(&workload.namespace);
    let pod = tree::parse(pod).map_err(|error| error.to_string())?;
    let subject = Subject {
        pod: &pod,
        namespace: &workload.namespace,
        namespace_labels: &labels,
        extra_labels: &workload.labels,
        claims: &workload.claims,
        exempt: &setting.exempt,
    };
    graft::graft(&subject, presets).map_err(|reason| reason.to_string())
}

/// The labels that every namespace has, and those that were given.
#[must_use]
pub fn namespace_labels(given: &[(String, String)], namespace: &str) -> Vec<(String, String)> {
    const NAME: &str = "kubernetes.io/metadata.name";
    let mut labels: Vec<(String, String)> = given.iter().filter(|(key, _)| key != NAME).cloned().collect();
    labels.push((NAME.to_owned(), namespace.to_owned()));
    labels
}

/// Applies the operations one by one, so that what each adds can be named.
fn follow(received: &str, grafted: &Grafted) -> Result<(BTreeMap<String, Vec<String>>, String), String> {
    let fault = |_| "the Pod is no JSON".to_owned();
    let operations: Vec<Operation> = grafted.operations.iter().map(|step| operation(step, "")).collect();
    let mut pod = tree::parse(received).map_err(fault)?;
    let mut added: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (operation, step) in operations.iter().zip(&grafted.operations) {
        if let Some(record) = &step.preset {
            let words = describe(operation.op, &operation.path, &operation.value, &pod);
            added.entry(record.clone()).or_default().extend(words);
        }
        patching::apply(&mut pod, operation)
            .ok_or_else(|| format!("a fault of Podgraft: an operation does not apply at {}", operation.path))?;
    }
    let mut out = String::new();
    pod.write(NodeId::ROOT, &mut out);
    Ok((added, out))
}
