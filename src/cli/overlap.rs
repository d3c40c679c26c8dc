//! Two presets that can select the same Pod and would be in conflict there.
//!
//! Both are grafted onto a Pod that was made up for them. A conflict in which one of them meets the other is reported: as a warning where
//! they meet without anybody's doing, because whoever asks for one of them gets the other too; as a note where they meet only on a Pod that
//! carries the labels of both, which its author may never want.

pub mod specimen;
mod touch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::treat::namespace_labels;
use crate::conflict::{Conflict, Holder};
use crate::graft::{self, Subject};
use crate::preset::{Preset, PresetSet, Scope};
use crate::selector::{Requirement, Selector};
use crate::tree;

/// What one preset is told at most; the rest is only counted. So that a thousand presets which all say the same thing differently are
/// reported in a time and a length that somebody can wait for and read.
pub const MOST: usize = 5;

/// With how many others one preset is tried at most.
const TRIED: usize = 100;

/// One preset that meets another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The preset at which it is reported, the later one in merge order: its place in the list that was given.
    pub preset: usize,
    /// Whether nothing keeps them apart: a warning, else a note.
    pub certain: bool,
    /// What is told.
    pub text: String,
}

/// All that is to be told about pairs, in merge order of the later one. `namespace`: its labels, where all Pods are of namespaces with these;
/// presets that apply in others only are not tried.
#[must_use]
pub fn find(presets: &[Arc<Preset>], namespace: Option<&[(String, String)]>) -> Vec<Overlap> {
    let reaches = |preset: &Preset| match (namespace, &preset.spec().namespace_selector) {
        (Some(labels), Some(selector)) => selector.matches(labels),
        _ => true,
    };
    let mut order: Vec<usize> = (0..presets.len()).filter(|index| !presets[*index].is_shadow() && reaches(&presets[*index])).collect();
    let set = PresetSet::new(presets.to_vec());
    let rank: HashMap<String, usize> = set.presets().iter().enumerate().map(|(rank, preset)| (preset.qualified(), rank)).collect();
    order.sort_by_key(|index| rank.get(&presets[*index].qualified()));
    let ordered: Vec<&Arc<Preset>> = order.iter().map(|index| &presets[*index]).collect();
    let asked: Vec<BTreeSet<(bool, &str)>> = ordered.iter().map(|preset| asked_for(preset)).collect();

    let mut found = Vec::new();
    for (later, earlier) in candidates(&ordered).into_iter().enumerate() {
        let certain = |earlier: &usize| asked[later].is_subset(&asked[*earlier]) || asked[*earlier].is_subset(&asked[later]);
        let (mut others, apart): (Vec<usize>, Vec<usize>) = earlier.into_iter().partition(certain);
        others.extend(apart);
        let mut told = 0;
        for (at, other) in others.iter().enumerate() {
            if told == MOST || at == TRIED {
                let more = others.len() - at;
                let text = format!("touches the same places as {more} more presets, which were not tried");
                found.push(Overlap { preset: order[later], certain: false, text });
                break;
            }
            let Some(conflict) = clash(ordered[*other], ordered[later]) else { continue };
            told += 1;
            let certain = certain(other);
            found.push(Overlap { preset: order[later], certain, text: text(ordered[*other], &conflict, certain) });
        }
    }
    found
}

fn text(other: &Preset, conflict: &Conflict, certain: bool) -> String {
    let spec = other.spec();
    let (key, source, line) = (&spec.key, &spec.origin.source, spec.origin.line);
    let about = format!("{} {}", conflict.kind.word(), conflict.path);
    if certain {
        format!(
            "is in conflict with {key} ({source}:{line}) about {about} on Pods that both select: give them selectors that exclude each other, or make them say the same"
        )
    } else {
        format!("would be in conflict with {key} ({source}:{line}) about {about} on a Pod that asks for both")
    }
}

