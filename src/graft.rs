//! The same engine for the command line: a Pod or a Pod template in, what would be done and why out.

use std::cell::OnceCell;

use crate::admit::Outcome;
use crate::conflict::{Conflict, ConflictPolicy};
use crate::decide::{self, Case, Decision, Skip, Undecided};
use crate::draft::{Draft, OpKind};
use crate::merge::{Grafting, Verdict};
use crate::pod;
use crate::preset::{Preset, PresetSet, Scope};
use crate::report;
use crate::tree::{NodeId, Tree};

/// What is to be grafted.
#[derive(Debug)]
pub struct Subject<'s> {
    /// An object with `metadata` and `spec`, as a Pod or a Pod template has them.
    pub pod: &'s Tree<'s>,
    /// The namespace of the request.
    pub namespace: &'s str,
    /// The labels of the namespace.
    pub namespace_labels: &'s [(String, String)],
    /// Labels that a controller will set: they count for selection and are not written.
    pub extra_labels: &'s [(String, String)],
    /// Names of a StatefulSet's claim templates: they count as volumes.
    pub claims: &'s [String],
    /// Namespaces that no preset reaches.
    pub exempt: &'s [String],
}

/// One operation of the patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Add, replace or remove.
    pub op: OpKind,
    /// A JSON Pointer from the object's root.
    pub path: String,
    /// The value as compact JSON; `None` for a removal.
    pub value: Option<String>,
    /// The record of the preset whose it is.
    pub preset: Option<String>,
}

/// A preset that is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The suffix of its record.
    pub record: String,
    /// Its version.
    pub version: String,
}

/// What became of one preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its `namespaceSelector` does not match.
    NamespaceSelector,
    /// Its `selector` does not match the labels.
    Selector,
    /// The exclude annotation, or its name in `podgraft.dev/exclude`.
    Excluded,
    /// Recorded; what it added, if anything was missing, are the operations with its record.
    Applied,
    /// Selected, but nothing of it could be applied.
    Nothing,
    /// Left out by its own conflicts.
    LeftOut,
    /// Other presets' conflicts, or a fault, took it along; by the records of those presets.
    Stopped {
        /// Records of the presets whose conflict it was; empty for a fault or size.
        by: Vec<String>,
    },
    /// A Shadow: how many operations it would have added.
    Shadow {
        /// Their number.
        operations: usize,
    },
    /// The Pod is skipped before presets are asked.
    Skipped,
}

/// A preset and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresetFate {
    /// The suffix of its record.
    pub record: String,
    /// What became of it.
    pub fate: Fate,
}

/// A Pod, grafted.
#[derive(Clone, Debug)]
pub struct Grafted {
    /// What the answer to a review of it would do.
    pub outcome: Outcome,
    /// Why nothing, or only the first layer, is applied.
    pub skipped: Option<Skip>,
    /// The patch.
    pub operations: Vec<Step>,
    /// The result as compact JSON.
    pub pod: String,
    /// Applied presets, in merge order.
    pub applied: Vec<Applied>,
    /// All conflicts, Shadow's last.
    pub conflicts: Vec<Conflict>,
    /// All warnings.
    pub warnings: Vec<String>,
    /// Those of the warnings that are not about what one preset met: conflicts and Shadows stand in `conflicts` and `fates`, too.
    pub remarks: Vec<String>,
    /// The message of a refusal.
    pub message: Option<String>,
    /// One for each preset that exists for this namespace, in merge order.
    pub fates: Vec<PresetFate>,
    /// The labels that selection saw in the end.
    pub labels: Vec<(String, String)>,
}

/// Grafts the presets onto a Pod.
///
/// # Errors
/// As [`decide::decide`].
pub fn graft(subject: &Subject<'_>, presets: &PresetSet) -> Result<Grafted, Undecided> {
    let labels = OnceCell::new();
    let namespace_labels = || Some(labels.get_or_init(|| subject.namespace_labels.to_vec()).as_slice());
    let case = Case {
        pod: subject.pod,
        namespace: subject.namespace,
        namespace_labels: &namespace_labels,
        exempt: subject.exempt,
        extra_labels: subject.extra_labels,
        claims: subject.claims,
        text_bytes: subject.pod.length(NodeId::ROOT),
    };
    let decision = decide::decide(&case, presets)?;
    let operations = decision.patch().map(|draft| steps(draft, decision.grafting.as_ref())).unwrap_or_default();
    let mut pod = String::new();
    let result = decision.patch().map_or(subject.pod, Draft::tree);
    result.write(NodeId::ROOT, &mut pod);
    let mut seen: Vec<(String, String)> = pod::labels(result).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    seen.extend_from_slice(subject.extra_labels);
    let outcome = match (&decision.refused, operations.is_empty()) {
        (Some(_), _) => Outcome::Rejected,
        (None, true) => Outcome::Unchanged,
        (None, false) => Outcome::Mutated,
    };
    let told = decision.grafting.as_ref().map(report::conflict_lines).unwrap_or_default();
    Ok(Grafted {
        outcome,
        skipped: decision.skip,
        operations,
        pod,
        applied: applied(&decision),
        conflicts: decision.grafting.as_ref().map(|grafting| grafting.conflicts.clone()).unwrap_or_default(),
        message: decision.refused.clone(),
        fates: fates(subject, presets, &decision),
        remarks: decision.warnings.iter().filter(|warning| !told.contains(warning)).cloned().collect(),
        warnings: decision.warnings,
        labels: seen,
    })
}

