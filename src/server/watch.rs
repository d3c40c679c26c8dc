//! Watches one kind of object: all of them first, then every change, for ever. One task a source, with a back-off of its own, so that
//! nothing that ails one source holds up another.
//!
//! What is not kube's own watcher here is so because bookmarks and a watch that ends as it should are signs of life, which that one keeps to
//! itself: `store_age_seconds` would grow on every source that is quiet. The protocol is that of client-go's reflector (Kubernetes
//! documentation, "Efficient detection of changes"): list, watch from the list's version on, list again when that version is gone.

mod pause;
mod seat;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::cluster::Failure;
use super::metrics::Metrics;
use super::ready::{Block, Ready};
use pause::Pause;
use seat::{Seat, Trouble};

/// How long one watch lasts. Some clouds drop flows that are idle for 240 s, and what is lost must show within five minutes.
pub const LASTS: Duration = Duration::from_secs(180);

/// A watch that ends sooner than this was none.
const LIVED: Duration = Duration::from_secs(1);

/// An optional kind that may not be listed so often in a row is not waited for: an API server that starts says no at first, too.
const PATIENCE: u32 = 4;

/// Between two looks for a kind that is not installed.
const ABSENT: Duration = Duration::from_secs(5);

/// Replicas that start together do not list together: each source waits for up to a quarter of this first.
const SPREAD: Duration = Duration::from_secs(1);

/// What is watched.
#[derive(Clone, Debug)]
pub struct Source<K> {
    /// Its name in logs, readiness and the label `store`.
    pub name: &'static str,
    /// Kind and namespace.
    pub api: Api<K>,
    /// Only objects with these labels.
    pub labels: Option<String>,
    /// Only the object of this name. Readiness does not wait for it, and what becomes of it is handed over at once.
    pub only: Option<String>,
    /// The kind may not be installed. That is no fault, and is looked for again and again.
    pub optional: bool,
}

impl<K> Source<K> {
    /// All objects that the API gives.
    #[must_use]
    pub fn all(name: &'static str, api: Api<K>) -> Source<K> {
        Source { name, api, labels: None, only: None, optional: false }
    }

    /// One object, by its name.
    #[must_use]
    pub fn one(name: &'static str, api: Api<K>, object: &str) -> Source<K> {
        Source { only: Some(object.to_owned()), ..Source::all(name, api) }
    }

    fn fields(&self) -> Option<String> {
        self.only.as_ref().map(|name| format!("metadata.name={name}"))
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub enum News<K> {
    /// Every object there is. What is not among them is gone.
    All(Vec<K>),
    /// What changed, in order.
    Changes(Vec<Change<K>>),
    /// The kind is not installed (any more), or could never be listed and is not waited for any longer: there is nothing.
    Absent,
}

/// One object that changed.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// It is there, like this.
    Is(K),
    /// It is gone; this is how it was.
    Gone(K),
}

/// What a watch needs beside its source.
#[derive(Clone, Debug)]
pub struct Around {
    /// Gets the age of each source.
    pub metrics: Arc<Metrics>,
    /// False until each source was listed once; never again because of one.
    pub ready: Ready,
    /// How long one watch lasts: [`LASTS`], in tests less.
    pub lasts: Duration,
}

/// Goes on until it is dropped.
#[derive(Debug)]
pub struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Takes what was seen. It may take its time and block.
type Take<K> = Arc<Mutex<dyn FnMut(News<K>) + Send>>;

/// Is told why nothing is seen.
type Tell = dyn FnMut(&Failure) + Send;

impl Watch {
    /// Starts watching. Each piece of news is taken before the next one is fetched, on a thread that may block. Should `take` panic, that is
    /// counted, and everything is listed again. Needs a tokio runtime.
    #[must_use]
    pub fn start<K>(source: Source<K>, around: &Around, take: impl FnMut(News<K>) + Send + 'static) -> Watch
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        Watch::start_telling(source, around, take, |_| {})
    }