/// The labels that an object must carry to be selected, whatever their values: of the namespace (true) and of the Pod. Two presets that can
/// meet do so without anybody's doing where one asks for nothing that the other does not ask for.
fn asked_for(preset: &Preset) -> BTreeSet<(bool, &str)> {
    let spec = preset.spec();
    let mut asked: BTreeSet<(bool, &str)> = positive(&spec.selector).map(|key| (false, key)).collect();
    asked.extend(spec.namespace_selector.iter().flat_map(positive).map(|key| (true, key)));
    if matches!(spec.key.scope, Scope::Namespace(_)) {
        asked.insert((true, NAMESPACE));
    }
    asked
}

const NAMESPACE: &str = "kubernetes.io/metadata.name";

fn positive(selector: &Selector) -> impl Iterator<Item = &str> {
    let positive = selector.requirements.iter().filter(|term| matches!(term, Requirement::In(..) | Requirement::Exists(_)));
    positive.map(Requirement::key)
}

/// For each preset, those before it that touch a place in common, say something else there, and may select the same Pod.
fn candidates(presets: &[&Arc<Preset>]) -> Vec<BTreeSet<usize>> {
    /// Those before, by place and by what they say there; and those that touch it lightly.
    #[derive(Default)]
    struct Before {
        firmly: BTreeMap<String, Vec<usize>>,
        lightly: Vec<usize>,
    }
    let mut by_place: HashMap<String, Before> = HashMap::new();
    let mut all = Vec::new();
    for (later, preset) in presets.iter().enumerate() {
        let touched = touch::places(preset);
        let mut others: BTreeSet<usize> = BTreeSet::new();
        for (place, says) in touched.firm {
            let before = by_place.entry(place).or_default();
            let another = before.firmly.iter().filter(|(said, _)| says.len() > 1 || !says.contains(*said));
            others.extend(another.flat_map(|(_, who)| who));
            others.extend(&before.lightly);
            for one in says {
                before.firmly.entry(one).or_default().push(later);
            }
        }
        for place in touched.light {
            let before = by_place.entry(place).or_default();
            others.extend(before.firmly.values().flatten().filter(|earlier| **earlier != later));
            before.lightly.push(later);
        }
        others.retain(|earlier| can_meet(presets[*earlier], preset));
        all.push(others);
    }
    all
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

/// The first conflict of one with the other.
fn clash(left: &Arc<Preset>, right: &Arc<Preset>) -> Option<Conflict> {
    let labels = specimen::labels([&left.spec().selector, &right.spec().selector].into_iter())?;
    let selectors = [left, right].into_iter().filter_map(|preset| preset.spec().namespace_selector.as_ref());
    let mut of_namespace: BTreeMap<String, String> = specimen::labels(selectors.clone())?;
    let own = [left, right].into_iter().find_map(|preset| match &preset.spec().key.scope {
        Scope::Namespace(namespace) => Some(namespace.clone()),
        Scope::Cluster => None,
    });
    let namespace = own.or_else(|| of_namespace.remove(NAMESPACE)).unwrap_or_else(|| "default".to_owned());
    let given: Vec<(String, String)> = of_namespace.into_iter().collect();
    let namespace_labels = namespace_labels(&given, &namespace);
    if !selectors.into_iter().all(|selector| selector.matches(&namespace_labels[..])) {
        return None;
    }
    let pod = specimen::pod(&labels, left, right);
    let pod = tree::parse(&pod).ok()?;
    let subject =
        Subject { pod: &pod, namespace: &namespace, namespace_labels: &namespace_labels, extra_labels: &[], claims: &[], exempt: &[] };
    let grafted = graft::graft(&subject, &PresetSet::new(vec![Arc::clone(left), Arc::clone(right)])).ok()?;
    grafted.conflicts.into_iter().find(|conflict| matches!(conflict.holder, Holder::Preset(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{self, ReadOptions};

    fn presets(text: &str) -> Vec<Arc<Preset>> {
        let mut documents = document::read("x.yaml", text, &ReadOptions { default_namespace: "default" });
        document::refuse_twins(&mut documents);
        crate::cli::presets::compile(documents)
    }

    fn preset(name: &str, selector: &str, more: &str) -> String {
        format!(
            "---\napiVersion: podgraft.dev/v1beta1\nkind: ClusterPodPreset\nmetadata: {{name: {name}}}\nspec:\n  selector: {selector}\n  env: [{{name: A, value: {name}}}]\n{more}"
        )
    }

    #[test]
    fn whoever_gets_the_other_without_asking_is_warned() {
        let web = "{matchLabels: {app: web}}";
        for (one, two, certain) in [
            (web, web, Some(true)),
            (web, "{}", Some(true)),
            (web, "{matchLabels: {app: web, tier: edge}}", Some(true)),
            (web, "{matchExpressions: [{key: app, operator: In, values: [web, api]}]}", Some(true)),
            (web, "{matchExpressions: [{key: app, operator: Exists}]}", Some(true)),
            (web, "{matchExpressions: [{key: tier, operator: DoesNotExist}]}", Some(true)),
            (web, "{matchLabels: {tier: edge}}", Some(false)),
            ("{matchLabels: {app: web, tier: edge}}", "{matchLabels: {app: web, zone: a}}", Some(false)),
            (web, "{matchLabels: {app: api}}", None),
            (web, "{matchExpressions: [{key: app, operator: DoesNotExist}]}", None),
        ] {
            let found = find(&presets(&(preset("one", one, "") + &preset("two", two, ""))), None);
            assert_eq!(found.first().map(|overlap| overlap.certain), certain, "{one} {two}");
            assert!(found.len() < 2);
        }
        let team = |team: &str| format!("  namespaceSelector: {{matchLabels: {team}}}\n");
        for (one, two, certain) in [
            ("{team: a}", "{team: a}", Some(true)),
            ("{team: a}", "{}", Some(true)),
            ("{team: a}", "{env: prod}", Some(false)),
            ("{team: a}", "{team: b}", None),
        ] {
            let found = find(&presets(&(preset("one", web, &team(one)) + &preset("two", web, &team(two)))), None);
            assert_eq!(found.first().map(|overlap| overlap.certain), certain, "{one} {two}");
        }
    }

    #[test]
    fn in_given_namespaces_only_what_applies_there_is_tried() {
        let both = presets(
            &(preset("one", "{}", "  namespaceSelector: {matchLabels: {team: a}}\n")
                + &preset("two", "{}", "  namespaceSelector: {matchLabels: {tier: x}}\n")),
        );
        let of = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(find(&both, None).len(), 1);
        assert_eq!(find(&both, Some(&[of("team", "a"), of("tier", "x")])).len(), 1);
        assert_eq!(find(&both, Some(&[of("team", "a")])).len(), 0);
    }

    #[test]
    fn a_thousand_that_all_differ_are_told_in_few_lines() {
        let text: String = (0..1000).map(|number| preset(&format!("p{number}"), "{}", "")).collect();
        let found = find(&presets(&text), None);
        assert!(found.len() <= 1000 * (MOST + 1), "{}", found.len());
        assert!(found.iter().any(|overlap| overlap.text.contains("994 more presets")));
    }

    /// No pair that is in conflict is missed because the places that the two touch are thought to be others.
    #[test]
    fn every_pair_in_conflict_touches_a_place_in_common() {
        let mut clashes = 0;
        for folder in std::fs::read_dir("tests/cases").unwrap() {
            let text = std::fs::read_to_string(folder.unwrap().path().join("presets.yaml")).unwrap();
            let presets = presets(&text);
            let all: Vec<&Arc<Preset>> = presets.iter().collect();
            let candidates = candidates(&all);
            for (later, right) in all.iter().enumerate() {
                for (earlier, left) in all[..later].iter().enumerate() {
                    if !can_meet(left, right) || candidates[later].contains(&earlier) {
                        continue;
                    }
                    let conflict = clash(left, right);
                    clashes += 1;
                    assert!(conflict.is_none(), "{text}\n{conflict:?}");
                }
            }
        }
        assert!(clashes > 100, "{clashes} pairs without a place in common");
    }
}
