//! The preset's own structure as a table: which fields there are, and what they hold. The reader refuses what is not in it, and the custom
//! resource definitions are written from it.

/// A field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Who has it.
    pub of: Of,
    /// What it is for: a sentence for `kubectl explain`.
    pub about: &'static str,
}

/// Which kinds have a field of `spec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Both of ours, and the PodPreset of Kubernetes up to 1.19.
    All,
    /// Both of ours.
    Ours,
    /// A ClusterPodPreset.
    Cluster,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A label selector.
    Selector,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A list of strings.
    Texts,
    /// A word, or an object with one of the names `before` and `after`.
    Place,
    /// An object with these fields.
    Fields(&'static [Field]),
    /// A list of Pod-shaped entries, which pass through as they are.
    PodList,
    /// A Pod-shaped object, which passes through as it is.
    PodShaped,
}

/// The fields of a document.
pub const DOCUMENT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// The fields of `spec`.
pub const SPEC: [Field; 13] = [
    Field {
        name: "conflictPolicy",
        shape: Shape::Words(&["Abort", "Skip", "KeepPod", "Override", "Reject"]),
        of: Of::Ours,
        about: "What happens where the Pod or another preset has something different. Abort (the default): no preset is applied to this Pod. Skip: this preset is left out. KeepPod: the entries in conflict are left out. Override: this preset's value replaces the Pod's. Reject: the Pod is refused.",
    },
    Field { name: "env", shape: Shape::PodList, of: Of::All, about: "Environment variables (EnvVar) for every targeted container." },
    Field {
        name: "envFrom",
        shape: Shape::PodList,
        of: Of::All,
        about: "Sources of environment variables (EnvFromSource) for every targeted container.",
    },
    Field {
        name: "mode",
        shape: Shape::Words(&["Enforce", "Shadow"]),
        of: Of::Ours,
        about: "Enforce (the default), or Shadow: what the preset would do is computed and reported, and no Pod is changed.",
    },
    Field {
        name: "namespaceSelector",
        shape: Shape::Selector,
        of: Of::Cluster,
        about: "Over the labels of the Pod's namespace. Absent: every namespace that is not exempt.",
    },
    Field {
        name: "optOut",
        shape: Shape::Words(&["Allowed", "Denied"]),
        of: Of::Cluster,
        about: "Denied: the exclude annotations and the records on the Pod do not stop this preset. Default Allowed.",
    },
    Field { name: "placement", shape: Shape::Fields(&PLACEMENT), of: Of::Ours, about: "Where added containers and variables go." },
    Field { name: "priority", shape: Shape::Integer, of: Of::Ours, about: "Higher is merged earlier. Default 0." },
    Field { name: "selector", shape: Shape::Selector, of: Of::All, about: "Over the Pod's labels. {} selects every Pod." },
    Field {
        name: "targets",
        shape: Shape::Fields(&TARGETS),
        of: Of::Ours,
        about: "Which containers env, envFrom and volumeMounts reach. Default: all of them.",
    },
    Field {
        name: "template",
        shape: Shape::PodShaped,
        of: Of::Ours,
        about: "A partial Pod, merged field by field. A container with an image that the Pod does not have is added: a sidecar.",
    },
    Field { name: "volumeMounts", shape: Shape::PodList, of: Of::All, about: "Mounts (VolumeMount) for every targeted container." },
    Field { name: "volumes", shape: Shape::PodList, of: Of::All, about: "Volumes (Volume) for the Pod." },
];

/// The fields of `spec.targets`.
pub const TARGETS: [Field; 4] = [
    ours("include", Shape::Texts, "Globs over container names. Default: *"),
    ours("exclude", Shape::Texts, "Globs that win over include."),
    ours("initContainers", Shape::Boolean, "Also init containers. Default true."),
    ours("added", Shape::Boolean, "Also containers that other presets add. Default true."),
];

/// The fields of `spec.placement`.
pub const PLACEMENT: [Field; 3] = [
    ours("initContainers", Shape::Place, "First, Last (the default), {before: NAME} or {after: NAME}."),
    ours("containers", Shape::Place, "First, Last (the default), {before: NAME} or {after: NAME}."),
    ours(
        "env",
        Shape::Words(&["First", "Last"]),
        "First: before a container's own variables, so that they can use $(NAME) of the preset's. Default Last.",
    ),
];

/// The fields of a label selector, and of its expressions.
pub const SELECTOR: [&str; 2] = ["matchLabels", "matchExpressions"];
/// See [`SELECTOR`].
pub const EXPRESSION: [&str; 3] = ["key", "operator", "values"];
/// The operators of a label selector.
pub const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

const fn ours(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, shape, of: Of::Ours, about }
}

/// The names of fields.
#[must_use]
pub fn names(fields: &[Field]) -> Vec<&'static str> {
    fields.iter().map(|field| field.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{ReadOptions, read};

    /// The first error of a ClusterPodPreset with this beside its selector.
    fn error(text: &str) -> Option<String> {
        let document = format!(
            "apiVersion: podgraft.dev/v1beta1\nkind: ClusterPodPreset\nmetadata: {{name: a}}\nspec: {{selector: {{}}, env: [{{name: A}}], {text}}}\n"
        );
        let mut documents = read("a.yaml", &document, &ReadOptions { default_namespace: "default" });
        let document = documents.remove(0);
        document.problems.into_iter().map(|problem| problem.text).next()
    }

    #[test]
    fn the_reader_takes_the_words_of_the_table_and_no_others() {
        let fields = SPEC.iter().map(|field| (String::new(), *field)).chain(PLACEMENT.iter().map(|field| ("placement".to_owned(), *field)));
        let mut seen = 0;
        for (parent, field) in fields {
            let Shape::Words(words) = field.shape else { continue };
            let text = |word: &str| {
                if parent.is_empty() { format!("{}: {word}", field.name) } else { format!("{parent}: {{{}: {word}}}", field.name) }
            };
            for word in words {
                let said = error(&text(word)).filter(|said| said.contains("must be one of"));
                assert_eq!(said, None, "{} {word}", field.name);
            }
            let said = error(&text("Otherwise")).unwrap();
            assert_eq!(said, format!("must be one of {}", words.join(", ")), "{}", field.name);
            seen += 1;
        }
        assert_eq!(seen, 4);
    }
}
