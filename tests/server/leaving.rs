//! The way out: not ready, still accepting, every answer closes; then no more connections; then gone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Failures, get, request};
use crate::made::{Folder, labelling, review};
use crate::process::{Process, eventually};

fn presets() -> Folder {
    Folder::holding("a.yaml", &labelling("here", "yes"))
}

#[test]
fn while_it_leaves_it_answers_and_every_answer_closes() {
    for signal in ["TERM", "INT"] {
        let presets = presets();
        let mut server = Process::start(&["--presets", presets.text(), "--shutdown-delay", "1500ms", "--drain-timeout", "1h"]);
        let (mut old, mut quiet) = (server.connect(), server.connect());
        assert!(!old.review(&review("before")).closes());
        assert!(!quiet.review(&review("before")).closes());
        let started = Instant::now();
        server.signal(signal);
        eventually("not ready", || server.ready() == 503);
        let verbose = get(server.admin, "/readyz?verbose").unwrap();
        assert!(verbose.status == 503 && verbose.text().contains("[-]shutdown failed: leaving\n"), "{verbose:?}");
        assert_eq!(get(server.admin, "/livez").unwrap().status, 200);
        let answer = old.review(&review("leaving"));
        assert!(answer.status == 200 && answer.closes(), "{answer:?}");
        assert!(old.closed());
        let answer = server.connect().review(&review("new"));
        assert!(answer.status == 200 && answer.closes(), "still accepting: {answer:?}");
        // A connection without a request is closed, and does not hold it up.
        assert!(quiet.closed());
        assert!(started.elapsed() >= Duration::from_millis(1400), "not before: {:?}", started.elapsed());
        assert_eq!(server.exit().code(), Some(0), "SIG{signal}");
        assert!(Client::connect(server.webhook).is_err());
    }
}

#[test]
fn what_is_being_answered_is_answered() {
    let presets = presets();
    let mut server = Process::start(&["--presets", presets.text(), "--shutdown-delay", "0s", "--drain-timeout", "1h"]);
    let mut client = server.connect();
    let all = request("/mutate", review("slow").as_bytes());
    client.send(&all[..all.len() - 1]).unwrap();
    eventually("it is being answered", || server.metric("podgraft_reviews_in_flight") == 1.0);
    server.signal("TERM");
    eventually("no new connections", || std::net::TcpStream::connect(server.webhook).is_err());
    assert_eq!((server.ready(), get(server.admin, "/livez").unwrap().status), (503, 200), "while it drains, too");
    client.send(&all[all.len() - 1..]).unwrap();
    let answer = client.response().unwrap();
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    assert!(client.closed());
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn it_drains_no_longer_than_it_may() {
    let presets = presets();
    let mut server =
        Process::start(&["--presets", presets.text(), "--shutdown-delay", "0s", "--drain-timeout", "500ms", "--body-timeout", "1h"]);
    let mut client = server.connect();
    let all = request("/mutate", review("never").as_bytes());
    client.send(&all[..all.len() - 1]).unwrap();
    eventually("it is being answered", || server.metric("podgraft_reviews_in_flight") == 1.0);
    let started = Instant::now();
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
    assert!(server.line("connections were still open when the time to drain was over").is_some(), "{}", server.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (second, status) in [("TERM", 143), ("INT", 130)] {
        let presets = presets();
        let mut server = Process::start(&["--presets", presets.text(), "--shutdown-delay", "1h"]);
        server.signal("INT");
        eventually("it leaves", || server.line("leaving").is_some());
        assert!(server.child.try_wait().unwrap().is_none());
        server.signal(second);
        assert_eq!(server.exit().code(), Some(status));
    }
}

/// 25 clients that keep asking, each on one connection until an answer closes it, until no connection can be made any more.
#[test]
fn leaving_under_load_fails_no_request() {
    let presets = presets();
    let mut server = Process::start(&["--presets", presets.text(), "--shutdown-delay", "1s"]);
    let (failures, answers, leaving) = (Failures::default(), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for number in 0..25 {
            let (failures, answers, leaving, webhook) = (failures.clone(), &answers, &leaving, server.webhook);
            scope.spawn(move || {
                let mut client: Option<Client> = None;
                let mut refused = 0;
                loop {
                    let mut connection = match client.take() {
                        Some(connection) => connection,
                        None => match Client::connect(webhook) {
                            Ok(connection) => connection,
                            // The kernel may take a connection that the listener, closing, does not: nothing was asked on it.
                            Err(_) if leaving.load(Ordering::SeqCst) => {
                                refused += 1;
                                if refused > 3 {
                                    return;
                                }
                                continue;
                            }
                            Err(error) => return failures.add(format!("client {number} cannot connect: {error}")),
                        },
                    };
                    match connection.post("/mutate?timeout=10s", &review("load")) {
                        Ok(answer) if answer.status == 200 => {
                            answers.fetch_add(1, Ordering::SeqCst);
                            client = (!answer.closes()).then_some(connection);
                        }
                        other => return failures.add(format!("client {number}, leaving {}: {other:?}", leaving.load(Ordering::SeqCst))),
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        eventually("there is traffic", || answers.load(Ordering::SeqCst) > 100);
        leaving.store(true, Ordering::SeqCst);
        server.signal("TERM");
    });
    assert_eq!(server.exit().code(), Some(0));
    failures.assert_none();
    assert!(answers.load(Ordering::SeqCst) > 200);
}
