//! Phase two, and the same lists of a template's containers: env, envFrom, volumeMounts and volumeDevices of one container.

use super::paths;
use super::run::{Run, named_path};
use crate::conflict::ConflictKind;
use crate::draft::Part;
use crate::equality::{self, Place};
use crate::schema::{Kind, TypeId};
use crate::tree::{NodeId, Tree};

impl<'a> Run<'_, 'a> {
    /// Puts a preset's `env`, `envFrom` and `volumeMounts` into every container that it targets.
    pub fn reach_all(&mut self, who: usize) {
        let fragment = self.fragment(who);
        if ["env", "envFrom", "volumeMounts"].iter().all(|list| fragment.at(&[list]).is_none()) {
            return;
        }
        for list in crate::preset::CONTAINER_LISTS {
            let Some(node) = self.tree().present(self.spec, list) else { continue };
            let mut next = self.tree().children(node).next();
            while let Some(container) = next {
                if self.targets(who, list, container) {
                    self.reach(who, container);
                }
                next = self.tree().after(container);
            }
        }
    }

    /// Whether a preset's targets mean a container.
    pub fn targets(&self, who: usize, list: &str, container: NodeId) -> bool {
        let preset = self.members[who].preset;
        let targets = &preset.spec().targets;
        let name = self.tree().get_str(container, "name").unwrap_or_default();
        if (list == "initContainers" && !targets.init_containers) || !targets.mean(name) || preset.gives_image(name) {
            return false;
        }
        targets.added || !self.given_by_others(who, name)
    }

    /// Whether the template of another preset that is not left out gives the container its image; to the first layer only that layer counts.
    fn given_by_others(&self, who: usize, name: &str) -> bool {
        let first = self.members[who].preset.is_first_layer();
        let takes_part = |other: usize| self.states[other].taking_part || self.first_layer.contains(&other);
        self.members.iter().enumerate().any(|(other, member)| {
            other != who && takes_part(other) && (!first || member.preset.is_first_layer()) && member.preset.gives_image(name)
        })
    }

    /// Puts a preset's `env`, `envFrom` and `volumeMounts` into one container.
    pub fn reach(&mut self, who: usize, container: NodeId) {
        let fragment = self.fragment(who);
        for list in ["env", "envFrom", "volumeMounts"] {
            if let Some(entries) = fragment.at(&[list]) {
                self.container_list(who, container, list, entries);
            }
        }
    }

    /// One of the lists that have rules of their own. False where it is none of them.
    pub fn container_list(&mut self, who: usize, container: NodeId, list: &str, entries: NodeId) -> bool {
        match list {
            "env" => self.env(who, container, entries),
            "envFrom" => self.env_from(who, container, entries),
            "volumeMounts" => self.mounts(who, container, "volumeMounts", entries),
            "volumeDevices" => self.mounts(who, container, "volumeDevices", entries),
            "ports" => self.ports(who, container, entries),
            _ => return false,
        }
        true
    }

    /// Variables, by name; at the end, or before the container's own with `placement.env: First`.
    fn env(&mut self, who: usize, container: NodeId, entries: NodeId) {
        let source = self.source(who);
        let first = self.members[who].preset.spec().placement.env_first;
        let mut front = if first { self.leading_env(who, container) } else { 0 };
        let mut list = None;
        for variable in source.children(entries) {
            let name = source.get_str(variable, "name");
            list = list.or_else(|| self.tree().present(container, "env"));
            let Some(there) = self.last_entry(list, |tree, there| tree.get_str(there, "name") == name) else {
                let part = Part::whole(self.fragment(who), variable);
                let index = if first { front } else { usize::MAX };
                self.draft.add_entry(container, "env", index, part, Self::holder(who));
                front += 1;
                self.applied(who);
                continue;
            };
            if self.equal_entries(Kind::Struct(TypeId::ENV_VAR), there, who, variable) {
                if first && self.tree().position(there) == front {
                    front += 1;
                }
                self.hold(who, there);
                continue;
            }
            self.replace_in_conflict(who, ConflictKind::Env, there, variable);
        }
    }

    /// How many variables at the front were put there, or are held, by this preset and earlier ones that place theirs first.
    fn leading_env(&self, who: usize, container: NodeId) -> usize {
        let placed_first = |holder: usize| self.members.get(holder).is_some_and(|member| member.preset.spec().placement.env_first);
        self.leading(container, "env", |holder| holder <= who && placed_first(holder))
    }

    /// How many entries at the front of a list are held by presets of which this is true.
    fn leading(&self, container: NodeId, list: &str, of: impl Fn(usize) -> bool) -> usize {
        let tree = self.tree();
        let held = |node: &NodeId| (tree.holder(*node) as usize).checked_sub(1).is_some_and(&of);
        tree.present(container, list).into_iter().flat_map(|list| tree.children(list)).take_while(held).count()
    }

    /// Sources of variables, to the front: a later source wins in Kubernetes, so the Pod's own keys, then those of earlier presets, keep
    /// winning.
    fn env_from(&mut self, who: usize, container: NodeId, entries: NodeId) {
        let source = self.source(who);
        let mut front = self.leading(container, "envFrom", |holder| holder > who);
        for entry in source.children(entries) {
            let key = env_from_key(source, entry);
            let same = |there: NodeId| self.equal_entries(Kind::Struct(TypeId::ENV_FROM_SOURCE), there, who, entry);
            // A container may state a source twice: whichever says the same is there.
            let equal = self.last_with_key(container, "envFrom", |tree, there| env_from_key(tree, there) == key && same(there));
            if let Some(there) = equal {
                self.hold(who, there);
                continue;
            }
            match self.last_with_key(container, "envFrom", |tree, there| env_from_key(tree, there) == key) {
                None => {
                    let part = Part::whole(self.fragment(who), entry);
                    self.draft.add_entry(container, "envFrom", front, part, Self::holder(who));
                    front += 1;
                    self.applied(who);
                }
                Some(there) => self.replace_in_conflict(who, ConflictKind::EnvFrom, there, entry),
            }
        }
    }

    /// Mounts and devices share one space of paths. A mount of a volume of the same preset that was left out is left out with it.
    fn mounts(&mut self, who: usize, container: NodeId, list: &'static str, entries: NodeId) {
        let source = self.source(who);
        for entry in source.children(entries) {
            let volume = source.get_str(entry, "name").unwrap_or_default();
            if self.states[who].left_volumes.contains(&volume) {
                continue;
            }
            self.mount(who, container, list, entry, volume);
        }
    }

    fn mount(&mut self, who: usize, container: NodeId, list: &'static str, entry: NodeId, volume: &str) {
        let source = self.source(who);
        let (path_key, of) =
            if list == "volumeMounts" { ("mountPath", TypeId::VOLUME_MOUNT) } else { ("devicePath", TypeId::VOLUME_DEVICE) };
        let wanted = paths::clean(source.get_str(entry, path_key).unwrap_or_default());
        let uses = Uses::of(self.tree(), container);
        if let Some((there_list, there)) = self.at_path(uses, &wanted) {
            if there_list == list && self.equal_but(of, path_key, there, who, entry) {
                self.hold(who, there);
            } else if there_list == list
                && self.other_use(uses, list, volume, Some(there)).is_none()
                && !self.is_shared(uses, there, &wanted)
            {
                self.replace_in_conflict(who, ConflictKind::Mount, there, entry);
            } else {
                // A mount path that is a device path, or that the Pod has twice in two spellings, or a volume that would be both: never replaced.
                let path = self.path_of_entry(who, container, list, entry);
                self.clash_kept(who, ConflictKind::Mount, path, Some(there), self.tree().holder(there));
            }
            return;
        }
        if let Some(there) = self.other_use(uses, list, volume, None) {
            let path = self.path_of_entry(who, container, list, entry);
            self.clash_kept(who, ConflictKind::Mount, path, Some(there), self.tree().holder(there));
            return;
        }
        let part = Part::whole(self.fragment(who), entry);
        self.draft.add_entry(container, list, usize::MAX, part, Self::holder(who));
        self.applied(who);
    }

    /// The mount or device at a path.
    fn at_path(&self, uses: Uses, path: &str) -> Option<(&'static str, NodeId)> {
        uses.both().into_iter().find_map(|(list, key, node)| {
            self.last_entry(node, |tree, there| tree.get_str(there, key).is_some_and(|there| paths::means(there, path)))
                .map(|there| (list, there))
        })
    }

    /// Whether the Pod has another entry at this path, spelt otherwise: the API server takes that, but not one spelling twice.
    fn is_shared(&self, uses: Uses, but: NodeId, path: &str) -> bool {
        uses.both().into_iter().any(|(_, key, node)| {
            let same = |tree: &Tree<'_>, there| there != but && tree.get_str(there, key).is_some_and(|there| paths::means(there, path));
            self.last_entry(node, same).is_some()
        })
    }

    /// A use of the volume that this one excludes: a device beside a device or a mount.
    fn other_use(&self, uses: Uses, list: &str, volume: &str, but: Option<NodeId>) -> Option<NodeId> {
        let of = |node| self.last_entry(node, |tree, there| Some(there) != but && tree.get_str(there, "name") == Some(volume));
        if list == "volumeMounts" { of(uses.devices) } else { of(uses.devices).or_else(|| of(uses.mounts)) }
    }

    /// Whether two entries are equal but for one field, which was compared already.
    fn equal_but(&self, of: TypeId, but: &str, there: NodeId, who: usize, entry: NodeId) -> bool {
        let (tree, source) = (self.tree(), self.source(who));
        if tree.same(there, source, entry) {
            return true;
        }
        let known = of.get().fields.iter().filter(|field| field.name != but).all(|field| {
            match (tree.present(there, field.name), source.present(entry, field.name)) {
                (None, None) => true,
                (Some(left), Some(right)) => {
                    let (owner, above) = (Place { tree, node: there }, Place { tree: source, node: entry });
                    equality::fields_equal(field, owner, Place { tree, node: left }, above, Place { tree: source, node: right }, false)
                }
                (Some(left), None) => {
                    equality::equals_absent(field, Place { tree: source, node: entry }, Place { tree, node: left }, false)
                }
                (None, Some(right)) => {
                    equality::equals_absent(field, Place { tree, node: there }, Place { tree: source, node: right }, false)
                }
            }
        });
        known && unknown_members_fit(of, tree, there, source, entry) && unknown_members_fit(of, source, entry, tree, there)
    }

    /// A whole entry that differs: a conflict; under `Override` it takes the place of the Pod's.
    pub fn replace_in_conflict(&mut self, who: usize, kind: ConflictKind, there: NodeId, entry: NodeId) {
        let path = named_path(self.tree(), there);
        if self.clash(who, kind, path, Some(there), self.tree().holder(there)) {
            let content = self.part(who, entry);
            self.draft.replace(there, content, Self::holder(who));
            self.applied(who);
        }
    }
}

