//! Checks across a whole preset: what stands twice in it, what refers to what, whether it does anything.

use super::report::Report;
use super::rules::containers::mounts;
use super::rules::lists::{list_at, named, path_key, source_key, unique, warn_repeated};
use crate::conflict::ConflictPolicy;
use crate::equality::{Place, equal};
use crate::preset::{PresetSpec, Targets};
use crate::schema::{Kind, TypeId};
use crate::tree::{NodeId, Tree, View};
use crate::yaml::shown;

const LISTS: [&str; 2] = ["initContainers", "containers"];

/// Checks a preset as a whole.
pub(super) fn check(report: &mut Report<'_>, spec: NodeId, preset: &PresetSpec) {
    let tree = report.tree;
    if !says_something(tree, spec) {
        report.error(spec, "there is nothing to inject: give it env, envFrom, volumeMounts, volumes or a template");
    }
    if let Some(env) = list_at(tree, spec, "env") {
        unique(report, &[env], "the variable", named("name"));
    }
    if let Some(sources) = list_at(tree, spec, "envFrom") {
        warn_repeated(report, &[sources], "the source", source_key);
    }
    mounts(report, list_at(tree, spec, "volumeMounts"), None);
    let pod = tree.at(spec, &["template", "spec"]);
    let volumes: Vec<NodeId> =
        list_at(tree, spec, "volumes").into_iter().chain(pod.and_then(|pod| list_at(tree, pod, "volumes"))).collect();
    unique(report, &volumes, "the volume", named("name"));
    let containers: Vec<(&str, NodeId)> = LISTS
        .into_iter()
        .filter_map(|list| Some((list, list_at(tree, pod?, list)?)))
        .flat_map(|(list, node)| tree.children(node).map(move |container| (list, container)))
        .collect();
    let owners: Vec<NodeId> = std::iter::once(spec).chain(containers.iter().map(|(_, container)| *container)).collect();
    for owner in &owners {
        references(report, *owner, &volumes);
    }
    for (list, container) in &containers {
        if tree.present(*container, "image").is_none() && reached(tree, &preset.targets, list, *container) {
            against_own(report, spec, *container);
        }
    }
    policy(report, spec, preset);
}

/// Whether a preset adds anything at all.
fn says_something(tree: &Tree<'_>, spec: NodeId) -> bool {
    let filled = |list: &str| list_at(tree, spec, list).is_some_and(|list| tree.count(list) > 0);
    ["env", "envFrom", "volumeMounts", "volumes"].into_iter().any(filled)
        || tree.present(spec, "template").is_some_and(|template| says(tree, template))
}

fn says(tree: &Tree<'_>, node: NodeId) -> bool {
    match tree.view(node) {
        View::Null => false,
        View::List if LISTS.contains(&tree.key(node)) => tree.children(node).any(|container| {
            tree.present(container, "image").is_some()
                || tree.children(container).any(|member| tree.key(member) != "name" && says(tree, member))
        }),
        View::List => tree.count(node) > 0,
        View::Object => tree.children(node).any(|member| says(tree, member)),
        _ => true,
    }
}

/// Volumes that mounts, devices and variables of a container, or of all, refer to.
fn references(report: &mut Report<'_>, owner: NodeId, volumes: &[NodeId]) {
    let tree = report.tree;
    let volume =
        |name: &str| volumes.iter().flat_map(|list| tree.children(*list)).find(|volume| tree.get_str(*volume, "name") == Some(name));
    let has = |volume: NodeId, sources: &[&str]| sources.iter().any(|source| tree.present(volume, source).is_some());
    for field in ["volumeMounts", "volumeDevices"] {
        for entry in list_at(tree, owner, field).into_iter().flat_map(|list| tree.children(list)) {
            let Some(at) = tree.get(entry, "name") else { continue };
            let Some(name) = tree.str(at).filter(|name| !name.is_empty()) else { continue };
            match volume(name) {
                None => report.warn(at, format!("the volume `{}` is not in this preset: the Pod must have it", shown(name))),
                Some(volume) if field == "volumeDevices" && !has(volume, &["persistentVolumeClaim", "ephemeral"]) => {
                    report.error(at, format!("the volume `{}` must be a persistentVolumeClaim or ephemeral to be a device", shown(name)));
                }
                Some(_) => {}
            }
        }
    }
    for entry in list_at(tree, owner, "env").into_iter().flat_map(|list| tree.children(list)) {
        let Some(at) = tree.at(entry, &["valueFrom", "fileKeyRef", "volumeName"]) else { continue };
        let volume = tree.str(at).and_then(volume);
        let sources = |volume: NodeId| tree.children(volume).any(|member| tree.key(member) != "name" && tree.view(member) != View::Null);
        if volume.is_some_and(|volume| sources(volume) && !has(volume, &["emptyDir"])) {
            report.error(at, "must be the name of an emptyDir volume");
        }
    }
}

