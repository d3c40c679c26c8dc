//! Text to documents to [`PresetSpec`]: every problem of every document at once, each with its place.
//!
//! A document is read in four steps. Its header says whose it is (`header`). The preset's own structure is read strictly: a field that is not
//! known is an error (`spec`). Pod-shaped values pass through as they are, but a field that Kubernetes knows must have its type (`shape`), and
//! what no API server would take in any Pod is an error (`rules`). Last come the checks across the whole preset (`whole`).

mod fields;
mod hash;
mod header;
mod names;
pub mod outline;
mod report;
mod rules;
mod selector;
mod shape;
mod spec;
mod whole;

use std::collections::BTreeMap;
use std::fmt;

use crate::preset::{Origin, PresetKey, PresetSpec};
use crate::tree::{NodeId, View};
use crate::yaml::{self, Fault, Limits, Marked, Part};

pub use hash::{canonical, version};
pub use header::GROUP;
use report::Report;

/// The largest document, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// What one document may become.
const DOCUMENT: Limits = Limits { nodes: 200_000, text: 4 * MAX_DOCUMENT };
/// The largest list of documents, and what it may become: each of its items is a document with its own limit.
const MAX_LIST: usize = 64 << 20;
const LIST: Limits = Limits { nodes: 4_000_000, text: MAX_LIST };

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document counts.
    Warning,
}

/// Something that is wrong with a document. What the values of variables are is never part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file, or the object that held the text.
    pub source: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// Where in the document: `spec.env[0].value`. Empty for the document itself.
    pub path: String,
    /// A sentence that says what is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    /// `file:line:column: path: sentence`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}: ", self.source, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.text)
    }
}

/// What a document turned out to be.
#[derive(Clone, Debug)]
pub enum Reading {
    /// A preset without errors.
    Preset(Box<PresetSpec>),
    /// Something that should be a preset and is not a valid one.
    Refused {
        /// Which preset it would be, where kind, namespace and name can be read.
        key: Option<PresetKey>,
    },
    /// Of another group, or empty.
    Ignored,
}

/// One document of a text.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it stands.
    pub origin: Origin,
    /// What it is.
    pub reading: Reading,
    /// Line and column of its name; of the document itself where it states none.
    pub named: (usize, usize),
    /// What is wrong with it, in the order of the text.
    pub problems: Vec<Problem>,
}

impl Document {
    /// Which preset the document is or would be.
    #[must_use]
    pub fn key(&self) -> Option<&PresetKey> {
        match &self.reading {
            Reading::Preset(spec) => Some(&spec.key),
            Reading::Refused { key } => key.as_ref(),
            Reading::Ignored => None,
        }
    }
}

/// What a document does not say itself.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions<'o> {
    /// The namespace of a `PodPreset` that names none.
    pub default_namespace: &'o str,
}

/// Reads all documents of a text. `source` is the file or object that problems name.
#[must_use]
pub fn read(source: &str, text: &str, options: &ReadOptions<'_>) -> Vec<Document> {
    read_named(source, text, options, None)
}

/// As [`read`]; a document without `metadata.name` takes `name`, as those of a ConfigMap take their key's stem.
#[must_use]
pub fn read_named(source: &str, text: &str, options: &ReadOptions<'_>, name: Option<&str>) -> Vec<Document> {
    let mut documents = Vec::new();
    for part in yaml::split(text) {
        read_part(source, &part, &header::Defaults { namespace: options.default_namespace, name }, &mut documents);
    }
    documents
}

fn read_part(source: &str, part: &Part<'_>, defaults: &header::Defaults<'_>, documents: &mut Vec<Document>) {
    let large = part.text.len() > MAX_DOCUMENT;
    if part.text.len() > MAX_LIST || (large && !may_hold_several(part.text)) {
        let fault = Fault { mark: yaml::Mark { line: to_u32(part.line), column: 1 }, text: too_large(part.text.len()) };
        documents.push(unreadable(source, &[fault]));
        return;
    }
    let parsed = yaml::parse(part, if large { LIST } else { DOCUMENT });
    for marked in &parsed.documents {
        if marked.is_empty() {
            let line = if marked.tree.is_empty() { part.line } else { marked.mark(NodeId::ROOT).line as usize };
            documents.push(Document { origin: origin(source, line), reading: Reading::Ignored, named: (line, 1), problems: Vec::new() });
        } else {
            read_root(source, marked, defaults, documents);
        }
    }
    if !parsed.faults.is_empty() {
        documents.push(unreadable(source, &parsed.faults));
    }
}

