//! Presets from custom resources: `podpresets` and `clusterpodpresets` of `podgraft.dev`, one preset each.
//!
//! They are optional. Where they are not installed everything else works; once they are, they are watched.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::holdings::{Holdings, Remnant};
use super::statuses::{Seen, Statuses};
use super::{MOST_TOLD, Object, Store, StoreKind};
use crate::crd::{KINDS, Kind, VERSION};
use crate::document::{self, Document, GROUP, Problem, ReadOptions, Reading, Severity};
use crate::preset::{PresetKey, Scope};
use crate::server::events::{Events, Note, Reason};
use crate::server::metrics::{Metrics, Reload};
use crate::server::watch::{Change, News, Source};

/// What is watched: a source a kind.
#[must_use]
pub fn sources(client: &Client) -> [(Kind, Source<DynamicObject>); 2] {
    KINDS.map(|kind| {
        let api = Api::all_with(client.clone(), &resource(&kind));
        (kind, Source { optional: true, ..Source::all(kind.plural, api) })
    })
}

/// A kind as kube names it.
#[must_use]
pub fn resource(kind: &Kind) -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        api_version: format!("{GROUP}/{VERSION}"),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    }
}

/// Reads an object of our kinds, given as JSON, as the document that it is.
#[must_use]
pub fn read(kind: &Kind, namespace: &str, name: &str, spec: &Value) -> Option<Document> {
    let mut metadata = json!({"name": name});
    if !kind.cluster {
        metadata["namespace"] = json!(namespace);
    }
    let text = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind.kind, "metadata": metadata, "spec": spec}).to_string();
    let source = if kind.cluster { format!("{} {name}", kind.plural) } else { format!("{} {namespace}/{name}", kind.plural) };
    document::read(&source, &text, &ReadOptions { default_namespace: namespace }).pop()
}

/// A problem without line and column, which a custom resource does not have.
#[must_use]
pub fn said(problem: &Problem) -> String {
    if problem.path.is_empty() { problem.text.clone() } else { format!("{}: {}", problem.path, problem.text) }
}

/// All custom resources as one store, fed by two watches.
#[derive(Debug)]
pub struct CustomResources {
    holdings: Mutex<Holdings<PresetKey>>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    events: Events,
    statuses: Arc<Statuses>,
}

impl CustomResources {
    /// None yet.
    #[must_use]
    pub fn new(store: Arc<Store>, metrics: Arc<Metrics>, events: Events, statuses: Arc<Statuses>) -> CustomResources {
        CustomResources { holdings: Mutex::default(), store, metrics, events, statuses }
    }

    /// Takes over what was seen of a kind, and puts it in force.
    pub fn take(&self, kind: &Kind, news: News<DynamicObject>) {
        let mut holdings = self.holdings.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::All(objects) => {
                let there: BTreeSet<PresetKey> = objects.iter().map(|object| key(kind, object)).collect();
                for object in objects {
                    self.put(&mut holdings, kind, object);
                }
                self.retain(&mut holdings, kind, |key| there.contains(key));
            }
            News::Changes(changes) => {
                for change in changes {
                    match change {
                        Change::Is(object) => self.put(&mut holdings, kind, object),
                        Change::Gone(object) => {
                            let gone = key(kind, &object);
                            self.retain(&mut holdings, kind, |key| *key != gone);
                        }
                    }
                }
            }
            News::Absent => self.retain(&mut holdings, kind, |_| false),
        }
        if !holdings.changed() {
            return;
        }
        // The API server keeps one object a name.
        let _ = holdings.settle();
        self.store.publish(StoreKind::CustomResources, holdings.contents());
        self.metrics.reloaded(Reload::Presets, holdings.is_fine());
        let (held, refused) = holdings.numbers();
        tracing::info!(store = StoreKind::CustomResources.word(), presets = held, refused, "presets read again");
    }

    fn retain(&self, holdings: &mut Holdings<PresetKey>, kind: &Kind, keep: impl Fn(&PresetKey) -> bool) {
        let stays = |key: &PresetKey| (key.scope == Scope::Cluster) != kind.cluster || keep(key);
        holdings.retain(stays);
        self.statuses.retain(stays);
    }

    fn put(&self, holdings: &mut Holdings<PresetKey>, kind: &Kind, object: DynamicObject) {
        let key = key(kind, &object);
        let DynamicObject { metadata, mut data, .. } = object;
        let spec = data.get_mut("spec").map(Value::take).unwrap_or_default();
        let status = data.get_mut("status").map(Value::take).unwrap_or_default();
        let (uid, generation) = (metadata.uid.unwrap_or_default(), metadata.generation.unwrap_or_default());
        let print = Ok(Sha256::new().chain_update(&uid).chain_update([0]).chain_update(spec.to_string()).finalize().into());
        if holdings.has(&key, &print) {
            self.statuses.written(&key, generation, status);
            return;
        }
        let about = Arc::new(Object {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: kind.kind.to_owned(),
            namespace: metadata.namespace,
            name: key.name.clone(),
            uid,
        });
        let document = read(kind, about.namespace.as_deref().unwrap_or_default(), &key.name, &spec);
        let mut seen = Seen { object: Arc::clone(&about), generation, version: None, shadow: false, wrong: Vec::new() };
        let mut remnants = Vec::new();
        if let Some(document) = document {
            for problem in &document.problems {
                let said = said(problem);
                if problem.severity == Severity::Error {
                    tracing::error!(preset = %key, problem = said, "preset refused");
                    if seen.wrong.len() < MOST_TOLD {
                        self.events.tell(Note { about: Object::clone(&about), reason: Reason::Refused, text: said.clone() });
                    }
                    seen.wrong.push(said);
                } else {
                    tracing::warn!(preset = %key, problem = said, "preset");
                }
            }
            if let Reading::Preset(spec) = &document.reading {
                seen.version = Some(spec.version.clone());
                seen.shadow = spec.mode == crate::preset::Mode::Shadow;
            }
            remnants.extend(Remnant::of(document));
        }
        holdings.put(key.clone(), print, Some(about), remnants);
        self.statuses.seen(key, seen, status);
    }
}

fn key(kind: &Kind, object: &DynamicObject) -> PresetKey {
    let scope = if kind.cluster { Scope::Cluster } else { Scope::Namespace(object.metadata.namespace.clone().unwrap_or_default()) };
    PresetKey { scope, name: object.metadata.name.clone().unwrap_or_default() }
}
