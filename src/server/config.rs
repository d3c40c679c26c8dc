//! What `serve` runs with: flags, environment and defaults settled before a port is bound.

mod certificate;

use std::path::PathBuf;
use std::time::Duration;

use super::args::{Address, Kube, LimitArgs, ListenArgs, LogArgs, LogFormat, LogLevel, ServeArgs};
use super::watch;
pub use certificate::{Certificate, Lives};

/// Where kubelet writes the namespace of a Pod's service account (Kubernetes documentation, "Accessing the Kubernetes API from a Pod").
const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Namespaces that are exempt where `--exempt-namespaces` does not say otherwise, besides Podgraft's own.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Directory of presets where `--presets` names none.
const DEFAULT_PRESETS: &str = "policies";

/// Name of the webhook configurations where `--webhook-configuration` says no other, as the chart calls them.
const DEFAULT_NAME: &str = "podgraft";

/// A change is in force within ten seconds (spec section 8): this, the time that what changed must stay the same, and reading it.
const LOOK: Duration = Duration::from_secs(2);

/// Something that the person who started `serve` has to put right: one sentence, exit status 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// What the process finds around it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Whether it runs in a cluster: `KUBERNETES_SERVICE_HOST` is set.
    pub in_cluster: bool,
    /// The namespace of the service account, where there is one.
    pub namespace: Option<String>,
}

impl Surroundings {
    /// Looks at the process's environment and at the service account's files.
    #[must_use]
    pub fn of_process() -> Surroundings {
        let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty());
        let namespace = if in_cluster { std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE).ok() } else { None };
        Surroundings { in_cluster, namespace: namespace.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) }
    }
}

/// Limits of a listener and its connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; past it the listener waits.
    pub connections: usize,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For a request's header, from its first byte.
    pub header: Duration,
    /// For a request's body.
    pub body: Duration,
    /// For a connection without a request.
    pub idle: Duration,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Reviews at once; past it they are shed.
    pub reviews: usize,
    /// Bytes of memory for large reviews at once; past it they are shed.
    pub memory: usize,
    /// For one review once its body is there.
    pub review: Duration,
}

/// Everything that `serve` runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directories of presets.
    pub directories: Vec<PathBuf>,
    /// Namespace of presets that name none.
    pub default_namespace: String,
    /// Podgraft's own namespace.
    pub namespace: String,
    /// Namespaces whose Pods are left alone.
    pub exempt: Vec<String>,
    /// Where the webhook listens.
    pub listen: Address,
    /// Where the admin port listens.
    pub admin: Address,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Which certificate is shown.
    pub certificate: Certificate,
    /// The Service that the API server calls.
    pub service: String,
    /// Name of the webhook configurations, where there is one.
    pub webhook_configuration: Option<String>,
    /// Limits of the webhook.
    pub limits: Limits,
    /// Between SIGTERM and the end of accepting.
    pub shutdown_delay: Duration,
    /// After that, for requests still being answered.
    pub drain: Duration,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Least severe lines that are logged.
    pub log_level: LogLevel,
    /// Whether to greet a person: outside a cluster, with a log for people.
    pub banner: bool,
    /// How often files of presets and certificates are looked at.
    pub look: Duration,
    /// Whether there is a cluster that may be asked.
    pub cluster: bool,
    /// How long one watch of the API server lasts.
    pub watch: Duration,
}

