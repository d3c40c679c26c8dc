//! `podgraft check`: every problem of presets.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::args::{NameArgs, NoteArgs, ReportOutput};
use super::cluster::{Cluster, ClusterArgs};
use super::overlap::{self, Overlap};
use super::presets;
use super::server_check::{self, Told, Word, try_all};
use super::source::{self, Fault, Source};
use super::{Done, one_line, treat};
use crate::document::{Problem, Severity};
use crate::preset::Preset;

/// Read presets and report every problem
///
/// Also two presets that are in conflict with one another: a warning where a Pod that one of them selects gets the other without asking for
/// it, a note where only a Pod that carries the labels of both would. A line is FILE:LINE:COLUMN: PATH: what to do about it (how bad it is).
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Files, or directories with *.yaml, *.yml and *.json [default: policies/]
    #[arg(value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// Directory with presets, as for the other commands; may be given several times
    #[arg(long, value_name = "DIR", env = "PODGRAFT_PRESETS", hide_env_values = true, value_delimiter = ',')]
    pub presets: Vec<PathBuf>,
    /// Also send a Pod with each preset to the API server as a dry run, with your own rights, and say what it refuses
    #[arg(long)]
    pub server: bool,
    /// Exit with status 1 on warnings, too
    #[arg(long)]
    pub strict: bool,
    /// How to report
    #[arg(long, short, value_enum, default_value_t = ReportOutput::Text)]
    pub output: ReportOutput,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub names: NameArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub notes: NoteArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub cluster: ClusterArgs,
}

#[derive(Serialize)]
struct Report<'p> {
    /// How many are fine.
    presets: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    problems: Vec<Reported<'p>>,
}

#[derive(Serialize)]
struct Reported<'p> {
    severity: &'static str,
    file: &'p str,
    line: usize,
    column: usize,
    path: &'p str,
    text: &'p str,
}

/// Does it.
///
/// # Errors
/// Where a file or directory can't be read, or the cluster doesn't answer.
pub fn run(args: &CheckArgs) -> Result<Done, Fault> {
    let CheckArgs { paths, presets: directories, server, strict, output, names, notes: _, cluster } = args;
    let sources = sources(paths, directories)?;
    let cluster = if *server { Some(Cluster::connect(cluster)?) } else { None };
    let namespace = match (&names.namespace, &cluster) {
        (None, Some(cluster)) => cluster.default_namespace(),
        _ => names.namespace(),
    };
    let mut documents = presets::read(&sources, namespace);
    let problems: Vec<Problem> = documents.iter_mut().flat_map(|document| std::mem::take(&mut document.problems)).collect();
    let good: Vec<Arc<Preset>> = presets::compile(documents);
    let given = (!names.namespace_labels.is_empty()).then(|| treat::namespace_labels(&names.namespace_labels, namespace));
    let overlaps = overlap::find(&good, given.as_deref());
    let told = match &cluster {
        Some(cluster) => try_all(cluster, &good, namespace)?,
        None => server_check::Report::default(),
    };
    let mut all: Vec<Reported<'_>> = problems.iter().map(reported).collect();
    all.extend(overlaps.iter().filter_map(|overlap| Some(meeting(good.get(overlap.preset)?, overlap))));
    all.extend(told.told.iter().filter_map(|told| Some(answered(good.get(told.preset)?, told))));
    let order: HashMap<&str, usize> = sources.iter().enumerate().map(|(at, source)| (source.name.as_str(), at)).collect();
    all.sort_by_key(|problem| (order.get(problem.file), problem.line, problem.column));
    let count = |severity: &str| all.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings, notes) = (count(ERROR), count(WARNING), count(NOTE));
    let report = Report { presets: good.len() - told.refused(), errors, warnings, notes, problems: all };
    let output = match output {
        ReportOutput::Text => text(&report),
        ReportOutput::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
    };
    Ok(Done { output, problems: errors > 0 || (*strict && warnings > 0), ..Done::default() })
}

fn sources(paths: &[PathBuf], directories: &[PathBuf]) -> Result<Vec<Source>, Fault> {
    let mut sources = Vec::new();
    if paths.is_empty() && directories.is_empty() {
        return source::presets(std::path::Path::new("policies/"));
    }
    for path in paths {
        sources.extend(source::read(path)?);
    }
    // A directory of the environment does not count where files are named.
    for directory in directories.iter().filter(|_| paths.is_empty()) {
        sources.extend(source::presets(directory)?);
    }
    Ok(sources)
}

const ERROR: &str = "error";
const WARNING: &str = "warning";
const NOTE: &str = "note";

fn text(report: &Report<'_>) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let mut out = String::new();
    for Reported { severity, file, line, column, path, text } in &report.problems {
        let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
        out.push_str(&one_line(&format!("{file}:{line}:{column}: {path}{text} ({severity})")));
        out.push('\n');
    }
    let Report { presets, errors, warnings, notes, .. } = report;
    let found = format!("{}, {}, {}", count(*errors, ERROR), count(*warnings, WARNING), count(*notes, NOTE));
    out.push_str(&format!("{found}; {} {} fine\n", count(*presets, "preset"), if *presets == 1 { "is" } else { "are" }));
    out
}

fn reported(problem: &Problem) -> Reported<'_> {
    let Problem { severity, source, line, column, path, text } = problem;
    let severity = match severity {
        Severity::Error => ERROR,
        Severity::Warning => WARNING,
    };
    Reported { severity, file: source, line: *line, column: *column, path, text }
}

fn answered<'p>(preset: &'p Preset, told: &'p Told) -> Reported<'p> {
    let origin = &preset.spec().origin;
    let severity = if told.word == Word::Refused { ERROR } else { WARNING };
    Reported { severity, file: &origin.source, line: origin.line, column: 1, path: &told.path, text: &told.text }
}

fn meeting<'p>(preset: &'p Preset, overlap: &'p Overlap) -> Reported<'p> {
    let origin = &preset.spec().origin;
    let severity = if overlap.certain { WARNING } else { NOTE };
    Reported { severity, file: &origin.source, line: origin.line, column: 1, path: "spec", text: &overlap.text }
}
