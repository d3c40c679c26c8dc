//! Whose a document is: `apiVersion`, `kind`, `metadata`.

use super::fields::{self, kind_of, only, text};
use super::names::{dns_label, dns_subdomain};
use super::report::Report;
use super::shape;
use crate::preset::{PresetKey, Scope};
use crate::schema::{TypeId, nearest};
use crate::tree::{NodeId, Tree, View};
use crate::yaml::shown;

/// The group of our kinds.
pub const GROUP: &str = "podgraft.dev";
const VERSION: &str = "v1beta1";
/// The group of the PodPreset that Kubernetes had up to 1.19, and its version.
const CLASSIC_GROUP: &str = "settings.k8s.io";
const CLASSIC_VERSION: &str = "v1alpha1";

const POD_PRESET: &str = "PodPreset";
const CLUSTER_POD_PRESET: &str = "ClusterPodPreset";

/// What a document does not say itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults<'o> {
    pub(super) namespace: &'o str,
    pub(super) name: Option<&'o str>,
}

/// What the items of a list inherit where they do not say it.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    api_version: Option<String>,
    kind: Option<&'static str>,
}

/// The header of a document that is ours.
#[derive(Debug)]
pub(super) struct Header {
    /// The kind as it is written.
    pub(super) kind: &'static str,
    /// Whether it is the PodPreset of Kubernetes up to 1.19.
    pub(super) classic: bool,
    /// Where namespace and name can be read.
    pub(super) key: Option<PresetKey>,
}

impl Header {
    /// Whether it is a ClusterPodPreset.
    pub(super) fn is_cluster(&self) -> bool {
        self.kind == CLUSTER_POD_PRESET
    }
}

/// What a header says.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is of another group.
    Ignored,
    /// It is ours or nobody's, and cannot be read further.
    Refused(Option<PresetKey>),
    /// It is ours.
    Ours(Header),
}

/// What the items of a document inherit, if it is a list of documents: a v1 `List`, or the list type of one of our kinds.
pub(super) fn list_of(tree: &Tree<'_>, root: NodeId) -> Option<List> {
    let api_version = tree.get_str(root, "apiVersion")?;
    let kind = match tree.get_str(root, "kind")? {
        "List" if api_version == "v1" => return Some(List::default()),
        "PodPresetList" => POD_PRESET,
        "ClusterPodPresetList" => CLUSTER_POD_PRESET,
        _ => return None,
    };
    let group = api_version.split('/').next()?;
    matches!(group, GROUP | CLASSIC_GROUP).then(|| List { api_version: Some(api_version.to_owned()), kind: Some(kind) })
}

