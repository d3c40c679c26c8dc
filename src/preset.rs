//! What a preset is once it was read: [`PresetSpec`] as the document says it, [`Preset`] compiled for use.

mod set;

pub use set::PresetSet;

use crate::conflict::ConflictPolicy;
use crate::fragment::Fragment;
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

/// A preset compiled for use: its selectors, and the fragments that are copied into patches.
#[derive(Debug)]
pub struct Preset {
    spec: PresetSpec,
    fragment: Fragment,
    record: Box<str>,
    annotation: Box<str>,
    imaged: Box<[Box<str>]>,
}

/// The prefix of the annotations that record applied presets, as `PodPreset` had it.
pub const RECORD_PREFIX: &str = "podpreset.admission.kubernetes.io/";

impl Preset {
    /// Compiles a preset that was read and found good.
    #[must_use]
    pub fn compile(mut spec: PresetSpec) -> Preset {
        let fragment = Fragment::compile(&std::mem::take(&mut spec.body));
        let record = match &spec.key.scope {
            Scope::Cluster => format!("clusterpodpreset-{}", spec.key.name),
            Scope::Namespace(_) => format!("podpreset-{}", spec.key.name),
        };
        let imaged = CONTAINER_LISTS
            .iter()
            .flat_map(|list| fragment.entries(&["template", "spec", list]))
            .filter(|container| fragment.tree().present(*container, "image").is_some())
            .filter_map(|container| fragment.tree().get_str(container, "name").map(Box::from))
            .collect();
        Preset { fragment, annotation: format!("{RECORD_PREFIX}{record}").into(), record: record.into(), imaged, spec }
    }

    /// What the document said; its `body` has moved to the fragment.
    #[must_use]
    pub fn spec(&self) -> &PresetSpec {
        &self.spec
    }

    /// What it adds.
    #[must_use]
    pub fn fragment(&self) -> &Fragment {
        &self.fragment
    }

    /// The suffix of its record: `podpreset-NAME` or `clusterpodpreset-NAME`.
    #[must_use]
    pub fn record(&self) -> &str {
        &self.record
    }

    /// The annotation that records it on a Pod.
    #[must_use]
    pub fn annotation(&self) -> &str {
        &self.annotation
    }

    /// The version that stands in the record.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.spec.version
    }

    /// Whether it is computed and reported only.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.spec.mode == Mode::Shadow
    }

    /// Whether it belongs to the first layer: `optOut: Denied`.
    #[must_use]
    pub fn is_first_layer(&self) -> bool {
        self.spec.opt_out_denied
    }

    /// `NAMESPACE/podpreset-NAME`, or `clusterpodpreset-NAME`: unique in a cluster.
    #[must_use]
    pub fn qualified(&self) -> String {
        match &self.spec.key.scope {
            Scope::Cluster => self.record.to_string(),
            Scope::Namespace(namespace) => format!("{namespace}/{}", self.record),
        }
    }

    /// Whether its template gives an image to a container of this name.
    #[must_use]
    pub fn gives_image(&self, container: &str) -> bool {
        self.imaged.iter().any(|name| &**name == container)
    }
}

/// The lists of a Pod's containers that presets can reach.
pub const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

impl Targets {
    /// Whether a container of this name is meant: some glob of `include` fits and none of `exclude`.
    #[must_use]
    pub fn mean(&self, name: &str) -> bool {
        self.include.iter().any(|glob| glob_fits(glob, name)) && !self.exclude.iter().any(|glob| glob_fits(glob, name))
    }
}

/// Whether a glob fits a whole name: `*` is any text, `?` is one character.
#[must_use]
pub fn glob_fits(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut at, mut of) = (0, 0);
    let mut star = None;
    while of < name.len() {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(b'?') => {
                at += 1;
                of += 1;
            }
            Some(byte) if *byte == name[of] => {
                at += 1;
                of += 1;
            }
            _ => match star {
                Some((star_at, star_of)) => {
                    star = Some((star_at, star_of + 1));
                    at = star_at + 1;
                    of = star_of + 1;
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::glob_fits;

    #[test]
    fn globs_know_star_and_question_mark() {
        for (glob, name, fits) in [
            ("*", "", true),
            ("*", "app", true),
            ("istio-*", "istio-proxy", true),
            ("istio-*", "istio", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*-init", "db-init", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("app", "app2", false),
            ("", "", true),
            ("", "a", false),
            ("[a]", "a", false),
        ] {
            assert_eq!(glob_fits(glob, name), fits, "{glob} {name}");
        }
    }
}
