//! Whether whoever calls trusts a certificate: what kube-apiserver will say, asked beforehand.
//!
//! An API server verifies a webhook's certificate against the `caBundle` of its registration, for the name that the registration gives
//! (Kubernetes, "Contacting the webhook"). A bundle may hold several authorities while they change, so the question is always whether it
//! verifies a certificate, never whether it equals something.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};

use super::{Pair, provider};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Why a bundle does not verify a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// No authority in it that is valid now.
    #[error("it holds no authority that is valid now")]
    Empty,
    /// None of them signed it.
    #[error("none of its authorities signed the certificate")]
    Unknown,
    /// The certificate has other names.
    #[error("the certificate is not for {0}")]
    Name(String),
    /// Whatever else.
    #[error("{0}")]
    Other(String),
}

/// The certificate of an authority.
#[derive(Clone, Debug)]
pub struct Authority {
    der: CertificateDer<'static>,
    /// As it was written, from BEGIN to END.
    pub pem: String,
    /// Unix time.
    pub not_before: i64,
    /// Unix time.
    pub not_after: i64,
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Authority {}

impl Authority {
    /// Those in a PEM text, each once. What cannot be read is passed over, as Go's `AppendCertsFromPEM` does.
    #[must_use]
    pub fn all_in(pem: &[u8]) -> Vec<Authority> {
        let text = String::from_utf8_lossy(pem);
        let mut rest = text.as_ref();
        let mut found: Vec<Authority> = Vec::new();
        while let Some((_, from)) = rest.split_once(BEGIN) {
            let Some((inner, after)) = from.split_once(END) else { break };
            let authority = Authority::read(format!("{BEGIN}{inner}{END}\n"));
            found.extend(authority.filter(|authority| !found.contains(authority)));
            rest = after;
        }
        found
    }

    fn read(pem: String) -> Option<Authority> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (rest, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
        let (not_before, not_after) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        if rest.is_empty() { Some(Authority { pem, not_before, not_after, der: der.clone() }) } else { None }
    }

    /// Its certificate.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whether it is valid at a time.
    #[must_use]
    pub fn valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// Whether one of these authorities vouches for a pair under a name, at a time (Unix).
///
/// # Errors
/// It is not so, and why.
pub fn verify(authorities: &[Authority], pair: &Pair, name: &str, now: i64) -> Result<(), Distrust> {
    verify_chain(authorities, pair.chain(), name, now, now)
}

/// The same of a chain, leaf first. The authorities are held to `now`, the chain to a time of its own: whoever asks of one that has expired
/// whether it was the right one gives a time at which it was valid.
///
/// # Errors
/// It is not so, and why.
pub fn verify_chain(authorities: &[Authority], chain: &[CertificateDer<'_>], name: &str, now: i64, chain_at: i64) -> Result<(), Distrust> {
    let mut roots = RootCertStore::empty();
    // Go checks that the authority itself is valid too, webpki does not.
    roots.add_parsable_certificates(authorities.iter().filter(|authority| authority.valid_at(now)).map(|authority| authority.der.clone()));
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(|_| Distrust::Empty)?;
    let asked = ServerName::try_from(name).map_err(|_| Distrust::Other(format!("{name} is no name that a certificate could have")))?;
    let (leaf, intermediates) = chain.split_first().ok_or(Distrust::Unknown)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(chain_at).unwrap_or(0)));
    verifier.verify_server_cert(leaf, intermediates, &asked, &[], time).map(drop).map_err(|error| match error {
        // Another key of the same name is another authority.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => Distrust::Unknown,
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            Distrust::Name(name.to_owned())
        }
        error => Distrust::Other(error.to_string()),
    })
}

/// One webhook of the registration: how it is called.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The configuration that has it, for people: `MutatingWebhookConfiguration podgraft`.
    pub configuration: String,
    /// Its own name.
    pub name: String,
    /// The name that the API server expects in the certificate.
    pub server_name: String,
    /// Whom the API server trusts.
    pub bundle: Vec<Authority>,
}

/// What is known of the registration.
#[derive(Clone, Debug)]
pub enum Registration {
    /// Nothing yet.
    Unread,
    /// It cannot be read: no name was given, or it is not permitted.
    Unreadable(String),
    /// Its webhooks; none where there is no configuration of that name.
    Read(Vec<Webhook>),
}

impl Registration {
    /// Whether every bundle verifies a pair; `None` where that cannot be known.
    #[must_use]
    pub fn trusts(&self, pair: &Pair, now: i64) -> Option<Result<(), String>> {
        let Registration::Read(webhooks) = self else { return None };
        let refuses = webhooks.iter().find_map(|webhook| {
            let distrust = verify(&webhook.bundle, pair, &webhook.server_name, now).err()?;
            Some(format!("the caBundle of webhook {} in {} does not verify it: {distrust}", webhook.name, webhook.configuration))
        });
        Some(refuses.map_or(Ok(()), Err))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::server::identity::make;

    pub(crate) const NOW: i64 = 1_800_000_000;
    pub(crate) const NAME: &str = "podgraft.grafting.svc";
    const DAY: i64 = 86_400;

    /// An authority of `days`, and a pair of it for [`NAME`].
    pub(crate) fn made(days: i64) -> (Authority, Pair) {
        let authority = make::authority(NOW, days * DAY).unwrap();
        let leaf = make::leaf(&authority.certificate, &authority.key, &[NAME.to_owned()], NOW, DAY).unwrap();
        let pair = Pair::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).unwrap();
        (Authority::all_in(authority.certificate.as_bytes()).remove(0), pair)
    }

