//! Limits and requests.

use std::collections::{BTreeMap, BTreeSet};

use super::lists::list_at;
use crate::document::names::qualified;
use crate::document::report::Report;
use crate::document::shape::Whole;
use crate::quantity::Quantity;
use crate::tree::{NodeId, Tree, View};
use crate::yaml::shown;

/// `resources` of a container or of the Pod.
pub(super) fn requirements(report: &mut Report<'_>, node: NodeId, whole: Whole) {
    let tree = report.tree;
    let of_pod = !tree.parent(node).and_then(|owner| tree.parent(owner)).is_some_and(|list| tree.view(list) == View::List);
    let (limits, requests) = (tree.present(node, "limits"), tree.present(node, "requests"));
    for map in limits.into_iter().chain(requests) {
        quantities(report, map, of_pod);
    }
    if of_pod && let Some(claims) = tree.present(node, "claims") {
        report.error_at_key(claims, "belongs to a container: the resources of a Pod have no claims");
    }
    claims(report, node);
    let stated_limits = by_key(tree, limits);
    for request in requests.into_iter().flat_map(|map| tree.children(map)) {
        let name = tree.key(request);
        let Some(amount) = Quantity::of(tree.view(request)).map(Quantity::round_up_to_milli) else { continue };
        let stated = stated_limits.get(name).copied();
        let limit = stated.and_then(|limit| Quantity::of(tree.view(limit))).map(Quantity::round_up_to_milli);
        match limit {
            Some(limit) if !overcommit(name) && amount != limit => {
                report.error(
                    request,
                    format!("must be equal to the limit of {}: of this resource nothing can be promised twice", shown(name)),
                );
            }
            Some(limit) if amount > limit => report.error(request, format!("must not be more than the limit of {}", shown(name))),
            None if stated.is_none() && !overcommit(name) && whole == Whole::Yes => {
                report.error(
                    request,
                    format!("needs a limit of {} that is the same: of this resource nothing can be promised twice", shown(name)),
                );
            }
            _ => {}
        }
    }
    if whole == Whole::Yes {
        let names: Vec<&str> = limits.into_iter().chain(requests).flat_map(|map| tree.children(map)).map(|entry| tree.key(entry)).collect();
        if names.iter().any(|name| is_huge_pages(name)) && !names.iter().any(|name| matches!(*name, "cpu" | "memory")) {
            report.error(node, "huge pages need a limit or request of cpu or memory beside them");
        }
    }
}

/// Members of a map that are not null, by their keys.
fn by_key<'t>(tree: &'t Tree<'_>, map: Option<NodeId>) -> BTreeMap<&'t str, NodeId> {
    let members = map.into_iter().flat_map(|map| tree.children(map)).filter(|member| tree.view(*member) != View::Null);
    members.map(|member| (tree.key(member), member)).collect()
}

/// A map of quantities by the name of the resource.
pub(super) fn quantities(report: &mut Report<'_>, map: NodeId, of_pod: bool) {
    let tree = report.tree;
    if tree.view(map) != View::Object {
        return;
    }
    for entry in tree.children(map) {
        let name = tree.key(entry);
        if let Some(wrong) = if of_pod { pod_resource(name) } else { container_resource(name) } {
            report.error_at_key(entry, wrong);
            continue;
        }
        let Some(amount) = Quantity::of(tree.view(entry)) else { continue };
        if amount.is_negative() {
            report.error(entry, "must not be less than 0");
        } else if name.contains('/') && !is_native(name) && !amount.round_up_to_milli().is_whole() {
            report.error(entry, "must be a whole number: there are no parts of it");
        } else if is_huge_pages(name) {
            let page = name.strip_prefix("hugepages-").and_then(Quantity::parse).filter(|page| !page.is_zero() && !page.is_negative());
            if page.is_none_or(|page| !amount.is_multiple_of(page)) {
                report.error(entry, "must be a multiple of the size of a page, which its name states");
            }
        }
    }
}

fn pod_resource(name: &str) -> Option<&'static str> {
    (!matches!(name, "cpu" | "memory") && !is_huge_pages(name))
        .then_some("a Pod states cpu, memory and huge pages only; others belong to its containers")
}

fn container_resource(name: &str) -> Option<&'static str> {
    const NO_DOMAIN: &str = "must be cpu, memory, ephemeral-storage, hugepages-SIZE, or a name with a domain such as example.org/device";
    if let Some(wrong) = qualified(name) {
        return Some(if name.contains('/') { wrong } else { NO_DOMAIN });
    }
    if !name.contains('/') {
        return (!matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_pages(name)).then_some(NO_DOMAIN);
    }
    let extended = is_native(name) || !(name.starts_with("requests.") || qualified(&format!("requests.{name}")).is_some());
    (!extended)
        .then_some("is no name of an extended resource: it must not start with `requests.` and its domain has at most 244 characters")
}

fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether requests may be less than limits.
fn overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

/// Names under `claims`: one claim once, or several requests of it.
fn claims(report: &mut Report<'_>, node: NodeId) {
    let tree = report.tree;
    let Some(list) = list_at(tree, node, "claims") else { return };
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in tree.children(list) {
        let Some(name) = tree.get_str(entry, "name").filter(|name| !name.is_empty()) else { continue };
        let request = tree.get_str(entry, "request").unwrap_or("");
        let requests = seen.entry(name).or_default();
        if requests.contains("") || requests.contains(request) || (request.is_empty() && !requests.is_empty()) {
            report.error(entry, format!("the claim `{}` is already in this list: remove one", shown(name)));
        }
        requests.insert(request);
    }
}

/// Sums over the containers that the template adds against what it states for the Pod.
pub(super) fn against_pod(report: &mut Report<'_>, spec: NodeId) {
    let tree = report.tree;
    let Some(of_pod) = tree.present(spec, "resources") else { return };
    let containers: Vec<NodeId> = list_at(tree, spec, "containers").into_iter().flat_map(|list| tree.children(list)).collect();
    let amount = |node: NodeId| Quantity::of(tree.view(node)).map(Quantity::round_up_to_milli);
    let (limits, requests) = (by_key(tree, tree.present(of_pod, "limits")), by_key(tree, tree.present(of_pod, "requests")));
    let mut sums: BTreeMap<&str, Quantity> = BTreeMap::new();
    for container in containers {
        let resources = tree.present(container, "resources");
        let own = |kind: &str| by_key(tree, resources.and_then(|resources| tree.present(resources, kind)));
        let (own_limits, mut own_requests) = (own("limits"), own("requests"));
        for (name, limit) in own_limits {
            if limits.get(name).and_then(|most| amount(*most)).is_some_and(|most| amount(limit).is_some_and(|own| own > most)) {
                report.error(limit, format!("must not be more than the Pod's own limit of {} in this template", shown(name)));
            }
            // A request that is not stated is the limit.
            own_requests.entry(name).or_insert(limit);
        }
        if tree.present(container, "image").is_some() {
            for (name, request) in own_requests {
                let sum = sums.entry(name).or_insert(Quantity::ZERO);
                *sum = sum.add(amount(request).unwrap_or(Quantity::ZERO));
            }
        }
    }
    for (name, request) in requests {
        if sums.get(name).is_some_and(|sum| amount(request).is_some_and(|stated| *sum > stated)) {
            report.error(request, "must not be less than what the containers of this template request together");
        }
    }
}
