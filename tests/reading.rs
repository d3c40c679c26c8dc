//! The reader for what API servers send against the one that reads everything: what the first accepts, the second reads as the same.

use std::fs;
use std::path::PathBuf;

use podgraft::review::AdmissionRequest;
use podgraft::tree::{self, NodeId, Scanner, Text, Tree};
use proptest::prelude::*;

fn written(tree: &Tree<'_>) -> String {
    let mut out = String::new();
    tree.write(NodeId::ROOT, &mut out);
    out
}

fn scan(text: &str) -> Option<Tree<'_>> {
    let mut tree = Tree::new();
    let mut scanner = Scanner::new(text);
    scanner.tree(&mut tree, Text::Borrowed(""), &[])?;
    scanner.is_at_end().then_some(tree)
}

/// Whether the first reader took it. Fails where the second does not read the same.
fn is_taken(text: &str) -> bool {
    let Some(scanned) = scan(text) else { return false };
    let parsed = tree::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(scanned.built_alike(&parsed), "{text}");
    assert_eq!(written(&scanned), written(&parsed), "{text}");
    true
}

/// Both readers of reviews say the same.
fn compare_reviews(body: &str) {
    let quick = format!("{:?}", AdmissionRequest::decode(body, Tree::new()).map(|request| shown(&request)));
    let other = format!("{:?}", AdmissionRequest::decode_any(body, Tree::new()).map(|request| shown(&request)));
    assert_eq!(quick, other, "{body}");
}

/// Both readers say the same of a review where this text is read over.
fn read_over(text: &str) {
    for (managed, user) in [(text, "{}"), ("[]", text), ("[]", &format!("[[{text}],{{\"a\":{text},\"b\":1}}]"))] {
        compare_reviews(&format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u","userInfo":{user},
            "object":{{"metadata":{{"managedFields":{managed},"name":"a"}},"spec":{{}}}}}}}}"#
        ));
    }
}

fn shown(request: &AdmissionRequest<'_>) -> String {
    let AdmissionRequest { uid, operation, resource, sub_resource, name, namespace, dry_run, object } = request;
    format!("{uid} {operation} {resource:?} {sub_resource} {name} {namespace} {dry_run} {:?}", object.as_ref().map(written))
}

fn reviews() -> Vec<String> {
    let mut folders = vec![PathBuf::from("tests/reviews"), PathBuf::from("benches/data")];
    let mut reviews = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                reviews.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(reviews.len() > 30, "only {} reviews", reviews.len());
    reviews
}

#[test]
fn what_api_servers_send_is_taken() {
    for review in reviews() {
        assert!(is_taken(&review), "{review}");
        compare_reviews(&review);
    }
}

#[test]
fn what_is_odd_is_left_to_the_other_reader_or_read_alike() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    for (text, taken) in [
        (r#"{"a":1,"b":[true,false,null,-7,0],"c":{},"d":[]} "#, true),
        (" \t\r\n[ 1 , 2 ] ", true),
        (r#""a\"b\\c\/d\b\f\n\r\t\u003c\u00e9é""#, true),
        ("9223372036854775807", true),
        ("-9223372036854775807", true),
        // Not wrong, but for the other to read.
        ("9223372036854775808", false),
        ("1.5", false),
        ("1e3", false),
        ("-0", false),
        (r#""\ud83d\ude00""#, false),
        (&deep(120), false),
        // Wrong.
        ("", false),
        ("{", false),
        ("[1,]", false),
        ("[,1]", false),
        (r#"{"a":1,}"#, false),
        (r#"{"a" 1}"#, false),
        (r#"{a:1}"#, false),
        ("[1 2]", false),
        ("[1}", false),
        ("01", false),
        ("-", false),
        ("+1", false),
        ("nul", false),
        ("truefalse", false),
        ("1 2", false),
        ("\"a", false),
        ("\"a\nb\"", false),
        (r#""\x""#, false),
        (r#""\u12g4""#, false),
        (r#""\u+123""#, false),
        (r#""\ud83d""#, false),
        (r#"{"a":1,"a":2}"#, false),
        (r#"{"a":{"b":1,"\u0062":2}}"#, false),
        (&deep(5000), false),
    ] {
        assert_eq!(is_taken(text), taken, "{text}");
        read_over(text);
    }
    let long: Vec<String> = (0..90).map(|n| format!("\"k{n}\":{n}")).collect();
    assert!(is_taken(&format!("{{{}}}", long.join(","))));
    for again in [0, 20, 50, 89] {
        assert!(!is_taken(&format!("{{{},\"k{again}\":0}}", long.join(","))), "{again}");
    }
}

fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z]{0,9}".prop_map(|text| format!("{text:?}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u003ca\u003e \/ \b""#.to_owned()),
    ];
    let name = text.clone();
    let leaf = prop_oneof![
        text,
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("a number", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just(" false ".to_owned()),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(|entries| format!("[{}]", entries.join(", "))),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(|members| {
                let members: Vec<String> = members.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_documents_are_read_alike(text in json()) {
        is_taken(&text);
    }

    #[test]
    fn damaged_reviews_are_read_alike(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(""), Just("\""), Just("\\"), Just("{"), Just("}"), Just(","), Just("0"), Just("null"), Just("\u{1}"), Just("é")], 0..3_usize), 1..3),
    ) {
        let reviews = reviews();
        let mut body = which.get(&reviews).clone();
        for (at, with, cut) in damage {
            let at = at.index(body.len());
            let end = (at + cut).min(body.len());
            if body.is_char_boundary(at) && body.is_char_boundary(end) {
                body.replace_range(at..end, with);
            }
        }
        is_taken(&body);
        compare_reviews(&body);
    }
}
