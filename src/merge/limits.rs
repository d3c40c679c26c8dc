//! Requests and limits: a request stays within its limit, and containers stay within what the Pod states for itself.

mod plan;

use plan::{Fate, MAPS, Plan, Planned, changes, leave_what_is_implied, planned, say_what_was_implied};

use super::run::{Run, named_path};
use crate::conflict::ConflictKind;
use crate::draft::{Part, push_token};
use crate::quantity::Quantity;
use crate::resources::container_requests;
use crate::schema::Kind;
use crate::tree::{HolderId, NodeId, Tree, View};

fn entries<'t>(tree: &'t Tree<'_>, resources: Option<NodeId>, map: &str) -> impl Iterator<Item = NodeId> + 't {
    let node = resources.and_then(|resources| tree.present(resources, map));
    node.into_iter().flat_map(|map| tree.children(map))
}

fn quantity(tree: &Tree<'_>, node: NodeId) -> Option<Quantity> {
    Quantity::of(tree.view(node)).map(Quantity::round_up_to_milli)
}

fn stated(tree: &Tree<'_>, resources: Option<NodeId>, map: &str, key: &str) -> Option<NodeId> {
    tree.get(tree.present(resources?, map)?, key)
}

/// Resources whose request may be below their limit; of all others it must be the limit.
fn may_be_below(key: &str) -> bool {
    matches!(key, "cpu" | "memory" | "ephemeral-storage")
}

fn breaks(key: &str, request: Quantity, limit: Quantity) -> bool {
    if may_be_below(key) { request > limit } else { request != limit }
}

