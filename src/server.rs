//! `podgraft serve`: wires the rooms, binds, marks ready, waits, drains.
//!
//! The order is that of linkerd2-proxy's `main`: log, crypto provider and configuration are settled before a port is bound, so that whatever
//! is wrong with them is one sentence and an exit status, not a server that limps.

pub mod admin;
pub mod args;
pub mod banner;
pub mod body;
pub mod certificates;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod events;
pub mod http;
pub mod identity;
pub mod listen;
pub mod managed_certs;
pub mod memory;
pub mod metrics;
pub mod named;
pub mod poll;
pub mod ready;
pub mod reply;
pub mod reviewer;
#[cfg(test)]
mod scripted;
pub mod secret_certs;
pub mod shutdown;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod units;
pub mod validate;
pub mod watch;
pub mod webhook_config;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use kube::Client;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use args::{Address, ServeArgs};
use certificates::Certificates;
pub use config::UsageError;
use config::{Config, Limits, Surroundings};
use events::Events;
use listen::{Full, Port};
use metrics::Metrics;
use poll::Poll;
use ready::Ready;
use reviewer::{Answer, Grafter, Reviewer};
use shutdown::{Departure, Shutdown, Signals};
use sources::{Fed, Sources};
use store::Store;
use store::directory::Directories;
use validate::{Authors, Validator};

/// Connections to the admin port; a budget of its own, so that no load on the webhook keeps kubelet's probes out.
const ADMIN_CONNECTIONS: usize = 64;

/// How long such a connection may say nothing, or take for a header: kubelet connects anew for every probe, and whoever is not heard of goes.
const ADMIN_PATIENCE: Duration = Duration::from_secs(5);

/// Runs until a signal ends it. Gives the exit status.
///
/// # Errors
/// What the person who started it has to put right: exit status 2.
pub fn run(args: ServeArgs) -> Result<u8, UsageError> {
    telemetry::start(args.log.log_format, args.log.log_level);
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::settle(args, &Surroundings::of_process())?;
    let runtime = runtime().map_err(|error| UsageError(format!("cannot start threads: {error}")))?;
    let status = runtime.block_on(serve(config));
    // A review that is still being worked on does not keep the process.
    runtime.shutdown_background();
    status
}

async fn serve(config: Config) -> Result<u8, UsageError> {
    let mut signals = Signals::new().map_err(|error| UsageError(format!("cannot catch signals: {error}")))?;
    let cluster = match config.cluster {
        true => Some(cluster::connect_from_within().await.map_err(|error| UsageError(format!("{error} (--kube off serves without it)")))?),
        false => None,
    };
    let server = Server::start(&config, cluster)?;
    let (webhook, admin) = (server.webhook, server.admin);
    tracing::info!(%webhook, %admin, version = env!("CARGO_PKG_VERSION"), "serving");
    if config.banner {
        let banner = banner::text(&server.store.snapshot().presets, &config, webhook, admin);
        // Nobody may be reading.
        let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), banner.as_bytes());
    }
    let (signal, _) = signals.next().await;
    tracing::info!(signal, delay = units::written(config.shutdown_delay), "leaving");
    tokio::select! {
        () = server.leave() => {
            tracing::info!("gone");
            Ok(0)
        }
        (signal, status) = signals.next() => {
            tracing::warn!(signal, "gone at once");
            Ok(status)
        }
    }
}

/// Worker threads read, answer and write; the others answer large reviews, and end after ten idle seconds.
fn runtime() -> std::io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, usize::from);
    runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .max_blocking_threads(cores)
        .thread_keep_alive(Duration::from_secs(10))
        .thread_name("podgraft")
        .enable_all()
        .build()
}

/// A server that serves.
#[derive(Debug)]
pub struct Server {
    /// Where the webhook listens.
    pub webhook: SocketAddr,
    /// Where the admin port listens.
    pub admin: SocketAddr,
    /// Its presets.
    pub store: Arc<Store>,
    ready: Ready,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    delay: Duration,
    drain: Duration,
    serving: JoinHandle<()>,
    /// What goes on until the very end.
    _admin: (Shutdown, JoinHandle<()>),
    _certificates: Certificates,
    _polls: Vec<Poll>,
    _sources: Option<Sources>,
}

impl Server {
    /// Reads presets and certificate, binds both ports and serves; what comes from the cluster comes when it can. Needs a tokio runtime.
    ///
    /// # Errors
    /// Presets or certificate that cannot be read, ports that cannot be bound.
    pub fn start(config: &Config, cluster: Option<Client>) -> Result<Server, UsageError> {
        Server::start_with(config, cluster, |grafter| Arc::new(grafter))
    }

