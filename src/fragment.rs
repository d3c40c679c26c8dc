//! What a preset adds, compiled once: its tree, its compact JSON text, where each node stands in that text, and which field of the Pod's
//! schema each node is. So that answering a review copies bytes and looks nothing up.

use crate::schema::{Field, Kind, TypeId};
use crate::tree::{NodeId, Tree, View, write_json_string, write_number};

/// The Pod-shaped part of a preset.
#[derive(Debug)]
pub struct Fragment {
    tree: Tree<'static>,
    text: Box<str>,
    spans: Box<[(u32, u32)]>,
    fields: Box<[Option<&'static Field>]>,
}

impl Fragment {
    /// Compiles the body of a preset: an object with `env`, `envFrom`, `volumeMounts`, `volumes` and `template` as far as they are there.
    #[must_use]
    pub fn compile(tree: &Tree<'_>) -> Fragment {
        // In the order of reading: the merge finds nodes of a fragment by their distance.
        let tree = if tree.is_empty() { Tree::new() } else { tree.to_owned_tree(NodeId::ROOT) };
        let mut text = String::new();
        let mut spans = vec![(0, 0); tree.len()];
        let mut fields = vec![None; tree.len()];
        if !tree.is_empty() {
            write(&tree, NodeId::ROOT, &mut text, &mut spans);
            body(&tree, &mut fields);
        }
        Fragment { tree, text: text.into_boxed_str(), spans: spans.into_boxed_slice(), fields: fields.into_boxed_slice() }
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Tree<'static> {
        &self.tree
    }

    /// The compact JSON text of a node.
    #[must_use]
    pub fn text(&self, node: NodeId) -> &str {
        let (start, end) = self.spans[node.index()];
        &self.text[start as usize..end as usize]
    }

    /// The field of the Pod's schema that a member is; `None` for entries of lists, keys of maps, and fields that the schema does not know.
    #[must_use]
    pub fn field(&self, node: NodeId) -> Option<&'static Field> {
        self.fields[node.index()]
    }

    /// The member at a path of names from the root, where every step is there and not null.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<NodeId> {
        if self.tree.is_empty() {
            return None;
        }
        self.tree.at(NodeId::ROOT, path)
    }

    /// Entries of the list at a path, nothing where there is none.
    pub fn entries(&self, path: &[&str]) -> impl Iterator<Item = NodeId> + use<'_> {
        self.at(path).into_iter().flat_map(|list| self.tree.children(list))
    }
}

fn write(tree: &Tree<'_>, node: NodeId, out: &mut String, spans: &mut [(u32, u32)]) {
    let start = out.len() as u32;
    match tree.view(node) {
        View::List => {
            out.push('[');
            for (count, entry) in tree.children(node).enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write(tree, entry, out, spans);
            }
            out.push(']');
        }
        View::Object => {
            out.push('{');
            for (count, member) in tree.children(node).enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write_json_string(tree.key(member), out);
                out.push(':');
                write(tree, member, out, spans);
            }
            out.push('}');
        }
        View::Null => out.push_str("null"),
        View::Bool(true) => out.push_str("true"),
        View::Bool(false) => out.push_str("false"),
        View::Int(value) => write_number(value, out),
        View::Number(text) => out.push_str(text),
        View::String(text) => write_json_string(text, out),
    }
    spans[node.index()] = (start, out.len() as u32);
}

/// The preset's own five members, as the fields of a container and of a Pod that they are.
fn body(tree: &Tree<'_>, fields: &mut [Option<&'static Field>]) {
    for member in tree.children(NodeId::ROOT) {
        let of = match tree.key(member) {
            "env" | "envFrom" | "volumeMounts" => TypeId::CONTAINER,
            "volumes" => TypeId::POD_SPEC,
            "template" => {
                if let Some(metadata) = tree.present(member, "metadata") {
                    annotate(tree, metadata, Kind::Struct(TypeId::OBJECT_META), fields);
                }
                if let Some(spec) = tree.present(member, "spec") {
                    annotate(tree, spec, Kind::Struct(TypeId::POD_SPEC), fields);
                }
                continue;
            }
            _ => continue,
        };
        let field = of.get().field(tree.key(member));
        fields[member.index()] = field;
        if let Some(field) = field {
            annotate(tree, member, field.kind, fields);
        }
    }
}

fn annotate(tree: &Tree<'_>, node: NodeId, kind: Kind, fields: &mut [Option<&'static Field>]) {
    match kind {
        Kind::Struct(id) => {
            for member in tree.children(node) {
                let field = id.get().field(tree.key(member));
                fields[member.index()] = field;
                if let Some(field) = field {
                    annotate(tree, member, field.kind, fields);
                }
            }
        }
        Kind::List(list) => {
            for entry in tree.children(node) {
                annotate(tree, entry, list.of, fields);
            }
        }
        _ => {}
    }
}
