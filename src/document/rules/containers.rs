//! Containers, their ports, mounts and probes.

use super::lists::{self, list_at, named, path_key, repeated, unique, warn_repeated};
use crate::document::report::Report;
use crate::document::shape::Whole;
use crate::tree::{NodeId, View};
use crate::yaml::shown;

/// Fields that an init container only has with `restartPolicy: Always`.
const SIDECAR_ONLY: [&str; 4] = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"];

/// A container of one of the two lists; without an image it is a part of one that the Pod has.
pub(super) fn container(report: &mut Report<'_>, node: NodeId, whole: Whole) {
    let tree = report.tree;
    if whole == Whole::No && tree.present(node, "name").is_none() {
        report.missing(node, "name", "is missing: it says which container is meant");
    }
    if let Some(ports) = list_at(tree, node, "ports") {
        unique(report, &[ports], "the port name", named("name"));
        unique(report, &[ports], "the host port", lists::host_port_key);
        warn_repeated(report, &[ports], "the port", lists::port_key);
    }
    if let Some(env) = list_at(tree, node, "env") {
        unique(report, &[env], "the variable", named("name"));
    }
    if let Some(sources) = list_at(tree, node, "envFrom") {
        warn_repeated(report, &[sources], "the source", lists::source_key);
    }
    mounts(report, list_at(tree, node, "volumeMounts"), list_at(tree, node, "volumeDevices"));
    if let Some(policies) = list_at(tree, node, "resizePolicy") {
        unique(report, &[policies], "the resource", named("resourceName"));
    }
    if let Some(rules) = list_at(tree, node, "restartPolicyRules") {
        let count = tree.count(rules);
        if count > 20 {
            report.error(rules, format!("must have at most 20 rules, and has {count}"));
        }
        if whole == Whole::Yes && count > 0 && tree.present(node, "restartPolicy").is_none() {
            report.missing(node, "restartPolicy", "is missing: restartPolicyRules need it");
        }
    }
    if whole == Whole::Yes {
        added(report, node);
    }
}

/// What only a container that the preset adds can be blamed for.
fn added(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let is_init = tree.parent(node).is_some_and(|list| tree.key(list) == "initContainers");
    if is_init && tree.get_str(node, "restartPolicy") != Some("Always") {
        for field in SIDECAR_ONLY {
            if let Some(found) = tree.present(node, field) {
                report.error_at_key(found, "an init container has this with `restartPolicy: Always` only, which makes it a sidecar");
            }
        }
        for policy in list_at(tree, node, "resizePolicy").into_iter().flat_map(|list| tree.children(list)) {
            if let Some(word) = tree.get(policy, "restartPolicy").filter(|word| tree.str(*word) == Some("RestartContainer")) {
                report.error(word, "an init container has RestartContainer with `restartPolicy: Always` only");
            }
        }
    }
    let privileged = tree.at(node, &["securityContext", "privileged"]).is_some_and(|node| tree.view(node) == View::Bool(true));
    for mount in list_at(tree, node, "volumeMounts").into_iter().flat_map(|list| tree.children(list)) {
        if let Some(word) = tree.get(mount, "mountPropagation").filter(|word| tree.str(*word) == Some("Bidirectional") && !privileged) {
            report.error(word, "Bidirectional is for containers with `securityContext.privileged: true` only");
        }
    }
}

/// Mounts and devices of one container: paths share one space, and a volume is a device once, and no mount beside that.
pub(in crate::document) fn mounts(report: &mut Report<'_>, mounts: Option<NodeId>, devices: Option<NodeId>) {
    let tree = report.tree;
    let lists: Vec<NodeId> = mounts.into_iter().chain(devices).collect();
    unique(report, &lists, "the path", path_key);
    if let Some(devices) = devices {
        unique(report, &[devices], "the volume", named("name"));
        let mounted = lists::index(tree, mounts, named("name"));
        for device in tree.children(devices) {
            let Some(name) = tree.get_str(device, "name") else { continue };
            if let Some(mount) = mounted.get(name) {
                let at = report.path(*mount);
                report.error(device, format!("the volume `{}` is also mounted at {at}: a volume is a device or a mount", shown(name)));
            }
        }
    }
    nested(report, &lists);
}

