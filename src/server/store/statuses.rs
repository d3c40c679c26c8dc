//! `status` of custom resources, written by server-side apply where it is not what it should be, off every other path.
//!
//! All replicas of one version say the same, so it does not matter which one writes first: the others see it, and have nothing left to do.
//! That is why only what follows from the object itself is compared, and not the sentences, in which two versions of Podgraft may differ. Where
//! two versions differ in more, each writes more and more rarely.

mod line;
mod wanted;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Object;
use super::custom_resources::resource;
use crate::crd::KINDS;
use crate::preset::{PresetKey, Scope};
use line::{Known, Line};

/// What a custom resource was read to be.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The object.
    pub object: Arc<Object>,
    /// `metadata.generation`.
    pub generation: i64,
    /// The version that is recorded on Pods; `None`: it is refused.
    pub version: Option<String>,
    /// Whether it is computed and reported only.
    pub shadow: bool,
    /// Why it is refused.
    pub wrong: Vec<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Statuses {
    line: Mutex<Line>,
    wake: Arc<Notify>,
}

/// A status that has to be written.
#[derive(Debug)]
struct Write {
    key: PresetKey,
    object: Arc<Object>,
    status: Value,
}

/// What the writer has to do.
#[derive(Debug)]
enum Next {
    Write(Write),
    /// Nothing, until then or until it is woken.
    Wait(Option<Instant>),
}

impl Drop for Statuses {
    fn drop(&mut self) {
        // The writer ends.
        self.wake.notify_one();
    }
}

impl Statuses {
    /// Writes from a task of its own, which ends with it. Needs a tokio runtime.
    #[must_use]
    pub fn start(client: Client) -> Arc<Statuses> {
        let statuses = Arc::new(Statuses::default());
        tokio::spawn(write::write(client, Arc::downgrade(&statuses), Arc::clone(&statuses.wake)));
        statuses
    }

    /// A custom resource is new, or says something else.
    pub fn seen(&self, key: PresetKey, seen: Seen, status: Value) {
        self.change(key, Instant::now(), |known| *known = Some(Known::new(seen, status)));
    }

    /// One says the same as before, and its status is this. The generation rises also where the spec stays: a deletion that a finalizer holds
    /// up.
    pub fn written(&self, key: &PresetKey, generation: i64, status: Value) {
        self.change(key.clone(), Instant::now(), |known| {
            if let Some(known) = known {
                (known.seen.generation, known.status) = (generation, status);
            }
        });
    }

    /// A Pod met something different from what one asks for.
    pub fn conflicted(&self, object: &Object, line: &str) {
        if object.api_version != resource(&KINDS[0]).api_version {
            return;
        }
        let scope = object.namespace.clone().map_or(Scope::Cluster, Scope::Namespace);
        let key = PresetKey { scope, name: object.name.clone() };
        // This is the path of a review: what was said already costs nothing more.
        if self.lock().known(&key).is_none_or(|known| known.conflict.is_some()) {
            return;
        }
        self.change(key, Instant::now(), |known| {
            if let Some(known) = known {
                known.conflict.get_or_insert_with(|| line.to_owned());
            }
        });
    }

    /// Forgets those that are gone.
    pub fn retain(&self, is_there: impl FnMut(&PresetKey) -> bool) {
        self.lock().retain(is_there);
    }

    /// The writer wrote, and this is there now.
    fn was_written(&self, write: &Write, status: Value, now: Instant) {
        self.change(write.key.clone(), now, |known| {
            if let Some(known) = known {
                known.tried(&write.status, now);
                known.status = status;
            }
        });
    }

    /// The API server did not take it. Whether that is to be said, where it is `quiet` enough for it.
    fn was_refused(&self, write: &Write, quiet: bool, now: Instant) -> bool {
        let mut say = false;
        self.change(write.key.clone(), now, |known| {
            if let Some(known) = known {
                known.tried(&write.status, now);
                say = known.say(quiet);
            }
        });
        say
    }

    /// Nobody answered.
    fn is_due_again(&self, key: PresetKey) {
        self.lock().push(key);
    }

    fn change(&self, key: PresetKey, now: Instant, change: impl FnOnce(&mut Option<Known>)) {
        if self.lock().change(key, now, change) {
            self.wake.notify_one();
        }
    }

