//! Where the certificate comes from, put together: the identity that is shown, who keeps it good, and what is watched for that.

use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::config::{Certificate, Config, UsageError};
use super::identity::secret::{SecretPair, Seen};
use super::identity::trust::Registration;
use super::identity::{self, Identity, Keeper, Pair, PairFiles, Source};
use super::managed_certs::{Kept, Managed};
use super::metrics::Metrics;
use super::poll::{Bell, Poll};
use super::ready::Ready;
use super::watch::{Around, Watch};
use super::{secret_certs, webhook_config};

/// Goes on until it is dropped.
#[derive(Debug)]
pub struct Certificates {
    /// What is shown.
    pub identity: Arc<Identity>,
    _poll: Poll,
    _watches: Vec<Watch>,
    _managed: JoinSet<()>,
}

impl Certificates {
    /// Starts keeping the certificate that the configuration asks for. Needs a tokio runtime.
    ///
    /// # Errors
    /// A certificate that cannot be read or made. What comes from the cluster may come later.
    pub fn start(config: &Config, cluster: Option<&Client>, metrics: &Arc<Metrics>, ready: &Ready) -> Result<Certificates, UsageError> {
        let (bell, mut watches, mut managed) = (Bell::default(), Vec::new(), JoinSet::new());
        let around = Around { metrics: Arc::clone(metrics), ready: ready.clone(), lasts: config.watch };
        let registration = cluster.zip(config.webhook_configuration.as_deref()).map(|(client, name)| {
            let (sender, receiver) = watch::channel(Arc::new(Registration::Unread));
            watches.extend(webhook_config::watch(client, name, &around, &sender, &bell));
            receiver
        });
        let identity = Arc::new(Identity::default());
        let source = match &config.certificate {
            Certificate::Ephemeral => {
                let names = identity::names(&config.service, &config.namespace);
                identity.show(Pair::ephemeral(&names, identity::unix_now()).map_err(|error| UsageError(error.to_string()))?);
                Source::Ephemeral(names)
            }
            Certificate::Files { cert, key } => {
                let (files, pair) = PairFiles::open(cert, key).map_err(|error| {
                    let (cert, key) = (cert.display(), key.display());
                    UsageError(format!("no certificate from --tls-cert {cert} and --tls-key {key}: {error}"))
                })?;
                identity.show(pair);
                Source::Files(files)
            }
            Certificate::Secret { name } | Certificate::Managed { name, .. } => {
                let client = cluster.ok_or_else(|| UsageError("a Secret needs a cluster to be read from".to_owned()))?;
                let (sender, seen) = watch::channel(Seen::Unread(None));
                watches.push(secret_certs::watch(client.clone(), &config.namespace, name, &around, sender, bell.clone()));
                if let Certificate::Managed { lives, .. } = config.certificate {
                    let kept = Kept {
                        namespace: config.namespace.clone(),
                        secret: name.clone(),
                        service: config.service.clone(),
                        configuration: config.webhook_configuration.clone(),
                        lives,
                    };
                    let known = registration.clone().unwrap_or_else(unknown);
                    let keeping = Managed::new(client, kept, seen.clone(), known, Arc::clone(&identity), me());
                    managed.spawn(keeping.run(Arc::clone(metrics)));
                }
                Source::Secret(SecretPair::new(format!("{}/{name}", config.namespace), seen))
            }
        };
        let look = config.look;
        let mut keeper = Keeper::new(source, registration, Arc::clone(&identity), Arc::clone(metrics), ready.clone(), look);
        let poll = Poll::start_with("podgraft-certs", look, bell, Arc::clone(metrics), move || keeper.tick());
        Ok(Certificates { identity, _poll: poll, _watches: watches, _managed: managed })
    }
}

/// A registration that nobody looks for.
fn unknown() -> watch::Receiver<Arc<Registration>> {
    watch::channel(Arc::new(Registration::Unreadable("--webhook-configuration names none".to_owned()))).1
}

/// A name of this replica's own: its Pod's where there is one, and a number of its own, as a Pod's containers are restarted.
fn me() -> String {
    use std::hash::BuildHasher;
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "podgraft".to_owned());
    // Each state is seeded at random.
    format!("{host}-{:016x}", std::hash::RandomState::new().hash_one(std::process::id()))
}
