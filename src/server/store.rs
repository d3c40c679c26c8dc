//! What all stores hold together: one immutable snapshot, which the request path reads without a lock; and which sources it still lacks.

pub mod config_maps;
pub mod custom_resources;
pub mod directory;
pub mod holdings;
pub mod namespaces;
pub mod statuses;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::metrics::{Counter, Metrics, State};
use crate::document::{Problem, Severity};
use crate::preset::{Preset, PresetKey, PresetSet};

/// Problems of one object that Events tell, of one change; the log has all.
const MOST_TOLD: usize = 5;

/// Where presets come from. Of one kind, namespace and name in two stores the earlier of these wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreKind {
    /// Objects of the kinds that Podgraft brings.
    CustomResources,
    /// Labelled ConfigMaps.
    ConfigMaps,
    /// Directories of files.
    Directory,
}

impl StoreKind {
    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            StoreKind::CustomResources => "custom_resources",
            StoreKind::ConfigMaps => "config_maps",
            StoreKind::Directory => "directory",
        }
    }
}

/// A preset that a store has in force.
#[derive(Clone, Debug)]
pub struct Held {
    /// The preset.
    pub preset: Arc<Preset>,
    /// Whether it is the last good version of one that is bad by now.
    pub stale: bool,
    /// Where it stands in the cluster; a file stands nowhere.
    pub object: Option<Arc<Object>>,
}

/// An object of the cluster, as an Event names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// As in `apps/v1`.
    pub api_version: String,
    /// As in `ReplicaSet`.
    pub kind: String,
    /// `None`: it belongs to no namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Empty where it has none yet.
    pub uid: String,
}

/// What one store holds.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Presets in force, one of a kind, namespace and name.
    pub held: Vec<Held>,
    /// Documents that were refused.
    pub refused: usize,
}

/// All presets of one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// In merge order.
    pub presets: PresetSet,
    /// By address of the preset.
    known: HashMap<usize, Known>,
}

#[derive(Debug)]
struct Known {
    applied: Counter,
    object: Option<Arc<Object>>,
}

impl Snapshot {
    /// Counts that a preset of this snapshot was applied.
    pub fn count_applied(&self, preset: &Arc<Preset>) {
        if let Some(known) = self.known.get(&address(preset)) {
            known.applied.inc();
        }
    }

    /// The object that a preset stands in, by the suffix of its record, as Pods of a namespace see it.
    #[must_use]
    pub fn object_of(&self, namespace: &str, record: &str) -> Option<&Arc<Object>> {
        let (_, preset) = match record.strip_prefix("clusterpodpreset-") {
            Some(name) => self.presets.find(None, name),
            None => self.presets.find(Some(namespace), record.strip_prefix("podpreset-")?),
        }?;
        self.known.get(&std::ptr::from_ref(preset).addr())?.object.as_ref()
    }
}

/// The snapshot, and what each store put into it.
#[derive(Debug)]
pub struct Store {
    snapshot: ArcSwap<Snapshot>,
    awaited: ArcSwap<BTreeSet<&'static str>>,
    stores: Mutex<Stores>,
    metrics: Arc<Metrics>,
}

/// A source that the snapshot lacks, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it says that the source was read"]
pub struct Awaited {
    store: Arc<Store>,
    source: &'static str,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.store.await_or_not(|awaited| awaited.remove(self.source));
    }
}

#[derive(Debug, Default)]
struct Stores {
    contents: BTreeMap<StoreKind, Contents>,
    /// Presets that another store has too, which wins; so that it is said once.
    overruled: BTreeSet<(PresetKey, StoreKind)>,
}

impl Store {
    /// An empty one.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Store {
        Store { snapshot: ArcSwap::default(), awaited: ArcSwap::default(), stores: Mutex::default(), metrics }
    }

    /// From now on the snapshot is not complete: a source of this name was not read yet.
    pub fn awaits(self: &Arc<Store>, source: &'static str) -> Awaited {
        self.await_or_not(|awaited| awaited.insert(source));
        Awaited { store: Arc::clone(self), source }
    }

    /// A source that the snapshot still lacks. Ask before you take the snapshot: what was read by now is in the one taken then.
    #[must_use]
    pub fn lacks(&self) -> Option<&'static str> {
        self.awaited.load().first().copied()
    }

    fn await_or_not(&self, change: impl Fn(&mut BTreeSet<&'static str>) -> bool) {
        self.awaited.rcu(|awaited| {
            let mut awaited = BTreeSet::clone(awaited);
            change(&mut awaited);
            awaited
        });
    }

    /// The presets of this moment. Keep it for one review, no longer.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts all that a store holds in force, at once, in place of what it held before.
    pub fn publish(&self, kind: StoreKind, contents: Contents) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.contents.insert(kind, contents);
        let (in_force, overruled) = self.merged(&stores.contents);
        for ((key, store), winner) in &overruled {
            if !stores.overruled.contains(&(key.clone(), *store)) {
                let (store, winner) = (store.word(), winner.word());
                tracing::warn!(preset = %key, store, winner, "the same preset is in another store, which wins");
            }
        }
        stores.overruled = overruled.into_keys().collect();
        let known = |held: &Held| {
            let applied = self.metrics.applied(&held.preset.qualified());
            (address(&held.preset), Known { applied, object: held.object.clone() })
        };
        let known = in_force.iter().map(known).collect();
        let presets = PresetSet::new(in_force.into_iter().map(|held| held.preset).collect());
        self.snapshot.store(Arc::new(Snapshot { presets, known }));
    }

    /// The presets of all stores, those that another store has too with the one that wins; and the gauges that say how many there are.
    fn merged(&self, stores: &BTreeMap<StoreKind, Contents>) -> (Vec<Held>, BTreeMap<(PresetKey, StoreKind), StoreKind>) {
        let mut winners: HashMap<&PresetKey, StoreKind> = HashMap::new();
        let (mut in_force, mut overruled) = (Vec::new(), BTreeMap::new());
        for (kind, contents) in stores {
            let (mut active, mut shadow, mut stale) = (0, 0, 0);
            for held in &contents.held {
                let key = &held.preset.spec().key;
                if let Some(winner) = winners.get(key) {
                    overruled.insert((key.clone(), *kind), *winner);
                    continue;
                }
                winners.insert(key, *kind);
                *match (held.stale, held.preset.is_shadow()) {
                    (true, _) => &mut stale,
                    (_, true) => &mut shadow,
                    _ => &mut active,
                } += 1;
                in_force.push(held.clone());
            }
            let numbers = [(State::Active, active), (State::Shadow, shadow), (State::Stale, stale), (State::Refused, contents.refused)];
            for (state, number) in numbers {
                self.metrics.presets(kind.word(), state, number);
            }
        }
        (in_force, overruled)
    }
}

/// Writes the problems of documents to the log, one line each.
pub fn report<'p>(problems: impl IntoIterator<Item = &'p Problem>) {
    for problem in problems {
        match problem.severity {
            Severity::Error => tracing::error!(%problem, "preset refused"),
            Severity::Warning => tracing::warn!(%problem, "preset"),
        }
    }
}

fn address(preset: &Arc<Preset>) -> usize {
    Arc::as_ptr(preset).addr()
}
