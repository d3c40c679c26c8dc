//! A pair in a Secret, as the watch of it last brought it ([`crate::server::secret_certs`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::files::Look;
use super::{Pair, PairError};

/// The keys of a Secret of type `kubernetes.io/tls`, and where cert-manager and Podgraft put the authorities.
pub const CERTIFICATE: &str = "tls.crt";
/// See [`CERTIFICATE`].
pub const KEY: &str = "tls.key";
/// See [`CERTIFICATE`].
pub const AUTHORITIES: &str = "ca.crt";

/// What a Secret holds. Its values are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// By key.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.data.keys()).finish()
    }
}

impl Content {
    /// A value, empty where there is none.
    #[must_use]
    pub fn value(&self, key: &str) -> &[u8] {
        self.data.get(key).map_or(&[], Vec::as_slice)
    }
}

/// What is known of the Secret.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Nothing yet; why, where somebody said so.
    Unread(Option<String>),
    /// There is none of that name.
    Absent,
    /// It is there.
    There(Arc<Content>),
}

/// The pair in it.
#[derive(Debug)]
pub struct SecretPair {
    name: String,
    seen: watch::Receiver<Seen>,
    /// Print of what was last taken.
    taken: Option<[u8; 32]>,
    /// What was last said to be no good, so that it is said once.
    refused: Option<([u8; 32], PairError)>,
}

impl SecretPair {
    /// Of the Secret `NAMESPACE/NAME`, for people.
    #[must_use]
    pub fn new(name: String, seen: watch::Receiver<Seen>) -> SecretPair {
        SecretPair { name, seen, taken: None, refused: None }
    }

    /// Looks whether it holds a new pair. Where there is none to keep instead, it is not asked whether the pair is valid now.
    pub fn look(&mut self, now: i64, nothing_shown: bool) -> Look {
        let seen = self.seen.borrow_and_update().clone();
        let (print, pair) = match seen {
            Seen::Unread(why) => {
                let why = why.unwrap_or_else(|| "it has not been read yet".to_owned());
                ([0; 32], Err(PairError::Secret { name: self.name.clone(), why }))
            }
            Seen::Absent => ([1; 32], Err(PairError::Secret { name: self.name.clone(), why: "it is not there".to_owned() })),
            Seen::There(content) => {
                let print = print(&content);
                if self.taken == Some(print) {
                    self.refused = None;
                    return Look::Same;
                }
                let pair = Pair::from_pem(content.value(CERTIFICATE), content.value(KEY));
                (print, pair.and_then(|pair| if nothing_shown { Ok(pair) } else { pair.valid_at(now).map(|()| pair) }))
            }
        };
        match pair {
            Ok(pair) => {
                (self.taken, self.refused) = (Some(print), None);
                Look::New(Box::new(pair))
            }
            Err(error) => {
                let said = self.refused.replace((print, error.clone()));
                if said.is_some_and(|said| said == (print, error.clone())) { Look::StillRefused } else { Look::Refused(error) }
            }
        }
    }

    /// When the first of the authorities beside the pair expires: the one that signed it.
    #[must_use]
    pub fn authority_not_after(&self) -> Option<i64> {
        let Seen::There(content) = &*self.seen.borrow() else { return None };
        super::trust::Authority::all_in(content.value(AUTHORITIES)).first().map(|authority| authority.not_after)
    }

    /// What keeps it from giving a pair.
    #[must_use]
    pub fn why_not(&self) -> Option<&PairError> {
        self.refused.as_ref().map(|(_, error)| error)
    }
}

fn print(content: &Content) -> [u8; 32] {
    let mut hash = Sha256::new();
    for key in [CERTIFICATE, KEY] {
        hash.update((content.value(key).len() as u64).to_be_bytes());
        hash.update(content.value(key));
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    fn pair(from: i64) -> make::Made {
        let authority = make::authority(from, 10 * DAY).unwrap();
        make::leaf(&authority.certificate, &authority.key, &["localhost".to_owned()], from, DAY).unwrap()
    }

    fn there(certificate: &str, key: &str) -> Seen {
        let data = [(CERTIFICATE, certificate), (KEY, key)].map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        Seen::There(Arc::new(Content { data: data.into(), annotations: BTreeMap::new() }))
    }

    #[test]
    fn only_a_good_pair_is_taken() {
        let (good, other, expired, later) = (pair(NOW), pair(NOW), pair(NOW - 2 * DAY), pair(NOW + 2 * DAY));
        let (sender, receiver) = watch::channel(Seen::Unread(None));
        let mut secret = SecretPair::new("grafting/tls".to_owned(), receiver);
        let Look::Refused(error) = secret.look(NOW, true) else { panic!("nothing is there") };
        assert_eq!(error.to_string(), "Secret grafting/tls: it has not been read yet");
        sender.send_replace(Seen::Absent);
        assert!(matches!(secret.look(NOW, true), Look::Refused(_)));
        assert_eq!(secret.why_not().unwrap().to_string(), "Secret grafting/tls: it is not there");
        sender.send_replace(there(&good.certificate, &good.key));
        assert!(matches!(secret.look(NOW, true), Look::New(_)));
        assert!(matches!(secret.look(NOW, false), Look::Same));
        for (certificate, key, said) in [
            (other.certificate.as_str(), good.key.as_str(), "do not go together"),
            (&other.certificate[..200], &other.key, "CERTIFICATE"),
            ("", "", "PRIVATE KEY"),
            (&expired.certificate, &expired.key, "expired"),
            (&later.certificate, &later.key, "not valid before"),
        ] {
            sender.send_replace(there(certificate, key));
            let Look::Refused(error) = secret.look(NOW, false) else { panic!("{said}") };
            assert!(error.to_string().contains(said), "{error}");
            assert!(matches!(secret.look(NOW, false), Look::StillRefused));
        }
        assert!(matches!(secret.look(NOW + 2 * DAY, false), Look::New(_)), "it is valid by now");
        sender.send_replace(Seen::Absent);
        assert!(matches!(secret.look(NOW, false), Look::Refused(_)));
        sender.send_replace(there(&good.certificate, &good.key));
        assert!(matches!(secret.look(NOW, false), Look::New(_)));
    }

    #[test]
    fn where_there_is_nothing_to_keep_an_expired_one_is_better_than_none() {
        let expired = pair(NOW - 2 * DAY);
        let (_sender, receiver) = watch::channel(there(&expired.certificate, &expired.key));
        let mut secret = SecretPair::new("grafting/tls".to_owned(), receiver);
        assert!(matches!(secret.look(NOW, true), Look::New(_)));
    }

    #[test]
    fn values_are_never_shown() {
        let good = pair(NOW);
        let shown = format!("{:?}", there(&good.certificate, &good.key));
        assert!(shown.contains(KEY) && !shown.contains("BEGIN") && !shown.contains(&good.key[40..60]), "{shown}");
    }
}
