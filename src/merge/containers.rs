//! Containers: one with an image is added where the Pod has none of its name; one that is there is merged field by field.

use super::run::{Clash, Run};
use crate::conflict::ConflictKind;
use crate::draft::Part;
use crate::pod;
use crate::preset::Place;
use crate::tree::{NodeId, View};

/// Members of a container that are merged in this order before the others: the default pull policy goes by the image that the Pod states.
const FIRST: &str = "imagePullPolicy";

impl<'a> Run<'_, 'a> {
    /// One container of a template.
    pub fn container(&mut self, who: usize, list: &'static str, container: NodeId) {
        let source = self.source(who);
        let name = source.get_str(container, "name").unwrap_or_default();
        let has_image = source.present(container, "image").is_some();
        let tree = self.tree();
        let found = pod::containers(tree, self.spec).find(|(_, node)| tree.get_str(*node, "name") == Some(name));
        match found {
            Some((there_list, there)) if there_list == list => self.merge_container(who, there, container),
            Some((_, there)) if has_image => {
                let path = self.path_in(self.spec, list, name);
                let holder = self.tree().holder(there);
                if holder == 0 {
                    self.clash_kept(who, ConflictKind::Container, path, Some(there), holder);
                } else {
                    self.clash_recorded(who, ConflictKind::Container, path, Some(there), holder);
                }
            }
            Some((there_list, _)) => {
                self.notice(who, format!("container {name} is one of {there_list} here, so what is meant for {list} is left out"));
            }
            None if has_image => self.add_container(who, list, container, name),
            None => self.notice(who, format!("container {name} is not there, so what is meant for it is left out")),
        }
    }

    fn merge_container(&mut self, who: usize, there: NodeId, container: NodeId) {
        let source = self.source(who);
        let members = || source.children(container).filter(|member| !matches!(source.view(*member), View::Null));
        if source.children(container).count() == 1 {
            self.applied(who);
        }
        for member in members().filter(|member| source.key(*member) == FIRST) {
            self.member(who, there, member);
        }
        for member in members() {
            match source.key(member) {
                "name" | FIRST => {}
                "resources" => self.container_resources(who, there, member),
                key => {
                    if !self.container_list(who, there, key, member) {
                        self.member(who, there, member);
                    }
                }
            }
        }
    }

    fn add_container(&mut self, who: usize, list: &'static str, container: NodeId, name: &str) {
        if self.depends_on_what_was_left_out(who, container) {
            self.notice(who, format!("container {name} is left out with the volume or claim that it uses"));
            return;
        }
        let place = self.place(who, list);
        let index = self.index_for(list, place);
        if self.ports_are_taken(who, list, container, name) || self.exceeds_the_pods_resources(who, list, container, index) {
            return;
        }
        let against = self.against_the_first_layer(who, list, container, index);
        let mut without = Vec::new();
        for clash in against {
            if let Some(node) = clash.node {
                without.push(node);
            }
            self.clash_kept(who, clash.kind, clash.path, None, clash.holder);
        }
        let part = self.part_without(who, container, without);
        let Some(node) = self.draft.add_entry(self.spec, list, index, part, Self::holder(who)) else { return };
        self.note_placed(list, place, node);
        self.applied(who);
        self.warn_of_shared_ports(who, node);
        for first in self.first_layer.clone() {
            self.partial_containers(first, Some(node));
            if self.targets(first, list, node) {
                self.reach(first, node);
            }
        }
    }

    pub fn place(&self, who: usize, list: &str) -> &'a Place {
        let placement = &self.members[who].preset.spec().placement;
        if list == "initContainers" { &placement.init_containers } else { &placement.containers }
    }

    /// Nothing is half applied: a container whose volume is not the preset's own on this Pod is not added.
    fn depends_on_what_was_left_out(&self, who: usize, container: NodeId) -> bool {
        let source = self.source(who);
        let state = &self.states[who];
        if state.left_volumes.is_empty() && state.left_claims.is_empty() {
            return false;
        }
        let names = |path: &[&str]| {
            let list = source.at(container, path);
            list.into_iter().flat_map(|list| source.children(list)).filter_map(|entry| source.get_str(entry, "name"))
        };
        names(&["volumeMounts"]).chain(names(&["volumeDevices"])).any(|name| state.left_volumes.contains(&name))
            || names(&["resources", "claims"]).any(|name| state.left_claims.contains(&name))
    }

    /// What stands in an added container against the first layer: entries that presets of that layer want otherwise there. The nodes of the
    /// clashes are those of the fragment.
    fn against_the_first_layer(&self, who: usize, list: &'static str, container: NodeId, index: usize) -> Vec<Clash> {
        if self.first_layer.is_empty() {
            return Vec::new();
        }
        let mut trial = self.clone();
        trial.clashes.clear();
        let part = Part::whole(self.fragment(who), container);
        let Some(node) = trial.draft.add_entry(self.spec, list, index, part, Self::holder(who)) else { return Vec::new() };
        for first in &self.first_layer {
            trial.partial_containers(*first, Some(node));
            if trial.targets(*first, list, node) {
                trial.reach(*first, node);
            }
        }
        let clashes = trial.clashes.into_iter().filter(|clash| clash.holder == Self::holder(who));
        clashes
            .map(|clash| Clash {
                holder: Self::holder(clash.who),
                who,
                // Grafting copies nodes in the order in which the fragment has them.
                node: clash.node.map(|held| container.moved_by(node, held)),
                ..clash
            })
            .collect()
    }
}
