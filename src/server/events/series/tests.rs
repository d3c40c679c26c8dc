//! Events over an API server that answers what a test wants.

use super::*;
use crate::server::scripted::{Asked, Said, Scripted, failure};

#[test]
fn an_event_names_what_it_is_about_and_is_short() {
    let about = Object {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        namespace: Some("shop".into()),
        // A dot where it is cut off.
        name: format!("{}-.{}", "w".repeat(198), "w".repeat(53)),
        uid: "u".into(),
    };
    let mut note = Note { about, reason: Reason::Conflict, text: "é".repeat(2000) };
    cut(&mut note.text);
    let event = event(&note, &Series { count: 3, ..Series::new() }, "podgraft-0");
    assert!(event.note.unwrap().len() <= 1024);
    let name = event.metadata.name.unwrap();
    assert!(name.len() <= 253 && name.starts_with(&format!("{}.", "w".repeat(198))) && !name.contains("-."), "{name}");
    assert_eq!((event.type_.as_deref(), event.reason.as_deref()), (Some("Warning"), Some("PresetConflict")));
    assert_eq!(event.series.unwrap().count, 3);
    assert_eq!(event.regarding.unwrap().uid.as_deref(), Some("u"));
}

#[test]
fn what_all_replicas_say_of_a_document_is_one_event() {
    let name = |reason: Reason, text: &str, seconds: i64| {
        let (api_version, kind, uid) = ("v1".into(), "ConfigMap".into(), "u".into());
        let about = Object { api_version, kind, namespace: Some("shop".into()), name: "team".into(), uid };
        let when = Timestamp::from_second(seconds).unwrap();
        let series = Series { first: when, ..Series::new() };
        event(&Note { about, reason, text: text.into() }, &series, "podgraft-0").metadata.name.unwrap()
    };
    assert_eq!(name(Reason::Refused, "a", 1), name(Reason::Refused, "a", 2));
    assert_ne!(name(Reason::Refused, "a", 1), name(Reason::Refused, "b", 1));
    assert_ne!(name(Reason::Conflict, "a", 1), name(Reason::Conflict, "a", 2));
}

#[test]
fn after_a_burst_the_budget_is_used_up() {
    let mut budget = Budget::new();
    let taken = (0..1000).filter(|_| budget.take(KEPT)).count();
    assert!((20..45).contains(&taken), "{taken}");
    let taken = (0..1000).filter(|_| budget.take(0.0)).count();
    assert!((5..30).contains(&taken), "{taken}");
    budget.when -= Duration::from_secs(60);
    assert!(budget.take(KEPT));
    assert!(budget.left <= BURST);
}

/// Takes everything, as a real one does.
fn taken(asked: &Asked) -> Said {
    let event = if asked.line.starts_with("POST") { asked.body.clone() } else { json!({"metadata": {"name": "x"}}) };
    (200, event.to_string())
}

fn teller(server: &Scripted) -> Teller {
    Teller::new(server.client(), "podgraft-0".to_owned(), Arc::new(Metrics::new()))
}

fn note(reason: Reason, name: &str) -> Note {
    let about = Object {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        namespace: Some("shop".into()),
        name: name.into(),
        uid: name.into(),
    };
    Note { about, reason, text: "so it is".into() }
}

/// Method and count of what was asked, in order.
fn counts(server: &Scripted) -> Vec<(String, i64)> {
    let asked = server.asked().into_iter();
    asked
        .map(|asked| {
            let method = asked.line.split(' ').next().unwrap_or_default().to_owned();
            (method, asked.body["series"]["count"].as_i64().unwrap_or(1))
        })
        .collect()
}

fn said(method: &str, count: i64) -> (String, i64) {
    (method.to_owned(), count)
}

