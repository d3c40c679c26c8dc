//! What a Pod takes of a node in all, and its `QoS` class: as the scheduler and the kubelet compute them, after the API server's defaulting.

use std::collections::BTreeMap;

use crate::quantity::Quantity;
use crate::tree::{NodeId, Tree, View};

/// What a Pod takes in all. Quantities are rounded up to thousandths, as in the Pod that the API server makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// By resource: the containers and native sidecars together, or the init container that takes most with the sidecars before it;
    /// instead of that what the Pod states for itself; and its overhead (`resourcehelper.PodRequests`).
    pub requests: BTreeMap<String, Quantity>,
    /// By resource, added up in the same way over the containers that have a limit (`resourcehelper.PodLimits`).
    pub limits: BTreeMap<String, Quantity>,
    /// The class.
    pub qos: Qos,
}

/// A Pod's quality of service class, by cpu and memory alone (`status.qosClass`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qos {
    /// Every container has limits for both, and requests as high.
    Guaranteed,
    /// All others.
    Burstable,
    /// No container asks for anything.
    BestEffort,
}

impl Qos {
    /// The class as the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Qos::Guaranteed => "Guaranteed",
            Qos::Burstable => "Burstable",
            Qos::BestEffort => "BestEffort",
        }
    }
}

/// What the Pod whose `spec` this is takes in all.
#[must_use]
pub fn effective(tree: &Tree<'_>, spec: NodeId) -> Effective {
    let mut requests = container_requests(tree, spec);
    let mut limits = container_limits(tree, spec);
    let of_pod = tree.present(spec, "resources");
    if let Some(of_pod) = of_pod {
        let stated = list(tree, of_pod, "limits");
        // Only where it states limits does the server fill up the Pod's own requests: with the containers' (which are there already), else
        // with its limits (`defaultPodRequests`).
        for (name, limit) in stated.iter().filter(|(name, _)| is_pod_level(name)) {
            requests.entry((*name).to_owned()).or_insert(*limit);
        }
        for (result, stated) in [(&mut requests, list(tree, of_pod, "requests")), (&mut limits, stated)] {
            result.extend(stated.into_iter().filter(|(name, _)| is_pod_level(name)).map(|(name, quantity)| (name.to_owned(), quantity)));
        }
    }
    for (name, overhead) in list(tree, spec, "overhead") {
        add(&mut requests, name, overhead);
        if let Some(limit) = limits.get_mut(name) {
            *limit = limit.add(overhead);
        }
    }
    Effective { requests, limits, qos: qos(tree, spec) }
}

/// The requests of the containers alone: what the API server compares with the requests that a Pod states for itself
/// (`resourcehelper.AggregateContainerRequests`).
#[must_use]
pub fn container_requests(tree: &Tree<'_>, spec: NodeId) -> BTreeMap<String, Quantity> {
    aggregate(tree, spec, |tree, resources| {
        let mut requests = list(tree, resources, "limits");
        requests.extend(list(tree, resources, "requests"));
        requests
    })
}

/// The limits of the containers alone, added up as their requests are.
#[must_use]
pub fn container_limits(tree: &Tree<'_>, spec: NodeId) -> BTreeMap<String, Quantity> {
    aggregate(tree, spec, |tree, resources| list(tree, resources, "limits"))
}

/// The `QoS` class of the Pod whose `spec` this is (`qos.ComputePodQOS`). It allocates nothing.
#[must_use]
pub fn qos(tree: &Tree<'_>, spec: NodeId) -> Qos {
    if let Some(of_pod) = tree.present(spec, "resources") {
        return qos_of_pod(tree, spec, of_pod);
    }
    let mut class = None;
    for list in ["containers", "initContainers"] {
        for container in entries(tree, spec, list) {
            let resources = tree.present(container, "resources");
            let of_container = qos_of(COMPUTED.map(|name| requested_and_limit(tree, resources, name)));
            match class {
                _ if of_container == Qos::Burstable => return Qos::Burstable,
                Some(class) if class != of_container => return Qos::Burstable,
                _ => class = Some(of_container),
            }
        }
    }
    class.unwrap_or(Qos::BestEffort)
}

