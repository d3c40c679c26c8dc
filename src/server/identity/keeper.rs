//! Keeps the identity good: takes new pairs when whoever calls trusts them, makes ephemeral ones anew, and says in readiness, metrics and log
//! how long what is shown lasts and whether it is trusted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::files::{Look, PairFiles};
use super::secret::SecretPair;
use super::takeover::{self, Takeover};
use super::trust::{Registration, Trust};
use super::{Identity, Pair, PairError, unix_now};
use crate::server::metrics::{Metrics, Reload};
use crate::server::ready::{Block, Ready};

/// Between the moment when every bundle verifies the old pair and the new one, and the change: the API server learns of a bundle by a watch of
/// its own.
const SOON: Duration = Duration::from_secs(1);

/// How often to look while a pair waits. (A change of the registration rings the bell.)
const WAITING: Duration = Duration::from_millis(200);

/// After a start, readiness waits this long for the registration to trust what is shown. Longer would turn somebody else's fault into ours, but
/// where there are bundles and none of them trusts it: who is Ready then may take the place of a replica that is trusted.
const SETTLING: Duration = Duration::from_secs(30);

/// Where the next pair comes from.
#[derive(Debug)]
pub enum Source {
    /// Made here, for these names.
    Ephemeral(Vec<String>),
    /// Two files.
    Files(PairFiles),
    /// A Secret.
    Secret(SecretPair),
}

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    source: Source,
    /// What is known of the registration; nothing where nobody looks.
    registration: Option<watch::Receiver<Arc<Registration>>>,
    identity: Arc<Identity>,
    metrics: Arc<Metrics>,
    ready: Ready,
    /// How often to look.
    period: Duration,
    waiting: Option<Waiting>,
    /// There while nothing is shown, or what is shown is not valid.
    block: Option<(String, Block)>,
    /// There after a start, until what is shown is trusted or it has taken too long.
    settling: Option<Settling>,
    /// What was last said about trust.
    distrust: Option<String>,
}

/// What stands in the way of being ready after a start.
#[derive(Debug)]
struct Settling {
    since: Instant,
    said: String,
    _block: Block,
}

/// A new pair that is not shown yet.
#[derive(Debug)]
struct Waiting {
    pair: Pair,
    /// Since when every bundle verifies both.
    since: Option<Instant>,
    /// Why it waits, as it was last said.
    said: Option<String>,
}

impl Keeper {
    /// Starts with what the identity shows.
    #[must_use]
    pub fn new(
        source: Source,
        registration: Option<watch::Receiver<Arc<Registration>>>,
        identity: Arc<Identity>,
        metrics: Arc<Metrics>,
        ready: Ready,
        period: Duration,
    ) -> Keeper {
        let said = "it is not known yet whether the certificate is trusted".to_owned();
        let settling = registration.as_ref().map(|_| Settling { since: Instant::now(), _block: ready.block("trust", said.as_str()), said });
        let (waiting, block, distrust) = (None, None, None);
        let mut keeper = Keeper { source, registration, identity, metrics, ready, period, waiting, block, settling, distrust };
        keeper.check(unix_now(), Instant::now());
        keeper
    }

    /// Looks whether there is a new pair, whether it may be shown, and whether the one that is shown is still valid and trusted. Gives the time
    /// after which to look again.
    pub fn tick(&mut self) -> Duration {
        self.tick_at(unix_now(), Instant::now())
    }

    fn tick_at(&mut self, now: i64, moment: Instant) -> Duration {
        let shown = self.identity.pair();
        match &mut self.source {
            Source::Ephemeral(names) => {
                if shown.is_none_or(|shown| now >= shown.not_after - (shown.not_after - shown.not_before) / 3) {
                    // Nobody's bundle is meant to verify it, so nothing is to be waited for.
                    match Pair::ephemeral(names, now) {
                        Ok(pair) => self.take(pair),
                        Err(error) => self.refuse(&error),
                    }
                }
            }
            Source::Files(files) => {
                let look = files.look(now);
                self.looked(look);
            }
            Source::Secret(secret) => {
                let look = secret.look(now, shown.is_none());
                self.metrics.authority_not_after(secret.authority_not_after());
                self.looked(look);
            }
        }
        self.consider(now, moment);
        self.check(now, moment);
        if self.waiting.is_some() || self.settling.is_some() { self.period.min(WAITING) } else { self.period }
    }

    fn looked(&mut self, look: Look) {
        match look {
            Look::Same | Look::StillRefused => {}
            // What is shown already, after all: it was changed, and back.
            Look::New(pair) if self.identity.pair().is_some_and(|shown| shown.chain() == pair.chain()) => self.waiting = None,
            Look::New(pair) => self.waiting = Some(Waiting { pair: *pair, since: None, said: None }),
            Look::Refused(error) if self.identity.pair().is_none() => tracing::warn!(%error, "no certificate yet"),
            Look::Refused(error) => self.refuse(&error),
        }
    }

