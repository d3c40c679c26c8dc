//! What holds for every Pod and every set of presets (the guarantees of the merge), shown on random ones.

#[path = "properties/given.rs"]
mod given;
#[path = "properties/kept.rs"]
mod kept;
#[path = "properties/made.rs"]
mod made;
mod support;
#[path = "properties/vocabulary.rs"]
mod vocabulary;

use std::fs;
use std::sync::Arc;

use given::{Given, compile, given, graft, hold, tree_of, value_of};
use podgraft::admit::{self, Outcome, Scratch, World};
use podgraft::conflict::ConflictPolicy;
use podgraft::document::{self, ReadOptions};
use podgraft::draft::OpKind;
use podgraft::graft::Grafted;
use podgraft::preset::{PresetSet, RECORD_PREFIX};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use support::{case, defaults};

type Held = Result<(), TestCaseError>;

fn result(grafted: &Grafted) -> Value {
    serde_json::from_str(&grafted.pod).unwrap()
}

/// The answer to a review of the Pod.
fn answer(pod: &Value, set: &PresetSet) -> Result<String, String> {
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let request = json!({"uid": "u", "resource": resource, "operation": "CREATE", "namespace": "default", "object": pod});
    review(&json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string(), set)
}

fn review(body: &str, set: &PresetSet) -> Result<String, String> {
    let exempt = ["kube-system".to_owned()];
    let world = World { exempt_namespaces: &exempt, namespace_labels: &|_| Some(Vec::new()) };
    let mut out = String::new();
    match admit::answer(body, set, &world, &mut Scratch::default(), &mut out) {
        Ok(_) => Ok(out),
        Err(refusal) => Err(refusal.to_string()),
    }
}

#[test]
fn most_of_the_vocabulary_is_read_and_meets() {
    let (mut documents, mut presets, mut mutated, mut conflicts) = (0, 0, 0, 0);
    let counts = std::cell::RefCell::new((&mut documents, &mut presets, &mut mutated, &mut conflicts));
    hold(80, &given(), |given| {
        let grafted = given.graft()?;
        let mut counts = counts.borrow_mut();
        *counts.0 += given.presets.len();
        *counts.1 += given.set().presets().len();
        *counts.2 += usize::from(grafted.outcome == Outcome::Mutated);
        *counts.3 += usize::from(!grafted.conflicts.is_empty());
        Ok(())
    });
    println!("{documents} documents, {presets} presets, {mutated} Pods patched, {conflicts} with conflicts");
    assert!(presets * 10 > documents * 6 && mutated > 25 && conflicts > 25);
}

fn left_alone(what: &str, pod: &Value, set: &PresetSet) -> Held {
    let again = graft(pod, set)?;
    let told = (again.outcome, &again.operations, &again.message);
    prop_assert!(again.outcome == Outcome::Unchanged, "{what}: {told:?}\non {pod}");
    Ok(())
}

#[test]
fn a_second_pass_changes_nothing() {
    hold(80, &given(), |given| {
        let set = given.set();
        let grafted = graft(&given.pod, &set)?;
        if grafted.outcome == Outcome::Mutated {
            left_alone("sent again", &result(&grafted), &set)?;
        }
        Ok(())
    });
}

#[test]
fn a_second_pass_after_defaulting_and_token_mount_changes_nothing() {
    hold(80, &given(), |given| {
        let set = given.set();
        let grafted = graft(&given.pod, &set)?;
        if grafted.outcome == Outcome::Mutated {
            left_alone("after defaulting", &value_of(&defaults::as_the_api_server(&tree_of(&result(&grafted)))), &set)?;
        }
        Ok(())
    });
}

#[test]
fn a_container_added_in_between_settles_in_one_pass() {
    hold(80, &given(), |given| {
        let set = given.set();
        let grafted = graft(&given.pod, &set)?;
        if grafted.outcome == Outcome::Mutated {
            let mut pod = result(&grafted);
            pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "late", "image": "late:1"}));
            let again = graft(&pod, &set)?;
            if again.outcome == Outcome::Mutated {
                left_alone("after a container was added", &result(&again), &set)?;
            }
        }
        Ok(())
    });
}

#[test]
fn the_patch_applied_by_another_library_gives_the_same_pod() {
    hold(60, &given(), |given| {
        let grafted = given.graft()?;
        let mut pod = given.pod.clone();
        let patch: json_patch::Patch = serde_json::from_str(&case::patch_text(&grafted)).unwrap();
        json_patch::patch(&mut pod, &patch).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(pod, result(&grafted));
        Ok(())
    });
}

#[test]
fn nothing_the_author_wrote_is_lost() {
    hold(100, &given(), |given| {
        let grafted = given.graft()?;
        let lost = kept::lost(&given.pod, &result(&grafted), &grafted);
        prop_assert!(lost.is_empty(), "lost without a reason: {lost:?}\n{:?}", grafted.operations);
        Ok(())
    });
}

