//! `spec` of a preset: its own structure, read strictly, and the Pod-shaped values in it, which pass through.

use super::fields::{self, boolean, kind_of, object, only, text_of, texts, unknown, word};
use super::header::Header;
use super::names::{dns_label, glob};
use super::outline::{self, Of, SPEC, Shape};
use super::report::Report;
use super::rules::lists::list_at;
use super::rules::security;
use super::rules::volumes::annotation_map;
use super::shape::{self, Whole};
use super::{hash, selector, whole};
use crate::conflict::ConflictPolicy;
use crate::preset::{Mode, Origin, Place, Placement, PresetKey, PresetSpec, Scope, Targets};
use crate::schema::{Kind, TypeId, nearest};
use crate::selector::Selector;
use crate::tree::{NodeId, Tree, View};
use crate::yaml::shown;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum OptOut {
    #[default]
    Allowed,
    Denied,
}

/// Reads everything below the header; `None` where there is no preset to speak of.
pub(super) fn read(report: &mut Report<'_>, root: NodeId, header: &Header) -> Option<PresetSpec> {
    let tree = report.tree;
    only(report, root, &outline::DOCUMENT);
    let Some(spec) = tree.present(root, "spec") else {
        report.missing(root, "spec", "is missing: it says which Pods are meant, and what they get");
        return None;
    };
    if !object(report, spec) {
        return None;
    }
    known_fields(report, spec, header);
    let selector = match tree.present(spec, "selector") {
        Some(node) => selector::read(report, node),
        None => {
            report.missing(spec, "selector", "is missing: write {} to select every Pod");
            Selector::default()
        }
    };
    let namespace_selector = tree.present(spec, "namespaceSelector").map(|node| selector::read(report, node));
    let conflict_policy = word(report, spec, "conflictPolicy", &ConflictPolicy::ALL.map(|policy| (policy.word(), policy)));
    let opt_out = word(report, spec, "optOut", &[("Allowed", OptOut::Allowed), ("Denied", OptOut::Denied)]);
    let preset = PresetSpec {
        // One without a name is refused, but has all its other problems named too.
        key: header.key.clone().unwrap_or_else(|| PresetKey { scope: Scope::Cluster, name: String::new() }),
        priority: priority(report, spec),
        mode: word(report, spec, "mode", &[("Enforce", Mode::Enforce), ("Shadow", Mode::Shadow)]),
        conflict_policy,
        // A PodPreset that states it was refused already.
        opt_out_denied: opt_out == OptOut::Denied && header.is_cluster(),
        selector,
        namespace_selector,
        targets: targets(report, spec),
        placement: placement(report, spec),
        body: body(tree, spec),
        version: hash::version(header.kind, tree, spec),
        origin: Origin::default(),
    };
    pod_shaped(report, spec);
    whole::check(report, spec, &preset);
    header.key.is_some().then_some(preset)
}

fn known_fields(report: &mut Report<'_>, spec: NodeId, header: &Header) {
    let tree = report.tree;
    let has = |field: &&outline::Field| match field.of {
        Of::All => true,
        Of::Ours => !header.classic,
        Of::Cluster => !header.classic && header.is_cluster(),
    };
    let fields: Vec<&'static str> = SPEC.iter().filter(has).map(|field| field.name).collect();
    for member in tree.children(spec) {
        let key = tree.key(member);
        if fields.contains(&key) {
            continue;
        }
        let known = SPEC.iter().find(|field| field.name == key);
        let text = if header.classic && known.is_some() {
            format!("the PodPreset of settings.k8s.io has no `{key}`: write `apiVersion: podgraft.dev/v1beta1` to use it")
        } else if known.is_some() {
            format!("only a ClusterPodPreset has `{key}`: remove it, or write `kind: ClusterPodPreset`")
        } else if template_field(key) {
            format!("there is no field `{key}` here: it belongs to template.spec")
        } else {
            unknown(key, nearest(key, fields.iter().copied()), &fields)
        };
        report.error_at_key(member, text);
    }
}

