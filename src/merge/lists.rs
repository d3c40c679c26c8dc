//! Lists whose entries have a key: volumes, image pull secrets, topology spread constraints and the like; tolerations and host aliases.

use super::run::{Run, entry_name, named_path};
use crate::conflict::ConflictKind;
use crate::draft::{Part, push_token};
use crate::equality::{self, Place};
use crate::schema::{Kind, TypeId};
use crate::tree::{NodeId, Tree, View};

impl<'a> Run<'_, 'a> {
    /// Volumes, by name; one entry is one value.
    pub fn volume_list(&mut self, who: usize, list: NodeId) {
        let source = self.source(who);
        for volume in source.children(list) {
            let name = source.get_str(volume, "name").unwrap_or_default();
            if self.subject.claims.iter().any(|claim| claim == name) {
                // The StatefulSet's controller puts its claim in the place of a volume of that name.
                let path = self.path_in(self.spec, "volumes", name);
                self.states[who].left_volumes.push(name);
                self.clash_kept(who, ConflictKind::Volume, path, None, 0);
                continue;
            }
            if !self.entry(who, self.spec, "volumes", volume, Kind::Struct(TypeId::VOLUME), ConflictKind::Volume, &["name"]) {
                self.states[who].left_volumes.push(name);
            }
        }
    }

    /// Any list that the API gives keys; one entry is one value.
    pub fn keyed_list(&mut self, who: usize, target: NodeId, member: NodeId, keys: &'static [&'static str]) {
        let fragment = self.fragment(who);
        let source = fragment.tree();
        let key = source.key(member);
        let of = match fragment.field(member).map(|field| field.kind) {
            Some(Kind::List(list)) => list.of,
            _ => Kind::Opaque,
        };
        for entry in source.children(member) {
            let fits = self.entry(who, target, key, entry, of, ConflictKind::Field, keys);
            if !fits && key == "resourceClaims" {
                self.states[who].left_claims.push(source.get_str(entry, "name").unwrap_or_default());
            }
        }
    }

    /// One entry of a keyed list. False where the Pod has something else under its key, and keeps it.
    #[expect(
        clippy::too_many_arguments,
        reason = "one entry is described by all of them, and a struct would be made only to be taken apart"
    )]
    pub fn entry(
        &mut self,
        who: usize,
        target: NodeId,
        list: &'a str,
        entry: NodeId,
        of: Kind,
        conflict: ConflictKind,
        keys: &[&str],
    ) -> bool {
        let source = self.source(who);
        // Nearly always it is a name, which need not be looked up again and again.
        let name = source.get_str(entry, "name").filter(|name| !name.is_empty() && keys == ["name"]);
        let fits = |tree: &Tree<'_>, there| match name {
            Some(name) => tree.get_str(there, "name") == Some(name),
            None => same_keys(tree, there, source, entry, keys),
        };
        let Some(there) = self.last_with_key(target, list, fits) else {
            let part = Part::whole(self.fragment(who), entry);
            self.draft.add_entry(target, list, usize::MAX, part, Self::holder(who));
            self.applied(who);
            return true;
        };
        if self.equal_entries(of, there, who, entry) {
            self.hold(who, there);
            return true;
        }
        let path = named_path(self.tree(), there);
        if self.clash(who, conflict, path, Some(there), self.tree().holder(there)) {
            let content = self.part(who, entry);
            self.draft.replace(there, content, Self::holder(who));
            self.applied(who);
            return true;
        }
        false
    }

    /// The last entry of a list that fits: where a Pod has a key twice, the last counts, as it does in Kubernetes.
    pub fn last_with_key(&self, target: NodeId, list: &str, fits: impl Fn(&Tree<'_>, NodeId) -> bool) -> Option<NodeId> {
        self.last_entry(self.tree().present(target, list), fits)
    }

    /// The same in a list that was looked up before.
    pub fn last_entry(&self, list: Option<NodeId>, fits: impl Fn(&Tree<'_>, NodeId) -> bool) -> Option<NodeId> {
        let tree = self.tree();
        tree.children(list?).filter(|there| fits(tree, *there)).last()
    }

    pub fn equal_entries(&self, of: Kind, there: NodeId, who: usize, entry: NodeId) -> bool {
        // To the letter, as it is on every Pod that was grafted before.
        if self.tree().same(there, self.source(who), entry) {
            return true;
        }
        let left = Place { tree: self.tree(), node: there };
        let right = Place { tree: self.source(who), node: entry };
        equality::equal(of, left, right, self.host_network())
    }

    /// The pointer with names of an entry that a list has not.
    pub fn path_in(&self, target: NodeId, list: &str, name: &str) -> String {
        let mut path = named_path(self.tree(), target);
        push_token(&mut path, list);
        push_token(&mut path, name);
        path
    }

    /// The pointer with names of a preset's entry.
    pub fn path_of_entry(&self, who: usize, target: NodeId, list: &str, entry: NodeId) -> String {
        let name = entry_name(self.source(who), list, entry);
        self.path_in(target, list, &name)
    }

    /// Tolerations: the whole entry is the key; one that differs stands beside.
    pub fn tolerations(&mut self, who: usize, member: NodeId) {
        let source = self.source(who);
        for toleration in source.children(member) {
            let of = Kind::Struct(TypeId::TOLERATION);
            let tree = self.tree();
            let list = tree.present(self.spec, "tolerations");
            let there = list.into_iter().flat_map(|list| tree.children(list));
            if let Some(equal) = there.clone().find(|there| self.equal_entries(of, *there, who, toleration)) {
                self.hold(who, equal);
                continue;
            }
            // The API server filled in two of 300 s. Beside one of them a toleration of the same taint could only shorten it.
            let default = there.clone().find(|there| {
                tree.holder(*there) == 0 && is_default_toleration(tree, *there) && tolerates_the_same(source, toleration, tree, *there)
            });
            match default {
                Some(default) => {
                    let content = self.part(who, toleration);
                    self.draft.replace(default, content, Self::holder(who));
                }
                None => {
                    let part = Part::whole(self.fragment(who), toleration);
                    self.draft.add_entry(self.spec, "tolerations", usize::MAX, part, Self::holder(who));
                }
            }
            self.applied(who);
        }
    }

    /// Host aliases: by IP; the host names are a set.
    pub fn host_aliases(&mut self, who: usize, member: NodeId) {
        let source = self.source(who);
        for alias in source.children(member) {
            let ip = source.get_str(alias, "ip").unwrap_or_default();
            let Some(there) = self.last_with_key(self.spec, "hostAliases", |tree, there| tree.get_str(there, "ip") == Some(ip)) else {
                let part = Part::whole(self.fragment(who), alias);
                self.draft.add_entry(self.spec, "hostAliases", usize::MAX, part, Self::holder(who));
                self.applied(who);
                continue;
            };
            self.applied(who);
            let names = source.present(alias, "hostnames");
            for name in names.into_iter().flat_map(|names| source.children(names)) {
                let tree = self.tree();
                let known = tree.present(there, "hostnames").into_iter().flat_map(|names| tree.children(names));
                if !known.into_iter().any(|known| tree.str(known) == source.str(name)) {
                    let part = Part::whole(self.fragment(who), name);
                    self.draft.add_entry(there, "hostnames", usize::MAX, part, Self::holder(who));
                }
            }
        }
    }

    /// A part of a preset as the value of an operation, some of it left out.
    pub fn part_without(&self, who: usize, node: NodeId, without: Vec<NodeId>) -> Part<'a> {
        Part { of: self.fragment(who), node, without: without.into_boxed_slice() }
    }
}

