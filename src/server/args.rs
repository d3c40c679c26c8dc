//! The flags of `podgraft serve`, as they are written. What they come to is in [`super::config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::units;

/// Answer the API server: hold the presets and graft them onto Pods as they are created.
///
/// With no flags at all it works on a laptop: presets from `policies/`, a certificate in memory, https://127.0.0.1:8443.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Directory with presets (*.yaml, *.yml, *.json); may be given several times
    #[arg(long, env = "PODGRAFT_PRESETS", value_name = "DIR", value_delimiter = ',')]
    pub presets: Vec<PathBuf>,

    /// Namespace of presets that name none
    #[arg(long, env = "PODGRAFT_DEFAULT_NAMESPACE", value_name = "NAME", default_value = "default")]
    pub default_namespace: String,

    /// Podgraft's own namespace, which is exempt [default: the service account's; outside a cluster podgraft]
    #[arg(long, env = "PODGRAFT_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,

    /// Namespaces whose Pods are left alone, comma separated [default: kube-system,kube-public,kube-node-lease and Podgraft's own]
    #[arg(long, env = "PODGRAFT_EXEMPT_NAMESPACES", value_name = "NAME,...", value_delimiter = ',')]
    pub exempt_namespaces: Option<Vec<String>>,

    /// Whether to ask a cluster; auto: where there is one
    #[arg(long, env = "PODGRAFT_KUBE", value_enum, default_value_t = Kube::Auto)]
    pub kube: Kube,

    /// How long one watch of the API server lasts; for tests, which would wait long otherwise
    #[arg(long, env = "PODGRAFT_WATCH_TIMEOUT", value_name = "TIME", default_value = "180s", value_parser = units::duration, hide = true)]
    pub watch_timeout: Duration,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub listen: ListenArgs,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub certificate: CertificateArgs,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub limits: LimitArgs,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub log: LogArgs,
}

/// Where it listens.
#[derive(Args, Clone, Debug)]
pub struct ListenArgs {
    /// Address of the webhook, TLS [default: 127.0.0.1:8443; in a cluster :8443, all addresses]
    #[arg(long, env = "PODGRAFT_LISTEN", value_name = "ADDR")]
    pub listen: Option<Address>,

    /// Address of /livez, /readyz and /metrics, plain HTTP [default: 127.0.0.1:8080; in a cluster :8080, all addresses]
    #[arg(long, env = "PODGRAFT_ADMIN", value_name = "ADDR")]
    pub admin: Option<Address>,

    /// Offer HTTP/2 too; kube-apiserver speaks HTTP/1.1 to Services
    #[arg(long, env = "PODGRAFT_HTTP2")]
    pub http2: bool,
}

/// Which certificate it shows.
#[derive(Args, Clone, Debug)]
pub struct CertificateArgs {
    /// Where the certificate comes from: ephemeral (made in memory), files, secret (of the cluster, watched) or managed (kept by Podgraft itself)
    /// [default: files with --tls-cert, secret with --tls-secret, else ephemeral]
    #[arg(long, env = "PODGRAFT_CERTS", value_enum, hide_possible_values = true, value_name = "ephemeral|files|secret|managed")]
    pub certs: Option<Certs>,

    /// File with the certificate chain, PEM, leaf first; read again when it changes
    #[arg(long, env = "PODGRAFT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// File with the private key, PEM; read again when it changes
    #[arg(long, env = "PODGRAFT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Secret of Podgraft's namespace with tls.crt and tls.key; with --certs managed the one that Podgraft keeps [default there: podgraft-tls]
    #[arg(long, env = "PODGRAFT_TLS_SECRET", value_name = "NAME")]
    pub tls_secret: Option<String>,

    /// The Service that the API server calls: the certificate is for NAME.NAMESPACE.svc
    #[arg(long, env = "PODGRAFT_SERVICE", value_name = "NAME", default_value = "podgraft")]
    pub service: String,

    /// Name of the webhook configurations, whose caBundle a new certificate waits for; empty: none [default: podgraft in a cluster, else none]
    #[arg(long, env = "PODGRAFT_WEBHOOK_CONFIGURATION", value_name = "NAME")]
    pub webhook_configuration: Option<String>,

    /// How long a managed certificate is valid; renewed when a third is left
    #[arg(long, env = "PODGRAFT_LEAF_LIFETIME", value_name = "TIME", default_value = "2160h", value_parser = units::duration)]
    pub leaf_lifetime: Duration,