/// The resources that make the class.
const COMPUTED: [&str; 2] = ["cpu", "memory"];

/// The Pod's own resources decide alone where it has any, `{}` too.
fn qos_of_pod(tree: &Tree<'_>, spec: NodeId, of_pod: NodeId) -> Qos {
    let limited = tree.present(of_pod, "limits").is_some_and(|limits| tree.children(limits).next().is_some());
    qos_of(COMPUTED.map(|name| {
        let limit = stated(tree, of_pod, "limits", name);
        let filled_up = || if limited { aggregate_one(tree, spec, name).or(limit) } else { None };
        (stated(tree, of_pod, "requests", name).or_else(filled_up), limit)
    }))
}

/// The class that requests and limits of cpu and memory stand for: each as high as the other, or one of them nothing.
fn qos_of(resources: [(Option<Quantity>, Option<Quantity>); 2]) -> Qos {
    let amounts = resources.map(|(request, limit)| (request.unwrap_or(Quantity::ZERO), limit.unwrap_or(Quantity::ZERO)));
    let nothing = amounts.iter().filter(|(_, limit)| limit.is_zero()).count();
    match nothing {
        _ if amounts.iter().any(|(request, limit)| request != limit) => Qos::Burstable,
        0 => Qos::Guaranteed,
        1 => Qos::Burstable,
        _ => Qos::BestEffort,
    }
}

/// A container's request, copied from its limit where it states none, and its limit.
fn requested_and_limit(tree: &Tree<'_>, resources: Option<NodeId>, name: &str) -> (Option<Quantity>, Option<Quantity>) {
    let Some(resources) = resources else { return (None, None) };
    let limit = stated(tree, resources, "limits", name);
    (stated(tree, resources, "requests", name).or(limit), limit)
}

/// As [`container_requests`], of one resource.
fn aggregate_one(tree: &Tree<'_>, spec: NodeId, name: &str) -> Option<Quantity> {
    let plus = |left: Option<Quantity>, right: Option<Quantity>| match (left, right) {
        (Some(left), Some(right)) => Some(left.add(right)),
        (left, right) => left.or(right),
    };
    let request = |container: NodeId| requested_and_limit(tree, tree.present(container, "resources"), name).0;
    let mut sum = entries(tree, spec, "containers").map(request).fold(None, plus);
    let (mut sidecars, mut most) = (None, None);
    for container in entries(tree, spec, "initContainers") {
        let during = plus(request(container), sidecars);
        if is_sidecar(tree, container) {
            sum = plus(sum, request(container));
            sidecars = during;
        }
        most = most.max(during);
    }
    sum.max(most)
}

type Amounts<'t> = BTreeMap<&'t str, Quantity>;

/// Init containers run one after the other, each beside the native sidecars that precede it; then the containers run beside all sidecars
/// (KEP-753).
fn aggregate<'t>(tree: &'t Tree<'_>, spec: NodeId, of: impl Fn(&'t Tree<'_>, NodeId) -> Amounts<'t>) -> BTreeMap<String, Quantity> {
    let resources = |container: NodeId| tree.present(container, "resources").map_or_else(Amounts::new, |node| of(tree, node));
    let mut sum = BTreeMap::new();
    for container in entries(tree, spec, "containers") {
        add_all(&mut sum, &resources(container));
    }
    let (mut sidecars, mut most) = (BTreeMap::new(), BTreeMap::new());
    for container in entries(tree, spec, "initContainers") {
        let own = resources(container);
        let mut during = sidecars.clone();
        add_all(&mut during, &own);
        if is_sidecar(tree, container) {
            add_all(&mut sum, &own);
            sidecars.clone_from(&during);
        }
        at_least(&mut most, during);
    }
    at_least(&mut sum, most);
    sum
}

fn add_all(sum: &mut BTreeMap<String, Quantity>, amounts: &Amounts<'_>) {
    for (name, quantity) in amounts {
        add(sum, name, *quantity);
    }
}

fn add(sum: &mut BTreeMap<String, Quantity>, name: &str, quantity: Quantity) {
    match sum.get_mut(name) {
        Some(there) => *there = there.add(quantity),
        None => drop(sum.insert(name.to_owned(), quantity)),
    }
}

