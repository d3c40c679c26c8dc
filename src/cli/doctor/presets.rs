//! The presets: those that are refused when they are read, those that reach nobody, and those that the API server refuses.

use std::sync::Arc;

use super::Patient;
use super::findings::Findings;
use super::registration::why_not;
use crate::cli::server_check::{Word, try_all};
use crate::cli::source::Fault;
use crate::document::{Document, Severity};
use crate::preset::{Preset, Scope};

const ABOUT: &str = "presets";

/// Presets that are tried at most; each takes some requests.
const MOST_TRIED: usize = 100;

/// Says which documents are refused.
pub(super) fn documents(documents: &[Document], findings: &mut Findings) {
    let problems = documents.iter().flat_map(|document| &document.problems);
    for problem in problems.filter(|problem| problem.severity == Severity::Error) {
        findings.problem(
            ABOUT,
            format!("{problem}"),
            "correct it and write it again; until then the last good version applies, if there was one",
        );
    }
}

/// Looks at those that are good, and tries them where the API server can call Podgraft: where it cannot, each would wait for it.
///
/// # Errors
/// Nobody answers.
pub(super) fn examine(patient: &Patient<'_>, callable: bool, findings: &mut Findings) -> Result<(), Fault> {
    let Patient { cluster, namespace, set, .. } = patient;
    let presets = set.presets();
    if presets.is_empty() {
        findings.unknown(ABOUT, "there are none in the cluster that you may read".to_owned(), "write one (docs/presets.md)");
        return Ok(());
    }
    for preset in presets {
        let Scope::Namespace(own) = &preset.spec().key.scope else { continue };
        if let Some(why) = why_not(patient, own) {
            findings.problem(
                ABOUT,
                format!("{} has no effect: the namespace {own} is not reached, {why}", preset.spec().key),
                "remove it, or let the registration reach the namespace",
            );
        }
    }
    let read = presets.len();
    if !callable {
        findings.unknown(
            ABOUT,
            format!("{read} read, none was tried on the API server, as that waits for Podgraft in vain"),
            "mend what the dry run below shows, and ask again",
        );
        return Ok(());
    }
    let some: Vec<Arc<Preset>> = presets.iter().take(MOST_TRIED).map(Arc::clone).collect();
    let report = try_all(cluster, &some, namespace)?;
    let key = |index: usize| some.get(index).map(|preset| preset.spec().key.to_string()).unwrap_or_default();
    for one in &report.told {
        let path = if one.path.is_empty() { String::new() } else { format!("{}: ", one.path) };
        let text = format!("{}: {path}{}", key(one.preset), one.text);
        match one.word {
            Word::Refused => findings.problem(ABOUT, text, "correct the preset: the Pods that it selects cannot be created"),
            Word::Warned => findings.warning(ABOUT, text, "correct the preset"),
            Word::Untried => {
                findings.unknown(ABOUT, text, "say with -n a namespace where it applies and you may create Pods, or ask somebody who may");
            }
        }
    }
    if read > MOST_TRIED {
        findings.unknown(ABOUT, format!("{} more were not tried", read - MOST_TRIED), "`podgraft check --server` tries all of a directory");
    }
    findings.fine(ABOUT, format!("{read} read, {} tried, {} refused by the API server", report.tried, report.refused()));
    Ok(())
}
