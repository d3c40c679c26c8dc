//! Events: what somebody should know who looks at a workload or a preset with kubectl. Written off the request path, gathered and limited in
//! number, so that a thousand Pods in conflict are one Event with a count. What values of variables are is in none of them.
//!
//! `events.k8s.io/v1` (Kubernetes API reference, "Event v1 events.k8s.io"): what happens again is a `series` of the same Event.

mod series;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{MissedTickBehavior, interval};

use super::metrics::{EventEnd, Metrics};
use super::store::Object;
use series::Teller;

/// Notes that wait to be told; further ones are dropped.
const QUEUE: usize = 1024;

/// How often what happened again is written down.
const FLUSH: Duration = Duration::from_secs(5);

/// Why there is an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A document is bad.
    Refused,
    /// A preset met something different.
    Conflict,
    /// What a Shadow preset would do.
    Shadow,
}

impl Reason {
    /// The word in the Event.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Reason::Refused => "PresetRefused",
            Reason::Conflict => "PresetConflict",
            Reason::Shadow => "PresetShadow",
        }
    }

    /// `Warning` or `Normal`.
    fn kind(self) -> &'static str {
        match self {
            Reason::Refused | Reason::Conflict => "Warning",
            Reason::Shadow => "Normal",
        }
    }
}

/// Something to be told. What is told of the same object, for the same reason, in the same words is one Event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    /// Where it is told.
    pub about: Object,
    /// Why.
    pub reason: Reason,
    /// A sentence, without values of variables.
    pub text: String,
}

/// Takes notes, and never makes anybody wait.
#[derive(Clone, Debug)]
pub struct Events {
    queue: Option<(Sender<Note>, Arc<Metrics>)>,
}

impl Events {
    /// Tells nobody: there is no cluster.
    #[must_use]
    pub fn off() -> Events {
        Events { queue: None }
    }

    /// Tells the cluster, in the name of `instance`, from a task of its own that ends with the last of these. Needs a tokio runtime.
    #[must_use]
    pub fn start(client: Client, instance: String, metrics: &Arc<Metrics>) -> Events {
        let (sender, notes) = mpsc::channel(QUEUE);
        tokio::spawn(tell(Teller::new(client, instance, Arc::clone(metrics)), notes));
        Events { queue: Some((sender, Arc::clone(metrics))) }
    }

    /// Takes a note, or drops it where too many wait.
    pub fn tell(&self, note: Note) {
        if let Some((queue, metrics)) = &self.queue
            && queue.try_send(note).is_err()
        {
            metrics.event(EventEnd::Dropped);
        }
    }

    /// Whether anybody is told.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }
}

async fn tell(mut teller: Teller, mut notes: Receiver<Note>) {
    let mut flush = interval(FLUSH);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            note = notes.recv() => match note {
                Some(note) => teller.note(note).await,
                None => return,
            },
            _ = flush.tick() => teller.flush().await,
        }
    }
}