fn at_least(sum: &mut BTreeMap<String, Quantity>, amounts: BTreeMap<String, Quantity>) {
    for (name, quantity) in amounts {
        let there = sum.entry(name).or_insert(quantity);
        *there = quantity.max(*there);
    }
}

fn is_sidecar(tree: &Tree<'_>, container: NodeId) -> bool {
    tree.get_str(container, "restartPolicy") == Some("Always")
}

/// Resources that a Pod can state for itself (`IsSupportedPodLevelResource`).
fn is_pod_level(name: &str) -> bool {
    COMPUTED.contains(&name) || name.starts_with("hugepages-")
}

fn entries<'t, 'a>(tree: &'t Tree<'a>, spec: NodeId, list: &str) -> impl Iterator<Item = NodeId> + use<'t, 'a> {
    tree.present(spec, list).into_iter().flat_map(|list| tree.children(list))
}

/// A map of resources, without what is no quantity.
fn list<'t>(tree: &'t Tree<'_>, owner: NodeId, name: &str) -> Amounts<'t> {
    let map = tree.present(owner, name).into_iter().flat_map(|map| tree.children(map));
    map.filter_map(|entry| Some((tree.key(entry), amount(tree, entry)?))).collect()
}

fn stated(tree: &Tree<'_>, resources: NodeId, list: &str, name: &str) -> Option<Quantity> {
    let list = tree.present(resources, list)?;
    amount(tree, tree.get(list, name)?)
}

