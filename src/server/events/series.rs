//! What was told, and how often it happened since.

#[cfg(test)]
mod tests;

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

/// Different notes of workloads that are remembered, and of documents. For further ones the oldest that was told is forgotten; where all are
/// still to be told, they are dropped. Apart, so that neither silences the other.
const MOST: usize = 1500;
const MOST_REFUSED: usize = 500;

/// What does not happen for so long is over; when it happens then, that is another Event.
const OVER: Duration = Duration::from_secs(600);

/// Requests a second, and how many at once after a quiet time.
const RATE: f64 = 5.0;
const BURST: f64 = 25.0;

/// What stays of the budget for what happened again, and for documents, however many new notes of workloads come.
const KEPT: f64 = 5.0;

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
    /// When the API server did not want it.
    refused: Option<Instant>,
}

impl Series {
    fn new() -> Series {
        let (now, seen) = (Timestamp::now(), Instant::now());
        Series { name: None, count: 1, told: 0, first: now, last: now, seen, refused: None }
    }

    /// Whether there is something to tell, to somebody who wants to know. A right that is missing may be given.
    fn is_due(&self) -> bool {
        self.count > self.told && self.refused.is_none_or(|when| when.elapsed() >= OVER)
    }
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
        if !self.make_room(note.reason) {
            self.metrics.event(EventEnd::Dropped);
            return;
        }
        self.series.insert(note.clone(), Series::new());
        let kept = if note.reason == Reason::Refused { 0.0 } else { KEPT };
        if self.budget.take(kept) {
            // What cannot be told now is told later.
            let _ = self.send(&note).await;
        }
    }

    /// Whether there is room for a new note, by now.
    fn make_room(&mut self, reason: Reason) -> bool {
        let (documents, most) = match reason {
            Reason::Refused => (true, MOST_REFUSED),
            Reason::Conflict | Reason::Shadow => (false, MOST),
        };
        let beside = self.series.iter().filter(|(note, _)| (note.reason == Reason::Refused) == documents);
        if beside.clone().count() < most {
            return true;
        }
        let oldest = beside.filter(|(_, series)| !series.is_due()).min_by_key(|(_, series)| series.seen).map(|(note, _)| note.clone());
        oldest.is_some_and(|note| self.series.remove(&note).is_some())
    }

    /// Tells what happened since, documents first, and forgets what is over.
    pub async fn flush(&mut self) {
        self.series.retain(|_, series| series.seen.elapsed() < OVER || series.is_due());
        let mut due: Vec<(Reason, Instant, Note)> = self
            .series
            .iter()
            .filter(|(_, series)| series.is_due())
            .map(|(note, series)| (note.reason, series.seen, note.clone()))
            .collect();
        due.sort_by_key(|(reason, seen, _)| (*reason, *seen));
        for (_, _, note) in due {
            // Where nobody answers, there is no use in asking for each.
            if !self.budget.take(0.0) || self.send(&note).await.is_err() {
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
                (series.told, series.refused) = (count, None);
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
                    Some(400..=428 | 430..=499) => {
                        series.refused = Some(Instant::now());
                    }
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
    // A part of a name has to end with a letter or a digit.
    name.truncate(name.trim_end_matches(['-', '.']).len());
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

    /// Takes one, where so many are left then.
    fn take(&mut self, kept: f64) -> bool {
        self.left = (self.left + self.when.elapsed().as_secs_f64() * RATE).min(BURST);
        self.when = Instant::now();
        if self.left < 1.0 + kept {
            return false;
        }
        self.left -= 1.0;
        true
    }
}
