//! Pods and Pod templates in a document: where they are, and what their controller is known to add.

use crate::pod::{EXCLUDE, EXCLUDE_NAMES};
use crate::tree::{NodeId, Tree, View};

/// The value of a label of which only the controller knows the value (a hash, a UID, the name of a Job that a `CronJob` makes). It counts for
/// `Exists` and `DoesNotExist`.
pub const UNKNOWN: &str = "podgraft-unknown";

/// A Pod or a Pod template.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The kind of the object that it is or that has it.
    pub kind: String,
    /// The object's namespace, or the one for objects that name none.
    pub namespace: String,
    /// The object's name; `PREFIX*` where it has a `generateName`, "" where it has neither.
    pub name: String,
    /// The JSON Pointer from the document's root to the Pod or template.
    pub pointer: String,
    /// The Pod or template.
    pub node: NodeId,
    /// Labels that the controller will set on the Pods.
    pub labels: Vec<(String, String)>,
    /// Names of claim templates, which are volumes of the Pods.
    pub claims: Vec<String>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

impl std::fmt::Display for Workload {
    /// `Deployment shop/web`
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.name.is_empty() { "(no name)" } else { &self.name };
        write!(formatter, "{} {}/{name}", self.kind, self.namespace)
    }
}

/// All Pods and Pod templates of a document, those of lists in lists too.
#[must_use]
pub fn find(tree: &Tree<'_>, namespace: &str) -> Vec<Workload> {
    let mut found = Vec::new();
    if !tree.is_empty() {
        collect(tree, NodeId::ROOT, "", None, namespace, &mut found);
    }
    found
}

