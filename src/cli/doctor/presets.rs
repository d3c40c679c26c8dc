//! The presets: those that are refused when they are read, those that reach nobody, and those that the API server refuses.

use std::sync::Arc;

use super::Patient;
use super::findings::Findings;
use super::registration::why_not;
use crate::cli::server_check::try_all;
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

/// Tries those that are good.
///
/// # Errors
/// Nobody answers.
pub(super) fn examine(patient: &Patient<'_>, findings: &mut Findings) -> Result<(), Fault> {
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
    let tried: Vec<Arc<Preset>> = presets.iter().take(MOST_TRIED).map(Arc::clone).collect();
    let told = try_all(cluster, &tried, namespace)?;
    let key = |index: usize| tried.get(index).map(|preset| preset.spec().key.to_string()).unwrap_or_default();
    for one in &told {
        let path = if one.path.is_empty() { String::new() } else { format!("{}: ", one.path) };
        let text = format!("{}: {path}{}", key(one.preset), one.text);
        if one.refused {
            findings.problem(ABOUT, text, "correct the preset: the Pods that it selects cannot be created");
        } else if one.text.starts_with("was not tried") {
            findings.unknown(ABOUT, text, "");
        } else {
            findings.warning(ABOUT, text, "correct the preset");
        }
    }
    if presets.len() > MOST_TRIED {
        findings.unknown(
            ABOUT,
            format!("{} more were not tried", presets.len() - MOST_TRIED),
            "`podgraft check --server` tries all of a directory",
        );
    }
    let refused = told.iter().filter(|one| one.refused).map(|one| one.preset).collect::<std::collections::BTreeSet<_>>().len();
    findings.fine(ABOUT, format!("{} read, {} tried, {refused} refused by the API server", presets.len(), tried.len()));
    Ok(())
}
