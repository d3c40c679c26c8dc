use super::*;
use crate::cli::patching::{Operation, apply};
use proptest::prelude::*;

fn edited(text: &str, operations: &[(&'static str, &str, &str)]) -> (String, Kept) {
    let manuscript = Manuscript::read(&Part { text, line: 1 }).unwrap();
    let operations: Vec<Operation> =
        operations.iter().map(|(op, path, value)| Operation { op, path: (*path).into(), value: (*value).into() }).collect();
    let mut after = manuscript.tree.clone();
    for operation in &operations {
        apply(&mut after, operation).unwrap();
    }
    let (edited, kept) = edit(text, &manuscript, &after);
    assert!(Manuscript::read(&Part { text: &edited, line: 1 }).unwrap().tree.same(NodeId::ROOT, &after, NodeId::ROOT), "{edited}");
    (edited, kept)
}

fn lines_added(text: &str, operations: &[(&'static str, &str, &str)]) -> String {
    let (edited, kept) = edited(text, operations);
    assert_eq!(kept, Kept::Text, "{edited}");
    edited
}

const POD: &str = "# a Pod\nkind:   Pod\nspec:\n  containers:\n    - name: a   # first\n      image: 'x'\n    # the second\n    - name: b\n      args: [\"-v\", 'w']  # flow\n      # more: of b\n  # about dns\n  dnsPolicy: Default # kept\n";

#[test]
fn entries_go_where_they_belong_and_comments_stay_with_their_own() {
    let out = lines_added(
        POD,
        &[
            ("add", "/spec/containers/-", r#"{"name":"z"}"#),
            ("add", "/spec/containers/1", r#"{"name":"m","env":[{"name":"E","value":"1"}]}"#),
            ("add", "/spec/containers/0", r#"{"name":"f"}"#),
            ("add", "/spec/containers/1/env", r#"[{"name":"E"}]"#),
            ("add", "/spec/volumes", r#"[{"name":"v","emptyDir":{}}]"#),
            ("add", "/metadata", r#"{"labels":{"a":"b"}}"#),
            ("add", "/spec/containers/3/args/0", r#""first""#),
            ("add", "/spec/containers/3/args/-", r#""--last""#),
            ("replace", "/spec/dnsPolicy", r#""None""#),
        ],
    );
    assert_eq!(
        out,
        "# a Pod\nkind:   Pod\nspec:\n  containers:\n    - name: f\n    - name: a   # first\n      image: 'x'\n      env:\n        - name: E\n    - name: m\n      env:\n        - name: E\n          value: \"1\"\n    # the second\n    - name: b\n      args: [first, \"-v\", 'w', --last]  # flow\n      # more: of b\n    - name: z\n  # about dns\n  dnsPolicy: None # kept\n  volumes:\n    - name: v\n      emptyDir: {}\nmetadata:\n  labels:\n    a: b\n"
    );
}

#[test]
fn empty_and_null_values_become_blocks() {
    let out = lines_added(
        "a:\nb: {}  # none\nc: []\nd: ~ # x\ne:\n",
        &[
            ("add", "/a", r#"{"x":1}"#),
            ("add", "/b/k", "[2]"),
            ("add", "/c/-", r#"{"z":3}"#),
            ("add", "/d", r#"{"v":4}"#),
            ("add", "/e", "5"),
            ("add", "/f", "6"),
        ],
    );
    assert_eq!(out, "a:\n  x: 1\nb:  # none\n  k:\n  - 2\nc:\n- z: 3\nd: # x\n  v: 4\ne: 5\nf: 6\n");
}

#[test]
fn literals_line_breaks_and_missing_ends() {
    let text = "a:\r\n- |\r\n  x\r\n\r\n  y\r\n# c\r\nb: >-\r\n  z\r\n";
    let out = lines_added(text, &[("add", "/a/-", "1"), ("add", "/c", "2"), ("add", "/a/0", "0")]);
    assert_eq!(out, "a:\r\n- 0\r\n- |\r\n  x\r\n\r\n  y\r\n- 1\r\n# c\r\nb: >-\r\n  z\r\nc: 2\r\n");
    assert_eq!(lines_added("a: 1 # c", &[("add", "/b", "2")]), "a: 1 # c\nb: 2");
    assert_eq!(lines_added("a: |\n  x\n  y\nb: 1\n", &[("replace", "/a", r#""z""#)]), "a: z\nb: 1\n");
    assert_eq!(lines_added("a:\n- |+\n  x\n\n\nb: 1\n", &[("add", "/a/-", "2")]), "a:\n- |+\n  x\n\n\n- 2\nb: 1\n");
}

#[test]
fn aliases_and_merge_keys() {
    let out =
        lines_added("s: &l\n  a: b\nt: *l # same\nu:\n  <<: *l\n", &[("add", "/t/c", "1"), ("add", "/u/a", "2"), ("add", "/u/d", "3")]);
    assert_eq!(out, "s: &l\n  a: b\nt: # same\n  a: b\n  c: 1\nu:\n  <<: *l\n  a: 2\n  d: 3\n");
    let out = lines_added("s: &l\n  a: b # c\nt: *l\n", &[("add", "/s/c", "1")]);
    assert_eq!(out, "s: &l\n  a: b # c\n  c: 1\nt:\n  a: b\n");
}

#[test]
fn lists_in_first_lines_removed_members_and_json() {
    assert_eq!(lines_added("a:\n- - x\n  - w\n- z\n", &[("add", "/a/0/0", "1")]), "a:\n- - 1\n  - x\n  - w\n- z\n");
    assert_eq!(lines_added("a:\n  b: 1\n  c:\n    d: 2\n  e: 3\n", &[("remove", "/a/c", "")]), "a:\n  b: 1\n  e: 3\n");
    assert_eq!(lines_added("- a: 1\n  b: 2\n", &[("remove", "/0/a", "")]), "- b: 2\n");
    assert_eq!(lines_added("a:\n  b: 1\n", &[("remove", "/a/b", "")]), "a: {}\n");
    assert_eq!(
        lines_added("{\"a\": {\"b\": []}}\n", &[("add", "/a/b/-", r#"{"c":"d"}"#), ("add", "/e", "1")]),
        "{\"a\": {\"b\": [{\"c\": \"d\"}]}, \"e\": 1}\n"
    );
    assert_eq!(edited("--- {}\n", &[("add", "/e", "1")]), ("---\ne: 1\n".to_owned(), Kept::Nothing));
}

/// A document of a few words in block style, with a comment on some lines and above some.
fn document() -> impl Strategy<Value = (String, serde_json::Value)> {
    let leaf = prop_oneof![
        Just(serde_json::json!(null)),
        Just(serde_json::json!(7)),
        Just(serde_json::json!("word")),
        Just(serde_json::json!("two\nlines\n")),
        Just(serde_json::json!("# no comment\n\nend")),
        Just(serde_json::json!({})),
        Just(serde_json::json!([])),
    ];
    let value = leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-f]", inner, 1..4).prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    let root = prop::collection::btree_map("[a-f]", value, 1..5);
    (root, 0..3usize, any::<u64>()).prop_map(|(root, list, mut dice)| {
        let json = serde_json::Value::Object(root.into_iter().collect());
        let text = json.to_string();
        let tree = crate::tree::parse(&text).unwrap();
        let mut plain = String::new();
        Renderer { tree: &tree, indent: Indent { object: 2, list }, json: false }.document(NodeId::ROOT, &mut plain);
        let mut out = String::new();
        for line in plain.lines() {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let column = line.len() - line.trim_start_matches(' ').len();
            let scalar = line.ends_with("word") || line.ends_with('7') || line.ends_with(':');
            match dice >> 61 {
                0 if scalar => out.push_str(&format!("{}# above\n{line}\n", " ".repeat(column))),
                1 if scalar => out.push_str(&format!("{line}   # behind\n")),
                2 if scalar => out.push_str(&format!("{line}\n\n")),
                _ => out.push_str(&format!("{line}\n")),
            }
        }
        (out, json)
    })
}

proptest! {
    #[test]
    fn every_edit_leaves_the_rest_alone((text, json) in document(), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..6)) {
        let marked = Manuscript::read(&Part { text: &text, line: 1 }).unwrap();
        let same = json.to_string();
        let mut after = marked.tree.clone();
        prop_assert!(after.same(NodeId::ROOT, &crate::tree::parse(&same).unwrap(), NodeId::ROOT));
        let values = [r#"{"x":[{"z":1}],"w":"v"}"#, r#""new""#, "[1,[2]]"];
        let values: Vec<Tree<'_>> = values.iter().map(|value| crate::tree::parse(value).unwrap()).collect();
        for (turn, pick) in picks.iter().enumerate() {
            let nodes: Vec<NodeId> = descend(&after).collect();
            let node = *pick.get(&nodes);
            let new = after.graft(&values[turn % 3], NodeId::ROOT, &[], 0);
            match after.view(node) {
                View::List => {
                    let at = pick.index(after.count(node) + 1);
                    after.insert(node, at, new);
                }
                View::Object => {
                    let key = after.keep(&format!("new{turn}"));
                    after.set_member(node, key, new);
                }
                _ => after.exchange_keeping_key(node, new),
            }
        }
        let (edited, kept) = edit(&text, &marked, &after);
        let again = Manuscript::read(&Part { text: &edited, line: 1 }).unwrap();
        prop_assert!(again.tree.same(NodeId::ROOT, &after, NodeId::ROOT));
        prop_assert_eq!(kept, Kept::Text, "{}", edited);
    }

    /// Whatever a document is written in, and whatever is done to it: it says what it must. How much of its text stays is another matter.
    #[test]
    fn no_edit_of_any_style_says_something_else(
        which in 0..STYLES.len(),
        crlf in any::<bool>(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), 0..4usize), 1..8),
    ) {
        let text = if crlf { STYLES[which].replace('\n', "\r\n") } else { STYLES[which].to_owned() };
        let manuscript = Manuscript::read(&Part { text: &text, line: 1 }).unwrap();
        let values = [r#"{"x":[{"z":1}],"w":"- v: #"}"#, "\"a\\nb\"", "[1,[2],{}]", "null"].map(|value| crate::tree::parse(value).unwrap());
        let mut after = manuscript.tree.clone();
        for (turn, (pick, what)) in picks.iter().enumerate() {
            let nodes: Vec<NodeId> = descend(&after).collect();
            let node = *pick.get(&nodes);
            let new = after.graft(&values[(turn + what) % 4], NodeId::ROOT, &[], 0);
            match (after.view(node), what) {
                (_, 0) if node != NodeId::ROOT => after.cut(node),
                (_, 1) if node != NodeId::ROOT => after.exchange_keeping_key(node, new),
                (View::List, _) => {
                    let at = pick.index(after.count(node) + 1);
                    after.insert(node, at, new);
                }
                (View::Object, _) => {
                    let key = after.keep(&format!("new {turn}"));
                    after.set_member(node, key, new);
                }
                _ => {}
            }
        }
        let (edited, kept) = edit(&text, &manuscript, &after);
        let again = Manuscript::read(&Part { text: &edited, line: 1 }).unwrap();
        prop_assert!(again.tree.same(NodeId::ROOT, &after, NodeId::ROOT), "{}", edited);
        prop_assert!(!crlf || kept == Kept::Nothing || !edited.replace("\r\n", "").contains('\n'), "{:?}", edited);
    }
}

const STYLES: [&str; 12] = [
    POD,
    "s: &l\n  a: b\nt: *l # same\nu:\n  <<: *l\n  c: [*l, {<<: *l, d: 1}]\n",
    "? k\n: v\n? \"q: r\"\n:\n  - a\n  - ? b\n    : c\n",
    "{a: [1, 2,\n  {b: c}, # x\n  ], \"d\": {\"e\": \"f\",}}\n",
    "- - - a\n    - b\n  -\n    c: |2\n        x\n      y\n\n    d: >+\n      z\n\n\n- # c\n  e: f\n",
    "--- # top\na: !!str 1\nb: !x {c: d}\ne: &e\n- f\ng: *e\n# end",
    "%YAML 1.1\n---\n\"a\" :   'x\n\n  y'\nb:\n\n\n    c: \"d\\\n      e\"\n    # f\n\ng:   # h\n# i\n...\n",
    "{\n    \"a\": [\n        {\"b\": \"c\"},\n        1\n    ],\n    \"d\": {}\n}\n",
    "a:\nb: ~\nc: []\nd: {}\ne: ''\nf:\n- \n- ~\n-\n",
    "\u{e9}: \u{1f600} # \u{e9}\n\u{fc}:\n  - {\u{f6}: \"\u{e4}\"} # c\n",
    "a: {b: &x [1], c: *x}\nd:\n  - *x\n  - e: *x\n",
    "yes: no\n1: 0x10\n1.5: 1e3\nnil: 2001-01-01\n\"false\": 1_000\n",
];
