//! The answer to a review, text in and text out: what is skipped and how that is said, what warnings and audit annotations look like, what
//! is refused. What presets do to a Pod is in `tests/cases/`.

mod support;

use std::collections::BTreeSet;

use base64::Engine;
use podgraft::admit::{self, Admission, Outcome, Refusal, Scratch, World};
use podgraft::decide::MAX_POD;
use podgraft::preset::PresetSet;
use podgraft::yaml;
use serde_json::{Value, json};
use support::case;

const SECRET: &str = "hunter2-planted";

type Labels<'l> = &'l [(&'l str, &'l str)];

fn presets(text: &str) -> PresetSet {
    let (presets, problems) = case::read_presets(text, "presets");
    assert!(problems.is_empty(), "{problems:?}");
    presets
}

fn pod(more: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "nginx"}]}});
    merge(&mut pod, more);
    pod
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            more.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, more) => *into = more,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "most callers make it for this")]
fn review(object: Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop", "name": "web",
        "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"},
        "object": object}})
}

fn with(mut review: Value, request: Value) -> Value {
    merge(&mut review["request"], request);
    review
}

/// Answers with these namespace labels, `None` for not known yet.
fn answer_in(review: &str, presets: &PresetSet, labels: Option<Labels<'_>>) -> Result<(Admission, Value), Refusal> {
    let known = |_: &str| labels.map(|labels| labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
    let exempt = ["kube-system", "podgraft"].map(str::to_owned);
    let world = World { exempt_namespaces: &exempt, namespace_labels: &known };
    let mut out = String::new();
    let admission = admit::answer(review, presets, &world, &mut Scratch::default(), &mut out)?;
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    let response = &answer["response"];
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some(), "both or neither: {out}");
    Ok((admission, answer["response"].clone()))
}

fn answer(review: &Value, presets: &PresetSet) -> (Admission, Value) {
    answer_in(&review.to_string(), presets, Some(&[])).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn refused(body: &str) -> (String, String) {
    match answer_in(body, &presets(ENV), Some(&[])) {
        Err(Refusal::Bad { error, at }) => (error, at),
        other => panic!("{body}: {other:?}"),
    }
}

fn patch(response: &Value) -> Vec<Value> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&bytes).unwrap().as_array().unwrap().clone()
}

/// An audit annotation, with the values that may be absent as an empty text.
fn audit<'r>(response: &'r Value, key: &str) -> &'r str {
    response["auditAnnotations"][key].as_str().unwrap_or_default()
}

fn warnings(response: &Value) -> Vec<String> {
    response["warnings"].as_array().into_iter().flatten().map(|line| line.as_str().unwrap().to_owned()).collect()
}

fn preset(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: podgraft.dev/v1beta1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n---\n")
        .replace(if kind == "ClusterPodPreset" { ", namespace: shop" } else { "\u{0}" }, "")
}

const ENV: &str = "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {name: env, namespace: shop}\n\
    spec: {selector: {}, env: [{name: A, value: hunter2-planted}]}\n---\n";

