//! What is said of one preset and one Pod.

use std::sync::Arc;

use serde::Serialize;

use super::treat::Treated;
use crate::conflict::Conflict;
use crate::graft::Fate;
use crate::preset::{Preset, PresetSet, Scope};
use crate::selector::{Labels, Requirement, Selector};

/// What became of a preset at a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Became {
    /// It is applied.
    Applied,
    /// It would be, but is in Shadow mode.
    Shadow,
    /// A selector does not match.
    NotSelected,
    /// The Pod asks to be left alone.
    Excluded,
    /// Its own conflicts stopped it.
    InConflict,
    /// The conflict of another preset stopped it, or it is left out with all others: the Pod would be too large, or a self-check failed.
    Stopped,
    /// Nothing of it could be applied.
    Nothing,
    /// The Pod is left alone before presets are asked.
    Skipped,
    /// Of a live Pod: it has an older version.
    Outdated,
    /// Of a live Pod: it does not have it, and a new one would.
    Missing,
    /// Of a live Pod: it has it, and there is no such preset any more.
    Gone,
    /// Of a live Pod: it has it, and whether there is such a preset cannot be seen.
    Unknown,
}

/// One conflict, for people and programs.
#[derive(Clone, Debug, Serialize)]
pub struct Met {
    path: String,
    holder: String,
    kind: &'static str,
    policy: &'static str,
    replaced: bool,
}

impl Met {
    fn of(conflict: &Conflict) -> Met {
        let Conflict { path, holder, kind, policy, replaced, .. } = conflict;
        Met { path: path.clone(), holder: holder.to_string(), kind: kind.word(), policy: policy.word(), replaced: *replaced }
    }

    /// `conflict: env /spec/containers/web/env/A is held by the Pod (conflictPolicy Abort)`
    #[must_use]
    pub fn sentence(&self) -> String {
        let Met { path, holder, kind, policy, replaced } = self;
        let holder = if holder == "Pod" { "the Pod" } else { holder };
        let what = if *replaced { "replaced what was there of" } else { "is held by" };
        format!("conflict: {kind} {path} {what} {holder} (conflictPolicy {policy})")
    }
}

/// A term of a selector that does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Unmet {
    /// As `kubectl get -l` takes it.
    term: String,
    /// The label's value; `None` where there is no such label.
    actual: Option<String>,
}

impl Unmet {
    fn among(selector: &Selector, labels: &[(String, String)]) -> Vec<Unmet> {
        let actual = |term: &Requirement| labels.label(term.key()).map(str::to_owned);
        selector.failing(labels).map(|term| Unmet { term: term.to_string(), actual: actual(term) }).collect()
    }

    /// `role=frontend (it is backend)`
    fn words(&self) -> String {
        let Unmet { term, actual } = self;
        match actual {
            Some(actual) if actual.is_empty() => format!("{term} (it is empty)"),
            Some(actual) => format!("{term} (it is {actual})"),
            None => format!("{term} (it is not there)"),
        }
    }
}

/// A preset and what became of it at one Pod.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    /// The record's key suffix.
    pub preset: String,
    /// What became of it.
    pub became: Became,
    /// What it added.
    pub added: Vec<String>,
    /// Terms of its selector that do not hold.
    pub selector: Vec<Unmet>,
    /// Terms of its namespaceSelector that do not hold.
    #[serde(rename = "namespaceSelector")]
    pub namespace_selector: Vec<Unmet>,
    /// Its conflicts.
    pub conflicts: Vec<Met>,
    /// The presets whose conflicts stopped it.
    #[serde(rename = "stoppedBy", skip_serializing_if = "Vec::is_empty")]
    pub stopped_by: Vec<String>,
    /// Of a live Pod: the version that is recorded on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// Of a live Pod with another version: whether a new Pod would get the present one.
    #[serde(rename = "newPod", skip_serializing_if = "Option::is_none")]
    pub new_pod: Option<bool>,
    /// In Shadow mode: how many operations it would add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<usize>,
}

impl Said {
    /// What became of it, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let added = if self.added.is_empty() { "nothing, all of it was there".to_owned() } else { self.added.join(", ") };
        match self.became {
            Became::Applied => format!("applied: {added}"),
            Became::Shadow => format!("in Shadow mode, would add {} operations", self.operations.unwrap_or_default()),
            Became::Skipped => "not asked: the Pod is left alone".to_owned(),
            Became::NotSelected => {
                let whose = [("the namespace's", &self.namespace_selector), ("the Pod's", &self.selector)];
                let each = whose.iter().filter(|(_, unmet)| !unmet.is_empty()).map(|(whose, unmet)| {
                    let terms: Vec<String> = unmet.iter().map(Unmet::words).collect();
                    format!("{whose} labels do not satisfy {}", terms.join(", "))
                });
                format!("not selected: {}", each.collect::<Vec<_>>().join("; "))
            }
            Became::Excluded => "excluded by an annotation of the Pod".to_owned(),
            Became::InConflict => "left out, because it is in conflict".to_owned(),
            Became::Stopped if self.stopped_by.is_empty() => "left out with all others".to_owned(),
            Became::Stopped => format!("left out, because of a conflict of {}", self.stopped_by.join(", ")),
            Became::Outdated => format!(
                "applied in another version ({}) than there is now, which a new Pod would {}",
                self.recorded.as_deref().unwrap_or_default(),
                if self.new_pod == Some(false) { "not get" } else { "get" }
            ),
            Became::Missing => {
                format!("not on this Pod, which was made before the preset, or without Podgraft; a new Pod would get: {added}")
            }
            Became::Gone => "applied when the Pod was made; no ConfigMap and no custom resource has it any more".to_owned(),
            Became::Unknown => {
                "applied when the Pod was made; whether it is still there cannot be seen: you may not read all presets, or one is refused"
                    .to_owned()
            }
            Became::Nothing => "not applied: nothing of it has a place in this Pod".to_owned(),
        }
    }
}

