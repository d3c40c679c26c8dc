//! Names for the places of a Pod in its tree.

use crate::preset::RECORD_PREFIX;
use crate::selector::Labels;
use crate::tree::{NodeId, Tree, View};

/// The annotation that keeps every preset but those with `optOut: Denied` away: exactly `"true"`.
pub const EXCLUDE: &str = "podpreset.admission.kubernetes.io/exclude";
/// The annotation that names presets to leave out, comma separated.
pub const EXCLUDE_NAMES: &str = "podgraft.dev/exclude";
/// The annotation of a static Pod's mirror.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Something in a Pod that has another type than Kubernetes gives it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} must be {wanted}")]
pub struct Malformed {
    /// The path from the Pod's root, as in `spec.containers[0].name`.
    pub path: String,
    /// What must be there.
    pub wanted: &'static str,
}

/// The lists of containers of a Pod.
pub const ALL_CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Checks the shape of what is read of a Pod: metadata with maps of strings, lists of containers with names, keyed lists.
///
/// # Errors
/// The first place with a wrong type.
pub fn check_shape(tree: &Tree<'_>) -> Result<(), Malformed> {
    let root = NodeId::ROOT;
    expect(tree, root, Shape::Object, || "object".to_owned())?;
    if let Some(metadata) = tree.present(root, "metadata") {
        expect(tree, metadata, Shape::Object, || "metadata".to_owned())?;
        for map in ["labels", "annotations"] {
            let Some(node) = tree.present(metadata, map) else { continue };
            expect(tree, node, Shape::Object, || format!("metadata.{map}"))?;
            for member in tree.children(node) {
                if !matches!(tree.view(member), View::String(_) | View::Null) {
                    return Err(Malformed { path: format!("metadata.{map}[{}]", tree.key(member)), wanted: "a string" });
                }
            }
        }
    }
    let Some(spec) = tree.present(root, "spec") else {
        return Err(Malformed { path: "spec".to_owned(), wanted: "an object" });
    };
    expect(tree, spec, Shape::Object, || "spec".to_owned())?;
    for list in ["volumes", "tolerations", "imagePullSecrets", "hostAliases", "topologySpreadConstraints", "resourceClaims"] {
        entries_are_objects(tree, spec, list, || "spec".to_owned())?;
    }
    for list in ALL_CONTAINER_LISTS {
        entries_are_objects(tree, spec, list, || "spec".to_owned())?;
        let containers = tree.present(spec, list).into_iter().flat_map(|node| tree.children(node));
        for (index, container) in containers.enumerate() {
            if is_fine(tree, container) {
                continue;
            }
            if tree.get_str(container, "name").is_none() {
                return Err(Malformed { path: format!("spec.{list}[{index}].name"), wanted: "a string" });
            }
            for list_of in CONTAINERS_LISTS {
                entries_are_objects(tree, container, list_of, || format!("spec.{list}[{index}]"))?;
            }
        }
    }
    Ok(())
}

/// The lists of a container whose entries are objects.
const CONTAINERS_LISTS: [&str; 5] = ["env", "envFrom", "volumeMounts", "volumeDevices", "ports"];

/// Whether nothing is wrong with a container, in one walk over its members.
fn is_fine(tree: &Tree<'_>, container: NodeId) -> bool {
    let mut named = false;
    tree.children(container).all(|member| match (tree.key(member), tree.view(member)) {
        ("name", view) => {
            named = matches!(view, View::String(_));
            named
        }
        (key, View::List) if CONTAINERS_LISTS.contains(&key) => tree.children(member).all(|entry| tree.view(entry) == View::Object),
        (key, view) => view == View::Null || !CONTAINERS_LISTS.contains(&key),
    }) && named
}

#[derive(Clone, Copy)]
enum Shape {
    Object,
    List,
}

fn expect(tree: &Tree<'_>, node: NodeId, shape: Shape, path: impl FnOnce() -> String) -> Result<(), Malformed> {
    match (shape, tree.view(node)) {
        (Shape::Object, View::Object) | (Shape::List, View::List) => Ok(()),
        (Shape::Object, _) => Err(Malformed { path: path(), wanted: "an object" }),
        (Shape::List, _) => Err(Malformed { path: path(), wanted: "a list" }),
    }
}

fn entries_are_objects(tree: &Tree<'_>, object: NodeId, list: &str, above: impl Fn() -> String) -> Result<(), Malformed> {
    let Some(node) = tree.present(object, list) else { return Ok(()) };
    expect(tree, node, Shape::List, || format!("{}.{list}", above()))?;
    for (index, entry) in tree.children(node).enumerate() {
        expect(tree, entry, Shape::Object, || format!("{}.{list}[{index}]", above()))?;
    }
    Ok(())
}

/// The Pod's `spec`.
#[must_use]
pub fn spec(tree: &Tree<'_>) -> Option<NodeId> {
    tree.present(NodeId::ROOT, "spec")
}

/// The labels of a Pod. A null value is the empty string, as the API server makes it.
pub fn labels<'t>(tree: &'t Tree<'_>) -> impl Iterator<Item = (&'t str, &'t str)> + Clone {
    pairs(tree, "labels")
}

/// The annotations of a Pod.
pub fn annotations<'t>(tree: &'t Tree<'_>) -> impl Iterator<Item = (&'t str, &'t str)> + Clone {
    pairs(tree, "annotations")
}

fn pairs<'t>(tree: &'t Tree<'_>, map: &str) -> impl Iterator<Item = (&'t str, &'t str)> + Clone {
    let node = tree.at(NodeId::ROOT, &["metadata", map]);
    node.into_iter().flat_map(|node| tree.children(node)).map(|member| (tree.key(member), tree.str(member).unwrap_or_default()))
}

/// The value of an annotation.
#[must_use]
pub fn annotation<'t>(tree: &'t Tree<'_>, key: &str) -> Option<&'t str> {
    let map = tree.at(NodeId::ROOT, &["metadata", "annotations"])?;
    tree.get(map, key).map(|node| tree.str(node).unwrap_or_default())
}

/// The records on a Pod: suffix (`podpreset-NAME`) and version.
pub fn records<'t>(tree: &'t Tree<'_>) -> impl Iterator<Item = (&'t str, &'t str)> {
    annotations(tree).filter_map(|(key, version)| key.strip_prefix(RECORD_PREFIX).map(|suffix| (suffix, version)))
}

/// Every container with the list it is in, init containers first, ephemeral ones last.
pub fn containers<'t>(tree: &'t Tree<'_>, spec: NodeId) -> impl Iterator<Item = (&'static str, NodeId)> + Clone + 't {
    ALL_CONTAINER_LISTS.into_iter().flat_map(move |list| {
        let node = tree.present(spec, list);
        node.into_iter().flat_map(move |node| tree.children(node)).map(move |container| (list, container))
    })
}

/// A Pod's labels and further ones that a controller will set.
#[derive(Clone, Copy, Debug)]
pub struct PodLabels<'t, 'a> {
    /// The Pod.
    pub tree: &'t Tree<'a>,
    /// Labels that are not in the Pod yet.
    pub extra: &'t [(String, String)],
}

impl<'t> PodLabels<'t, '_> {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'t str, &'t str)> + Clone {
        labels(self.tree).chain(self.extra.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }
}

impl Labels for PodLabels<'_, '_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}
