//! Which presets a Pod gets: selection sees the labels that the Pod will have.
//!
//! Labels that selected presets add may bring in further presets, to a fixpoint; a preset once selected stays, and so does one that is
//! recorded on the Pod with the same version. So the patched Pod selects nothing new.

use super::Member;
use crate::pod::{self, PodLabels};
use crate::preset::{Preset, PresetSet};
use crate::tree::Tree;

/// The labels of the request's namespace are not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotReady;

/// Everything that selection looks at.
pub struct Choice<'c, 'a> {
    /// The presets.
    pub set: &'a PresetSet,
    /// The namespace of the request.
    pub namespace: &'c str,
    /// The namespace's labels, asked for only where a namespace selector needs them.
    pub namespace_labels: &'c dyn Fn() -> Option<&'c [(String, String)]>,
    /// Labels that a controller will set.
    pub extra_labels: &'c [(String, String)],
    /// Presets without `optOut: Denied` are kept away: the exclude annotation, or the second layer has stopped.
    pub only_first_layer: bool,
    /// Names that `podgraft.dev/exclude` lists.
    pub left_out: Vec<String>,
}

/// What earlier rounds of selecting and merging found out.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    /// Presets whose labels do not count.
    pub banned: Vec<u32>,
    /// Presets that are selected whatever the labels say.
    pub forced: Vec<u32>,
    /// Presets with labels that were applied when others were selected because of these.
    pub returned: Vec<u32>,
    /// Presets that are left out, since what their labels bring in stands against them.
    pub kept_out: Vec<u32>,
}

impl<'a> Choice<'_, 'a> {
    /// The presets for a Pod, in merge order.
    pub(super) fn members(&self, tree: &Tree<'a>, corrections: &Corrections) -> Result<Vec<Member<'a>>, NotReady> {
        let recorded = self.recorded(tree)?;
        let mut chosen: Vec<u32> = recorded.clone();
        chosen.extend(corrections.forced.iter().filter(|place| !recorded.contains(place)));
        let mut added: Vec<(&str, &str)> = Vec::new();
        loop {
            self.choose(tree, &added, &mut chosen)?;
            let labels = self.labels_of(tree, &chosen, corrections);
            if labels == added {
                break;
            }
            added = labels;
        }
        chosen.sort_unstable();
        let member = |place: u32| {
            let preset = self.preset(place);
            let believed = !preset.is_first_layer() && recorded.contains(&place);
            Member { preset, place, believed, kept_out: corrections.kept_out.contains(&place) }
        };
        Ok(chosen.into_iter().map(member).collect())
    }

    /// The presets that the labels of a finished Pod select and that are not among these.
    pub(super) fn newly_selected(&self, tree: &Tree<'_>, members: &[Member<'a>]) -> Result<Vec<u32>, NotReady> {
        let mut chosen: Vec<u32> = members.iter().map(|member| member.place).collect();
        let known = chosen.len();
        self.choose(tree, &[], &mut chosen)?;
        Ok(chosen.split_off(known))
    }

    fn preset(&self, place: u32) -> &'a Preset {
        &self.set.presets()[place as usize]
    }

    fn choose(&self, tree: &Tree<'_>, added: &[(&str, &str)], chosen: &mut Vec<u32>) -> Result<(), NotReady> {
        let labels = PodLabels { tree, extra: self.extra_labels };
        let mut kept = chosen.len();
        self.set.select(self.namespace, labels.iter().chain(added.iter().copied()), chosen);
        let found = kept..chosen.len();
        for candidate in found {
            if self.admits(self.preset(chosen[candidate]))? {
                chosen.swap(kept, candidate);
                kept += 1;
            }
        }
        chosen.truncate(kept);
        Ok(())
    }

    /// Whether exclusions and the namespace let a preset in.
    fn admits(&self, preset: &Preset) -> Result<bool, NotReady> {
        let excluded = self.only_first_layer || self.left_out.contains(&preset.spec().key.name);
        if excluded && !preset.is_first_layer() {
            return Ok(false);
        }
        match &preset.spec().namespace_selector {
            Some(selector) if !selector.requirements.is_empty() => {
                let labels = (self.namespace_labels)().ok_or(NotReady)?;
                Ok(selector.matches(labels))
            }
            _ => Ok(true),
        }
    }

    /// The presets that are recorded on the Pod with the version that they have now.
    fn recorded(&self, tree: &Tree<'_>) -> Result<Vec<u32>, NotReady> {
        let mut places = Vec::new();
        for (suffix, version) in pod::records(tree) {
            let found = match (suffix.strip_prefix("podpreset-"), suffix.strip_prefix("clusterpodpreset-")) {
                (Some(name), _) => self.set.find(Some(self.namespace), name),
                (_, Some(name)) => self.set.find(None, name),
                _ => continue,
            };
            let Some((place, preset)) = found else { continue };
            if preset.version() == version && self.admits(preset)? {
                places.push(place);
            }
        }
        Ok(places)
    }

    /// The labels that presets add to a Pod which has none of these keys; of two presets the earlier.
    fn labels_of(&self, tree: &Tree<'_>, chosen: &[u32], corrections: &Corrections) -> Vec<(&'a str, &'a str)> {
        let mut added: Vec<(&str, &str)> = Vec::new();
        if chosen.iter().all(|place| labels_of(self.preset(*place)).next().is_none()) {
            return added;
        }
        let mut in_order: Vec<u32> = chosen.to_vec();
        in_order.sort_unstable();
        for place in in_order {
            let preset = self.preset(place);
            if preset.is_shadow() || corrections.banned.contains(&place) || corrections.kept_out.contains(&place) {
                continue;
            }
            for (key, value) in labels_of(preset) {
                let there = pod::labels(tree).any(|(known, _)| known == key) || added.iter().any(|(known, _)| *known == key);
                if !there {
                    added.push((key, value));
                }
            }
        }
        added
    }
}

/// The labels of a preset's template.
pub(super) fn labels_of(preset: &Preset) -> impl Iterator<Item = (&str, &str)> {
    let fragment = preset.fragment();
    let labels = fragment.entries(&["template", "metadata", "labels"]);
    labels.map(|label| (fragment.tree().key(label), fragment.tree().str(label).unwrap_or_default()))
}