    pub(crate) fn webhook(bundle: &[&Authority]) -> Webhook {
        Webhook {
            configuration: "MutatingWebhookConfiguration podgraft".to_owned(),
            name: "pods.podgraft.dev".to_owned(),
            server_name: NAME.to_owned(),
            bundle: bundle.iter().map(|authority| (*authority).clone()).collect(),
        }
    }

    #[test]
    fn a_bundle_contains_whoever_signed() {
        let ((one, pair), (other, _)) = (made(10), made(10));
        let both = [other.clone(), one.clone()];
        assert_eq!(verify(&both, &pair, NAME, NOW), Ok(()));
        assert_eq!(verify(&[other], &pair, NAME, NOW), Err(Distrust::Unknown));
        assert_eq!(verify(&[], &pair, NAME, NOW), Err(Distrust::Empty));
        assert_eq!(verify(&both, &pair, "podgraft.shop.svc", NOW), Err(Distrust::Name("podgraft.shop.svc".to_owned())));
        assert!(matches!(verify(&both, &pair, NAME, NOW + 2 * DAY), Err(Distrust::Other(_))), "the leaf has expired");
        assert_eq!(verify(&both, &pair, NAME, NOW + 11 * DAY), Err(Distrust::Empty), "the authorities have");
        assert!(matches!(verify(&both, &pair, "no name", NOW), Err(Distrust::Other(_))));
    }

    #[test]
    fn an_authority_that_has_expired_vouches_for_nobody_and_a_leaf_that_has_is_still_the_right_one() {
        let (lasting, passing) = (make::authority(NOW, 10 * DAY).unwrap(), make::authority(NOW, DAY).unwrap());
        let leaf = |authority: &make::Made, days: i64| {
            let made = make::leaf(&authority.certificate, &authority.key, &[NAME.to_owned()], NOW, days * DAY).unwrap();
            Pair::from_pem(made.certificate.as_bytes(), made.key.as_bytes()).unwrap()
        };
        let bundle = |authority: &make::Made| Authority::all_in(authority.certificate.as_bytes());
        // Two days later the authority is no more, whatever time the leaf is looked at.
        let (outlived, later) = (leaf(&passing, 1), NOW + 2 * DAY);
        assert_eq!(verify_chain(&bundle(&passing), outlived.chain(), NAME, NOW, NOW), Ok(()));
        assert_eq!(verify_chain(&bundle(&passing), outlived.chain(), NAME, later, NOW), Err(Distrust::Empty));
        assert_eq!(
            verify_chain(&[bundle(&passing), bundle(&lasting)].concat(), outlived.chain(), NAME, later, NOW),
            Err(Distrust::Unknown)
        );
        let expired = leaf(&lasting, 1);
        assert!(matches!(verify_chain(&bundle(&lasting), expired.chain(), NAME, later, later), Err(Distrust::Other(_))));
        assert_eq!(verify_chain(&bundle(&lasting), expired.chain(), NAME, later, NOW + DAY / 2), Ok(()));
    }

    #[test]
    fn what_cannot_be_read_in_a_bundle_is_passed_over() {
        let ((one, _), (other, _)) = (made(10), made(10));
        let text = format!("junk\n{}{BEGIN}\n!!!\n{END}\n{}{}{BEGIN}\nhalf", one.pem, other.pem, one.pem);
        assert_eq!(Authority::all_in(text.as_bytes()), [one.clone(), other]);
        assert!(Authority::all_in(b"").is_empty());
        assert_eq!(Authority::all_in(one.pem.as_bytes())[0].pem, one.pem);
    }

    #[test]
    fn every_bundle_of_the_registration_counts() {
        let ((one, pair), (other, _)) = (made(10), made(10));
        assert_eq!(Registration::Unread.trusts(&pair, NOW), None);
        assert_eq!(Registration::Unreadable("no".to_owned()).trusts(&pair, NOW), None);
        assert_eq!(Registration::Read(Vec::new()).trusts(&pair, NOW), Some(Ok(())));
        assert_eq!(Registration::Read(vec![webhook(&[&one]), webhook(&[&other, &one])]).trusts(&pair, NOW), Some(Ok(())));
        let said = Registration::Read(vec![webhook(&[&one]), webhook(&[&other])]).trusts(&pair, NOW).unwrap().unwrap_err();
        assert_eq!(
            said,
            "the caBundle of webhook pods.podgraft.dev in MutatingWebhookConfiguration podgraft does not verify it: none of its \
             authorities signed the certificate"
        );
    }
}
