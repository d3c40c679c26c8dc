//! The immutable snapshot of all presets, and its index.
//!
//! A preset is found under its namespace and the rarest label that its selector requires, so a review costs the same at one preset and at ten
//! thousand. Selectors that require no label (empty ones, or only `NotIn` and `DoesNotExist`) are asked one by one.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Preset, PresetKey, Scope};
use crate::selector::{Labels, Requirement};

/// All presets of one moment, in merge order.
#[derive(Debug, Default)]
pub struct PresetSet {
    presets: Vec<Arc<Preset>>,
    cluster: Index,
    namespaces: HashMap<String, Index>,
    /// Places, sorted by namespace and name.
    by_key: Vec<u32>,
}

#[derive(Debug, Default)]
struct Index {
    /// By label and value.
    pairs: HashMap<(String, String), Vec<u32>>,
    /// By label alone: `Exists`.
    keys: HashMap<String, Vec<u32>>,
    /// Those that require no label.
    any: Vec<u32>,
}

/// First layer, other cluster presets, namespaced ones; in each by priority, high to low; then by name.
fn order(left: &Preset, right: &Preset) -> Ordering {
    let class = |preset: &Preset| match (preset.is_first_layer(), &preset.spec().key.scope) {
        (true, _) => 0,
        (false, Scope::Cluster) => 1,
        (false, Scope::Namespace(_)) => 2,
    };
    class(left)
        .cmp(&class(right))
        .then_with(|| right.spec().priority.cmp(&left.spec().priority))
        .then_with(|| left.spec().key.name.cmp(&right.spec().key.name))
        .then_with(|| left.spec().key.scope.cmp(&right.spec().key.scope))
}

/// Namespace and name.
fn names(preset: &Preset) -> (Option<&str>, &str) {
    let PresetKey { scope, name } = &preset.spec().key;
    match scope {
        Scope::Cluster => (None, name),
        Scope::Namespace(namespace) => (Some(namespace), name),
    }
}

impl PresetSet {
    /// Sorts and indexes presets. Of two with the same kind, namespace and name the first in the list counts.
    #[must_use]
    pub fn new(mut presets: Vec<Arc<Preset>>) -> PresetSet {
        presets.sort_by(|left, right| order(left, right));
        presets.dedup_by(|later, earlier| later.spec().key == earlier.spec().key);
        let mut shared: HashMap<(&str, &str), u32> = HashMap::new();
        for preset in &presets {
            for requirement in &preset.spec().selector.requirements {
                if let Requirement::In(key, values) = requirement {
                    for value in values {
                        *shared.entry((key, value)).or_default() += 1;
                    }
                }
            }
        }
        let mut set = PresetSet::default();
        for (place, preset) in presets.iter().enumerate() {
            let place = place as u32;
            let index = match &preset.spec().key.scope {
                Scope::Cluster => &mut set.cluster,
                Scope::Namespace(namespace) => set.namespaces.entry(namespace.clone()).or_default(),
            };
            index.insert(place, preset, &shared);
            set.by_key.push(place);
        }
        drop(shared);
        set.by_key.sort_unstable_by_key(|place| names(&presets[*place as usize]));
        set.presets = presets;
        set
    }

    /// All presets, in merge order.
    #[must_use]
    pub fn presets(&self) -> &[Arc<Preset>] {
        &self.presets
    }

    /// The preset of this name in a namespace (`None`: the `ClusterPodPreset`), and its place in merge order.
    #[must_use]
    pub fn find(&self, namespace: Option<&str>, name: &str) -> Option<(u32, &Preset)> {
        let wanted = (namespace, name);
        let index = self.by_key.binary_search_by(|place| names(&self.presets[*place as usize]).cmp(&wanted)).ok()?;
        let place = *self.by_key.get(index)?;
        Some((place, self.presets.get(place as usize)?))
    }

    /// The places of the presets whose Pod selector matches these labels, and which are not in `found` yet, appended to it. Namespace
    /// selectors are not asked here.
    pub fn select<'l>(&self, namespace: &str, labels: impl Iterator<Item = (&'l str, &'l str)> + Clone, found: &mut Vec<u32>) {
        let start = found.len();
        let indexes = [Some(&self.cluster), self.namespaces.get(namespace)];
        for index in indexes.into_iter().flatten() {
            found.extend_from_slice(&index.any);
            if index.pairs.is_empty() && index.keys.is_empty() {
                continue;
            }
            for (key, value) in labels.clone() {
                if let Some(places) = index.pairs.get(&Pair(key, value) as &dyn AsPair) {
                    found.extend_from_slice(places);
                }
                if let Some(places) = index.keys.get(key) {
                    found.extend_from_slice(places);
                }
            }
        }
        let asked = Asked { labels, life: PhantomData };
        let mut kept = start;
        for candidate in start..found.len() {
            let place = found[candidate];
            if !found[..kept].contains(&place) && self.presets[place as usize].spec().selector.matches(&asked) {
                found[kept] = place;
                kept += 1;
            }
        }
        found.truncate(kept);
    }
}

impl Index {
    fn insert(&mut self, place: u32, preset: &Preset, shared: &HashMap<(&str, &str), u32>) {
        let requirements = &preset.spec().selector.requirements;
        let commonness = |requirement: &Requirement| match requirement {
            Requirement::In(key, values) => {
                Some(values.iter().map(|value| shared.get(&(key.as_str(), value.as_str())).copied().unwrap_or_default()).sum::<u32>())
            }
            Requirement::Exists(_) => Some(u32::MAX),
            _ => None,
        };
        let rarest = requirements.iter().filter_map(|requirement| commonness(requirement).map(|common| (common, requirement)));
        match rarest.min_by_key(|(common, _)| *common).map(|(_, requirement)| requirement) {
            Some(Requirement::In(key, values)) => {
                for value in values {
                    let places = self.pairs.entry((key.clone(), value.clone())).or_default();
                    if places.last() != Some(&place) {
                        places.push(place);
                    }
                }
            }
            Some(Requirement::Exists(key)) => self.keys.entry(key.clone()).or_default().push(place),
            _ => self.any.push(place),
        }
    }
}

struct Asked<'l, I> {
    labels: I,
    life: PhantomData<&'l str>,
}

impl<'l, I: Iterator<Item = (&'l str, &'l str)> + Clone> Labels for Asked<'l, I> {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.clone().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

/// A pair of borrowed texts as the key of a map that owns its keys.
trait AsPair {
    fn pair(&self) -> (&str, &str);
}

struct Pair<'p>(&'p str, &'p str);

impl AsPair for Pair<'_> {
    fn pair(&self) -> (&str, &str) {
        (self.0, self.1)
    }
}

impl AsPair for (String, String) {
    fn pair(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }
}

impl<'p> std::borrow::Borrow<dyn AsPair + 'p> for (String, String) {
    fn borrow(&self) -> &(dyn AsPair + 'p) {
        self
    }
}

impl PartialEq for dyn AsPair + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.pair() == other.pair()
    }
}

impl Eq for dyn AsPair + '_ {}

impl std::hash::Hash for dyn AsPair + '_ {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pair().hash(state);
    }
}
