//! Keeps the identity good: takes new pairs when whoever calls trusts them, makes ephemeral ones anew, and says in readiness, metrics and log
//! how long what is shown lasts and whether it is trusted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::files::{Look, PairFiles};
use super::secret::SecretPair;
use super::takeover::{self, Takeover};
use super::trust::Registration;
use super::{Identity, Pair, PairError, unix_now};
use crate::server::metrics::{Metrics, Reload};
use crate::server::ready::{Block, Ready};

/// Between the moment when every bundle verifies the old pair and the new one, and the change: the API server learns of a bundle by a watch of
/// its own.
const SOON: Duration = Duration::from_secs(1);

/// How often to look while a pair waits. (A change of the registration rings the bell.)
const WAITING: Duration = Duration::from_millis(200);

/// After a start, readiness waits this long for the registration to trust what is shown. Longer would turn somebody else's fault into ours.
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
    settling: Option<(Instant, Block)>,
    /// What was last said about trust.
    distrust: Option<String>,
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
        let settling =
            registration.as_ref().map(|_| (Instant::now(), ready.block("trust", "it is not known yet whether the certificate is trusted")));
        let (waiting, block, distrust) = (None, None, None);
        let mut keeper = Keeper { source, registration, identity, metrics, ready, period, waiting, block, settling, distrust };
        keeper.check(unix_now());
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
        self.check(now);
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
        let Some(mut waiting) = self.waiting.take() else { return };
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
            Takeover::Waits(_) if waiting.pair.valid_at(now).is_err() => {
                return tracing::warn!("the new certificate expired before the registration's bundle verified it");
            }
            Takeover::Waits(why) => {
                waiting.since = None;
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
        self.metrics.reloaded(Reload::Certificate, true);
    }

    fn refuse(&self, error: &PairError) {
        tracing::error!(%error, "the new certificate is no good, the old one stays");
        self.metrics.reloaded(Reload::Certificate, false);
    }

    fn check(&mut self, now: i64) {
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
        self.check_trust(shown.as_deref(), now);
    }

    /// Says whether whoever calls trusts what is shown.
    fn check_trust(&mut self, shown: Option<&Pair>, now: i64) {
        let Some(registration) = self.registration.as_ref().map(|registration| registration.borrow().clone()) else { return };
        let trusted = shown.and_then(|shown| registration.trusts(shown, now));
        self.metrics.trusted(trusted.as_ref().map(Result::is_ok));
        let settled = match (&*registration, &trusted) {
            (Registration::Unreadable(_), _) => true,
            (_, trusted) => matches!(trusted, Some(Ok(()))),
        };
        if settled || self.settling.as_ref().is_some_and(|(since, _)| since.elapsed() > SETTLING) {
            self.settling = None;
        }
        let note = match (&*registration, &trusted) {
            (Registration::Unread, _) => Some("the webhook configuration has not been read yet".to_owned()),
            (Registration::Unreadable(why), _) => Some(format!("the webhook configuration cannot be read: {why}")),
            (Registration::Read(webhooks), _) if webhooks.is_empty() => Some("there is no webhook configuration yet".to_owned()),
            (Registration::Read(_), Some(Err(why))) => Some(why.clone()),
            (Registration::Read(_), _) => None,
        };
        self.ready.note("trust", note);
        let distrust = trusted.and_then(Result::err);
        if distrust != self.distrust {
            match &distrust {
                Some(why) => tracing::warn!(why, "the API server does not trust the certificate that is shown"),
                None => tracing::info!("the API server trusts the certificate that is shown"),
            }
            self.distrust = distrust;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trust::tests::{NOW, made, webhook};
    use super::super::{make, secret};
    use super::*;

    const LOOK: Duration = Duration::from_secs(2);

    fn keeper(made: i64) -> Keeper {
        let names = vec!["localhost".to_owned()];
        let identity = Arc::new(Identity::new(Pair::ephemeral(&names, made).unwrap()));
        Keeper::new(Source::Ephemeral(names), None, identity, Arc::new(Metrics::new()), Ready::default(), LOOK)
    }

    #[test]
    fn an_ephemeral_pair_is_made_anew_in_the_last_third() {
        let mut young = keeper(unix_now() - 59 * 86_400);
        let before = young.identity.pair().unwrap().not_after;
        assert_eq!(young.tick(), LOOK);
        assert_eq!(young.identity.pair().unwrap().not_after, before);
        let mut old = keeper(unix_now() - 61 * 86_400);
        old.tick();
        assert!(old.identity.pair().unwrap().not_after > unix_now() + 80 * 86_400);
    }

    #[test]
    fn not_ready_while_what_is_shown_has_expired() {
        let mut keeper = keeper(unix_now() - 100 * 86_400);
        assert!(keeper.ready.reasons().join("").contains("certificate: the certificate expired at"));
        keeper.tick();
        assert!(keeper.ready.is_ready());
        assert!(keeper.metrics.text().contains("podgraft_reloads_total{what=\"certificate\",result=\"ok\"} 1"));
    }

    /// A keeper that shows nothing yet, of a Secret that was not read.
    fn of_secret() -> (Keeper, watch::Sender<secret::Seen>, watch::Sender<Arc<Registration>>) {
        let (seen, secret) = watch::channel(secret::Seen::Unread(None));
        let (known, registration) = watch::channel(Arc::new(Registration::Unread));
        let source = Source::Secret(SecretPair::new("grafting/tls".to_owned(), secret));
        let keeper = Keeper::new(source, Some(registration), Arc::default(), Arc::new(Metrics::new()), Ready::default(), LOOK);
        (keeper, seen, known)
    }

    fn there(made: &make::Made) -> secret::Seen {
        let data = [(secret::CERTIFICATE, &made.certificate), (secret::KEY, &made.key)];
        let data = data.map(|(name, text)| (name.to_owned(), text.clone().into_bytes())).into();
        secret::Seen::There(Arc::new(secret::Content { data, annotations: std::collections::BTreeMap::new() }))
    }

    #[test]
    fn a_new_pair_waits_for_the_bundle_and_then_a_second() {
        let (mut keeper, seen, known) = of_secret();
        let (moment, later) = (Instant::now(), |millis| Duration::from_millis(millis));
        keeper.tick_at(NOW, moment);
        let verbose = keeper.ready.verbose();
        assert!(verbose.contains("[-]certificate failed: Secret grafting/tls: it has not been read yet"), "{verbose}");

        // What is there first is shown at once; readiness waits for the bundle.
        let leaf = |authority: &make::Made| {
            make::leaf(&authority.certificate, &authority.key, &["podgraft.grafting.svc".to_owned()], NOW, 86_400).unwrap()
        };
        let (one, two) = (make::authority(NOW, 864_000).unwrap(), make::authority(NOW, 864_000).unwrap());
        let (first, second) = (leaf(&one), leaf(&two));
        let authority = |made: &make::Made| super::super::trust::Authority::all_in(made.certificate.as_bytes()).remove(0);
        let read = |bundle: &[&super::super::trust::Authority]| known.send_replace(Arc::new(Registration::Read(vec![webhook(bundle)])));
        let (one, two) = (authority(&one), authority(&two));
        seen.send_replace(there(&first));
        keeper.tick_at(NOW, moment);
        let shown = |keeper: &Keeper| keeper.identity.pair().unwrap().chain().to_vec();
        let before = shown(&keeper);
        assert!(!keeper.ready.is_ready());
        read(&[]);
        keeper.tick_at(NOW, moment);
        assert!(!keeper.ready.is_ready());
        assert!(keeper.metrics.text().contains("podgraft_certificate_trusted 0\n"));
        read(&[&one]);
        keeper.tick_at(NOW, moment);
        assert!(keeper.ready.is_ready(), "{}", keeper.ready.verbose());
        assert!(keeper.metrics.text().contains("podgraft_certificate_trusted 1\n"));

        // A new one waits until the bundle verifies it, and a second.
        seen.send_replace(there(&second));
        assert_eq!(keeper.tick_at(NOW, moment), WAITING);
        assert_eq!(shown(&keeper), before);
        read(&[&one, &two]);
        keeper.tick_at(NOW, moment + later(100));
        keeper.tick_at(NOW, moment + later(1000));
        assert_eq!(shown(&keeper), before, "the second is not over");
        read(&[&one]);
        keeper.tick_at(NOW, moment + later(1050));
        read(&[&one, &two]);
        keeper.tick_at(NOW, moment + later(1200));
        keeper.tick_at(NOW, moment + later(2100));
        assert_eq!(shown(&keeper), before, "the second began anew");
        assert_eq!(keeper.tick_at(NOW, moment + later(2200)), LOOK);
        assert_ne!(shown(&keeper), before);

        // An untrusted bundle is said, and is no reason not to be ready.
        read(&[&one]);
        keeper.tick_at(NOW, moment);
        assert!(keeper.ready.is_ready());
        assert!(keeper.ready.verbose().contains("[!]trust: the caBundle of webhook"), "{}", keeper.ready.verbose());
        // Back to the first pair, which is trusted, while what is shown is not: at once.
        seen.send_replace(there(&first));
        keeper.tick_at(NOW, moment);
        assert_eq!(shown(&keeper), before);
    }

    #[test]
    fn changed_and_back_again_is_no_change() {
        let (mut keeper, seen, known) = of_secret();
        let (one, two) = (made(10), made(10));
        known.send_replace(Arc::new(Registration::Read(vec![webhook(&[&one.0])])));
        keeper.identity.show(one.1.clone());
        drop(seen);
        keeper.looked(Look::New(Box::new(two.1)));
        assert!(keeper.waiting.is_some());
        keeper.looked(Look::New(Box::new(one.1)));
        assert!(keeper.waiting.is_none());
    }

    #[test]
    fn a_configuration_that_may_not_be_read_holds_nothing_up() {
        let (mut keeper, seen, known) = of_secret();
        known.send_replace(Arc::new(Registration::Unreadable("not permitted".to_owned())));
        let authority = make::authority(NOW, 864_000).unwrap();
        for _ in 0..2 {
            let leaf = make::leaf(&authority.certificate, &authority.key, &["localhost".to_owned()], NOW, 86_400).unwrap();
            seen.send_replace(there(&leaf));
            keeper.tick_at(NOW, Instant::now());
            assert!(keeper.waiting.is_none() && keeper.ready.is_ready());
        }
        assert!(keeper.ready.verbose().contains("[!]trust: the webhook configuration cannot be read: not permitted"));
        assert!(!keeper.metrics.text().contains("podgraft_certificate_trusted"), "it is not known");
    }
}
