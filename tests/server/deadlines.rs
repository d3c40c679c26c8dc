//! Deadlines of a connection. The outer bounds are generous: what is shown is that each deadline is there, and does not hit what it should not.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::client::{self, request};
use crate::made::{Folder, review};
use crate::process::{Process, eventually};

const SHORT: &str = "300ms";
/// Longer than any test may wait for it.
const LONG: &str = "1h";

fn server(flags: &[&str]) -> (Process, Folder) {
    let presets = Folder::new();
    let all = ["--handshake-timeout", "--header-timeout", "--body-timeout", "--idle-timeout"];
    let mut given: Vec<&str> = vec!["--presets", presets.text()];
    given.extend_from_slice(flags);
    for flag in all.into_iter().filter(|flag| !flags.contains(flag)) {
        given.extend([flag, LONG]);
    }
    (Process::start(&given), presets)
}

#[test]
fn a_handshake_that_does_not_come_is_not_waited_for() {
    let (server, _presets) = server(&["--handshake-timeout", SHORT]);
    for bytes in [&b""[..], &b"\x16\x03\x01\x02\x00\x01"[..]] {
        let mut stream = client::tcp(server.webhook).unwrap();
        stream.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        // Closed, with or without a reset; not when patience is over.
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
    }
    assert_eq!(server.metric("podgraft_handshake_failures_total{reason=\"timeout\"}"), 2.0);
    // Whoever has shaken hands is not hit by it.
    let mut client = server.connect();
    assert!(client.open_for(Duration::from_millis(700)));
    assert_eq!(client.review(&review("later")).status, 200);
}

#[test]
fn why_a_handshake_failed_is_counted() {
    let (server, _presets) = server(&[]);
    let count = |reason: &str| server.metric(&format!("podgraft_handshake_failures_total{{reason=\"{reason}\"}}"));
    drop(client::tcp(server.webhook).unwrap());
    eventually("a TCP probe is counted", || count("closed") == 1.0);
    let answer = client::plain(server.webhook, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.is_err(), "{answer:?}");
    eventually("plain HTTP is counted", || count("protocol") == 1.0);
    let other = crate::made::certificate(-3600, 3600);
    assert!(client::Client::trusting(server.webhook, &other.der).is_err());
    eventually("a refused certificate is counted", || count("certificate") == 1.0);
    assert_eq!(count("timeout"), 0.0);
}

#[test]
fn a_header_has_its_time_from_its_first_byte_on() {
    let (server, _presets) = server(&["--header-timeout", SHORT]);
    let mut client = server.connect();
    // Idle is not a late header: not before the first request, and not between two.
    assert!(client.open_for(Duration::from_millis(800)));
    assert_eq!(client.review(&review("one")).status, 200);
    assert!(client.open_for(Duration::from_millis(800)));
    assert_eq!(client.review(&review("two")).status, 200);
    client.send(b"POST /mutate HTTP/1.1\r\nHost: x\r\n").unwrap();
    let answer = client.response().unwrap();
    answer.assert_error(408);
    assert!(answer.closes());
    client.closed();
    // Bytes that keep coming do not lengthen it.
    let mut client = server.connect();
    let started = Instant::now();
    while client.send(b"P").is_ok() && started.elapsed() < client::PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        if !client.open_for(Duration::from_millis(1)) {
            break;
        }
    }
    assert!(started.elapsed() < client::PATIENCE);
}

#[test]
fn a_body_has_its_time() {
    let (server, _presets) = server(&["--body-timeout", SHORT]);
    let all = request("/mutate", review("slow").as_bytes());
    let mut client = server.connect();
    client.send(&all[..all.len() - 1]).unwrap();
    let answer = client.response().unwrap();
    answer.assert_error(408);
    assert!(answer.closes());
    client.closed();
    // Bytes that keep coming do not lengthen it.
    let mut client = server.connect();
    client.send(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < client::PATIENCE);
        if client.send(b" ").is_err() || !client.open_for(Duration::from_millis(20)) {
            break;
        }
    }
    eventually("both are counted", || server.metric("podgraft_reviews_total{outcome=\"error\"}") == 2.0);
    assert_eq!(server.metric("podgraft_reviews_in_flight"), 0.0);
}

#[test]
fn a_body_that_ends_early_is_forgotten() {
    let (server, _presets) = server(&[]);
    let all = request("/mutate", review("gone").as_bytes());
    let mut client = server.connect();
    client.send(&all[..all.len() - 1]).unwrap();
    eventually("it is worked on", || server.metric("podgraft_reviews_in_flight") == 1.0);
    drop(client);
    eventually("it is forgotten", || server.metric("podgraft_reviews_in_flight") == 0.0);
    eventually("the connection is gone", || server.metric("podgraft_connections") == 0.0);
}

#[test]
fn an_idle_connection_is_closed_and_not_before() {
    let (server, _presets) = server(&["--idle-timeout", "1500ms"]);
    let (mut unused, mut used) = (server.connect(), server.connect());
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(unused.closed(), "with TLS' own goodbye");
            assert!(started.elapsed() >= Duration::from_millis(1400), "{:?}", started.elapsed());
        });
        // Every request starts the time anew, also when it comes late.
        for _ in 0..3 {
            assert!(used.open_for(Duration::from_millis(900)));
            assert_eq!(used.review(&review("again")).status, 200);
        }
        let started = Instant::now();
        assert!(used.closed());
        assert!(started.elapsed() >= Duration::from_millis(1400), "{:?}", started.elapsed());
    });
    eventually("both are counted out", || server.metric("podgraft_connections") == 0.0);
}
