//! Which places of a Pod a preset touches: two presets that touch no place in common have nothing to be in conflict about.
//!
//! A place is coarser than what a conflict is about (an env variable is one place in whatever container), so that no conflict is missed; a
//! test holds that against trying every pair.

use std::collections::{BTreeMap, BTreeSet};

use crate::fragment::Fragment;
use crate::merge::paths::clean;
use crate::preset::{CONTAINER_LISTS, Preset};
use crate::tree::{NodeId, Tree, View};

/// The places that a preset touches, each with what is said there: who says the same is in no conflict.
#[derive(Debug, Default)]
pub struct Touched {
    /// Where it meets everybody who touches the place and says something else.
    pub firm: BTreeMap<String, BTreeSet<String>>,
    /// Where it meets only those who touch the place firmly: a port is no matter for another one, but for `hostNetwork`.
    pub light: BTreeSet<String>,
}

/// Finds the places of one preset.
#[must_use]
pub fn places(preset: &Preset) -> Touched {
    let fragment = preset.fragment();
    let tree = fragment.tree();
    let mut touched = Touched::default();
    if tree.is_empty() {
        return touched;
    }
    for list in ["env", "envFrom", "volumeMounts"] {
        touched.container_list(fragment, NodeId::ROOT, list);
    }
    touched.named(fragment, NodeId::ROOT, "volumes");
    for map in ["labels", "annotations"] {
        for member in members(tree, &["template", "metadata", map]) {
            touched.firm(&[map, tree.key(member)], fragment.text(member));
        }
    }
    for member in members(tree, &["template", "spec"]) {
        match tree.key(member) {
            list if CONTAINER_LISTS.contains(&list) => tree.children(member).for_each(|entry| touched.container(fragment, list, entry)),
            // Entries of these stand beside one another.
            "tolerations" | "hostAliases" => {}
            "hostNetwork" | "resources" => touched.firm(&["spec", tree.key(member)], fragment.text(member)),
            key if is_named(tree, member) => {
                if let Some(spec) = tree.parent(member) {
                    touched.named(fragment, spec, key);
                }
            }
            _ => touched.field("spec", fragment, member),
        }
    }
    touched
}

impl Touched {
    fn firm(&mut self, steps: &[&str], says: &str) {
        self.firm.entry(steps.join("\0")).or_default().insert(says.to_owned());
    }

    fn light(&mut self, steps: &[&str]) {
        self.light.insert(steps.join("\0"));
    }

    fn named(&mut self, fragment: &Fragment, owner: NodeId, list: &str) {
        let tree = fragment.tree();
        for entry in entries(tree, owner, list) {
            self.firm(&[list, tree.get_str(entry, "name").unwrap_or_default()], fragment.text(entry));
        }
    }

    fn container(&mut self, fragment: &Fragment, list: &str, container: NodeId) {
        let tree = fragment.tree();
        let name = tree.get_str(container, "name").unwrap_or_default();
        let of = format!("container\0{name}");
        if tree.present(container, "image").is_some() {
            // The name may be taken in the other list.
            self.firm(&[&of], list);
        }
        for member in tree.children(container) {
            match tree.key(member) {
                list @ ("env" | "envFrom" | "volumeMounts" | "volumeDevices" | "ports") => self.container_list(fragment, container, list),
                "resources" => self.resources(&of, fragment, member),
                "name" => {}
                _ => self.field(&of, fragment, member),
            }
        }
    }

    fn container_list(&mut self, fragment: &Fragment, container: NodeId, list: &str) {
        let tree = fragment.tree();
        for entry in entries(tree, container, list) {
            let text = |key: &str| tree.get_str(entry, key).unwrap_or_default();
            let says = fragment.text(entry);
            match list {
                "envFrom" => {
                    let source = ["configMapRef", "secretRef"].iter().find_map(|source| tree.str(tree.at(entry, &[source, "name"])?));
                    self.firm(&[list, text("prefix"), source.unwrap_or_default()], says);
                }
                "volumeMounts" => {
                    self.firm(&["path", &clean(text("mountPath"))], says);
                    self.light(&["device", text("name")]);
                }
                "volumeDevices" => {
                    self.firm(&["path", &clean(text("devicePath"))], says);
                    self.firm(&["device", text("name")], says);
                }
                "ports" => {
                    // A host port is the whole Pod's.
                    let says = format!("{says} {}", tree.get_str(container, "name").unwrap_or_default());
                    for number in ["containerPort", "hostPort"].iter().filter_map(|key| tree.int(tree.get(entry, key)?)) {
                        self.firm(&["port", &number.to_string()], &says);
                    }
                    if !text("name").is_empty() {
                        self.firm(&["port name", text("name")], &says);
                    }
                    self.light(&["spec", "hostNetwork"]);
                }
                _ => self.firm(&[list, text("name")], says),
            }
        }
    }

    /// A request is held against its limit, and all of them against what the Pod states for itself.
    fn resources(&mut self, of: &str, fragment: &Fragment, resources: NodeId) {
        let tree = fragment.tree();
        self.light(&["spec", "resources"]);
        for member in tree.children(resources) {
            let key = tree.key(member);
            match key {
                "requests" | "limits" => {
                    for entry in tree.children(member) {
                        self.firm(&[of, "resources", tree.key(entry)], &format!("{key} {}", fragment.text(entry)));
                    }
                }
                _ => self.firm(&[of, key], fragment.text(member)),
            }
        }
    }

    /// A field, or the fields in it where those are merged one by one.
    fn field(&mut self, of: &str, fragment: &Fragment, member: NodeId) {
        let tree = fragment.tree();
        let key = tree.key(member);
        let one_value = matches!(key, "livenessProbe" | "readinessProbe" | "startupProbe");
        match tree.view(member) {
            View::Object if !one_value => {
                for inner in tree.children(member) {
                    self.firm(&[of, key, tree.key(inner)], fragment.text(inner));
                }
            }
            _ => self.firm(&[of, key], fragment.text(member)),
        }
    }
}

/// Whether a member is a list of entries with names.
fn is_named(tree: &Tree<'_>, member: NodeId) -> bool {
    matches!(tree.view(member), View::List) && tree.children(member).all(|entry| tree.get_str(entry, "name").is_some())
}

fn entries<'t>(tree: &'t Tree<'_>, owner: NodeId, list: &str) -> impl Iterator<Item = NodeId> + 't {
    tree.present(owner, list).into_iter().flat_map(|list| tree.children(list))
}

fn members(tree: &Tree<'_>, path: &[&str]) -> impl Iterator<Item = NodeId> {
    tree.at(NodeId::ROOT, path).into_iter().flat_map(|node| tree.children(node))
}
