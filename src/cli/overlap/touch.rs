//! Which places of a Pod a preset touches: two presets that touch no place in common have nothing to be in conflict about.
//!
//! A place is coarser than what a conflict is about (an env variable is one place in whatever container), so that no conflict is missed; a
//! test holds that against trying every pair.

use std::collections::BTreeSet;

use crate::merge::paths::clean;
use crate::preset::{CONTAINER_LISTS, Preset};
use crate::tree::{NodeId, Tree, View};

/// The places that a preset touches.
#[derive(Debug, Default)]
pub struct Touched {
    /// Where it meets everybody who touches the place.
    pub firm: BTreeSet<String>,
    /// Where it meets only those who touch the place firmly: a port is no matter for another one, but for `hostNetwork`.
    pub light: BTreeSet<String>,
}

/// Finds the places of one preset.
#[must_use]
pub fn places(preset: &Preset) -> Touched {
    let tree = preset.fragment().tree();
    let mut touched = Touched::default();
    if tree.is_empty() {
        return touched;
    }
    for list in ["env", "envFrom", "volumeMounts"] {
        touched.container_list(tree, NodeId::ROOT, list);
    }
    touched.named(tree, NodeId::ROOT, "volumes");
    for map in ["labels", "annotations"] {
        for member in members(tree, &["template", "metadata", map]) {
            touched.firm(&[map, tree.key(member)]);
        }
    }
    for member in members(tree, &["template", "spec"]) {
        match tree.key(member) {
            list if CONTAINER_LISTS.contains(&list) => tree.children(member).for_each(|container| touched.container(tree, container)),
            // Entries of these stand beside one another.
            "tolerations" | "hostAliases" => {}
            "hostNetwork" | "resources" => touched.firm(&["spec", tree.key(member)]),
            key if is_named(tree, member) => {
                if let Some(spec) = tree.parent(member) {
                    touched.named(tree, spec, key);
                }
            }
            _ => touched.field("spec", tree, member),
        }
    }
    touched
}

impl Touched {
    fn firm(&mut self, steps: &[&str]) {
        self.firm.insert(steps.join("\0"));
    }

    fn light(&mut self, steps: &[&str]) {
        self.light.insert(steps.join("\0"));
    }

    fn named(&mut self, tree: &Tree<'_>, owner: NodeId, list: &str) {
        for entry in tree.present(owner, list).into_iter().flat_map(|list| tree.children(list)) {
            self.firm(&[list, tree.get_str(entry, "name").unwrap_or_default()]);
        }
    }

    fn container(&mut self, tree: &Tree<'_>, container: NodeId) {
        let name = tree.get_str(container, "name").unwrap_or_default();
        let of = format!("container\0{name}");
        if tree.present(container, "image").is_some() {
            // The name may be taken in the other list.
            self.firm(&[&of]);
        } else {
            self.light(&[&of]);
        }
        for member in tree.children(container) {
            match tree.key(member) {
                list @ ("env" | "envFrom" | "volumeMounts" | "volumeDevices" | "ports") => self.container_list(tree, container, list),
                "resources" => self.resources(&of, tree, member),
                _ => self.field(&of, tree, member),
            }
        }
    }

    fn container_list(&mut self, tree: &Tree<'_>, owner: NodeId, list: &str) {
        for entry in tree.present(owner, list).into_iter().flat_map(|list| tree.children(list)) {
            let text = |key: &str| tree.get_str(entry, key).unwrap_or_default();
            match list {
                "envFrom" => {
                    let source = ["configMapRef", "secretRef"].iter().find_map(|source| tree.str(tree.at(entry, &[source, "name"])?));
                    self.firm(&[list, text("prefix"), source.unwrap_or_default()]);
                }
                "volumeMounts" => {
                    self.firm(&["path", &clean(text("mountPath"))]);
                    self.light(&["device", text("name")]);
                }
                "volumeDevices" => {
                    self.firm(&["path", &clean(text("devicePath"))]);
                    self.firm(&["device", text("name")]);
                }
                "ports" => {
                    for number in ["containerPort", "hostPort"].iter().filter_map(|key| tree.int(tree.get(entry, key)?)) {
                        self.firm(&["port", &number.to_string()]);
                    }
                    if !text("name").is_empty() {
                        self.firm(&["port name", text("name")]);
                    }
                    self.light(&["spec", "hostNetwork"]);
                }
                _ => self.firm(&[list, text("name")]),
            }
        }
    }

    /// A request is held against its limit, and all of them against what the Pod states for itself.
    fn resources(&mut self, of: &str, tree: &Tree<'_>, resources: NodeId) {
        self.light(&["spec", "resources"]);
        for member in tree.children(resources) {
            match tree.key(member) {
                "requests" | "limits" => tree.children(member).for_each(|entry| self.firm(&[of, "resources", tree.key(entry)])),
                key => self.firm(&[of, key]),
            }
        }
    }

    /// A field, or the fields in it where those are merged one by one.
    fn field(&mut self, of: &str, tree: &Tree<'_>, member: NodeId) {
        let key = tree.key(member);
        let one_value = matches!(key, "livenessProbe" | "readinessProbe" | "startupProbe") || tree.count(member) == 0;
        match tree.view(member) {
            View::Object if !one_value => tree.children(member).for_each(|inner| self.firm(&[of, key, tree.key(inner)])),
            // Below an object this place would meet nobody.
            View::Object => self.firm(&[of, key]),
            _ if key == "name" => {}
            _ => self.firm(&[of, key]),
        }
    }
}

/// Whether a member is a list of entries with names.
fn is_named(tree: &Tree<'_>, member: NodeId) -> bool {
    matches!(tree.view(member), View::List) && tree.children(member).all(|entry| tree.get_str(entry, "name").is_some())
}

fn members(tree: &Tree<'_>, path: &[&str]) -> impl Iterator<Item = NodeId> {
    tree.at(NodeId::ROOT, path).into_iter().flat_map(|node| tree.children(node))
}
