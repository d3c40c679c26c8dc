//! One run: presets merged onto a working copy, phase by phase, in order.
//!
//! A run decides nothing about who yields. Where a preset meets something different it notes a clash, takes the place only where its policy
//! is `Override` and the Pod holds it, and goes on; `settle` looks at the clashes afterwards.

use super::{Member, Subject};
use crate::conflict::{ConflictKind, ConflictPolicy};
use crate::draft::{Content, Draft, Part};
use crate::fragment::Fragment;
use crate::preset::{CONTAINER_LISTS, Place};
use crate::tree::{HolderId, NodeId, Tree};

/// A preset that met something different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    /// The preset, by its place among the members.
    pub who: usize,
    /// A JSON Pointer with names for entries of lists.
    pub path: String,
    /// Who holds the place.
    pub holder: HolderId,
    /// The kind of place.
    pub kind: ConflictKind,
    /// The node of the working copy that is held, where it is one.
    pub node: Option<NodeId>,
    /// Whether the preset's value took the place.
    pub replaced: bool,
}

/// Something a user wants to know that is no conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// The preset, by its place among the members.
    pub who: usize,
    /// A sentence.
    pub text: String,
}

/// What became of one preset.
#[derive(Clone, Debug, Default)]
pub(super) struct State<'a> {
    /// It takes part: of those, templates count for `targets.added: false`.
    pub taking_part: bool,
    /// Something of it is there, because of it or anyway.
    pub applied: bool,
    /// Volumes of it that are not its own on this Pod: what mounts them is left out.
    pub left_volumes: Vec<&'a str>,
    /// Resource claims of it that are not its own on this Pod.
    pub left_claims: Vec<&'a str>,
}

/// Where containers that were placed before or after another one ended up.
#[derive(Clone, Debug)]
struct Placed<'a> {
    list: &'static str,
    place: &'a Place,
    node: NodeId,
}

/// The working copy, and what was noted on the way.
#[derive(Clone, Debug)]
pub(super) struct Run<'m, 'a> {
    pub draft: Draft<'a>,
    pub members: &'m [Member<'a>],
    pub states: Vec<State<'a>>,
    pub clashes: Vec<Clash>,
    pub notices: Vec<Notice>,
    pub spec: NodeId,
    /// What is merged onto, and what counts as there.
    pub subject: Subject<'m, 'a>,
    /// The presets of the first layer that were applied, while the second is merged.
    pub first_layer: Vec<usize>,
    placed: Vec<Placed<'a>>,
}

impl<'m, 'a> Run<'m, 'a> {
    pub fn new(draft: Draft<'a>, spec: NodeId, members: &'m [Member<'a>], subject: Subject<'m, 'a>) -> Self {
        Run {
            draft,
            members,
            states: vec![State::default(); members.len()],
            clashes: Vec::new(),
            notices: Vec::new(),
            spec,
            subject,
            first_layer: Vec::new(),
            placed: Vec::new(),
        }
    }

    /// Merges these presets, phase by phase, in order.
    pub fn merge(&mut self, presets: &[usize]) {
        for who in presets {
            let state = &mut self.states[*who];
            state.taking_part = true;
            // What was in conflict in an earlier pass may be right by now.
            state.left_volumes.clear();
            state.left_claims.clear();
        }
        for who in presets {
            self.volumes(*who);
            self.template(*who);
        }
        for who in presets {
            self.partial_containers(*who, None);
        }
        for who in presets {
            self.reach_all(*who);
        }
    }

    /// Lets recorded presets hold what is there of them: one that was left out then meets it now as it did when they were applied.
    pub fn hold_what_is_there(&mut self, recorded: &[usize]) {
        let mut trial = self.clone();
        trial.merge(recorded);
        self.draft.hold_as(&trial.draft);
    }

    pub fn fragment(&self, who: usize) -> &'a Fragment {
        self.members[who].preset.fragment()
    }

    pub fn source(&self, who: usize) -> &'a Tree<'static> {
        self.fragment(who).tree()
    }

