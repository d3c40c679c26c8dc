//! What the machine does to it: a clock that jumps, a disk that takes nothing.

use std::io::Write;
use std::time::Duration;

use crate::client::{Client, get};
use crate::clock::{Clock, DAY};
use crate::made::{Folder, certificate, labelling, labels_added, review};
use crate::process::{Process, command, eventually};

const HOUR: i64 = 3600;

#[test]
fn a_clock_that_jumps_by_a_day_costs_no_review_and_is_forgiven() {
    let folder = Folder::new();
    let clock = match Clock::new(folder.path()) {
        Ok(clock) => clock,
        Err(trouble) => {
            // Past what a test runner captures.
            let _ = writeln!(std::io::stderr(), "LEFT OUT: nobody changed the clock ({trouble})");
            return;
        }
    };
    let pair = certificate(-HOUR, 12 * HOUR);
    let presets = Folder::holding("a.yaml", &labelling("round", "0"));
    let files = Folder::holding("tls.crt", &pair.cert);
    files.write("tls.key", &pair.key);
    let mut program = command();
    program.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json", "--presets", presets.text()]);
    program.args(["--tls-cert", &files.file("tls.crt"), "--tls-key", &files.file("tls.key"), "--idle-timeout", "1h"]);
    program.envs(clock.environment());
    let server = Process::of(program);
    let mut kept = Client::trusting(server.webhook, &pair.der).unwrap();
    assert_eq!((server.ready(), kept.review(&review("before")).status), (200, 200));
    let jumps =
        [(DAY, 503, "the certificate expired at "), (0, 200, ""), (-DAY, 503, "the certificate is not valid before "), (0, 200, "")];
    for (number, (seconds, status, why)) in jumps.into_iter().enumerate() {
        clock.jump(seconds);
        eventually("it has noticed", || server.ready() == status);
        let said = get(server.admin, "/readyz").unwrap();
        assert!(said.text().contains(why), "{said:?}");
        assert_eq!(get(server.admin, "/livez").unwrap().status, 200);
        // Whoever calls has a clock that is right: it trusts the certificate, and is answered, on the old connection and on a new one.
        for client in [&mut kept, &mut Client::trusting(server.webhook, &pair.der).unwrap()] {
            assert_eq!(client.review(&review("during")).status, 200, "{seconds} s");
        }
        let value = (number + 1).to_string();
        presets.write("a.yaml", labelling("round", &value));
        eventually("presets go on changing", || labels_added(&kept.review(&review("change")).json()) == [format!("round={value}")]);
        let before = server.ticks();
        std::thread::sleep(Duration::from_millis(500));
        let spent = server.ticks() - before;
        assert!(spent <= 15, "{spent} hundredths of a second of processor time in half a second of nothing, at {seconds} s");
    }
}

/// As on a full disk, or one that is mounted read-only: a byte that it writes to any file would end it (`setrlimit(2)`, `RLIMIT_FSIZE`).
#[test]
fn it_writes_to_no_disk() {
    let presets = Folder::holding("a.yaml", &labelling("here", "1"));
    let (one, two) = (certificate(-HOUR, HOUR), certificate(-HOUR, 2 * HOUR));
    let files = Folder::new();
    files.mount(&[("tls.crt", &one.cert), ("tls.key", &one.key)]);
    let limited = |shell: &str| {
        let program = command();
        let mut limited = std::process::Command::new("sh");
        crate::process::bare(&mut limited);
        limited.args(["-c", &format!("ulimit -f 0; {shell}"), "sh"]).arg(program.get_program());
        limited
    };
    // The limit holds for whatever the shell becomes.
    let written = files.file("written");
    assert!(!limited(&format!("exec dd if=/dev/zero of='{written}' count=1 2>/dev/null")).status().unwrap().success());
    let mut program = limited("exec \"$@\"");
    program.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug"]);
    program.args(["--presets", presets.text(), "--tls-cert", &files.file("tls.crt"), "--tls-key", &files.file("tls.key")]);
    let mut server = Process::of(program);
    assert_eq!(labels_added(&server.connect().review(&review("x")).json()), ["here=1"]);
    presets.write("a.yaml", labelling("here", "2"));
    presets.write("broken.yaml", "{{{");
    files.mount(&[("tls.crt", &two.cert), ("tls.key", &two.key)]);
    eventually("both have changed", || {
        let mut client = server.connect();
        labels_added(&client.review(&review("x")).json()) == ["here=2"] && client.certificate() == two.der
    });
    assert_eq!((server.ready(), get(server.admin, "/metrics").unwrap().status), (200, 200));
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
}
