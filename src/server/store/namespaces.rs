//! The labels of all namespaces, as they are at the moment. Only metadata are watched.
//!
//! A namespace that is not known is no namespace without labels: where a preset's `namespaceSelector` has to be asked about one, the review is
//! not answered (503, which the API server tries again a second later), and the namespace is asked for meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::server::cluster;
use crate::server::metrics::{Metrics, Reload};
use crate::server::watch::{Change, News, Source};

/// The name of the source in logs, readiness and metrics.
pub const NAME: &str = "namespaces";

/// Namespaces that are asked for at once; the others are asked for when their Pods are tried again.
const ASKED_AT_ONCE: usize = 64;

/// What was asked for counts for so long, should the watch not tell of it.
const ASKED_COUNTS: Duration = Duration::from_secs(60);

/// Labels in their order.
type Labels = Arc<Vec<(String, String)>>;

/// A namespace as it is watched.
pub type Seen = PartialObjectMeta<Namespace>;

/// See the module.
#[derive(Debug)]
pub struct Namespaces {
    known: ArcSwap<HashMap<String, Labels>>,
    asked: Mutex<Asked>,
    questions: Sender<String>,
}

#[derive(Debug, Default)]
struct Asked {
    open: BTreeSet<String>,
    answers: HashMap<String, (Instant, Labels)>,
}

/// What is watched.
#[must_use]
pub fn source(client: Client) -> Source<Seen> {
    Source::all(NAME, Api::all(client))
}

impl Namespaces {
    /// None is known yet. Needs a tokio runtime, on which the others are asked for.
    #[must_use]
    pub fn new(client: Client) -> Arc<Namespaces> {
        let (questions, asked) = mpsc::channel(ASKED_AT_ONCE);
        let namespaces = Arc::new(Namespaces { known: ArcSwap::default(), asked: Mutex::default(), questions });
        tokio::spawn(ask(Api::all(client), Arc::downgrade(&namespaces), asked));
        namespaces
    }

    /// The labels of a namespace; `None`: it is not known, and is asked for now.
    #[must_use]
    pub fn labels(&self, namespace: &str) -> Option<Vec<(String, String)>> {
        if let Some(labels) = self.known.load().get(namespace) {
            return Some(labels.to_vec());
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.answers.retain(|_, (when, _)| when.elapsed() < ASKED_COUNTS);
        if let Some((_, labels)) = asked.answers.get(namespace) {
            return Some(labels.to_vec());
        }
        if !asked.open.contains(namespace) && self.questions.try_send(namespace.to_owned()).is_ok() {
            asked.open.insert(namespace.to_owned());
        }
        None
    }

    /// Takes over what was seen.
    pub fn take(&self, news: News<Seen>, metrics: &Metrics) {
        let mut known = match &news {
            News::All(_) | News::Absent => HashMap::new(),
            News::Changes(_) => HashMap::clone(&self.known.load()),
        };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::All(all) => known.extend(all.into_iter().filter_map(read)),
            News::Changes(changes) => {
                for change in changes {
                    match change {
                        Change::Is(namespace) => known.extend(read(namespace)),
                        Change::Gone(namespace) => {
                            let name = namespace.metadata.name.unwrap_or_default();
                            known.remove(&name);
                            asked.answers.remove(&name);
                        }
                    }
                }
            }
            News::Absent => {}
        }
        asked.answers.retain(|name, _| !known.contains_key(name));
        self.known.store(Arc::new(known));
        metrics.reloaded(Reload::Namespaces, true);
    }

    fn answered(&self, name: &str, labels: Option<Labels>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.open.remove(name);
        if let Some(labels) = labels {
            asked.answers.insert(name.to_owned(), (Instant::now(), labels));
        }
    }
}

fn read(namespace: Seen) -> Option<(String, Labels)> {
    let labels = namespace.metadata.labels.unwrap_or_default();
    Some((namespace.metadata.name?, Arc::new(labels.into_iter().collect())))
}

/// Asks for namespaces, one after the other, while somebody wants to know.
async fn ask(api: Api<Seen>, namespaces: std::sync::Weak<Namespaces>, mut questions: Receiver<String>) {
    while let Some(name) = questions.recv().await {
        let answer = cluster::answered(api.get_opt(&name)).await;
        let Some(namespaces) = namespaces.upgrade() else { return };
        if let Err(error) = &answer {
            tracing::warn!(namespace = name, %error, "the labels of a namespace cannot be asked for");
        }
        namespaces.answered(&name, answer.ok().flatten().and_then(read).map(|(_, labels)| labels));
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;

    use super::*;

    fn namespaces() -> (Namespaces, Receiver<String>) {
        let (questions, asked) = mpsc::channel(2);
        (Namespaces { known: ArcSwap::default(), asked: Mutex::default(), questions }, asked)
    }

    fn namespace(name: &str, value: &str) -> Seen {
        let labels = [("tier".to_owned(), value.to_owned())].into();
        let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
        Seen { metadata, ..Seen::default() }
    }

    fn tier(value: &str) -> Option<Vec<(String, String)>> {
        Some(vec![("tier".to_owned(), value.to_owned())])
    }

    #[test]
    fn the_labels_are_those_of_the_moment_and_what_is_gone_is_not_known() {
        let (namespaces, _questions) = namespaces();
        let metrics = Metrics::new();
        namespaces.take(News::All(vec![namespace("shop", "a"), namespace("till", "b")]), &metrics);
        assert_eq!(namespaces.labels("shop"), tier("a"));
        namespaces.take(News::Changes(vec![Change::Is(namespace("shop", "c")), Change::Gone(namespace("till", "b"))]), &metrics);
        assert_eq!((namespaces.labels("shop"), namespaces.labels("till")), (tier("c"), None));
        namespaces.take(News::All(vec![namespace("till", "d")]), &metrics);
        assert_eq!((namespaces.labels("shop"), namespaces.labels("till")), (None, tier("d")));
        assert!(metrics.text().contains("podgraft_reloads_total{what=\"namespaces\",result=\"ok\"} 3\n"));
    }

    #[test]
    fn one_that_is_not_known_is_asked_for_once_and_the_watch_has_the_last_word() {
        let (namespaces, mut questions) = namespaces();
        assert_eq!((namespaces.labels("new"), namespaces.labels("new")), (None, None));
        assert_eq!(questions.try_recv().ok().as_deref(), Some("new"));
        assert!(questions.try_recv().is_err(), "it is asked for already");
        namespaces.answered("new", read(namespace("new", "a")).map(|(_, labels)| labels));
        assert_eq!(namespaces.labels("new"), tier("a"));
        namespaces.take(News::Changes(vec![Change::Is(namespace("new", "b"))]), &Metrics::new());
        assert_eq!(namespaces.labels("new"), tier("b"));
        namespaces.take(News::Changes(vec![Change::Gone(namespace("new", "b"))]), &Metrics::new());
        assert_eq!(namespaces.labels("new"), None, "what was asked for is no more either");
        assert_eq!(questions.try_recv().ok().as_deref(), Some("new"));
        // One that is not there is asked for again.
        namespaces.answered("new", None);
        assert_eq!(namespaces.labels("new"), None);
        assert!(questions.try_recv().is_ok());
    }
}
