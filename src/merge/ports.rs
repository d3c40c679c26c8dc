//! Container ports: by (containerPort, protocol); a name once in a container; a host port once in a Pod, and under `hostNetwork` every port
//! is one.

use super::run::{Run, named_path};
use crate::conflict::ConflictKind;
use crate::draft::Part;
use crate::pod;
use crate::schema::{Kind, TypeId};
use crate::tree::{HolderId, NodeId, Tree, View};

/// A port of the node: address, protocol, port.
type HostPort<'t> = (&'t str, &'t str, i64);

fn protocol<'t>(tree: &'t Tree<'_>, port: NodeId) -> &'t str {
    tree.get_str(port, "protocol").filter(|protocol| !protocol.is_empty()).unwrap_or("TCP")
}

fn number(tree: &Tree<'_>, port: NodeId, key: &str) -> Option<i64> {
    tree.get(port, key).and_then(|node| tree.int(node)).filter(|port| *port != 0)
}

fn host_port<'t>(tree: &'t Tree<'_>, port: NodeId, host_network: bool) -> Option<HostPort<'t>> {
    let container_port = || number(tree, port, "containerPort").filter(|_| host_network);
    let host = number(tree, port, "hostPort").or_else(container_port)?;
    Some((tree.get_str(port, "hostIP").unwrap_or_default(), protocol(tree, port), host))
}

/// Under `hostNetwork` a host port must be the container port.
fn is_elsewhere(tree: &Tree<'_>, port: NodeId, host_network: bool) -> bool {
    host_network && number(tree, port, "hostPort").is_some_and(|host| Some(host) != number(tree, port, "containerPort"))
}

fn ports_of<'t>(tree: &'t Tree<'_>, container: NodeId) -> impl Iterator<Item = NodeId> + Clone + 't {
    tree.present(container, "ports").into_iter().flat_map(|list| tree.children(list))
}

fn all_ports<'t>(tree: &'t Tree<'_>, spec: NodeId) -> impl Iterator<Item = NodeId> + Clone + 't {
    pod::containers(tree, spec).flat_map(|(_, container)| ports_of(tree, container))
}