#[test]
fn uid_and_type_are_echoed_and_a_patch_is_base64_of_operations() {
    let (admission, response) = answer(&review(pod(json!({}))), &presets(ENV));
    assert_eq!(response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!((response["allowed"].clone(), response["patchType"].clone()), (json!(true), json!("JSONPatch")));
    let operations = patch(&response);
    assert_eq!(operations[0], json!({"op": "add", "path": "/spec/containers/0/env", "value": [{"name": "A", "value": SECRET}]}));
    assert_eq!(admission.operations, operations.len());
}

#[test]
fn what_is_not_the_creation_of_a_pod_is_allowed_as_it_is() {
    let pods = |more: Value| with(review(pod(json!({}))), more);
    for request in [
        pods(json!({"operation": "UPDATE"})),
        pods(json!({"operation": "DELETE", "object": null})),
        pods(json!({"operation": "CONNECT"})),
        pods(json!({"subResource": "ephemeralcontainers"})),
        pods(json!({"subResource": "binding"})),
        pods(json!({"resource": {"group": "", "version": "v1", "resource": "services"}})),
        pods(json!({"resource": {"group": "apps", "version": "v1", "resource": "pods"}})),
        pods(json!({"resource": {"group": "", "version": "v2", "resource": "pods"}})),
        // It is not even looked at.
        pods(json!({"operation": "UPDATE", "object": {"spec": {"containers": 5}}})),
    ] {
        let (admission, response) = answer(&request, &presets(ENV));
        assert_eq!((admission.outcome, audit(&response, "skipped")), (Outcome::Unchanged, "NotPodCreate"), "{request}");
        assert_eq!((response["allowed"].clone(), response.get("patch")), (json!(true), None));
    }
}

#[test]
fn a_review_without_an_object_is_allowed_as_it_is() {
    let mut absent = review(Value::Null);
    let with_null = absent.clone();
    absent["request"].as_object_mut().unwrap().remove("object");
    for request in [absent, with_null] {
        let (_, response) = answer(&request, &presets(ENV));
        assert_eq!(audit(&response, "skipped"), "NoObject", "{request}");
        assert_eq!((response["allowed"].clone(), response.get("patch")), (json!(true), None));
    }
}

#[test]
fn the_first_reason_that_fits_is_named() {
    let mirror =
        json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x", "podpreset.admission.kubernetes.io/exclude": "true"}}});
    let excluded = json!({"metadata": {"annotations": {"podpreset.admission.kubernetes.io/exclude": "true"}}});
    let matching = presets(ENV);
    let none = presets("");
    for (request, presets, word) in [
        (with(review(pod(mirror.clone())), json!({"operation": "UPDATE", "namespace": "kube-system"})), &matching, "NotPodCreate"),
        (with(review(Value::Null), json!({"namespace": "kube-system"})), &matching, "NoObject"),
        (with(review(pod(mirror.clone())), json!({"namespace": "kube-system"})), &matching, "ExemptNamespace"),
        (with(review(pod(json!({}))), json!({"namespace": "podgraft"})), &matching, "ExemptNamespace"),
        (review(pod(mirror)), &matching, "MirrorPod"),
        (review(pod(excluded)), &none, "Excluded"),
        (review(pod(json!({}))), &none, "NoMatch"),
        (with(review(pod(json!({}))), json!({"namespace": "other"})), &matching, "NoMatch"),
    ] {
        let (admission, response) = answer(&request, presets);
        assert_eq!(audit(&response, "skipped"), word, "{request}");
        assert_eq!(admission.skipped.map(podgraft::decide::Skip::word), Some(word));
        assert_eq!((response["allowed"].clone(), response.get("patch")), (json!(true), None));
    }
}

#[test]
fn an_excluded_pod_gets_what_may_not_be_opted_out_of_and_both_are_named() {
    let both = presets(&(preset("ClusterPodPreset", "must", "selector: {}, optOut: Denied, env: [{name: B, value: b}]") + ENV));
    let object = pod(json!({"metadata": {"annotations": {"podpreset.admission.kubernetes.io/exclude": "true"}}}));
    let (_, response) = answer(&review(object), &both);
    assert_eq!(audit(&response, "skipped"), "Excluded");
    let names = audit(&response, "presets");
    assert!(names.starts_with("clusterpodpreset-must=") && !names.contains(','), "{names}");
}

#[test]
fn the_namespace_is_the_requests_and_the_name_may_be_empty() {
    let elsewhere = pod(json!({"metadata": {"namespace": "other", "name": "", "generateName": "web-"}}));
    let (admission, response) = answer(&with(review(elsewhere), json!({"name": ""})), &presets(ENV));
    assert_eq!((admission.namespace.as_str(), admission.name.as_str()), ("shop", ""));
    assert!(response.get("patch").is_some());
    let mut nameless = review(pod(json!({})));
    nameless["request"].as_object_mut().unwrap().remove("name");
    assert!(answer(&nameless, &presets(ENV)).1.get("patch").is_some());
}

#[test]
fn bad_input_is_told_what_and_where() {
    let whole = review(pod(json!({}))).to_string();
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from} in {whole}");
        whole.replacen(from, to, 1)
    };
    let deep =
        |levels: usize| changed("\"image\":\"nginx\"", &format!("\"image\":\"nginx\",\"x\":{}{}", "[".repeat(levels), "]".repeat(levels)));
    for (body, at) in [
        (String::new(), "byte 0"),
        ("[]".to_owned(), ""),
        ("{\"kind\":\"AdmissionReview\"".to_owned(), ""),
        (whole.clone() + "x", ""),
        (changed("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), "apiVersion"),
        (changed("\"AdmissionReview\"", "\"Review\""), "kind"),
        ("{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\"}".to_owned(), "request"),
        (changed("\"705ab4f5-6393-11e8-b7cc-42010a800002\"", "5"), "request.uid"),
        (changed("\"705ab4f5-6393-11e8-b7cc-42010a800002\"", "\"\""), "request.uid"),
        (changed("\"operation\":\"CREATE\"", "\"operation\":[]"), "request.operation"),
        (changed("\"namespace\":\"shop\"", "\"namespace\":\"\""), "request.namespace"),
        (changed("\"namespace\":\"shop\"", "\"namespace\":\"shop\",\"namespace\":\"other\""), "namespace"),
        (changed("\"containers\":[", "\"containers\":[],\"containers\":["), "containers"),
        (changed("\"image\":\"nginx\"", "\"image\":\"nginx\",\"image\":\"other\""), "image"),
        (changed("{\"app\":\"web\"}", "{\"app\":5}"), "request.object.metadata.labels"),
        (changed("{\"app\":\"web\"}", "[]"), "request.object.metadata.labels"),
        (changed("\"containers\":[{", "\"containers\":[5,{"), "request.object.spec.containers"),
        (deep(127), ""),
    ] {
        let (error, place) = refused(&body);
        assert!(format!("{error} at {place}").contains(at), "{body}\n{error} at {place}, expected {at}");
        assert!(!error.is_empty() && !error.contains(SECRET));
    }
    // What nobody reads may look like anything, and 127 levels in all are fine.
    let unread = changed("\"kind\":\"AdmissionReview\"", "\"kind\":\"AdmissionReview\",\"more\":{\"a\":1},\"response\":null");
    let levels_outside = 6;
    for body in [unread, deep(127 - levels_outside)] {
        assert!(answer_in(&body, &presets(ENV), Some(&[])).is_ok(), "{body}");
    }
}

#[test]
fn labels_of_a_namespace_that_are_not_known_are_not_no_labels() {
    let selecting = preset(
        "ClusterPodPreset",
        "some",
        "selector: {matchLabels: {app: web}}, namespaceSelector: {matchLabels: {team: a}}, env: [{name: B}]",
    );
    let request = review(pod(json!({}))).to_string();
    assert!(matches!(answer_in(&request, &presets(&selecting), None), Err(Refusal::NotReady(why)) if why.contains("shop")));
    // Where no namespace selector has to be asked nobody waits.
    assert!(answer_in(&request, &presets(ENV), None).is_ok());
    let other = request.replace("\"app\":\"web\"", "\"app\":\"other\"");
    assert!(answer_in(&other, &presets(&selecting), None).is_ok());
    let (_, response) = answer_in(&request, &presets(&selecting), Some(&[("team", "a")])).unwrap();
    assert!(response.get("patch").is_some());
    let by_name = preset(
        "ClusterPodPreset",
        "some",
        "selector: {}, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, env: [{name: B}]",
    );
    assert!(answer_in(&request, &presets(&by_name), Some(&[])).unwrap().1.get("patch").is_some(), "the label that every namespace has");
}

#[test]
fn a_rejected_pod_is_forbidden_with_a_message_that_names_preset_and_path() {
    let rejecting = preset("ClusterPodPreset", "must", "selector: {}, conflictPolicy: Reject, env: [{name: A, value: x}]");
    let object = pod(json!({"spec": {"containers": [{"name": "app", "image": "nginx", "env": [{"name": "A", "value": SECRET}]}]}}));
    let (admission, response) = answer(&review(object), &presets(&rejecting));
    assert_eq!((admission.outcome, response["allowed"].clone(), response.get("patch")), (Outcome::Rejected, json!(false), None));
    assert_eq!((response["status"]["code"].clone(), response["status"]["reason"].clone()), (json!(403), json!("Forbidden")));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("must") && message.contains("/spec/containers/app/env/A"), "{message}");
    assert!(!response.to_string().contains(SECRET));
}

