//! Manifests: files with documents in YAML or JSON, each with its place in the file.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::source::{Fault, Source};
use super::spans::Manuscript;
use crate::tree::{NodeId, Tree, View};
use crate::yaml::{self, Part};

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it stands in the file's text.
    pub range: Range<usize>,
    /// The line on which it starts, counted from 1.
    pub line: usize,
    /// What it says, with places relative to the start of `range`. Documents that say nothing are not kept.
    pub manuscript: Manuscript,
    /// Whether it is JSON.
    pub json: bool,
}

impl Document {
    /// What it says.
    #[must_use]
    pub fn tree(&self) -> &Tree<'static> {
        &self.manuscript.tree
    }
}

/// A file with its documents.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Name and text.
    pub source: Source,
    /// In order. What is not in the range of one (comments, `---`) stays as it is.
    pub documents: Vec<Document>,
}

impl Manifest {
    /// Splits a file and reads its documents.
    ///
    /// # Errors
    /// The first place that is neither YAML nor JSON.
    pub fn read(source: Source) -> Result<Manifest, Fault> {
        let mut documents = Vec::new();
        for part in yaml::split(&source.text) {
            // The part is a slice of the text.
            let start = part.text.as_ptr().addr() - source.text.as_ptr().addr();
            let fault = |fault: yaml::Fault| Fault::NoManifest {
                path: source.name.clone(),
                line: fault.mark.line,
                column: fault.mark.column,
                text: fault.text,
            };
            if let Some(values) = json_values(part.text) {
                for value in values {
                    let range = start + value.start..start + value.end;
                    let line = part.line + newlines(&part.text[..value.start]);
                    let one = Part { text: &source.text[range.clone()], line };
                    let manuscript = Manuscript::read(&one).map_err(fault)?;
                    documents.push(Document { range, line, manuscript, json: true });
                }
                continue;
            }
            let manuscript = Manuscript::read(&part).map_err(fault)?;
            let Some(root) = manuscript.span(NodeId::ROOT) else { continue };
            let line = part.line + newlines(&part.text[..root.start]);
            if manuscript.tree.view(NodeId::ROOT) == View::Null {
                continue;
            }
            documents.push(Document { range: start..start + part.text.len(), line, manuscript, json: false });
        }
        Ok(Manifest { source, documents })
    }

    /// Whether all documents are JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        !self.documents.is_empty() && self.documents.iter().all(|document| document.json)
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// The places of the JSON objects or lists that a text consists of. `None` where it is YAML.
fn json_values(text: &str) -> Option<Vec<Range<usize>>> {
    let mut at = 0;
    if text.starts_with("---") {
        let (marker, _) = text.split_at(text.find('\n')? + 1);
        (marker.trim_end() == "---").then_some(())?;
        at = marker.len();
    }
    let rest = text.get(at..)?;
    if !rest.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut values = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    let mut from = 0;
    while let Some(value) = reader.next() {
        value.ok()?;
        let end = reader.byte_offset();
        let blank = rest[from..end].len() - rest[from..end].trim_start().len();
        values.push(at + from + blank..at + end);
        from = end;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Result<Manifest, Fault> {
        Manifest::read(Source { name: "x.yaml".into(), text: text.into() })
    }

    #[test]
    fn documents_know_their_places() {
        let text = "# top\n---\n# only a comment\n---\n\na: 1\n--- # c\nb: 2\n...\n{\"c\": 3}\n";
        let manifest = manifest(text).unwrap();
        let found: Vec<(usize, &str)> = manifest.documents.iter().map(|document| (document.line, &text[document.range.clone()])).collect();
        assert_eq!(found, [(6, "---\n\na: 1\n"), (8, "--- # c\nb: 2\n"), (10, "{\"c\": 3}")]);
        assert!(!manifest.is_json());
    }

    #[test]
    fn json_one_after_the_other() {
        let manifest = manifest("{\"a\": 1}\n\n{\"b\":\n2}\n").unwrap();
        assert!(manifest.is_json());
        assert_eq!(manifest.documents.iter().map(|document| document.line).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn what_is_no_yaml_is_named_with_its_place() {
        let fault = manifest("a: 1\n---\nb: [\n").unwrap_err().to_string();
        assert!(fault.starts_with("x.yaml:"), "{fault}");
        assert!(manifest("a: {{ .Values.x }}\n").is_err());
    }
}
