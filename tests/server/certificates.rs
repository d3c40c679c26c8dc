//! Certificates from files: only ever swapped for a better one, and as one with their key.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::client::{Client, get};
use crate::made::{Folder, Made, certificate, review};
use crate::process::{Process, Served, eventually};

const HOUR: i64 = 3600;

struct Shown {
    presets: Folder,
    files: Folder,
    server: Served,
}

impl Shown {
    fn of(pair: &Made) -> Shown {
        let (presets, files) = (Folder::new(), Folder::new());
        files.mount(&[("tls.crt", &pair.cert), ("tls.key", &pair.key)]);
        let (cert, key) = (files.file("tls.crt"), files.file("tls.key"));
        let server = Served::start(&["--presets", presets.text(), "--tls-cert", &cert, "--tls-key", &key]);
        Shown { presets, files, server }
    }

    fn shows(&self, pair: &Made) -> bool {
        self.server.connect().certificate() == pair.der
    }

    fn reloads(&self, result: &str) -> f64 {
        self.server.metric(&format!("podgraft_reloads_total{{what=\"certificate\",result=\"{result}\"}}"))
    }
}

#[test]
fn a_new_pair_is_shown_and_live_connections_stay() {
    let (one, two, three) = (certificate(-HOUR, HOUR), certificate(-HOUR, 2 * HOUR), certificate(-HOUR, 3 * HOUR));
    let shown = Shown::of(&one);
    let mut live = Client::trusting(shown.server.webhook, &one.der).unwrap();
    assert_eq!(live.review(&review("one")).status, 200);
    shown.files.mount(&[("tls.crt", &two.cert), ("tls.key", &two.key)]);
    eventually("the second is shown", || shown.shows(&two));
    assert!(Client::trusting(shown.server.webhook, &two.der).is_ok() && Client::trusting(shown.server.webhook, &one.der).is_err());
    assert_eq!(live.review(&review("still")).status, 200);
    let not_after = || shown.server.metric("podgraft_certificate_not_after_timestamp_seconds{certificate=\"serving\"}") as i64;
    let left = not_after() - crate::made::now();
    assert!((2 * HOUR - 60..=2 * HOUR).contains(&left), "{left}");
    assert_eq!((shown.reloads("ok"), shown.reloads("error")), (1.0, 0.0));
    // Written one after the other, as a person would: never a pair of both.
    shown.files.write("tls.crt", &three.cert);
    eventually("it is refused", || shown.reloads("error") == 1.0);
    assert!(shown.shows(&two));
    shown.files.write("tls.key", &three.key);
    eventually("the third is shown", || shown.shows(&three));
    assert_eq!(live.review(&review("still")).status, 200);
    assert_eq!(shown.server.ready(), 200);
    drop(shown.presets);
}

#[test]
fn what_is_no_good_never_replaces_what_is() {
    let (good, other) = (certificate(-HOUR, HOUR), certificate(-HOUR, HOUR));
    let (expired, early) = (certificate(-2 * HOUR, -HOUR), certificate(HOUR, 2 * HOUR));
    let shown = Shown::of(&good);
    let bad = [
        (other.cert.as_str(), good.key.as_str()),
        (&good.cert, &other.key),
        (&other.cert[..other.cert.len() / 2], &other.key),
        (&other.cert, &other.key[..other.key.len() / 2]),
        (&other.cert, ""),
        ("", &other.key),
        ("garbage", "garbage"),
        (&other.key, &other.cert),
        (&expired.cert, &expired.key),
        (&early.cert, &early.key),
    ];
    for (number, (cert, key)) in bad.into_iter().enumerate() {
        shown.files.mount(&[("tls.crt", cert), ("tls.key", key)]);
        eventually("it is refused", || shown.reloads("error") >= (number + 1) as f64);
        assert!(shown.shows(&good), "number {number}");
    }
    assert_eq!(shown.reloads("error"), bad.len() as f64, "each is said once");
    assert_eq!(shown.reloads("ok"), 0.0);
    // Files that are gone are no reason either.
    shown.files.remove("tls.crt");
    eventually("it is refused", || shown.reloads("error") == (bad.len() + 1) as f64);
    assert!(shown.shows(&good));
    assert_eq!(shown.server.ready(), 200);
    shown.files.write("tls.crt", &other.cert);
    shown.files.write("tls.key", &other.key);
    eventually("a good one is taken", || shown.shows(&other));
}