fn template_field(key: &str) -> bool {
    TypeId::POD_SPEC.get().field(key).is_some()
}

fn priority(report: &mut Report<'_>, spec: NodeId) -> i64 {
    let Some(node) = report.tree.present(spec, "priority") else { return 0 };
    match report.tree.view(node) {
        View::Int(value) => value,
        View::String(_) => {
            report.error(node, "must be a whole number: remove the quotes");
            0
        }
        View::Number(_) => {
            report.error(node, "must be a whole number of 64 bits");
            0
        }
        found => {
            report.error(node, format!("must be a whole number, and is {}", kind_of(found)));
            0
        }
    }
}

fn targets(report: &mut Report<'_>, spec: NodeId) -> Targets {
    let mut targets = Targets::default();
    let Some(node) = report.tree.present(spec, "targets") else { return targets };
    if !object(report, node) {
        return targets;
    }
    only(report, node, &outline::names(&outline::TARGETS));
    let include = globs(report, node, "include");
    if let Some(list) = list_at(report.tree, node, "include").filter(|list| report.tree.count(*list) == 0) {
        report.warn(list, "is empty: env, envFrom and volumeMounts reach no container");
    }
    targets.include = include.unwrap_or(targets.include);
    targets.exclude = globs(report, node, "exclude").unwrap_or_default();
    targets.init_containers = boolean(report, node, "initContainers", true);
    targets.added = boolean(report, node, "added", true);
    targets
}

fn globs(report: &mut Report<'_>, node: NodeId, field: &str) -> Option<Vec<String>> {
    let texts = texts(report, node, field)?;
    for (entry, text) in &texts {
        if let Some(wrong) = glob(text) {
            report.warn(*entry, wrong);
        }
    }
    Some(texts.into_iter().map(|(_, text)| text).collect())
}

fn placement(report: &mut Report<'_>, spec: NodeId) -> Placement {
    let Some(node) = report.tree.present(spec, "placement") else { return Placement::default() };
    if !object(report, node) {
        return Placement::default();
    }
    only(report, node, &outline::names(&outline::PLACEMENT));
    Placement {
        init_containers: place(report, node, "initContainers"),
        containers: place(report, node, "containers"),
        env_first: word(report, node, "env", &[("First", true), ("Last", false)]),
    }
}

fn place(report: &mut Report<'_>, placement: NodeId, field: &str) -> Place {
    let tree = report.tree;
    let Some(node) = tree.present(placement, field) else { return Place::Last };
    match tree.view(node) {
        View::String("First") => return Place::First,
        View::String("Last") => return Place::Last,
        View::String(text) => {
            let text = fields::none_of(text, &["First", "Last"]);
            report.error(node, format!("{text}; or {{before: NAME}} or {{after: NAME}}"));
            return Place::Last;
        }
        View::Object => {}
        found => {
            report.error(node, format!("must be First, Last, {{before: NAME}} or {{after: NAME}}, and is {}", kind_of(found)));
            return Place::Last;
        }
    }
    only(report, node, &["before", "after"]);
    let (before, after) = (tree.present(node, "before"), tree.present(node, "after"));
    let (name, place): (NodeId, fn(String) -> Place) = match (before, after) {
        (Some(before), None) => (before, Place::Before),
        (None, Some(after)) => (after, Place::After),
        (Some(_), Some(after)) => {
            report.error_at_key(after, "may not be there beside `before`: remove one");
            return Place::Last;
        }
        // Members that are not known were named already.
        (None, None) if tree.count(node) > 0 => return Place::Last,
        (None, None) => {
            report.error(node, "must have `before` or `after`, with the name of a container");
            return Place::Last;
        }
    };
    let Some(text) = text_of(report, name) else { return Place::Last };
    if let Some(wrong) = dns_label(text) {
        report.error(name, wrong);
    }
    place(text.to_owned())
}

