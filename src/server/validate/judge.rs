//! What a review of presets comes to, but for its author.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::objects;
use crate::document::{Document, Problem, Reading, Severity};
use crate::preset::{Preset, PresetKey, Scope};
use crate::report::{MAX_WARNINGS, one_line};
use crate::review::change::Change;
use crate::review::refusal::Cause;
use crate::server::store::config_maps::{LABEL, Place};
use crate::tree::{NodeId, Tree};

/// Problems that an answer names at most: an object of 1 MiB can have more than anybody reads.
const MOST_CAUSES: usize = 200;

/// What an object's presets come to.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The object's kind.
    pub kind: String,
    /// What is wrong; empty: the object is valid, or holds no presets.
    pub causes: Vec<Cause>,
    /// The presets that it holds.
    pub presets: Vec<PresetKey>,
    /// Where its author must be allowed to create Pods.
    pub planted: Option<Planted>,
    warnings: Vec<String>,
    source: String,
}

/// Presets that are new, or say something new, and change Pods of one namespace.
#[derive(Debug, PartialEq, Eq)]
pub struct Planted {
    /// The namespace.
    pub namespace: String,
}

impl Planted {
    /// What an author is told who may not create Pods there.
    #[must_use]
    pub fn forbidden(&self, author: &str) -> String {
        let Planted { namespace } = self;
        one_line(&format!("a preset of the namespace {namespace} changes its Pods, and {author} may not create Pods there"))
    }
}

impl Judgement {
    /// The warnings of the answer: eight at most.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.warnings.iter().map(|line| one_line(line)).collect();
        if lines.len() > MAX_WARNINGS {
            let more = lines.len() - (MAX_WARNINGS - 1);
            lines.truncate(MAX_WARNINGS - 1);
            lines.push(format!("and {more} more; `podgraft check` shows all"));
        }
        lines
    }

    /// The causes that are told, and all of them in one text.
    #[must_use]
    pub fn told(&self) -> (Vec<Cause>, String) {
        let mut causes: Vec<Cause> = self.causes.iter().take(MOST_CAUSES).cloned().collect();
        if self.causes.len() > MOST_CAUSES {
            let more = self.causes.len() - MOST_CAUSES;
            causes.push(Cause { field: "and".to_owned(), message: format!("{more} more; `podgraft check` shows all") });
        }
        let mut message = String::new();
        for Cause { field, message: text } in &causes {
            let separator = if message.is_empty() { "" } else { "; " };
            // Writing to a String does not fail.
            let _ = write!(message, "{separator}{field}: {text}");
        }
        (causes, message)
    }
}

/// Judges what a request writes. Of anything that holds no presets, or leaves them as they were, nothing is said.
#[must_use]
pub fn judge(change: &Change<'_>, own_namespace: &str) -> Judgement {
    let written = matches!(change.operation.as_str(), "CREATE" | "UPDATE") && change.sub_resource.is_empty();
    let Some(object) = change.object().filter(|_| written) else { return Judgement::default() };
    let (tree, old) = (change.tree(), change.old());
    match change.resource.each_ref().map(String::as_str) {
        ["", "v1", "configmaps"] => {
            let kept = |old: NodeId| labelled(tree, old) && same(tree, tree.get(object, "data"), tree.get(old, "data"));
            if !labelled(tree, object) || old.is_some_and(kept) {
                return Judgement::default();
            }
            config_map(change, object, own_namespace)
        }
        ["podgraft.dev", _, "podpresets" | "clusterpodpresets"] => {
            let kept = |old: NodeId| same(tree, tree.get(object, "spec"), tree.get(old, "spec"));
            if old.is_some_and(kept) {
                return Judgement::default();
            }
            custom_resource(change, object)
        }
        _ => Judgement::default(),
    }
}

/// Warns of presets that are in force from another ConfigMap.
pub fn meet(judgement: &mut Judgement, in_force: &[Arc<Preset>]) {
    if judgement.presets.is_empty() || !judgement.source.starts_with("configmap ") {
        return;
    }
    for preset in in_force {
        let (key, origin) = (&preset.spec().key, &preset.spec().origin);
        let elsewhere = origin.source.starts_with("configmap ") && !of_object(&origin.source, &judgement.source);
        if elsewhere && judgement.presets.contains(key) {
            judgement.warnings.push(format!("{key} is also in {}: neither counts until one of them is gone", origin.source));
        }
    }
}

/// Whether a text stands in an object: `configmap shop/a key x.yaml` in `configmap shop/a`.
fn of_object(source: &str, object: &str) -> bool {
    source.strip_prefix(object).is_some_and(|rest| rest.starts_with(" key "))
}