impl Config {
    /// Settles the flags.
    ///
    /// # Errors
    /// What does not go together or cannot be, in one sentence.
    pub fn settle(args: ServeArgs, surroundings: &Surroundings) -> Result<Config, UsageError> {
        let ServeArgs { presets, default_namespace, namespace, exempt_namespaces, kube, watch_timeout, listen, certificate, limits, log } =
            args;
        let ListenArgs { listen, admin, http2 } = listen;
        let LogArgs { log_format, log_level } = log;
        let in_cluster = surroundings.in_cluster;
        let cluster = in_cluster && kube == Kube::Auto;
        let namespace = namespace.or_else(|| surroundings.namespace.clone()).unwrap_or_else(|| "podgraft".to_owned());
        named("--namespace", &namespace)?;
        named("--default-namespace", &default_namespace)?;
        let exempt: Vec<String> = match exempt_namespaces {
            Some(names) => names.into_iter().filter(|name| !name.is_empty()).collect(),
            None => SYSTEM_NAMESPACES.iter().map(|name| (*name).to_owned()).chain([namespace.clone()]).collect(),
        };
        for name in &exempt {
            named("--exempt-namespaces", name)?;
        }
        let address = |given: Option<Address>, port: u16| {
            given.unwrap_or(if in_cluster { Address::All(port) } else { Address::One(([127, 0, 0, 1], port).into()) })
        };
        named_service(&certificate.service)?;
        let service = certificate.service.clone();
        let webhook_configuration = certificate.webhook_configuration.clone().or_else(|| cluster.then(|| DEFAULT_NAME.to_owned()));
        Ok(Config {
            directories: directories(presets, cluster),
            default_namespace,
            namespace,
            exempt,
            listen: address(listen, 8443),
            admin: address(admin, 8080),
            http2,
            certificate: certificate::settle(certificate, cluster)?,
            service,
            webhook_configuration: webhook_configuration.filter(|name| !name.is_empty()),
            shutdown_delay: limits.shutdown_delay.unwrap_or(Duration::from_secs(if in_cluster { 15 } else { 0 })),
            drain: limits.drain_timeout,
            limits: settle_limits(&limits)?,
            log_format,
            log_level,
            banner: !in_cluster && log_format == LogFormat::Text,
            look: LOOK,
            cluster,
            // The API server counts in whole seconds.
            watch: watch_timeout.clamp(Duration::from_secs(1), watch::LASTS),
        })
    }
}

/// With a cluster to ask there need not be a directory.
fn directories(given: Vec<PathBuf>, cluster: bool) -> Vec<PathBuf> {
    let given: Vec<PathBuf> = given.into_iter().filter(|path| !path.as_os_str().is_empty()).collect();
    if given.is_empty() && !cluster { vec![PathBuf::from(DEFAULT_PRESETS)] } else { given }
}

fn settle_limits(args: &LimitArgs) -> Result<Limits, UsageError> {
    for (flag, value) in [("--max-body", args.max_body), ("--max-reviews", args.max_reviews), ("--max-connections", args.max_connections)] {
        if value == 0 {
            return Err(UsageError(format!("{flag} must be at least 1, else nothing would ever be answered")));
        }
    }
    for (flag, value) in [
        ("--handshake-timeout", args.handshake_timeout),
        ("--header-timeout", args.header_timeout),
        ("--body-timeout", args.body_timeout),
        ("--idle-timeout", args.idle_timeout),
        ("--review-timeout", args.review_timeout),
    ] {
        if value.is_zero() {
            return Err(UsageError(format!("{flag} must be longer than 0s, else nothing would ever be answered")));
        }
        longest(flag, value)?;
    }
    if args.review_memory < args.max_body {
        return Err(UsageError("--review-memory must be at least --max-body, else the largest reviews would never be answered".to_owned()));
    }
    longest("--drain-timeout", args.drain_timeout)?;
    longest("--shutdown-delay", args.shutdown_delay.unwrap_or_default())?;
    Ok(Limits {
        connections: args.max_connections.min(tokio::sync::Semaphore::MAX_PERMITS).min(u32::MAX as usize),
        handshake: args.handshake_timeout,
        header: args.header_timeout,
        body: args.body_timeout,
        idle: args.idle_timeout,
        body_bytes: args.max_body,
        reviews: args.max_reviews,
        memory: args.review_memory,
        review: args.review_timeout,
    })
}

/// Past a day a deadline is none, and clocks would have to be asked whether they can count so far.
fn longest(flag: &str, value: Duration) -> Result<(), UsageError> {
    if value <= Duration::from_secs(24 * 3600) { Ok(()) } else { Err(UsageError(format!("{flag} must be at most 24h"))) }
}

/// Namespaces are DNS labels (Kubernetes documentation, "Namespaces": RFC 1123 label names).
fn named(flag: &str, name: &str) -> Result<(), UsageError> {
    if name.len() <= 63 && is_part(name) {
        Ok(())
    } else {
        Err(UsageError(format!("{flag} has {name:?}, which is no name of a namespace")))
    }
}