/// The Pod-shaped parts as they are, copied out of the document.
fn body(tree: &Tree<'static>, spec: NodeId) -> Tree<'static> {
    let mut body = Tree::object();
    let pod_shaped = |key: &str| SPEC.iter().any(|field| field.name == key && matches!(field.shape, Shape::PodList | Shape::PodShaped));
    for part in tree.children(spec).filter(|part| pod_shaped(tree.key(*part)) && tree.view(*part) != View::Null) {
        tree.copy_into(part, &mut body, Some(NodeId::ROOT));
    }
    body
}

/// Checks the Pod-shaped parts, each by itself.
fn pod_shaped(report: &mut Report<'_>, spec: NodeId) {
    let tree = report.tree;
    for (owner, names) in [(TypeId::CONTAINER, &["env", "envFrom", "volumeMounts"][..]), (TypeId::POD_SPEC, &["volumes"][..])] {
        for name in names {
            if let (Some(node), Some(field)) = (tree.present(spec, name), owner.get().field(name)) {
                shape::field(report, owner.get(), field, node, Whole::Yes);
            }
        }
    }
    let Some(template) = tree.present(spec, "template") else { return };
    if !object(report, template) {
        return;
    }
    security::app_armor_annotations(report, template);
    for member in tree.children(template).filter(|member| tree.view(*member) != View::Null) {
        match tree.key(member) {
            "metadata" => template_metadata(report, member),
            "spec" => shape::value(report, Kind::Struct(TypeId::POD_SPEC), member, Whole::No),
            "status" => report.error_at_key(member, "a Pod's status is the cluster's: remove it"),
            "apiVersion" | "kind" => report.error_at_key(member, "a template has metadata and spec only: remove it"),
            "labels" | "annotations" => report.error_at_key(member, "belongs to template.metadata"),
            key if template_field(key) => report.error_at_key(member, "belongs to template.spec"),
            key => {
                let meant = nearest(key, ["metadata", "spec"]).map_or_else(String::new, |meant| format!(" (`{meant}` is the nearest)"));
                let text =
                    format!("a Pod has no field `{}`{meant}: an API server that does not know it drops it without a word", shown(key));
                report.warn_at_key(member, text);
            }
        }
    }
}

/// The largest sum of all annotations of an object.
const MAX_ANNOTATIONS: usize = 256 << 10;

fn template_metadata(report: &mut Report<'_>, metadata: NodeId) {
    let tree = report.tree;
    if !object(report, metadata) {
        return;
    }
    let object_meta = TypeId::OBJECT_META.get();
    for member in tree.children(metadata).filter(|member| tree.view(*member) != View::Null) {
        let key = tree.key(member);
        let (Some(field), "labels" | "annotations") = (object_meta.field(key), key) else {
            let text = match nearest(key, ["labels", "annotations"]) {
                Some(meant) => format!("a template's metadata takes labels and annotations only: `{meant}` is the nearest"),
                None => "a template's metadata takes labels and annotations only: remove it".to_owned(),
            };
            report.error_at_key(member, text);
            continue;
        };
        shape::field(report, object_meta, field, member, Whole::No);
        if key == "labels" {
            selector::label_map(report, member);
        } else if tree.view(member) == View::Object {
            annotation_map(report, member);
            let sizes = tree.children(member).map(|entry| tree.key(entry).len() + tree.str(entry).map_or(0, str::len));
            if sizes.sum::<usize>() > MAX_ANNOTATIONS {
                report.error(member, "must have at most 256 KiB of annotations together");
            }
        }
        reserved(report, member);
    }
}

/// Keys that carry records, or that the cluster owns.
fn reserved(report: &mut Report<'_>, map: NodeId) {
    let tree = report.tree;
    for entry in tree.children(map) {
        let key = tree.key(entry);
        if key.starts_with("podpreset.admission.kubernetes.io/") {
            report.error_at_key(entry, "is a key of the records of applied presets, which a preset may not write");
        } else if key == "kubernetes.io/config.mirror" || key.starts_with("pod-security.kubernetes.io/") {
            report.error_at_key(entry, "is a key that the cluster itself writes, and a preset may not");
        }
    }
}