/// Whether `env`, `envFrom` and `volumeMounts` of the preset reach a container of its own template.
fn reached(tree: &Tree<'_>, targets: &Targets, list: &str, container: NodeId) -> bool {
    (list == "containers" || targets.init_containers) && tree.get_str(container, "name").is_some_and(|name| targets.mean(name))
}

/// What a preset gives to every container, and differently to a container without an image in its template.
fn against_own(report: &mut Report<'_>, spec: NodeId, container: NodeId) {
    let tree = report.tree;
    type Key = fn(&Tree<'_>, NodeId) -> Option<String>;
    let name: Key = |tree, entry| named("name")(tree, entry);
    for (field, of, key, what, kind) in [
        ("env", "env", name, "the variable", Some(TypeId::ENV_VAR)),
        ("envFrom", "envFrom", source_key as Key, "the source", Some(TypeId::ENV_FROM_SOURCE)),
        ("volumeMounts", "volumeMounts", path_key as Key, "the path", Some(TypeId::VOLUME_MOUNT)),
        ("volumeMounts", "volumeDevices", path_key as Key, "the path", None),
    ] {
        let (Some(all), Some(own)) = (list_at(tree, spec, field), list_at(tree, container, of)) else { continue };
        for entry in tree.children(own) {
            let Some(own_key) = key(tree, entry) else { continue };
            let other = tree.children(all).find(|other| key(tree, *other).as_ref() == Some(&own_key));
            let equal =
                |other: NodeId| kind.is_some_and(|kind| equal(Kind::Struct(kind), Place::new(tree, entry), Place::new(tree, other), false));
            if let Some(other) = other.filter(|other| !equal(*other)) {
                let at = report.path(other);
                report.error(entry, format!("{what} `{}` is given differently at {at}, which reaches this container too", shown(&own_key)));
            }
        }
    }
    let (Some(mounts), Some(devices)) = (list_at(tree, spec, "volumeMounts"), list_at(tree, container, "volumeDevices")) else { return };
    for device in tree.children(devices) {
        let Some(name) = tree.get_str(device, "name") else { continue };
        if let Some(mount) = tree.children(mounts).find(|mount| tree.get_str(*mount, "name") == Some(name)) {
            let at = report.path(mount);
            report.error(device, format!("the volume `{}` is also mounted at {at}: a volume is a device or a mount", shown(name)));
        }
    }
}

/// Warns where a policy does not go with `optOut: Denied`.
fn policy(report: &mut Report<'_>, spec: NodeId, preset: &PresetSpec) {
    let tree = report.tree;
    let Some(at) = tree.get(spec, "optOut").filter(|_| preset.opt_out_denied) else { return };
    let at = tree.get(spec, "conflictPolicy").unwrap_or(at);
    match preset.conflict_policy {
        ConflictPolicy::Reject => {
            report.warn(
                at,
                "optOut: Denied with Reject: a sidecar image that another webhook rewrites would stop Pods; Override keeps them running",
            );
        }
        ConflictPolicy::Abort => {
            report.warn(
                at,
                "optOut: Denied with Abort, the default: a Pod in conflict goes without this preset; write Override where it must hold",
            );
        }
        ConflictPolicy::Skip => {
            report.warn(at, "optOut: Denied with Skip: a Pod in conflict goes without this preset; write Override where it must hold");
        }
        ConflictPolicy::KeepPod | ConflictPolicy::Override => {}
    }
}
