//! One review from body to answer, with what is counted and logged about it.

use std::cell::Cell;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::body;
use super::events::{Events, Note, Reason};
use super::metrics::{Ending, Metrics};
use super::reply;
use super::store::namespaces::Namespaces;
use super::store::statuses::Statuses;
use super::store::{Object, Snapshot, Store};
use super::units;
use crate::admit::{self, Admission, Outcome, Refusal, Scratch, World};
use crate::decide::Skip;
use crate::pod::Owner;
use crate::preset::PresetSet;

/// A review that took longer gets a line in the log, as kube-apiserver traces webhooks at the same threshold.
const SLOW: Duration = Duration::from_millis(500);

/// Conflicts that a line names.
const MOST_NAMED: usize = 8;

/// Answers a review: text in, text out.
pub trait Answer: Send + Sync + std::fmt::Debug {
    /// Appends the AdmissionReview with the response.
    ///
    /// # Errors
    /// There is none; the HTTP status says why.
    fn answer(&self, body: &str, out: &mut String) -> Result<Admission, Refusal>;
}

/// Answers with the presets of the store.
#[derive(Debug)]
pub struct Grafter {
    /// The presets.
    pub store: Arc<Store>,
    /// Namespaces whose Pods are left alone.
    pub exempt: Vec<String>,
    /// The labels of namespaces; `None`: there is no cluster to ask.
    pub namespaces: Option<Arc<Namespaces>>,
    /// Takes what is to be told about an answer.
    pub events: Events,
    /// Takes the conflicts of presets that are custom resources.
    pub statuses: Option<Arc<Statuses>>,
}

thread_local! {
    /// Memory that reviews use again. One that panics does not put it back.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Answer for Grafter {
    fn answer(&self, body: &str, out: &mut String) -> Result<Admission, Refusal> {
        let lacks = self.store.lacks();
        let snapshot = self.store.snapshot();
        let none = lacks.map(|_| PresetSet::default());
        let presets = none.as_ref().unwrap_or(&snapshot.presets);
        let labels = |namespace: &str| match &self.namespaces {
            Some(namespaces) => namespaces.labels(namespace),
            // Without a cluster to ask, every namespace has the one label that Kubernetes gives it, which is added in any case.
            None => Some(Vec::new()),
        };
        let world = World { exempt_namespaces: &self.exempt, namespace_labels: &labels };
        let mut scratch = SCRATCH.take();
        let before = out.len();
        let mut answered = admit::answer(body, presets, &world, &mut scratch, out);
        // Without a preset that is there, "no patch" would be a wrong answer, and one that nobody asks again about.
        let whatever = match &answered {
            Ok(admission) => admission.skipped.is_some_and(Skip::whatever_the_presets),
            Err(refusal) => matches!(refusal, Refusal::Bad { .. }),
        };
        if let Some(source) = lacks.filter(|_| !whatever) {
            out.truncate(before);
            answered = Err(Refusal::NotReady(format!("{source}: not listed yet")));
        }
        // What a large one took goes back at once: every thread would keep the most that it ever had.
        if body.len() <= body::SMALL {
            SCRATCH.set(scratch);
        }
        if let Ok(admission) = &answered {
            for preset in &admission.applied {
                snapshot.count_applied(preset);
            }
            if self.events.is_on() && !admission.told.is_empty() {
                self.tell(&snapshot, admission);
            }
        }
        answered
    }
}

/// What one review tells in Events at most.
const MOST_TOLD: usize = 16;

