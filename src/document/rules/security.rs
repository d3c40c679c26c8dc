//! Security contexts.

use super::lists::{list_at, named, unique};
use crate::document::names::descending_path;
use crate::document::report::Report;
use crate::tree::{NodeId, View};

/// `securityContext` of a container.
pub(super) fn container(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let is = |field: &str, value: bool| tree.get(node, field).filter(|found| tree.view(*found) == View::Bool(value));
    let Some(escalation) = is("allowPrivilegeEscalation", false) else { return };
    if is("privileged", true).is_some() {
        report.error(escalation, "may not be false where `privileged` is true");
    }
    let added = tree.at(node, &["capabilities", "add"]).into_iter().flat_map(|list| tree.children(list));
    if added.into_iter().any(|capability| tree.str(capability) == Some("CAP_SYS_ADMIN")) {
        report.error(escalation, "may not be false where CAP_SYS_ADMIN is added");
    }
}

/// `securityContext` of the Pod.
pub(super) fn pod(report: &mut Report<'_>, node: NodeId) {
    if let Some(sysctls) = list_at(report.tree, node, "sysctls") {
        unique(report, &[sysctls], "the sysctl", named("name"));
    }
}

/// A seccomp profile: a file goes with type Localhost, and only with it.
pub(super) fn seccomp(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    profile(report, node);
    if let Some(file) = tree.get(node, "localhostProfile")
        && let Some(wrong) = tree.str(file).and_then(descending_path)
    {
        report.error(file, wrong);
    }
}

/// An AppArmor profile: a name goes with type Localhost, and only with it.
pub(super) fn app_armor(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    profile(report, node);
    if let Some(name) = tree.get(node, "localhostProfile")
        && let Some(text) = tree.str(name)
    {
        if text.trim() != text {
            report.error(name, "must not have blanks at either end");
        } else if text.len() > 4095 {
            report.error(name, "must have at most 4095 characters");
        }
    }
}

/// The start of the annotations that gave containers their AppArmor profile before there was a field.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// AppArmor profiles that a template gives a container twice, as an annotation and as a field: they must say the same.
pub(in crate::document) fn app_armor_annotations(report: &mut Report<'_>, template: NodeId) {
    let tree = report.tree;
    let Some(annotations) = tree.at(template, &["metadata", "annotations"]) else { return };
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| list_at(tree, tree.present(template, "spec")?, list));
    let containers: Vec<NodeId> = lists.flat_map(|list| tree.children(list)).collect();
    for annotation in tree.children(annotations) {
        let Some(name) = tree.key(annotation).strip_prefix(APP_ARMOR) else { continue };
        let (Some(text), Some(container)) =
            (tree.str(annotation), containers.iter().find(|container| tree.get_str(**container, "name") == Some(name)))
        else {
            continue;
        };
        let stated = match text {
            "runtime/default" => ("RuntimeDefault", None),
            "unconfined" => ("Unconfined", None),
            text => match text.strip_prefix("localhost/") {
                Some(file) => ("Localhost", Some(file)),
                None => continue,
            },
        };
        let Some(profile) = tree.at(*container, &["securityContext", "appArmorProfile"]) else { continue };
        let Some(kind) = tree.get_str(profile, "type") else { continue };
        if stated != (kind, tree.get_str(profile, "localhostProfile").filter(|_| kind == "Localhost")) {
            let at = report.path(profile);
            report.error(annotation, format!("must say the same as {at}: remove the annotation, which only old clusters need"));
        }
    }
}

fn profile(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let file = tree.present(node, "localhostProfile");
    match (tree.get_str(node, "type"), file) {
        (Some("Localhost"), None) => report.missing(node, "localhostProfile", "is missing: type Localhost needs it"),
        (Some("RuntimeDefault" | "Unconfined"), Some(file)) => report.error_at_key(file, "goes with type Localhost only: remove it"),
        _ => {}
    }
}

/// Fields of a container's security context that Windows has not.
const NOT_WINDOWS: [&str; 10] = [
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
];
/// Fields of the Pod's security context that Windows has not.
const NOT_WINDOWS_POD: [&str; 11] = [
    "appArmorProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsGroup",
    "runAsUser",
    "seLinuxChangePolicy",
    "seLinuxOptions",
    "seccompProfile",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "sysctls",
];

/// What does not go with the operating system that the template itself states.
pub(super) fn os(report: &mut Report<'_>, spec: NodeId) {
    let tree = report.tree;
    let name = tree.at(spec, &["os", "name"]).and_then(|name| tree.str(name));
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| list_at(tree, spec, list));
    let containers = lists.flat_map(|list| tree.children(list)).filter_map(|container| tree.present(container, "securityContext"));
    let of_pod = tree.present(spec, "securityContext");
    match name {
        Some("linux") => {
            for context in containers.chain(of_pod) {
                if let Some(options) = tree.present(context, "windowsOptions") {
                    report.error_at_key(options, "does not go with `os.name: linux` of this template");
                }
            }
        }
        Some("windows") => {
            let own = containers.flat_map(|context| NOT_WINDOWS.into_iter().filter_map(move |field| tree.present(context, field)));
            let pods =
                of_pod.into_iter().flat_map(|context| NOT_WINDOWS_POD.into_iter().filter_map(move |field| tree.present(context, field)));
            let switches = ["hostPID", "hostIPC"].into_iter().filter_map(|field| tree.present(spec, field));
            let on = switches.filter(|node| tree.view(*node) == View::Bool(true));
            let stated = ["hostUsers", "shareProcessNamespace", "resources"].into_iter().filter_map(|field| tree.present(spec, field));
            for field in own.chain(pods).chain(on).chain(stated) {
                report.error_at_key(field, "does not go with `os.name: windows` of this template");
            }
        }
        _ => {}
    }
}
