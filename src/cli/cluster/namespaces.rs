//! The labels of namespaces, and Podgraft's own one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Cluster, ClusterArgs, Listed};
use crate::cli::source::Fault;

/// Labels by namespace.
pub type Labels = BTreeMap<String, Vec<(String, String)>>;

/// Podgraft's own namespace where nobody says it.
const OWN: &str = "podgraft";

/// The labels of these namespaces, and what is to be told about those that cannot be read.
///
/// # Errors
/// Nobody answers.
pub fn labels(cluster: &Cluster, names: &BTreeSet<String>) -> Result<(Labels, Vec<String>), Fault> {
    let (mut known, mut notes) = (Labels::new(), Vec::new());
    for name in names {
        let answer = cluster.get(&format!("/api/v1/namespaces/{name}"))?;
        if answer.is_fine() {
            known.insert(name.clone(), of(&answer.value()));
        } else {
            notes.push(format!(
                "warning: the labels of the namespace {name} are not known ({}): a namespaceSelector is judged by its name only, or give \
                 --namespace-labels",
                answer.message()
            ));
        }
    }
    Ok((known, notes))
}

/// All namespaces with their labels; the API server's words where they cannot be read.
///
/// # Errors
/// Nobody answers.
pub fn all(cluster: &Cluster) -> Result<Result<Labels, String>, Fault> {
    let pages = match cluster.list("/api/v1/namespaces", "")? {
        Listed::Pages(pages) => pages,
        Listed::NoSuchKind => Vec::new(),
        Listed::Refused(words) => return Ok(Err(words)),
    };
    let mut known = Labels::new();
    for page in pages {
        let page: Value = serde_json::from_str(&page).unwrap_or_default();
        for namespace in page["items"].as_array().into_iter().flatten() {
            let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
            known.insert(name.to_owned(), of(namespace));
        }
    }
    Ok(Ok(known))
}

fn of(namespace: &Value) -> Vec<(String, String)> {
    let labels = namespace["metadata"]["labels"].as_object().into_iter().flatten();
    labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// Podgraft's own namespace: the one that was named, or the one of the Service in its registration, where there is one that can be read.
///
/// # Errors
/// Nobody answers.
pub fn own(cluster: &Cluster, args: &ClusterArgs) -> Result<String, Fault> {
    if let Some(name) = &args.podgraft_namespace {
        return Ok(name.clone());
    }
    let answer = cluster.get("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations")?;
    let list = answer.value();
    let of_service = list["items"].as_array().into_iter().flatten().filter(|one| is_ours(one)).find_map(|one| {
        let webhooks = one["webhooks"].as_array()?;
        webhooks.iter().find_map(|webhook| webhook["clientConfig"]["service"]["namespace"].as_str())
    });
    Ok(of_service.unwrap_or(OWN).to_owned())
}

/// Whether a webhook configuration is Podgraft's: by its name, by the label that the chart sets, or by the names of its webhooks.
#[must_use]
pub fn is_ours(configuration: &Value) -> bool {
    let metadata = &configuration["metadata"];
    let webhooks = configuration["webhooks"].as_array().into_iter().flatten();
    metadata["name"] == "podgraft"
        || metadata["labels"]["app.kubernetes.io/name"] == "podgraft"
        || webhooks.filter_map(|webhook| webhook["name"].as_str()).any(|name| name.ends_with(".podgraft.dev"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whose_a_registration_is() {
        assert!(is_ours(&json!({"metadata": {"name": "podgraft"}})));
        assert!(is_ours(&json!({"metadata": {"name": "x", "labels": {"app.kubernetes.io/name": "podgraft"}}})));
        assert!(is_ours(&json!({"metadata": {"name": "x"}, "webhooks": [{"name": "a.b.c"}, {"name": "pods.podgraft.dev"}]})));
        assert!(!is_ours(&json!({"metadata": {"name": "istio"}, "webhooks": [{"name": "a.b.c"}]})));
    }
}
