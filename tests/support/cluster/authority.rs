//! A certificate authority for one run: the API server and every webhook of the tests show certificates of it.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::Trouble;

/// See the module.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

/// A certificate with its key, both PEM.
pub struct Leaf {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Result<Authority, Trouble> {
        Authority::make().map_err(|error| format!("cannot make certificates: {error}"))
    }

    fn make() -> Result<Authority, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "podgraft tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid_today(&mut params);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), pem })
    }

    /// A serving certificate for loopback and these names.
    pub fn leaf(&self, names: &[&str]) -> Result<Leaf, Trouble> {
        self.leaf_for(names, 24 * 3600)
    }

    /// One that is valid for so many seconds from now on.
    pub fn leaf_for(&self, names: &[&str], seconds: i64) -> Result<Leaf, Trouble> {
        let make = || -> Result<Leaf, rcgen::Error> {
            let mut all: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            all.extend(["127.0.0.1".to_owned(), "localhost".to_owned()]);
            let mut params = CertificateParams::new(all)?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            valid_today(&mut params);
            params.not_after = OffsetDateTime::now_utc() + Duration::seconds(seconds);
            let key = KeyPair::generate()?;
            Ok(Leaf { certificate: params.signed_by(&key, &self.issuer)?.pem(), key: key.serialize_pem() })
        };
        make().map_err(|error| format!("cannot make a certificate: {error}"))
    }
}

/// rcgen's own validity is two thousand years.
fn valid_today(params: &mut CertificateParams) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::hours(24);
}