    /// The same with an answer of one's own, for tests of what is around it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        config: &Config,
        cluster: Option<Client>,
        answer: impl FnOnce(Grafter) -> Arc<dyn Answer>,
    ) -> Result<Server, UsageError> {
        let (metrics, ready) = (Arc::new(Metrics::new()), Ready::default());
        let starting = ready.block("start", "starting");
        let store = Arc::new(Store::new(Arc::clone(&metrics)));
        let mut polls = Vec::new();
        if !config.directories.is_empty() {
            let mut directories = open_directories(config, &store, &metrics)?;
            polls.push(Poll::start("podgraft-presets", config.look, Arc::clone(&metrics), move || directories.tick()));
        }
        let certificates = Certificates::start(config, cluster.as_ref(), &metrics, &ready)?;
        let tls = identity::server_config(Arc::clone(&certificates.identity), config.http2)
            .map_err(|error| UsageError(format!("cannot set up TLS: {error}")))?;
        let (listener, webhook) = bind(config.listen, "--listen")?;
        let (admin_listener, admin) = bind(config.admin, "--admin")?;

        let authors = cluster.clone().map_or(Authors::Unasked, Authors::Cluster);
        let sources = cluster.map(|client| {
            let (store, metrics, ready) = (Arc::clone(&store), Arc::clone(&metrics), ready.clone());
            Sources::start(&client, &Fed { store, metrics, ready, namespace: config.namespace.clone(), lasts: config.watch })
        });
        let grafter = Grafter {
            store: Arc::clone(&store),
            exempt: config.exempt.clone(),
            namespaces: sources.as_ref().map(|sources| Arc::clone(&sources.namespaces)),
            statuses: sources.as_ref().map(|sources| Arc::clone(&sources.statuses)),
            events: sources.as_ref().map_or_else(Events::off, |sources| sources.events.clone()),
        };
        let reviewer = Reviewer::new(answer(grafter), Arc::clone(&metrics));
        let (shutdown, departure) = Shutdown::new();
        let port = |name, tls, limits, full, router, departure: Departure| {
            Arc::new(Port { name, tls, limits, full, metrics: Arc::clone(&metrics), router, departure })
        };
        let (namespace, metrics_of, store_of) = (config.namespace.clone(), Arc::clone(&metrics), Arc::clone(&store));
        let validator = Validator { namespace, authors, store: store_of, metrics: metrics_of };
        let router = http::router(http::Webhook::new(reviewer, validator, Arc::clone(&metrics), config.limits));
        let tls = Some(TlsAcceptor::from(Arc::new(tls)));
        let serving = tokio::spawn(listen::serve(listener, port("webhook", tls, config.limits, Full::Wait, router, departure)));
        let (admin_shutdown, admin_departure) = Shutdown::new();
        let router = admin::router(admin::Admin { ready: ready.clone(), metrics: Arc::clone(&metrics) });
        let limits = Limits { connections: ADMIN_CONNECTIONS, header: ADMIN_PATIENCE, idle: ADMIN_PATIENCE, ..config.limits };
        let admin_port = port("admin", None, limits, Full::CloseOldest, router, admin_departure);
        let admin_serving = tokio::spawn(listen::serve(admin_listener, admin_port));
        drop(starting);
        Ok(Server {
            webhook,
            admin,
            store,
            ready,
            metrics,
            shutdown,
            delay: config.shutdown_delay,
            drain: config.drain,
            serving,
            _admin: (admin_shutdown, admin_serving),
            _certificates: certificates,
            _polls: polls,
            _sources: sources,
        })
    }

    /// Whether it is ready, and why not.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Leaves as [`shutdown`] says, and returns when nothing is being answered any more or the time for that is over.
    pub async fn leave(self) {
        let Server { ready, metrics, shutdown, delay, drain, serving, .. } = self;
        let _block = shutdown.depart(&ready, delay).await;
        match tokio::time::timeout(drain, serving).await {
            Ok(_) => {}
            Err(_) => {
                tracing::warn!(connections = metrics.connections.get(), "connections were still open when the time to drain was over");
            }
        }
    }
}

fn open_directories(config: &Config, store: &Arc<Store>, metrics: &Arc<Metrics>) -> Result<Directories, UsageError> {
    let (paths, namespace) = (config.directories.clone(), config.default_namespace.clone());
    let (directories, problems) = Directories::open(paths, namespace, Arc::clone(store), Arc::clone(metrics))
        .map_err(|(path, error)| UsageError(format!("cannot read the directory of presets {} (--presets): {error}", path.display())))?;
    store::report(&problems);
    Ok(directories)
}

fn bind(address: Address, flag: &str) -> Result<(TcpListener, SocketAddr), UsageError> {
    let bound = listen::bind(address).and_then(|listener| {
        let local = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, local))
    });
    bound.map_err(|error| UsageError(format!("cannot listen on {address} ({flag}): {error}")))
}
