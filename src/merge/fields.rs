//! Objects, maps and single values: the lower rows of the table.

use super::run::{Run, named_path};
use crate::conflict::ConflictKind;
use crate::draft::{Content, Part, push_token};
use crate::equality::{self, Place};
use crate::pod;
use crate::quantity::Quantity;
use crate::schema::{Default, Field, Kind, TypeId, Zero};
use crate::tree::{NodeId, Tree, View};

/// How much a field of the Pod says.
enum Word {
    /// It is not there, or what is there means the same.
    None(Option<NodeId>),
    /// It holds what the API server filled in: nobody's word.
    Default(NodeId),
    /// Somebody wrote it.
    Written(NodeId),
}

impl<'a> Run<'_, 'a> {
    /// A field of the template's spec.
    pub fn pod_field(&mut self, who: usize, member: NodeId) {
        let source = self.source(who);
        match source.key(member) {
            _ if matches!(source.view(member), View::Null) => {}
            "tolerations" => self.tolerations(who, member),
            "hostAliases" => self.host_aliases(who, member),
            "hostNetwork" => self.host_network_field(who, member),
            "priorityClassName" => self.priority_class(who, member),
            "serviceAccountName" => self.service_account(who, member),
            "resources" => self.pod_resources(who, member),
            _ => self.member(who, self.spec, member),
        }
    }

    /// `labels` or `annotations` of the template.
    pub fn metadata_map(&mut self, who: usize, map: NodeId) {
        let source = self.source(who);
        if source.children(map).next().is_none() {
            return;
        }
        let metadata = match self.tree().present(NodeId::ROOT, "metadata") {
            Some(metadata) => metadata,
            None => match self.draft.add_member(NodeId::ROOT, "metadata", Content::Object, Self::holder(who)) {
                Some(metadata) => {
                    self.draft.hold_only(metadata, 0);
                    metadata
                }
                None => return,
            },
        };
        let kind = if source.key(map) == "labels" { ConflictKind::Label } else { ConflictKind::Annotation };
        self.map(who, metadata, map, Kind::StringMap, kind);
    }

    /// Merges the members of an object, field by field.
    pub fn object(&mut self, who: usize, target: NodeId, object: NodeId) {
        let source = self.source(who);
        for member in source.children(object) {
            self.member(who, target, member);
        }
    }

    /// Merges one member into an object of the Pod.
    pub fn member(&mut self, who: usize, target: NodeId, member: NodeId) {
        let fragment = self.fragment(who);
        let source = fragment.tree();
        if matches!(source.view(member), View::Null) {
            return;
        }
        match fragment.field(member) {
            Some(field) => match field.kind {
                Kind::Struct(id) if !id.get().union && id != TypeId::LABEL_SELECTOR => self.structure(who, target, member, Some(field)),
                Kind::StringMap | Kind::QuantityMap => self.map(who, target, member, field.kind, ConflictKind::Field),
                Kind::List(list) if !list.keys.is_empty() => self.keyed_list(who, target, member, list.keys),
                _ => self.value(who, target, member, Some(field)),
            },
            None if matches!(source.view(member), View::Object) => self.structure(who, target, member, None),
            None => self.value(who, target, member, None),
        }
    }

    fn structure(&mut self, who: usize, target: NodeId, member: NodeId, field: Option<&'static Field>) {
        let source = self.source(who);
        match self.tree().present(target, source.key(member)) {
            Some(there) if matches!((self.tree().view(there), source.view(member)), (View::Object, View::Object)) => {
                if source.children(member).next().is_none() {
                    self.applied(who);
                }
                self.object(who, there, member);
            }
            _ => self.value(who, target, member, field),
        }
    }

    /// One value: scalars, atomic lists, unions, and whatever is not there yet.
    pub fn value(&mut self, who: usize, target: NodeId, member: NodeId, field: Option<&'static Field>) {
        let source = self.source(who);
        let key = source.key(member);
        match self.word(target, key, field) {
            Word::None(there) => {
                let holder = self.draft.absent_holder(target, key);
                if field.is_some_and(|field| self.equals_absent(field, target, who, member)) {
                    // An empty object that is merged field by field says nothing about any of them.
                    let merged = matches!(field.map(|field| field.kind), Some(Kind::Struct(id)) if !id.get().union);
                    if !(merged && source.children(member).next().is_none()) {
                        self.draft.hold_absent(target, key, Self::holder(who));
                    }
                    self.applied(who);
                } else if (holder != 0 && holder != Self::holder(who)) || silence_speaks(target, self.spec, key) {
                    let mut path = named_path(self.tree(), target);
                    push_token(&mut path, key);
                    if self.clash(who, ConflictKind::Field, path, there, holder) {
                        self.put(who, target, key, member);
                    }
                } else {
                    self.put(who, target, key, member);
                }
            }
            Word::Default(there) if !self.equal(field, there, who, member) => {
                let content = self.part(who, member);
                self.draft.replace(there, content, Self::holder(who));
                self.applied(who);
            }
            Word::Written(there) if !self.equal(field, there, who, member) => {
                let path = named_path(self.tree(), there);
                if self.clash(who, ConflictKind::Field, path, Some(there), self.tree().holder(there)) {
                    let content = self.part(who, member);
                    self.draft.replace(there, content, Self::holder(who));
                    self.applied(who);
                }
            }
            Word::Default(there) | Word::Written(there) => self.hold(who, there),
        }
    }

    fn put(&mut self, who: usize, target: NodeId, key: &'a str, member: NodeId) {
        let content = self.part(who, member);
        self.draft.add_member(target, key, content, Self::holder(who));
        self.applied(who);
    }

    fn word(&self, target: NodeId, key: &str, field: Option<&'static Field>) -> Word {
        let tree = self.tree();
        let Some(there) = tree.get(target, key) else { return Word::None(None) };
        if matches!(tree.view(there), View::Null) {
            return Word::None(Some(there));
        }
        if tree.holder(there) != 0 {
            return Word::Written(there);
        }
        let Some(field) = field else { return Word::Written(there) };
        if is_nobodys_word(tree, self.spec, target, field, there, self.subject.received) {
            return Word::Default(there);
        }
        if is_silence(field, tree, there) { Word::None(Some(there)) } else { Word::Written(there) }
    }

    /// Whether a field of the Pod and one of a preset say the same.
    pub fn equal(&self, field: Option<&'static Field>, there: NodeId, who: usize, member: NodeId) -> bool {
        let (tree, source) = (self.tree(), self.source(who));
        match (field, tree.parent(there), source.parent(member)) {
            (Some(field), Some(owner), Some(above)) => {
                let (left, right) = (Place { tree, node: there }, Place { tree: source, node: member });
                let (left_owner, right_owner) = (Place { tree, node: owner }, Place { tree: source, node: above });
                equality::fields_equal(field, left_owner, left, right_owner, right, self.host_network())
            }
            _ => tree.same(there, source, member),
        }
    }

    pub fn equals_absent(&self, field: &'static Field, owner: NodeId, who: usize, member: NodeId) -> bool {
        equality::equals_absent(
            field,
            Place { tree: self.tree(), node: owner },
            Place { tree: self.source(who), node: member },
            self.host_network(),
        )
    }

    /// A map, key by key.
    pub fn map(&mut self, who: usize, target: NodeId, member: NodeId, kind: Kind, conflict: ConflictKind) {
        let source = self.source(who);
        let key = source.key(member);
        if source.children(member).next().is_none() {
            self.applied(who);
            return;
        }
        let Some(there) = self.tree().present(target, key).filter(|node| matches!(self.tree().view(*node), View::Object)) else {
            let content = self.part(who, member);
            if let Some(map) = self.draft.add_member(target, key, content, Self::holder(who)) {
                self.draft.hold_only(map, 0);
            }
            self.applied(who);
            return;
        };
        for entry in source.children(member) {
            self.map_entry(who, there, entry, kind, conflict);
        }
    }

    /// One key of a map.
    pub fn map_entry(&mut self, who: usize, map: NodeId, entry: NodeId, kind: Kind, conflict: ConflictKind) {
        let source = self.source(who);
        let key = source.key(entry);
        let Some(there) = self.tree().get(map, key) else {
            let content = self.part(who, entry);
            self.draft.add_member(map, key, content, Self::holder(who));
            self.applied(who);
            return;
        };
        if self.equal_map_values(kind, there, who, entry) {
            self.hold(who, there);
            return;
        }
        let path = named_path(self.tree(), there);
        let holder = self.tree().holder(there);
        if conflict == ConflictKind::Label {
            // A ReplicaSet would lose a Pod whose label changed, and make another, for ever.
            return self.clash_kept(who, conflict, path, Some(there), holder);
        }
        if self.clash(who, conflict, path, Some(there), holder) {
            let content = self.part(who, entry);
            self.draft.replace(there, content, Self::holder(who));
            self.applied(who);
        }
    }

    /// Whether two values of a map are equal; quantities by value.
    pub fn equal_map_values(&self, kind: Kind, there: NodeId, who: usize, entry: NodeId) -> bool {
        let (left, right) = (self.tree().view(there), self.source(who).view(entry));
        if left == right {
            return true;
        }
        match kind {
            Kind::QuantityMap => match (Quantity::of(left), Quantity::of(right)) {
                // In requests and limits the API server rounds up to thousandths.
                (Some(left), Some(right)) => left.round_up_to_milli() == right.round_up_to_milli(),
                _ => left == right,
            },
            // The API server makes "" of a null in a map of strings.
            _ => left == right || (matches!(left, View::Null | View::String("")) && matches!(right, View::Null | View::String(""))),
        }
    }

    /// `priorityClassName`: the Priority plugin has filled in `priority` and `preemptionPolicy` of no class, or of another one. They are
    /// removed together with setting the class, and only then: else the plugin refuses the Pod, or leaves it without a priority.
    fn priority_class(&mut self, who: usize, member: NodeId) {
        let before = self.draft.operations().len();
        self.member(who, self.spec, member);
        if self.draft.operations().len() == before {
            return;
        }
        for filled_in in ["priority", "preemptionPolicy"] {
            if let Some(node) = self.tree().get(self.spec, filled_in) {
                self.draft.remove(node, Self::holder(who));
            }
        }
    }

    /// `serviceAccountName`: where only the old twin `serviceAccount` is given, that is the name.
    fn service_account(&mut self, who: usize, member: NodeId) {
        let source = self.source(who);
        let tree = self.tree();
        let stated = tree.get_str(self.spec, "serviceAccountName").is_some_and(|name| !name.is_empty());
        let twin = tree.get(self.spec, "serviceAccount").filter(|node| tree.str(*node).is_some_and(|name| !name.is_empty()));
        let Some(twin) = twin.filter(|_| !stated) else {
            let before = self.draft.operations().len();
            self.member(who, self.spec, member);
            if self.draft.operations().len() > before
                && let Some(twin) = twin
            {
                let content = self.part(who, member);
                self.draft.replace(twin, content, Self::holder(who));
            }
            return;
        };
        let name = tree.str(twin).unwrap_or_default();
        let wanted = source.str(member).unwrap_or_default();
        if name == wanted || (tree.holder(twin) == 0 && name == "default") {
            if name == wanted {
                self.hold(who, twin);
            } else {
                self.member(who, self.spec, member);
            }
            return;
        }
        let mut path = named_path(tree, self.spec);
        push_token(&mut path, "serviceAccountName");
        if self.clash(who, ConflictKind::Field, path, Some(twin), self.tree().holder(twin)) {
            self.put(who, self.spec, source.key(member), member);
        }
    }

    /// Adds part of a preset as a member that may miss some of its own.
    pub fn put_without(&mut self, who: usize, target: NodeId, member: NodeId, without: Vec<NodeId>) -> Option<NodeId> {
        let fragment = self.fragment(who);
        let part = Part { of: fragment, node: member, without: without.into_boxed_slice() };
        let node = self.draft.add_member(target, fragment.tree().key(member), Content::Part(part), Self::holder(who));
        self.applied(who);
        node
    }
}

