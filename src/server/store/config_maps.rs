//! Presets from ConfigMaps with the label `podgraft.dev/presets: "true"`, in all namespaces: every key of `data` holds documents.
//!
//! A `PodPreset` applies in the namespace of its ConfigMap and nowhere else, and a `ClusterPodPreset` counts in Podgraft's own namespace
//! only: whoever may write ConfigMaps in one namespace has no say in another.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use sha2::{Digest, Sha256};

use super::holdings::{Holdings, Remnant};
use super::{MOST_TOLD, Object, Store, StoreKind, report};
use crate::document::{self, Document, Problem, ReadOptions, Reading, Severity};
use crate::preset::Scope;
use crate::server::events::{Events, Note, Reason};
use crate::server::metrics::{Metrics, Reload};
use crate::server::watch::{Change, News, Source};

/// The label of ConfigMaps that hold presets. Its value is `true`.
pub const LABEL: &str = "podgraft.dev/presets";

/// What is watched.
#[must_use]
pub fn source(client: kube::Client) -> Source<ConfigMap> {
    Source { labels: Some(format!("{LABEL}=true")), ..Source::all(StoreKind::ConfigMaps.word(), Api::all(client)) }
}

/// Reads the documents of one key of a ConfigMap. What does not count there is refused.
#[must_use]
pub fn read(place: &Place<'_>, key: &str, text: &str) -> Vec<Document> {
    let source = format!("configmap {}/{} key {key}", place.namespace, place.name);
    let stem = key.rsplit_once('.').map_or(key, |(stem, _)| stem);
    let stem = if stem.is_empty() { key } else { stem };
    let mut documents = document::read_named(&source, text, &ReadOptions { default_namespace: place.namespace }, Some(stem));
    for document in &mut documents {
        let foreign = document.key().and_then(|key| match &key.scope {
            Scope::Namespace(stated) if stated != place.namespace => Some(format!(
                "the PodPresets of a ConfigMap are for its own namespace, which is {}: remove the namespace, or put the ConfigMap into {stated}",
                place.namespace
            )),
            Scope::Cluster if place.namespace != place.own => Some(format!(
                "a ClusterPodPreset counts in a ConfigMap of Podgraft's own namespace only, which is {}: put it there, or make it a PodPreset",
                place.own
            )),
            _ => None,
        });
        if let Some(text) = foreign {
            // No key: it must not stand in the way of the preset that has that name where this one does not belong.
            document.reading = Reading::Refused { key: None };
            let (line, column) = document.named;
            let problem = Problem { severity: Severity::Error, source: source.clone(), line, column, path: "metadata".to_owned(), text };
            document.problems.push(problem);
            document.problems.sort_by_key(|problem| (problem.line, problem.column));
        }
    }
    documents
}

/// Where a ConfigMap is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    /// Podgraft's own namespace.
    pub own: &'p str,
    /// The ConfigMap's.
    pub namespace: &'p str,
    /// The ConfigMap's name.
    pub name: &'p str,
}

/// One key of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Unit {
    namespace: String,
    name: String,
    key: String,
}

/// All labelled ConfigMaps as one store.
#[derive(Debug)]
pub struct ConfigMaps {
    own: String,
    holdings: Holdings<Unit>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    events: Events,
}

impl ConfigMaps {
    /// None yet. `own`: Podgraft's own namespace.
    #[must_use]
    pub fn new(own: String, store: Arc<Store>, metrics: Arc<Metrics>, events: Events) -> ConfigMaps {
        ConfigMaps { own, holdings: Holdings::default(), store, metrics, events }
    }

    /// Takes over what was seen, and puts it in force.
    pub fn take(&mut self, news: News<ConfigMap>) {
        let mut problems: Vec<(Arc<Object>, Problem)> = Vec::new();
        match news {
            News::All(maps) => {
                let mut there = BTreeSet::new();
                for map in maps {
                    there.extend(self.put(map, &mut problems));
                }
                self.holdings.retain(|unit| there.contains(unit));
            }
            News::Changes(changes) => {
                for change in changes {
                    match change {
                        Change::Is(map) => {
                            let (namespace, name) = names(&map);
                            let there: BTreeSet<Unit> = self.put(map, &mut problems).into_iter().collect();
                            self.holdings.retain(|unit| !(unit.namespace == namespace && unit.name == name) || there.contains(unit));
                        }
                        Change::Gone(map) => {
                            let (namespace, name) = names(&map);
                            self.holdings.retain(|unit| !(unit.namespace == namespace && unit.name == name));
                        }
                    }
                }
            }
            News::Absent => self.holdings.retain(|_| false),
        }
        if !self.holdings.changed() {
            return;
        }
        let twins = self.holdings.settle();
        problems.extend(twins.into_iter().filter_map(|(unit, problem)| Some((self.holdings.object(&unit)?, problem))));
        self.store.publish(StoreKind::ConfigMaps, self.holdings.contents());
        report(problems.iter().map(|(_, problem)| problem));
        self.tell(&problems);
        self.metrics.reloaded(Reload::Presets, self.holdings.is_fine());
        let (held, refused) = self.holdings.numbers();
        tracing::info!(store = StoreKind::ConfigMaps.word(), presets = held, refused, "presets read again");
    }

