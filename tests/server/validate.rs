//! `/validate` from outside: the statuses and limits are those of `/mutate`.

use serde_json::{Value, json};

use crate::client::{Client, request};
use crate::made::Folder;
use crate::process::{Process, eventually};

/// A review of a ConfigMap with so many presets in one key.
fn review(uid: &str, presets: usize) -> String {
    let preset = |number: usize| {
        format!(
            "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: p{number}}}\nspec: {{selector: {{}}, env: [{{name: A, value: s3cret}}]}}\n"
        )
    };
    let text = (0..presets).map(preset).collect::<Vec<_>>().join("---\n");
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": uid, "operation": "CREATE", "namespace": "shop", "name": "team", "userInfo": {"username": "ann"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "team", "labels": {"podgraft.dev/presets": "true"}},
            "data": {"all.yaml": text}}}})
    .to_string()
}

fn raw(method: &str, path: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn every_status_of_validate() {
    let presets = Folder::new();
    let server = Process::start(&["--presets", presets.text()]);
    let good = review("good", 1);
    let json = "Content-Type: application/json\r\n";
    let mut client = server.connect();
    for (bytes, status) in [
        (raw("GET", "/validate", "", ""), 405),
        (raw("PUT", "/validate", json, &good), 405),
        (raw("POST", "/validate/", json, &good), 404),
        (raw("POST", "/validate", "", &good), 415),
        (raw("POST", "/validate", &format!("{json}Content-Encoding: gzip\r\n"), &good), 415),
        (raw("POST", "/validate", json, ""), 400),
        (raw("POST", "/validate", json, "{"), 400),
        (raw("POST", "/validate", json, &good.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1")), 400),
        (raw("POST", "/validate", json, &good.replace("\"ann\"", "7")), 400),
    ] {
        client.send(&bytes).unwrap();
        let answer = client.response().unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)));
        answer.assert_error(status);
        assert!(!answer.text().contains("s3cret"), "{answer:?}");
        assert_eq!(status == 405, answer.header("allow").is_some(), "{}", answer.head);
        if answer.closes() {
            client = server.connect();
        }
    }
    // Errors before a review is read are counted; another path or method is no review.
    assert_eq!(server.metric("podgraft_validations_total{outcome=\"error\"}"), 6.0);
    // Some presets, and so many that a thread of its own judges them.
    let large = review("large", 1000);
    assert!(large.len() > 64 << 10);
    for (uid, body) in [("good", good), ("large", large)] {
        let answer = server.connect().post("/validate", &body).unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.json()["response"], json!({"uid": uid, "allowed": true}));
    }
    let bad = review("bad", 1000).replace("spec: {selector", "spec: {selektor");
    let answer: Value = server.connect().post("/validate", &bad).unwrap().json();
    assert_eq!((&answer["response"]["allowed"], &answer["response"]["status"]["code"]), (&json!(false), &json!(422)));
    assert!(!answer.to_string().contains("s3cret"));
    for (outcome, number) in [("allowed", 2.0), ("invalid", 1.0)] {
        assert_eq!(server.metric(&format!("podgraft_validations_total{{outcome=\"{outcome}\"}}")), number, "{outcome}");
    }
    // What is no ConfigMap and no custom resource of ours is nobody's business.
    let pod = crate::made::review("pod");
    assert_eq!(server.connect().post("/validate", &pod).unwrap().json()["response"], json!({"uid": "pod", "allowed": true}));
}

#[test]
fn a_body_that_is_too_large_and_a_time_that_is_too_short() {
    let presets = Folder::new();
    let server = Process::start(&["--presets", presets.text(), "--max-body", "1MiB"]);
    let mut client = server.connect();
    client
        .send(
            format!("POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", (1 << 20) + 1)
                .as_bytes(),
        )
        .unwrap();
    let answer = client.response().unwrap();
    answer.assert_error(413);
    assert!(answer.closes(), "{}", answer.head);
    // A small one is judged too late, a large one is not waited for.
    for (at, number) in [300, 3000].into_iter().enumerate() {
        let body = review("late", number);
        assert_eq!(body.len() > 64 << 10, number == 3000);
        let answer = server.connect().post("/validate?timeout=1ms", &body).unwrap();
        answer.assert_error(503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(answer.closes());
        let errors = || server.metric("podgraft_validations_total{outcome=\"error\"}");
        eventually("it is counted", || errors() == 2.0 + at as f64);
    }
    eventually("none is worked on any more", || server.metric("podgraft_reviews_in_flight") == 0.0);
}

#[test]
fn reviews_of_presets_and_of_pods_are_shed_together() {
    let presets = Folder::new();
    let server = Process::start(&["--presets", presets.text(), "--max-reviews", "2"]);
    let body = review("slow", 1);
    let halves: Vec<Client> = ["/mutate", "/validate"]
        .into_iter()
        .map(|path| {
            let mut client = server.connect();
            let all = request(path, body.as_bytes());
            client.send(&all[..all.len() - 10]).unwrap();
            client
        })
        .collect();
    eventually("two are worked on", || server.metric("podgraft_reviews_in_flight") == 2.0);
    let answer = server.connect().post("/validate", &body).unwrap();
    answer.assert_error(503);
    assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.head);
    assert_eq!(server.metric("podgraft_validations_total{outcome=\"shed\"}"), 1.0);
    for mut client in halves {
        client.send(&body.as_bytes()[body.len() - 10..]).unwrap();
        assert_eq!(client.response().unwrap().json()["response"]["uid"], "slow");
    }
    assert_eq!(server.connect().post("/validate", &body).unwrap().status, 200);
}
