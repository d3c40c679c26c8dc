//! Who is written next, and who has to wait.
//!
//! What does not want to stay as it was written (two versions of Podgraft that judge one preset differently overwrite each other) and what the
//! API server does not take waits by itself, for a pause that doubles: it holds up nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::wanted::{Facts, wanted};
use super::{Next, Seen, Write};
use crate::preset::PresetKey;

/// The first pause of one that did not stay as it was written.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST: Duration = Duration::from_secs(300);

/// What stayed for so long begins with the first pause again.
const STAYED: Duration = Duration::from_secs(600);

/// All presets with a status.
#[derive(Debug, Default)]
pub(super) struct Line {
    known: BTreeMap<PresetKey, Known>,
    due: BTreeSet<PresetKey>,
    later: BTreeSet<(Instant, PresetKey)>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) seen: Seen,
    /// What a Pod met, by this replica.
    pub(super) conflict: Option<String>,
    /// What is written there.
    pub(super) status: Value,
    /// What was written last, by this replica.
    tried: Option<Try>,
}

#[derive(Debug)]
struct Try {
    facts: Facts,
    when: Instant,
    pause: Duration,
    /// Set aside until then.
    until: Option<Instant>,
    said: bool,
}

impl Known {
    /// Nothing was written by this replica.
    pub(super) fn new(seen: Seen, status: Value) -> Known {
        Known { seen, conflict: None, status, tried: None }
    }

    /// Notes a write, whatever came of it.
    pub(super) fn tried(&mut self, status: &Value, now: Instant) {
        let facts = Facts::of(status);
        let before = self.tried.take().filter(|tried| tried.facts == facts && now - tried.when < STAYED);
        let (pause, said) = before.map_or((Duration::ZERO, false), |tried| (tried.pause, tried.said));
        self.tried = Some(Try { facts, when: now, pause, until: None, said });
    }

    /// Whether it is to be said that this cannot be written: once, where it is `quiet` enough.
    pub(super) fn say(&mut self, quiet: bool) -> bool {
        let Some(tried) = self.tried.as_mut().filter(|tried| quiet && !tried.said) else { return false };
        tried.said = true;
        true
    }

    /// What should be written, where that is not what is.
    fn due(&self) -> Option<Value> {
        let wanted = wanted(&self.seen, self.conflict.as_deref(), &self.status);
        (Facts::of(&self.status) != Facts::of(&wanted)).then_some(wanted)
    }
}

impl Line {
    pub(super) fn known(&self, key: &PresetKey) -> Option<&Known> {
        self.known.get(key)
    }

    /// Forgets those that are gone.
    pub(super) fn retain(&mut self, mut is_there: impl FnMut(&PresetKey) -> bool) {
        self.known.retain(|key, _| is_there(key));
    }

    /// Changes one. Whether there is something to write then, now or later.
    pub(super) fn change(&mut self, key: PresetKey, now: Instant, change: impl FnOnce(&mut Option<Known>)) -> bool {
        let mut known = self.known.remove(&key);
        change(&mut known);
        let Some(mut known) = known else { return false };
        let due = known.due();
        if let Some(wanted) = &due {
            match known.tried.as_mut().filter(|tried| tried.facts == Facts::of(wanted)) {
                None => {
                    self.due.insert(key.clone());
                }
                Some(Try { until: Some(_), .. }) => {}
                Some(tried) => {
                    tried.pause = (tried.pause * 2).clamp(SHORTEST, LONGEST);
                    tried.until = Some(now + tried.pause);
                    self.later.insert((now + tried.pause, key.clone()));
                }
            }
        }
        self.known.insert(key, known);
        due.is_some()
    }

    /// Has one be written as soon as it is its turn.
    pub(super) fn push(&mut self, key: PresetKey) {
        self.due.insert(key);
    }

    /// Who is written next.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        while self.later.first().is_some_and(|(until, _)| *until <= now) {
            let Some((until, key)) = self.later.pop_first() else { break };
            let tried = self.known.get_mut(&key).and_then(|known| known.tried.as_mut());
            if let Some(tried) = tried.filter(|tried| tried.until == Some(until)) {
                tried.until = None;
                self.due.insert(key);
            }
        }
        while let Some(key) = self.due.pop_first() {
            let due = self.known.get(&key).and_then(|known| Some((&known.seen.object, known.due()?)));
            if let Some((object, status)) = due {
                return Next::Write(Write { object: object.clone(), key, status });
            }
        }
        Next::Wait(self.later.first().map(|(until, _)| *until))
    }
}
