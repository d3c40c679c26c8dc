//! What is watched in a cluster, and who takes it. Until each source was listed, or there is no such kind, no review is answered in which a preset may have a say.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Resource};
use serde::de::DeserializeOwned;

use super::events::Events;
use super::metrics::Metrics;
use super::ready::Ready;
use super::store::Store;
use super::store::config_maps::{self, ConfigMaps};
use super::store::custom_resources::{self, CustomResources};
use super::store::namespaces::{self, Namespaces};
use super::store::statuses::Statuses;
use super::watch::{Around, News, Source, Watch};

/// All watches of the stores. They end with it.
#[derive(Debug)]
pub struct Sources {
    /// The labels of namespaces.
    pub namespaces: Arc<Namespaces>,
    /// Takes what is to be told.
    pub events: Events,
    /// Takes what custom resources have to say of themselves.
    pub statuses: Arc<Statuses>,
    _watches: Vec<Watch>,
}

/// What the sources feed.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Gets the presets.
    pub store: Arc<Store>,
    /// Gets ages and numbers.
    pub metrics: Arc<Metrics>,
    /// Waits for the first list of each.
    pub ready: Ready,
    /// Podgraft's own namespace.
    pub namespace: String,
    /// How long one watch lasts.
    pub lasts: Duration,
}

impl Sources {
    /// Starts watching. Needs a tokio runtime.
    #[must_use]
    pub fn start(client: &Client, fed: &Fed) -> Sources {
        let Fed { store, metrics, ready, namespace, lasts } = fed;
        let around = Around { metrics: Arc::clone(metrics), ready: ready.clone(), lasts: *lasts };
        let events = Events::start(client.clone(), instance(), metrics);
        let mut maps = ConfigMaps::new(namespace.clone(), Arc::clone(store), Arc::clone(metrics), events.clone());
        let known = Namespaces::new(client.clone());
        let statuses = Statuses::start(client.clone());
        let resources = Arc::new(CustomResources::new(Arc::clone(store), Arc::clone(metrics), events.clone(), Arc::clone(&statuses)));
        let mut watches = vec![
            start(config_maps::source(client.clone()), &around, store, move |news| maps.take(news)),
            start(namespaces::source(client.clone()), &around, store, {
                let (known, metrics) = (Arc::clone(&known), Arc::clone(metrics));
                move |news| known.take(news, &metrics)
            }),
        ];
        watches.extend(custom_resources::sources(client).map(|(kind, source)| {
            let resources = Arc::clone(&resources);
            start(source, &around, store, move |news| resources.take(&kind, news))
        }));
        Sources { namespaces: known, events, statuses, _watches: watches }
    }
}

/// Starts a watch, for whose first news the store waits.
fn start<K>(source: Source<K>, around: &Around, store: &Arc<Store>, mut take: impl FnMut(News<K>) + Send + 'static) -> Watch
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut awaited = Some(store.awaits(source.name));
    Watch::start(source, around, move |news| {
        take(news);
        drop(awaited.take());
    })
}

/// The name of the Pod, which tells replicas apart in Events.
fn instance() -> String {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    // As long as the field may be.
    if (1..=128).contains(&name.len()) { name } else { "podgraft".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;

    use super::*;
    use crate::admit::Refusal;
    use crate::decide::Skip;
    use crate::pod;
    use crate::server::reviewer::{Answer, Grafter};
    use crate::server::scripted::{Asked, Scripted, failure, list};

    const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","namespace":"shop",
        "resource":{"group":"","version":"v1","resource":"pods"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},
        "spec":{"containers":[{"name":"app","image":"registry.example/app:1"}]}}}}"#;

    const PRESET: &str =
        "{apiVersion: podgraft.dev/v1beta1, kind: PodPreset, metadata: {name: a}, spec: {selector: {}, env: [{name: A, value: '1'}]}}";

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn where_a_preset_may_have_a_say_nothing_is_answered_until_every_source_was_listed_or_is_none() {
        let open = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&open);
        let server = Scripted::by(move |asked: &Asked| match asked.line.as_str() {
            line if line.contains("watch=true") => (200, String::new()),
            // Not installed; and installed, but Podgraft may not look.
            line if line.contains("/podpresets") => failure(404),
            line if line.contains("/clusterpodpresets") => failure(403),
            line if line.contains("/namespaces") => list("PartialObjectMetadataList", &[], 1),
            _ if gate.load(Ordering::Relaxed) => {
                let metadata = json!({"name": "team", "namespace": "shop", "resourceVersion": "1"});
                list("ConfigMapList", &[json!({"metadata": metadata, "data": {"a.yaml": PRESET}})], 1)
            }
            _ => failure(503),
        });
        let (metrics, ready) = (Arc::new(Metrics::new()), Ready::default());
        let store = Arc::new(Store::new(Arc::clone(&metrics)));
        let namespace = "podgraft".to_owned();
        let fed = Fed { store: Arc::clone(&store), metrics, ready: ready.clone(), namespace, lasts: crate::server::watch::LASTS };
        let sources = Sources::start(&server.client(), &fed);
        let grafter = Grafter {
            store: Arc::clone(&store),
            exempt: Vec::new(),
            namespaces: Some(Arc::clone(&sources.namespaces)),
            events: Events::off(),
            statuses: None,
        };
        let ask = || grafter.answer(REVIEW, &mut String::new());
        // Where no preset has a say, none is missing, and what is no review never becomes one; who opted out may be a preset's all the same.
        let told = |from: &str, to: &str| {
            let mut out = String::new();
            let answer = grafter.answer(&REVIEW.replacen(from, to, 1), &mut out).map(|admission| admission.skipped.map(Skip::word));
            (answer, out.is_empty())
        };
        let annotated = |key: &str, value: &str| format!("\"metadata\":{{\"annotations\":{{\"{key}\":\"{value}\"}},");
        let (mirror, excluded) = (annotated(pod::MIRROR, "x"), annotated(pod::EXCLUDE, "true"));
        assert_eq!(told("CREATE", "UPDATE"), (Ok(Some("NotPodCreate")), false));
        assert_eq!(told("\"metadata\":{", &mirror), (Ok(Some("MirrorPod")), false));
        assert!(matches!(told("\"uid\":\"1\"", "\"uid\":1"), (Err(Refusal::Bad { .. }), true)));
        assert!(matches!(told("\"metadata\":{", &excluded), (Err(Refusal::NotReady(_)), true)));
        while store.lacks() != Some("config_maps") {
            assert!(matches!(ask(), Err(Refusal::NotReady(_))));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(ask().map(|_| ()), Err(Refusal::NotReady("config_maps: not listed yet".to_owned())));
        assert!(!ready.is_ready());
        open.store(true, Ordering::Relaxed);
        // The first answer that there is knows the preset.
        let admission = loop {
            if let Ok(admission) = ask() {
                break admission;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(admission.applied.len(), 1);
    }
}