#[test]
fn when_the_good_one_expires_it_is_not_ready_and_says_so() {
    let short = certificate(-HOUR, 2);
    let shown = Shown::of(&short);
    assert_eq!(shown.server.ready(), 200);
    shown.files.mount(&[("tls.crt", "garbage"), ("tls.key", &short.key)]);
    eventually("not ready", || shown.server.ready() == 503);
    let said = get(shown.server.admin, "/readyz").unwrap();
    assert!(said.text().contains("certificate: the certificate expired at "), "{said:?}");
    assert_eq!(get(shown.server.admin, "/livez").unwrap().status, 200);
    let next = certificate(-HOUR, HOUR);
    shown.files.mount(&[("tls.crt", &next.cert), ("tls.key", &next.key)]);
    eventually("ready again", || shown.server.ready() == 200);
    assert!(shown.shows(&next));
}

#[test]
fn one_that_has_expired_at_the_start_serves_but_is_not_ready() {
    let shown = Shown::of(&certificate(-2 * HOUR, -HOUR));
    assert_eq!(shown.server.ready(), 503);
    assert_eq!(shown.server.connect().review(&review("x")).status, 200);
}

/// The program as it is, with its own interval.
#[test]
fn a_changed_file_is_in_force_within_ten_seconds_and_in_the_log() {
    let (one, two) = (certificate(-HOUR, HOUR), certificate(-HOUR, HOUR));
    let (presets, files) = (Folder::new(), Folder::new());
    files.mount(&[("tls.crt", &one.cert), ("tls.key", &one.key)]);
    let (cert, key) = (files.file("tls.crt"), files.file("tls.key"));
    let server = Process::start(&["--presets", presets.text(), "--certs", "files", "--tls-cert", &cert, "--tls-key", &key]);
    assert_eq!(server.connect().certificate(), one.der);
    let started = std::time::Instant::now();
    files.mount(&[("tls.crt", &two.cert), ("tls.key", &two.key)]);
    eventually("the second is shown", || server.connect().certificate() == two.der);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    eventually("it is in the log", || server.line("certificate replaced").is_some());
    files.mount(&[("tls.crt", &one.cert), ("tls.key", &two.key)]);
    eventually("it is in the log", || server.line("the new certificate is no good, the old one stays").is_some());
    for line in [one.key.lines().nth(1).unwrap(), two.key.lines().nth(1).unwrap()] {
        assert!(!server.log().contains(line), "a key is in the log");
    }
}

/// What `certs/dev-ca.sh` makes is what kube-apiserver would trust, and the server show.
#[test]
fn the_development_ca_makes_a_pair_that_can_be_used() {
    let folder = Folder::new();
    let made = std::process::Command::new("sh").args(["certs/dev-ca.sh", folder.text()]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (cert, key) = (folder.file("tls.crt"), folder.file("tls.key"));
    let presets = Folder::new();
    let server = Served::start(&["--presets", presets.text(), "--tls-cert", &cert, "--tls-key", &key]);
    let ca = CertificateDer::from_pem_slice(&std::fs::read(folder.path().join("ca.crt")).unwrap()).unwrap();
    let mut client = Client::trusting(server.webhook, &ca).unwrap();
    assert_eq!(client.review(&review("x")).status, 200);
    assert_eq!(server.ready(), 200);
    // Run again it keeps the CA and makes a new leaf; inside of a repository it makes nothing.
    let before = std::fs::read(folder.path().join("ca.crt")).unwrap();
    assert!(std::process::Command::new("sh").args(["certs/dev-ca.sh", folder.text()]).status().unwrap().success());
    assert_eq!(std::fs::read(folder.path().join("ca.crt")).unwrap(), before);
    let inside = std::process::Command::new("sh").args(["certs/dev-ca.sh", "certs/made"]).output().unwrap();
    assert!(!inside.status.success() && !std::path::Path::new("certs/made").exists());
}
