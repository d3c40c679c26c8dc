//! What all stores hold together: one immutable snapshot, which the request path reads without a lock.

pub mod directory;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::metrics::{Counter, Metrics, State};
use crate::preset::{Preset, PresetKey, PresetSet};

/// Where presets come from. Of one kind, namespace and name in two stores the earlier of these wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreKind {
    /// Directories of files.
    Directory,
}

impl StoreKind {
    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
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
    applied: HashMap<usize, Counter>,
}

impl Snapshot {
    /// Counts that a preset of this snapshot was applied.
    pub fn count_applied(&self, preset: &Arc<Preset>) {
        if let Some(counter) = self.applied.get(&address(preset)) {
            counter.inc();
        }
    }
}

/// The snapshot, and what each store put into it.
#[derive(Debug)]
pub struct Store {
    snapshot: ArcSwap<Snapshot>,
    stores: Mutex<BTreeMap<StoreKind, Contents>>,
    metrics: Arc<Metrics>,
}

impl Store {
    /// An empty one.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Store {
        Store { snapshot: ArcSwap::default(), stores: Mutex::default(), metrics }
    }

    /// The presets of this moment. Keep it for one review, no longer.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts all that a store holds in force, at once, in place of what it held before.
    pub fn publish(&self, kind: StoreKind, contents: Contents) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.insert(kind, contents);
        let presets = self.merged(&stores);
        let applied = presets.iter().map(|preset| (address(preset), self.metrics.applied(&preset.qualified()))).collect();
        self.snapshot.store(Arc::new(Snapshot { presets: PresetSet::new(presets), applied }));
    }

    /// The presets of all stores, and the gauges that say how many there are.
    fn merged(&self, stores: &BTreeMap<StoreKind, Contents>) -> Vec<Arc<Preset>> {
        let mut winners: HashMap<&PresetKey, StoreKind> = HashMap::new();
        let mut presets = Vec::new();
        for (kind, contents) in stores {
            let (mut active, mut shadow, mut stale) = (0, 0, 0);
            for held in &contents.held {
                let key = &held.preset.spec().key;
                if let Some(winner) = winners.get(key) {
                    tracing::warn!(preset = %key, store = kind.word(), winner = winner.word(), "the same preset is in another store, which wins");
                    continue;
                }
                winners.insert(key, *kind);
                *match (held.stale, held.preset.is_shadow()) {
                    (true, _) => &mut stale,
                    (_, true) => &mut shadow,
                    _ => &mut active,
                } += 1;
                presets.push(Arc::clone(&held.preset));
            }
            let numbers = [(State::Active, active), (State::Shadow, shadow), (State::Stale, stale), (State::Refused, contents.refused)];
            for (state, number) in numbers {
                self.metrics.presets(kind.word(), state, number);
            }
        }
        presets
    }
}

fn address(preset: &Arc<Preset>) -> usize {
    Arc::as_ptr(preset).addr()
}
