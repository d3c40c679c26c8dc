//! What was told, and how often it happened since.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Note, Reason};
use crate::server::cluster::{self, Failure};
use crate::server::metrics::{EventEnd, Metrics};
use crate::server::store::Object;

/// Who tells.
const CONTROLLER: &str = "podgraft.dev/podgraft";

/// Different notes that are remembered; further ones are dropped.
const MOST: usize = 2000;

/// What does not happen for so long is over; when it happens then, that is another Event.
const OVER: Duration = Duration::from_secs(600);

/// Requests a second, and how many at once after a quiet time.
const RATE: f64 = 5.0;
const BURST: f64 = 25.0;

/// The longest text of an Event is 1 KiB.
const MOST_TEXT: usize = 1000;

/// Bytes of the name of what it is about that are part of the name of the Event.
const MOST_NAME: usize = 200;

/// Tells notes to the API server.
pub struct Teller {
    client: Client,
    instance: String,
    metrics: Arc<Metrics>,
    series: HashMap<Note, Series>,
    budget: Budget,
}

#[derive(Debug)]
struct Series {
    /// The name of the Event; `None`: it was not told yet.
    name: Option<String>,
    /// How often it happened, and how often by what was told.
    count: i32,
    told: i32,
    first: Timestamp,
    last: Timestamp,
    seen: Instant,
    /// The API server does not want it.
    refused: bool,
}

impl Teller {
    /// Nothing was told yet.
    pub fn new(client: Client, instance: String, metrics: Arc<Metrics>) -> Teller {
        Teller { client, instance, metrics, series: HashMap::new(), budget: Budget::new() }
    }

    /// Counts a note, and tells it where it is the first.
    pub async fn note(&mut self, mut note: Note) {
        cut(&mut note.text);
        let now = Timestamp::now();
        if let Some(series) = self.series.get_mut(&note) {
            series.count = series.count.saturating_add(1);
            (series.last, series.seen) = (now, Instant::now());
            return;
        }
        if self.series.len() >= MOST {
            self.metrics.event(EventEnd::Dropped);
            return;
        }
        let series = Series { name: None, count: 1, told: 0, first: now, last: now, seen: Instant::now(), refused: false };
        self.series.insert(note.clone(), series);
        if self.budget.take() {
            // What cannot be told now is told later.
            let _ = self.send(&note).await;
        }
    }

    /// Tells what happened since, and forgets what is over.
    pub async fn flush(&mut self) {
        self.series.retain(|_, series| series.seen.elapsed() < OVER || (series.count > series.told && !series.refused));
        let due: Vec<Note> =
            self.series.iter().filter(|(_, series)| series.count > series.told && !series.refused).map(|(note, _)| note.clone()).collect();
        for note in due {
            // Where nobody answers, there is no use in asking for each.
            if !self.budget.take() || self.send(&note).await.is_err() {
                return;
            }
        }
    }

    /// Sends what is new of a note.
    ///
    /// # Errors
    /// Nobody answers.
    async fn send(&mut self, note: &Note) -> Result<(), Failure> {
        let Some(series) = self.series.get_mut(note) else { return Ok(()) };
        let namespace = note.about.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let count = series.count;
        let again = |count: i32| json!({"series": {"count": count, "lastObservedTime": MicroTime(series.last)}});
        let params = PatchParams::default();
        let sent = match &series.name {
            None => {
                let event = event(note, series, &self.instance);
                let name = event.metadata.name.clone().unwrap_or_default();
                let made = match cluster::answered(api.create(&PostParams::default(), &event)).await {
                    // It was said before, by another replica or in another life.
                    Err(Failure::Answered { status: 409, .. }) => {
                        cluster::answered(api.patch(&name, &params, &Patch::Merge(again(count + 1)))).await
                    }
                    made => made,
                };
                made.map(|_| series.name = Some(name))
            }
            Some(name) => cluster::answered(api.patch(name, &params, &Patch::Merge(again(count)))).await.map(drop),
        };
        match sent {
            Ok(()) => {
                series.told = count;
                self.metrics.event(EventEnd::Sent);
                Ok(())
            }
            // Its time is over there: the next one is a new Event.
            Err(Failure::Answered { status: 404, .. }) if series.name.is_some() => {
                series.name = None;
                Ok(())
            }
            Err(failure) => {
                self.metrics.event(EventEnd::Failed);
                tracing::debug!(why = %failure, "an Event cannot be written");
                match failure.status() {
                    // A namespace that is gone, a right that is missing.
                    Some(400..=428 | 430..=499) => series.refused = true,
                    Some(_) => {}
                    None => return Err(failure),
                }
                Ok(())
            }
        }
    }
}

