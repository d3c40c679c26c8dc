//! What `inject` writes.

use similar::{ChangeTag, TextDiff};

use super::json::{pretty, quoted};
use super::patching::Operation;
use super::treat::{TreatedDocument, TreatedFile};
use crate::tree::{NodeId, parse};

/// The files one after the other, `---` between them.
#[must_use]
pub fn yaml(files: &[TreatedFile]) -> String {
    let mut out = String::new();
    let only_json = files.iter().all(|file| file.documents.is_empty() || file.manifest.is_json());
    for file in files {
        let text = file.text();
        if !out.is_empty() && !text.is_empty() {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            if !only_json && !starts_document(&text) {
                out.push_str("---\n");
            }
        }
        out.push_str(&text);
    }
    out
}

/// Whether the first line that is no comment is `---` or a directive.
fn starts_document(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    first.is_none_or(|line| line.starts_with("---") || line.starts_with('%'))
}

fn documents(files: &[TreatedFile]) -> Vec<&TreatedDocument> {
    files.iter().flat_map(|file| &file.documents).collect()
}

/// The document, or a `List` of all.
#[must_use]
pub fn json(files: &[TreatedFile]) -> String {
    let documents = documents(files);
    let text = match documents.as_slice() {
        [document] => document.json.clone(),
        documents => {
            let items: Vec<&str> = documents.iter().map(|document| document.json.as_str()).collect();
            format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"metadata\":{{}},\"items\":[{}]}}", items.join(","))
        }
    };
    let mut out = String::new();
    match parse(&text) {
        Ok(tree) => pretty(&tree, NodeId::ROOT, "  ", &mut out),
        // Deeper than a reader of JSON allows: on one line.
        Err(_) => out = text,
    }
    out.push('\n');
    out
}

/// The operations on the document, or on each document with a Pod template.
#[must_use]
pub fn patch(files: &[TreatedFile]) -> String {
    let documents = documents(files);
    if let [document] = documents.as_slice() {
        return format!("{}\n", operations(&document.operations, true));
    }
    let mut out = String::new();
    for document in documents.iter().filter(|document| !document.workloads.is_empty()) {
        let [kind, namespace, name] = &document.names;
        let [kind, namespace, name] = [quoted(kind), quoted(namespace), quoted(name)];
        let patch = operations(&document.operations, false);
        out.push_str(&format!("{{\"kind\":{kind},\"namespace\":{namespace},\"name\":{name},\"patch\":{patch}}}\n"));
    }
    out
}

fn operations(operations: &[Operation], lines: bool) -> String {
    let one = |operation: &Operation| {
        let value = if operation.op == "remove" { String::new() } else { format!(",\"value\":{}", operation.value) };
        format!("{{\"op\":\"{}\",\"path\":{}{value}}}", operation.op, quoted(&operation.path))
    };
    let all: Vec<String> = operations.iter().map(one).collect();
    if lines && !all.is_empty() { format!("[\n  {}\n]", all.join(",\n  ")) } else { format!("[{}]", all.join(",")) }
}

const BOLD: &str = "\u{1b}[1m";
const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const CYAN: &str = "\u{1b}[36m";
const RESET: &str = "\u{1b}[0m";

/// For each file that changes: which preset added what, and a unified diff that `patch -p1` takes.
#[must_use]
pub fn diff(files: &[TreatedFile], colour: bool) -> String {
    let mut out = String::new();
    let mut line = |style: &str, text: &str| {
        if colour && !style.is_empty() {
            out.push_str(style);
            out.push_str(text);
            out.push_str(RESET);
        } else {
            out.push_str(text);
        }
        out.push('\n');
    };
    for file in files {
        for document in &file.documents {
            for (style, text) in said(document) {
                line(style, &text);
            }
        }
        let (old, new) = (&file.manifest.source.text, file.text());
        if *old == new {
            continue;
        }
        let name = match file.manifest.source.name.as_str() {
            "-" => "stdin",
            name => name.trim_start_matches("./").trim_start_matches('/'),
        };
        line(BOLD, &format!("--- a/{name}"));
        line(BOLD, &format!("+++ b/{name}"));
        let changes = TextDiff::from_lines(old.as_str(), new.as_str());
        for hunk in changes.unified_diff().iter_hunks() {
            line(CYAN, &hunk.header().to_string());
            for change in hunk.iter_changes() {
                let (sign, style) = match change.tag() {
                    ChangeTag::Delete => ('-', RED),
                    ChangeTag::Insert => ('+', GREEN),
                    ChangeTag::Equal => (' ', ""),
                };
                let text = change.value();
                line(style, &format!("{sign}{}", text.strip_suffix('\n').unwrap_or(text)));
                if change.missing_newline() {
                    line("", "\\ No newline at end of file");
                }
            }
        }
    }
    out
}

/// What happened to the Pods of a document, in lines that a reader of diffs skips.
fn said(document: &TreatedDocument) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for treated in &document.workloads {
        let Ok(grafted) = &treated.result else { continue };
        if grafted.applied.is_empty() {
            continue;
        }
        lines.push((BOLD, format!("# {}", treated.workload)));
        for applied in &grafted.applied {
            let added = treated.added.get(&applied.record).filter(|added| !added.is_empty());
            let added = added.map_or_else(|| "nothing, all of it was there".to_owned(), |added| added.join(", "));
            lines.push(("", format!("#   {} added {added}", applied.record)));
        }
    }
    lines
}
