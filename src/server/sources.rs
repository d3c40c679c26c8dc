//! What is watched in a cluster, and who takes it.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use super::events::Events;
use super::metrics::Metrics;
use super::ready::Ready;
use super::store::Store;
use super::store::config_maps::{self, ConfigMaps};
use super::store::custom_resources::{self, CustomResources};
use super::store::namespaces::{self, Namespaces};
use super::store::statuses::Statuses;
use super::watch::{Around, Watch};

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
            Watch::start(config_maps::source(client.clone()), &around, move |news| maps.take(news)),
            Watch::start(namespaces::source(client.clone()), &around, {
                let (known, metrics) = (Arc::clone(&known), Arc::clone(metrics));
                move |news| known.take(news, &metrics)
            }),
        ];
        watches.extend(custom_resources::sources(client).map(|(kind, source)| {
            let resources = Arc::clone(&resources);
            Watch::start(source, &around, move |news| resources.take(&kind, news))
        }));
        Sources { namespaces: known, events, statuses, _watches: watches }
    }
}

/// The name of the Pod, which tells replicas apart in Events.
fn instance() -> String {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    // As long as the field may be.
    if (1..=128).contains(&name.len()) { name } else { "podgraft".to_owned() }
}
