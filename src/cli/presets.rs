//! The presets of directories.

use std::sync::Arc;

use super::args::PresetArgs;
use super::source::{self, Fault, Source};
use crate::document::{self, Document, Problem, ReadOptions, Reading, Severity};
use crate::preset::{Preset, PresetSet};

/// Presets that were read.
#[derive(Debug)]
pub struct Loaded {
    /// The good ones.
    pub set: PresetSet,
    /// What is to be told about all of them: every error, and how many warnings there are.
    pub notes: Vec<String>,
    /// Whether some were refused.
    pub refused: bool,
}

/// Reads all directories as one store.
///
/// # Errors
/// Where a directory or file can't be read.
pub fn load(args: &PresetArgs) -> Result<Loaded, Fault> {
    let mut sources = Vec::new();
    for directory in &args.presets {
        sources.extend(source::presets(directory)?);
    }
    let documents = read(&sources, args.names.namespace());
    let problems: Vec<&Problem> = documents.iter().flat_map(|document| &document.problems).collect();
    let mut notes: Vec<String> =
        problems.iter().filter(|problem| problem.severity == Severity::Error).map(|problem| format!("error: {problem}")).collect();
    let refused = !notes.is_empty();
    let warnings = problems.len() - notes.len();
    if warnings > 0 {
        let directories: Vec<String> = args.presets.iter().map(|directory| directory.display().to_string()).collect();
        let plural = if warnings == 1 { "" } else { "s" };
        notes.push(format!("note: {warnings} warning{plural} about presets: podgraft check {}", directories.join(" ")));
    }
    Ok(Loaded { set: PresetSet::new(compile(documents)), notes, refused })
}

/// Reads the documents of all files; two of one kind, namespace and name are both refused.
#[must_use]
pub fn read(sources: &[Source], namespace: &str) -> Vec<Document> {
    let options = ReadOptions { default_namespace: namespace };
    let mut documents: Vec<Document> = sources.iter().flat_map(|source| document::read(&source.name, &source.text, &options)).collect();
    document::refuse_twins(&mut documents);
    documents
}

/// The good presets among documents.
#[must_use]
pub fn compile(documents: Vec<Document>) -> Vec<Arc<Preset>> {
    let good = documents.into_iter().filter_map(|document| match document.reading {
        Reading::Preset(spec) => Some(Arc::new(Preset::compile(*spec))),
        Reading::Refused { .. } | Reading::Ignored => None,
    });
    good.collect()
}