    fn next(&self, now: Instant) -> Next {
        self.lock().next(now)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::wanted::condition;
    use super::*;

    fn object() -> Object {
        Object {
            api_version: resource(&KINDS[0]).api_version,
            kind: "PodPreset".into(),
            namespace: Some("shop".into()),
            name: "a".into(),
            uid: "u".into(),
        }
    }

    fn seen(generation: i64, wrong: &[&str]) -> Seen {
        let version = wrong.is_empty().then(|| "abc".to_owned());
        Seen {
            object: Arc::new(object()),
            generation,
            version,
            shadow: false,
            wrong: wrong.iter().map(|&wrong| wrong.to_owned()).collect(),
        }
    }

    /// What is written next, if anything is.
    fn next(statuses: &Statuses, now: Instant) -> Option<Write> {
        match statuses.next(now) {
            Next::Write(write) => Some(write),
            Next::Wait(_) => None,
        }
    }

    fn key() -> PresetKey {
        PresetKey { scope: Scope::Namespace("shop".into()), name: "a".into() }
    }

    fn words(status: &Value, name: &str) -> [String; 2] {
        ["status", "reason"].map(|field| condition(status, name)[field].as_str().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_is_written_once_is_not_written_again_by_anybody() {
        let statuses = Statuses::default();
        statuses.seen(key(), seen(1, &[]), Value::Null);
        let mut status = next(&statuses, Instant::now()).unwrap().status;
        assert_eq!(
            (words(&status, "Ready"), words(&status, "Conflicting")),
            (["True", "InForce"].map(String::from), ["False", "NoConflict"].map(String::from))
        );
        assert_eq!((&status["version"], &status["observedGeneration"]), (&json!("abc"), &json!(1)));
        // Another version of Podgraft says it in other words.
        status["conditions"][0]["message"] = json!("other words");
        statuses.written(&key(), 1, status.clone());
        assert!(next(&statuses, Instant::now()).is_none());
        statuses.seen(key(), seen(1, &[]), status);
        assert!(next(&statuses, Instant::now()).is_none());
    }

    #[test]
    fn a_conflict_stays_said_until_the_preset_changes() {
        let statuses = Statuses::default();
        statuses.seen(key(), seen(1, &[]), Value::Null);
        statuses.conflicted(&object(), "conflicts at /spec");
        statuses.conflicted(&object(), "conflicts elsewhere");
        let status = next(&statuses, Instant::now()).unwrap().status;
        assert_eq!(words(&status, "Conflicting"), ["True", "PodConflict"].map(String::from));
        assert_eq!(condition(&status, "Conflicting")["message"], "conflicts at /spec");
        // A replica that saw no conflict leaves it.
        let other = Statuses::default();
        other.seen(key(), seen(1, &[]), status.clone());
        assert!(next(&other, Instant::now()).is_none());
        other.seen(key(), seen(2, &["spec: is bad"]), status);
        let status = next(&other, Instant::now()).unwrap().status;
        assert_eq!(
            (words(&status, "Ready"), words(&status, "Conflicting")),
            (["False", "Refused"].map(String::from), ["False", "NoConflict"].map(String::from))
        );
        assert_eq!(condition(&status, "Ready")["message"], "spec: is bad");
        assert_eq!(status.get("version"), None);
        other.retain(|_| false);
        assert!(next(&other, Instant::now()).is_none());
    }

    #[test]
    fn a_generation_that_rises_alone_is_observed() {
        let statuses = Statuses::default();
        statuses.seen(key(), seen(1, &[]), Value::Null);
        let status = next(&statuses, Instant::now()).unwrap().status;
        // It is being deleted, and a finalizer holds that up: the spec is the same.
        statuses.written(&key(), 2, status);
        let status = next(&statuses, Instant::now()).unwrap().status;
        assert_eq!((&status["observedGeneration"], &condition(&status, "Ready")["observedGeneration"]), (&json!(2), &json!(2)));
    }

    #[test]
    fn who_overwrites_each_other_does_so_more_and_more_rarely() {
        let (one, other) = (Statuses::default(), Statuses::default());
        one.seen(key(), seen(1, &[]), Value::Null);
        other.seen(key(), seen(1, &["spec: a rule that the older one does not know"]), Value::Null);
        let (start, mut writes, mut there) = (Instant::now(), 0, Value::Null);
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            for (writer, reader) in [(&one, &other), (&other, &one)] {
                if let Some(write) = next(writer, now) {
                    writes += 1;
                    there = write.status.clone();
                    writer.was_written(&write, there.clone(), now);
                    reader.change(key(), now, |known| known.as_mut().unwrap().status = there.clone());
                }
            }
        }
        assert!((20..60).contains(&writes), "{writes} in an hour");
        // A preset that says something else is written at once.
        one.seen(key(), seen(2, &[]), there);
        assert!(next(&one, start + Duration::from_secs(3600)).is_some());
    }

    #[test]
    fn one_that_cannot_be_written_holds_up_nobody() {
        let statuses = Statuses::default();
        let last = PresetKey { scope: Scope::Namespace("shop".into()), name: "z".into() };
        statuses.seen(key(), seen(1, &[]), Value::Null);
        statuses.seen(last.clone(), seen(1, &[]), Value::Null);
        let now = Instant::now();
        let bad = next(&statuses, now).unwrap();
        assert_eq!(bad.key, key());
        assert!(!statuses.was_refused(&bad, false, now) && statuses.was_refused(&bad, true, now), "said where it is quiet");
        let good = next(&statuses, now).unwrap();
        assert_eq!(good.key, last);
        statuses.was_written(&good, good.status.clone(), now);
        assert!(matches!(statuses.next(now), Next::Wait(Some(until)) if until > now));
        let again = next(&statuses, now + Duration::from_secs(2)).unwrap();
        assert_eq!(again.key, key());
        assert!(!statuses.was_refused(&again, true, now), "said once");
        // Where nobody answers, it is its turn again.
        statuses.is_due_again(key());
        assert_eq!(next(&statuses, now).map(|write| write.key), Some(key()));
    }
}