/// The lists of a container that share one space of paths.
#[derive(Clone, Copy, Default)]
struct Uses {
    mounts: Option<NodeId>,
    devices: Option<NodeId>,
}

impl Uses {
    /// Found in one walk: every mount asks for both.
    fn of(tree: &Tree<'_>, container: NodeId) -> Uses {
        let mut uses = Uses::default();
        for member in tree.children(container) {
            match tree.key(member) {
                "volumeMounts" => uses.mounts = Some(member),
                "volumeDevices" => uses.devices = Some(member),
                _ => {}
            }
        }
        uses
    }

    /// Each with the name of its path.
    fn both(self) -> [(&'static str, &'static str, Option<NodeId>); 2] {
        [("volumeMounts", "mountPath", self.mounts), ("volumeDevices", "devicePath", self.devices)]
    }
}

fn unknown_members_fit(of: TypeId, tree: &Tree<'_>, node: NodeId, other: &Tree<'_>, at: NodeId) -> bool {
    tree.children(node)
        .filter(|member| of.get().field(tree.key(*member)).is_none())
        .all(|member| other.get(at, tree.key(member)).is_some_and(|there| tree.same(member, other, there)))
}

/// (prefix, kind of source, name), as `PodPreset` had it.
fn env_from_key<'t>(tree: &'t Tree<'_>, entry: NodeId) -> (&'t str, &'static str, &'t str) {
    let prefix = tree.get_str(entry, "prefix").unwrap_or_default();
    for source in ["configMapRef", "secretRef"] {
        if let Some(node) = tree.present(entry, source) {
            return (prefix, source, tree.get_str(node, "name").unwrap_or_default());
        }
    }
    (prefix, "", "")
}