/// Whether the absence of a field is somebody's word: that of `restartPolicy` is `Always`, offline too.
fn silence_speaks(target: NodeId, spec: NodeId, key: &str) -> bool {
    target == spec && key == "restartPolicy"
}

/// Whether what stands there means the same as if nothing did: a zero value that the API server drops, an empty list, map or object.
fn is_silence(field: &Field, tree: &Tree<'_>, node: NodeId) -> bool {
    match tree.view(node) {
        View::List => tree.children(node).next().is_none(),
        View::Object => !field.member && is_struct_or_map(field.kind) && tree.children(node).next().is_none(),
        View::Bool(false) | View::Int(0) | View::String("") => matches!(field.zero, Zero::Dropped | Zero::Default),
        _ => false,
    }
}

/// Label selectors are not meant: to them `{}` is everything.
fn is_struct_or_map(kind: Kind) -> bool {
    match kind {
        Kind::Struct(id) => id != TypeId::LABEL_SELECTOR,
        Kind::StringMap | Kind::QuantityMap => true,
        _ => false,
    }
}

/// Fields that the API server has filled in before it asks, and that count as not written where they hold that default (spec section 4,
/// "Defaults are nobody's word"; the values are in `kubernetes/pod-defaults.json`).
fn is_nobodys_word(tree: &Tree<'_>, spec: NodeId, target: NodeId, field: &Field, node: NodeId, received: &Tree<'_>) -> bool {
    let known = if target == spec {
        matches!(
            field.name,
            "serviceAccountName"
                | "dnsPolicy"
                | "schedulerName"
                | "terminationGracePeriodSeconds"
                | "enableServiceLinks"
                | "securityContext"
        )
    } else {
        matches!(field.name, "imagePullPolicy" | "terminationMessagePath" | "terminationMessagePolicy") && is_container(tree, spec, target)
    };
    if !known {
        return false;
    }
    match (field.name, field.default) {
        ("imagePullPolicy", _) => {
            // The API server went by the image that it was sent, which a preset may have replaced since.
            let containers = pod::spec(received).into_iter().flat_map(|spec| pod::containers(received, spec));
            let name = tree.get_str(target, "name");
            let author = containers.map(|(_, node)| node).find(|node| received.get_str(*node, "name") == name);
            let image = author.map_or_else(|| tree.get_str(target, "image"), |author| received.get_str(author, "image"));
            tree.str(node) == Some(equality::pull_policy(image.unwrap_or_default()))
        }
        (_, Some(Default::Str(default))) => tree.str(node) == Some(default),
        (_, Some(Default::Int(default))) => tree.int(node) == Some(default),
        (_, Some(Default::Bool(default))) => matches!(tree.view(node), View::Bool(value) if value == default),
        (_, Some(Default::Empty)) => matches!(tree.view(node), View::Object) && tree.children(node).next().is_none(),
        ("serviceAccountName", _) => tree.str(node) == Some("default"),
        ("enableServiceLinks", _) => matches!(tree.view(node), View::Bool(true)),
        _ => false,
    }
}

fn is_container(tree: &Tree<'_>, spec: NodeId, node: NodeId) -> bool {
    let list = tree.parent(node);
    list.is_some_and(|list| matches!(tree.key(list), "containers" | "initContainers") && tree.parent(list) == Some(spec))
}
