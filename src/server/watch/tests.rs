//! Watches of an API server that answers what a test wants.

use std::sync::mpsc::{Receiver, channel};

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::*;
use crate::server::scripted::{self, Said, Scripted, failure};

/// For what should happen at once, on any machine.
const SOON: Duration = Duration::from_secs(30);

fn object(name: &str, version: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "resourceVersion": version.to_string()}})
}

fn list(names: &[&str], version: u32) -> Said {
    scripted::list("ConfigMapList", &names.iter().map(|name| object(name, version)).collect::<Vec<_>>(), version)
}

fn watched(events: &[(&str, Value)]) -> Said {
    (200, events.iter().map(|(kind, object)| json!({"type": kind, "object": object}).to_string() + "\n").collect())
}

struct Told {
    news: Receiver<String>,
    api: Scripted,
    around: Around,
    _watch: Watch,
}

impl Told {
    fn next(&self) -> String {
        self.news.recv_timeout(SOON).expect("news")
    }

    fn asked(&self, number: usize) -> String {
        self.api.asked().get(number).map(|asked| asked.line.clone()).unwrap_or_default()
    }
}

/// A watch of ConfigMaps over these answers. What it is told is written as `all a b`, `is a`, `gone a`; at `panic` in a name it panics, once.
fn start(answers: Vec<Said>, optional: bool) -> Told {
    start_by(Scripted::of(answers), optional)
}

/// The same over a script.
fn start_by(server: Scripted, optional: bool) -> Told {
    start_of(server, |api| Source { optional, ..Source::all("maps", api) })
}

