//! Watches one object by its name, for ever: what it is now, that there is none, or that it may not be seen.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Error, Resource};
use serde::de::DeserializeOwned;

use super::cluster::Failure;

/// How long one watch lasts, in seconds. Some clouds drop flows that are idle for 240 s; kube's watcher notices a dead one five seconds after this.
const LASTS: u32 = 180;

/// The first pause after a failure.
const SHORTEST: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// What was seen.
#[derive(Debug)]
pub enum Glimpse<K> {
    /// It is like this.
    Is(Box<K>),
    /// There is none of that name.
    Absent,
    /// The API server does not let us see it.
    Refused(String),
    /// The API server cannot be asked. What was seen before may still be so.
    Away(String),
}

/// Watches it, and tells whatever is seen. Never ends.
pub async fn follow<K>(api: Api<K>, name: &str, mut tell: impl FnMut(Glimpse<K>))
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).timeout(LASTS);
    let mut events = Box::pin(watcher::watcher(api, config));
    let mut pause = SHORTEST;
    // The object of a list that is not over yet.
    let mut listed = None;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let said = failure(error);
                // That a version is too old is how a watch begins anew.
                if said.status() != Some(410) {
                    let refused = matches!(said.status(), Some(401 | 403 | 404));
                    let why = said.to_string();
                    tell(if refused { Glimpse::Refused(why) } else { Glimpse::Away(why) });
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
                continue;
            }
        };
        pause = SHORTEST;
        match event {
            Event::Init => listed = None,
            Event::InitApply(object) => listed = Some(object),
            Event::InitDone => tell(listed.take().map_or(Glimpse::Absent, |object| Glimpse::Is(Box::new(object)))),
            Event::Apply(object) => tell(Glimpse::Is(Box::new(object))),
            Event::Delete(_) => tell(Glimpse::Absent),
        }
    }
}

fn failure(error: watcher::Error) -> Failure {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            error.into()
        }
        watcher::Error::WatchError(status) => Error::Api(status).into(),
        error @ watcher::Error::NoResourceVersion => Failure::Unreachable(error.to_string()),
    }
}