/// Whether it may stand between two dots of a DNS name, however long it is.
fn is_part(name: &str) -> bool {
    let inner = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    !name.is_empty() && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// Services are DNS labels too.
fn named_service(name: &str) -> Result<(), UsageError> {
    named("--service", name).map_err(|_| UsageError(format!("--service has {name:?}, which is no name of a Service")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeArgs,
    }

    pub(super) fn settle(flags: &[&str], surroundings: &Surroundings) -> Result<Config, UsageError> {
        let program = Program::try_parse_from([&["podgraft"], flags].concat()).map_err(|error| UsageError(error.to_string()))?;
        Config::settle(program.serve, surroundings)
    }

    pub(super) fn cluster() -> Surroundings {
        Surroundings { in_cluster: true, namespace: Some("grafting".to_owned()) }
    }

    #[test]
    fn the_defaults_of_a_laptop() {
        let config = settle(&[], &Surroundings::default()).unwrap();
        assert_eq!(config.directories, [Path::new("policies")]);
        assert_eq!((config.listen.to_string(), config.admin.to_string()), ("127.0.0.1:8443".to_owned(), "127.0.0.1:8080".to_owned()));
        assert_eq!((config.namespace.as_str(), config.default_namespace.as_str()), ("podgraft", "default"));
        assert_eq!(config.exempt, ["kube-system", "kube-public", "kube-node-lease", "podgraft"]);
        assert_eq!(config.certificate, Certificate::Ephemeral);
        assert_eq!(config.shutdown_delay, Duration::ZERO);
        assert_eq!(config.drain, Duration::from_secs(10));
        assert!(config.banner && !config.http2 && !config.cluster);
        let Limits { connections, handshake, header, body, idle, body_bytes, reviews, memory, review } = config.limits;
        assert_eq!((connections, body_bytes, reviews, memory), (4096, 7 << 20, 256, 128 << 20));
        assert_eq!([handshake, header, body, idle, review].map(|time| time.as_secs()), [10, 10, 10, 120, 5]);
    }

    #[test]
    fn the_defaults_of_a_cluster() {
        let config = settle(&[], &cluster()).unwrap();
        assert_eq!((config.listen, config.admin), (Address::All(8443), Address::All(8080)));
        assert_eq!(config.namespace, "grafting");
        assert_eq!(config.exempt.last().unwrap(), "grafting");
        assert_eq!(config.shutdown_delay, Duration::from_secs(15));
        assert!(!config.banner && config.cluster);
        assert!(config.directories.is_empty(), "presets come from the cluster");
        assert_eq!(config.watch, watch::LASTS);
        let off = settle(&["--kube", "off"], &cluster()).unwrap();
        assert!(!off.cluster && off.directories == [Path::new("policies")]);
    }

    #[test]
    fn lists_are_comma_separated_and_the_exempt_ones_replace_the_defaults() {
        let config = settle(&["--presets", "a,b", "--presets", "c", "--exempt-namespaces", "x,y"], &Surroundings::default()).unwrap();
        assert_eq!(config.directories, [Path::new("a"), Path::new("b"), Path::new("c")]);
        assert_eq!(config.exempt, ["x", "y"]);
        assert!(settle(&["--exempt-namespaces", ""], &Surroundings::default()).unwrap().exempt.is_empty());
    }

    #[test]
    fn what_does_not_go_together_is_said_in_one_sentence() {
        for (flags, part) in [
            (&["--certs", "managed"][..], "--certs managed needs a cluster"),
            (&["--tls-secret", "tls"], "--certs secret needs a cluster"),
            (&["--certs", "files", "--tls-secret", "tls"], "takes no --tls-secret"),
            (&["--certs", "managed", "--tls-cert", "x.crt"], "takes no --tls-cert"),
            (&["--service", "a.b"], "no name of a Service"),
            (&["--certs", "nobody"], "possible values"),
            (&["--certs", "files"], "needs --tls-cert"),
            (&["--tls-cert", "x.crt"], "needs --tls-key"),
            (&["--tls-key", "x.key"], "needs --tls-cert"),
            (&["--certs", "ephemeral", "--tls-key", "x.key"], "takes no --tls-cert"),
            (&["--max-reviews", "0"], "--max-reviews must be at least 1"),
            (&["--idle-timeout", "0s"], "--idle-timeout must be longer"),
            (&["--body-timeout", "25h"], "--body-timeout must be at most 24h"),
            (&["--namespace", "Shop"], "no name of a namespace"),
            (&["--exempt-namespaces", "kube-system,a b"], "no name of a namespace"),
            (&["--listen", "somewhere"], "write an address"),
            (&["--header-timeout", "10"], "write a duration"),
            (&["--max-body", "7MB"], "write a number of bytes"),
        ] {
            let error = settle(flags, &Surroundings::default()).expect_err(part);
            assert!(error.0.contains(part), "{flags:?}: {error}");
        }
    }
}