/// One preset that is in conflict with the Pod in `number` variables, whose names are long.
fn many_conflicts(number: usize) -> (Value, PresetSet) {
    let name = |index: usize| format!("A{index}_{}", "x".repeat(300));
    let env: Vec<Value> = (0..number).map(|index| json!({"name": name(index), "value": SECRET})).collect();
    let wanted: Vec<String> = (0..number).map(|index| format!("{{name: {}, value: other}}", name(index))).collect();
    let object = pod(json!({"spec": {"containers": [{"name": "app", "image": "nginx", "env": env}]}}));
    (review(object), presets(&preset("PodPreset", "many", &format!("selector: {{}}, conflictPolicy: Skip, env: [{}]", wanted.join(", ")))))
}

#[test]
fn warnings_are_few_short_lines() {
    let (request, presets) = many_conflicts(20);
    let (_, response) = answer(&request, &presets);
    let lines = warnings(&response);
    assert_eq!(lines.len(), 8);
    assert!(lines[7].contains("13 more"), "{lines:?}");
    for line in &lines {
        assert!(line.len() <= 256 && !line.chars().any(char::is_control), "{line}");
    }
    let (request, presets) = many_conflicts(8);
    assert_eq!(warnings(&answer(&request, &presets).1).len(), 8);
}