    /// Lets the pair that waits take over when it may.
    fn consider(&mut self, now: i64, moment: Instant) {
        let Some(mut waiting) = self.waiting.take() else { return self.ready.note("certificate", None) };
        let takeover = match (self.identity.pair(), &self.registration) {
            (Some(shown), Some(registration)) => takeover::judge(&shown, &waiting.pair, &registration.borrow(), now),
            _ => Takeover::AtOnce,
        };
        match takeover {
            Takeover::AtOnce => return self.take(waiting.pair),
            Takeover::Soon => {
                let since = *waiting.since.get_or_insert(moment);
                if moment.duration_since(since) >= SOON {
                    return self.take(waiting.pair);
                }
            }
            Takeover::Waits(_) if matches!(waiting.pair.valid_at(now), Err(PairError::Expired(_))) => {
                return tracing::warn!("the new certificate expired before it could be shown");
            }
            Takeover::Waits(why) => {
                waiting.since = None;
                self.ready.note("certificate", Some(format!("a new one waits, the old one is shown: {why}")));
                if waiting.said.as_ref() != Some(&why) {
                    tracing::warn!(why, "there is a new certificate, which waits until it is trusted; the old one is shown");
                    waiting.said = Some(why);
                }
            }
        }
        self.waiting = Some(waiting);
    }

    fn take(&mut self, pair: Pair) {
        tracing::info!(not_after = pair.shown.1, "certificate replaced");
        self.identity.show(pair);
        self.ready.note("certificate", None);
        self.metrics.reloaded(Reload::Certificate, true);
    }

    fn refuse(&self, error: &PairError) {
        tracing::error!(%error, "the new certificate is no good, the old one stays");
        self.metrics.reloaded(Reload::Certificate, false);
    }

    fn check(&mut self, now: i64, moment: Instant) {
        let shown = self.identity.pair();
        let reason = match &shown {
            Some(shown) => {
                self.metrics.serving_not_after(shown.not_after);
                shown.valid_at(now).err().map(|error| error.to_string())
            }
            None => Some(match &self.source {
                Source::Secret(secret) => secret.why_not().map_or_else(|| "there is none yet".to_owned(), ToString::to_string),
                _ => "there is none yet".to_owned(),
            }),
        };
        match reason {
            None => self.block = None,
            Some(reason) if self.block.as_ref().is_some_and(|(said, _)| *said == reason) => {}
            Some(reason) => {
                tracing::error!(reason, "not ready");
                let block = self.ready.block("certificate", reason.as_str());
                self.block = Some((reason, block));
            }
        }
        self.check_trust(shown.as_deref(), now, moment);
    }

    /// Says whether whoever calls trusts what is shown.
    fn check_trust(&mut self, shown: Option<&Pair>, now: i64, moment: Instant) {
        let Some(registration) = self.registration.as_ref().map(|registration| registration.borrow().clone()) else { return };
        let trust = shown.map_or(Trust::Unread, |shown| registration.trusts(shown, now));
        self.metrics.trusted(match &trust {
            Trust::Given => Some(true),
            Trust::Refused { .. } => Some(false),
            Trust::Nobody | Trust::Unknown(_) | Trust::Unread => None,
        });
        self.settle(&trust, moment);
        let note = match &trust {
            Trust::Given => None,
            Trust::Nobody => Some("there is no webhook configuration yet".to_owned()),
            Trust::Refused { why, .. } | Trust::Unknown(why) => Some(why.clone()),
            Trust::Unread => {
                matches!(*registration, Registration::Unread).then(|| "the webhook configuration has not been read yet".to_owned())
            }
        };
        self.ready.note("trust", note);
        let given = trust == Trust::Given;
        let distrust = if let Trust::Refused { why, .. } = trust { Some(why) } else { None };
        if distrust != self.distrust {
            match &distrust {
                Some(why) => tracing::warn!(why, "the API server does not trust the certificate that is shown"),
                None if given => tracing::info!("the API server trusts the certificate that is shown"),
                None => tracing::info!("whether the API server trusts the certificate that is shown is not known any more"),
            }
            self.distrust = distrust;
        }
    }

    /// After a start: whether trust is a reason not to be ready.
    fn settle(&mut self, trust: &Trust, moment: Instant) {
        let Some(settling) = &mut self.settling else { return };
        let late = moment.saturating_duration_since(settling.since) > SETTLING;
        let (over, why) = match trust {
            Trust::Given | Trust::Nobody | Trust::Unknown(_) => (true, None),
            Trust::Refused { why, by_all } => (late && !by_all, Some(why)),
            Trust::Unread => (late, None),
        };
        match why {
            _ if over => self.settling = None,
            Some(why) if *why != settling.said => {
                (settling.said, settling._block) = (why.clone(), self.ready.block("trust", why.as_str()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