/// What it is told of failures of one object is written as `failed 403`.
fn start_of(server: Scripted, source: impl FnOnce(Api<ConfigMap>) -> Source<ConfigMap>) -> Told {
    let source = source(Api::all(server.client()));
    let around = Around { metrics: Arc::new(Metrics::new()), ready: Ready::default(), lasts: LASTS };
    let (sender, news) = channel();
    let name = |map: &ConfigMap| map.metadata.name.clone().unwrap_or_default();
    let mut panicked = false;
    let (failures, one) = (sender.clone(), source.only.is_some());
    let failed = move |failure: &Failure| {
        if one {
            let _ = failures.send(format!("failed {}", failure.status().unwrap_or(0)));
        }
    };
    let take = move |news: News<ConfigMap>| {
        let text = match news {
            News::All(maps) => format!("all {}", maps.iter().map(name).collect::<Vec<_>>().join(" ")),
            News::Changes(changes) => {
                let words = changes.iter().map(|change| match change {
                    Change::Is(map) => format!("is {}", name(map)),
                    Change::Gone(map) => format!("gone {}", name(map)),
                });
                words.collect::<Vec<_>>().join(", ")
            }
            News::Absent => "absent".to_owned(),
        };
        if text.contains("panic") && !std::mem::replace(&mut panicked, true) {
            panic!("as ordered");
        }
        let _ = sender.send(text);
    };
    let watch = Watch::start_telling(source, &around, take, failed);
    Told { news, api: server, around, _watch: watch }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn everything_then_changes_and_everything_again_where_the_version_is_gone() {
    let bookmark = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"resourceVersion": "7"}});
    let told = start(
        vec![
            list(&["a", "b"], 3),
            watched(&[("ADDED", object("c", 4)), ("DELETED", object("a", 5)), ("BOOKMARK", bookmark)]),
            watched(&[("ERROR", serde_json::from_str(&failure(410).1).unwrap())]),
            list(&["d"], 9),
            failure(504),
            list(&["e"], 2),
            watched(&[]),
        ],
        false,
    );
    assert_eq!([told.next(), told.next()], ["all a b", "is c, gone a"]);
    assert!(told.around.ready.is_ready());
    assert_eq!([told.next(), told.next()], ["all d", "all e"]);
    assert!(told.asked(0).contains("resourceVersion=0") && told.asked(1).contains("resourceVersion=3"), "{}", told.asked(1));
    assert!(told.asked(1).contains("timeoutSeconds=180") && told.asked(1).contains("allowWatchBookmarks=true"), "{}", told.asked(1));
    assert!(told.asked(2).contains("resourceVersion=7"), "a bookmark is a place to go on from: {}", told.asked(2));
    // What was seen must not become older.
    assert!(!told.asked(3).contains("resourceVersion") && told.asked(3).contains("limit=500"), "{}", told.asked(3));
    assert!(told.around.metrics.text().contains("podgraft_store_age_seconds{store=\"maps\"}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn not_ready_until_it_was_listed_whatever_it_takes() {
    let told = start(vec![failure(403), failure(500), (200, "no JSON".to_owned()), list(&[], 1), watched(&[])], false);
    assert_eq!(told.around.ready.reasons(), ["maps: not listed yet"]);
    assert_eq!(told.next(), "all ");
    while !told.around.ready.is_ready() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_panics_at_the_news_is_given_all_of_it_again() {
    let told = start(vec![list(&["a"], 1), watched(&[("ADDED", object("panic", 2))]), list(&["a", "panic"], 3), watched(&[])], false);
    assert_eq!([told.next(), told.next()], ["all a", "all a panic"]);
    assert_eq!(told.around.metrics.panics.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kind_that_is_not_installed_is_no_hindrance_and_is_noticed_later() {
    let told = start(vec![(404, "404 page not found\n".to_owned()), failure(404), list(&["a"], 1), watched(&[])], true);
    assert_eq!(told.next(), "absent");
    while !told.around.ready.is_ready() {
        tokio::task::yield_now().await;
    }
    assert_eq!(told.next(), "all a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_listed_is_not_gone_because_one_answer_says_so() {
    let told = start(vec![list(&["a"], 1), failure(404), list(&["b"], 1), failure(404), failure(404), list(&["c"], 1), watched(&[])], true);
    assert_eq!([told.next(), told.next()], ["all a", "all b"]);
    assert_eq!([told.next(), told.next()], ["absent", "all c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_optional_kind_that_may_not_be_listed_is_given_up_and_that_shows() {
    let told = start(vec![failure(403)], true);
    let age = || told.around.metrics.text().contains("podgraft_store_age_seconds{store=\"maps\"} ");
    assert!(age(), "what never comes has an age, too");
    assert_eq!(told.next(), "absent");
    while !told.around.ready.is_ready() {
        tokio::task::yield_now().await;
    }
    let shown = told.around.ready.verbose();
    assert!(shown.contains("[!]maps: never listed, and not waited for: so it is (403)"), "{shown}");
    // One that is not optional is waited for.
    let told = start(vec![failure(403)], false);
    assert!(told.news.recv_timeout(Duration::from_secs(3)).is_err() && !told.around.ready.is_ready());
}

/// What is written of the age of a source.
fn age(told: &Told) -> f64 {
    let text = told.around.metrics.text();
    text.lines().find_map(|line| line.strip_prefix("podgraft_store_age_seconds{store=\"maps\"} ")).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_age_grows_while_nobody_answers_and_falls_after() {
    let mut asked = 0;
    let script = move |_: &_| {
        asked += 1;
        match asked {
            1 => list(&["a"], 1),
            2..=4 => failure(503),
            5 => list(&["b"], 2),
            _ => watched(&[]),
        }
    };
    let told = start_by(Scripted::by(script), false);
    assert_eq!(told.next(), "all a");
    while age(&told) < 1.5 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(told.next(), "all b");
    while age(&told) > 1.0 {
        sleep(Duration::from_millis(10)).await;
    }
    // It was there all the time, and is again.
    assert!(told.around.ready.is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_one_object_every_change_is_told_at_once_and_every_failure() {
    let began = Instant::now();
    let changes = [("MODIFIED", object("a", 2)), ("DELETED", object("a", 3))];
    let told = start_of(Scripted::of(vec![failure(403), failure(403), list(&["a"], 1), watched(&changes), watched(&[])]), |api| {
        Source::one("map", api, "a")
    });
    assert!(told.around.ready.is_ready(), "nobody waits for it");
    assert_eq!([told.next(), told.next(), told.next()], ["failed 403", "failed 403", "all a"]);
    assert!(began.elapsed() > Duration::from_millis(1700), "pauses grow while the API server says no: {:?}", began.elapsed());
    assert_eq!([told.next(), told.next()], ["is a", "gone a"]);
    assert!((0..4).all(|number| told.asked(number).contains("fieldSelector=metadata.name%3Da")), "{}", told.asked(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_panics_is_counted_and_begun_again() {
    let (metrics, mut times) = (Arc::new(Metrics::new()), 0);
    let (again, begun) = tokio::sync::oneshot::channel();
    let mut again = Some(again);
    let counted = Arc::clone(&metrics);
    let going = tokio::spawn(async move {
        let begin = || {
            times += 1;
            let again = if times > 1 { again.take() } else { None };
            async move {
                again.expect("as ordered").send(()).unwrap();
                std::future::pending::<()>().await;
            }
        };
        unending("a test", &counted, begin).await;
    });
    begun.await.unwrap();
    assert_eq!(metrics.panics.get(), 1);
    going.abort();
}
