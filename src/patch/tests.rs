use super::*;
use crate::document::{ReadOptions, Reading, read};
use crate::draft::Draft;
use crate::merge::{self, Choice, Subject};
use crate::preset::{Preset, PresetSet};
use crate::tree;
use std::sync::Arc;

/// Presets that add, replace and remove, at all depths.
const PRESETS: &str = r"
{apiVersion: podgraft.dev/v1beta1, kind: PodPreset, metadata: {name: a}, spec: {selector: {}, conflictPolicy: Override,
  env: [{name: A, value: a}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], envFrom: [{configMapRef: {name: c}}],
  volumes: [{name: v, emptyDir: {}}, {name: w, emptyDir: {medium: Memory}}], volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /w}],
  template: {metadata: {annotations: {a.b/c: x, d: e}}, spec: {priorityClassName: high, hostname: h, tolerations: [{operator: Exists}],
    initContainers: [{name: side, image: s, restartPolicy: Always}], containers: [{name: app, command: [run], resources: {limits: {cpu: 1}}}]}}}}
---
{apiVersion: podgraft.dev/v1beta1, kind: PodPreset, metadata: {name: b}, spec: {selector: {}, conflictPolicy: KeepPod,
  env: [{name: A, value: other}, {name: C, value: c}], volumes: [{name: v, hostPath: {path: /x}}], volumeMounts: [{name: v, mountPath: /v}, {name: z, mountPath: /z}]}}
";

const POD: &str = r#"{"metadata":{"labels":{"x":"y"}},"spec":{"priority":0,"preemptionPolicy":"PreemptLowerPriority","hostname":"old","volumes":[{"name":"z","emptyDir":{}}],
  "containers":[{"name":"app","image":"i","command":["y"],"env":[{"name":"A","value":"1"}]},{"name":"two","image":"i","volumeMounts":[{"name":"z","mountPath":"/w"}]}]}}"#;

fn presets() -> PresetSet {
    let documents = read("presets", PRESETS, &ReadOptions { default_namespace: "default" });
    let presets = documents.into_iter().map(|document| match document.reading {
        Reading::Preset(spec) => Arc::new(Preset::compile(*spec)),
        _ => panic!("{:?}", document.problems),
    });
    PresetSet::new(presets.collect())
}

fn with_draft(test: impl Fn(&Tree<'_>, &Draft<'_>)) {
    let presets = presets();
    let received = tree::parse(POD).unwrap();
    let choice = Choice {
        set: &presets,
        namespace: "default",
        namespace_labels: &|| Some(&[]),
        extra_labels: &[],
        only_first_layer: false,
        left_out: Vec::new(),
    };
    let grafting = merge::graft(Subject { received: &received, claims: &[] }, &choice).unwrap_or_else(|_| panic!("not ready"));
    test(&received, &grafting.draft);
}

fn text(tree: &Tree<'_>) -> String {
    let mut text = String::new();
    tree.write(NodeId::ROOT, &mut text);
    text
}

/// What json-patch makes of the operations, where it can.
fn by_another_library(draft: &Draft<'_>) -> Option<serde_json::Value> {
    let mut operations = String::new();
    write(draft, &mut operations);
    let patch: json_patch::Patch = serde_json::from_str(&operations).ok()?;
    let mut object: serde_json::Value = serde_json::from_str(POD).unwrap();
    json_patch::patch(&mut object, &patch).ok().map(|()| object)
}

#[test]
fn a_draft_as_it_was_recorded_passes() {
    with_draft(|received, draft| {
        assert!(draft.operations().len() > 20, "{}", draft.operations().len());
        for kind in [OpKind::Add, OpKind::Replace, OpKind::Remove] {
            assert!(draft.operations().iter().any(|operation| operation.kind == kind), "{kind:?}");
        }
        let mut second = received.copy();
        assert_eq!(check(draft, &mut second), Ok(()));
        assert_eq!(text(&second), text(draft.tree()));
    });
}

#[test]
fn every_fault_put_into_the_operations_is_seen() {
    with_draft(|received, draft| {
        let wanted: serde_json::Value = serde_json::from_str(&text(draft.tree())).unwrap();
        let count = draft.operations().len();
        let (mut faults, mut harmless) = (0, 0);
        let mut spoil = |what: String, change: &dyn Fn(&mut Draft<'_>)| {
            let mut spoilt = draft.clone();
            change(&mut spoilt);
            let seen = check(&spoilt, &mut received.copy()).is_err();
            // Two operations that do not touch may change places, and then nothing is wrong.
            let wrong = by_another_library(&spoilt).is_none_or(|result| result != wanted);
            assert_eq!(seen, wrong, "{what}");
            faults += usize::from(wrong);
            harmless += usize::from(!wrong);
        };
        for one in 0..count {
            spoil(format!("{one} left out"), &|draft| drop(draft.operations_mut().remove(one)));
            spoil(format!("{one} repeated"), &|draft| {
                let operation = draft.operations()[one].clone();
                draft.operations_mut().insert(one, operation);
            });
            for other in (one + 1..one + 6).map(|other| other % count) {
                spoil(format!("{one} aimed as {other}"), &|draft| {
                    let target = draft.operations()[other].clone();
                    draft.operations_mut()[one].aim_as(&target);
                });
                // What a removal has for a value nobody sends.
                if draft.operations()[one].kind != OpKind::Remove {
                    spoil(format!("{one} with the value of {other}"), &|draft| {
                        let value = draft.operations()[other].value.clone();
                        draft.operations_mut()[one].value = value;
                    });
                }
                spoil(format!("{one} and {other} exchanged"), &|draft| draft.operations_mut().swap(one, other));
            }
        }
        assert!(faults > 300 && harmless > 0, "{faults} faults, {harmless} harmless changes");
    });
}