impl Grafter {
    /// Tells where somebody looks: on the owner of the Pod, or the Pod, and on the preset.
    fn tell(&self, snapshot: &Snapshot, admission: &Admission) {
        let Admission { namespace, name, owner, .. } = admission;
        let object = |api_version: &str, kind: &str, name: &str, uid: &str| Object {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.clone()),
            name: name.to_owned(),
            uid: uid.to_owned(),
        };
        let workload = match owner {
            Some(Owner { api_version, kind, name, uid }) => Some(object(api_version, kind, name, uid)),
            // It has no uid yet, and may be one whose name is still to be made.
            None => (!name.is_empty()).then(|| object("v1", "Pod", name, "")),
        };
        for told in admission.told.iter().take(MOST_TOLD) {
            let reason = if told.shadow { Reason::Shadow } else { Reason::Conflict };
            if let Some(workload) = &workload {
                self.events.tell(Note { about: workload.clone(), reason, text: told.line.clone() });
            }
            if let Some(preset) = snapshot.object_of(namespace, &told.preset) {
                if let Some(statuses) = self.statuses.as_ref().filter(|_| !told.shadow) {
                    statuses.conflicted(preset, &told.line);
                }
                let text = match &preset.namespace {
                    Some(there) if there == namespace => told.line.clone(),
                    _ => format!("in namespace {namespace}: {}", told.line),
                };
                self.events.tell(Note { about: Object::clone(preset), reason, text });
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Reviewer {
    answer: Arc<dyn Answer>,
    metrics: Arc<Metrics>,
}

impl Reviewer {
    /// Lets `answer` answer.
    #[must_use]
    pub fn new(answer: Arc<dyn Answer>, metrics: Arc<Metrics>) -> Reviewer {
        Reviewer { answer, metrics }
    }

    /// Answers a body that was there at `received`; past `limit` after that the answer is a 503.
    #[must_use]
    pub fn review(&self, body: &[u8], received: Instant, limit: Duration) -> Response<Body> {
        // It may have waited for a thread.
        if received.elapsed() >= limit {
            self.metrics.review(Ending::Error);
            return reply::unavailable(&late(limit), "podgraft");
        }
        let mut out = String::with_capacity(4096);
        let answered = match std::str::from_utf8(body) {
            Ok(text) => catch_unwind(AssertUnwindSafe(|| self.answer.answer(text, &mut out))).unwrap_or_else(|_| {
                self.metrics.panics.inc();
                Err(Refusal::Fault("a fault of podgraft, see its log".to_owned()))
            }),
            Err(error) => Err(Refusal::Bad { error: "the body is not UTF-8".to_owned(), at: format!("byte {}", error.valid_up_to()) }),
        };
        let took = received.elapsed();
        self.metrics.took(took);
        if took > SLOW {
            tracing::warn!(milliseconds = took.as_millis(), bytes = body.len(), "slow review");
        }
        match answered {
            Ok(_) if took >= limit => {
                self.metrics.review(Ending::Error);
                reply::unavailable(&late(limit), "podgraft")
            }
            Ok(admission) => {
                self.count(&admission);
                log(&admission, took);
                reply::review(out)
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn count(&self, admission: &Admission) {
        self.metrics.review(match admission.outcome {
            Outcome::Mutated => Ending::Mutated,
            Outcome::Unchanged => Ending::Unchanged,
            Outcome::Rejected => Ending::Rejected,
        });
        if let Some(skip) = &admission.skipped {
            self.metrics.skipped(skip.word());
        }
        for conflict in &admission.conflicts {
            self.metrics.conflict(conflict);
        }
        self.metrics.self_check_failures.inc_by(admission.faults.len() as u64);
        if admission.operations > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a patch has less than 2^52 bytes")]
            self.metrics.patch_bytes.observe(admission.patch_bytes as f64);
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        self.metrics.review(Ending::Error);
        match refusal {
            Refusal::Bad { error, at } => {
                tracing::debug!(error, at, "bad review");
                reply::error(StatusCode::BAD_REQUEST, error, at)
            }
            Refusal::NotReady(why) => {
                tracing::warn!(why, "not ready for a review");
                reply::unavailable(why, "podgraft")
            }
            Refusal::Fault(what) => {
                tracing::error!(what, "a fault in a review");
                reply::fault(what)
            }
        }
    }
}

/// What a caller is told whose review took too long.
#[must_use]
pub fn late(limit: Duration) -> String {
    format!("the review took longer than its {}", units::written(limit))
}

/// A line for what somebody should look at; one for every review only where asked for.
fn log(admission: &Admission, took: Duration) {
    let Admission { uid, namespace, name, .. } = admission;
    for fault in &admission.faults {
        tracing::error!(uid, namespace, name, %fault, "the self-check held a patch back");
    }
    let real = admission.conflicts.iter().filter(|conflict| !conflict.shadow);
    let number = real.clone().count();
    if number > 0 {
        let mut named = String::new();
        for conflict in real.take(MOST_NAMED) {
            let separator = if named.is_empty() { "" } else { "; " };
            // Writing to a String does not fail.
            let _ = write!(named, "{separator}{} {} {}", conflict.preset, conflict.path, conflict.holder);
        }
        tracing::warn!(uid, namespace, name, number, conflicts = named, "presets in conflict");
    }
    if tracing::enabled!(tracing::Level::DEBUG) {
        let presets: Vec<String> = admission.applied.iter().map(|preset| preset.qualified()).collect();
        tracing::debug!(
            uid,
            namespace,
            name,
            dry_run = admission.dry_run,
            outcome = ?admission.outcome,
            skipped = admission.skipped.as_ref().map(|skip| skip.word()),
            presets = presets.join(","),
            operations = admission.operations,
            microseconds = took.as_micros(),
            "review"
        );
    }
}