#[test]
fn an_ordinary_conflict_is_a_warning_of_at_most_120_characters() {
    for policy in ["Abort", "Skip", "KeepPod", "Override"] {
        let conflicting = presets(&preset(
            "PodPreset",
            "settings",
            &format!("selector: {{}}, conflictPolicy: {policy}, env: [{{name: LOG_LEVEL, value: x}}]"),
        ));
        let object =
            pod(json!({"spec": {"containers": [{"name": "app", "image": "nginx", "env": [{"name": "LOG_LEVEL", "value": "y"}]}]}}));
        let lines = warnings(&answer(&review(object), &conflicting).1);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].len() <= 120 && lines[0].contains("podpreset-settings") && lines[0].contains("LOG_LEVEL"), "{lines:?}");
    }
}

#[test]
fn names_with_control_characters_do_not_break_lines() {
    let mounting = presets(&preset(
        "PodPreset",
        "m",
        "selector: {}, conflictPolicy: Skip, volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: \"/a\\nb; c\"}]",
    ));
    let object = pod(json!({"spec": {"volumes": [{"name": "w", "emptyDir": {}}],
        "containers": [{"name": "app", "image": "nginx", "volumeMounts": [{"name": "w", "mountPath": "/a\nb; c"}]}]}}));
    let (_, response) = answer(&review(object), &mounting);
    let lines = warnings(&response);
    assert!(lines.len() == 1 && !lines[0].chars().any(char::is_control), "{lines:?}");
    assert_eq!(audit(&response, "conflicts"), "podpreset-m /spec/containers/app/volumeMounts/~1a?b%3B%20c Pod");
}

#[test]
fn the_audit_annotations_name_presets_conflicts_and_operations() {
    let three = presets(
        &(preset("PodPreset", "a", "selector: {}, env: [{name: A, value: x}]")
            + &preset("PodPreset", "b", "selector: {}, conflictPolicy: KeepPod, env: [{name: A, value: b}, {name: B, value: b}]")
            + &preset("ClusterPodPreset", "c", "selector: {}, mode: Shadow, env: [{name: A, value: z}]")),
    );
    let (admission, response) = answer(&review(pod(json!({}))), &three);
    let names: Vec<&str> = audit(&response, "presets").split(',').collect();
    assert_eq!(names.iter().map(|name| name.split('=').next().unwrap()).collect::<Vec<_>>(), ["podpreset-a", "podpreset-b"]);
    assert!(names.iter().all(|name| name.split_once('=').unwrap().1.len() == 12), "{names:?}");
    assert_eq!(audit(&response, "conflicts"), "podpreset-b /spec/containers/app/env/A podpreset-a", "Shadow's are left out");
    assert_eq!(audit(&response, "operations"), patch(&response).len().to_string());
    assert_eq!(audit(&response, "skipped"), "");
    assert!(warnings(&response).iter().any(|line| line.contains("shadow clusterpodpreset-c")), "{response}");
    assert!(admission.conflicts.iter().any(|conflict| conflict.shadow));
}

#[test]
fn audit_annotations_are_at_most_a_kibibyte_cut_at_a_whole_item() {
    let (request, presets_in_conflict) = many_conflicts(20);
    let (_, response) = answer(&request, &presets_in_conflict);
    let conflicts = audit(&response, "conflicts");
    assert!(conflicts.len() <= 1024 && conflicts.len() > 500, "{}", conflicts.len());
    assert!(conflicts.split(';').all(|item| item.starts_with("podpreset-many /spec/") && item.ends_with(" Pod")), "{conflicts}");

    let text: String = (0..40)
        .map(|index| preset("PodPreset", &format!("{}{index:02}", "n".repeat(50)), &format!("selector: {{}}, env: [{{name: A{index}}}]")))
        .collect();
    let (_, response) = answer(&review(pod(json!({}))), &presets(&text));
    let names = audit(&response, "presets");
    assert!(names.len() <= 1024 && names.len() > 900, "{}", names.len());
    assert!(
        names.split(',').all(|item| item.starts_with("podpreset-nnn") && item.split_once('=').is_some_and(|(_, hash)| hash.len() == 12)),
        "{names}"
    );
}

