//! The certificate that is shown: one that can be swapped under a running listener, and is only ever swapped for a better one.

mod files;
mod keeper;
pub mod make;
pub mod secret;
pub mod shown;
pub mod takeover;
pub mod target;
pub mod trust;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

pub use files::PairFiles;
pub use keeper::{Keeper, Source};

/// Seconds that a certificate made in memory is good for, 90 days; a new one is made when a third of them is left.
const EPHEMERAL: i64 = 90 * 24 * 3600;

/// Why a pair of certificate and key is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// A file could not be read.
    #[error("cannot read {file}: {error}")]
    File {
        /// Which.
        file: String,
        /// What the system says.
        error: String,
    },
    /// The chain is not PEM, or has no certificate.
    #[error("the certificate chain is not PEM with at least one CERTIFICATE: {0}")]
    Chain(String),
    /// A certificate of the chain cannot be read.
    #[error("certificate {number} of the chain cannot be read")]
    Certificate {
        /// Which, counted from 1; 1 is the leaf.
        number: usize,
    },
    /// The key is not PEM.
    #[error("the private key is not PEM with a PRIVATE KEY")]
    Key,
    /// rustls does not take the pair: another key's certificate, or a kind of key that it does not know.
    #[error("certificate and key do not go together: {0}")]
    Mismatch(String),
    /// It was valid once.
    #[error("the certificate expired at {0}")]
    Expired(String),
    /// It will be valid.
    #[error("the certificate is not valid before {0}")]
    NotYet(String),
    /// None could be made.
    #[error("cannot make a certificate: {0}")]
    Made(String),
    /// A Secret has none.
    #[error("Secret {name}: {why}")]
    Secret {
        /// Which, with its namespace.
        name: String,
        /// Why not.
        why: String,
    },
}

/// A certificate chain with its key, which go together, and when they are valid.
#[derive(Clone, Debug)]
pub struct Pair {
    certified: Arc<CertifiedKey>,
    /// Unix time.
    pub not_before: i64,
    /// Unix time.
    pub not_after: i64,
    /// The same two for people.
    shown: (String, String),
}

impl Pair {
    /// Reads a chain (leaf first, intermediates after it) and a key.
    ///
    /// # Errors
    /// They cannot be read, or do not go together. Whether the pair is valid now is not asked.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Pair, PairError> {
        let chain =
            CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(|error| PairError::Chain(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| PairError::Key)?;
        Pair::of(chain, key)
    }

    /// Makes a pair for these names, which signs itself.
    ///
    /// # Errors
    /// A name is none.
    pub fn ephemeral(names: &[String], now: i64) -> Result<Pair, PairError> {
        make::ephemeral(names, now, EPHEMERAL)
    }

    /// The chain, the leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    fn of(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Pair, PairError> {
        let mut validity = None;
        for (index, certificate) in chain.iter().enumerate() {
            let (rest, parsed) =
                x509_parser::parse_x509_certificate(certificate).map_err(|_| PairError::Certificate { number: index + 1 })?;
            if !rest.is_empty() {
                return Err(PairError::Certificate { number: index + 1 });
            }
            validity.get_or_insert_with(|| parsed.validity().clone());
        }
        let Some(validity) = validity else {
            return Err(PairError::Chain("there is none".to_owned()));
        };
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| PairError::Mismatch(error.to_string()))?;
        Ok(Pair {
            certified: Arc::new(certified),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            shown: (validity.not_before.to_string(), validity.not_after.to_string()),
        })
    }

    /// Whether the leaf is valid at a time.
    ///
    /// # Errors
    /// It is not.
    pub fn valid_at(&self, now: i64) -> Result<(), PairError> {
        if now < self.not_before {
            return Err(PairError::NotYet(self.shown.0.clone()));
        }
        if now > self.not_after {
            return Err(PairError::Expired(self.shown.1.clone()));
        }
        Ok(())
    }
}

/// The pair that is shown to whoever connects. A swap is seen by the next handshake; connections that are there stay. While there is none,
/// handshakes fail.
#[derive(Debug, Default)]
pub struct Identity {
    pair: ArcSwapOption<Pair>,
}