/// A value of a map of resources; null is nothing, as the API server makes it `"0"`.
fn amount(tree: &Tree<'_>, node: NodeId) -> Option<Quantity> {
    match tree.view(node) {
        View::Null => Some(Quantity::ZERO),
        view => Quantity::of(view).map(Quantity::round_up_to_milli),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::parse;

    fn of(spec: &str) -> Effective {
        let tree = parse(spec).unwrap();
        let effective = effective(&tree, NodeId::ROOT);
        assert_eq!(effective.qos, qos(&tree, NodeId::ROOT));
        // The sum without maps and the one with them are the same.
        for name in COMPUTED {
            assert_eq!(
                aggregate_one(&tree, NodeId::ROOT, name),
                container_requests(&tree, NodeId::ROOT).get(name).copied(),
                "{name} {spec}"
            );
        }
        effective
    }

    fn text(amounts: &BTreeMap<String, Quantity>) -> String {
        amounts.iter().map(|(name, quantity)| format!("{name}={quantity}")).collect::<Vec<_>>().join(" ")
    }

    fn container(resources: &str) -> String {
        format!(r#"{{"name":"a","resources":{resources}}}"#)
    }

    #[test]
    fn the_class_is_that_of_cpu_and_memory() {
        let full = r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#;
        let equal = r#"{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1000m","memory":"1024Mi"}}"#;
        for (containers, class) in [
            (vec![full], Qos::Guaranteed),
            (vec![full, equal], Qos::Guaranteed),
            (vec![full, "{}"], Qos::Burstable),
            (vec![r#"{"limits":{"cpu":"1"}}"#], Qos::Burstable),
            (vec![r#"{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m"}}"#], Qos::Burstable),
            (vec![r#"{"limits":{"cpu":"1","memory":"0"}}"#], Qos::Burstable),
            (vec![r#"{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":null}}"#], Qos::Burstable),
            (vec![r#"{"requests":{"memory":"1Gi"}}"#], Qos::Burstable),
            (vec!["{}", "{}"], Qos::BestEffort),
            (vec![r#"{"limits":{"cpu":"0"}}"#], Qos::BestEffort),
            (vec![r#"{"limits":{"ephemeral-storage":"1Gi","example.org/d":"1"}}"#], Qos::BestEffort),
            (vec![r#"{"limits":{"cpu":"1","memory":"1Gi","example.org/d":"1"},"requests":{"ephemeral-storage":"1Gi"}}"#], Qos::Guaranteed),
        ] {
            let list = containers.iter().map(|resources| container(resources)).collect::<Vec<_>>().join(",");
            assert_eq!(of(&format!(r#"{{"containers":[{list}]}}"#)).qos, class, "{containers:?}");
        }
        let init = |resources: &str| format!(r#"{{"containers":[{}],"initContainers":[{}]}}"#, container(full), container(resources));
        assert_eq!(of(&init(full)).qos, Qos::Guaranteed);
        assert_eq!(of(&init("{}")).qos, Qos::Burstable);
        assert_eq!(of("{}").qos, Qos::BestEffort);
        assert_eq!(of(r#"{"containers":null}"#).qos.as_str(), "BestEffort");
    }

    #[test]
    fn the_pods_own_resources_decide_alone() {
        let with = |pod: &str, own: &str| of(&format!(r#"{{"containers":[{}],"resources":{pod}}}"#, container(own)));
        let half = r#"{"requests":{"cpu":"500m"}}"#;
        for (pod, own, class, requests, limits) in [
            (r#"{"limits":{"cpu":"1","memory":"1Gi"}}"#, "{}", Qos::Guaranteed, "cpu=1 memory=1Gi", "cpu=1 memory=1Gi"),
            // Recorded: requests of the containers first, then the Pod's limits.
            (
                r#"{"limits":{"cpu":"2","memory":"1Gi"}}"#,
                r#"{"requests":{"cpu":"1"}}"#,
                Qos::Burstable,
                "cpu=1 memory=1Gi",
                "cpu=2 memory=1Gi",
            ),
            (r#"{"requests":{"cpu":"1"}}"#, half, Qos::Burstable, "cpu=1", ""),
            (r#"{"limits":{"cpu":"1"}}"#, "{}", Qos::Burstable, "cpu=1", "cpu=1"),
            // As `qos.ComputePodQOS` has it.
            ("{}", half, Qos::BestEffort, "cpu=500m", ""),
            (r#"{"requests":{"example.org/d":"1"}}"#, half, Qos::BestEffort, "cpu=500m", ""),
        ] {
            let effective = with(pod, own);
            assert_eq!(
                (effective.qos, text(&effective.requests).as_str(), text(&effective.limits).as_str()),
                (class, requests, limits),
                "{pod} {own}"
            );
        }
    }

    #[test]
    fn init_containers_sidecars_and_overhead() {
        let spec = |init: &[(&str, bool)], overhead: &str| {
            let init: Vec<String> = init
                .iter()
                .map(|(cpu, sidecar)| {
                    let policy = if *sidecar { r#","restartPolicy":"Always""# } else { "" };
                    format!(r#"{{"name":"i","resources":{{"limits":{{"cpu":"{cpu}"}}}}{policy}}}"#)
                })
                .collect();
            let two = [container(r#"{"requests":{"cpu":"1","memory":"0.0001"}}"#), container(r#"{"limits":{"cpu":"2"}}"#)].join(",");
            of(&format!(r#"{{"containers":[{two}],"initContainers":[{}],"overhead":{overhead}}}"#, init.join(",")))
        };
        for (init, overhead, requests, limits) in [
            (&[][..], "{}", "cpu=3 memory=1m", "cpu=2"),
            (&[("2", false)][..], "{}", "cpu=3 memory=1m", "cpu=2"),
            (&[("5", false), ("4", false)][..], "{}", "cpu=5 memory=1m", "cpu=5"),
            (&[("1", true)][..], "{}", "cpu=4 memory=1m", "cpu=3"),
            (&[("1", true), ("5", false)][..], "{}", "cpu=6 memory=1m", "cpu=6"),
            (&[("5", false), ("1", true)][..], "{}", "cpu=5 memory=1m", "cpu=5"),
            (&[("1", true), ("5", false), ("1", true)][..], "{}", "cpu=6 memory=1m", "cpu=6"),
            (&[][..], r#"{"cpu":"250m","memory":"1Mi"}"#, "cpu=3250m memory=1048576001m", "cpu=2250m"),
        ] {
            let effective = spec(init, overhead);
            assert_eq!((text(&effective.requests).as_str(), text(&effective.limits).as_str()), (requests, limits), "{init:?} {overhead}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_not_counted() {
        let effective = of(r#"{"containers":[{"resources":{"requests":{"cpu":"much","memory":1}}},"x"],"initContainers":{"a":1}}"#);
        assert_eq!(text(&effective.requests), "memory=1");
    }
}
