//! Keeps the identity good: takes new pairs, makes ephemeral ones anew, and says in readiness and metrics how long it lasts.

use std::sync::Arc;

use super::files::{Look, PairFiles};
use super::{Identity, Pair, PairError, unix_now};
use crate::server::metrics::{Metrics, Reload};
use crate::server::ready::{Block, Ready};

/// Where the next pair comes from.
#[derive(Debug)]
pub enum Source {
    /// Made here, for these names.
    Ephemeral(Vec<String>),
    /// Two files.
    Files(PairFiles),
}

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    source: Source,
    identity: Arc<Identity>,
    metrics: Arc<Metrics>,
    ready: Ready,
    /// There while the pair that is shown is not valid.
    block: Option<(PairError, Block)>,
}

impl Keeper {
    /// Starts with what the identity shows.
    #[must_use]
    pub fn new(source: Source, identity: Arc<Identity>, metrics: Arc<Metrics>, ready: Ready) -> Keeper {
        let mut keeper = Keeper { source, identity, metrics, ready, block: None };
        keeper.check(unix_now());
        keeper
    }

    /// Looks whether there is a new pair, and whether the one that is shown is still valid.
    pub fn tick(&mut self) {
        let now = unix_now();
        match &mut self.source {
            Source::Ephemeral(names) => {
                let shown = self.identity.pair();
                if now >= shown.not_after - (shown.not_after - shown.not_before) / 3 {
                    match Pair::ephemeral(names.clone(), now) {
                        Ok(pair) => self.take(pair),
                        Err(error) => self.refuse(&error),
                    }
                }
            }
            Source::Files(files) => match files.look(now) {
                Look::Same | Look::StillRefused => {}
                Look::New(pair) => self.take(*pair),
                Look::Refused(error) => self.refuse(&error),
            },
        }
        self.check(now);
    }

    fn take(&self, pair: Pair) {
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
        self.metrics.serving_not_after(shown.not_after);
        match shown.valid_at(now) {
            Ok(()) => self.block = None,
            Err(error) if self.block.as_ref().is_some_and(|(said, _)| *said == error) => {}
            Err(error) => {
                tracing::error!(%error, "not ready");
                let block = self.ready.block("certificate", error.to_string());
                self.block = Some((error, block));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper(made: i64) -> Keeper {
        let names = vec!["localhost".to_owned()];
        let identity = Arc::new(Identity::new(Pair::ephemeral(names.clone(), made).unwrap()));
        Keeper::new(Source::Ephemeral(names), identity, Arc::new(Metrics::new()), Ready::default())
    }

    #[test]
    fn an_ephemeral_pair_is_made_anew_in_the_last_third() {
        let mut young = keeper(unix_now() - 59 * 86_400);
        let before = young.identity.pair().not_after;
        young.tick();
        assert_eq!(young.identity.pair().not_after, before);
        let mut old = keeper(unix_now() - 61 * 86_400);
        old.tick();
        assert!(old.identity.pair().not_after > unix_now() + 80 * 86_400);
    }

    #[test]
    fn not_ready_while_what_is_shown_has_expired() {
        let mut keeper = keeper(unix_now() - 100 * 86_400);
        assert!(keeper.ready.reasons().join("").contains("certificate: the certificate expired at"));
        keeper.tick();
        assert!(keeper.ready.is_ready());
        assert!(keeper.metrics.text().contains("podgraft_reloads_total{what=\"certificate\",result=\"ok\"} 1"));
    }
}