fn same_keys(tree: &Tree<'_>, there: NodeId, source: &Tree<'_>, entry: NodeId, keys: &[&str]) -> bool {
    keys.iter().all(|key| match (tree.present(there, key), source.present(entry, key)) {
        (Some(left), Some(right)) => tree.same(left, source, right),
        (Some(left), None) => tree.str(left) == Some(""),
        (None, Some(right)) => source.str(right) == Some(""),
        (None, None) => true,
    })
}

/// As the plugin `DefaultTolerationSeconds` writes them.
fn is_default_toleration(tree: &Tree<'_>, toleration: NodeId) -> bool {
    matches!(tree.get_str(toleration, "key"), Some("node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable"))
        && tree.get_str(toleration, "operator") == Some("Exists")
        && tree.get_str(toleration, "effect") == Some("NoExecute")
        && tree.get(toleration, "tolerationSeconds").and_then(|node| tree.int(node)) == Some(300)
        && tree.get_str(toleration, "value").unwrap_or_default().is_empty()
}

/// Whether the plugin would not have added its toleration beside this one: same key, and `NoExecute` or no effect.
fn tolerates_the_same(source: &Tree<'_>, toleration: NodeId, tree: &Tree<'_>, default: NodeId) -> bool {
    let effect = source.present(toleration, "effect").map(|node| source.view(node));
    source.get_str(toleration, "key") == tree.get_str(default, "key") && matches!(effect, None | Some(View::String("" | "NoExecute")))
}