/// A preset that adds so much to the annotations or the Pod.
fn adds(name: &str, kind: &str, more: &str, annotation_bytes: usize, env_bytes: usize) -> String {
    let mut spec = format!("selector: {{}}{more}");
    if annotation_bytes > 0 {
        spec += &format!(", template: {{metadata: {{annotations: {{big-{name}: {}}}}}}}", "a".repeat(annotation_bytes));
    }
    if env_bytes > 0 {
        spec += &format!(", env: [{{name: BIG_{}, value: {}}}]", name.to_uppercase(), "a".repeat(env_bytes));
    }
    preset(kind, name, &spec)
}

/// A Pod that has most of what its annotations may have.
fn annotated() -> Value {
    pod(json!({"metadata": {"annotations": {"notes": "n".repeat(200_000)}}}))
}

#[test]
fn what_would_be_too_large_is_left_out_with_a_warning() {
    let small = adds("must", "ClusterPodPreset", ", optOut: Denied", 0, 10);
    for large in [
        adds("large", "PodPreset", "", 70_000, 0),
        adds("large", "PodPreset", "", 0, 1_000_000) + &adds("larger", "PodPreset", "", 0, 600_000),
    ] {
        let (_, alone) = answer(&review(annotated()), &presets(&large));
        assert_eq!((alone["allowed"].clone(), alone.get("patch"), audit(&alone, "skipped")), (json!(true), None, "TooLarge"));
        assert!(warnings(&alone).iter().any(|line| line.contains("KiB") || line.contains("MiB")), "{alone}");

        let (_, beside) = answer(&review(annotated()), &presets(&(large + &small)));
        assert_eq!((beside["allowed"].clone(), audit(&beside, "skipped")), (json!(true), "TooLarge"));
        assert!(audit(&beside, "presets").starts_with("clusterpodpreset-must=") && !audit(&beside, "presets").contains(','));
        assert!(patch(&beside).iter().any(|operation| operation.to_string().contains("BIG_MUST")));
        assert!(!warnings(&beside).is_empty());
    }
}

#[test]
fn what_just_fits_is_applied() {
    let fits = adds("fits", "PodPreset", "", 61_000, 0);
    assert!(answer(&review(annotated()), &presets(&fits)).1.get("patch").is_some());
}

#[test]
fn a_first_layer_that_is_too_large_refuses_the_pod() {
    let large = adds("must", "ClusterPodPreset", ", optOut: Denied", 70_000, 0);
    for others in ["", ENV] {
        let (admission, response) = answer(&review(annotated()), &presets(&(large.clone() + others)));
        assert_eq!((admission.outcome, response["allowed"].clone()), (Outcome::Rejected, json!(false)));
        assert_eq!((response["status"]["code"].clone(), response["status"]["reason"].clone()), (json!(403), json!("Forbidden")));
        assert!(response["status"]["message"].as_str().unwrap().contains("256 KiB"), "{response}");
        assert_eq!((audit(&response, "skipped"), audit(&response, "presets")), ("TooLarge", ""));
    }
}

