//! Checks across a whole preset: what stands twice in it, what refers to what, whether it does anything.

use std::collections::BTreeMap;

use super::report::Report;
use super::rules::containers::mounts;
use super::rules::lists::{index, list_at, named, path_key, source_key, unique, warn_repeated};
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
    let by_name = index(tree, volumes, named("name"));
    for owner in &owners {
        references(report, *owner, &by_name);
    }
    let given = Given::new(tree, spec);
    for (list, container) in &containers {
        if tree.present(*container, "image").is_none() && reached(tree, &preset.targets, list, *container) {
            given.against(report, *container);
        }
    }
    policy(report, spec, preset);
}

/// Whether a preset adds anything at all.
fn says_something(tree: &Tree<'_>, spec: NodeId) -> bool {
    // What is no list was refused for that, and says something.
    let filled = |list: &str| tree.present(spec, list).is_some_and(|list| tree.view(list) != View::List || tree.count(list) > 0);
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
fn references(report: &mut Report<'_>, owner: NodeId, volumes: &BTreeMap<String, NodeId>) {
    let tree = report.tree;
    let volume = |name: &str| volumes.get(name).copied();
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

type Key = fn(&Tree<'_>, NodeId) -> Option<String>;

/// What a preset gives to every container that it targets.
struct Given {
    env: BTreeMap<String, NodeId>,
    sources: BTreeMap<String, NodeId>,
    paths: BTreeMap<String, NodeId>,
    mounted: BTreeMap<String, NodeId>,
}

impl Given {
    fn new(tree: &Tree<'_>, spec: NodeId) -> Self {
        Given {
            env: index(tree, list_at(tree, spec, "env"), named("name")),
            sources: index(tree, list_at(tree, spec, "envFrom"), source_key),
            paths: index(tree, list_at(tree, spec, "volumeMounts"), path_key),
            mounted: index(tree, list_at(tree, spec, "volumeMounts"), named("name")),
        }
    }

    /// Refuses what a container without an image has differently in the template: one of the two would be in conflict with the other.
    fn against(&self, report: &mut Report<'_>, container: NodeId) {
        let tree = report.tree;
        let name: Key = |tree, entry| named("name")(tree, entry);
        for (field, given, key, what, kind) in [
            ("env", &self.env, name, "the variable", Some(TypeId::ENV_VAR)),
            ("envFrom", &self.sources, source_key as Key, "the source", Some(TypeId::ENV_FROM_SOURCE)),
            ("volumeMounts", &self.paths, path_key as Key, "the path", Some(TypeId::VOLUME_MOUNT)),
            ("volumeDevices", &self.paths, path_key as Key, "the path", None),
        ] {
            for entry in list_at(tree, container, field).into_iter().flat_map(|list| tree.children(list)) {
                let Some((own, other)) = key(tree, entry).and_then(|own| given.get(&own).map(|other| (own, *other))) else { continue };
                let (left, right) = (Place::new(tree, entry), Place::new(tree, other));
                if !kind.is_some_and(|kind| equal(Kind::Struct(kind), left, right, false)) {
                    let at = report.path(other);
                    let text = format!("{what} `{}` is given differently at {at}, which reaches this container too", shown(&own));
                    report.error(entry, text);
                }
            }
        }
        for device in list_at(tree, container, "volumeDevices").into_iter().flat_map(|list| tree.children(list)) {
            let Some(name) = tree.get_str(device, "name") else { continue };
            if let Some(mount) = self.mounted.get(name) {
                let at = report.path(*mount);
                report.error(device, format!("the volume `{}` is also mounted at {at}: a volume is a device or a mount", shown(name)));
            }
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
