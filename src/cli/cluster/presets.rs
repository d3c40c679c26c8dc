//! The presets of a cluster: its ConfigMaps and custom resources, as far as they may be read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Cluster, Listed, encoded};
use crate::cli::presets::{Loaded, compile};
use crate::cli::source::Fault;
use crate::document::{self, Document, Problem, Reading, Severity};
use crate::preset::{PresetKey, PresetSet, Scope};
use crate::server::store::config_maps::Place;
use crate::server::validate::objects;

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Documents of custom resources, then those of ConfigMaps; a preset that both have is refused in the latter.
    pub documents: Vec<Document>,
    /// What could not be read, a sentence each.
    pub unread: Vec<String>,
}

/// Which namespaces matter.
#[derive(Clone, Copy, Debug)]
pub enum Scoped<'s> {
    /// All; where only some may be read, these.
    All(&'s BTreeSet<String>),
    /// These, and what is in no namespace.
    In(&'s BTreeSet<String>),
}

/// Reads them. `own`: Podgraft's namespace, whose ConfigMaps may have ClusterPodPresets.
///
/// # Errors
/// Nobody answers.
pub fn gather(cluster: &Cluster, scoped: Scoped<'_>, own: &str) -> Result<Gathered, Fault> {
    let mut gathered = Gathered::default();
    let nothing = BTreeSet::new();
    let (Scoped::All(named) | Scoped::In(named)) = scoped;
    let query = format!("labelSelector={}", encoded("podgraft.dev/presets=true"));
    let with_own: BTreeSet<String> = named.iter().cloned().chain([own.to_owned()]).collect();
    let maps = pages(cluster, &mut gathered.unread, ("ConfigMaps", "/api/v1", "configmaps"), &with_own, &query)?;
    let custom = "/apis/podgraft.dev/v1beta1";
    let mut documents = Vec::new();
    // Asked first: who may not read a kind is told so whether it is installed or not.
    let installed = cluster.get(custom)?.status != 404;
    let kinds = [("PodPresets", "podpresets", named), ("ClusterPodPresets", "clusterpodpresets", &nothing)];
    for (what, plural, names) in kinds.into_iter().filter(|_| installed) {
        let resources = pages(cluster, &mut gathered.unread, (what, custom, plural), names, "")?;
        documents.extend(resources.iter().flat_map(|page| custom_resources(plural, page)));
    }
    let mut of_maps: Vec<Document> = maps.iter().flat_map(|page| config_maps(page, own)).collect();
    document::refuse_twins(&mut of_maps);
    yield_to(&mut of_maps, &documents);
    documents.append(&mut of_maps);
    documents.retain(|document| match (scoped, document.key().map(|key| &key.scope)) {
        (Scoped::In(names), Some(Scope::Namespace(namespace))) => names.contains(namespace),
        // Without a key nobody knows whom it would concern: those who look at everything, or at its namespace.
        (Scoped::In(names), None) => names.iter().any(|name| document.origin.source.contains(&format!(" {name}/"))),
        _ => true,
    });
    gathered.documents = documents;
    Ok(gathered)
}

impl Gathered {
    /// The good presets, and what is to be told about the others.
    #[must_use]
    pub fn loaded(self) -> Loaded {
        let Gathered { documents, unread } = self;
        let problems: Vec<&Problem> = documents.iter().flat_map(|document| &document.problems).collect();
        let bad = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let mut notes: Vec<String> = bad.map(|problem| format!("error: {problem}")).collect();
        let refused = !notes.is_empty();
        if refused {
            notes.push("note: of a preset that is refused Podgraft keeps the last good version, which is not known here".to_owned());
        }
        notes.extend(unread.into_iter().map(|text| format!("warning: {text}")));
        Loaded { set: PresetSet::new(compile(documents)), notes, refused }
    }
}

/// The pages of a list: of all namespaces, or of those named where that is not permitted.
fn pages(
    cluster: &Cluster,
    unread: &mut Vec<String>,
    (what, group, resource): (&str, &str, &str),
    names: &BTreeSet<String>,
    query: &str,
) -> Result<Vec<String>, Fault> {
    let words = match cluster.list(&format!("{group}/{resource}"), query)? {
        Listed::Pages(pages) => return Ok(pages),
        Listed::NoSuchKind => return Ok(Vec::new()),
        Listed::Refused(words) => words,
    };
    if names.is_empty() {
        unread.push(format!("{what} cannot be read, and are not considered: {words}"));
    }
    let mut all = Vec::new();
    for name in names {
        match cluster.list(&format!("{group}/namespaces/{name}/{resource}"), query)? {
            Listed::Pages(pages) => all.extend(pages),
            Listed::NoSuchKind => {}
            Listed::Refused(words) => {
                unread.push(format!("{what} of the namespace {name} cannot be read, and are not considered: {words}"));
            }
        }
    }
    Ok(all)
}

fn config_maps(page: &str, own: &str) -> Vec<Document> {
    let list: Value = serde_json::from_str(page).unwrap_or_default();
    let mut documents = Vec::new();
    for map in list["items"].as_array().into_iter().flatten() {
        let name = |key: &str| map["metadata"][key].as_str().unwrap_or_default();
        let entries = map["data"].as_object().into_iter().flatten();
        let data: BTreeMap<String, String> =
            entries.map(|(key, text)| (key.clone(), text.as_str().unwrap_or_default().to_owned())).collect();
        documents.extend(objects::config_map(&Place { own, namespace: name("namespace"), name: name("name") }, &data));
    }
    documents
}

fn custom_resources(plural: &str, page: &str) -> Vec<Document> {
    let list: Value = serde_json::from_str(page).unwrap_or_default();
    let items = list["items"].as_array().into_iter().flatten();
    let read = |item: &Value| {
        let text = |key: &str| item["metadata"][key].as_str().unwrap_or_default();
        objects::custom_resource(plural, text("namespace"), text("name"), &item["spec"])
    };
    items.flat_map(read).collect()
}

/// A preset that is a custom resource, too, does not count from a ConfigMap.
fn yield_to(documents: &mut [Document], winners: &[Document]) {
    let won: BTreeSet<&PresetKey> = winners.iter().filter_map(Document::key).collect();
    for document in documents {
        let Some(key) = document.key().filter(|key| won.contains(key)).cloned() else { continue };
        document.reading = Reading::Ignored;
        document.problems = vec![Problem {
            severity: Severity::Warning,
            source: document.origin.source.clone(),
            line: document.named.0,
            column: document.named.1,
            path: "metadata.name".to_owned(),
            text: format!("{key} is also a custom resource, which counts"),
        }];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = r#"{"items":[
        {"metadata":{"name":"a","namespace":"shop"},"data":{"logs.yaml":"apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nspec: {selector: {}, env: [{name: A, value: b}]}\n"}},
        {"metadata":{"name":"b","namespace":"shop"},"data":{"bad.yaml":"apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nspec: {selector: {}}\n"}}]}"#;
    const RESOURCES: &str = r#"{"items":[{"apiVersion":"podgraft.dev/v1beta1","kind":"PodPreset","metadata":{"name":"logs","namespace":"shop"},
        "spec":{"selector":{},"env":[{"name":"A","value":"c"}]}}]}"#;

    #[test]
    fn a_custom_resource_beats_a_config_map() {
        let winners = custom_resources("podpresets", RESOURCES);
        let mut documents = config_maps(MAPS, "podgraft");
        assert!(matches!(documents[0].reading, Reading::Preset(_)) && matches!(documents[1].reading, Reading::Refused { .. }));
        yield_to(&mut documents, &winners);
        assert!(matches!(documents[0].reading, Reading::Ignored));
        let all = Gathered { documents: winners.into_iter().chain(documents).collect(), unread: vec!["x".to_owned()] };
        let loaded = all.loaded();
        assert!(loaded.refused);
        assert_eq!(loaded.set.presets().len(), 1);
        assert_eq!(loaded.set.presets()[0].spec().origin.source, "podpresets shop/logs");
        assert!(loaded.notes.iter().any(|note| note.starts_with("error: configmap shop/b key bad.yaml:")), "{:?}", loaded.notes);
        assert!(loaded.notes.contains(&"warning: x".to_owned()));
    }
}
