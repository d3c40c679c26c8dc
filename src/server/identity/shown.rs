//! The certificate that somebody else shows, seen from outside: for the doctor, who must be able to look at one that nobody should trust.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::provider;
use super::trust::{Authority, Distrust, verify_chain};

/// A chain that was shown.
#[derive(Clone, Debug)]
pub struct Shown {
    chain: Vec<CertificateDer<'static>>,
    /// Unix time.
    pub not_before: i64,
    /// Unix time.
    pub not_after: i64,
    /// The end of its time, for people.
    pub until: String,
    /// The DNS names that it is for.
    pub names: Vec<String>,
}

impl Shown {
    /// Of a chain in PEM, leaf first.
    #[must_use]
    pub fn from_pem(pem: &[u8]) -> Option<Shown> {
        Shown::of(CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?)
    }

    fn of(chain: Vec<CertificateDer<'static>>) -> Option<Shown> {
        let (_, leaf) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
        let names = leaf.subject_alternative_name().ok().flatten().map(|names| {
            let dns = names.value.general_names.iter().filter_map(|name| match name {
                x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            });
            dns.collect()
        });
        let validity = leaf.validity();
        let (not_before, not_after, until) =
            (validity.not_before.timestamp(), validity.not_after.timestamp(), validity.not_after.to_string());
        Some(Shown { not_before, not_after, until, names: names.unwrap_or_default(), chain })
    }

    /// The certificate itself, as DER.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map(AsRef::as_ref).unwrap_or_default()
    }

    /// Whether these authorities, as they are now, verify it for a name. That it has expired, or is not valid yet, is another question.
    ///
    /// # Errors
    /// They do not, and why.
    pub fn trusted_by(&self, bundle: &[Authority], name: &str, now: i64) -> Result<(), Distrust> {
        verify_chain(bundle, &self.chain, name, now, now.max(self.not_before).min(self.not_after))
    }

    /// Whether it is valid at a time.
    #[must_use]
    pub fn valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// Connects and looks. Nothing is sent to whoever is there.
///
/// # Errors
/// Nobody is there, or they speak no TLS: a few words.
pub async fn look(host: &str, port: u16, name: &str, patience: Duration) -> Result<Shown, String> {
    let looking = async {
        let stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Onlooker))
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| error.to_string())?;
        let chain: Vec<CertificateDer<'static>> =
            stream.get_ref().1.peer_certificates().unwrap_or_default().iter().map(|one| one.clone().into_owned()).collect();
        Shown::of(chain).ok_or_else(|| "the certificate that is shown cannot be read".to_owned())
    };
    match tokio::time::timeout(patience, looking).await {
        Ok(seen) => seen,
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

/// Takes every certificate, as nothing is told to whoever shows it.
#[derive(Debug)]
struct Onlooker;

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
