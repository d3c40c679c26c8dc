//! What is answered with which status, and the limits on what is sent.

use std::sync::Arc;
use std::time::Duration;

use podgraft::admit::{Admission, Refusal};
use podgraft::server::reviewer::{Answer, Grafter};

use crate::client::{self, Client, request};
use crate::made::{Folder, labelling, labels_added, large_review, review};
use crate::process::{Process, Served, eventually};

fn head(fields: &str) -> Vec<u8> {
    format!("POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{fields}\r\n").into_bytes()
}

fn unchanged_presets() -> Folder {
    Folder::holding("a.yaml", &labelling("here", "yes"))
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_before_it_comes() {
    let presets = unchanged_presets();
    let server = Process::start(&["--presets", presets.text()]);
    let mut client = server.connect();
    client.send(&head(&format!("Content-Length: {}\r\n", (7 << 20) + 1))).unwrap();
    let answer = client.response().unwrap();
    answer.assert_error(413);
    assert!(answer.closes(), "{}", answer.head);
    // One byte less is no reason to refuse it: it is waited for.
    let mut client = server.connect();
    client.send(&head(&format!("Content-Length: {}\r\n", 7 << 20))).unwrap();
    assert!(client.open_for(Duration::from_millis(200)));
    assert_eq!(server.metric("podgraft_reviews_total{outcome=\"error\"}"), 1.0);
}

#[test]
fn a_chunked_body_is_not_read_past_the_limit() {
    let presets = unchanged_presets();
    let server = Process::start(&["--presets", presets.text(), "--max-body", "64KiB"]);
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 10, "x".repeat(1 << 10));
    let mut client = server.connect();
    client.send(&head("Transfer-Encoding: chunked\r\n")).unwrap();
    for _ in 0..64 {
        client.send(chunk.as_bytes()).unwrap();
    }
    assert!(client.open_for(Duration::from_millis(200)), "64 KiB are not too much");
    client.send(chunk.as_bytes()).unwrap();
    // The body has no end yet.
    let answer = client.response().unwrap();
    answer.assert_error(413);
    assert!(answer.closes() && answer.text().contains("65536 bytes"), "{answer:?}");
    client.closed();
    // A review in chunks is one.
    let body = review("chunked");
    let mut client = server.connect();
    client.send(&head("Transfer-Encoding: chunked\r\n")).unwrap();
    for part in body.as_bytes().chunks(100) {
        client.send(format!("{:x}\r\n", part.len()).as_bytes()).unwrap();
        client.send(part).unwrap();
        client.send(b"\r\n").unwrap();
    }
    client.send(b"0\r\n\r\n").unwrap();
    assert_eq!(client.response().unwrap().json()["response"]["uid"], "chunked");
}