fn event(note: &Note, series: &Series, instance: &str) -> Event {
    let Note { about, reason, text } = note;
    let mut name = about.name.clone();
    cut_at(&mut name, MOST_NAME);
    let unique = match reason {
        // All replicas say the same of a document: it is one Event.
        Reason::Refused => digest(&[&about.uid, text]),
        Reason::Conflict | Reason::Shadow => format!("{:x}", series.first.as_nanosecond()),
    };
    Event {
        action: Some("Graft".to_owned()),
        event_time: Some(MicroTime(series.first)),
        metadata: ObjectMeta {
            name: Some(format!("{name}.{unique}")),
            namespace: Some(about.namespace.clone().unwrap_or_else(|| "default".to_owned())),
            ..ObjectMeta::default()
        },
        note: Some(text.clone()),
        reason: Some(reason.word().to_owned()),
        regarding: Some(reference(about)),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        series: (series.count > 1).then_some(EventSeries { count: series.count, last_observed_time: MicroTime(series.last) }),
        type_: Some(reason.kind().to_owned()),
        ..Event::default()
    }
}

/// Sixteen digits that stand for texts.
fn digest(texts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.len().to_le_bytes());
        digest.update(text);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn reference(object: &Object) -> ObjectReference {
    ObjectReference {
        api_version: Some(object.api_version.clone()),
        kind: Some(object.kind.clone()),
        name: Some(object.name.clone()),
        namespace: object.namespace.clone(),
        uid: (!object.uid.is_empty()).then(|| object.uid.clone()),
        ..ObjectReference::default()
    }
}

fn cut(text: &mut String) {
    if text.len() > MOST_TEXT {
        cut_at(text, MOST_TEXT);
        text.push_str("...");
    }
}

fn cut_at(text: &mut String, most: usize) {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// How many requests may be made.
#[derive(Debug)]
struct Budget {
    left: f64,
    when: Instant,
}

impl Budget {
    fn new() -> Budget {
        Budget { left: BURST, when: Instant::now() }
    }

    fn take(&mut self) -> bool {
        self.left = (self.left + self.when.elapsed().as_secs_f64() * RATE).min(BURST);
        self.when = Instant::now();
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_what_it_is_about_and_is_short() {
        let about = Object {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            namespace: Some("shop".into()),
            name: "w".repeat(253),
            uid: "u".into(),
        };
        let mut note = Note { about, reason: Reason::Conflict, text: "é".repeat(2000) };
        cut(&mut note.text);
        let now = Timestamp::now();
        let series = Series { name: None, count: 3, told: 0, first: now, last: now, seen: Instant::now(), refused: false };
        let event = event(&note, &series, "podgraft-0");
        assert!(event.note.unwrap().len() <= 1024);
        assert!(event.metadata.name.unwrap().len() <= 253);
        assert_eq!((event.type_.as_deref(), event.reason.as_deref()), (Some("Warning"), Some("PresetConflict")));
        assert_eq!(event.series.unwrap().count, 3);
        assert_eq!(event.regarding.unwrap().uid.as_deref(), Some("u"));
    }

    #[test]
    fn what_all_replicas_say_of_a_document_is_one_event() {
        let name = |reason: Reason, text: &str, seconds: i64| {
            let (api_version, kind, uid) = ("v1".into(), "ConfigMap".into(), "u".into());
            let about = Object { api_version, kind, namespace: Some("shop".into()), name: "team".into(), uid };
            let when = Timestamp::from_second(seconds).unwrap();
            let series = Series { name: None, count: 1, told: 0, first: when, last: when, seen: Instant::now(), refused: false };
            event(&Note { about, reason, text: text.into() }, &series, "podgraft-0").metadata.name.unwrap()
        };
        assert_eq!(name(Reason::Refused, "a", 1), name(Reason::Refused, "a", 2));
        assert_ne!(name(Reason::Refused, "a", 1), name(Reason::Refused, "b", 1));
        assert_ne!(name(Reason::Conflict, "a", 1), name(Reason::Conflict, "a", 2));
    }

    #[test]
    fn after_a_burst_the_budget_is_used_up() {
        let mut budget = Budget::new();
        let taken = (0..1000).filter(|_| budget.take()).count();
        assert!((25..50).contains(&taken), "{taken}");
        budget.when -= Duration::from_secs(60);
        assert!(budget.take());
        assert!(budget.left <= BURST);
    }
}
