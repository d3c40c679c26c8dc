//! `podgraft explain`: what each preset does to each Pod, and why not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::args::{PresetArgs, ReportOutput};
use super::cluster::LiveArgs;
use super::live_pod;
use super::setting::{Prepared, prepare};
use super::source::Fault;
use super::treat::{self, Treated};
use super::verdict::{Said, verdicts};
use super::{Done, one_line};
use crate::admit::Outcome;
use crate::resources::{Effective, effective};
use crate::tree::{self, NodeId};

/// Say for each Pod and preset what is added, or why not
///
/// For every Pod and Pod template: each preset that exists for its namespace, in the order in which they are merged, with what it adds,
/// the terms of its selectors that do not hold, or its conflicts; and what the Pod takes and its QoS class, before and after. The requests
/// of a Pod are those of its containers and native sidecars together, or of the init container that takes most. Of a live Pod: which
/// presets it has, which it has in an older version, and what a new one would get.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// A live Pod, with the presets of its cluster
    #[arg(value_name = "pod/NAME", conflicts_with = "files")]
    pub pod: Option<String>,
    /// A manifest: a file, a directory (its *.yaml, *.yml and *.json), or - for standard input; may be given several times
    #[arg(long = "filename", short = 'f', value_name = "FILE|DIR|-", required_unless_present = "pod")]
    pub files: Vec<PathBuf>,
    /// How to report
    #[arg(long, short, value_enum, default_value_t = ReportOutput::Text)]
    pub output: ReportOutput,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub presets: PresetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub live: LiveArgs,
}

/// What is said of one Pod.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    file: String,
    line: usize,
    kind: String,
    namespace: String,
    name: String,
    /// What becomes of it, in a word.
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
    /// What is said of each preset.
    pub presets: Vec<Said>,
    resources: Taken,
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Taken {
    before: Total,
    after: Total,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Total {
    requests: BTreeMap<String, String>,
    limits: BTreeMap<String, String>,
    qos_class: &'static str,
}

/// Does it.
///
/// # Errors
/// Where a file or directory can't be read, or the cluster doesn't answer.
pub fn run(args: &ExplainArgs) -> Result<Done, Fault> {
    let ExplainArgs { pod, files, output, presets, live } = args;
    if let Some(pod) = pod {
        return live_pod::explain(pod, args);
    }
    let Prepared { manifests, loaded, setting } = prepare(files, presets, live)?;
    let files = treat::files(manifests, &setting, &loaded.set);
    let mut done = Done { problems: loaded.refused, notes: loaded.notes, ..Done::default() };
    let mut explained = Vec::new();
    for file in &files {
        for (document, treated) in file.manifest.documents.iter().zip(&file.documents) {
            for one in &treated.workloads {
                done.problems |= one.failed();
                let said = verdicts(one, &loaded.set, &setting.labels(&one.workload.namespace));
                explained.push(explain(&file.manifest.source.name, document.line, one, said));
            }
        }
    }
    done.output = written(&explained, *output);
    Ok(done)
}

/// The report.
#[must_use]
pub fn written(explained: &[Explained], output: ReportOutput) -> String {
    match output {
        ReportOutput::Json => serde_json::to_string_pretty(&explained).unwrap_or_default() + "\n",
        ReportOutput::Text if explained.is_empty() => "no Pod and no Pod template here\n".to_owned(),
        ReportOutput::Text => explained.iter().map(text).collect::<Vec<_>>().join("\n"),
    }
}

/// What is to be said of one Pod.
#[must_use]
pub fn explain(file: &str, line: usize, treated: &Treated, presets: Vec<Said>) -> Explained {
    let workload = &treated.workload;
    let grafted = treated.result.as_ref().ok();
    let mut warnings = workload.warnings.clone();
    warnings.extend(grafted.into_iter().flat_map(|grafted| grafted.remarks.iter().cloned()));
    Explained {
        file: file.to_owned(),
        line,
        kind: workload.kind.clone(),
        namespace: workload.namespace.clone(),
        name: workload.name.clone(),
        outcome: match grafted.map(|grafted| grafted.outcome) {
            Some(Outcome::Mutated) => "changed",
            Some(Outcome::Unchanged) => "unchanged",
            Some(Outcome::Rejected) => "rejected",
            None => "unreadable",
        },
        skipped: grafted.and_then(|grafted| grafted.skipped).map(|skip| skip.word().to_owned()),
        presets,
        resources: Taken { before: total(&treated.pods[0]), after: total(&treated.pods[1]) },
        warnings,
        error: treated.result.as_ref().err().cloned().or_else(|| grafted.and_then(|grafted| grafted.message.clone())),
    }
}

fn total(pod: &str) -> Total {
    let Ok(tree) = tree::parse(pod) else { return Total::default() };
    let Some(spec) = tree.present(NodeId::ROOT, "spec") else { return Total::default() };
    let Effective { requests, limits, qos } = effective(&tree, spec);
    let shown = |all: BTreeMap<String, crate::quantity::Quantity>| all.into_iter().map(|(name, value)| (name, value.to_string())).collect();
    Total { requests: shown(requests), limits: shown(limits), qos_class: qos.as_str() }
}

fn text(explained: &Explained) -> String {
    let Explained { file, line, kind, namespace, name, skipped, presets, resources, warnings, error, outcome } = explained;
    let skipped = skipped.as_ref().map(|skipped| format!(", {skipped}")).unwrap_or_default();
    // A live Pod stands in no line.
    let place = if *line == 0 { file.clone() } else { format!("{file}:{line}") };
    let mut lines = vec![format!("{kind} {namespace}/{name} ({place}): {outcome}{skipped}")];
    lines.extend(error.iter().map(|error| format!("  error: {error}")));
    if presets.is_empty() && error.is_none() {
        lines.push("  no preset exists for this namespace".to_owned());
    }
    for said in presets {
        lines.push(format!("  {}: {}", said.preset, said.sentence()));
        lines.extend(said.conflicts.iter().map(|conflict| format!("      {}", conflict.sentence())));
    }
    let (before, after) = (&resources.before, &resources.after);
    for (what, before, after) in [("requests", &before.requests, &after.requests), ("limits", &before.limits, &after.limits)] {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let value = |of: &BTreeMap<String, String>, name: &String| of.get(name).cloned().unwrap_or_else(|| "none".to_owned());
        let each: Vec<String> = names.iter().map(|name| format!("{name} {}", became(&value(before, name), &value(after, name)))).collect();
        lines.push(format!("  {what}: {}", if each.is_empty() { "none".to_owned() } else { each.join(", ") }));
    }
    lines.push(format!("  QoS class: {}", became(before.qos_class, after.qos_class)));
    lines.extend(warnings.iter().map(|warning| format!("  warning: {warning}")));
    lines.iter().map(|line| one_line(line) + "\n").collect()
}

fn became(before: &str, after: &str) -> String {
    if before == after { after.to_owned() } else { format!("{before} -> {after}") }
}