impl Run<'_, '_> {
    /// The ports of a template's container that is there.
    pub fn ports(&mut self, who: usize, container: NodeId, entries: NodeId) {
        let source = self.source(who);
        for entry in source.children(entries) {
            let wanted = number(source, entry, "containerPort");
            let is_there = |tree: &Tree<'_>, there: NodeId| {
                number(tree, there, "containerPort") == wanted && protocol(tree, there) == protocol(source, entry)
            };
            let there = self.last_with_key(container, "ports", is_there);
            // A container may state a port twice: whichever says the same is there.
            let same = |there: NodeId| self.equal_entries(Kind::Struct(TypeId::CONTAINER_PORT), there, who, entry);
            if let Some(there) = self.last_with_key(container, "ports", |tree, there| is_there(tree, there) && same(there)) {
                self.hold(who, there);
                continue;
            }
            let taken = self.taken(who, container, entry, there);
            match (there, taken) {
                (Some(there), None) => self.replace_in_conflict(who, ConflictKind::Port, there, entry),
                (None, None) => {
                    let part = Part::whole(self.fragment(who), entry);
                    let added = self.draft.add_entry(container, "ports", usize::MAX, part, Self::holder(who));
                    self.applied(who);
                    if added.is_some() {
                        self.warn_of_shared_ports(who, container);
                    }
                }
                (Some(there), Some(_)) => {
                    let path = self.path_of_entry(who, container, "ports", entry);
                    self.clash_kept(who, ConflictKind::Port, path, Some(there), self.tree().holder(there));
                }
                (None, Some((held, holder))) => {
                    let path = self.path_of_entry(who, container, "ports", entry);
                    self.clash_recorded(who, ConflictKind::Port, path, held, holder);
                }
            }
        }
    }

    /// Who has the name, or the host port, that a preset's port wants; also where the port could not be a host port.
    fn taken(&self, who: usize, container: NodeId, entry: NodeId, but: Option<NodeId>) -> Option<(Option<NodeId>, HolderId)> {
        let (tree, source) = (self.tree(), self.source(who));
        let name = source.get_str(entry, "name").filter(|name| !name.is_empty());
        let named = ports_of(tree, container).find(|port| Some(*port) != but && name.is_some() && tree.get_str(*port, "name") == name);
        if let Some(named) = named {
            return Some((Some(named), tree.holder(named)));
        }
        self.host_port_taken(who, entry, but)
    }

    fn host_port_taken(&self, who: usize, entry: NodeId, but: Option<NodeId>) -> Option<(Option<NodeId>, HolderId)> {
        let (tree, source) = (self.tree(), self.source(who));
        let host_network = self.host_network();
        if is_elsewhere(source, entry, host_network) {
            let held = tree.get(self.spec, "hostNetwork");
            return Some((held, held.map_or(0, |held| tree.holder(held))));
        }
        let wanted = host_port(source, entry, host_network)?;
        let held = all_ports(tree, self.spec).find(|port| Some(*port) != but && host_port(tree, *port, host_network) == Some(wanted))?;
        Some((Some(held), tree.holder(held)))
    }

    /// Whether a container cannot be added because one of its host ports is taken.
    pub fn ports_are_taken(&mut self, who: usize, list: &str, container: NodeId, name: &str) -> bool {
        let source = self.source(who);
        let mut taken = false;
        for entry in ports_of(source, container) {
            let Some((held, holder)) = self.host_port_taken(who, entry, None) else { continue };
            taken = true;
            let mut path = self.path_in(self.spec, list, name);
            crate::draft::push_token(&mut path, "ports");
            crate::draft::push_token(&mut path, &super::run::entry_name(source, "ports", entry));
            self.clash_recorded(who, ConflictKind::Port, path, held, holder);
        }
        taken
    }

    /// `hostNetwork: true` makes every port a host port.
    pub fn host_network_field(&mut self, who: usize, member: NodeId) {
        let source = self.source(who);
        if self.host_network() || !matches!(source.view(member), View::Bool(true)) {
            return self.member(who, self.spec, member);
        }
        match self.colliding_port() {
            None => self.member(who, self.spec, member),
            Some(held) => {
                let path = format!("{}/hostNetwork", named_path(self.tree(), self.spec));
                self.clash_kept(who, ConflictKind::Port, path, Some(held), self.tree().holder(held));
            }
        }
    }

    /// A port that `hostNetwork` would make collide: one that a preset holds, if there is one.
    fn colliding_port(&self) -> Option<NodeId> {
        let tree = self.tree();
        let ports = all_ports(tree, self.spec);
        let collides = |port: &NodeId| {
            is_elsewhere(tree, *port, true)
                || ports.clone().any(|other| other != *port && host_port(tree, other, true) == host_port(tree, *port, true))
        };
        ports.clone().filter(collides).max_by_key(|port| tree.holder(*port))
    }

    /// Two containers with one container port share the Pod's address: one of them will not start.
    pub fn warn_of_shared_ports(&mut self, who: usize, container: NodeId) {
        let tree = self.tree();
        let mut shared = Vec::new();
        for (_, other) in pod::containers(tree, self.spec).filter(|(_, other)| *other != container) {
            for port in ports_of(tree, container) {
                let same = |there: NodeId| {
                    number(tree, there, "containerPort") == number(tree, port, "containerPort")
                        && protocol(tree, there) == protocol(tree, port)
                };
                if ports_of(tree, other).any(same) {
                    let names = [container, other].map(|node| tree.get_str(node, "name").unwrap_or_default());
                    let number = number(tree, port, "containerPort").unwrap_or_default();
                    shared.push(format!("containers {} and {} both state port {number}/{}", names[0], names[1], protocol(tree, port)));
                }
            }
        }
        for text in shared {
            self.notice(who, text);
        }
    }
}
