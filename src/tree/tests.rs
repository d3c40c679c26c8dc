use super::*;

fn json(tree: &Tree<'_>) -> String {
    let mut out = String::new();
    tree.write(NodeId::ROOT, &mut out);
    out
}

#[test]
fn what_is_read_is_written() {
    for text in [r#"{"a":[1,2.50,-7,18446744073709551616,true,null,"x\n\u00e9\"\\"],"b":{},"c":[]}"#, "[]", "\"text\""] {
        let tree = parse(text).unwrap();
        let back: serde_json::Value = serde_json::from_str(&json(&tree)).unwrap();
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
}

#[test]
fn entries_are_inserted_exchanged_and_cut() {
    let fragment = parse(r#"{"x":"new"}"#).unwrap();
    let mut tree = parse(r#"{"list":["a","b"],"n":1}"#).unwrap();
    let list = tree.get(NodeId::ROOT, "list").unwrap();
    for index in [0, 2, 9] {
        let new = tree.graft(&fragment, NodeId::ROOT, &[], 3);
        tree.insert(list, index, new);
    }
    assert_eq!(json(&tree), r#"{"list":[{"x":"new"},"a",{"x":"new"},"b",{"x":"new"}],"n":1}"#);
    let last = tree.children(list).last().unwrap();
    assert_eq!(tree.holder(last), 3);
    assert_eq!(tree.position(last), 4);
    tree.cut(last);
    let first = tree.children(list).next().unwrap();
    let new = tree.detached(Value::Bool(true), 1);
    tree.exchange(first, new);
    let number = tree.get(NodeId::ROOT, "n").unwrap();
    tree.cut(number);
    assert_eq!(json(&tree), r#"{"list":[true,"a",{"x":"new"},"b"]}"#);
    let end = tree.graft(&fragment, NodeId::ROOT, &[], 0);
    tree.insert(list, 4, end);
    assert_eq!(tree.position(end), 4);
}

#[test]
fn sameness_is_to_the_letter_but_for_the_order_of_members() {
    let tree = parse(r#"{"a":1,"b":[1,2]}"#).unwrap();
    for (text, same) in [
        (r#"{"b":[1,2],"a":1}"#, true),
        (r#"{"b":[2,1],"a":1}"#, false),
        (r#"{"a":1}"#, false),
        (r#"{"a":1,"b":[1,2],"c":0}"#, false),
        (r#"{"a":1.0,"b":[1,2]}"#, false),
    ] {
        assert_eq!(tree.same(NodeId::ROOT, &parse(text).unwrap(), NodeId::ROOT), same, "{text}");
    }
}

#[test]
fn in_a_copy_nobody_but_the_author_holds_anything() {
    let mut tree = parse(r#"{"a":{"b":1},"c":"\n"}"#).unwrap();
    tree.hold(NodeId::ROOT, 2);
    let copy = tree.copy();
    assert_eq!(json(&copy), json(&tree));
    assert!(copy.nodes.iter().all(|node| node.holder == 0));
}