#[tokio::test]
async fn what_happens_again_is_the_same_event_with_a_count() {
    let server = Scripted::by(taken);
    let mut teller = teller(&server);
    for _ in 0..3 {
        teller.note(note(Reason::Conflict, "web")).await;
    }
    teller.flush().await;
    teller.flush().await;
    assert_eq!(counts(&server), [said("POST", 1), said("PATCH", 3)]);
    let (made, counted) = (&server.asked()[0], &server.asked()[1]);
    let name = made.body["metadata"]["name"].as_str().unwrap();
    assert!(made.line.contains("/apis/events.k8s.io/v1/namespaces/shop/events"), "{}", made.line);
    assert!(counted.line.contains(&format!("/events/{name}")), "{}", counted.line);
}

#[tokio::test]
async fn what_another_replica_said_before_is_counted_there() {
    let server = Scripted::by(|asked| if asked.line.starts_with("POST") { failure(409) } else { taken(asked) });
    let mut teller = teller(&server);
    teller.note(note(Reason::Refused, "team")).await;
    assert_eq!(counts(&server), [said("POST", 1), said("PATCH", 2)]);
}

#[tokio::test]
async fn one_that_the_api_server_forgot_is_made_anew() {
    let server = Scripted::by(|asked| if asked.line.starts_with("POST") { taken(asked) } else { failure(404) });
    let mut teller = teller(&server);
    for _ in 0..2 {
        teller.note(note(Reason::Conflict, "web")).await;
    }
    teller.flush().await;
    teller.flush().await;
    assert_eq!(counts(&server), [said("POST", 1), said("PATCH", 2), said("POST", 2)]);
}

#[tokio::test]
async fn what_is_refused_is_told_again_when_a_right_may_have_been_given() {
    let mut right = false;
    let server = Scripted::by(move |asked| if std::mem::replace(&mut right, true) { taken(asked) } else { failure(403) });
    let mut teller = teller(&server);
    let note = note(Reason::Conflict, "web");
    teller.note(note.clone()).await;
    teller.note(note.clone()).await;
    teller.flush().await;
    assert_eq!(counts(&server), [said("POST", 1)], "not asked again at once");
    // Pods keep coming all the time.
    teller.series.get_mut(&note).unwrap().refused = Instant::now().checked_sub(OVER);
    teller.note(note).await;
    teller.flush().await;
    assert_eq!(counts(&server), [said("POST", 1), said("POST", 3)]);
}

#[tokio::test]
async fn many_workloads_do_not_silence_documents_nor_each_other_for_ever() {
    let server = Scripted::by(taken);
    let mut teller = teller(&server);
    for number in 0..MOST {
        teller.note(note(Reason::Conflict, &format!("web-{number}"))).await;
    }
    let told = server.asked().len();
    assert!(told < 100 && teller.series.len() == MOST, "{told}");
    // There is room for a new one in place of one that was told, not of one that is still to be.
    teller.note(note(Reason::Conflict, "new")).await;
    assert!(teller.series.contains_key(&note(Reason::Conflict, "new")) && !teller.series.contains_key(&note(Reason::Conflict, "web-0")));
    for number in 0..told {
        teller.note(note(Reason::Conflict, &format!("newer-{number}"))).await;
    }
    assert!(teller.metrics.text().contains("podgraft_events_total{result=\"dropped\"} "));
    assert!(teller.series.contains_key(&note(Reason::Conflict, &format!("web-{}", MOST - 1))), "it was not told yet");
    // A document is told at once.
    let before = server.asked().len();
    teller.note(note(Reason::Refused, "team")).await;
    let asked = server.asked();
    assert_eq!((asked.len(), &asked[before].body["regarding"]["name"]), (before + 1, &json!("team")));
}

#[tokio::test]
async fn where_nobody_answers_one_is_asked_for_at_a_time() {
    let server = Scripted::of(vec![(200, "this is no API server".to_owned())]);
    let mut teller = teller(&server);
    for number in 0..3 {
        teller.note(note(Reason::Conflict, &format!("web-{number}"))).await;
    }
    assert_eq!(server.asked().len(), 3);
    teller.flush().await;
    assert_eq!(server.asked().len(), 4);
    assert!(teller.metrics.text().contains("podgraft_events_total{result=\"failed\"} 4\n"));
}
