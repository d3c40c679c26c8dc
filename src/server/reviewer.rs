//! One review from body to answer, with what is counted and logged about it.

use std::cell::Cell;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::metrics::{Ending, Metrics};
use super::reply;
use super::store::Store;
use super::units;
use crate::admit::{self, Admission, Outcome, Refusal, Scratch, World};

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
}

thread_local! {
    /// Memory that reviews use again. One that panics does not put it back.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Answer for Grafter {
    fn answer(&self, body: &str, out: &mut String) -> Result<Admission, Refusal> {
        let snapshot = self.store.snapshot();
        // Without a cluster to ask every namespace has the one label that Kubernetes gives it.
        let labels = |namespace: &str| Some(vec![("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
        let world = World { exempt_namespaces: &self.exempt, namespace_labels: &labels };
        let mut scratch = SCRATCH.take();
        let answered = admit::answer(body, &snapshot.presets, &world, &mut scratch, out);
        SCRATCH.set(scratch);
        if let Ok(admission) = &answered {
            for preset in &admission.applied {
                snapshot.count_applied(preset);
            }
        }
        answered
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
