//! How many connections there may be, and what is spoken on them.

use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{self, Client};
use crate::made::{Folder, labelling, review};
use crate::process::{Process, bare, eventually};

#[test]
fn past_the_limit_connections_wait_and_none_is_lost() {
    let presets = Folder::new();
    let server = Process::start(&["--presets", presets.text(), "--max-connections", "2"]);
    let (mut one, two) = (server.connect(), server.connect());
    assert_eq!(one.review(&review("one")).status, 200);
    let third = client::tcp(server.webhook).unwrap();
    let waiting = std::thread::spawn(move || Client::handshake(third).unwrap().review(&review("three")).status);
    std::thread::sleep(Duration::from_millis(500));
    assert!(!waiting.is_finished(), "the third has to wait");
    assert_eq!(server.metric("podgraft_connections"), 2.0);
    assert_eq!(server.ready(), 200, "probes do not wait");
    drop(two);
    assert_eq!(waiting.join().unwrap(), 200);
}

#[test]
fn nobody_keeps_probes_out_by_being_there() {
    let presets = Folder::new();
    let server = Process::start(&["--presets", presets.text()]);
    // More than the admin port has at once, all silent; kubelet gives a probe two seconds.
    let silent: Vec<_> = (0..200).map(|_| client::tcp(server.admin).unwrap()).collect();
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(server.ready(), 200);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    // Whoever says nothing for five seconds goes, also where there is room.
    let asked = Instant::now();
    for mut stream in silent {
        let closed = stream.read(&mut [0; 16]);
        assert!(matches!(closed, Ok(0)) || closed.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    }
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[test]
fn without_descriptors_it_waits_without_spinning_and_recovers() {
    let presets = Folder::holding("a.yaml", &labelling("here", "yes"));
    let mut command = Command::new("sh");
    bare(&mut command);
    command.args(["-c", "ulimit -n 40; exec \"$0\" serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 --log-format json --presets \"$1\""]);
    command.args([env!("CARGO_BIN_EXE_podgraft"), presets.text()]);
    let server = Process::of(command);
    let mut first = server.connect();
    let waiting: Vec<_> = (0..60).map(|_| client::tcp(server.webhook).unwrap()).collect();
    eventually("descriptors are used up", || server.line("cannot accept connections, trying again").is_some());
    let before = server.ticks();
    std::thread::sleep(Duration::from_secs(2));
    let spent = server.ticks() - before;
    // Whoever spins on a busy machine with two processors still gets more than this.
    assert!(spent < 15, "{spent} hundredths of a second in two seconds");
    let said = server.log().matches("cannot accept connections").count();
    assert!(said <= 3, "said {said} times");
    assert_eq!(first.review(&review("first")).status, 200, "who is connected is served");
    drop(waiting);
    let answer = server.connect().review(&review("later")).json();
    assert!(answer["response"]["patch"].is_string(), "presets stay, also where their folder could not be read: {answer}");
    assert_eq!(server.ready(), 200);
}

#[test]
fn only_http1_is_offered_unless_asked_for() {
    let presets = Folder::holding("a.yaml", &labelling("here", "yes"));
    let server = Process::start(&["--presets", presets.text()]);
    let mut both = Client::offering(server.webhook, &["h2", "http/1.1"]).unwrap();
    assert_eq!(both.protocol().as_deref(), Some("http/1.1"));
    assert_eq!(both.review(&review("x")).status, 200);
    assert!(Client::offering(server.webhook, &["h2"]).and_then(|mut client| client.post("/mutate", "")).is_err());
    assert_eq!(server.connect().review(&review("x")).status, 200, "without ALPN");
    drop(server);

    let server = Process::start(&["--presets", presets.text(), "--http2"]);
    let mut two = Client::offering(server.webhook, &["h2", "http/1.1"]).unwrap();
    assert_eq!(two.protocol().as_deref(), Some("h2"));
    let answer = http2(&mut two, review("two").as_bytes());
    assert!(answer.contains("\"uid\":\"two\"") && answer.contains("\"patch\""), "{answer}");
    let mut one = Client::offering(server.webhook, &["http/1.1"]).unwrap();
    assert_eq!(one.review(&review("x")).status, 200);
}

/// One request over HTTP/2 by hand (RFC 9113, RFC 7541): the body of the answer.
fn http2(client: &mut Client, body: &[u8]) -> String {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // POST and https are in the static table; the others are literals that are not put into one.
    let mut header = vec![0x83, 0x87];
    for (name, value) in [(":path", "/mutate"), (":authority", "x"), ("content-type", "application/json")] {
        header.push(0);
        for text in [name, value] {
            header.push(u8::try_from(text.len()).unwrap());
            header.extend_from_slice(text.as_bytes());
        }
    }
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    client.send(&frame(4, 0, 0, &[])).unwrap();
    client.send(&frame(1, 4, 1, &header)).unwrap();
    client.send(&frame(0, 1, 1, body)).unwrap();
    let mut answer = Vec::new();
    loop {
        let mut head = [0_u8; 9];
        client.read_exact(&mut head).unwrap();
        let mut payload = vec![0_u8; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        client.read_exact(&mut payload).unwrap();
        match (head[3], head[8]) {
            (1, 1) => assert_eq!(payload.first(), Some(&0x88), "status 200"),
            (0, 1) => answer.extend_from_slice(&payload),
            (3 | 7, _) => panic!("reset: {payload:?}"),
            _ => continue,
        }
        if head[4] & 1 == 1 && head[3] == 0 {
            return String::from_utf8(answer).unwrap();
        }
    }
}