    pub fn tree(&self) -> &Tree<'a> {
        self.draft.tree()
    }

    /// The number under which a preset holds nodes.
    pub fn holder(who: usize) -> HolderId {
        who as HolderId + 1
    }

    pub fn part(&self, who: usize, node: NodeId) -> Content<'a> {
        Content::Part(Part::whole(self.fragment(who), node))
    }

    pub fn host_network(&self) -> bool {
        self.tree().get(self.spec, "hostNetwork").is_some_and(|node| matches!(self.tree().view(node), crate::tree::View::Bool(true)))
    }

    /// The preset's entry is there, or was put there.
    pub fn applied(&mut self, who: usize) {
        self.states[who].applied = true;
    }

    /// The preset's entry was there and equal.
    pub fn hold(&mut self, who: usize, node: NodeId) {
        self.draft.hold(node, Self::holder(who));
        self.applied(who);
    }

    /// Notes that a preset met something different. True where its value takes the place.
    pub fn clash(&mut self, who: usize, kind: ConflictKind, path: String, node: Option<NodeId>, holder: HolderId) -> bool {
        if self.members[who].believed {
            // On the record's word it was applied: whatever it looks like by now is no conflict, and the preset holds it.
            self.applied(who);
            if let Some(node) = node.filter(|_| holder == 0 && kind != ConflictKind::Container) {
                self.draft.hold(node, Self::holder(who));
            }
            return false;
        }
        let replaced = holder == 0 && self.members[who].preset.spec().conflict_policy == ConflictPolicy::Override;
        self.clashes.push(Clash { who, path, holder, kind, node, replaced });
        replaced
    }

    /// As [`Run::clash_kept`], also for a recorded preset: a host port or a container's name that another holds is not taken on a record's word.
    pub fn clash_recorded(&mut self, who: usize, kind: ConflictKind, path: String, node: Option<NodeId>, holder: HolderId) {
        self.clashes.push(Clash { who, path, holder, kind, node, replaced: false });
    }

    /// As [`Run::clash`], where what is there stays whatever the policy says.
    pub fn clash_kept(&mut self, who: usize, kind: ConflictKind, path: String, node: Option<NodeId>, holder: HolderId) {
        if self.clash(who, kind, path, node, holder)
            && let Some(clash) = self.clashes.last_mut()
        {
            clash.replaced = false;
        }
    }

    pub fn notice(&mut self, who: usize, text: String) {
        let notice = Notice { who, text };
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// Phase one: the classic `volumes`, then what the template says but for containers without an image.
    fn volumes(&mut self, who: usize) {
        let fragment = self.fragment(who);
        if let Some(list) = fragment.at(&["volumes"]) {
            self.volume_list(who, list);
        }
    }

    fn template(&mut self, who: usize) {
        let fragment = self.fragment(who);
        let source = fragment.tree();
        if let Some(spec) = fragment.at(&["template", "spec"]) {
            if let Some(list) = source.present(spec, "volumes") {
                self.volume_list(who, list);
            }
            for member in source.children(spec) {
                if !matches!(source.key(member), "volumes" | "containers" | "initContainers" | "ephemeralContainers") {
                    self.pod_field(who, member);
                }
            }
            for list in CONTAINER_LISTS {
                let containers = source.present(spec, list);
                for container in containers.into_iter().flat_map(|list| source.children(list)) {
                    if source.present(container, "image").is_some() {
                        self.container(who, list, container);
                    }
                }
            }
        }
        if let Some(metadata) = fragment.at(&["template", "metadata"]) {
            for map in source.children(metadata) {
                self.metadata_map(who, map);
            }
        }
    }

    /// The containers of a template that are additions to one that is there. `only`: to this one alone.
    pub fn partial_containers(&mut self, who: usize, only: Option<NodeId>) {
        let fragment = self.fragment(who);
        let source = fragment.tree();
        for list in CONTAINER_LISTS {
            for container in fragment.entries(&["template", "spec", list]) {
                if source.present(container, "image").is_none() && only.is_none_or(|only| self.same_name(only, who, container)) {
                    self.container(who, list, container);
                }
            }
        }
    }

    fn same_name(&self, node: NodeId, who: usize, container: NodeId) -> bool {
        self.tree().get_str(node, "name") == self.source(who).get_str(container, "name")
    }

    /// Where in its list a container goes that is added now.
    pub fn index_for(&self, list: &'static str, place: &'a Place) -> usize {
        let tree = self.tree();
        let Some(node) = tree.present(self.spec, list) else { return 0 };
        let count = tree.count(node);
        let position = |name: &str| tree.children(node).position(|entry| tree.get_str(entry, "name") == Some(name));
        let after_placed = |start: usize| {
            let mut index = start;
            for entry in tree.children(node).skip(start) {
                if !self.placed.iter().any(|placed| placed.node == entry && placed.list == list && placed.place == place) {
                    break;
                }
                index += 1;
            }
            index
        };
        match place {
            Place::Last => count,
            Place::First => after_placed(0),
            Place::Before(name) => position(name).unwrap_or_else(|| after_placed(0)),
            Place::After(name) => position(name).map_or(count, |position| after_placed(position + 1)),
        }
    }

    pub fn note_placed(&mut self, list: &'static str, place: &'a Place, node: NodeId) {
        self.placed.push(Placed { list, place, node });
    }
}

/// Appends the pointer with names of a node: what a user is told about a conflict.
pub(super) fn named_path(tree: &Tree<'_>, node: NodeId) -> String {
    let mut out = String::new();
    write_named(tree, node, &mut out);
    out
}

fn write_named(tree: &Tree<'_>, node: NodeId, out: &mut String) {
    let Some(parent) = tree.parent(node) else { return };
    write_named(tree, parent, out);
    if matches!(tree.view(parent), crate::tree::View::List) {
        crate::draft::push_token(out, &entry_name(tree, tree.key(parent), node));
    } else {
        crate::draft::push_token(out, tree.key(node));
    }
}

/// The name by which an entry of a list stands in a pointer with names.
pub(super) fn entry_name(tree: &Tree<'_>, list: &str, entry: NodeId) -> String {
    let text = |key: &str| tree.get_str(entry, key).unwrap_or_default();
    match list {
        "volumeMounts" => super::paths::clean(text("mountPath")).into_owned(),
        "volumeDevices" => super::paths::clean(text("devicePath")).into_owned(),
        "ports" => {
            let port = tree.get(entry, "containerPort").and_then(|node| tree.int(node)).unwrap_or_default();
            format!("{port}/{}", tree.get_str(entry, "protocol").filter(|protocol| !protocol.is_empty()).unwrap_or("TCP"))
        }
        "envFrom" => {
            let name = ["configMapRef", "secretRef"].iter().find_map(|source| tree.at(entry, &[source, "name"]));
            format!("{}{}", text("prefix"), name.and_then(|node| tree.str(node)).unwrap_or_default())
        }
        "hostAliases" => text("ip").to_owned(),
        "topologySpreadConstraints" => format!("{}/{}", text("topologyKey"), text("whenUnsatisfiable")),
        _ => match tree.get_str(entry, "name") {
            Some(name) => name.to_owned(),
            None => tree.position(entry).to_string(),
        },
    }
}
