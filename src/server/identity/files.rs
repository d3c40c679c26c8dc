//! A pair in two files, which somebody else writes: kubelet from a Secret, cert-manager's CSI driver, an operator, a person.
//!
//! The bytes are read again and again, as no event of the file system tells all of these ways: kubelet swaps a `..data` link, and
//! the file that was opened never changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Pair, PairError};

/// What is seen must be the same after this time, else somebody is still writing.
const SETTLE: Duration = Duration::from_millis(200);

/// How often to look again while somebody is writing.
const SETTLE_TRIES: usize = 5;

type Print = [u8; 32];

/// Certificate and key files.
#[derive(Debug)]
pub struct PairFiles {
    cert: PathBuf,
    key: PathBuf,
    /// What was read when the pair in force was made.
    taken: Print,
    /// What was last said to be no good, and why, so that it is said once.
    refused: Option<(Print, PairError)>,
}

/// What a look at the files brought.
#[derive(Debug)]
pub enum Look {
    /// Nothing new.
    Same,
    /// A new pair, valid now.
    New(Box<Pair>),
    /// What is there now is no good, and that was not said before.
    Refused(PairError),
    /// What is there now is still no good.
    StillRefused,
}

impl PairFiles {
    /// Reads them for the first time. Whether the pair is valid now is not asked, as there is none to keep instead.
    ///
    /// # Errors
    /// A file is missing or no good.
    pub fn open(cert: &Path, key: &Path) -> Result<(PairFiles, Pair), PairError> {
        let read = read(cert, key)?;
        let pair = Pair::from_pem(&read.chain, &read.key)?;
        Ok((PairFiles { cert: cert.to_owned(), key: key.to_owned(), taken: read.print, refused: None }, pair))
    }

    /// Looks again.
    pub fn look(&mut self, now: i64) -> Look {
        match self.settled(now) {
            Ok(None) => {
                self.refused = None;
                Look::Same
            }
            Ok(Some((print, pair))) => {
                (self.taken, self.refused) = (print, None);
                Look::New(Box::new(pair))
            }
            Err((print, error)) => {
                let said = self.refused.replace((print, error.clone()));
                if said.is_some_and(|said| said == (print, error.clone())) { Look::StillRefused } else { Look::Refused(error) }
            }
        }
    }

    /// Reads until two looks agree, then makes a pair of it.
    fn settled(&self, now: i64) -> Result<Option<(Print, Pair)>, (Print, PairError)> {
        let mut seen = read(&self.cert, &self.key);
        for _ in 0..SETTLE_TRIES {
            if seen.as_ref().is_ok_and(|seen| seen.print == self.taken) {
                return Ok(None);
            }
            std::thread::sleep(SETTLE);
            let again = read(&self.cert, &self.key);
            let agree = match (&seen, &again) {
                (Ok(seen), Ok(again)) => seen.print == again.print,
                (Err(seen), Err(again)) => seen == again,
                _ => false,
            };
            seen = again;
            if agree {
                break;
            }
        }
        let seen = seen.map_err(|error| (Print::default(), error))?;
        let pair = Pair::from_pem(&seen.chain, &seen.key).and_then(|pair| pair.valid_at(now).map(|()| pair));
        pair.map(|pair| Some((seen.print, pair))).map_err(|error| (seen.print, error))
    }
}

struct Read {
    chain: Vec<u8>,
    key: Vec<u8>,
    print: Print,
}

fn read(cert: &Path, key: &Path) -> Result<Read, PairError> {
    let bytes =
        |path: &Path| std::fs::read(path).map_err(|error| PairError::File { file: path.display().to_string(), error: error.to_string() });
    let (chain, key) = (bytes(cert)?, bytes(key)?);
    let mut hash = Sha256::new();
    hash.update((chain.len() as u64).to_be_bytes());
    hash.update(&chain);
    hash.update(&key);
    Ok(Read { print: hash.finalize().into(), chain, key })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::unix_now;
    use super::*;

    fn made(days: i64) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let time = |unix| time::OffsetDateTime::from_unix_timestamp(unix).unwrap();
        params.not_before = time(unix_now() + (days - 2) * 86_400);
        params.not_after = time(unix_now() + days * 86_400);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn only_a_good_pair_is_taken() {
        let folder = std::env::temp_dir().join(format!("podgraft-pair-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        let write = |pair: (&str, &str)| {
            fs::write(&cert, pair.0).unwrap();
            fs::write(&key, pair.1).unwrap();
        };
        let (good, other, expired, later) = (made(1), made(1), made(-1), made(5));
        assert!(matches!(PairFiles::open(&cert, &key), Err(PairError::File { .. })));
        write((&good.0, &good.1));
        let (mut files, _) = PairFiles::open(&cert, &key).unwrap();
        assert!(matches!(files.look(unix_now()), Look::Same));

        for (bad, said) in [
            ((other.0.as_str(), good.1.as_str()), "do not go together"),
            ((&other.0[..200], &other.1), "CERTIFICATE"),
            (("", ""), "PRIVATE KEY"),
            ((&expired.0, &expired.1), "expired"),
            ((&later.0, &later.1), "not valid before"),
        ] {
            write(bad);
            let Look::Refused(error) = files.look(unix_now()) else { panic!("{said}") };
            assert!(error.to_string().contains(said), "{error}");
            assert!(matches!(files.look(unix_now()), Look::StillRefused));
        }
        // What is not valid yet is taken when it is.
        assert!(matches!(files.look(unix_now() + 4 * 86_400), Look::New(_)));
        fs::remove_file(&key).unwrap();
        assert!(matches!(files.look(unix_now()), Look::Refused(PairError::File { .. })));
        write((&other.0, &other.1));
        assert!(matches!(files.look(unix_now()), Look::New(_)));
        assert!(matches!(files.look(unix_now()), Look::Same));
        fs::remove_dir_all(&folder).unwrap();
    }
}