fn labelled(tree: &Tree<'_>, object: NodeId) -> bool {
    tree.at(object, &["metadata", "labels", LABEL]).and_then(|label| tree.str(label)) == Some("true")
}

fn same(tree: &Tree<'_>, one: Option<NodeId>, other: Option<NodeId>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => tree.same(one, tree, other),
        (None, None) => true,
        _ => false,
    }
}

fn config_map(change: &Change<'_>, object: NodeId, own_namespace: &str) -> Judgement {
    let tree = change.tree();
    let data: BTreeMap<String, String> = tree
        .present(object, "data")
        .into_iter()
        .flat_map(|data| tree.children(data))
        .map(|entry| (tree.key(entry).to_owned(), tree.str(entry).unwrap_or_default().to_owned()))
        .collect();
    let source = format!("configmap {}/{}", change.namespace, change.name);
    let documents = objects::config_map(&Place { own: own_namespace, namespace: &change.namespace, name: &change.name }, &data);
    let place = |problem: &Problem| {
        let key = problem.source.strip_prefix(&source).and_then(|rest| rest.strip_prefix(" key ")).unwrap_or(&problem.source);
        let path = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
        Cause {
            field: format!("data[{key}]"),
            message: format!("line {}, column {}: {path}{}", problem.line, problem.column, problem.text),
        }
    };
    judgement("ConfigMap", source.clone(), &change.namespace, &documents, place)
}

fn custom_resource(change: &Change<'_>, object: NodeId) -> Judgement {
    let tree = change.tree();
    let kind = tree.get_str(object, "kind").unwrap_or("PodPreset").to_owned();
    let [_, _, plural] = &change.resource;
    let mut text = String::new();
    if let Some(spec) = tree.get(object, "spec") {
        tree.write(spec, &mut text);
    }
    let spec = serde_json::from_str(&text).unwrap_or_default();
    let source = format!("{plural} {}", change.name);
    let documents = objects::custom_resource(plural, &change.namespace, &change.name, &spec);
    // Nobody wrote the lines that the API server sends.
    let place = |problem: &Problem| Cause { field: problem.path.clone(), message: problem.text.clone() };
    judgement(&kind, source, &change.namespace, &documents, place)
}