impl Said {
    /// Of a record on a live Pod.
    #[must_use]
    pub fn of_record(preset: &str, became: Became, version: &str) -> Said {
        Said {
            preset: preset.to_owned(),
            became,
            added: Vec::new(),
            selector: Vec::new(),
            namespace_selector: Vec::new(),
            conflicts: Vec::new(),
            stopped_by: Vec::new(),
            recorded: Some(version.to_owned()),
            new_pod: None,
            operations: None,
        }
    }

    /// Of a record of another version than this preset has now. What else is known of the Pod: its labels, those of its namespace, and
    /// whether presets that permit it leave it alone.
    #[must_use]
    pub fn outdated(
        preset: &Preset,
        version: &str,
        labels: &[(String, String)],
        namespace_labels: &[(String, String)],
        left_alone: bool,
    ) -> Said {
        let spec = preset.spec();
        let mut one = Said::of_record(preset.record(), Became::Outdated, version);
        one.selector = Unmet::among(&spec.selector, labels);
        one.namespace_selector =
            spec.namespace_selector.as_ref().map(|selector| Unmet::among(selector, namespace_labels)).unwrap_or_default();
        let selected = one.selector.is_empty() && one.namespace_selector.is_empty();
        one.new_pod = Some(selected && !preset.is_shadow() && (!left_alone || preset.is_first_layer()));
        one
    }

    /// Of a preset whose record the Pod has, in the version of now: it has it, whatever would become of another Pod.
    pub fn has(&mut self, version: &str) {
        let (added, conflicts) = match self.became {
            Became::Applied => (std::mem::take(&mut self.added), std::mem::take(&mut self.conflicts)),
            _ => (Vec::new(), Vec::new()),
        };
        *self = Said { added, conflicts, ..Said::of_record(&self.preset, Became::Applied, version) };
    }
}

/// Says it of every preset that exists for the Pod's namespace, in merge order.
#[must_use]
pub fn verdicts(treated: &Treated, presets: &PresetSet, namespace_labels: &[(String, String)]) -> Vec<Said> {
    let Ok(grafted) = &treated.result else { return Vec::new() };
    let namespace = &treated.workload.namespace;
    let mut said = Vec::new();
    for verdict in &grafted.fates {
        let Some(preset) = find(presets, &verdict.record, namespace) else { continue };
        let mut one = Said {
            preset: verdict.record.clone(),
            became: Became::Applied,
            added: treated.added.get(&verdict.record).cloned().unwrap_or_default(),
            selector: Vec::new(),
            namespace_selector: Vec::new(),
            conflicts: grafted.conflicts.iter().filter(|conflict| conflict.preset == verdict.record).map(Met::of).collect(),
            stopped_by: Vec::new(),
            recorded: None,
            new_pod: None,
            operations: None,
        };
        one.became = match &verdict.fate {
            Fate::Applied => Became::Applied,
            Fate::Excluded => Became::Excluded,
            Fate::Nothing => Became::Nothing,
            Fate::LeftOut => Became::InConflict,
            Fate::Stopped { by } => {
                one.stopped_by.clone_from(by);
                Became::Stopped
            }
            Fate::Shadow { operations } => {
                one.operations = Some(*operations);
                Became::Shadow
            }
            Fate::Skipped => Became::Skipped,
            Fate::NamespaceSelector | Fate::Selector => {
                one.selector = Unmet::among(&preset.spec().selector, &grafted.labels);
                let selector = preset.spec().namespace_selector.as_ref();
                one.namespace_selector = selector.map(|selector| Unmet::among(selector, namespace_labels)).unwrap_or_default();
                Became::NotSelected
            }
        };
        said.push(one);
    }
    said
}

fn find<'s>(presets: &'s PresetSet, record: &str, namespace: &str) -> Option<&'s Preset> {
    let here = |preset: &&Arc<Preset>| match &preset.spec().key.scope {
        Scope::Cluster => true,
        Scope::Namespace(own) => own == namespace,
    };
    presets.presets().iter().filter(here).find(|preset| preset.record() == record).map(AsRef::as_ref)
}
