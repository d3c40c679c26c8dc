//! Every case of `tests/cases/`, and with them every policy that ships, through the API server: what it takes without Podgraft, it takes
//! with it; what comes back is what the case says; and sent again it is left alone.
//!
//! The engine answers in this process, with the presets and the namespace labels of the case that the request's field manager names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use podgraft::admit::{self, Admission, Outcome, Scratch, World};
use podgraft::decide::Skip;
use podgraft::preset::PresetSet;
use serde_json::{Value, json};

use crate::compare;
use crate::harness::api::Answer;
use crate::harness::endpoint::{Endpoint, Reply};
use crate::harness::podgraft::{Registered, Registration};
use crate::harness::story::{Stories, Story};
use crate::harness::{say, wait};
use crate::support::case::{self, Case};

pub const STORIES: Stories = &[("every_case_through_the_api_server", every_case)];

/// What was answered in the name of each case, in order.
type Answers = Mutex<BTreeMap<String, Vec<Admission>>>;

fn every_case(story: &Story) {
    let cases = Arc::new(case::all());
    let answers: Arc<Answers> = Arc::default();
    let endpoint = Endpoint::start(&story.plane.authority, reply(Arc::clone(&cases), Arc::clone(&answers))).unwrap();
    let mut object = Registration { namespaces: json!({}), ..Registration::of(&story.name, &story.name) }
        .object(&endpoint.url("/mutate"), &story.plane.authority.pem);
    // No other Pod of this control plane is any business of this story.
    object["webhooks"][0]["matchConditions"] =
        json!([{"name": "a-case", "expression": "has(request.options.fieldManager) && request.options.fieldManager.startsWith('case-')"}]);
    let _registered = Registered::make(story.api.clone(), &object);
    furnish(story, &cases);
    let pods = |case: &Case, manager: &str| format!("/api/v1/namespaces/{}/pods?dryRun=All&fieldManager={manager}", case.namespace);
    wait::until("the engine to be asked", || {
        story.api.post_text(&pods(&cases[0], &format!("case-{}", cases[0].name)), &case::json_of(&cases[0].pod));
        if answers.lock().unwrap().is_empty() { Err("it is not") } else { Ok(()) }
    });

    let (mut report, mut failed, mut apart) = (String::new(), 0, Vec::new());
    for case in cases.iter() {
        // What the cluster lacks, it has been given.
        let why = case.expect["why"].as_str().filter(|why| !why.starts_with("A server without"));
        let mut problems = Vec::new();
        let without = story.api.post_text(&pods(case, "without"), &case::json_of(&case.pod));
        if let (true, None) = (without.taken(), why) {
            let (first, with) = sent(story, case, &pods, &answers, &mut problems);
            problems.extend(first.iter().flat_map(|first| otherwise(case, first)));
            if with.taken() {
                problems.extend(finished(story, case, &pods, &with.body, &answers));
            }
        } else if let Some(why) = why {
            let expected = case::json_of(&case.expected_pod());
            let result = story.api.post_text(&pods(case, "without"), &expected);
            if comes_through(&case::json_of(&case.pod), &without) && comes_through(&expected, &result) {
                problems.push("it says that it can't be sent, and it can".to_owned());
            }
            // What a server drops or writes anew it takes all the same, from a webhook too.
            let asked = without.taken() && result.taken();
            if asked {
                sent(story, case, &pods, &answers, &mut problems);
            }
            apart.push((asked, format!("{}: {why}", case.name)));
        } else {
            problems.push(format!("the API server does not take the Pod, and the case does not say why: {}", without.message()));
        }
        if !problems.is_empty() {
            failed += 1;
            writeln!(report, "{} ({})\n  {}", case.name, case.about, problems.join("\n  ")).unwrap();
        }
    }
    let not_sent = apart.iter().filter(|(asked, _)| !asked).count();
    let not_compared = apart.len() - not_sent;
    say(&format!(
        "{}: {} cases sent, {failed} failed; {not_compared} of them taken, but not compared; not sent: {not_sent}",
        story.plane.version,
        cases.len() - not_sent
    ));
    for (asked, line) in &apart {
        say(&format!("  {}: {line}", if *asked { "not compared" } else { "not sent" }));
    }
    assert!(failed == 0, "{failed} of {} cases failed:\n{report}", cases.len());
}

