//! `HASH`, the version that is recorded on Pods.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::tree::{NodeId, Tree, View};

/// The first 12 hex digits of the SHA-256 of `{"kind":KIND,"spec":SPEC}` in its canonical form: comments, layout and the order of keys do not
/// count, and defaults are not filled in.
#[must_use]
pub fn version(kind: &str, tree: &Tree<'_>, spec: NodeId) -> String {
    let mut text = String::from("{\"kind\":");
    write_string(kind, &mut text);
    text.push_str(",\"spec\":");
    text.push_str(&canonical(tree, spec));
    text.push('}');
    let mut version = String::with_capacity(12);
    for byte in Sha256::digest(text.as_bytes()).iter().take(6) {
        // Writing to a String does not fail.
        let _ = write!(version, "{byte:02x}");
    }
    version
}

/// The canonical form of a value: JSON in UTF-8, without spaces, keys sorted by their bytes at every depth. Strings are escaped as serde_json
/// does: `\"`, `\\`, `\b`, `\f`, `\n`, `\r`, `\t`, other control characters below 0x20 as `\u00xx`, everything else as it is. Whole numbers
/// are written in decimal, other numbers as kubectl would send them.
#[must_use]
pub fn canonical(tree: &Tree<'_>, node: NodeId) -> String {
    let mut text = String::new();
    write(tree, node, &mut text);
    text
}

fn write(tree: &Tree<'_>, node: NodeId, out: &mut String) {
    match tree.view(node) {
        View::Object => {
            let mut members: Vec<NodeId> = tree.children(node).collect();
            members.sort_by(|left, right| tree.key(*left).cmp(tree.key(*right)));
            out.push('{');
            for (count, member) in members.into_iter().enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write_string(tree.key(member), out);
                out.push(':');
                write(tree, member, out);
            }
            out.push('}');
        }
        View::List => {
            out.push('[');
            for (count, entry) in tree.children(node).enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write(tree, entry, out);
            }
            out.push(']');
        }
        View::String(text) => write_string(text, out),
        _ => tree.write(node, out),
    }
}

fn write_string(text: &str, out: &mut String) {
    // A string can always be written.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::parse;

    #[test]
    fn the_canonical_form_has_sorted_keys_and_no_spaces() {
        let tree = parse("{\"b\": [1, 2.5, true, null], \"a\": {\"d\": \"\\u0008\\u001f\\\"é/\", \"c\": {}}}").unwrap();
        assert_eq!(canonical(&tree, NodeId::ROOT), "{\"a\":{\"c\":{},\"d\":\"\\b\\u001f\\\"é/\"},\"b\":[1,2.5,true,null]}");
    }

    #[test]
    fn the_version_is_that_of_the_documented_text() {
        let tree = parse("{\"selector\":{}}").unwrap();
        let digest = Sha256::digest(b"{\"kind\":\"PodPreset\",\"spec\":{\"selector\":{}}}");
        let expected: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(version("PodPreset", &tree, NodeId::ROOT), expected);
        assert_ne!(version("ClusterPodPreset", &tree, NodeId::ROOT), expected);
    }
}
