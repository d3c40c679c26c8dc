//! `status` of custom resources, written by server-side apply where it is not what it should be, off every other path.
//!
//! All replicas say the same, so it does not matter which one writes first: the others see it, and have nothing left to do. That is why only
//! what follows from the object itself is compared, and not the sentences, in which two versions of Podgraft may differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Object;
use super::custom_resources::resource;
use crate::crd::KINDS;
use crate::preset::{PresetKey, Scope};
use crate::server::cluster;

/// Who writes, in `metadata.managedFields`.
const MANAGER: &str = "podgraft";

/// Between two writes: ten thousand presets that are new must not be a burden.
const PACE: Duration = Duration::from_millis(50);

/// Before a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// The longest message.
const MOST_TEXT: usize = 4096;

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
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<PresetKey, Known>,
    due: BTreeSet<PresetKey>,
}

#[derive(Debug)]
struct Known {
    seen: Seen,
    /// What a Pod met, by this replica.
    conflict: Option<String>,
    /// What is written there.
    status: Value,
}

impl Statuses {
    /// Writes from a task of its own. Needs a tokio runtime.
    #[must_use]
    pub fn start(client: Client) -> Arc<Statuses> {
        let statuses = Arc::new(Statuses::default());
        tokio::spawn(write(client, Arc::downgrade(&statuses)));
        statuses
    }

    /// A custom resource is new, or says something else.
    pub fn seen(&self, key: PresetKey, seen: Seen, status: Value) {
        self.change(key, |known| *known = Some(Known { seen, conflict: None, status }));
    }

