//! What Kubernetes knows of a Pod, by type: merge keys, unions, defaults, and what becomes of a zero value.
//!
//! The table is `kubernetes/pod-schema.json`, recorded from real API servers and compiled in by `build.rs`. A path is a walk:
//! `PodSpec.containers` is a list of `Container`, `Container.env` one of `EnvVar`, and so on.

mod words;

pub use words::words;

/// A type of the API, `Container` say.
#[derive(Debug, PartialEq, Eq)]
pub struct Type {
    /// Its name in the API reference.
    pub name: &'static str,
    /// Some of its fields exclude each other.
    pub union: bool,
    /// Server-side apply replaces it whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Its fields, sorted by name.
    pub fields: &'static [Field],
}

/// A field of a type.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// The API's schema requires it.
    pub required: bool,
    /// What the API server writes where it is absent.
    pub default: Option<Default>,
    /// What the API server makes of its zero value.
    pub zero: Zero,
    /// One of the members of its type's union whose presence alone says something: `emptyDir` of a volume, `exec` of a probe.
    pub member: bool,
    /// Versions in which its feature is off: a webhook still sees it, then it is dropped without a word.
    pub off: &'static [&'static str],
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boolean.
    Bool,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A text.
    String,
    /// A `resource.Quantity`: text or number.
    Quantity,
    /// A number or a name, as ports in probes are.
    IntOrString,
    /// Nothing that a preset touches: `Time`, `FieldsV1`, `PodStatus`.
    Opaque,
    /// A map of texts.
    StringMap,
    /// A map of quantities: limits, requests, overhead.
    QuantityMap,
    /// An object with fields.
    Struct(TypeId),
    /// A list.
    List(&'static List),
}

/// A list's entries and how they are told apart.
#[derive(Debug, PartialEq, Eq)]
pub struct List {
    /// What an entry is.
    pub of: Kind,
    /// `x-kubernetes-list-type`.
    pub merge: Merge,
    /// `x-kubernetes-list-map-keys`; empty where the list is no map.
    pub keys: &'static [&'static str],
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Entries have keys.
    Map,
    /// Entries are told apart by their value, and order says nothing.
    Set,
    /// The list is one value.
    Atomic,
}

/// What the API server writes where a field is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// The server itself writes null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Str(&'static str),
    /// An empty object.
    Empty,
    /// It depends on something else in the object (`kubernetes/pod-defaults.json`); [`crate::equality`] computes it.
    Computed,
}

/// What the API server makes of a stated `false`, `0`, `""`, `[]`, `{}`. Where it depends on the place, the first of kept, default, dropped,
/// refused that occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    /// Gone: absent and zero are one.
    Dropped,
    /// As if absent, and the default is there.
    Default,
    /// It comes back: another word than silence.
    Kept,
    /// Not valid.
    Refused,
}

/// Names a type of the table. There is a constant for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(u16);

include!(concat!(env!("OUT_DIR"), "/schema.rs"));

impl TypeId {
    /// The type.
    #[must_use]
    pub fn get(self) -> &'static Type {
        // Only build.rs makes these, from the places in the table.
        &TYPES[usize::from(self.0)]
    }

    /// The type of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<TypeId> {
        let index = TYPES.binary_search_by(|probe| probe.name.cmp(name)).ok()?;
        u16::try_from(index).ok().map(TypeId)
    }

    /// All types, in the order of their names.
    pub fn all() -> impl Iterator<Item = TypeId> {
        (0_u16..).map(TypeId).take(TYPES.len())
    }
}

impl Type {
    /// The field of this name, if there is one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        let index = self.fields.binary_search_by(|probe| probe.name.cmp(name)).ok()?;
        self.fields.get(index)
    }

    /// The field that a name which is no field was probably meant to be.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        nearest(name, self.fields.iter().map(|field| field.name))
    }
}