/// Whether a text may be a `List`, or JSON values one after the other.
fn may_hold_several(text: &str) -> bool {
    yaml::is_json(text) || text.lines().any(|line| line.strip_prefix("kind:").is_some_and(|kind| kind.contains("List")))
}

/// Reads a document that is no text any more: one preset, or a list of them.
fn read_root(source: &str, marked: &Marked, defaults: &header::Defaults<'_>, documents: &mut Vec<Document>) {
    let tree = &marked.tree;
    let Some(list) = header::list_of(tree, NodeId::ROOT) else {
        documents.push(if marked.bytes > MAX_DOCUMENT {
            unreadable(source, &[Fault { mark: marked.mark(NodeId::ROOT), text: too_large(marked.bytes) }])
        } else {
            read_one(source, marked, NodeId::ROOT, None, defaults)
        });
        return;
    };
    let Some(items) = tree.present(NodeId::ROOT, "items") else { return };
    if tree.view(items) != View::List {
        let mut report = Report::new(source, marked);
        report.error(items, "must be a list of documents");
        documents.push(report.document(NodeId::ROOT, Reading::Refused { key: None }));
        return;
    }
    for item in tree.children(items) {
        let mut text = String::new();
        tree.write(item, &mut text);
        documents.push(if text.len() > MAX_DOCUMENT {
            unreadable(source, &[Fault { mark: marked.mark(item), text: too_large(text.len()) }])
        } else {
            read_one(source, marked, item, Some(&list), defaults)
        });
    }
}

fn read_one(source: &str, marked: &Marked, root: NodeId, list: Option<&header::List>, defaults: &header::Defaults<'_>) -> Document {
    let mut report = Report::new(source, marked);
    let reading = match header::read(&mut report, root, list, defaults) {
        header::Outcome::Ignored => Reading::Ignored,
        header::Outcome::Refused(key) => Reading::Refused { key },
        header::Outcome::Ours(header) => match spec::read(&mut report, root, &header) {
            Some(spec) if !report.has_errors() => {
                let origin = origin(source, marked.mark(root).line as usize);
                Reading::Preset(Box::new(PresetSpec { origin, ..spec }))
            }
            _ => Reading::Refused { key: header.key },
        },
    };
    report.document(root, reading)
}

/// Refuses documents of one kind, namespace and name: which of them is meant, nobody can say.
pub fn refuse_twins(documents: &mut [Document]) {
    let mut places: BTreeMap<PresetKey, Vec<usize>> = BTreeMap::new();
    for (index, document) in documents.iter().enumerate() {
        if let Some(key) = document.key() {
            places.entry(key.clone()).or_default().push(index);
        }
    }
    for (key, twins) in places.into_iter().filter(|(_, twins)| twins.len() > 1) {
        let origins: Vec<(usize, Origin)> =
            twins.iter().filter_map(|index| documents.get(*index).map(|document| (*index, document.origin.clone()))).collect();
        for (index, origin) in &origins {
            let Some((_, other)) = origins.iter().find(|(place, _)| place != index) else { continue };
            let Some(document) = documents.get_mut(*index) else { continue };
            let text = format!("{key} is also in {}:{}: neither counts until one of them is gone", other.source, other.line);
            document.problems.push(Problem {
                severity: Severity::Error,
                source: origin.source.clone(),
                line: document.named.0,
                column: document.named.1,
                path: "metadata.name".to_owned(),
                text,
            });
            document.problems.sort_by_key(|problem| (problem.line, problem.column));
            document.reading = Reading::Refused { key: Some(key.clone()) };
        }
    }
}

fn unreadable(source: &str, faults: &[Fault]) -> Document {
    let mut faults: Vec<&Fault> = faults.iter().collect();
    faults.sort_by_key(|fault| fault.mark);
    let line = faults.first().map_or(1, |fault| fault.mark.line as usize);
    let problems = faults.into_iter().map(|fault| Problem {
        severity: Severity::Error,
        source: source.to_owned(),
        line: fault.mark.line as usize,
        column: fault.mark.column as usize,
        path: String::new(),
        text: fault.text.clone(),
    });
    Document { origin: origin(source, line), named: (line, 1), problems: problems.collect(), reading: Reading::Refused { key: None } }
}

fn too_large(bytes: usize) -> String {
    format!("the document has {bytes} bytes, and at most {MAX_DOCUMENT} are read: split it")
}

fn origin(source: &str, line: usize) -> Origin {
    Origin { source: source.to_owned(), line }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
