//! Fields of the Pod itself.

use super::lists::{list_at, named, unique, warn_repeated};
use super::{containers, resources, scheduling, security};
use crate::document::report::Report;
use crate::document::selector::label_map;
use crate::tree::{NodeId, View};

/// Fields that a preset may not state, and why.
const REFUSED: [(&str, &str); 4] = [
    ("ephemeralContainers", "ephemeral containers cannot be created with a Pod: use containers or initContainers"),
    ("preemptionPolicy", "the class gives it: write priorityClassName"),
    ("priority", "the class gives it: write priorityClassName"),
    ("serviceAccount", "the API server writes it itself: write serviceAccountName"),
];

/// `template.spec`.
pub(super) fn spec(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    for (field, reason) in REFUSED {
        if let Some(found) = tree.present(node, field) {
            report.error_at_key(found, reason);
        }
    }
    if let Some(selector) = tree.present(node, "nodeSelector") {
        label_map(report, selector);
    }
    if let Some(overhead) = tree.present(node, "overhead") {
        resources::quantities(report, overhead, false);
    }
    for (field, what) in [("schedulingGates", "the gate"), ("resourceClaims", "the claim")] {
        if let Some(list) = list_at(tree, node, field) {
            unique(report, &[list], what, named("name"));
        }
    }
    if let Some(secrets) = list_at(tree, node, "imagePullSecrets") {
        warn_repeated(report, &[secrets], "the Secret", named("name"));
    }
    if let Some(aliases) = list_at(tree, node, "hostAliases") {
        warn_repeated(report, &[aliases], "the address", named("ip"));
    }
    if let Some(constraints) = list_at(tree, node, "topologySpreadConstraints") {
        scheduling::spread_list(report, constraints);
    }
    containers::lists(report, node);
    resources::against_pod(report, node);
    security::os(report, node);
    together(report, node);
    warnings(report, node);
}

/// Switches that exclude each other.
fn together(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let is = |field: &str, value: bool| tree.get(node, field).filter(|found| tree.view(*found) == View::Bool(value));
    if let (Some(shared), Some(_)) = (is("shareProcessNamespace", true), is("hostPID", true)) {
        report.error(shared, "may not be true where hostPID is true");
    }
    if is("hostUsers", false).is_some() {
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            if let Some(found) = is(field, true) {
                report.error(found, "may not be true where hostUsers is false");
            }
        }
    }
    if tree.get_str(node, "nodeName").is_some_and(|name| !name.is_empty())
        && let Some(gates) = list_at(tree, node, "schedulingGates").filter(|gates| tree.count(*gates) > 0)
    {
        report.error_at_key(gates, "may not be there beside nodeName");
    }
    if let Some(name) = tree.present(node, "hostnameOverride") {
        if is("setHostnameAsFQDN", true).is_some() || is("hostNetwork", true).is_some() {
            report.error_at_key(name, "may not be there beside `setHostnameAsFQDN: true` or `hostNetwork: true`");
        }
        if tree.str(name).is_some_and(|name| name.len() > 64) {
            report.error(name, "must have at most 64 characters");
        }
    }
}

fn warnings(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    if let Some(mount) = tree.get(node, "automountServiceAccountToken").filter(|mount| tree.view(*mount) == View::Bool(false)) {
        report.warn(mount, "comes too late: the token is mounted before webhooks are asked; state it in the service account or the Pod");
    }
    let grace = tree.get(node, "terminationGracePeriodSeconds").and_then(|node| tree.int(node));
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| list_at(tree, node, list));
    let hooks = lists.flat_map(|list| tree.children(list)).flat_map(|container| {
        ["postStart", "preStop"].into_iter().filter_map(move |hook| tree.at(container, &["lifecycle", hook, "sleep", "seconds"]))
    });
    for seconds in hooks.filter(|seconds| tree.int(*seconds).is_some_and(|seconds| grace.is_some_and(|grace| seconds > grace.max(1)))) {
        report.warn(seconds, "is more than the template's terminationGracePeriodSeconds: no API server takes a Pod with both");
    }
    let servers = tree.at(node, &["dnsConfig", "nameservers"]).map_or(0, |list| tree.count(list));
    if let Some(policy) = tree.get(node, "dnsPolicy").filter(|policy| tree.str(*policy) == Some("None") && servers == 0) {
        report.warn(policy, "None needs a name server, and this template has none: the Pod must have `dnsConfig.nameservers` of its own");
    }
}

/// `dnsConfig`.
pub(super) fn dns(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    if let Some(servers) = list_at(tree, node, "nameservers").filter(|list| tree.count(*list) > 3) {
        report.error(servers, "must have at most 3 name servers");
    }
    if let Some(searches) = list_at(tree, node, "searches") {
        let length = tree.children(searches).filter_map(|search| tree.str(search)).map(|search| search.len() + 1).sum::<usize>();
        if tree.count(searches) > 32 || length > 2049 {
            report.error(searches, "must have at most 32 search domains, and 2048 characters with a blank between them");
        }
    }
}
