//! Two presets that can select the same Pod and would be in conflict there.
//!
//! Both are grafted onto a Pod that was made up for them: its labels satisfy both selectors, it has a container of each name that they
//! mention without an image and one more, and nothing else. A conflict in which one of them meets the other is reported.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::json::quoted;
use super::treat::namespace_labels;
use crate::conflict::{Conflict, Holder};
use crate::document::{Problem, Severity};
use crate::graft::{self, Subject};
use crate::preset::{CONTAINER_LISTS, Preset, PresetSet, Scope};
use crate::selector::{Requirement, Selector};
use crate::tree::{self, NodeId, Tree, View};

/// Warnings about all pairs, at the place of the later one in merge order.
#[must_use]
pub fn find(presets: &[Arc<Preset>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (left, right) in candidates(presets) {
        let (left, right) = (&presets[left], &presets[right]);
        if let Some((preset, other, conflict)) = clash(left, right) {
            let origin = &preset.spec().origin;
            let text = format!(
                "can select the same Pod as {} ({}:{}) and is then in conflict with it about {} {}: give them selectors that exclude each other, or make them say the same",
                other.spec().key,
                other.spec().origin.source,
                other.spec().origin.line,
                conflict.kind.word(),
                conflict.path
            );
            let path = "spec".to_owned();
            problems.push(Problem { severity: Severity::Warning, source: origin.source.clone(), line: origin.line, column: 1, path, text });
        }
    }
    problems
}

/// Pairs that have a word in common: a key of an entry, or a field. All others have nothing to be in conflict about.
fn candidates(presets: &[Arc<Preset>]) -> BTreeSet<(usize, usize)> {
    let mut by_word: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, preset) in presets.iter().enumerate().filter(|(_, preset)| !preset.is_shadow()) {
        let mut words = BTreeSet::new();
        let tree = preset.fragment().tree();
        if !tree.is_empty() {
            collect(tree, NodeId::ROOT, &mut words);
        }
        for word in words {
            by_word.entry(word).or_default().push(index);
        }
    }
    let mut pairs = BTreeSet::new();
    for sharers in by_word.values() {
        for (at, left) in sharers.iter().enumerate() {
            for right in &sharers[at + 1..] {
                if can_meet(&presets[*left], &presets[*right]) {
                    pairs.insert((*left, *right));
                }
            }
        }
    }
    pairs
}

/// What a preset could meet another at: names and paths of entries, and members of objects that are not entries.
fn collect(tree: &Tree<'_>, node: NodeId, words: &mut BTreeSet<String>) {
    const FRAMES: [&str; 10] =
        ["env", "envFrom", "volumeMounts", "volumes", "template", "metadata", "spec", "containers", "initContainers", "labels"];
    for child in tree.children(node) {
        let key = tree.key(child);
        match tree.view(child) {
            View::List | View::Object => {
                if !key.is_empty() && !FRAMES.contains(&key) {
                    words.insert(key.to_owned());
                }
                collect(tree, child, words);
            }
            View::String(value) if matches!(key, "name" | "mountPath" | "devicePath" | "ip") => {
                words.insert(value.trim_end_matches('/').to_owned());
            }
            View::Int(value) if matches!(key, "containerPort" | "hostPort") => {
                words.insert(value.to_string());
            }
            _ if matches!(key, "value" | "image" | "readOnly") => {}
            _ => {
                words.insert(key.to_owned());
            }
        }
    }
}

/// Whether there is a namespace where both apply and a Pod that both select, as far as pairs of terms tell.
fn can_meet(left: &Preset, right: &Preset) -> bool {
    let (left, right) = (left.spec(), right.spec());
    let namespaces = match (&left.key.scope, &right.key.scope) {
        (Scope::Namespace(left), Scope::Namespace(right)) => left == right,
        _ => true,
    };
    let excluded =
        |left: Option<&Selector>, right: Option<&Selector>| matches!((left, right), (Some(left), Some(right)) if left.excludes(right));
    namespaces && !left.selector.excludes(&right.selector) && !excluded(left.namespace_selector.as_ref(), right.namespace_selector.as_ref())
}