/// Reads the header of a document.
pub(super) fn read(report: &mut Report<'_>, root: NodeId, list: Option<&List>, defaults: &Defaults<'_>) -> Outcome {
    let tree = report.tree;
    if tree.view(root) != View::Object {
        report.error(
            root,
            format!("a preset is an object with apiVersion, kind, metadata and spec, and this is {}", kind_of(tree.view(root))),
        );
        return Outcome::Refused(None);
    }
    let inherited = list.and_then(|list| list.api_version.as_deref());
    let stated = (tree.present(root, "apiVersion"), tree.present(root, "kind"));
    let api_version = text(report, root, "apiVersion").or(inherited);
    let Some(api_version) = api_version else {
        if stated.0.is_none() {
            report.missing(root, "apiVersion", format!("is missing: a preset has `apiVersion: {GROUP}/{VERSION}`"));
        }
        return Outcome::Refused(None);
    };
    let (group, version) = api_version.split_once('/').unwrap_or(if api_version == GROUP { (GROUP, "") } else { ("", api_version) });
    let (known, kinds): (&str, &[&'static str]) = match group {
        GROUP => (VERSION, &[POD_PRESET, CLUSTER_POD_PRESET]),
        CLASSIC_GROUP => (CLASSIC_VERSION, &[POD_PRESET]),
        _ => {
            let at = stated.0.unwrap_or(root);
            report.warn(at, format!("this document is no preset and is ignored: presets have `apiVersion: {GROUP}/{VERSION}`"));
            return Outcome::Ignored;
        }
    };
    let kind = text(report, root, "kind").or(list.and_then(|list| list.kind));
    let mut good = true;
    if version != known {
        report.error(stated.0.unwrap_or(root), format!("the version of {group} is {known}: write `apiVersion: {group}/{known}`"));
        good = false;
    }
    let Some(kind) = kind else {
        if stated.1.is_none() {
            report.missing(root, "kind", format!("is missing: it is {}", kinds.join(" or ")));
        }
        return Outcome::Refused(None);
    };
    let Some(kind) = kinds.iter().find(|known| **known == kind) else {
        let text = match nearest(kind, kinds.iter().copied()) {
            Some(nearest) => format!("there is no kind `{}` in {group}: `{nearest}` is the nearest", shown(kind)),
            None => format!("there is no kind `{}` in {group}: there is {}", shown(kind), kinds.join(" and ")),
        };
        report.error(stated.1.unwrap_or(root), text);
        return Outcome::Refused(None);
    };
    let key = metadata(report, root, kind, defaults);
    if good { Outcome::Ours(Header { kind, classic: group == CLASSIC_GROUP, key }) } else { Outcome::Refused(key) }
}

/// Reads `metadata`, which takes every ObjectMeta field, for namespace and name.
fn metadata(report: &mut Report<'_>, root: NodeId, kind: &str, defaults: &Defaults<'_>) -> Option<PresetKey> {
    let tree = report.tree;
    let metadata = tree.present(root, "metadata");
    if let Some(metadata) = metadata {
        if !fields::object(report, metadata) {
            return None;
        }
        let object_meta = TypeId::OBJECT_META.get();
        let known: Vec<&'static str> = object_meta.fields.iter().map(|field| field.name).collect();
        only(report, metadata, &known);
        for member in tree.children(metadata) {
            // Name and namespace are read below.
            if let Some(field) = object_meta.field(tree.key(member)).filter(|field| !matches!(field.name, "name" | "namespace")) {
                shape::field(report, object_meta, field, member, shape::Whole::No);
            }
        }
    }
    let name = name(report, root, metadata, kind, defaults);
    let stated = metadata.and_then(|metadata| tree.present(metadata, "namespace"));
    let namespace = match stated {
        Some(node) => Some((node, fields::text_of(report, node)?)).filter(|(_, text)| !text.is_empty()),
        None => None,
    };
    let scope = match namespace {
        Some((node, _)) if kind == CLUSTER_POD_PRESET => {
            report.error(node, "a ClusterPodPreset belongs to no namespace: remove it, or make it a PodPreset");
            Scope::Cluster
        }
        None if kind == CLUSTER_POD_PRESET => Scope::Cluster,
        Some((node, text)) => {
            if let Some(wrong) = dns_label(text) {
                report.error(node, wrong);
            }
            Scope::Namespace(text.to_owned())
        }
        None => Scope::Namespace(defaults.namespace.to_owned()),
    };
    Some(PresetKey { scope, name: name? })
}

fn name(report: &mut Report<'_>, root: NodeId, metadata: Option<NodeId>, kind: &str, defaults: &Defaults<'_>) -> Option<String> {
    let stated = metadata.and_then(|metadata| report.tree.present(metadata, "name"));
    let (at, name) = match stated {
        Some(node) => (node, fields::text_of(report, node)?),
        None => match defaults.name {
            Some(name) => (metadata.unwrap_or(root), name),
            None => {
                match metadata {
                    Some(metadata) => report.missing(metadata, "name", "is missing: every preset has a name of its own"),
                    None => report.missing(root, "metadata", "is missing: every preset has a `metadata.name`"),
                }
                return None;
            }
        },
    };
    let longest = if kind == CLUSTER_POD_PRESET { 46 } else { 53 };
    if name.is_empty() {
        report.error(at, "must not be empty");
    } else if dns_subdomain(name).is_some() {
        let text = format!(
            "must be at most {longest} lower case letters, digits, hyphens and dots, and each part between dots must start and end with a letter \
             or digit"
        );
        report.error(at, text);
    } else if name.len() > longest {
        let text = format!("must be at most {longest} characters, as it becomes part of the key of an annotation, and has {}", name.len());
        report.error(at, text);
    }
    (!name.is_empty()).then(|| name.to_owned())
}
