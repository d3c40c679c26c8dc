//! `podgraft check`: every problem of presets.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::Done;
use super::args::{NameArgs, ReportOutput};
use super::source::{self, Fault, Source};
use super::{overlap, presets};
use crate::document::{Problem, Severity};
use crate::preset::Preset;

/// Read presets and report every problem, without a cluster
///
/// Also two presets that can select the same Pod and would be in conflict there with one another. A line is FILE:LINE:COLUMN: PATH: what to
/// do about it.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Files, or directories with *.yaml, *.yml and *.json [default: policies/]
    #[arg(value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,
    /// Directory with presets, as for the other commands; may be given several times
    #[arg(long, value_name = "DIR", env = "PODGRAFT_PRESETS", value_delimiter = ',')]
    pub presets: Vec<PathBuf>,
    /// Exit with status 1 on warnings, too
    #[arg(long)]
    pub strict: bool,
    /// How to report
    #[arg(long, short, value_enum, default_value_t = ReportOutput::Text)]
    pub output: ReportOutput,
    #[command(flatten)]
    pub names: NameArgs,
}

#[derive(Serialize)]
struct Report<'p> {
    presets: usize,
    errors: usize,
    warnings: usize,
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
/// Where a file or directory can't be read.
pub fn run(args: &CheckArgs) -> Result<Done, Fault> {
    let CheckArgs { paths, presets: directories, strict, output, names } = args;
    let sources = sources(paths, directories)?;
    let mut documents = presets::read(&sources, &names.namespace);
    let mut problems: Vec<Problem> = documents.iter_mut().flat_map(|document| std::mem::take(&mut document.problems)).collect();
    let good: Vec<Arc<Preset>> = presets::compile(documents);
    problems.extend(overlap::find(&good));
    let order = |source: &str| sources.iter().position(|known| known.name == source);
    problems.sort_by_key(|problem| (order(&problem.source), problem.line, problem.column));
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    let output = match output {
        ReportOutput::Text => text(&problems, good.len(), errors, warnings),
        ReportOutput::Json => {
            let problems = problems.iter().map(reported).collect();
            serde_json::to_string_pretty(&Report { presets: good.len(), errors, warnings, problems }).unwrap_or_default() + "\n"
        }
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

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn text(problems: &[Problem], presets: usize, errors: usize, warnings: usize) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let mut out: String = problems.iter().map(|problem| format!("{problem} ({})\n", word(problem.severity))).collect();
    out.push_str(&format!("{}: {}, {}\n", count(presets, "good preset"), count(errors, "error"), count(warnings, "warning")));
    out
}

fn reported(problem: &Problem) -> Reported<'_> {
    Reported {
        severity: word(problem.severity),
        file: &problem.source,
        line: problem.line,
        column: problem.column,
        path: &problem.path,
        text: &problem.text,
    }
}
