//! What a preset is once it was read: [`PresetSpec`] as the document says it, [`Preset`] compiled for use.

use crate::conflict::ConflictPolicy;
use crate::selector::Selector;
use crate::tree::Tree;

/// Where a preset applies.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// A `ClusterPodPreset`.
    Cluster,
    /// A `PodPreset` of this namespace.
    Namespace(String),
}

/// What makes a preset one and the same: kind with namespace, and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PresetKey {
    /// Kind and namespace.
    pub scope: Scope,
    /// `metadata.name`.
    pub name: String,
}

impl std::fmt::Display for PresetKey {
    /// `PodPreset shop/logs` or `ClusterPodPreset logs`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.scope {
            Scope::Cluster => write!(formatter, "ClusterPodPreset {}", self.name),
            Scope::Namespace(namespace) => write!(formatter, "PodPreset {namespace}/{}", self.name),
        }
    }
}

/// Whether a preset changes Pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is computed and reported, never patched.
    Shadow,
}

/// Which containers `env`, `envFrom` and `volumeMounts` reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Globs over container names (`*` and `?`); default `["*"]`.
    pub include: Vec<String>,
    /// Globs that win over `include`.
    pub exclude: Vec<String>,
    /// Also init containers; default true.
    pub init_containers: bool,
    /// Also containers that other presets add; default true.
    pub added: bool,
}

impl Default for Targets {
    fn default() -> Self {
        Targets { include: vec!["*".to_owned()], exclude: Vec::new(), init_containers: true, added: true }
    }
}

/// Where an added container goes in its list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// To the front.
    First,
    /// To the end.
    #[default]
    Last,
    /// Right before the container of this name; where there is none, as `First`.
    Before(String),
    /// Right after the container of this name; where there is none, as `Last`.
    After(String),
}

/// `spec.placement`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Where added init containers go.
    pub init_containers: Place,
    /// Where added containers go.
    pub containers: Place,
    /// Whether `env` goes before a container's own variables.
    pub env_first: bool,
}

/// A preset as its document says it, checked. Past this point a preset that is not valid cannot exist.
#[derive(Clone, Debug)]
pub struct PresetSpec {
    /// Kind, namespace and name.
    pub key: PresetKey,
    /// Higher is merged earlier.
    pub priority: i64,
    /// Enforce or Shadow.
    pub mode: Mode,
    /// What happens in a conflict.
    pub conflict_policy: ConflictPolicy,
    /// `optOut: Denied`.
    pub opt_out_denied: bool,
    /// Over the Pod's labels.
    pub selector: Selector,
    /// Over the namespace's labels; `ClusterPodPreset` only, `None`: every namespace.
    pub namespace_selector: Option<Selector>,
    /// Which containers the four classic fields reach.
    pub targets: Targets,
    /// Where added things go.
    pub placement: Placement,
    /// An object with those of `env`, `envFrom`, `volumeMounts`, `volumes` and `template` that the document has, as it has them.
    pub body: Tree<'static>,
    /// The first 12 hex digits of the SHA-256 of `{kind, spec}`.
    pub version: String,
    /// Where it was read: file or object, and the line of the document's first key.
    pub origin: Origin,
}

/// Where a document was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// A file's path, or `configmap NAMESPACE/NAME key KEY`.
    pub source: String,
    /// The line, counted from 1.
    pub line: usize,
}