/// The word among `candidates` that `name` was probably meant to be: one that differs in case only, else the first with the fewest edits,
/// at most one in three letters.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let name = name.to_lowercase();
    let length = name.chars().count();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let lower = candidate.to_lowercase();
        let edits = edits(&name, &lower);
        let allowed = length.max(lower.chars().count()) / 3;
        if edits <= allowed && best.is_none_or(|(fewest, _)| edits < fewest) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, with two letters exchanged counted as one edit.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (row, letter) in left.chars().enumerate() {
        let mut current = Vec::with_capacity(right.len() + 1);
        current.push(row + 1);
        for (column, other) in right.iter().enumerate() {
            let substitute = above[column] + usize::from(letter != *other);
            let mut fewest = substitute.min(above[column + 1] + 1).min(current[column] + 1);
            if column > 0 && last == Some(*other) && right[column - 1] == letter {
                fewest = fewest.min(before[column - 1] + 1);
            }
            current.push(fewest);
        }
        last = Some(letter);
        before = above;
        above = current;
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(of: &str, name: &str) -> &'static Field {
        TypeId::named(of).unwrap().get().field(name).unwrap()
    }

    #[test]
    fn every_type_and_field_of_the_recorded_table_is_there() {
        let recorded: serde_json::Value = serde_json::from_str(include_str!("../kubernetes/pod-schema.json")).unwrap();
        let types = recorded["types"].as_object().unwrap();
        assert_eq!(types.len(), TypeId::all().count());
        for (name, row) in types {
            let id = TypeId::named(name).unwrap();
            assert_eq!(id.get().name, name);
            assert_eq!(id.get().union, row.get("union").is_some(), "{name}");
            assert_eq!(id.get().atomic, row.get("atomic").is_some(), "{name}");
            let fields = row["fields"].as_object().unwrap();
            assert_eq!(fields.len(), id.get().fields.len(), "{name}");
            for (key, row) in fields {
                let field = field(name, key);
                assert_eq!(field.name, key);
                assert_eq!(field.required, row.get("required").is_some(), "{name}.{key}");
                assert_eq!(matches!(field.kind, Kind::List(_)), row.get("list").is_some(), "{name}.{key}");
                if name != "EphemeralContainer" {
                    assert_eq!(field.default.is_some(), row.get("default").is_some(), "{name}.{key}");
                }
            }
        }
    }

    #[test]
    fn constants_name_their_types() {
        for (id, name) in [
            (TypeId::POD_SPEC, "PodSpec"),
            (TypeId::POD_DNS_CONFIG, "PodDNSConfig"),
            (TypeId::AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE, "AWSElasticBlockStoreVolumeSource"),
            (TypeId::SE_LINUX_OPTIONS, "SELinuxOptions"),
            (TypeId::POD_OS, "PodOS"),
            (TypeId::LOCAL_OBJECT_REFERENCE, "LocalObjectReference"),
            (TypeId::LIFECYCLE, "Lifecycle"),
        ] {
            assert_eq!(id.get().name, name);
            assert_eq!(TypeId::named(name), Some(id));
        }
        assert_eq!(TypeId::named("Nothing"), None);
    }

    #[test]
    fn rows_are_read_as_they_are_meant() {
        let Kind::List(ports) = field("Container", "ports").kind else { panic!() };
        assert_eq!(*ports, List { of: Kind::Struct(TypeId::CONTAINER_PORT), merge: Merge::Map, keys: &["containerPort", "protocol"] });
        assert_eq!(field("PodSpec", "dnsPolicy").default, Some(Default::Str("ClusterFirst")));
        assert_eq!(field("Container", "imagePullPolicy").default, Some(Default::Computed));
        assert_eq!(field("EphemeralContainer", "imagePullPolicy").default, Some(Default::Computed));
        assert_eq!(field("EphemeralContainer", "stdin").zero, Zero::Dropped);
        assert_eq!(field("ProjectedVolumeSource", "sources").default, Some(Default::Null));
        assert_eq!(field("SecretVolumeSource", "defaultMode").zero, Zero::Kept);
        // Refused by one version and dropped by the other; kept in one place and refused in the other.
        assert_eq!(field("Container", "restartPolicy").zero, Zero::Dropped);
        assert_eq!(field("Toleration", "tolerationSeconds").zero, Zero::Kept);
        assert_eq!(field("Volume", "image").off, ["1.34.4"]);
        let members = |name: &str| TypeId::named(name).unwrap().get().fields.iter().filter(|field| field.member).count();
        assert_eq!(members("Volume"), TypeId::VOLUME.get().fields.len() - 1);
        assert_eq!((members("EnvVar"), members("Probe"), members("SeccompProfile"), members("Container")), (1, 4, 0, 0));
    }

    #[test]
    fn the_nearest_field_is_one_that_was_probably_meant() {
        for (of, name, meant) in [
            (TypeId::CONTAINER, "volumemounts", Some("volumeMounts")),
            (TypeId::CONTAINER, "volumeMount", Some("volumeMounts")),
            (TypeId::CONTAINER, "imagePullPolcy", Some("imagePullPolicy")),
            (TypeId::CONTAINER, "comamnd", Some("command")),
            (TypeId::ENV_VAR, "val", None),
            (TypeId::ENV_VAR, "vaule", Some("value")),
            (TypeId::VOLUME, "configmap", Some("configMap")),
            (TypeId::VOLUME, "somethingElse", None),
            (TypeId::VOLUME, "", None),
        ] {
            assert_eq!(of.get().nearest(name), meant, "{name}");
        }
        assert_eq!(nearest("podpreset", ["PodPreset", "ClusterPodPreset"]), Some("PodPreset"));
    }
}