#[test]
fn operations_are_as_few_kinds_as_promised() {
    hold(60, &given(), |given| {
        let grafted = given.graft()?;
        let overriding = grafted.conflicts.iter().any(|conflict| conflict.replaced && conflict.policy == ConflictPolicy::Override);
        for step in &grafted.operations {
            let record = step.path.starts_with(&format!("/metadata/annotations/{}", RECORD_PREFIX.replace('/', "~1")));
            let field = step.path.rsplit('/').next().unwrap_or_default();
            let defaulted = matches!(
                field,
                "serviceAccountName"
                    | "serviceAccount"
                    | "dnsPolicy"
                    | "schedulerName"
                    | "terminationGracePeriodSeconds"
                    | "enableServiceLinks"
                    | "securityContext"
                    | "imagePullPolicy"
                    | "terminationMessagePath"
                    | "terminationMessagePolicy"
            );
            let allowed = match step.op {
                OpKind::Add => true,
                OpKind::Remove => matches!(step.path.as_str(), "/spec/priority" | "/spec/preemptionPolicy"),
                OpKind::Replace => overriding || record || defaulted || step.path.starts_with("/spec/tolerations/"),
            };
            prop_assert!(allowed && step.preset.is_some(), "{step:?}");
        }
        prop_assert_eq!(grafted.operations.is_empty(), grafted.outcome != Outcome::Mutated);
        Ok(())
    });
}

#[test]
fn the_order_of_documents_does_not_matter() {
    let shuffled = given().prop_flat_map(|given| (Just(given.clone()), Just(given.presets).prop_shuffle()));
    hold(60, &shuffled, |(given, presets)| {
        let other = Given { pod: given.pod.clone(), presets };
        prop_assert_eq!(answer(&given.pod, &given.set()), answer(&other.pod, &other.set()));
        Ok(())
    });
}