impl Identity {
    /// Shows this pair.
    #[must_use]
    pub fn new(pair: Pair) -> Identity {
        Identity { pair: ArcSwapOption::from_pointee(pair) }
    }

    /// The pair that is shown.
    #[must_use]
    pub fn pair(&self) -> Option<Arc<Pair>> {
        self.pair.load_full()
    }

    /// Shows another pair, certificate and key as one.
    pub fn show(&self, pair: Pair) {
        self.pair.store(Some(Arc::new(pair)));
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pair.load().as_ref().map(|pair| Arc::clone(&pair.certified))
    }
}

/// TLS 1.2 and 1.3 with rustls' suites (ECDHE with AEAD only), and HTTP/1.1 in ALPN, HTTP/2 before it where asked for.
///
/// # Errors
/// The crypto provider has no suites for these versions.
pub fn server_config(identity: Arc<Identity>, http2: bool) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(config)
}

/// The names of a certificate that is made in memory: of a laptop, and of the Service in a cluster (kube-apiserver asks for `NAME.NAMESPACE.svc`).
#[must_use]
pub fn names(service: &str, namespace: &str) -> Vec<String> {
    let full = format!("{service}.{namespace}.svc");
    vec!["localhost".to_owned(), service.to_owned(), format!("{service}.{namespace}"), full.clone(), format!("{full}.cluster.local")]
}

/// Seconds since 1970.
#[must_use]
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// The one crypto provider of the program.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ephemeral_pair_is_backdated_and_lasts_its_days() {
        let pair = Pair::ephemeral(&names("podgraft", "grafting"), 1_800_000_000).unwrap();
        assert_eq!(pair.not_before, 1_800_000_000 - 3600);
        assert_eq!(pair.not_after, 1_800_000_000 + 90 * 24 * 3600);
        pair.valid_at(1_800_000_000 - 600).unwrap();
        assert!(matches!(pair.valid_at(pair.not_after + 1), Err(PairError::Expired(_))));
        assert!(matches!(pair.valid_at(pair.not_before - 1), Err(PairError::NotYet(_))));
    }

    #[test]
    fn an_ephemeral_pair_has_the_names_of_laptop_and_service() {
        let pair = Pair::ephemeral(&names("podgraft", "grafting"), unix_now()).unwrap();
        let leaf = pair.certified.end_entity_cert().unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).unwrap();
        let names = format!("{:?}", parsed.subject_alternative_name().unwrap().unwrap().value.general_names);
        for name in ["localhost", "podgraft.grafting.svc\"", "podgraft.grafting.svc.cluster.local", "127, 0, 0, 1", "0, 0, 0, 1]"] {
            assert!(names.contains(name), "{name}: {names}");
        }
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.any);
    }

    #[test]
    fn what_is_no_pair_says_why() {
        let one = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let two = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (chain, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        assert!(Pair::from_pem(chain.as_bytes(), key.as_bytes()).is_ok());
        let chain_of_two = format!("{chain}{}", two.cert.pem());
        assert_eq!(Pair::from_pem(chain_of_two.as_bytes(), key.as_bytes()).unwrap().certified.cert.len(), 2);
        let half = chain_of_two.get(..chain.len() + 100).unwrap();
        let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (chain, key, part) in [
            ("", key.as_str(), "at least one CERTIFICATE"),
            ("garbage", &key, "at least one CERTIFICATE"),
            (half, &key, "at least one CERTIFICATE"),
            (no_der, &key, "certificate 1"),
            (&format!("{chain}{no_der}"), &key, "certificate 2"),
            (&chain, "", "PRIVATE KEY"),
            (&chain, key.get(..100).unwrap(), "PRIVATE KEY"),
            (&chain, &two.signing_key.serialize_pem(), "do not go together"),
        ] {
            let error = Pair::from_pem(chain.as_bytes(), key.as_bytes()).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn only_http1_is_offered_unless_asked_for() {
        let identity = Arc::new(Identity::new(Pair::ephemeral(&names("podgraft", "podgraft"), unix_now()).unwrap()));
        assert_eq!(server_config(Arc::clone(&identity), false).unwrap().alpn_protocols, [b"http/1.1".to_vec()]);
        assert_eq!(server_config(identity, true).unwrap().alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }
}
