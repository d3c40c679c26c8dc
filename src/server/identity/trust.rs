//! Whether whoever calls trusts a certificate: what kube-apiserver will say, asked beforehand.
//!
//! An API server verifies a webhook's certificate against the `caBundle` of its registration, for the name that the registration gives
//! (Kubernetes, "Contacting the webhook"). A bundle may hold several authorities while they change, so the question is always whether it
//! verifies a certificate, never whether it equals something.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
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
    /// Whether it does cannot be found out here, and the API server may well find that it does.
    #[error("it cannot be checked here: {0}")]
    Unchecked(String),
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
    // webpki shows nobody the certificate of an authority; for Go whoever is in the bundle is trusted, for all that he was made for.
    if authorities.iter().any(|authority| authority.valid_at(now) && authority.der == *leaf) {
        return itself(leaf, &asked).map_err(|error| distrust(error, name));
    }
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(chain_at).unwrap_or(0)));
    verifier.verify_server_cert(leaf, intermediates, &asked, &[], time).map(drop).map_err(|error| distrust(error, name))
}

/// Whether a certificate that is trusted itself is a server's, of this name.
fn itself(leaf: &CertificateDer<'_>, asked: &ServerName<'_>) -> Result<(), Error> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|_| CertificateError::BadEncoding)?;
    let purposes = parsed.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    if purposes.is_some_and(|purposes| !purposes.value.server_auth && !purposes.value.any) {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&ParsedCertificate::try_from(leaf)?, asked)
}

fn distrust(error: Error, name: &str) -> Distrust {
    match error {
        // Another key of the same name is another authority.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => Distrust::Unknown,
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            Distrust::Name(name.to_owned())
        }
        Error::InvalidCertificate(
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => Distrust::Unchecked("it is signed in a way that is not known here".to_owned()),
        error => Distrust::Other(error.to_string()),
    }
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
    /// It has no bundle, and the API server trusts whom its machine trusts.
    pub public: bool,
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

/// Whether whoever calls trusts a pair.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Every bundle verifies it.
    Given,
    /// Nobody calls: there is no webhook.
    Nobody,
    /// A bundle does not verify it.
    Refused {
        /// Which, and why not.
        why: String,
        /// There are bundles, and none of them does: whoever shows it can serve nobody.
        by_all: bool,
    },
    /// It is not known, and why.
    Unknown(String),
    /// It is not known yet.
    Unread,
}