    /// The status of one is this.
    pub fn written(&self, key: &PresetKey, status: Value) {
        self.change(key.clone(), |known| {
            if let Some(known) = known {
                known.status = status;
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
        if self.lock().known.get(&key).is_none_or(|known| known.conflict.is_some()) {
            return;
        }
        self.change(key, |known| {
            if let Some(known) = known {
                known.conflict.get_or_insert_with(|| line.to_owned());
            }
        });
    }

    /// Forgets those that are gone.
    pub fn retain(&self, mut is_there: impl FnMut(&PresetKey) -> bool) {
        self.lock().known.retain(|key, _| is_there(key));
    }

    fn change(&self, key: PresetKey, change: impl FnOnce(&mut Option<Known>)) {
        let mut state = self.lock();
        let mut known = state.known.remove(&key);
        change(&mut known);
        let Some(known) = known else { return };
        if known.is_due() {
            state.due.insert(key.clone());
            self.wake.notify_one();
        }
        state.known.insert(key, known);
    }

    /// One that has to be written, with what.
    fn next(&self) -> Option<(PresetKey, Arc<Object>, Value)> {
        let mut state = self.lock();
        while let Some(key) = state.due.pop_first() {
            if let Some(known) = state.known.get(&key).filter(|known| known.is_due()) {
                let (object, status) = (Arc::clone(&known.seen.object), known.wanted());
                return Some((key, object, status));
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one after the other, while there is somebody to write for.
async fn write(client: Client, statuses: std::sync::Weak<Statuses>) {
    let mut said = false;
    loop {
        let Some(held) = statuses.upgrade() else { return };
        let Some((key, object, status)) = held.next() else {
            held.wake.notified().await;
            continue;
        };
        let api: Api<DynamicObject> = match &object.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource(&KINDS[0])),
            None => Api::all_with(client.clone(), &resource(&KINDS[1])),
        };
        let body = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            // Another object of that name is not meant.
            "metadata": {"name": object.name, "uid": object.uid},
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        match cluster::answered(api.patch_status(&object.name, &params, &Patch::Apply(&body))).await {
            Ok(mut written) => {
                said = false;
                held.written(&key, written.data.get_mut("status").map(Value::take).unwrap_or_default());
                tokio::time::sleep(PACE).await;
            }
            // It is gone, or another one by now.
            Err(failure) if matches!(failure.status(), Some(404 | 409)) => {}
            Err(failure) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(preset = %key, why = %failure, "the status of a custom resource cannot be written");
                }
                held.lock().due.insert(key);
                drop(held);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

impl Known {
    /// Whether what is written is not what should be.
    fn is_due(&self) -> bool {
        let facts = |status: &Value| {
            let condition = |name| {
                let condition = condition(status, name);
                [condition["status"].clone(), condition["reason"].clone(), condition["observedGeneration"].clone()]
            };
            (status["observedGeneration"].clone(), status["version"].clone(), condition("Ready"), condition("Conflicting"))
        };
        facts(&self.status) != facts(&self.wanted())
    }

    fn wanted(&self) -> Value {
        let Seen { generation, version, shadow, wrong, .. } = &self.seen;
        let ready = match version {
            Some(version) if *shadow => ("True", "Shadow", format!("version {version} is computed and reported, and changes no Pod")),
            Some(version) => ("True", "InForce", format!("version {version} is in force")),
            None => ("False", "Refused", wrong.join("; ")),
        };
        // What was seen of this generation stays, whoever saw it.
        let before = condition(&self.status, "Conflicting");
        let was = before["status"] == "True" && before["observedGeneration"] == *generation;
        let conflicting = match &self.conflict {
            _ if was => ("True", "PodConflict", before["message"].as_str().unwrap_or_default().to_owned()),
            Some(line) => ("True", "PodConflict", line.clone()),
            None => ("False", "NoConflict", "no Pod had something different since the preset was last changed".to_owned()),
        };
        let mut wanted = json!({
            "observedGeneration": generation,
            "conditions": [self.condition("Ready", ready), self.condition("Conflicting", conflicting)],
        });
        if let Some(version) = version {
            wanted["version"] = json!(version);
        }
        wanted
    }

    fn condition(&self, name: &str, (status, reason, mut message): (&str, &str, String)) -> Value {
        if message.len() > MOST_TEXT {
            let end = (0..=MOST_TEXT).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
            message.truncate(end);
        }
        let before = condition(&self.status, name);
        let since = &before["lastTransitionTime"];
        let since = if before["status"] == status && since.is_string() { since.clone() } else { json!(Time(Timestamp::now())) };
        json!({
            "type": name,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": self.seen.generation,
            "lastTransitionTime": since,
        })
    }
}

fn condition<'s>(status: &'s Value, name: &str) -> &'s Value {
    const NONE: &Value = &Value::Null;
    status["conditions"].as_array().and_then(|all| all.iter().find(|condition| condition["type"] == name)).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
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
        let (_, _, mut status) = statuses.next().unwrap();
        assert_eq!(
            (words(&status, "Ready"), words(&status, "Conflicting")),
            (["True", "InForce"].map(String::from), ["False", "NoConflict"].map(String::from))
        );
        assert_eq!((&status["version"], &status["observedGeneration"]), (&json!("abc"), &json!(1)));
        // Another version of Podgraft says it in other words.
        status["conditions"][0]["message"] = json!("other words");
        statuses.written(&key(), status.clone());
        assert!(statuses.next().is_none());
        statuses.seen(key(), seen(1, &[]), status);
        assert!(statuses.next().is_none());
    }

    #[test]
    fn a_conflict_stays_said_until_the_preset_changes() {
        let statuses = Statuses::default();
        statuses.seen(key(), seen(1, &[]), Value::Null);
        statuses.conflicted(&object(), "conflicts at /spec");
        statuses.conflicted(&object(), "conflicts elsewhere");
        let (_, _, status) = statuses.next().unwrap();
        assert_eq!(words(&status, "Conflicting"), ["True", "PodConflict"].map(String::from));
        assert_eq!(condition(&status, "Conflicting")["message"], "conflicts at /spec");
        // A replica that saw no conflict leaves it.
        let other = Statuses::default();
        other.seen(key(), seen(1, &[]), status.clone());
        assert!(other.next().is_none());
        other.seen(key(), seen(2, &["spec: is bad"]), status);
        let (_, _, status) = other.next().unwrap();
        assert_eq!(
            (words(&status, "Ready"), words(&status, "Conflicting")),
            (["False", "Refused"].map(String::from), ["False", "NoConflict"].map(String::from))
        );
        assert_eq!(condition(&status, "Ready")["message"], "spec: is bad");
        assert_eq!(status.get("version"), None);
        other.retain(|_| false);
        assert!(other.next().is_none());
    }
}
