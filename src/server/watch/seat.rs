//! Where one source stands: one list, one watch.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use kube::Resource;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::{Around, Change, News, Source, Take};
use crate::server::cluster::{self, Failure};

/// A watch that its server should have ended is dead after this time more.
const MARGIN: Duration = Duration::from_secs(10);

/// Changes that come within this time are handed over together: each makes a new snapshot of all presets.
const GATHER: Duration = Duration::from_millis(50);

/// Changes that are handed over together at most.
const GATHER_AT_MOST: usize = 1000;

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Where a source stands.
pub(super) struct Seat<'s, K> {
    pub(super) source: &'s Source<K>,
    pub(super) around: &'s Around,
    pub(super) take: &'s Take<K>,
    /// The version to watch from; `None`: list first.
    pub(super) at: Option<String>,
    /// Whether it was ever listed.
    pub(super) listed: bool,
    /// Whether the kind is not installed, which was said then.
    pub(super) absent: bool,
    /// Whether a kind that was listed was said not to be there, once. That may be a proxy, or an API server that is behind; a definition that
    /// is taken away takes its objects with it one by one before.
    pub(super) missed: bool,
}

impl<K> Seat<'_, K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Lists everything and hands it over at once.
    pub(super) async fn list(&mut self) -> Result<(), Trouble> {
        let mut params =
            ListParams { label_selector: self.source.labels.clone(), field_selector: self.source.fields(), ..ListParams::default() };
        if self.listed {
            params.limit = Some(PAGE);
        } else {
            // What the API server has in memory is good enough to begin with, and costs etcd nothing when all replicas start at once.
            // Later it could be older than what was seen already.
            params.resource_version = Some("0".to_owned());
        }
        let mut all = Vec::new();
        let version = loop {
            let list = match cluster::answered(self.source.api.list(&params)).await {
                Ok(list) => list,
                Err(failure) => return Err(self.trouble(failure).await),
            };
            all.extend(list.items);
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break list.metadata.resource_version.unwrap_or_default(),
            }
        };
        self.hand_over(News::All(all)).await?;
        (self.at, self.listed, self.missed) = (Some(version), true, false);
        if std::mem::take(&mut self.absent) {
            tracing::info!(source = self.source.name, "the kind is installed now, and watched");
        }
        self.fresh();
        Ok(())
    }

    /// Watches until the watch ends.
    pub(super) async fn watch(&mut self) -> Result<(), Trouble> {
        let from = self.at.clone().unwrap_or_default();
        let params = WatchParams {
            label_selector: self.source.labels.clone(),
            field_selector: self.source.fields(),
            timeout: u32::try_from(self.around.lasts.as_secs()).ok(),
            ..WatchParams::default()
        };
        let dead = Instant::now() + self.around.lasts + MARGIN;
        let stream = match cluster::answered(self.source.api.watch(&params, &from)).await {
            Ok(stream) => stream,
            Err(failure) => return Err(self.trouble(failure).await),
        };
        let mut stream = pin!(stream);
        self.fresh();
        loop {
            let Ok(event) = timeout_at(dead, stream.next()).await else {
                return Err(Trouble::Failed(Failure::Unreachable("the watch did not end when it should have: nobody is there".to_owned())));
            };
            let mut gathered = Gathered { version: None, changes: Vec::new() };
            let mut end = gathered.put(event);
            let until = Instant::now() + GATHER;
            while self.source.only.is_none() && end.is_none() && !gathered.changes.is_empty() && gathered.changes.len() < GATHER_AT_MOST {
                match timeout_at(until, stream.next()).await {
                    Ok(event) => end = gathered.put(event),
                    Err(_) => break,
                }
            }
            if !gathered.changes.is_empty() {
                self.hand_over(News::Changes(gathered.changes)).await?;
            }
            if let Some(version) = gathered.version {
                self.at = Some(version);
                self.fresh();
            }
            match end {
                None => {}
                // Its time is over, or the API server leaves.
                Some(Ok(())) => return Ok(()),
                Some(Err(failure)) => return Err(self.trouble(failure).await),
            }
        }
    }

    /// What a failure means here.
    async fn trouble(&mut self, failure: Failure) -> Trouble {
        match Trouble::from(failure) {
            Trouble::Failed(failure) if self.source.optional && failure.status() == Some(404) => {
                self.at = None;
                if self.listed && !self.absent && !std::mem::replace(&mut self.missed, true) {
                    return Trouble::Absent;
                }
                self.fresh();
                if !self.absent {
                    if let Err(trouble) = self.hand_over(News::Absent).await {
                        return trouble;
                    }
                    self.absent = true;
                    tracing::info!(source = self.source.name, "the kind is not installed; once it is, that will be noticed");
                }
                Trouble::Absent
            }
            trouble @ Trouble::Expired => {
                self.at = None;
                trouble
            }
            trouble => {
                self.missed = false;
                trouble
            }
        }
    }

    /// Where that panics, nobody knows what was taken: everything is listed again.
    pub(super) async fn hand_over(&mut self, news: News<K>) -> Result<(), Trouble> {
        let take = Arc::clone(self.take);
        let taken = tokio::task::spawn_blocking(move || {
            let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
            take(news);
        });
        match taken.await {
            Ok(()) => Ok(()),
            Err(_) => {
                self.around.metrics.panics.inc();
                self.at = None;
                Err(Trouble::Panic)
            }
        }
    }

    fn fresh(&self) {
        self.around.metrics.store_is_fresh(self.source.name);
    }
}

/// What a watch said within a moment.
struct Gathered<K> {
    version: Option<String>,
    changes: Vec<Change<K>>,
}

impl<K: Resource> Gathered<K> {
    /// Adds one event. `Some`: the watch is over, and how.
    fn put(&mut self, event: Option<kube::Result<WatchEvent<K>>>) -> Option<Result<(), Failure>> {
        let (object, gone) = match event {
            None => return Some(Ok(())),
            Some(Err(error)) => return Some(Err(error.into())),
            Some(Ok(WatchEvent::Error(status))) => return Some(Err(kube::Error::Api(status).into())),
            Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                self.version = Some(bookmark.metadata.resource_version);
                return None;
            }
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => (object, false),
            Some(Ok(WatchEvent::Deleted(object))) => (object, true),
        };
        self.version.clone_from(&object.meta().resource_version);
        self.changes.push(if gone { Change::Gone(object) } else { Change::Is(object) });
        None
    }
}

/// Why a list or a watch came to nothing.
pub(super) enum Trouble {
    /// The kind is not there, and need not be.
    Absent,
    /// The version to go on from is too old: everything has to be listed again.
    Expired,
    /// Whoever takes the news panicked.
    Panic,
    /// Anything else.
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        if failure.status() == Some(410) { Trouble::Expired } else { Trouble::Failed(failure) }
    }
}