/// Warns of paths that lie below others: what is there in the outer volume is hidden.
fn nested(report: &mut Report<'_>, lists: &[NodeId]) {
    let tree = report.tree;
    let paths = lists::index(tree, lists.iter().copied(), path_key);
    for entry in lists.iter().flat_map(|list| tree.children(*list)) {
        let Some(path) = path_key(tree, entry) else { continue };
        let outer = path.match_indices('/').map(|(end, _)| if end == 0 { "/" } else { &path[..end] }).filter(|outer| *outer != path);
        if let Some(above) = outer.rev().find_map(|outer| paths.get(outer)) {
            let at = report.path(*above);
            report.warn(entry, format!("the path lies below that of {at}, and hides what is there"));
        }
    }
}

/// One mount.
pub(super) fn mount(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let is_set = |field: &str| tree.get_str(node, field).is_some_and(|text| !text.is_empty());
    if is_set("subPath") && is_set("subPathExpr") {
        report.error_at_key(tree.get(node, "subPathExpr").unwrap_or(node), "may not be there beside `subPath`: remove one");
    }
    if let Some(word) = tree.get(node, "recursiveReadOnly").filter(|word| matches!(tree.str(*word), Some("Enabled" | "IfPossible"))) {
        if !tree.get(node, "readOnly").is_some_and(|node| tree.view(node) == View::Bool(true)) {
            report.error(word, "needs `readOnly: true` beside it");
        }
        if matches!(tree.get_str(node, "mountPropagation"), Some("HostToContainer" | "Bidirectional")) {
            report.error(word, "may not be there beside `mountPropagation`: remove one");
        }
    }
}

/// A probe; which one, its key says.
pub(super) fn probe(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    match tree.key(node) {
        "livenessProbe" | "startupProbe" => {
            if let Some(threshold) = tree.get(node, "successThreshold").filter(|node| tree.int(*node).is_some_and(|number| number > 1)) {
                report.error(threshold, "must be 1 in a liveness or startup probe");
            }
        }
        "readinessProbe" => {
            if let Some(period) = tree.present(node, "terminationGracePeriodSeconds") {
                report.error_at_key(period, "a readiness probe has none: remove it");
            }
        }
        _ => {}
    }
}

/// The exit codes of a restart rule.
pub(super) fn exit_codes(report: &mut Report<'_>, node: NodeId) {
    if let Some(values) = list_at(report.tree, node, "values").filter(|values| report.tree.count(*values) > 255) {
        report.error(values, "must have at most 255 values");
    }
}

/// Names of containers over both lists, and host ports over the containers that are added.
pub(super) fn lists(report: &mut Report<'_>, spec: NodeId) {
    let tree = report.tree;
    let regular = list_at(tree, spec, "containers");
    let both: Vec<NodeId> = list_at(tree, spec, "initContainers").into_iter().chain(regular).collect();
    unique(report, &both, "the container", named("name"));

    // Servers count the host ports of regular containers together, and do not look at those of init containers.
    let added = regular.into_iter().flat_map(|list| tree.children(list)).filter(|container| tree.present(*container, "image").is_some());
    let ports: Vec<NodeId> = added.filter_map(|container| list_at(tree, container, "ports")).collect();
    let host_network = tree.get(spec, "hostNetwork").is_some_and(|node| tree.view(node) == View::Bool(true));
    if host_network {
        for (port, key, first) in repeated(tree, &ports, lists::host_network_key) {
            let first = report.path(first);
            report.error(port, format!("under hostNetwork the port {} is a host port that {first} has already", shown(&key)));
        }
        for port in ports.iter().flat_map(|list| tree.children(*list)) {
            let number = |field: &str| tree.get(port, field).and_then(|node| tree.int(node)).unwrap_or(0);
            if number("hostPort") != 0 && number("hostPort") != number("containerPort") {
                report.error(tree.get(port, "hostPort").unwrap_or(port), "must be the containerPort under hostNetwork");
            }
        }
        return;
    }
    for (port, key, first) in repeated(tree, &ports, lists::host_port_key) {
        // Within one container it was said already.
        if tree.parent(port) != tree.parent(first) {
            let first = report.path(first);
            report.error(port, format!("the host port {} is already at {first}: remove one", shown(&key)));
        }
    }
    for (port, key, first) in repeated(tree, &ports, lists::port_key) {
        if tree.parent(port) != tree.parent(first) {
            let first = report.path(first);
            report.warn(port, format!("the port {key} is already at {first}: containers of a Pod share their ports"));
        }
    }
}