/// Sends a case's Pod past the engine: what it answered first, and what comes back. What is wrong with either is added.
fn sent(
    story: &Story,
    case: &Case,
    pods: &dyn Fn(&Case, &str) -> String,
    answers: &Answers,
    problems: &mut Vec<String>,
) -> (Option<Admission>, Answer) {
    answers.lock().unwrap().remove(&case.name);
    let with = story.api.post_text(&pods(case, &format!("case-{}", case.name)), &case::json_of(&case.pod));
    let said = answers.lock().unwrap().remove(&case.name).unwrap_or_default();
    problems.extend(said.iter().flat_map(|admission| admission.faults.iter().map(|fault| format!("self-check: {fault}"))));
    if said.is_empty() {
        problems.push("the engine was not asked".to_owned());
    }
    if case.expect["outcome"] == "rejected" {
        if with.status != 403 {
            problems.push(format!("to be refused, but it is {}: {}", with.status, with.message()));
        }
    } else if !with.taken() {
        problems.push(format!("taken without, refused with: {} {}", with.status, with.message()));
    }
    (said.into_iter().next(), with)
}

/// What the engine says to a Pod as the API server shows it, against the case's own word.
fn otherwise(case: &Case, admission: &Admission) -> Vec<String> {
    let outcome = match admission.outcome {
        Outcome::Mutated => "patched",
        Outcome::Rejected => "rejected",
        Outcome::Unchanged if case.expect["outcome"] == "skipped" => "skipped",
        Outcome::Unchanged => "unchanged",
    };
    let applied: Vec<&str> = admission.applied.iter().map(|preset| preset.record()).collect();
    let conflicts = admission.conflicts.iter().filter(|conflict| !conflict.shadow);
    let mut conflicts: Vec<String> =
        conflicts.map(|found| format!("{} {} {} {}", found.preset, found.path, found.holder, found.kind.word())).collect();
    let mut wanted: Vec<String> = case.expect["conflicts"].as_array().into_iter().flatten().map(case::conflict_line).collect();
    conflicts.sort();
    wanted.sort();
    let skipped = json!(admission.skipped.map(Skip::word));
    let rows = [
        ("outcome", case.expect["outcome"].clone(), json!(outcome)),
        ("skipped", case.expect.get("skipped").cloned().unwrap_or(skipped.clone()), skipped),
        ("applied", case.expect.get("applied").cloned().unwrap_or(json!([])), json!(applied)),
        ("conflicts", json!(wanted), json!(conflicts)),
    ];
    let differ = rows.into_iter().filter(|(_, wanted, got)| wanted != got);
    differ.map(|(what, wanted, got)| format!("{what}: {wanted} by the case, {got} through the API server")).collect()
}

/// Whether a Pod is taken, and comes back with all that it had.
fn comes_through(sent: &str, answer: &Answer) -> bool {
    fn within(sent: &Value, got: &Value) -> bool {
        match (sent, got) {
            (Value::Object(sent), Value::Object(got)) => sent.iter().all(|(key, sent)| got.get(key).is_some_and(|got| within(sent, got))),
            (Value::Array(sent), Value::Array(got)) => sent.iter().zip(got).all(|(sent, got)| within(sent, got)) && sent.len() <= got.len(),
            _ => sent == got,
        }
    }
    answer.taken() && serde_json::from_str(sent).is_ok_and(|sent: Value| within(&sent, &answer.body))
}

/// What came back, against the case's own word and sent again.
fn finished(story: &Story, case: &Case, pods: &dyn Fn(&Case, &str) -> String, got: &Value, answers: &Answers) -> Vec<String> {
    let mut problems = Vec::new();
    // The case's result, sent as it is past the engine, is defaulted alike.
    let expected = story.api.post_text(&pods(case, "without"), &case::json_of(&case.expected_pod()));
    if expected.taken() {
        if let Some(difference) = compare::difference(&sorted(got), &sorted(&expected.body)) {
            problems.push(format!("not what the case says: {difference}"));
        }
    } else {
        problems.push(format!("the case's result is refused: {}", expected.message()));
    }
    let mut again = got.clone();
    again.as_object_mut().unwrap().remove("status");
    let again = story.api.post(&pods(case, &format!("case-{}", case.name)), &again);
    let said = answers.lock().unwrap().remove(&case.name).unwrap_or_default();
    if said.is_empty() {
        problems.push("sent again, the engine was not asked".to_owned());
    }
    for admission in said.iter().filter(|admission| admission.operations > 0) {
        problems.push(format!("sent again, it gets {} operations", admission.operations));
    }
    if !again.taken() {
        problems.push(format!("sent again, it is refused: {}", again.message()));
    }
    problems
}

/// Without what differs between any two Pods, and lists in which order says nothing sorted: the API server's own volumes, mounts and
/// tolerations come before a webhook is asked, and so before the preset's.
pub fn sorted(pod: &Value) -> Value {
    fn sort(list: Option<&mut Value>) {
        if let Some(list) = list.and_then(Value::as_array_mut) {
            list.sort_by_key(Value::to_string);
        }
    }
    let mut pod = compare::plain(pod);
    let spec = &mut pod["spec"];
    sort(spec.get_mut("volumes"));
    sort(spec.get_mut("tolerations"));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            sort(container.get_mut("volumeMounts"));
        }
    }
    pod
}

