use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::document::{ReadOptions, Reading, read};
use crate::preset::Preset;
use crate::tree;

thread_local! {
    static FAULTS: Cell<u32> = const { Cell::new(0) };
}

/// Whether the check that asks has to fail, because a test ordered it.
pub(super) fn a_fault_is_ordered() -> bool {
    FAULTS.with(|faults| {
        let left = faults.get();
        faults.set(left.saturating_sub(1));
        left > 0
    })
}

const FIRST: &str = "{apiVersion: podgraft.dev/v1beta1, kind: ClusterPodPreset, metadata: {name: first}, \
    spec: {selector: {}, optOut: Denied, env: [{name: A, value: a}]}}\n---\n";
const SECOND: &str = "{apiVersion: podgraft.dev/v1beta1, kind: PodPreset, metadata: {name: second}, \
    spec: {selector: {}, env: [{name: B, value: b}]}}\n---\n";

fn compiled(presets: &str) -> PresetSet {
    let documents = read("presets", presets, &ReadOptions { default_namespace: "default" });
    let compiled = documents.into_iter().filter_map(|document| match document.reading {
        Reading::Preset(spec) => Some(Arc::new(Preset::compile(*spec))),
        _ => None,
    });
    PresetSet::new(compiled.collect())
}

fn pod() -> Tree<'static> {
    tree::parse(r#"{"metadata":{},"spec":{"containers":[{"name":"app","image":"i"}]}}"#).unwrap()
}

fn case<'c, 'a>(pod: &'c Tree<'a>) -> Case<'c, 'a> {
    Case {
        pod,
        namespace: "default",
        namespace_labels: &|| Some(&[]),
        exempt: &[],
        extra_labels: &[],
        claims: &[],
        text_bytes: pod.length(NodeId::ROOT),
    }
}

/// Decides with so many faults in the checks that come first: what is applied, why not all, and how many faults are reported.
fn decided(presets: &str, faults: u32) -> Result<(Vec<String>, Option<Skip>, usize), Undecided> {
    let (presets, pod) = (compiled(presets), pod());
    FAULTS.set(faults);
    let decision = decide(&case(&pod), &presets);
    FAULTS.set(0);
    let decision = decision?;
    let applied =
        decision.grafting.iter().flat_map(|grafting| grafting.applied.iter().map(|who| grafting.members[*who].preset.record().to_owned()));
    assert_eq!(decision.patch().is_some(), applied.clone().count() > 0);
    Ok((applied.collect(), decision.skip, decision.faults.len()))
}

fn choice<'c, 'a>(case: &Case<'c, 'a>, set: &'a PresetSet, left_out: &[&str]) -> Choice<'c, 'a> {
    Choice {
        set,
        namespace: case.namespace,
        namespace_labels: case.namespace_labels,
        extra_labels: case.extra_labels,
        only_first_layer: false,
        left_out: left_out.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn a_merge_that_would_go_on_when_it_is_asked_again_is_not_sent() {
    const REFUSES: &str = "{apiVersion: podgraft.dev/v1beta1, kind: PodPreset, metadata: {name: second}, \
        spec: {selector: {}, conflictPolicy: Reject, template: {spec: {containers: [{name: app, image: other}]}}}}\n---\n";
    for (second, would) in [(SECOND, "add /spec/containers/0/env/-"), (REFUSES, "refuse the Pod")] {
        let (presets, pod) = (compiled(&(FIRST.to_owned() + second)), pod());
        let case = case(&pod);
        let unfinished = choice(&case, &presets, &["second"]);
        let grafting = graft(&case, &unfinished).unwrap();
        assert!(judge(&case, &unfinished, &grafting).is_ok());
        let Err(Trouble::Fault(fault)) = judge(&case, &choice(&case, &presets, &[]), &grafting) else { panic!("{would}: not seen") };
        assert_eq!(fault, Fault::NotSettled(would.to_owned()));
    }
}

#[test]
fn operations_that_do_not_give_what_the_merge_gave_are_not_sent() {
    let (presets, pod) = (compiled(FIRST), pod());
    let case = case(&pod);
    let choice = choice(&case, &presets, &[]);
    let mut grafting = graft(&case, &choice).unwrap();
    grafting.draft.operations_mut().pop();
    assert!(matches!(judge(&case, &choice, &grafting), Err(Trouble::Fault(Fault::Differs))));
}

#[test]
fn a_failed_self_check_leaves_the_first_layer_alone_or_nothing() {
    let both = FIRST.to_owned() + SECOND;
    let (first, second) = ("clusterpodpreset-first".to_owned(), "podpreset-second".to_owned());
    assert_eq!(decided(&both, 0).unwrap(), (vec![first.clone(), second], None, 0));
    assert_eq!(decided(&both, 1).unwrap(), (vec![first], Some(Skip::SelfCheck), 1));
    assert_eq!(decided(SECOND, 1).unwrap(), (vec![], Some(Skip::SelfCheck), 1));
}

#[test]
fn a_first_layer_that_fails_its_self_check_is_a_fault_and_nobody_gets_past_it() {
    let both = FIRST.to_owned() + SECOND;
    for (presets, faults) in [(both.as_str(), 2), (FIRST, 1)] {
        assert_eq!(decided(presets, faults).unwrap_err(), Undecided::Fault(Fault::Differs));
    }
}