impl Registration {
    /// Whether every bundle verifies a pair.
    pub fn trusts(&self, pair: &Pair, now: i64) -> Trust {
        let webhooks = match self {
            Registration::Unread => return Trust::Unread,
            Registration::Unreadable(why) => return Trust::Unknown(format!("the webhook configuration cannot be read: {why}")),
            Registration::Read(webhooks) => webhooks,
        };
        let (mut refused, mut unknown, mut verified) = (None, None, false);
        for Webhook { name, configuration, server_name, bundle, public } in webhooks {
            let said = |why: &dyn std::fmt::Display| format!("the caBundle of webhook {name} in {configuration} {why}");
            match verify(bundle, pair, server_name, now) {
                Ok(()) => verified = true,
                Err(_) if *public => {
                    unknown.get_or_insert_with(|| said(&"is empty: whoever the API server's machine trusts is not known here"));
                }
                Err(distrust @ Distrust::Unchecked(_)) => {
                    unknown.get_or_insert_with(|| said(&format!("may verify it: {distrust}")));
                }
                Err(distrust) => {
                    refused.get_or_insert_with(|| said(&format!("does not verify it: {distrust}")));
                }
            }
        }
        match (refused, unknown) {
            (Some(why), unknown) => {
                let by_all = !verified && unknown.is_none() && webhooks.iter().any(|webhook| !webhook.bundle.is_empty());
                Trust::Refused { why, by_all }
            }
            (None, Some(why)) => Trust::Unknown(why),
            (None, None) if webhooks.is_empty() => Trust::Nobody,
            (None, None) => Trust::Given,
        }
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
            public: false,
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

    /// A pair that signs itself, as `openssl req -x509` makes it, and what a bundle with it holds.
    fn of_itself(change: impl FnOnce(&mut rcgen::CertificateParams)) -> (Authority, Pair) {
        let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let time = |unix| time::OffsetDateTime::from_unix_timestamp(unix).unwrap();
        (params.not_before, params.not_after) = (time(NOW), time(NOW + DAY));
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let pair = Pair::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        (Authority::all_in(certificate.as_bytes()).remove(0), pair)
    }

    /// Go: `opts.Roots.contains(c)` in crypto/x509's Verify.
    #[test]
    fn whoever_is_in_the_bundle_himself_is_trusted() {
        let (itself, pair) = of_itself(|_| {});
        let (other, another) = of_itself(|_| {});
        let both = [other.clone(), itself.clone()];
        assert_eq!(verify(&both, &pair, NAME, NOW), Ok(()));
        assert_eq!(verify(&both, &another, NAME, NOW), Ok(()));
        assert!(verify(&[other], &pair, NAME, NOW).is_err());
        assert_eq!(verify(&both, &pair, "podgraft.shop.svc", NOW), Err(Distrust::Name("podgraft.shop.svc".to_owned())));
        assert_eq!(verify(&both, &pair, NAME, NOW + DAY + 1), Err(Distrust::Empty));
        for (purpose, fine) in [(rcgen::ExtendedKeyUsagePurpose::ServerAuth, true), (rcgen::ExtendedKeyUsagePurpose::ClientAuth, false)] {
            let (itself, pair) = of_itself(|params| params.extended_key_usages = vec![purpose]);
            assert_eq!(verify(&[itself], &pair, NAME, NOW).is_ok(), fine);
        }
    }

    #[test]
    fn a_signature_that_cannot_be_checked_here_is_no_reason_for_distrust() {
        let authority = make::authority(NOW, 10 * DAY).unwrap();
        let leaf = make::leaf(&authority.certificate, &authority.key, &[NAME.to_owned()], NOW, DAY).unwrap();
        let mut der = CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap().to_vec();
        // ecdsa-with-SHA256 becomes ecdsa-with-SHA512, which ring does not have.
        let (with_256, place) = ([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02], 7);
        let places: Vec<usize> = der.windows(8).enumerate().filter(|(_, bytes)| *bytes == with_256).map(|(at, _)| at + place).collect();
        assert_eq!(places.len(), 2);
        places.into_iter().for_each(|at| der[at] = 0x04);
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
        let pair = Pair::of(vec![der.into()], key).unwrap();
        let other = make::authority(NOW - 1, 10 * DAY).unwrap();
        let (one, other) = (authority.certificate, other.certificate);
        let [one, other] = [one, other].map(|certificate| Authority::all_in(certificate.as_bytes()).remove(0));
        assert!(matches!(verify(std::slice::from_ref(&one), &pair, NAME, NOW), Err(Distrust::Unchecked(_))));
        let said = Registration::Read(vec![webhook(&[&one])]).trusts(&pair, NOW);
        assert!(matches!(&said, Trust::Unknown(why) if why.contains("pods.podgraft.dev") && why.contains("cannot be checked")), "{said:?}");
        assert!(matches!(
            Registration::Read(vec![webhook(&[&one]), webhook(&[&other])]).trusts(&pair, NOW),
            Trust::Refused { by_all: false, .. }
        ));
    }

    #[test]
    fn every_bundle_of_the_registration_counts() {
        let ((one, pair), (other, _)) = (made(10), made(10));
        let trusts = |webhooks: &[Webhook]| Registration::Read(webhooks.to_vec()).trusts(&pair, NOW);
        assert_eq!(Registration::Unread.trusts(&pair, NOW), Trust::Unread);
        assert!(matches!(Registration::Unreadable("no".to_owned()).trusts(&pair, NOW), Trust::Unknown(why) if why.ends_with("no")));
        assert_eq!(trusts(&[]), Trust::Nobody);
        assert_eq!(trusts(&[webhook(&[&one]), webhook(&[&other, &one])]), Trust::Given);
        let why = "the caBundle of webhook pods.podgraft.dev in MutatingWebhookConfiguration podgraft does not verify it: none of its \
                   authorities signed the certificate";
        assert_eq!(trusts(&[webhook(&[&one]), webhook(&[&other])]), Trust::Refused { why: why.to_owned(), by_all: false });
        let by_all = |webhooks: &[Webhook]| matches!(trusts(webhooks), Trust::Refused { by_all: true, .. });
        assert!(by_all(&[webhook(&[]), webhook(&[&other])]));
        assert!(!by_all(&[webhook(&[]), webhook(&[])]), "nobody has written one yet");
        let public = Webhook { public: true, ..webhook(&[]) };
        assert!(matches!(trusts(&[public.clone(), webhook(&[&one])]), Trust::Unknown(why) if why.contains("is empty")));
        assert!(!by_all(&[public, webhook(&[&other])]));
    }
}