fn reply(cases: Arc<Vec<Case>>, answers: Arc<Answers>) -> Arc<Reply> {
    Arc::new(move |_, body| {
        let manager = serde_json::from_str::<Value>(body)
            .ok()
            .and_then(|review| review["request"]["options"]["fieldManager"].as_str().map(str::to_owned));
        let name = manager.as_deref().and_then(|manager| manager.strip_prefix("case-")).unwrap_or_default();
        let Some(case) = cases.iter().find(|case| case.name == name) else { return (404, format!("no case {name}")) };
        match answer(body, &case.presets, &case.labels) {
            Ok((admission, out)) => {
                answers.lock().unwrap().entry(name.to_owned()).or_default().push(admission);
                (200, out)
            }
            Err(refusal) => (500, refusal),
        }
    })
}

/// The engine's answer to a review, with these presets, from a namespace with these labels.
pub fn answer(body: &str, presets: &PresetSet, labels: &[(String, String)]) -> Result<(Admission, String), String> {
    let exempt: Vec<String> = ["kube-system", "kube-public", "kube-node-lease", "podgraft"].map(str::to_owned).to_vec();
    let world = World { exempt_namespaces: &exempt, namespace_labels: &|_| Some(labels.to_vec()) };
    let mut out = String::new();
    match admit::answer(body, presets, &world, &mut Scratch::default(), &mut out) {
        Ok(admission) => Ok((admission, out)),
        Err(refusal) => Err(format!("{refusal:?}")),
    }
}

/// What Pods and presets of the cases name: namespaces, service accounts, classes.
fn furnish(story: &Story, cases: &[Case]) {
    let make = |path: &str, object: Value| {
        let made = story.api.post(path, &object);
        assert!(made.taken() || made.status == 409, "{path}: {}", made.message());
    };
    // What a Pod has of its class already, the class must say. Pods first: what only presets name can be anything.
    for case in cases {
        story.plane.namespace(&case.namespace, &json!({})).unwrap();
        let pod: Value = serde_json::from_str(&case::json_of(&case.pod)).unwrap_or_default();
        let spec = &pod["spec"];
        if let Some(name) = spec["priorityClassName"].as_str().filter(|name| !name.starts_with("system-")) {
            make(PRIORITY_CLASSES, priority_class(name, &spec["priority"], &spec["preemptionPolicy"]));
        }
        if let Some(name) = spec["runtimeClassName"].as_str() {
            make(RUNTIME_CLASSES, runtime_class(name, &spec["overhead"], &spec["nodeSelector"]));
        }
    }
    for case in cases {
        let text = format!("{} {} {}", case::json_of(&case.pod), case::json_of(&case.expected_pod()), case.expect);
        for name in named(&text, "serviceAccountName").chain(named(&text, "serviceAccount")) {
            let path = format!("/api/v1/namespaces/{}/serviceaccounts", case.namespace);
            make(&path, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}));
        }
        for name in named(&text, "priorityClassName").filter(|name| !name.starts_with("system-")) {
            make(PRIORITY_CLASSES, priority_class(name, &Value::Null, &Value::Null));
        }
        for name in named(&text, "runtimeClassName") {
            make(RUNTIME_CLASSES, runtime_class(name, &Value::Null, &Value::Null));
        }
    }
}

const PRIORITY_CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
const RUNTIME_CLASSES: &str = "/apis/node.k8s.io/v1/runtimeclasses";

fn priority_class(name: &str, value: &Value, preemption: &Value) -> Value {
    let value = value.as_i64().unwrap_or(1000);
    let mut class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value});
    if preemption.is_string() {
        class["preemptionPolicy"] = preemption.clone();
    }
    class
}

fn runtime_class(name: &str, overhead: &Value, nodes: &Value) -> Value {
    let mut class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "runc"});
    if overhead.is_object() {
        class["overhead"] = json!({"podFixed": overhead});
    }
    if nodes.is_object() {
        class["scheduling"] = json!({"nodeSelector": nodes});
    }
    class
}

/// The texts that stand under a key.
pub fn named<'t>(text: &'t str, key: &str) -> impl Iterator<Item = &'t str> + use<'t> {
    let quoted = format!("\"{key}\":\"");
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(&quoted)? + quoted.len();
        let end = rest[start..].find('"')? + start;
        let found = &rest[start..end];
        rest = &rest[end..];
        Some(found)
    })
    .filter(|name| !name.is_empty())
}
