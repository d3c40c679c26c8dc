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
    members(tree, spec, of_spec, &|| "spec".to_owned())?;
    for list in ALL_CONTAINER_LISTS {
        let containers = tree.present(spec, list).into_iter().flat_map(|node| tree.children(node));
        for (index, container) in containers.enumerate() {
            let path = || format!("spec.{list}[{index}]");
            if tree.get_str(container, "name").is_none() {
                return Err(Malformed { path: format!("{}.name", path()), wanted: "a string" });
            }
            members(tree, container, of_container, &path)?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Shape {
    Object,
    List,
    Text,
    Int,
    Bool,
    /// An object with these members.
    Of(Members),
    /// A list of objects with these members.
    Entries(Members),
    /// A list of objects whose members of these names are texts.
    Texts(&'static [&'static str]),
}

/// The shapes of members that are read. What is only compared has none: it is equal, or it is not. The length tells most names apart.
type Members = fn(&str) -> Option<Shape>;

fn of_spec(key: &str) -> Option<Shape> {
    Some(match (key.len(), key) {
        (7, "volumes") => NAMED,
        (14, "initContainers") | (10, "containers") | (19, "ephemeralContainers") => Shape::Texts(&[]),
        (11, "tolerations") => Shape::Texts(&["key", "operator", "value", "effect"]),
        (16, "imagePullSecrets") | (14, "resourceClaims") => NAMED,
        (11, "hostAliases") => Shape::Entries(of_alias),
        (25, "topologySpreadConstraints") => Shape::Texts(&["topologyKey", "whenUnsatisfiable"]),
        (12, "nodeSelector") | (15, "securityContext") => Shape::Object,
        (9, "resources") => Shape::Of(of_resources),
        (11, "hostNetwork") => Shape::Bool,
        (13, "restartPolicy") | (17, "priorityClassName") | (18, "serviceAccountName") | (14, "serviceAccount") => Shape::Text,
        _ => return None,
    })
}

fn of_container(key: &str) -> Option<Shape> {
    Some(match (key.len(), key) {
        (5, "image") => Shape::Text,
        (3, "env") => NAMED,
        (7, "envFrom") => Shape::Entries(of_source),
        (12, "volumeMounts") => Shape::Texts(&["name", "mountPath"]),
        (13, "volumeDevices") => Shape::Texts(&["name", "devicePath"]),
        (5, "ports") => Shape::Entries(of_port),
        (9, "resources") => Shape::Of(of_resources),
        _ => return None,
    })
}

fn of_port(key: &str) -> Option<Shape> {
    Some(match (key.len(), key) {
        (13, "containerPort") | (8, "hostPort") => Shape::Int,
        (8, "protocol") | (4, "name") | (6, "hostIP") => Shape::Text,
        _ => return None,
    })
}

fn of_source(key: &str) -> Option<Shape> {
    Some(match key {
        "prefix" => Shape::Text,
        "configMapRef" | "secretRef" => Shape::Of(of_reference),
        _ => return None,
    })
}

fn of_reference(key: &str) -> Option<Shape> {
    (key == "name").then_some(Shape::Text)
}

fn of_alias(key: &str) -> Option<Shape> {
    match key {
        "ip" => Some(Shape::Text),
        "hostnames" => Some(Shape::List),
        _ => None,
    }
}

fn of_resources(key: &str) -> Option<Shape> {
    match key {
        "limits" | "requests" => Some(Shape::Object),
        "claims" => Some(NAMED),
        _ => None,
    }
}

const NAMED: Shape = Shape::Texts(&["name"]);

fn members(tree: &Tree<'_>, object: NodeId, shapes: Members, path: &dyn Fn() -> String) -> Result<(), Malformed> {
    for member in tree.children(object) {
        let key = tree.key(member);
        // Nearly always all is well, and nobody wants the path.
        let Some(shape) = shapes(key).filter(|shape| !fits(tree, member, *shape)) else { continue };
        let path = || format!("{}.{key}", path());
        expect(tree, member, shape, path)?;
        match shape {
            Shape::Of(shapes) => members(tree, member, shapes, &path)?,
            Shape::Entries(shapes) => {
                for (index, entry) in tree.children(member).enumerate() {
                    let path = || format!("{}[{index}]", path());
                    expect(tree, entry, Shape::Object, path)?;
                    members(tree, entry, shapes, &path)?;
                }
            }
            Shape::Texts(names) => {
                for (index, entry) in tree.children(member).enumerate() {
                    let path = || format!("{}[{index}]", path());
                    expect(tree, entry, Shape::Object, path)?;
                    let wrong = tree
                        .children(entry)
                        .find(|text| names.contains(&tree.key(*text)) && !matches!(tree.view(*text), View::String(_) | View::Null));
                    if let Some(wrong) = wrong {
                        return Err(Malformed { path: format!("{}.{}", path(), tree.key(wrong)), wanted: "a string" });
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn fits(tree: &Tree<'_>, node: NodeId, shape: Shape) -> bool {
    let has = |object: NodeId, members: Members| {
        tree.children(object).all(|member| members(tree.key(member)).is_none_or(|shape| fits(tree, member, shape)))
    };
    match (shape, tree.view(node)) {
        (_, View::Null)
        | (Shape::Object, View::Object)
        | (Shape::List, View::List)
        | (Shape::Text, View::String(_))
        | (Shape::Int, View::Int(_))
        | (Shape::Bool, View::Bool(_)) => true,
        (Shape::Of(members), View::Object) => has(node, members),
        (Shape::Entries(members), View::List) => tree.children(node).all(|entry| tree.view(entry) == View::Object && has(entry, members)),
        (Shape::Texts(names), View::List) => tree.children(node).all(|entry| tree.has_texts(entry, names)),
        _ => false,
    }
}

fn expect(tree: &Tree<'_>, node: NodeId, shape: Shape, path: impl FnOnce() -> String) -> Result<(), Malformed> {
    let wanted = match (shape, tree.view(node)) {
        (Shape::Object | Shape::Of(_), View::Object)
        | (Shape::List | Shape::Entries(_) | Shape::Texts(_), View::List)
        | (Shape::Text, View::String(_))
        | (Shape::Int, View::Int(_))
        | (Shape::Bool, View::Bool(_)) => return Ok(()),
        (Shape::Object | Shape::Of(_), _) => "an object",
        (Shape::List | Shape::Entries(_) | Shape::Texts(_), _) => "a list",
        (Shape::Text, _) => "a string",
        (Shape::Int, _) => "an integer",
        (Shape::Bool, _) => "true or false",
    };
    Err(Malformed { path: path(), wanted })
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

/// The object whose controller makes a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// As in `apps/v1`.
    pub api_version: String,
    /// As in `ReplicaSet`.
    pub kind: String,
    /// Its name, in the Pod's namespace.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// The controlling owner of a Pod: the entry of `metadata.ownerReferences` with `controller: true`, of which there is one at most.
#[must_use]
pub fn controller(tree: &Tree<'_>) -> Option<Owner> {
    let references = tree.at(NodeId::ROOT, &["metadata", "ownerReferences"])?;
    let controls = |node: &NodeId| tree.present(*node, "controller").is_some_and(|node| tree.view(node) == View::Bool(true));
    let owner = tree.children(references).find(|node| tree.view(*node) == View::Object && controls(node))?;
    let text = |field| tree.get_str(owner, field).filter(|text| !text.is_empty()).map(str::to_owned);
    Some(Owner { api_version: text("apiVersion")?, kind: text("kind")?, name: text("name")?, uid: text("uid")? })
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
