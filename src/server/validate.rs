//! `POST /validate`: ConfigMaps and custom resources that hold presets, before they are written.
//!
//! An object that is not valid is refused with every problem named; so is a namespaced preset whose author may not create Pods where it
//! would change them, for else whoever may write ConfigMaps could run what they like in Pods of others. What holds no presets is allowed,
//! whatever it is: a registration by mistake must stop nothing. Where the API server cannot be asked about the author, the answer is no
//! review at all, so that the registration's `failurePolicy` decides.

mod author;
mod judge;
pub mod objects;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Response, StatusCode};

pub use author::Authors;
pub use judge::{Judgement, Planted};

use super::cluster::Failure;
use super::metrics::{Metrics, Verdict};
use super::reply;
use super::reviewer::late;
use super::store::Store;
use crate::admit::Refusal;
use crate::review::change::{Author, Change};
use crate::review::refusal::{Refused, answer};

/// See the module.
#[derive(Debug)]
pub struct Validator {
    /// Podgraft's own namespace, where ClusterPodPresets may be in ConfigMaps.
    pub namespace: String,
    /// Whether authors are asked about, and whom.
    pub authors: Authors,
    /// What is in force, to say whom a new preset meets.
    pub store: Arc<Store>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// A review that was read and judged; what is left is to ask about its author.
#[derive(Debug)]
pub struct Judged {
    uid: String,
    namespace: String,
    name: String,
    author: Author,
    judgement: Judgement,
}

impl Validator {
    /// Reads and judges a review. Takes as long as its presets are large.
    ///
    /// # Errors
    /// The body is no review that can be answered, or a fault of Podgraft's.
    pub fn judge(&self, body: &[u8]) -> Result<Judged, Refusal> {
        let text = std::str::from_utf8(body)
            .map_err(|error| Refusal::Bad { error: "the body is not UTF-8".to_owned(), at: format!("byte {}", error.valid_up_to()) })?;
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let change = Change::decode(text)?;
            let mut judgement = judge::judge(&change, &self.namespace);
            judge::meet(&mut judgement, self.store.snapshot().presets.presets());
            Ok(Judged { uid: change.uid, namespace: change.namespace, name: change.name, author: change.author, judgement })
        }));
        judged.unwrap_or_else(|_| {
            self.metrics.panics.inc();
            Err(Refusal::Fault("a fault of podgraft, see its log".to_owned()))
        })
    }

    /// Answers a review whose body was there at `received`; past `limit` after that the answer is a 503.
    pub async fn answer(&self, judged: Result<Judged, Refusal>, received: Instant, limit: Duration) -> Response<Body> {
        let judged = match judged {
            Ok(judged) => judged,
            Err(refusal) => return self.refuse(&refusal),
        };
        if received.elapsed() >= limit {
            return self.refuse(&Refusal::NotReady(late(limit)));
        }
        let Judged { uid, namespace, name, author, judgement } = &judged;
        let warnings = judgement.warnings();
        if !judgement.causes.is_empty() {
            self.metrics.validated(Verdict::Invalid);
            tracing::info!(uid, namespace, name, author = author.username, problems = judgement.causes.len(), "presets are refused");
            let (causes, message) = judgement.told();
            let refused = Refused::Invalid { kind: &judgement.kind, name, causes: &causes, message: &message };
            return reply::review(answer(uid, Some(&refused), &warnings));
        }
        if let Some(planted) = &judgement.planted {
            let asked = tokio::time::timeout_at((received + limit).into(), self.authors.may_create_pods(author, &planted.namespace)).await;
            match asked {
                Err(_) => return self.refuse(&Refusal::NotReady(late(limit))),
                Ok(Err(failure)) => return self.refuse(&unasked(&failure)),
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    self.metrics.validated(Verdict::Forbidden);
                    tracing::info!(
                        uid,
                        namespace,
                        name,
                        author = author.username,
                        "presets are refused: the author may not create Pods there"
                    );
                    let message = planted.forbidden(&author.username);
                    return reply::review(answer(uid, Some(&Refused::Forbidden(&message)), &warnings));
                }
            }
        }
        self.metrics.validated(Verdict::Allowed);
        tracing::debug!(uid, namespace, name, presets = judgement.presets.len(), "presets are allowed");
        reply::review(answer(uid, None, &warnings))
    }

    /// Whatever is no answer to the question.
    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        self.metrics.validated(Verdict::Error);
        match refusal {
            Refusal::Bad { error, at } => reply::error(StatusCode::BAD_REQUEST, error, at),
            Refusal::NotReady(why) => {
                tracing::warn!(why, "presets could not be judged");
                reply::unavailable(why, "podgraft")
            }
            Refusal::Fault(what) => {
                tracing::error!(what, "presets could not be judged");
                reply::fault(what)
            }
        }
    }
}

/// What passes by itself is worth another try; a refusal stays.
fn unasked(failure: &Failure) -> Refusal {
    let text = format!("the API server cannot be asked whether the author may create Pods: {failure}");
    match failure.status() {
        Some(status) if (400..500).contains(&status) && status != 429 => Refusal::Fault(text),
        _ => Refusal::NotReady(text),
    }
}
