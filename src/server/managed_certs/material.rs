//! What the Secret of `--certs managed` holds, read.
//!
//! | key | |
//! |---|---|
//! | `tls.crt`, `tls.key` | the pair that is shown |
//! | `ca.crt` | every authority that is to be trusted; the first signs |
//! | `ca.key` | its key |
//! | `next-ca.crt`, `next-ca.key` | the authority that will sign when everybody trusts it |
//!
//! The annotation `podgraft.dev/retired` says until when an authority that signs no more has to be trusted, and `podgraft.dev/rotate` (`leaf` or
//! `ca`) is how a person asks for a rotation.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::server::identity::secret::{AUTHORITIES, CERTIFICATE, Content, KEY};
use crate::server::identity::trust::{self, Authority};
use crate::server::identity::{Pair, PairError, make};

/// The key of the first of [`AUTHORITIES`].
pub const AUTHORITY_KEY: &str = "ca.key";
/// See the module.
pub const NEXT: &str = "next-ca.crt";
/// See the module.
pub const NEXT_KEY: &str = "next-ca.key";
/// Until when authorities that sign no more are trusted: `PRINT=UNIX,...`.
pub const RETIRED: &str = "podgraft.dev/retired";
/// Asks for a rotation.
pub const ROTATE: &str = "podgraft.dev/rotate";

/// What a person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A new certificate.
    Leaf,
    /// A new authority, and a certificate of it.
    Authority,
}

/// See the module.
#[derive(Debug)]
pub struct Material {
    /// The pair, or why there is none.
    pub pair: Result<Pair, PairError>,
    /// Every authority that is to be trusted; the first signs.
    pub authorities: Vec<Authority>,
    /// Whether the key of the first one is there.
    pub signs: bool,
    /// The next one, where its key is there too.
    pub next: Option<Authority>,
    /// Until when those that sign no more have to be trusted, by [`print()`].
    pub retired: BTreeMap<String, i64>,
    /// What a person asked for.
    pub asked: Option<Asked>,
}

impl Material {
    /// Reads a Secret's content, whoever wrote it.
    #[must_use]
    pub fn read(content: &Content) -> Material {
        let authorities = Authority::all_in(content.value(AUTHORITIES));
        let key = |name: &str| String::from_utf8_lossy(content.value(name)).into_owned();
        let next = Authority::all_in(content.value(NEXT)).into_iter().next();
        Material {
            pair: Pair::from_pem(content.value(CERTIFICATE), content.value(KEY)),
            signs: authorities.first().is_some_and(|first| make::goes_with(first, &key(AUTHORITY_KEY))),
            next: next.filter(|next| make::goes_with(next, &key(NEXT_KEY))),
            retired: content.annotations.get(RETIRED).map(|text| read_retired(text)).unwrap_or_default(),
            asked: content.annotations.get(ROTATE).and_then(|word| match word.trim() {
                "leaf" => Some(Asked::Leaf),
                "ca" => Some(Asked::Authority),
                _ => None,
            }),
            authorities,
        }
    }

    /// The pair, where the authorities beside it vouch for it under a name.
    ///
    /// # Errors
    /// Why it is of no use.
    pub fn usable(&self, name: &str, now: i64) -> Result<&Pair, String> {
        let pair = self.pair.as_ref().map_err(ToString::to_string)?;
        pair.valid_at(now).map_err(|error| error.to_string())?;
        match trust::verify(&self.authorities, pair, name, now) {
            Ok(()) => Ok(pair),
            Err(distrust) => Err(format!("ca.crt beside the certificate does not verify it: {distrust}")),
        }
    }

    /// Everybody who is to be trusted by whoever calls: those of now and the next one.
    #[must_use]
    pub fn trusted(&self) -> Vec<Authority> {
        let mut all = self.authorities.clone();
        all.extend(self.next.iter().filter(|next| !self.authorities.contains(next)).cloned());
        all
    }

    /// Authorities that sign no more and whose last certificate has expired by now.
    #[must_use]
    pub fn over(&self, now: i64) -> Vec<&Authority> {
        let retired = |authority: &Authority| self.retired.get(&print(authority)).copied().unwrap_or(authority.not_after);
        self.authorities.iter().skip(1).filter(|authority| now > retired(authority).min(authority.not_after)).collect()
    }
}

/// Names an authority in an annotation: the first 12 hex digits of the SHA-256 of its certificate.
#[must_use]
pub fn print(authority: &Authority) -> String {
    Sha256::digest(authority.der()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the annotation [`RETIRED`].
#[must_use]
pub fn write_retired(retired: &BTreeMap<String, i64>) -> String {
    retired.iter().map(|(print, until)| format!("{print}={until}")).collect::<Vec<_>>().join(",")
}

fn read_retired(text: &str) -> BTreeMap<String, i64> {
    text.split(',')
        .filter_map(|entry| entry.split_once('='))
        .filter_map(|(print, until)| Some((print.to_owned(), until.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_wrote_is_read_as_far_as_it_goes() {
        let content = |annotations: &[(&str, &str)]| Content {
            data: BTreeMap::new(),
            annotations: annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        let empty = Material::read(&content(&[]));
        assert!(empty.pair.is_err() && empty.authorities.is_empty() && !empty.signs && empty.next.is_none() && empty.asked.is_none());
        assert_eq!(Material::read(&content(&[(ROTATE, "ca ")])).asked, Some(Asked::Authority));
        assert_eq!(Material::read(&content(&[(ROTATE, "leaf")])).asked, Some(Asked::Leaf));
        assert_eq!(Material::read(&content(&[(ROTATE, "everything")])).asked, None);
        let retired = Material::read(&content(&[(RETIRED, "abc=5,junk,def=x,012=-7")])).retired;
        assert_eq!(write_retired(&retired), "012=-7,abc=5");
    }
}
