//! Makes authorities and certificates. Each says from when to when it is valid: a library's default is two thousand years.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::trust::Authority;
use super::{Pair, PairError};

/// Clocks of callers may be behind by this many seconds.
pub const BACKDATED: i64 = 3600;

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Made {
    /// The certificate.
    pub certificate: String,
    /// Its key: for a Secret, never for a log.
    pub key: String,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Made").finish_non_exhaustive()
    }
}

/// A pair for these names and for loopback that signs itself, valid for `seconds`.
///
/// # Errors
/// A name is none.
pub fn ephemeral(names: &[String], now: i64, seconds: i64) -> Result<Pair, PairError> {
    let mut params = serving(names, "podgraft ephemeral", now, now + seconds)?;
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(failed)?;
    Pair::of(vec![certificate.der().clone()], key)
}

/// An authority of one's own, valid for `seconds`. Its name has the time in it, so that no two are mistaken for each other.
///
/// # Errors
/// The time cannot be written.
pub fn authority(now: i64, seconds: i64) -> Result<Made, PairError> {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (time(now - BACKDATED)?, time(now + seconds)?);
    params.distinguished_name = named(&format!("podgraft authority {now}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Made { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// A serving certificate of an authority for these names, valid for `seconds` but not longer than the authority.
///
/// # Errors
/// Certificate and key are not an authority's, or a name is none.
pub fn leaf(authority: &str, key: &str, names: &[String], now: i64, seconds: i64) -> Result<Made, PairError> {
    let signer =
        Authority::all_in(authority.as_bytes()).into_iter().next().ok_or_else(|| PairError::Made("there is no authority".to_owned()))?;
    if !goes_with(&signer, key) {
        return Err(PairError::Made("the authority's certificate and key do not go together".to_owned()));
    }
    let issuer = Issuer::from_ca_cert_der(signer.der(), KeyPair::from_pem(key).map_err(failed)?).map_err(failed)?;
    let first = names.first().map_or("podgraft", String::as_str);
    let mut params = serving(names, first, now.max(signer.not_before + BACKDATED), signer.not_after.min(now + seconds))?;
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    Ok(Made { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Whether this PEM key is the one of an authority.
#[must_use]
pub fn goes_with(authority: &Authority, key: &str) -> bool {
    let public = |der: &CertificateDer<'_>| {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
        Some(parsed.public_key().subject_public_key.data.to_vec())
    };
    KeyPair::from_pem(key).is_ok_and(|key| public(authority.der()).is_some_and(|public| public == key.public_key_raw()))
}

fn serving(names: &[String], common: &str, from: i64, until: i64) -> Result<CertificateParams, PairError> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    (params.not_before, params.not_after) = (time(from - BACKDATED)?, time(until)?);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A common name has at most 64 characters (X.520); what counts are the alternative names.
    params.distinguished_name = named(if common.len() <= 64 { common } else { "podgraft" });
    Ok(params)
}

fn named(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn time(unix: i64) -> Result<time::OffsetDateTime, PairError> {
    time::OffsetDateTime::from_unix_timestamp(unix).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> PairError {
    PairError::Made(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    fn names() -> Vec<String> {
        vec!["podgraft.grafting.svc".to_owned()]
    }

    #[test]
    fn an_authority_and_its_leaf_are_backdated_and_end_together_at_the_latest() {
        let made = authority(NOW, 10 * DAY).unwrap();
        let signer = Authority::all_in(made.certificate.as_bytes()).remove(0);
        assert_eq!((signer.not_before, signer.not_after), (NOW - BACKDATED, NOW + 10 * DAY));
        for (at, seconds, from, until) in
            [(NOW, DAY, NOW - BACKDATED, NOW + DAY), (NOW + 9 * DAY, 3 * DAY, NOW + 9 * DAY - BACKDATED, NOW + 10 * DAY)]
        {
            let leaf = leaf(&made.certificate, &made.key, &names(), at, seconds).unwrap();
            let pair = Pair::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).unwrap();
            assert_eq!((pair.not_before, pair.not_after), (from, until));
        }
        let (_, parsed) = x509_parser::parse_x509_certificate(signer.der()).unwrap();
        assert!(parsed.is_ca() && parsed.key_usage().unwrap().unwrap().value.key_cert_sign());
    }

    #[test]
    fn a_leaf_is_for_servers_and_names_whom_it_is_of() {
        let made = authority(NOW, DAY).unwrap();
        let leaf = leaf(&made.certificate, &made.key, &names(), NOW, DAY).unwrap();
        let der = Authority::all_in(leaf.certificate.as_bytes()).remove(0);
        let (_, parsed) = x509_parser::parse_x509_certificate(der.der()).unwrap();
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.any && !parsed.is_ca());
        assert!(parsed.issuer().to_string().contains(&format!("podgraft authority {NOW}")));
        assert!(
            parsed.extensions().iter().any(|extension| extension.oid == x509_parser::oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER)
        );
    }

    #[test]
    fn who_is_no_authority_signs_nothing() {
        let (one, two) = (authority(NOW, DAY).unwrap(), authority(NOW, DAY).unwrap());
        for (certificate, key) in [(one.certificate.as_str(), two.key.as_str()), ("", &one.key), (&one.certificate, "")] {
            assert!(matches!(leaf(certificate, key, &names(), NOW, DAY), Err(PairError::Made(_))));
        }
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }
}