    /// How long the authority of managed certificates is valid; renewed when a third is left
    #[arg(long, env = "PODGRAFT_CA_LIFETIME", value_name = "TIME", default_value = "43800h", value_parser = units::duration)]
    pub ca_lifetime: Duration,
}

/// Limits and deadlines.
#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Largest request body; past it 413
    #[arg(long, env = "PODGRAFT_MAX_BODY", value_name = "SIZE", default_value = "7MiB", value_parser = units::size)]
    pub max_body: usize,

    /// Reviews worked on at once; past it 503
    #[arg(long, env = "PODGRAFT_MAX_REVIEWS", value_name = "N", default_value_t = 256)]
    pub max_reviews: usize,

    /// Memory for reviews of more than 64KiB at once, body and work, estimated; past it 503
    #[arg(long, env = "PODGRAFT_REVIEW_MEMORY", value_name = "SIZE", default_value = "128MiB", value_parser = units::size)]
    pub review_memory: usize,

    /// Connections to the webhook; past it new ones wait
    #[arg(long, env = "PODGRAFT_MAX_CONNECTIONS", value_name = "N", default_value_t = 4096)]
    pub max_connections: usize,

    /// Time for a TLS handshake; past it the connection is closed
    #[arg(long, env = "PODGRAFT_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    pub handshake_timeout: Duration,

    /// Time for a request's header, from its first byte; past it 408
    #[arg(long, env = "PODGRAFT_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    pub header_timeout: Duration,

    /// Time for a request's body; past it 408
    #[arg(long, env = "PODGRAFT_BODY_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    pub body_timeout: Duration,

    /// Time without a request after which a connection is closed; kube-apiserver closes its own after 90s
    #[arg(long, env = "PODGRAFT_IDLE_TIMEOUT", value_name = "TIME", default_value = "120s", value_parser = units::duration)]
    pub idle_timeout: Duration,

    /// Time for one review once its body is there, or the caller's ?timeout= where that is shorter; past it 503
    #[arg(long, env = "PODGRAFT_REVIEW_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = units::duration)]
    pub review_timeout: Duration,

    /// Time between SIGTERM and the end of accepting, not ready meanwhile [default: 15s in a cluster, else 0s]
    #[arg(long, env = "PODGRAFT_SHUTDOWN_DELAY", value_name = "TIME", value_parser = units::duration)]
    pub shutdown_delay: Option<Duration>,

    /// Time after that for requests that are still being answered
    #[arg(long, env = "PODGRAFT_DRAIN_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    pub drain_timeout: Duration,
}

/// What it writes to standard error.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Form of the log
    #[arg(long, env = "PODGRAFT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Least severe lines that are logged; debug has one line for every review
    #[arg(long, env = "PODGRAFT_LOG_LEVEL", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
}

/// Whether there is a cluster to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kube {
    /// Where `KUBERNETES_SERVICE_HOST` is set.
    Auto,
    /// No cluster: presets come from directories only.
    Off,
}

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Certs {
    /// Made in memory at start; nobody but `curl -k` trusts it.
    Ephemeral,
    /// `--tls-cert` and `--tls-key`.
    Files,
    /// `--tls-secret`, watched.
    Secret,
    /// `--tls-secret`, kept by Podgraft itself.
    Managed,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Faults of ours.
    Error,
    /// What somebody should look at.
    Warn,
    /// What changed.
    Info,
    /// Every review.
    Debug,
    /// Everything, of the libraries too.
    Trace,
}

/// `IP:PORT`, `localhost:PORT`, or `:PORT` for all addresses of both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// One address (or the wildcard of one family).
    One(SocketAddr),
    /// All addresses.
    All(u16),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |port: &str| port.parse().map(Address::All).ok();
        text.parse()
            .map(Address::One)
            .ok()
            .or_else(|| text.strip_prefix(':').and_then(port))
            .or_else(|| text.strip_prefix("localhost:").and_then(|port| Some(Address::One(([127, 0, 0, 1], port.parse().ok()?).into()))))
            .ok_or_else(|| "write an address such as 127.0.0.1:8443, [::1]:8443 or :8443".to_owned())
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::One(address) => write!(formatter, "{address}"),
            Address::All(port) => write!(formatter, ":{port}"),
        }
    }
}
