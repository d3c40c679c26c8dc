//! A Pod made up for two presets: labels that satisfy both selectors, a container of each name that they mention without an image, one for
//! the globs of their targets, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::json::quoted;
use crate::preset::{CONTAINER_LISTS, Preset};
use crate::selector::{Requirement, Selector};

/// Labels that satisfy all selectors, where there are some.
#[must_use]
pub fn labels<'s>(selectors: impl Iterator<Item = &'s Selector>) -> Option<BTreeMap<String, String>> {
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

/// The Pod, as JSON.
#[must_use]
pub fn pod(labels: &BTreeMap<String, String>, left: &Preset, right: &Preset) -> String {
    let given = |name: &str| left.gives_image(name) || right.gives_image(name);
    // One that is nobody's, and that both reach where that can be.
    let free = || ["app", "web", "main", "x"].into_iter().filter(|name| !given(name));
    let reached = |name: &&str| left.spec().targets.mean(name) && right.spec().targets.mean(name);
    let app = free().find(reached).or_else(|| free().next()).unwrap_or("check");
    let mut taken = BTreeSet::from([app.to_owned()]);
    let mut lists = [Vec::new(), vec![app.to_owned()]];
    for (list, names) in CONTAINER_LISTS.iter().zip(&mut lists) {
        for preset in [left, right] {
            let fragment = preset.fragment();
            for container in fragment.entries(&["template", "spec", list]) {
                let name = fragment.tree().get_str(container, "name").unwrap_or_default();
                if !given(name) && taken.insert(name.to_owned()) {
                    names.push(name.to_owned());
                }
            }
        }
    }
    // A container that each reaches with its env and mounts: the names that the globs stand for.
    for preset in [left, right] {
        let targets = &preset.spec().targets;
        for glob in &targets.include {
            let short = glob.replace('*', "").replace('?', "x");
            let long = glob.replace(['*', '?'], "x");
            let fits = |name: &&str| !name.is_empty() && !given(name) && targets.mean(name);
            let name = [short.trim_matches('-'), &long].into_iter().find(fits);
            if let Some(name) = name.filter(|name| taken.insert((*name).to_owned())) {
                lists[1].push(name.to_owned());
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
        let found: Vec<(String, String)> = labels([&one, &two].into_iter()).unwrap().into_iter().collect();
        assert!(one.matches(&found[..]) && two.matches(&found[..]), "{found:?}");
        let never = Selector { requirements: vec![Requirement::In("b".into(), strings(&["1"]))] };
        assert!(labels([&two, &never].into_iter()).is_none());
    }
}
