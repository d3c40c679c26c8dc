//! Watches one object by its name, for ever: what it is now, that there is none, or that it may not be seen.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::watch::{Around, Change, News, Source, Watch};

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

/// Watches the object `name`, and tells whatever is seen; `source` names the watch in logs and in the age of stores. Needs a tokio runtime.
#[must_use]
pub fn watch<K>(source: &'static str, api: Api<K>, name: &str, around: &Around, tell: impl FnMut(Glimpse<K>) + Send + 'static) -> Watch
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let tell = Arc::new(Mutex::new(tell));
    let told = move |glimpse| (tell.lock().unwrap_or_else(PoisonError::into_inner))(glimpse);
    let seen = told.clone();
    Watch::start_telling(
        Source::one(source, api, name),
        around,
        move |news| seen(glimpse(news)),
        move |failure| {
            let refused = matches!(failure.status(), Some(401 | 403 | 404));
            told(if refused { Glimpse::Refused(failure.to_string()) } else { Glimpse::Away(failure.to_string()) });
        },
    )
}

/// Of several changes the last one counts.
fn glimpse<K>(news: News<K>) -> Glimpse<K> {
    let last = match news {
        News::All(all) => all.into_iter().next_back(),
        News::Changes(changes) => changes.into_iter().next_back().and_then(|change| match change {
            Change::Is(object) => Some(object),
            Change::Gone(_) => None,
        }),
        News::Absent => None,
    };
    last.map_or(Glimpse::Absent, |object| Glimpse::Is(Box::new(object)))
}