impl<'a> Run<'_, 'a> {
    /// `resources` of a template's container that is there.
    pub fn container_resources(&mut self, who: usize, container: NodeId, member: NodeId) {
        let there = self.tree().present(container, "resources");
        let mut plan = self.plan(who, container, there, member);
        say_what_was_implied(&mut plan);
        self.keep_within_limits(who, container, there, &mut plan);
        self.keep_within_pod(who, container, there, &mut plan);
        leave_what_is_implied(&mut plan);
        self.carry_out(who, container, there, member, &plan);
    }

    /// `resources` of the Pod itself.
    pub fn pod_resources(&mut self, who: usize, member: NodeId) {
        let there = self.tree().present(self.spec, "resources");
        let mut plan = self.plan(who, self.spec, there, member);
        self.keep_within_limits(who, self.spec, there, &mut plan);
        self.keep_above_containers(who, there, &mut plan);
        self.carry_out(who, self.spec, there, member, &plan);
    }

    fn plan(&mut self, who: usize, owner: NodeId, there: Option<NodeId>, member: NodeId) -> Plan<'a> {
        let source = self.source(who);
        let mut plan = Vec::with_capacity(4);
        for (index, map) in MAPS.into_iter().enumerate() {
            for entry in entries(source, Some(member), map) {
                let key = source.key(entry);
                let fate = match stated(self.tree(), there, map, key) {
                    None => self.implied(who, owner, there, map, entry),
                    Some(node) if self.equal_map_values(Kind::QuantityMap, node, who, entry) => Fate::Hold(node),
                    Some(node) => {
                        let path = self.resource_path(owner, map, key);
                        let holder = self.tree().holder(node);
                        if self.clash(who, ConflictKind::Resources, path, Some(node), holder) { Fate::Replace(node) } else { Fate::Leave }
                    }
                };
                plan.push(Planned { map: index, key, node: entry, fate });
            }
        }
        plan.sort_unstable_by_key(|planned| (planned.map, planned.key));
        plan
    }

    /// A request that is not stated is the limit, as the API server will write it into the Pod.
    fn implied(&mut self, who: usize, owner: NodeId, there: Option<NodeId>, map: &str, entry: NodeId) -> Fate {
        let key = self.source(who).key(entry);
        let limit = stated(self.tree(), there, "limits", key).filter(|_| map == "requests" && owner != self.spec);
        let Some(limit) = limit else { return Fate::Add };
        if self.equal_map_values(Kind::QuantityMap, limit, who, entry) {
            return Fate::Same;
        }
        let path = self.resource_path(owner, map, key);
        let holder = self.tree().holder(limit);
        if self.clash(who, ConflictKind::Resources, path, Some(limit), holder) { Fate::Add } else { Fate::Leave }
    }

    fn resource_path(&self, owner: NodeId, map: &str, key: &str) -> String {
        let mut path = named_path(self.tree(), owner);
        for token in ["resources", map, key] {
            push_token(&mut path, token);
        }
        path
    }

    /// What a map will hold under a key, and who will hold it.
    fn outcome(&self, who: usize, there: Option<NodeId>, plan: &[Planned<'a>], map: usize, key: &str) -> Option<(Quantity, HolderId)> {
        match planned(plan, map, key) {
            Some(planned) if planned.fate.changes() => quantity(self.source(who), planned.node).map(|value| (value, Self::holder(who))),
            _ => {
                let node = stated(self.tree(), there, MAPS[map], key)?;
                quantity(self.tree(), node).map(|value| (value, self.tree().holder(node)))
            }
        }
    }

    /// A request over its limit, or a limit below the request: what the preset changes is left out.
    fn keep_within_limits(&mut self, who: usize, owner: NodeId, there: Option<NodeId>, plan: &mut [Planned<'a>]) {
        if !plan.iter().any(|planned| planned.fate.changes()) {
            return;
        }
        for index in 0..plan.len() {
            let key = plan[index].key;
            let (Some((limit, limit_holder)), Some((request, request_holder))) =
                (self.outcome(who, there, plan, 0, key), self.outcome(who, there, plan, 1, key))
            else {
                continue;
            };
            if !breaks(key, request, limit) {
                continue;
            }
            for (map, holder) in [(1, limit_holder), (0, request_holder)] {
                self.veto(who, owner, plan, map, key, holder);
            }
        }
    }

    fn veto(&mut self, who: usize, owner: NodeId, plan: &mut [Planned<'a>], map: usize, key: &str, holder: HolderId) {
        let planned = plan.iter_mut().find(|planned| planned.map == map && planned.key == key && planned.fate.changes());
        let Some(planned) = planned else { return };
        planned.fate = Fate::Leave;
        let path = self.resource_path(owner, MAPS[map], key);
        // One that differs from what is there was noted already.
        match self.clashes.iter_mut().rev().find(|clash| clash.who == who && clash.path == path) {
            Some(noted) => noted.replaced = false,
            None => self.clash_kept(who, ConflictKind::Resources, path, None, holder),
        }
    }

    /// Where the Pod states resources for itself, its containers stay within them.
    fn keep_within_pod(&mut self, who: usize, container: NodeId, there: Option<NodeId>, plan: &mut [Planned<'a>]) {
        let Some(pod) = self.tree().present(self.spec, "resources") else { return };
        for (map, key) in changes(plan) {
            let limit = stated(self.tree(), Some(pod), "limits", key);
            if map == 0
                && let (Some(limit), Some((wanted, _))) = (limit, self.outcome(who, there, plan, 0, key))
                && quantity(self.tree(), limit).is_some_and(|limit| wanted > limit)
            {
                let holder = self.tree().holder(limit);
                self.veto(who, container, plan, 0, key, holder);
                continue;
            }
            let Some(sum) = self.sum_with(who, container, plan, key) else { continue };
            let over = ["requests", "limits"].into_iter().find_map(|bound| {
                let node = stated(self.tree(), Some(pod), bound, key)?;
                quantity(self.tree(), node).filter(|bound| sum > *bound).map(|_| node)
            });
            if let Some(over) = over {
                let holder = self.tree().holder(over);
                self.veto(who, container, plan, map, key, holder);
            }
        }
    }

    /// What the containers would request together with the plan carried out.
    fn sum_with(&self, who: usize, container: NodeId, plan: &[Planned<'a>], key: &str) -> Option<Quantity> {
        let mut trial = self.clone();
        for planned in plan.iter().filter(|planned| planned.key == key && planned.fate.changes()) {
            trial.force(who, container, MAPS[planned.map], planned.node, planned.fate);
        }
        container_requests(trial.tree(), trial.spec).get(key).copied()
    }

    /// In a trial: puts one entry where it would be.
    fn force(&mut self, who: usize, container: NodeId, map: &'static str, entry: NodeId, fate: Fate) {
        use crate::draft::Content;
        let source = self.source(who);
        if let Fate::Replace(node) = fate {
            let content = self.part(who, entry);
            self.draft.replace(node, content, Self::holder(who));
            return;
        }
        let object = |run: &mut Self, owner: NodeId, key: &'static str| match run.tree().present(owner, key) {
            Some(node) => Some(node),
            None => run.draft.add_member(owner, key, Content::Object, Self::holder(who)),
        };
        let map = object(self, container, "resources").and_then(|resources| object(self, resources, map));
        if let Some(map) = map {
            let content = self.part(who, entry);
            self.draft.add_member(map, source.key(entry), content, Self::holder(who));
        }
    }

    /// A statement of the Pod itself is not below what its containers state.
    fn keep_above_containers(&mut self, who: usize, there: Option<NodeId>, plan: &mut [Planned<'a>]) {
        let sums = container_requests(self.tree(), self.spec);
        for (map, key) in changes(plan) {
            let Some((wanted, _)) = self.outcome(who, there, plan, map, key) else { continue };
            let below_sum = sums.get(key).is_some_and(|sum| wanted < *sum);
            let tree = self.tree();
            let holder_of = |map: &'static str, counts: &dyn Fn(NodeId) -> bool| {
                let containers = crate::pod::containers(tree, self.spec);
                let stated = containers.filter_map(|(_, container)| stated(tree, tree.present(container, "resources"), map, key));
                stated.filter(|node| counts(*node)).map(|node| tree.holder(node)).max()
            };
            let above = |node: NodeId| quantity(tree, node).is_some_and(|limit| limit > wanted);
            let over_limit = if map == 0 { holder_of("limits", &above) } else { None };
            let holder = over_limit.or_else(|| below_sum.then(|| holder_of("requests", &|_| true).unwrap_or_default()));
            if let Some(holder) = holder {
                self.veto(who, self.spec, plan, map, key, holder);
            }
        }
    }

    fn carry_out(&mut self, who: usize, owner: NodeId, there: Option<NodeId>, member: NodeId, plan: &[Planned<'a>]) {
        let source = self.source(who);
        let left = plan.iter().filter(|planned| matches!(planned.fate, Fate::Leave | Fate::Same));
        let left: Vec<NodeId> = left.map(|planned| planned.node).collect();
        if plan.iter().any(|planned| planned.fate == Fate::Same) {
            self.applied(who);
        }
        let Some(there) = there else {
            let without = self.also_without(who, member, left);
            if source.children(member).any(|child| !without.contains(&child))
                && let Some(node) = self.put_without(who, owner, member, without)
            {
                self.draft.hold_only(node, 0);
            }
            return;
        };
        for child in source.children(member) {
            let key = source.key(child);
            let Some(index) = MAPS.iter().position(|map| *map == key) else {
                self.claims_or_other(who, there, child);
                continue;
            };
            if matches!(source.view(child), View::Null) {
                continue;
            }
            let Some(map) = self.tree().present(there, key) else {
                if source.children(child).any(|entry| !left.contains(&entry)) {
                    let without = left.iter().copied().filter(|node| source.parent(*node) == Some(child)).collect();
                    if let Some(map) = self.put_without(who, there, child, without) {
                        self.draft.hold_only(map, 0);
                    }
                }
                continue;
            };
            for entry in source.children(child) {
                self.carry_out_entry(who, map, entry, planned(plan, index, source.key(entry)).map(|planned| planned.fate));
            }
        }
    }

    fn carry_out_entry(&mut self, who: usize, map: NodeId, entry: NodeId, fate: Option<Fate>) {
        let source = self.source(who);
        let content = self.part(who, entry);
        match fate {
            Some(Fate::Hold(node)) => self.hold(who, node),
            Some(Fate::Add | Fate::AddForItself) => {
                self.draft.add_member(map, source.key(entry), content, Self::holder(who));
                self.applied(who);
            }
            Some(Fate::Replace(node)) => {
                self.draft.replace(node, content, Self::holder(who));
                self.applied(who);
            }
            Some(Fate::Leave | Fate::Same) | None => {}
        }
    }

    /// Maps of which nothing is left, and claims whose Pod-level entry is not the preset's own here.
    fn also_without(&self, who: usize, member: NodeId, mut without: Vec<NodeId>) -> Vec<NodeId> {
        let source = self.source(who);
        for child in source.children(member) {
            if source.key(child) == "claims" {
                let claims = source.children(child).filter(|claim| self.is_left_claim(who, *claim));
                without.extend(claims);
            }
            let mut entries = source.children(child).peekable();
            if entries.peek().is_some() && entries.all(|entry| without.contains(&entry)) {
                without.push(child);
            }
        }
        without
    }

    fn is_left_claim(&self, who: usize, claim: NodeId) -> bool {
        self.source(who).get_str(claim, "name").is_some_and(|name| self.states[who].left_claims.contains(&name))
    }

    fn claims_or_other(&mut self, who: usize, there: NodeId, child: NodeId) {
        let source = self.source(who);
        if source.key(child) != "claims" || self.states[who].left_claims.is_empty() {
            return self.member(who, there, child);
        }
        for claim in source.children(child) {
            if !self.is_left_claim(who, claim) {
                self.entry(who, there, "claims", claim, Kind::Opaque, ConflictKind::Field, &["name"]);
            }
        }
    }

    /// Whether an added container would take the sum of requests, or one limit, over what the Pod states for itself.
    pub fn exceeds_the_pods_resources(&mut self, who: usize, list: &'static str, container: NodeId, index: usize) -> bool {
        let source = self.source(who);
        let Some(pod) = self.tree().present(self.spec, "resources") else { return false };
        let resources = source.present(container, "resources");
        let mut trial = self.clone();
        let part = Part::whole(self.fragment(who), container);
        trial.draft.add_entry(self.spec, list, index, part, Self::holder(who));
        let sums = container_requests(trial.tree(), trial.spec);
        let before = container_requests(self.tree(), self.spec);
        let name = source.get_str(container, "name").unwrap_or_default();
        let mut found = Vec::new();
        for map in MAPS {
            for entry in entries(source, resources, map) {
                let key = source.key(entry);
                let bound =
                    |bound: &str| stated(self.tree(), Some(pod), bound, key).and_then(|node| Some((node, quantity(self.tree(), node)?)));
                let over_limit =
                    bound("limits").filter(|(_, limit)| map == "limits" && quantity(source, entry).is_some_and(|value| value > *limit));
                let grown = sums.get(key).copied().filter(|sum| before.get(key) != Some(sum));
                let counts = map == "requests" || stated(source, resources, "requests", key).is_none();
                let over_sum = ["requests", "limits"]
                    .into_iter()
                    .find_map(|name| bound(name).filter(|(_, bound)| counts && grown.is_some_and(|sum| sum > *bound)));
                if let Some((node, _)) = over_limit.or(over_sum) {
                    found.push((map, key, node));
                }
            }
        }
        for (map, key, node) in &found {
            let mut path = self.path_in(self.spec, list, name);
            for token in ["resources", map, key] {
                push_token(&mut path, token);
            }
            self.clash_kept(who, ConflictKind::Resources, path, Some(*node), self.tree().holder(*node));
        }
        !found.is_empty()
    }
}