#[test]
fn disjoint_presets_do_not_depend_on_order() {
    let pair = (vocabulary::pod(), made::disjoint(0), made::disjoint(1), any::<bool>(), any::<bool>());
    hold(60, &pair, |(pod, left, right, cluster, denied)| {
        let document = |name: &str, spec: &Value, priority: i32| {
            let mut spec = spec.clone();
            spec["priority"] = json!(priority);
            if cluster && denied {
                spec["optOut"] = json!("Denied");
            }
            let kind = if cluster { "ClusterPodPreset" } else { "PodPreset" };
            json!({"apiVersion": "podgraft.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec})
        };
        let run = |first, second| {
            let presets = vec![document("left", &left, first), document("right", &right, second)];
            let given = Given { pod: pod.clone(), presets };
            let set = given.set();
            prop_assert_eq!(set.presets().len(), 2);
            graft(&given.pod, &set)
        };
        let (one, other) = (run(1, 0)?, run(0, 1)?);
        prop_assert_eq!(one.outcome, other.outcome);
        prop_assert_eq!(as_a_set(result(&one)), as_a_set(result(&other)));
        Ok(())
    });
}

/// Lists without their order, records without their versions (which tell the priority).
fn as_a_set(value: Value) -> Value {
    match value {
        Value::Array(entries) => {
            let mut entries: Vec<Value> = entries.into_iter().map(as_a_set).collect();
            entries.sort_by_cached_key(Value::to_string);
            Value::Array(entries)
        }
        Value::Object(members) => {
            let member = |(key, value): (String, Value)| {
                let value = if key.starts_with(RECORD_PREFIX) { Value::Null } else { as_a_set(value) };
                (key, value)
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        other => other,
    }
}

#[test]
fn shadow_changes_nothing() {
    hold(80, &given(), |mut given| {
        given.presets[0]["spec"]["mode"] = json!("Shadow");
        let with = compile(&given.presets);
        let without: Vec<_> = with.iter().filter(|preset| !preset.is_shadow()).map(Arc::clone).collect();
        let (with, without) = (graft(&given.pod, &PresetSet::new(with))?, graft(&given.pod, &PresetSet::new(without))?);
        prop_assert_eq!(with.outcome, without.outcome);
        prop_assert_eq!(with.pod, without.pod);
        prop_assert_eq!(with.operations, without.operations);
        prop_assert_eq!(with.applied, without.applied);
        prop_assert_eq!(with.message, without.message);
        let told: Vec<_> = with.conflicts.into_iter().filter(|conflict| !conflict.shadow).collect();
        prop_assert_eq!(told, without.conflicts);
        Ok(())
    });
}

#[test]
fn an_abort_leaves_the_first_layer_alone() {
    hold(100, &given(), |given| {
        let set = given.set();
        let grafted = graft(&given.pod, &set)?;
        let first = |record: &str| set.presets().iter().any(|preset| preset.record() == record && preset.is_first_layer());
        let aborts = |conflict: &podgraft::conflict::Conflict| {
            !conflict.shadow && conflict.policy == ConflictPolicy::Abort && !first(&conflict.preset)
        };
        if grafted.outcome != Outcome::Rejected && grafted.conflicts.iter().any(aborts) {
            let alone = set.presets().iter().filter(|preset| preset.is_first_layer()).map(Arc::clone).collect();
            let alone = graft(&given.pod, &PresetSet::new(alone))?;
            prop_assert_eq!(grafted.pod, alone.pod);
            prop_assert_eq!(grafted.applied, alone.applied);
        }
        Ok(())
    });
}

#[test]
fn only_a_preset_with_reject_refuses_a_pod() {
    hold(80, &given(), |given| {
        let grafted = given.graft()?;
        let rejecting = |conflict: &&podgraft::conflict::Conflict| !conflict.shadow && conflict.policy == ConflictPolicy::Reject;
        let named = grafted.conflicts.iter().find(rejecting);
        prop_assert_eq!(grafted.outcome == Outcome::Rejected, named.is_some());
        if named.is_some() {
            let message = grafted.message.clone().unwrap_or_default();
            let names = |conflict: &podgraft::conflict::Conflict| {
                message.contains(conflict.preset.split_once('-').unwrap().1) && message.contains(&conflict.path)
            };
            prop_assert!(grafted.conflicts.iter().filter(rejecting).any(names), "{message}");
            prop_assert!(grafted.operations.is_empty() && grafted.applied.is_empty());
        }
        Ok(())
    });
}

#[test]
fn a_preset_that_was_left_out_leaves_no_trace() {
    hold(60, &given(), |given| {
        let grafted = given.graft()?;
        let applied = |record: &str| grafted.applied.iter().any(|applied| applied.record == record);
        for step in &grafted.operations {
            prop_assert!(applied(step.preset.as_deref().unwrap_or_default()), "{step:?}");
        }
        Ok(())
    });
}

/// Found by the property above: the operations were told under the number that the preset has among all.
#[test]
fn the_first_layer_alone_is_told_under_its_own_name() {
    let preset = |kind: &str, name: &str, mut spec: Value| {
        if kind == "ClusterPodPreset" {
            spec["optOut"] = json!("Denied");
        }
        json!({"apiVersion": "podgraft.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec})
    };
    let given = Given {
        pod: json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"},
            "spec": {"containers": [{"name": "app", "image": "app:1"}], "volumes": [{"name": "logs", "emptyDir": {}}]}}),
        presets: vec![
            preset("ClusterPodPreset", "p0", json!({"selector": {"matchLabels": {"tier": "edge"}}, "env": [{"name": "A"}]})),
            preset(
                "PodPreset",
                "p1",
                json!({"selector": {}, "template": {"metadata": {"labels": {"tier": "edge"}}},
                "volumes": [{"name": "logs", "emptyDir": {"medium": "Memory"}}]}),
            ),
            preset("ClusterPodPreset", "p2", json!({"selector": {}, "env": [{"name": "B"}]})),
        ],
    };
    let grafted = given.graft().unwrap();
    assert!(!grafted.operations.is_empty());
    let strangers: Vec<_> = grafted.operations.iter().filter(|step| step.preset.as_deref() != Some("clusterpodpreset-p2")).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// Found by `nothing_the_author_wrote_is_lost`: the first port could take the name when the second had given it up, and that was not told.
#[test]
fn a_value_that_takes_the_place_later_is_told_as_replaced() {
    let given = Given {
        pod: json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": {"containers": [{"name": "app", "image": "app:1",
            "ports": [{"containerPort": 81, "name": "adm"}, {"containerPort": 80}]}]}}),
        presets: vec![json!({"apiVersion": "podgraft.dev/v1beta1", "kind": "PodPreset", "metadata": {"name": "p0"}, "spec": {
            "selector": {}, "conflictPolicy": "Override",
            "template": {"spec": {"containers": [{"name": "app", "ports": [{"containerPort": 80, "name": "adm"}, {"containerPort": 81}]}]}}}})],
    };
    let grafted = given.graft().unwrap();
    assert_eq!(result(&grafted)["spec"]["containers"][0]["ports"], json!([{"containerPort": 81}, {"containerPort": 80, "name": "adm"}]));
    assert!(!grafted.conflicts.is_empty() && grafted.conflicts.iter().all(|conflict| conflict.replaced), "{:?}", grafted.conflicts);
}

#[test]
fn the_values_of_variables_are_never_told() {
    hold(60, &given(), |given| {
        let set = given.set();
        let grafted = graft(&given.pod, &set)?;
        let told = format!("{:?} {:?} {:?} {:?}", grafted.warnings, grafted.remarks, grafted.message, grafted.conflicts);
        prop_assert!(!told.contains(vocabulary::HUSH), "{told}");
        let answer: Value = serde_json::from_str(&answer(&given.pod, &set).map_err(TestCaseError::fail)?).unwrap();
        let response = &answer["response"];
        let told = format!("{} {} {}", response["warnings"], response["auditAnnotations"], response["status"]);
        prop_assert!(!told.contains(vocabulary::HUSH), "{told}");
        let texts = given.presets.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
        for problem in document::read("made", &texts, &ReadOptions { default_namespace: "default" }).iter().flat_map(|read| &read.problems)
        {
            prop_assert!(!problem.text.contains(vocabulary::HUSH), "{problem}");
        }
        Ok(())
    });
}

#[path = "properties/noise.rs"]
mod noise;