#[test]
fn a_record_does_not_put_a_container_beside_its_namesake() {
    let sidecar =
        preset("PodPreset", "side", "selector: {}, conflictPolicy: Skip, template: {spec: {containers: [{name: side, image: a}]}}");
    let (_, first) = answer(&review(pod(json!({}))), &presets(&sidecar));
    let version = audit(&first, "presets").split_once('=').unwrap().1.to_owned();
    let recorded = json!({"metadata": {"annotations": {"podpreset.admission.kubernetes.io/podpreset-side": version}}});
    let mut taken = pod(recorded);
    taken["spec"]["ephemeralContainers"] = json!([{"name": "side", "image": "debug"}]);
    let (_, response) = answer(&review(taken), &presets(&sidecar));
    let touched = response.get("patch").map(|_| patch(&response)).unwrap_or_default();
    assert!(!touched.iter().any(|operation| operation["path"].as_str().unwrap().starts_with("/spec/containers")), "{touched:?}");
    // Between presets: another preset's container of that name, in another list.
    let other = preset("ClusterPodPreset", "other", "selector: {}, template: {spec: {initContainers: [{name: side, image: b}]}}");
    let recorded = json!({"metadata": {"annotations": {"podpreset.admission.kubernetes.io/podpreset-side": version}}});
    let (_, response) = answer(&review(pod(recorded)), &presets(&(sidecar + &other)));
    let touched = patch(&response);
    assert!(touched.iter().any(|operation| operation["path"] == "/spec/initContainers"), "{touched:?}");
    assert!(!touched.iter().any(|operation| operation["path"].as_str().unwrap().starts_with("/spec/containers")), "{touched:?}");
}

#[test]
fn two_replicas_answer_with_the_same_bytes() {
    let texts = [
        ENV.to_owned(),
        preset("ClusterPodPreset", "b", "selector: {}, env: [{name: B}]"),
        preset("PodPreset", "c", "selector: {}, priority: 5, env: [{name: C}]"),
    ];
    let request = review(pod(json!({})));
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let answers: Vec<Value> =
        orders.iter().map(|order| answer(&request, &presets(&order.map(|index| texts[index].as_str()).concat())).1).collect();
    assert!(answers.iter().all(|response| *response == answers[0]));
    let added = |operation: Value| match &operation["value"] {
        Value::Array(entries) => entries.clone(),
        entry => vec![entry.clone()],
    };
    let env = patch(&answers[0]).into_iter().filter(|operation| operation["path"].as_str().unwrap().contains("/env"));
    let names: Vec<Value> = env.flat_map(added).map(|entry| entry["name"].clone()).collect();
    assert_eq!(names, ["B", "C", "A"], "cluster presets first, then by priority, then by name");
}

/// Over all cases: the values of variables are nowhere but in the patch.
#[test]
fn no_value_of_a_variable_is_in_any_message() {
    let mut planted = 0;
    for case in case::all() {
        let mut values = BTreeSet::new();
        let mut object: Value = serde_json::from_str(&case::json_of(&case.pod)).unwrap();
        plant(&mut object, &mut values);
        let mut texts = Vec::new();
        for part in yaml::split(&case.presets_text) {
            for document in yaml::parse(&part, yaml::Limits { nodes: 1_000_000, text: 10_000_000 }).documents {
                if let Ok(mut document) = serde_json::from_str(&case::json_of(&document.tree)) {
                    plant(&mut document, &mut values);
                    texts.push(document.to_string());
                }
            }
        }
        let (secretive, _) = case::read_presets(&texts.join("\n---\n"), &case.name);
        planted += values.len();
        let request = with(review(object), json!({"namespace": case.namespace}));
        let known = |_: &str| Some(case.labels.clone());
        let world = World { exempt_namespaces: &[], namespace_labels: &known };
        let mut out = String::new();
        let Ok(admission) = admit::answer(&request.to_string(), &secretive, &world, &mut Scratch::default(), &mut out) else { continue };
        let mut response = serde_json::from_str::<Value>(&out).unwrap()["response"].clone();
        response.as_object_mut().unwrap().remove("patch");
        let told = format!("{response} {:?} {:?} {:?}", admission.warnings, admission.conflicts, admission.faults);
        for value in &values {
            assert!(!told.contains(value), "{}: {value} in {told}", case.name);
        }
    }
    assert!(planted > 200, "only {planted} values were planted");
}

/// Replaces the values of variables by ones that can be found again.
fn plant(value: &mut Value, planted: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if key == "env" {
                    for entry in member.as_array_mut().into_iter().flatten() {
                        if entry.get("value").is_some_and(Value::is_string) {
                            let secret = format!("{SECRET}-{}", planted.len());
                            entry["value"] = json!(secret);
                            planted.insert(secret);
                        }
                    }
                }
                plant(member, planted);
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| plant(entry, planted)),
        _ => {}
    }
}