/// The first conflict of one with the other, the one in conflict first.
fn clash<'p>(left: &'p Arc<Preset>, right: &'p Arc<Preset>) -> Option<(&'p Preset, &'p Preset, Conflict)> {
    let labels = satisfy([&left.spec().selector, &right.spec().selector].into_iter())?;
    let selectors = [left, right].into_iter().filter_map(|preset| preset.spec().namespace_selector.as_ref());
    let mut of_namespace = satisfy(selectors)?;
    let own = [left, right].into_iter().find_map(|preset| match &preset.spec().key.scope {
        Scope::Namespace(namespace) => Some(namespace.clone()),
        Scope::Cluster => None,
    });
    let required = of_namespace.remove("kubernetes.io/metadata.name");
    let namespace = match (own, required) {
        (Some(own), Some(required)) if own != required => return None,
        (Some(namespace), _) | (None, Some(namespace)) => namespace,
        (None, None) => "default".to_owned(),
    };
    let given: Vec<(String, String)> = of_namespace.into_iter().collect();
    let pod = pod(&labels, left, right);
    let pod = tree::parse(&pod).ok()?;
    let subject = Subject {
        pod: &pod,
        namespace: &namespace,
        namespace_labels: &namespace_labels(&given, &namespace),
        extra_labels: &[],
        claims: &[],
        exempt: &[],
    };
    let grafted = graft::graft(&subject, &PresetSet::new(vec![Arc::clone(left), Arc::clone(right)])).ok()?;
    let conflict = grafted.conflicts.into_iter().find(|conflict| matches!(conflict.holder, Holder::Preset(_)))?;
    // Of a PodPreset and a ClusterPodPreset of one name the records differ.
    if conflict.preset == right.record() { Some((right, left, conflict)) } else { Some((left, right, conflict)) }
}

/// Labels that satisfy all selectors, where there are some.
fn satisfy<'s>(selectors: impl Iterator<Item = &'s Selector>) -> Option<BTreeMap<String, String>> {
    let terms: Vec<&Requirement> = selectors.flat_map(|selector| &selector.requirements).collect();
    let mut labels = BTreeMap::new();
    for term in &terms {
        let key = term.key();
        let fits = |value: &str| {
            terms.iter().filter(|other| other.key() == key).all(|other| other.holds(&[(key.to_owned(), value.to_owned())][..]))
        };
        let value = match term {
            Requirement::In(_, values) => values.iter().find(|value| fits(value))?.clone(),
            Requirement::Exists(_) if labels.contains_key(key) => continue,
            Requirement::Exists(_) => {
                // Any value will do that no other term refuses.
                let wanted = terms.iter().find_map(|other| match other {
                    Requirement::In(of, values) if of == key => values.iter().find(|value| fits(value)).cloned(),
                    _ => None,
                });
                wanted.or_else(|| (0..=terms.len()).map(|number| format!("x{number}")).find(|value| fits(value)))?
            }
            Requirement::NotIn(..) | Requirement::DoesNotExist(_) => continue,
        };
        labels.insert(key.to_owned(), value);
    }
    Some(labels)
}

/// A Pod for both.
fn pod(labels: &BTreeMap<String, String>, left: &Preset, right: &Preset) -> String {
    let given = |name: &str| left.gives_image(name) || right.gives_image(name);
    let mut taken = BTreeSet::new();
    let mut lists = [Vec::new(), vec!["app".to_owned()]];
    for (list, names) in CONTAINER_LISTS.iter().zip(&mut lists) {
        for preset in [left, right] {
            let fragment = preset.fragment();
            for container in fragment.entries(&["template", "spec", list]) {
                let name = fragment.tree().get_str(container, "name").unwrap_or_default();
                if !given(name) && name != "app" && taken.insert(name.to_owned()) {
                    names.push(name.to_owned());
                }
            }
        }
    }
    // A container that each reaches with its env and mounts: the names that the globs stand for.
    for preset in [left, right] {
        let targets = &preset.spec().targets;
        for glob in &targets.include {
            let name = glob.replace('*', "").replace('?', "x");
            let name = if name.is_empty() { "app".to_owned() } else { name.trim_matches('-').to_owned() };
            if !name.is_empty() && !given(&name) && name != "app" && targets.mean(&name) && taken.insert(name.clone()) {
                lists[1].push(name);
            }
        }
    }
    let containers = |names: &[String]| -> String {
        let each: Vec<String> =
            names.iter().map(|name| format!("{{\"name\":{},\"image\":\"registry.example/app:1\"}}", quoted(name))).collect();
        each.join(",")
    };
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"check\",\"labels\":{{{}}}}},\"spec\":{{\"initContainers\":[{}],\"containers\":[{}]}}}}",
        labels.join(","),
        containers(&lists[0]),
        containers(&lists[1])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_for_two_selectors() {
        let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let one = Selector {
            requirements: vec![
                Requirement::Exists("a".into()),
                Requirement::In("b".into(), strings(&["1", "2"])),
                Requirement::NotIn("c".into(), strings(&["x0"])),
            ],
        };
        let two = Selector {
            requirements: vec![
                Requirement::NotIn("b".into(), strings(&["1"])),
                Requirement::Exists("c".into()),
                Requirement::DoesNotExist("d".into()),
                Requirement::In("a".into(), strings(&["z"])),
            ],
        };
        let labels: Vec<(String, String)> = satisfy([&one, &two].into_iter()).unwrap().into_iter().collect();
        assert!(one.matches(&labels[..]) && two.matches(&labels[..]), "{labels:?}");
        let never = Selector { requirements: vec![Requirement::In("b".into(), strings(&["1"]))] };
        assert!(satisfy([&two, &never].into_iter()).is_none());
    }
}