fn collect(tree: &Tree<'_>, node: NodeId, pointer: &str, kind_of_items: Option<&str>, namespace: &str, found: &mut Vec<Workload>) {
    // The items of a DeploymentList may lack apiVersion and kind.
    let Some(kind) = tree.get_str(node, "kind").or(kind_of_items) else { return };
    let known_group = match tree.get_str(node, "apiVersion").map(|version| version.split_once('/').map_or("", |(group, _)| group)) {
        Some("") => matches!(kind, "Pod" | "ReplicationController" | "PodTemplate") || kind.ends_with("List"),
        Some("apps" | "extensions") => ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"].iter().any(|known| kind.starts_with(known)),
        Some("batch") => kind.starts_with("Job") || kind.starts_with("CronJob"),
        Some(_) => false,
        None => kind_of_items.is_some(),
    };
    if !known_group {
        return;
    }
    if let (Some(item), Some(items)) = (kind.strip_suffix("List"), tree.present(node, "items")) {
        for (index, entry) in tree.children(items).enumerate() {
            collect(tree, entry, &format!("{pointer}/items/{index}"), (!item.is_empty()).then_some(item), namespace, found);
        }
        return;
    }
    let path: &[&str] = match kind {
        "Pod" => &[],
        "PodTemplate" => &["template"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController" | "Job" => &["spec", "template"],
        _ => return,
    };
    let Some(template) = tree.at(node, path).filter(|template| matches!(tree.view(*template), View::Object)) else { return };
    let metadata = |key: &str| tree.at(node, &["metadata", key]).and_then(|value| tree.str(value)).filter(|value| !value.is_empty());
    let name = metadata("name").map(str::to_owned).or_else(|| metadata("generateName").map(|prefix| format!("{prefix}*")));
    let pointer = path.iter().fold(pointer.to_owned(), |pointer, step| format!("{pointer}/{step}"));
    found.push(Workload {
        kind: kind.to_owned(),
        namespace: metadata("namespace").unwrap_or(namespace).to_owned(),
        labels: controller_labels(tree, node, kind, metadata("name")),
        claims: claims(tree, node, kind),
        warnings: misplaced(tree, node, template, kind, path),
        name: name.unwrap_or_default(),
        pointer,
        node: template,
    });
}

/// Labels that controllers of Kubernetes set. Source: Kubernetes reference, "Well-Known Labels, Annotations and Taints". Of a `StatefulSet` and
/// an Indexed `Job`, the labels of the first Pod.
fn controller_labels(tree: &Tree<'_>, node: NodeId, kind: &str, name: Option<&str>) -> Vec<(String, String)> {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let spec = |path: &[&str]| tree.present(node, "spec").and_then(|spec| tree.at(spec, path));
    match kind {
        "Deployment" => vec![label("pod-template-hash", UNKNOWN)],
        "DaemonSet" => vec![label("controller-revision-hash", UNKNOWN), label("pod-template-generation", UNKNOWN)],
        "StatefulSet" => {
            let first = spec(&["ordinals", "start"]).and_then(|start| tree.int(start)).unwrap_or(0).to_string();
            let pod = name.map_or_else(|| UNKNOWN.to_owned(), |name| format!("{name}-{first}"));
            vec![
                label("apps.kubernetes.io/pod-index", &first),
                label("controller-revision-hash", UNKNOWN),
                label("statefulset.kubernetes.io/pod-name", &pod),
            ]
        }
        "Job" | "CronJob" => {
            let inner: &[&str] = if kind == "Job" { &["completionMode"] } else { &["jobTemplate", "spec", "completionMode"] };
            let job = name.filter(|_| kind == "Job").unwrap_or(UNKNOWN);
            let mut labels = vec![
                label("batch.kubernetes.io/controller-uid", UNKNOWN),
                label("batch.kubernetes.io/job-name", job),
                label("controller-uid", UNKNOWN),
                label("job-name", job),
            ];
            if spec(inner).and_then(|mode| tree.str(mode)) == Some("Indexed") {
                labels.push(label("batch.kubernetes.io/job-completion-index", "0"));
            }
            labels
        }
        _ => Vec::new(),
    }
}

fn claims(tree: &Tree<'_>, node: NodeId, kind: &str) -> Vec<String> {
    let templates = tree.at(node, &["spec", "volumeClaimTemplates"]).filter(|_| kind == "StatefulSet");
    templates
        .into_iter()
        .flat_map(|templates| tree.children(templates))
        .filter_map(|claim| tree.str(tree.at(claim, &["metadata", "name"])?).map(str::to_owned))
        .collect()
}

/// Annotations that work on Pods only, on the object around them.
fn misplaced(tree: &Tree<'_>, node: NodeId, template: NodeId, kind: &str, path: &[&str]) -> Vec<String> {
    let has = |object: NodeId, key: &str| tree.at(object, &["metadata", "annotations", key]).is_some();
    let place = path.join(".");
    [EXCLUDE, EXCLUDE_NAMES]
        .into_iter()
        .filter(|key| !path.is_empty() && has(node, key) && !has(template, key))
        .map(|key| format!("the annotation {key} does nothing on a {kind}: write it into {place}.metadata.annotations"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Vec<Workload> {
        find(&crate::tree::parse(json).unwrap(), "default")
    }

    #[test]
    fn kinds_with_templates_and_no_others() {
        for (version, kind, pointer) in [
            ("v1", "Pod", Some("")),
            ("v1", "ReplicationController", Some("/spec/template")),
            ("v1", "PodTemplate", Some("/template")),
            ("apps/v1", "Deployment", Some("/spec/template")),
            ("extensions/v1beta1", "Deployment", Some("/spec/template")),
            ("apps/v1", "ReplicaSet", Some("/spec/template")),
            ("apps/v1", "StatefulSet", Some("/spec/template")),
            ("apps/v1", "DaemonSet", Some("/spec/template")),
            ("batch/v1", "Job", Some("/spec/template")),
            ("batch/v1", "CronJob", Some("/spec/jobTemplate/spec/template")),
            ("argoproj.io/v1alpha1", "Rollout", None),
            ("example.org/v1", "Deployment", None),
            ("v1", "ConfigMap", None),
            ("v1", "Deployment", None),
        ] {
            let object = r#"{"template":{},"spec":{"template":{},"jobTemplate":{"spec":{"template":{}}}}"#;
            let json = format!("{object},\"apiVersion\":\"{version}\",\"kind\":\"{kind}\"}}");
            let pointers: Vec<String> = found(&json).into_iter().map(|workload| workload.pointer).collect();
            assert_eq!(pointers, pointer.into_iter().collect::<Vec<_>>(), "{version} {kind}");
        }
    }

    #[test]
    fn lists_in_lists_and_typed_lists() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a-","namespace":"n"}}"#;
        let typed = r#"{"apiVersion":"apps/v1","kind":"DeploymentList","items":[{"spec":{"template":{}}}]}"#;
        let list = format!(
            r#"{{"apiVersion":"v1","kind":"List","items":[{{"kind":"Secret"}},{pod},{{"apiVersion":"v1","kind":"List","items":[{typed}]}}]}}"#
        );
        let found = found(&list);
        assert_eq!(
            found.iter().map(|workload| workload.pointer.as_str()).collect::<Vec<_>>(),
            ["/items/1", "/items/2/items/0/items/0/spec/template"]
        );
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Pod n/a-*", "Deployment default/(no name)"]);
    }

    #[test]
    fn what_controllers_add_and_what_authors_misplace() {
        let set = r#"{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db","annotations":{"podgraft.dev/exclude":"x"}},
            "spec":{"ordinals":{"start":3},"volumeClaimTemplates":[{"metadata":{"name":"data"}}],"template":{}}}"#;
        let workload = found(set).remove(0);
        assert!(workload.labels.contains(&("statefulset.kubernetes.io/pod-name".into(), "db-3".into())));
        assert_eq!(workload.claims, ["data"]);
        assert_eq!(workload.warnings.len(), 1);
        let job = r#"{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"c"},"spec":{"jobTemplate":{"spec":{"completionMode":"Indexed","template":{}}}}}"#;
        let workload = found(job).remove(0);
        assert!(workload.labels.contains(&("batch.kubernetes.io/job-completion-index".into(), "0".into())));
        assert!(workload.labels.contains(&("batch.kubernetes.io/job-name".into(), UNKNOWN.into())));
    }
}