    /// Reads what is new in a ConfigMap; returns all its keys.
    fn put(&mut self, map: ConfigMap, problems: &mut Vec<(Arc<Object>, Problem)>) -> Vec<Unit> {
        let (namespace, name) = names(&map);
        let uid = map.metadata.uid.unwrap_or_default();
        let object = Arc::new(Object {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: Some(namespace.clone()),
            name: name.clone(),
            uid: uid.clone(),
        });
        let mut units = Vec::new();
        for (key, text) in map.data.unwrap_or_default() {
            let unit = Unit { namespace: namespace.clone(), name: name.clone(), key };
            let print = Ok(Sha256::new().chain_update(&uid).chain_update([0]).chain_update(&text).finalize().into());
            if !self.holdings.has(&unit, &print) {
                let place = Place { own: &self.own, namespace: &namespace, name: &name };
                let documents = read(&place, &unit.key, &text).into_iter().filter_map(|mut document| {
                    problems.extend(document.problems.drain(..).map(|problem| (Arc::clone(&object), problem)));
                    Remnant::of(document)
                });
                let documents = documents.collect();
                self.holdings.put(unit.clone(), print, Some(Arc::clone(&object)), documents);
            }
            units.push(unit);
        }
        units
    }

    /// Tells errors where others see them: on the ConfigMap.
    fn tell(&self, problems: &[(Arc<Object>, Problem)]) {
        let mut last: Option<(&Arc<Object>, usize)> = None;
        for (object, problem) in problems.iter().filter(|(_, problem)| problem.severity == Severity::Error) {
            let told = match last {
                Some((before, told)) if Arc::ptr_eq(before, object) => told + 1,
                _ => 0,
            };
            last = Some((object, told));
            if told < MOST_TOLD {
                self.events.tell(Note { about: Object::clone(object), reason: Reason::Refused, text: problem.to_string() });
            }
        }
    }
}

fn names(map: &ConfigMap) -> (String, String) {
    (map.metadata.namespace.clone().unwrap_or_default(), map.metadata.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    use kube::core::ObjectMeta;

    use super::*;

    const MAPS: usize = 20;

    /// A ConfigMap for each preset, all of one value.
    fn maps(value: &str) -> Vec<ConfigMap> {
        let map = |number: usize| {
            let name = format!("p{number}");
            let text = format!(
                "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: {name}}}\nspec: {{selector: {{}}, env: [{{name: A, value: '{value}'}}]}}\n"
            );
            let metadata = ObjectMeta { name: Some(name), namespace: Some("shop".to_owned()), ..ObjectMeta::default() };
            ConfigMap { metadata, data: Some([("a.yaml".to_owned(), text)].into()), ..ConfigMap::default() }
        };
        (0..MAPS).map(map).collect()
    }

    /// The versions of all presets of one moment.
    fn versions(store: &Store) -> Vec<Option<String>> {
        let snapshot = store.snapshot();
        (0..MAPS).map(|number| Some(snapshot.presets.find(Some("shop"), &format!("p{number}"))?.1.version().to_owned())).collect()
    }

    #[test]
    fn who_reads_while_all_is_listed_again_sees_all_of_before_or_all_of_after() {
        let metrics = Arc::new(Metrics::new());
        let store = Arc::new(Store::new(Arc::clone(&metrics)));
        let mut config_maps = ConfigMaps::new("podgraft".to_owned(), Arc::clone(&store), metrics, Events::off());
        let sides = ["1", "2"].map(|value| {
            config_maps.take(News::All(maps(value)));
            versions(&store)
        });
        assert!(sides[0] != sides[1] && sides.iter().flatten().all(Option::is_some), "{sides:?}");
        let (over, seen) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 2]);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let now = versions(&store);
                        match sides.iter().position(|side| *side == now) {
                            Some(side) => seen[side].fetch_add(1, Ordering::Relaxed),
                            None => panic!("a part of a list: {now:?}"),
                        };
                    }
                });
            }
            for _ in 0..100 {
                for value in ["1", "2"] {
                    config_maps.take(News::All(maps(value)));
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(seen.iter().all(|times| times.load(Ordering::Relaxed) > 0), "the readers saw one side only: {seen:?}");
    }
}