#[test]
fn a_review_nested_deeper_than_127_is_bad() {
    let presets = unchanged_presets();
    let server = Process::start(&["--presets", presets.text()]);
    let nested = |depth: usize| {
        // The review, the request and the object are three.
        let deep = format!("{}{}", "[".repeat(depth - 3), "]".repeat(depth - 3));
        review("deep").replacen(r#""kind":"Pod""#, &format!(r#""kind":"Pod","deep":{deep}"#), 1)
    };
    let mut client = server.connect();
    assert_eq!(client.review(&nested(127)).status, 200);
    let answer = client.review(&nested(128));
    answer.assert_error(400);
    assert!(answer.json()["at"].as_str().unwrap().starts_with("byte "), "{answer:?}");
    let elsewhere = |depth: usize| {
        review("deep").replacen(r#""uid""#, &format!(r#""options":{}{},"uid""#, "[".repeat(depth - 2), "]".repeat(depth - 2)), 1)
    };
    assert_eq!(client.review(&elsewhere(127)).status, 200, "of the whole review");
    client.review(&elsewhere(128)).assert_error(400);
    client.review(&"[".repeat(1 << 18)).assert_error(400);
    assert_eq!(client.review(&review("after")).status, 200);
}

#[test]
fn too_many_reviews_at_once_are_shed_at_once() {
    let presets = unchanged_presets();
    let server = Process::start(&["--presets", presets.text(), "--max-reviews", "2"]);
    // Two whose bodies have not all come are being worked on.
    let body = review("slow");
    let halves: Vec<Client> = (0..2)
        .map(|_| {
            let mut client = server.connect();
            let all = request("/mutate", body.as_bytes());
            client.send(&all[..all.len() - 10]).unwrap();
            client
        })
        .collect();
    eventually("two are worked on", || server.metric("podgraft_reviews_in_flight") == 2.0);
    for number in 1..=3 {
        let mut client = server.connect();
        let answer = client.review(&review("shed"));
        answer.assert_error(503);
        assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.head);
        assert!(answer.closes());
        client.closed();
        assert_eq!(server.metric("podgraft_reviews_total{outcome=\"shed\"}"), f64::from(number));
    }
    for mut client in halves {
        client.send(&body.as_bytes()[body.len() - 10..]).unwrap();
        assert_eq!(client.response().unwrap().json()["response"]["uid"], "slow");
    }
    assert_eq!(server.connect().review(&review("after")).status, 200);
    assert_eq!(server.metric("podgraft_reviews_in_flight"), 0.0);
    assert_eq!(server.metric("podgraft_reviews_total{outcome=\"mutated\"}"), 3.0);
}

/// Answers after a while, or panics where the uid says so.
#[derive(Debug)]
struct Odd(Grafter, Duration);

impl Answer for Odd {
    fn answer(&self, body: &str, out: &mut String) -> Result<Admission, Refusal> {
        assert!(!body.contains("\"uid\":\"panic\""), "a value of a Pod");
        if body.contains("\"uid\":\"fault\"") {
            return Err(Refusal::Fault("the patch does not apply to the Pod".to_owned()));
        }
        if body.contains("\"uid\":\"late\"") {
            std::thread::sleep(self.1);
        }
        self.0.answer(body, out)
    }
}

#[test]
fn a_late_review_is_a_503_whoever_set_the_time() {
    let presets = unchanged_presets();
    let long = Duration::from_secs(3);
    let of = |flags: &[&str]| {
        let flags = [&["--presets", presets.text()], flags].concat();
        Served::with(&flags, |grafter| Arc::new(Odd(grafter, long)))
    };
    let late = |server: &Served, path: &str| {
        // A large one is answered by a thread that is not waited for.
        let started = std::time::Instant::now();
        let answer = server.connect().post(path, &large_review("late", 100 << 10)).unwrap();
        answer.assert_error(503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(answer.closes());
        assert!(started.elapsed() < long, "it was waited for");
        // A small one is answered late.
        server.connect().post(path, &review("late")).unwrap().assert_error(503);
    };
    let patient = of(&[]);
    late(&patient, "/mutate?timeout=200ms");
    late(&patient, "/mutate?dryRun=true&timeout=0.2s");
    let impatient = of(&["--review-timeout", "200ms"]);
    late(&impatient, "/mutate?timeout=30s");
    late(&impatient, "/mutate");
    assert_eq!(patient.connect().post("/mutate?timeout=200ms", &review("quick")).unwrap().status, 200);
    eventually("all are counted", || patient.metric("podgraft_reviews_total{outcome=\"error\"}") == 4.0);
    eventually("none is worked on any more", || patient.metric("podgraft_reviews_in_flight") == 0.0);
}

#[test]
fn a_panic_and_a_fault_are_a_500_for_that_review_only() {
    let presets = unchanged_presets();
    let server = Served::with(&["--presets", presets.text()], |grafter| Arc::new(Odd(grafter, Duration::ZERO)));
    let mut client = server.connect();
    for body in [review("panic"), large_review("panic", 100 << 10)] {
        let answer = client.review(&body);
        answer.assert_error(500);
        assert!(!answer.text().contains("a value of a Pod"), "{answer:?}");
        assert_eq!(client.review(&review("after")).status, 200, "on the same connection");
    }
    assert_eq!(server.metric("podgraft_panics_total"), 2.0);
    client.review(&review("fault")).assert_error(500);
    assert_eq!(server.metric("podgraft_panics_total"), 2.0);
    assert_eq!(server.metric("podgraft_reviews_total{outcome=\"error\"}"), 3.0);
    assert_eq!(server.metric("podgraft_reviews_in_flight"), 0.0);
}

#[test]
fn every_status_of_the_webhook() {
    let presets = unchanged_presets();
    let server = Process::start(&["--presets", presets.text()]);
    let mut client = server.connect();
    let good = review("good");
    let answer = client.review(&good);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    for word in ["server", "x-powered-by", "via"] {
        assert!(answer.header(word).is_none(), "{}", answer.head);
    }
    let raw = |method: &str, path: &str, fields: &str, body: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let json = "Content-Type: application/json\r\n";
    for (bytes, status) in [
        (raw("GET", "/mutate", "", ""), 405),
        (raw("PUT", "/mutate", json, &good), 405),
        (raw("POST", "/", json, &good), 404),
        (raw("POST", "/mutate/", json, &good), 404),
        (raw("POST", "//mutate", json, &good), 404),
        (raw("GET", "/metrics", "", ""), 404),
        (raw("GET", "/readyz", "", ""), 404),
        (raw("POST", "/mutate", "", &good), 415),
        (raw("POST", "/mutate", "Content-Type: text/plain\r\n", &good), 415),
        (raw("POST", "/mutate", &format!("{json}Content-Encoding: gzip\r\n"), &good), 415),
        (raw("POST", "/mutate", json, ""), 400),
        (raw("POST", "/mutate", json, "{"), 400),
        (raw("POST", "/mutate", json, "null"), 400),
        (raw("POST", "/mutate", json, &good.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1")), 400),
        (raw("POST", "/mutate", json, &good.replace("\"operation\":\"CREATE\"", "\"operation\":7")), 400),
        (raw("POST", "/mutate", json, &good.replace("\"uid\":\"good\"", "\"uid\":\"good\",\"uid\":\"good\"")), 400),
    ] {
        client.send(&bytes).unwrap();
        let answer = client.response().unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)));
        answer.assert_error(status);
        assert_eq!(status == 405, answer.header("allow").is_some(), "{}", answer.head);
        if answer.closes() {
            client = server.connect();
        }
    }
    let mut no_utf8 = request("/mutate", good.as_bytes());
    let end = no_utf8.len() - 20;
    no_utf8[end] = 0xff;
    let mut client = server.connect();
    client.send(&no_utf8).unwrap();
    let answer = client.response().unwrap();
    answer.assert_error(400);
    assert_eq!(answer.json()["at"], format!("byte {}", good.len() - 20));
    // What is no HTTP, and a header far past the 64 KiB that are buffered: hyper's own answers, without a word about who says it.
    for bytes in [b"hello\r\n\r\n".to_vec(), head(&format!("X: {}\r\n", "x".repeat(512 << 10)))] {
        let mut client = server.connect();
        let _ = client.send(&bytes);
        let answer = client.response().unwrap();
        assert!(matches!(answer.status, 400 | 431), "{answer:?}");
        assert!(answer.header("server").is_none() && answer.body.is_empty(), "{answer:?}");
    }
    assert_eq!(server.connect().review(&good).json()["response"]["uid"], "good");
}

#[test]
fn the_admin_port_has_three_pages_and_nothing_else() {
    let presets = unchanged_presets();
    let server = Process::start(&["--presets", presets.text()]);
    let get = |path: &str| client::get(server.admin, path).unwrap();
    assert_eq!((get("/livez").status, get("/livez").text().to_owned()), (200, "ok\n".to_owned()));
    assert_eq!((get("/readyz").status, get("/readyz").text().to_owned()), (200, "ok\n".to_owned()));
    let verbose = get("/readyz?verbose").text().to_owned();
    assert!(verbose.contains("[+]start ok\n") && verbose.ends_with("readyz check passed\n"), "{verbose}");
    assert!(get("/metrics").header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for path in ["/", "/mutate", "/livez/", "/debug/pprof/", "/metrics/x", "/healthz"] {
        get(path).assert_error(404);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        client::plain(server.admin, post.as_bytes()).unwrap().assert_error(405);
    }
}

#[test]
fn every_metric_of_a_review_moves() {
    let presets = Folder::holding("label.yaml", &labelling("here", "yes"));
    let policy = |name: &str, policy: &str| {
        labelling(name, "yes").replace("selector: {}", &format!("selector: {{matchLabels: {{{name}: ask}}}}\n  conflictPolicy: {policy}"))
    };
    presets.write("reject.yaml", policy("refuse", "Reject"));
    presets.write("keep.yaml", policy("keep", "KeepPod"));
    presets.write("shadow.yaml", labelling("shadow", "yes").replace("spec:", "spec:\n  mode: Shadow"));
    let namespaced =
        labelling("near", "yes").replace("ClusterPodPreset", "PodPreset").replace("{name: near}", "{name: near, namespace: shop}");
    presets.write("namespaced.yaml", &namespaced);
    let server = Process::start(&["--presets", presets.text()]);
    let mut client = server.connect();
    let with = |labels: &str| review("x").replace(r#""labels":{"app":"web"}"#, labels);
    assert_eq!(labels_added(&client.review(&with(r#""labels":{"app":"web"}"#)).json()), ["here=yes", "near=yes"]);
    assert_eq!(client.review(&with(r#""labels":{"refuse":"ask"}"#)).json()["response"]["allowed"], false);
    client.review(&with(r#""labels":{"keep":"ask"}"#));
    client.review(&with(r#""annotations":{"podpreset.admission.kubernetes.io/exclude":"true"}"#));
    client.review(&with(r#""annotations":{"kubernetes.io/config.mirror":"x"}"#));
    client.review(&review("x").replace(r#""namespace":"shop""#, r#""namespace":"kube-system""#));
    client.review(&review("x").replace("CREATE", "UPDATE"));
    client.review(&review("x").replace(r#""object":{"#, r#""object":null,"was":{"#));
    client.review("{}");
    for (series, value) in [
        ("podgraft_reviews_total{outcome=\"mutated\"}", 2.0),
        ("podgraft_reviews_total{outcome=\"rejected\"}", 1.0),
        ("podgraft_reviews_total{outcome=\"unchanged\"}", 5.0),
        ("podgraft_reviews_total{outcome=\"error\"}", 1.0),
        ("podgraft_review_duration_seconds_count", 9.0),
        ("podgraft_review_duration_seconds_bucket{le=\"25\"}", 9.0),
        ("podgraft_patch_bytes_count", 2.0),
        ("podgraft_skipped_total{reason=\"Excluded\"}", 1.0),
        ("podgraft_skipped_total{reason=\"MirrorPod\"}", 1.0),
        ("podgraft_skipped_total{reason=\"ExemptNamespace\"}", 1.0),
        ("podgraft_skipped_total{reason=\"NotPodCreate\"}", 1.0),
        ("podgraft_skipped_total{reason=\"NoObject\"}", 1.0),
        ("podgraft_skipped_total{reason=\"NoMatch\"}", 0.0),
        ("podgraft_conflicts_total{policy=\"Reject\",kind=\"label\"}", 1.0),
        ("podgraft_conflicts_total{policy=\"KeepPod\",kind=\"label\"}", 1.0),
        ("podgraft_preset_applied_total{preset=\"clusterpodpreset-here\"}", 2.0),
        ("podgraft_preset_applied_total{preset=\"shop/podpreset-near\"}", 2.0),
        ("podgraft_preset_applied_total{preset=\"clusterpodpreset-shadow\"}", 0.0),
        ("podgraft_presets{store=\"directory\",state=\"active\"}", 4.0),
        ("podgraft_presets{store=\"directory\",state=\"shadow\"}", 1.0),
        ("podgraft_presets{store=\"directory\",state=\"refused\"}", 0.0),
        ("podgraft_presets{store=\"directory\",state=\"stale\"}", 0.0),
        ("podgraft_self_check_failures_total", 0.0),
        ("podgraft_panics_total", 0.0),
        ("podgraft_connections", 1.0),
        (concat!("podgraft_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(server.metric(series), value, "{series}");
    }
    assert!(server.metric("podgraft_store_age_seconds{store=\"directory\"}") < 30.0);
    let in_90_days = server.metric("podgraft_certificate_not_after_timestamp_seconds{certificate=\"serving\"}") as i64 - crate::made::now();
    assert!((89 * 86_400..=90 * 86_400).contains(&in_90_days), "{in_90_days}");
    drop(client);
    eventually("the connection is counted out", || server.metric("podgraft_connections") == 0.0);
}

#[test]
fn what_was_not_selected_is_named() {
    let empty = Folder::new();
    let server = Process::start(&["--presets", empty.text()]);
    let answer = server.connect().review(&review("lonely")).json();
    assert_eq!(answer["response"]["auditAnnotations"]["skipped"], "NoMatch");
    assert_eq!(server.metric("podgraft_skipped_total{reason=\"NoMatch\"}"), 1.0);
    assert_eq!(server.metric("podgraft_reviews_total{outcome=\"unchanged\"}"), 1.0);
}