fn steps(draft: &Draft<'_>, grafting: Option<&Grafting<'_>>) -> Vec<Step> {
    let record = |holder: u32| {
        let member = grafting?.members.get((holder as usize).checked_sub(1)?)?;
        Some(member.preset.record().to_owned())
    };
    let step = |operation: &crate::draft::Operation<'_>| {
        let mut value = String::new();
        operation.value.write(&mut value);
        Step {
            op: operation.kind,
            path: draft.path(operation).to_owned(),
            value: (operation.kind != OpKind::Remove).then_some(value),
            preset: record(operation.holder),
        }
    };
    draft.operations().iter().map(step).collect()
}

fn applied(decision: &Decision<'_>) -> Vec<Applied> {
    let Some(grafting) = decision.grafting.as_ref().filter(|_| decision.refused.is_none()) else { return Vec::new() };
    let of = |who: &usize| {
        let preset = grafting.members[*who].preset;
        Applied { record: preset.record().to_owned(), version: preset.version().to_owned() }
    };
    grafting.applied.iter().map(of).collect()
}

fn fates(subject: &Subject<'_>, presets: &PresetSet, decision: &Decision<'_>) -> Vec<PresetFate> {
    let exists = |preset: &&Preset| match &preset.spec().key.scope {
        Scope::Cluster => true,
        Scope::Namespace(namespace) => namespace == subject.namespace,
    };
    let dropped = |place: usize| decision.dropped.iter().any(|one| *one as usize == place);
    let of = |(place, preset): (usize, &Preset)| {
        let fate = if dropped(place) { Fate::Stopped { by: Vec::new() } } else { fate(subject, preset, decision) };
        PresetFate { record: preset.record().to_owned(), fate }
    };
    presets.presets().iter().map(|preset| &**preset).enumerate().filter(|(_, preset)| exists(preset)).map(of).collect()
}

fn fate(subject: &Subject<'_>, preset: &Preset, decision: &Decision<'_>) -> Fate {
    if matches!(decision.skip, Some(Skip::ExemptNamespace | Skip::MirrorPod)) {
        return Fate::Skipped;
    }
    let members = decision.grafting.as_ref().map(|grafting| (grafting, &grafting.members));
    let member = members.and_then(|(grafting, members)| {
        let who = members.iter().position(|member| member.preset.record() == preset.record())?;
        Some((grafting, who))
    });
    let Some((grafting, who)) = member else { return not_selected(subject, preset) };
    if let Some(shadow) = grafting.shadows.iter().find(|shadow| shadow.member == who) {
        return Fate::Shadow { operations: shadow.operations };
    }
    if grafting.applied.contains(&who) && decision.refused.is_none() {
        return Fate::Applied;
    }
    let stopping = |conflict: &&Conflict| !conflict.shadow && matches!(conflict.policy, ConflictPolicy::Abort | ConflictPolicy::Reject);
    let mine = grafting.conflicts.iter().filter(|conflict| conflict.preset == preset.record() && !conflict.shadow);
    if mine.clone().any(|conflict| !matches!(conflict.policy, ConflictPolicy::KeepPod | ConflictPolicy::Override)) {
        return Fate::LeftOut;
    }
    if grafting.verdict != Verdict::Settled || decision.skip.is_some() {
        let mut by: Vec<String> = grafting.conflicts.iter().filter(stopping).map(|conflict| conflict.preset.clone()).collect();
        by.dedup();
        return Fate::Stopped { by };
    }
    Fate::Nothing
}

fn not_selected(subject: &Subject<'_>, preset: &Preset) -> Fate {
    let annotation = |key: &str| pod::annotation(subject.pod, key).unwrap_or_default();
    let named = annotation(pod::EXCLUDE_NAMES).split(',').any(|name| name.trim() == preset.spec().key.name);
    if !preset.is_first_layer() && (annotation(pod::EXCLUDE) == "true" || named) {
        return Fate::Excluded;
    }
    match &preset.spec().namespace_selector {
        Some(selector) if !selector.matches(subject.namespace_labels) => Fate::NamespaceSelector,
        _ => Fate::Selector,
    }
}