    /// The same; whenever the API server cannot be asked, or says no, `tell` is told.
    #[must_use]
    pub fn start_telling<K>(
        source: Source<K>,
        around: &Around,
        take: impl FnMut(News<K>) + Send + 'static,
        mut tell: impl FnMut(&Failure) + Send + 'static,
    ) -> Watch
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let awaited = source.only.is_none();
        let unlisted = awaited.then(|| around.ready.block(source.name, "not listed yet"));
        if awaited {
            // Until it is listed its age is the time since now: what never comes must show, too.
            around.metrics.store_is_fresh(source.name);
        }
        let (around, take): (Around, Take<K>) = (around.clone(), Arc::new(Mutex::new(take)));
        Watch(tokio::spawn(async move {
            if awaited {
                sleep(SPREAD - pause::jittered(SPREAD)).await;
            }
            let kept = tokio::sync::Mutex::new((unlisted, &mut tell as &mut Tell));
            let following = || async {
                let (unlisted, tell) = &mut *kept.lock().await;
                follow(&source, &around, &take, unlisted, *tell).await;
            };
            unending(source.name, &around.metrics, following).await;
        }))
    }
}

/// Goes on for ever: should what goes on panic, that is counted, and it is begun again.
pub async fn unending<F: Future<Output = ()>>(name: &'static str, metrics: &Metrics, mut begin: impl FnMut() -> F) {
    loop {
        if AssertUnwindSafe(async { begin().await }).catch_unwind().await.is_err() {
            metrics.panics.inc();
            tracing::error!(name, "a task panicked, it is begun again");
            sleep(ABSENT).await;
        }
    }
}

/// Lists and watches without end.
async fn follow<K>(source: &Source<K>, around: &Around, take: &Take<K>, unlisted: &mut Option<Block>, tell: &mut Tell)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut seat = Seat { source, around, take, at: None, listed: false, absent: false, missed: false };
    let mut pause = Pause::default();
    // What was said last, so that it is said once.
    let mut said: Option<String> = None;
    let mut forbidden = 0;
    loop {
        let began = Instant::now();
        let watching = seat.at.is_some();
        let result = if watching { seat.watch().await } else { seat.list().await };
        if seat.listed || seat.absent {
            *unlisted = None;
            around.ready.note(source.name, None);
        }
        let (words, wait) = match result {
            Ok(()) => {
                if said.take().is_some() {
                    tracing::info!(source = source.name, "is watched again");
                }
                if watching && began.elapsed() < LIVED {
                    sleep(pause.next(true)).await;
                } else {
                    pause = Pause::default();
                }
                continue;
            }
            Err(Trouble::Absent) => (None, pause::jittered(ABSENT)),
            Err(Trouble::Expired) => (None, pause.next(false)),
            Err(Trouble::Panic) => (Some("what was seen could not be taken: a panic".to_owned()), pause.next(true)),
            Err(Trouble::Failed(failure)) => {
                tell(&failure);
                forbidden = if failure.status() == Some(403) { forbidden + 1 } else { 0 };
                if source.optional && forbidden > PATIENCE && unlisted.is_some() && seat.hand_over(News::Absent).await.is_ok() {
                    around.ready.note(source.name, Some(format!("never listed, and not waited for: {failure}")));
                    *unlisted = None;
                }
                if watching && failure.status().is_some() {
                    // Whatever the API server has against this version of the past (a restored etcd has not got there yet), a list has none.
                    seat.at = None;
                }
                // A server error is also what a proxy says in place of an API server that is away.
                let refused = failure.status().is_some_and(|status| status < 500);
                (Some(failure.to_string()), pause.next(refused))
            }
        };
        if let Some(words) = words.filter(|words| said.as_ref() != Some(words)) {
            let stays = if seat.listed { "what was seen last stays in force" } else { "it was never listed" };
            tracing::warn!(source = source.name, why = words, stays, "cannot be watched");
            said = Some(words);
        }
        sleep(wait).await;
    }
}