fn judgement(kind: &str, source: String, namespace: &str, documents: &[Document], place: impl Fn(&Problem) -> Cause) -> Judgement {
    let mut judgement = Judgement { kind: kind.to_owned(), source, ..Judgement::default() };
    for problem in documents.iter().flat_map(|document| &document.problems) {
        let cause = place(problem);
        match problem.severity {
            Severity::Error => judgement.causes.push(cause),
            Severity::Warning if cause.field.is_empty() => judgement.warnings.push(cause.message),
            Severity::Warning => judgement.warnings.push(format!("{}: {}", cause.field, cause.message)),
        }
    }
    judgement.presets = documents
        .iter()
        .filter_map(|document| match &document.reading {
            Reading::Preset(spec) => Some(spec.key.clone()),
            Reading::Refused { .. } | Reading::Ignored => None,
        })
        .collect();
    let namespaced = judgement.presets.iter().any(|key| matches!(key.scope, Scope::Namespace(_)));
    judgement.planted = namespaced.then(|| Planted { namespace: namespace.to_owned() });
    judgement
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GOOD: &str = "apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nspec: {selector: {}, env: [{name: A, value: s3cret}]}\n";

    fn map(text: &str) -> Value {
        json!({"metadata": {"labels": {LABEL: "true"}}, "data": {"one.yaml": text}})
    }

    fn judged(operation: &str, resource: &Value, object: &Value, old: &Value) -> Judgement {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "operation": operation, "resource": resource, "name": "team", "namespace": "shop", "object": object, "oldObject": old}});
        judge(&Change::decode(&body.to_string()).unwrap(), "podgraft")
    }

    fn of_map(operation: &str, object: &Value, old: &Value) -> Judgement {
        judged(operation, &json!({"group": "", "version": "v1", "resource": "configmaps"}), object, old)
    }

    fn is_left_alone(judgement: &Judgement) -> bool {
        judgement.causes.is_empty() && judgement.planted.is_none() && judgement.warnings().is_empty()
    }

    #[test]
    fn what_is_new_is_judged_and_what_stays_is_not() {
        let (good, bad) = (map(GOOD), map("{{{"));
        let mut unlabelled = good.clone();
        unlabelled["metadata"]["labels"] = json!({LABEL: "yes"});
        let mut annotated = bad.clone();
        annotated["metadata"]["annotations"] = json!({"a": "b"});
        for (operation, object, old, alone) in [
            ("CREATE", &good, &Value::Null, false),
            ("UPDATE", &good, &unlabelled, false),
            ("UPDATE", &good, &bad, false),
            ("UPDATE", &bad, &good, false),
            ("UPDATE", &good, &good, true),
            // A finalizer can be taken from what is broken.
            ("UPDATE", &annotated, &bad, true),
            ("UPDATE", &unlabelled, &good, true),
            ("CREATE", &unlabelled, &Value::Null, true),
            ("DELETE", &Value::Null, &good, true),
            ("CONNECT", &good, &Value::Null, true),
        ] {
            assert_eq!(is_left_alone(&of_map(operation, object, old)), alone, "{operation} {object} {old}");
        }
        let judgement = of_map("CREATE", &good, &Value::Null);
        assert_eq!(judgement.planted, Some(Planted { namespace: "shop".to_owned() }));
        assert_eq!(judgement.presets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["PodPreset shop/one"]);
    }

    #[test]
    fn each_problem_has_its_place() {
        let judgement = of_map("CREATE", &map(&GOOD.replace("s3cret", "5432").replace("selector", "selektor")), &Value::Null);
        let (causes, message) = judgement.told();
        assert_eq!(causes.len(), 3, "{causes:?}");
        assert!(causes.iter().all(|cause| cause.field == "data[one.yaml]" && cause.message.starts_with("line 3, column ")), "{causes:?}");
        assert!(message.contains("spec.selektor: ") && message.contains("; data[one.yaml]: ") && !message.contains("5432"), "{message}");
        let resource = json!({"group": "podgraft.dev", "version": "v1beta1", "resource": "podpresets"});
        let object =
            json!({"kind": "PodPreset", "metadata": {"name": "team"}, "spec": {"selector": {}, "env": [{"name": "A", "value": 5}]}});
        let judgement = judged("CREATE", &resource, &object, &Value::Null);
        assert_eq!((judgement.kind.as_str(), judgement.causes[0].field.as_str()), ("PodPreset", "spec.env[0].value"));
        assert!(is_left_alone(&judged("UPDATE", &resource, &object, &object)));
    }

    #[test]
    fn cluster_presets_plant_nothing_in_a_namespace() {
        let resource = json!({"group": "podgraft.dev", "version": "v1beta1", "resource": "clusterpodpresets"});
        let object = json!({"kind": "ClusterPodPreset", "spec": {"selector": {}, "env": [{"name": "A", "value": "5"}]}});
        let judgement = judged("CREATE", &resource, &object, &Value::Null);
        assert!(judgement.causes.is_empty() && judgement.planted.is_none() && judgement.presets.len() == 1);
        // In a ConfigMap elsewhere than in Podgraft's own namespace it is refused.
        let judgement = of_map("CREATE", &map(&GOOD.replace("PodPreset", "ClusterPodPreset")), &Value::Null);
        assert_eq!(judgement.causes.len(), 1);
    }

    #[test]
    fn a_preset_of_another_config_map_is_met() {
        let held = |source: &str| {
            let mut spec = match &crate::document::read(
                source,
                &GOOD.replace("kind: PodPreset\n", "kind: PodPreset\nmetadata: {name: one, namespace: shop}\n"),
                &crate::document::ReadOptions { default_namespace: "" },
            )[0]
            .reading
            {
                Reading::Preset(spec) => (**spec).clone(),
                other => panic!("{other:?}"),
            };
            spec.origin.source = source.to_owned();
            [Arc::new(Preset::compile(spec))]
        };
        for (source, met) in [
            ("configmap shop/other key one.yaml", 1),
            ("configmap shop/team key one.yaml", 0),
            ("configmap shop/team2 key one.yaml", 1),
            ("presets/one.yaml", 0),
        ] {
            let mut judgement = of_map("CREATE", &map(GOOD), &Value::Null);
            meet(&mut judgement, &held(source));
            assert_eq!(judgement.warnings().len(), met, "{source}");
        }
    }

    #[test]
    fn of_many_some_are_told() {
        let text: String = (0..300)
            .map(|number| format!("apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: p{number}}}\nspec: 1\n---\n"))
            .collect();
        let (causes, message) = of_map("CREATE", &map(&text), &Value::Null).told();
        assert_eq!(causes.len(), MOST_CAUSES + 1);
        assert!(message.ends_with("100 more; `podgraft check` shows all"), "{}", &message[message.len() - 100..]);
    }
}
