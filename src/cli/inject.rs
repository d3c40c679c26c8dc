//! `podgraft inject`: manifests with the presets in them.

use clap::Args;

use super::args::{FileArgs, InjectOutput, PresetArgs};
use super::cluster::LiveArgs;
use super::manifest::Manifest;
use super::output;
use super::setting::{Prepared, prepare};
use super::source::Fault;
use super::treat::{self, TreatedFile};
use super::{Done, Terminal};

/// Put presets into manifests, those of directories or those of a cluster
///
/// Reads Pods and everything with a Pod template (Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job, CronJob,
/// PodTemplate, List), several documents, YAML and JSON, and writes what the Pods will be. Comments and other kinds stay as they are.
/// Fields that the API server would fill in are not written. Labels that a controller sets on its Pods count for selectors; where only the
/// controller knows the value (a hash, a UID), the label counts as having some value: `podgraft-unknown`.
#[derive(Args, Clone, Debug)]
pub struct InjectArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub files: FileArgs,
    /// What to write
    #[arg(long, short, value_enum, default_value_t = InjectOutput::Yaml)]
    pub output: InjectOutput,
    /// Exit with status 1 if a preset is in conflict with a Pod or with another preset
    #[arg(long)]
    pub fail_on_conflict: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub presets: PresetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub live: LiveArgs,
}

/// Does it.
///
/// # Errors
/// Where a file or directory can't be read, or the cluster doesn't answer.
pub fn run(args: &InjectArgs, terminal: Terminal) -> Result<Done, Fault> {
    let InjectArgs { files, output: format, fail_on_conflict, presets, live } = args;
    let Prepared { manifests, loaded, setting } = prepare(&files.files, presets, live)?;
    let files = treat::files(manifests, &setting, &loaded.set);
    let mut done = Done { problems: loaded.refused, notes: loaded.notes, ..Done::default() };
    for file in &files {
        notes(file, &mut done);
        let treated = || file.documents.iter().flat_map(|document| &document.workloads);
        done.problems |= treated().any(treat::Treated::failed);
        done.problems |= *fail_on_conflict && treated().any(|treated| treated.conflicts().next().is_some());
    }
    done.output = match format {
        InjectOutput::Yaml => output::yaml(&files),
        InjectOutput::Json => output::json(&files),
        InjectOutput::Diff => output::diff(&files, terminal.colour),
        InjectOutput::Patch => output::patch(&files),
    };
    Ok(done)
}

fn notes(file: &TreatedFile, done: &mut Done) {
    let Manifest { source, documents } = &file.manifest;
    for (document, treated) in documents.iter().zip(&file.documents) {
        let place = format!("{}:{}", source.name, document.line);
        done.notes.extend(treated.workloads.iter().flat_map(|one| one.notes(&place)));
        if treated.rewritten {
            done.notes.push(format!("warning: {place}: the document was written anew, its comments are lost"));
        }
    }
}