/// The object of a review is read as far as presets need it, and must have its types there.
#[test]
fn a_field_that_is_read_must_have_its_type() {
    let container = |more: Value| json!({"spec": {"containers": [more]}});
    for (object, at) in [
        (json!({"metadata": {"labels": {"app": 1}}}), "metadata.labels[app]"),
        (json!({"spec": {"volumes": [{"name": {}}]}}), "spec.volumes[0].name"),
        (json!({"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": true}]}}), "spec.hostAliases[0].hostnames"),
        (json!({"spec": {"hostNetwork": "true"}}), "spec.hostNetwork"),
        (json!({"spec": {"tolerations": [{"key": 1}]}}), "spec.tolerations[0].key"),
        (json!({"spec": {"initContainers": [{"name": "i"}, 7]}}), "spec.initContainers[1]"),
        (container(json!({"name": 1})), "spec.containers[0].name"),
        (container(json!({"name": "a", "image": 1})), "spec.containers[0].image"),
        (container(json!({"name": "a", "env": [{"name": []}]})), "spec.containers[0].env[0].name"),
        (container(json!({"name": "a", "envFrom": [{"configMapRef": []}]})), "spec.containers[0].envFrom[0].configMapRef"),
        (container(json!({"name": "a", "ports": [{"containerPort": "80"}]})), "spec.containers[0].ports[0].containerPort"),
        (container(json!({"name": "a", "resources": {"limits": []}})), "spec.containers[0].resources.limits"),
        (container(json!({"name": "a", "volumeMounts": [{"mountPath": 1}]})), "spec.containers[0].volumeMounts[0].mountPath"),
    ] {
        let (error, place) = refused(&review(pod(object)).to_string());
        assert_eq!(place, format!("request.object.{at}"));
        assert!(error.starts_with("must be "), "{error}");
    }
    // Null is absent, and what is not read may be anything.
    for object in [
        json!({"metadata": {"labels": null, "managedFields": {"a": 1}}, "status": "x"}),
        json!({"spec": {"volumes": null, "hostNetwork": null, "tomorrow": [{"a": 1}]}}),
        container(json!({"name": "a", "env": null, "resources": null, "tomorrow": 1})),
    ] {
        let (_, response) = answer(&review(pod(object.clone())), &presets(ENV));
        assert!(!patch(&response).is_empty(), "{object}");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused_in_every_object_that_is_read() {
    let object = pod(json!({"metadata": {"managedFields": [{"manager": "kubectl"}]}}));
    let good = with(review(object), json!({"userInfo": {"username": "a"}})).to_string();
    for member in ["\"uid\":", "\"userInfo\":", "\"apiVersion\":\"admission", "\"metadata\":", "\"managedFields\":", "\"containers\":"] {
        let name = member.split(':').next().unwrap();
        assert!(good.contains(member), "{member} in {good}");
        for first in [format!("{name}:null,{member}"), format!("\"\\u{:04x}{}:null,{member}", name.as_bytes()[1], &name[2..])] {
            let (error, _) = refused(&good.replacen(member, &first, 1));
            assert!(error.contains("there twice"), "{first}: {error}");
        }
    }
    // In what is not read it is nobody's business.
    let inside = good.replacen("\"userInfo\":{", "\"userInfo\":{\"twice\":1,\"twice\":2,", 1);
    assert!(answer_in(&inside, &presets(ENV), None).is_ok());
}

#[test]
fn a_pod_of_many_small_things_is_not_taken_for_larger_than_it_is() {
    let entries: Vec<Value> = (0..44_000).map(|n| json!({"name": format!("N{n}"), "value": ""})).collect();
    let many = review(pod(json!({"spec": {"containers": [{"name": "app", "env": entries}]}})));
    assert!((MAX_POD * 3 / 4..MAX_POD).contains(&many.to_string().len()), "{}", many.to_string().len());
    let (admission, response) = answer(&many, &presets(ENV));
    assert_eq!((admission.outcome, audit(&response, "skipped")), (Outcome::Mutated, ""));
}

#[test]
fn lines_hold_nothing_that_hides_or_turns_them() {
    let name = "a\n\u{85}\u{2028}\u{2029}\u{202e}\u{2066}b";
    let conflict = json!({"spec": {"containers": [{"name": name, "env": [{"name": "A", "value": "other"}]}]}});
    let (_, response) = answer(&review(pod(conflict)), &presets(ENV));
    assert!(audit(&response, "conflicts").contains("/spec/containers/a??????b/env/A"), "{response}");
    assert!(warnings(&response).iter().all(|line| line.contains("/spec/containers/a??????b/env/A")), "{response}");
    assert!(!warnings(&response).is_empty());
}
