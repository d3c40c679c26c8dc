//! A conflict is a value: what a preset asked for, who holds the place, and of which kind the place is.

use std::fmt;

/// What happens to a preset that meets something different from what it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConflictPolicy {
    /// No preset at all is applied, as `PodPreset` did; in the first layer this preset alone is left out.
    #[default]
    Abort,
    /// This preset is left out as if it did not exist.
    Skip,
    /// The entries in conflict are left out, the rest applies.
    KeepPod,
    /// The preset's value replaces the Pod's; what another preset holds is kept.
    Override,
    /// The Pod is refused.
    Reject,
}

impl ConflictPolicy {
    /// All policies, in the order of the documentation.
    pub const ALL: [ConflictPolicy; 5] =
        [ConflictPolicy::Abort, ConflictPolicy::Skip, ConflictPolicy::KeepPod, ConflictPolicy::Override, ConflictPolicy::Reject];

    /// The word that stands in a preset and in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ConflictPolicy::Abort => "Abort",
            ConflictPolicy::Skip => "Skip",
            ConflictPolicy::KeepPod => "KeepPod",
            ConflictPolicy::Override => "Override",
            ConflictPolicy::Reject => "Reject",
        }
    }
}

/// What kind of place a conflict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConflictKind {
    /// A volume of that name that says something else.
    Volume,
    /// A container of that name in another list.
    Container,
    /// An environment variable.
    Env,
    /// A source of environment variables.
    EnvFrom,
    /// A mount or device path, or a volume that is device and mount.
    Mount,
    /// A container port, its name, or a host port.
    Port,
    /// A label of the Pod.
    Label,
    /// An annotation of the Pod.
    Annotation,
    /// A request, a limit, or a sum of them.
    Resources,
    /// Any other field.
    Field,
}

impl ConflictKind {
    /// All kinds.
    pub const ALL: [ConflictKind; 10] = [
        ConflictKind::Volume,
        ConflictKind::Container,
        ConflictKind::Env,
        ConflictKind::EnvFrom,
        ConflictKind::Mount,
        ConflictKind::Port,
        ConflictKind::Label,
        ConflictKind::Annotation,
        ConflictKind::Resources,
        ConflictKind::Field,
    ];

    /// The word that stands in metrics and in `explain`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ConflictKind::Volume => "volume",
            ConflictKind::Container => "container",
            ConflictKind::Env => "env",
            ConflictKind::EnvFrom => "envFrom",
            ConflictKind::Mount => "mount",
            ConflictKind::Port => "port",
            ConflictKind::Label => "label",
            ConflictKind::Annotation => "annotation",
            ConflictKind::Resources => "resources",
            ConflictKind::Field => "field",
        }
    }
}

/// Who holds what a preset met.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// The Pod, as it was received.
    Pod,
    /// Another preset, by the suffix of its record (`podpreset-NAME`).
    Preset(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Pod => formatter.write_str("Pod"),
            Holder::Preset(record) => formatter.write_str(record),
        }
    }
}

/// One place where a preset asks for something else than what is there. What the values are is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conflict {
    /// The suffix of the record of the preset in conflict (`podpreset-NAME`).
    pub preset: String,
    /// A JSON Pointer in which entries of lists stand with their names.
    pub path: String,
    /// Who holds the place.
    pub holder: Holder,
    /// The kind of place.
    pub kind: ConflictKind,
    /// What the preset in conflict says about it.
    pub policy: ConflictPolicy,
    /// Whether the preset's value took the place of the Pod's (`Override`).
    pub replaced: bool,
    /// Whether the preset is a Shadow: its conflicts are reported and have no effect.
    pub shadow: bool,
}
