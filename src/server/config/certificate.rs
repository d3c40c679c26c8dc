//! Where the certificate comes from, as flags say it.

use std::path::PathBuf;
use std::time::Duration;

use super::super::args::{CertificateArgs, Certs};
use super::{UsageError, is_part};

/// Name of the Secret of `--certs managed` where `--tls-secret` says no other.
const DEFAULT_SECRET: &str = "podgraft-tls";

/// A rotation takes some seconds: a certificate that lives shorter could not be replaced in time.
const SHORTEST_LIFE: Duration = Duration::from_secs(10);

/// A hundred years. X.509 has four digits for a year.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How long managed certificates are valid, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// The serving certificate.
    pub leaf: i64,
    /// Its authority.
    pub authority: i64,
}

/// Which certificate is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Made in memory.
    Ephemeral,
    /// Read from two files.
    Files {
        /// The chain, PEM.
        cert: PathBuf,
        /// The key, PEM.
        key: PathBuf,
    },
    /// A Secret of Podgraft's namespace, watched.
    Secret {
        /// Its name.
        name: String,
    },
    /// A Secret of Podgraft's namespace, which Podgraft keeps itself.
    Managed {
        /// Its name.
        name: String,
        /// How long what is in it is valid.
        lives: Lives,
    },
}

/// Settles the flags of the certificate.
///
/// # Errors
/// What does not go together, in one sentence.
pub fn settle(args: CertificateArgs, cluster: bool) -> Result<Certificate, UsageError> {
    let CertificateArgs { certs, tls_cert, tls_key, tls_secret, service: _, webhook_configuration, leaf_lifetime, ca_lifetime } = args;
    // Empty: there is none to look at.
    if let Some(name) = webhook_configuration.filter(|name| !name.is_empty()) {
        named_object("--webhook-configuration", &name, "webhook configuration")?;
    }
    let certs = certs.unwrap_or(match (&tls_cert, &tls_key, &tls_secret) {
        (None, None, None) => Certs::Ephemeral,
        (None, None, Some(_)) => Certs::Secret,
        _ => Certs::Files,
    });
    let word = match certs {
        Certs::Ephemeral => "ephemeral",
        Certs::Files => "files",
        Certs::Secret => "secret",
        Certs::Managed => "managed",
    };
    let of_cluster = matches!(certs, Certs::Secret | Certs::Managed);
    if certs != Certs::Files && (tls_cert.is_some() || tls_key.is_some()) {
        return Err(UsageError(format!("--certs {word} takes no --tls-cert and no --tls-key: leave them out, or use --certs files")));
    }
    if !of_cluster && tls_secret.is_some() {
        return Err(UsageError(format!("--certs {word} takes no --tls-secret: leave it out, or use --certs secret or managed")));
    }
    if let Some(name) = &tls_secret {
        named_object("--tls-secret", name, "Secret")?;
    }
    if of_cluster && !cluster {
        return Err(UsageError(format!(
            "--certs {word} needs a cluster: KUBERNETES_SERVICE_HOST is not set, as it is in every Pod, or --kube is off"
        )));
    }
    match (certs, tls_cert, tls_key, tls_secret) {
        (Certs::Ephemeral, ..) => Ok(Certificate::Ephemeral),
        (Certs::Files, Some(cert), Some(key), _) => Ok(Certificate::Files { cert, key }),
        (Certs::Files, None, ..) => Err(UsageError("--certs files needs --tls-cert FILE, the certificate chain".to_owned())),
        (Certs::Files, _, None, _) => Err(UsageError("--certs files needs --tls-key FILE, the private key".to_owned())),
        (Certs::Secret, _, _, Some(name)) => Ok(Certificate::Secret { name }),
        (Certs::Secret, ..) => Err(UsageError("--certs secret needs --tls-secret NAME, a Secret of Podgraft's namespace".to_owned())),
        (Certs::Managed, _, _, name) => Ok(Certificate::Managed {
            name: name.unwrap_or_else(|| DEFAULT_SECRET.to_owned()),
            lives: settle_lives(leaf_lifetime, ca_lifetime)?,
        }),
    }
}

fn settle_lives(leaf: Duration, authority: Duration) -> Result<Lives, UsageError> {
    if leaf < SHORTEST_LIFE {
        return Err(UsageError(format!("--leaf-lifetime must be at least {}s", SHORTEST_LIFE.as_secs())));
    }
    if authority < leaf {
        return Err(UsageError("--ca-lifetime must be at least --leaf-lifetime: no certificate outlives its authority".to_owned()));
    }
    if authority > LONGEST_LIFE {
        return Err(UsageError(format!("--ca-lifetime must be at most {}h", LONGEST_LIFE.as_secs() / 3600)));
    }
    let seconds = |life: Duration| i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
    Ok(Lives { leaf: seconds(leaf), authority: seconds(authority) })
}

/// Such objects have DNS subdomains as names (Kubernetes documentation, "Object Names and IDs"). All of it is limited, its parts are not
/// (apimachinery, `IsDNS1123Subdomain`).
fn named_object(flag: &str, name: &str, kind: &str) -> Result<(), UsageError> {
    let fine = name.len() <= 253 && name.split('.').all(is_part);
    if fine { Ok(()) } else { Err(UsageError(format!("{flag} has {name:?}, which is no name of a {kind}"))) }
}

#[cfg(test)]
mod tests {
    use super::super::Surroundings;
    use super::super::tests::{cluster, settle};
    use super::*;

    #[test]
    fn certificates_of_a_cluster() {
        let config = settle(&["--tls-secret", "podgraft.tls"], &cluster()).unwrap();
        assert_eq!(config.certificate, Certificate::Secret { name: "podgraft.tls".to_owned() });
        assert_eq!((config.service.as_str(), config.webhook_configuration.as_deref()), ("podgraft", Some("podgraft")));
        let config = settle(&["--certs", "managed", "--webhook-configuration", ""], &cluster()).unwrap();
        let lives = Lives { leaf: 90 * 24 * 3600, authority: 5 * 365 * 24 * 3600 };
        assert_eq!(config.certificate, Certificate::Managed { name: "podgraft-tls".to_owned(), lives });
        assert_eq!(config.webhook_configuration, None);
        let long = "a".repeat(253);
        assert_eq!(settle(&["--webhook-configuration", &long], &cluster()).unwrap().webhook_configuration, Some(long));
        assert_eq!(settle(&[], &Surroundings::default()).unwrap().webhook_configuration, None);
        for (flags, part) in [
            (&["--certs", "secret"][..], "needs --tls-secret"),
            (&["--tls-secret", "Tls"], "no name of a Secret"),
            (&["--webhook-configuration", "pod graft"], "no name of a webhook configuration"),
            (&["--certs", "managed", "--kube", "off"], "needs a cluster"),
            (&["--certs", "managed", "--leaf-lifetime", "5s"], "--leaf-lifetime must be at least 10s"),
            (&["--certs", "managed", "--ca-lifetime", "1h"], "--ca-lifetime must be at least --leaf-lifetime"),
            (&["--certs", "managed", "--ca-lifetime", "9000000h"], "--ca-lifetime must be at most 876000h"),
        ] {
            let error = settle(flags, &cluster()).expect_err(part);
            assert!(error.0.contains(part), "{flags:?}: {error}");
        }
    }
}
