//! `metav1.LabelSelector`, compiled.
//!
//! Source of the rules: Kubernetes API reference, `LabelSelector`; `matchLabels` and `matchExpressions` must all hold, an empty selector
//! matches everything, and NotIn and DoesNotExist match objects that lack the key.

use std::fmt;

/// Labels that a selector can be asked about.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for [(String, String)] {
    fn label(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl Labels for [(&str, &str)] {
    fn label(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}

/// One term of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The label has one of these values. `matchLabels` is this with one value.
    In(String, Vec<String>),
    /// The label has none of these values, or is not there.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is not there.
    DoesNotExist(String),
}

impl Requirement {
    /// The label that the term is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Requirement::In(key, _) | Requirement::NotIn(key, _) | Requirement::Exists(key) | Requirement::DoesNotExist(key) => key,
        }
    }

    /// Whether the term holds.
    #[must_use]
    pub fn holds<L: Labels + ?Sized>(&self, labels: &L) -> bool {
        match self {
            Requirement::In(key, values) => labels.label(key).is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Requirement::NotIn(key, values) => labels.label(key).is_none_or(|value| values.iter().all(|refused| refused != value)),
            Requirement::Exists(key) => labels.label(key).is_some(),
            Requirement::DoesNotExist(key) => labels.label(key).is_none(),
        }
    }
}

impl fmt::Display for Requirement {
    /// As `kubectl get -l` takes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Requirement::In(key, values) if values.len() == 1 => write!(formatter, "{key}={}", values[0]),
            Requirement::In(key, values) => write!(formatter, "{key} in ({})", values.join(",")),
            Requirement::NotIn(key, values) if values.len() == 1 => write!(formatter, "{key}!={}", values[0]),
            Requirement::NotIn(key, values) => write!(formatter, "{key} notin ({})", values.join(",")),
            Requirement::Exists(key) => formatter.write_str(key),
            Requirement::DoesNotExist(key) => write!(formatter, "!{key}"),
        }
    }
}

/// A label selector: all terms must hold; none matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The terms, `matchLabels` first.
    pub requirements: Vec<Requirement>,
}

impl Selector {
    /// Whether all terms hold.
    #[must_use]
    pub fn matches<L: Labels + ?Sized>(&self, labels: &L) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels))
    }

    /// The terms that do not hold.
    pub fn failing<'s, L: Labels + ?Sized>(&'s self, labels: &'s L) -> impl Iterator<Item = &'s Requirement> {
        self.requirements.iter().filter(|requirement| !requirement.holds(labels))
    }

    /// Whether no object's labels can satisfy both selectors.
    #[must_use]
    pub fn excludes(&self, other: &Selector) -> bool {
        self.requirements.iter().any(|one| other.requirements.iter().any(|two| contradict(one, two)))
    }
}

fn contradict(one: &Requirement, two: &Requirement) -> bool {
    use Requirement::{DoesNotExist, Exists, In, NotIn};
    if one.key() != two.key() {
        return false;
    }
    match (one, two) {
        (In(_, left), In(_, right)) => left.iter().all(|value| !right.contains(value)),
        (In(_, wanted), NotIn(_, refused)) | (NotIn(_, refused), In(_, wanted)) => wanted.iter().all(|value| refused.contains(value)),
        (In(..) | Exists(_), DoesNotExist(_)) | (DoesNotExist(_), In(..) | Exists(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn the_four_operators_as_kubernetes_has_them() {
        let labels: &[(&str, &str)] = &[("app", "web"), ("empty", "")];
        let key = |key: &str| key.to_owned();
        for (requirement, holds) in [
            (Requirement::In(key("app"), strings(&["db", "web"])), true),
            (Requirement::In(key("app"), strings(&["db"])), false),
            (Requirement::In(key("none"), strings(&["web"])), false),
            (Requirement::In(key("empty"), strings(&[""])), true),
            (Requirement::NotIn(key("app"), strings(&["web"])), false),
            (Requirement::NotIn(key("app"), strings(&["db"])), true),
            (Requirement::NotIn(key("none"), strings(&["web"])), true),
            (Requirement::Exists(key("empty")), true),
            (Requirement::Exists(key("none")), false),
            (Requirement::DoesNotExist(key("none")), true),
            (Requirement::DoesNotExist(key("empty")), false),
        ] {
            assert_eq!(requirement.holds(labels), holds, "{requirement}");
        }
        assert!(Selector::default().matches(labels));
    }

    #[test]
    fn selectors_that_no_object_satisfies_both() {
        let selector = |requirement| Selector { requirements: vec![requirement] };
        let dev = selector(Requirement::In("env".into(), strings(&["dev"])));
        let prod = selector(Requirement::In("env".into(), strings(&["prod"])));
        assert!(dev.excludes(&prod));
        assert!(dev.excludes(&selector(Requirement::DoesNotExist("env".into()))));
        assert!(dev.excludes(&selector(Requirement::NotIn("env".into(), strings(&["dev", "test"])))));
        assert!(!dev.excludes(&selector(Requirement::Exists("env".into()))));
        assert!(!dev.excludes(&selector(Requirement::In("tier".into(), strings(&["x"])))));
    }
}
