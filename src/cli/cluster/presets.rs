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
    /// Documents of custom resources, then those of ConfigMaps; a preset that both have is ignored in the latter.
    pub documents: Vec<Document>,
    /// What could not be read, a sentence each.
    pub unread: Vec<String>,
    /// The presets of ConfigMaps that are also custom resources, a sentence each.
    pub beaten: Vec<String>,
    /// What may be there all the same.
    pub unseen: Unseen,
}

/// Presets that may be in force and were not seen.
#[derive(Clone, Debug, Default)]
pub struct Unseen {
    /// Something of the namespaces that were asked about may not be read.
    namespaced: bool,
    /// Something that ClusterPodPresets may be in may not be read.
    cluster: bool,
    /// Documents are refused of which nobody knows what preset they are.
    nameless: bool,
    /// Presets that are refused: the last good version may be in force.
    refused: BTreeSet<PresetKey>,
}

impl Unseen {
    /// Whether a preset that was not seen may be there.
    #[must_use]
    pub fn may_have(&self, key: &PresetKey) -> bool {
        let unread = match key.scope {
            Scope::Cluster => self.cluster,
            Scope::Namespace(_) => self.namespaced,
        };
        unread || self.nameless || self.refused.contains(key)
    }
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
    let (maps, closed) = pages(cluster, &mut gathered.unread, ("ConfigMaps", "/api/v1", "configmaps"), &with_own, &query)?;
    gathered.unseen.cluster |= closed.contains(own);
    gathered.unseen.namespaced |= closed.iter().any(|name| named.contains(name));
    let custom = "/apis/podgraft.dev/v1beta1";
    let mut documents = Vec::new();
    // Asked first: who may not read a kind is told so whether it is installed or not.
    let installed = cluster.get(custom)?.status != 404;
    let kinds = [("PodPresets", "podpresets", named), ("ClusterPodPresets", "clusterpodpresets", &nothing)];
    for (what, plural, names) in kinds.into_iter().filter(|_| installed) {
        let known = gathered.unread.len();
        let (resources, _) = pages(cluster, &mut gathered.unread, (what, custom, plural), names, "")?;
        let closed = gathered.unread.len() > known;
        if plural == "podpresets" {
            gathered.unseen.namespaced |= closed;
        } else {
            gathered.unseen.cluster |= closed;
        }
        documents.extend(resources.iter().flat_map(|page| custom_resources(plural, page)));
    }
    let mut of_maps: Vec<Document> = maps.iter().flat_map(|page| config_maps(page, own)).collect();
    document::refuse_twins(&mut of_maps);
    gathered.beaten = yield_to(&mut of_maps, &documents);
    documents.append(&mut of_maps);
    documents.retain(|document| match (scoped, document.key().map(|key| &key.scope)) {
        (Scoped::In(names), Some(Scope::Namespace(namespace))) => names.contains(namespace),
        // Without a key nobody knows whom it would concern: those who look at everything, or at its namespace, and if that is Podgraft's, all.
        (Scoped::In(_), None) => with_own.iter().any(|name| document.origin.source.contains(&format!(" {name}/"))),
        _ => true,
    });
    for document in &documents {
        match &document.reading {
            Reading::Refused { key: Some(key) } => drop(gathered.unseen.refused.insert(key.clone())),
            Reading::Refused { key: None } => gathered.unseen.nameless = true,
            Reading::Preset(_) | Reading::Ignored => {}
        }
    }
    gathered.documents = documents;
    Ok(gathered)
}

impl Gathered {
    /// The good presets, and what is to be told about the others.
    #[must_use]
    pub fn loaded(self) -> Loaded {
        let Gathered { documents, unread, beaten, unseen: _ } = self;
        let problems: Vec<&Problem> = documents.iter().flat_map(|document| &document.problems).collect();
        let bad = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let mut notes: Vec<String> = bad.map(|problem| format!("error: {problem}")).collect();
        let refused = !notes.is_empty();
        if refused {
            notes.push("note: of a preset that is refused Podgraft keeps the last good version, which is not known here".to_owned());
        }
        notes.extend(beaten.into_iter().map(|text| format!("note: {text}")));
        notes.extend(unread.into_iter().map(|text| format!("warning: {text}")));
        Loaded { set: PresetSet::new(compile(documents)), notes, refused }
    }
}

/// The pages of a list: of all namespaces, or of those named where that is not permitted; and which of those may not be read either.
fn pages(
    cluster: &Cluster,
    unread: &mut Vec<String>,
    (what, group, resource): (&str, &str, &str),
    names: &BTreeSet<String>,
    query: &str,
) -> Result<(Vec<String>, BTreeSet<String>), Fault> {
    let words = match cluster.list(&format!("{group}/{resource}"), query)? {
        Listed::Pages(pages) => return Ok((pages, BTreeSet::new())),
        Listed::NoSuchKind => return Ok((Vec::new(), BTreeSet::new())),
        Listed::Refused(words) => words,
    };
    if names.is_empty() {
        unread.push(format!("{what} cannot be read, and are not considered: {words}"));
    }
    let (mut all, mut closed) = (Vec::new(), BTreeSet::new());
    for name in names {
        match cluster.list(&format!("{group}/namespaces/{name}/{resource}"), query)? {
            Listed::Pages(pages) => all.extend(pages),
            Listed::NoSuchKind => {}
            Listed::Refused(words) => {
                unread.push(format!("{what} of the namespace {name} cannot be read, and are not considered: {words}"));
                closed.insert(name.clone());
            }
        }
    }
    Ok((all, closed))
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

/// A preset that is a custom resource, too, does not count from a ConfigMap; a sentence for each. A custom resource that is refused wins as
/// long as there is a good version of before, which is not known here: then the ConfigMap's counts.
fn yield_to(documents: &mut [Document], winners: &[Document]) -> Vec<String> {
    let good = |document: &&Document| matches!(document.reading, Reading::Preset(_));
    let won: BTreeSet<&PresetKey> = winners.iter().filter(good).filter_map(Document::key).collect();
    let lame: BTreeSet<&PresetKey> = winners.iter().filter_map(Document::key).filter(|key| !won.contains(key)).collect();
    let mut told = Vec::new();
    for document in documents {
        let Some(key) = document.key().cloned() else { continue };
        let source = &document.origin.source;
        if won.contains(&key) {
            told.push(format!("{source}: {key} is also a custom resource, which counts"));
            document.reading = Reading::Ignored;
            document.problems.clear();
        } else if lame.contains(&key) {
            told.push(format!(
                "{source}: {key} is also a custom resource, which is refused; its last good version counts, if there was one"
            ));
        }
    }
    told
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
        let beaten = yield_to(&mut documents, &winners);
        assert_eq!(beaten, ["configmap shop/a key logs.yaml: PodPreset shop/logs is also a custom resource, which counts"]);
        assert!(matches!(documents[0].reading, Reading::Ignored));
        let documents = winners.into_iter().chain(documents).collect();
        let all = Gathered { documents, unread: vec!["x".to_owned()], beaten, unseen: Unseen::default() };
        let loaded = all.loaded();
        assert!(loaded.refused);
        assert_eq!(loaded.set.presets().len(), 1);
        assert_eq!(loaded.set.presets()[0].spec().origin.source, "podpresets shop/logs");
        assert!(loaded.notes.iter().any(|note| note.starts_with("error: configmap shop/b key bad.yaml:")), "{:?}", loaded.notes);
        assert!(loaded.notes.contains(&"warning: x".to_owned()));
        assert!(loaded.notes.iter().any(|note| note.starts_with("note: configmap shop/a key logs.yaml: ")), "{:?}", loaded.notes);
    }

    #[test]
    fn a_custom_resource_that_is_refused_hides_no_preset() {
        let winners = custom_resources("podpresets", &RESOURCES.replace("selector", "selektor"));
        assert!(matches!(winners[0].reading, Reading::Refused { key: Some(_) }));
        let mut documents = config_maps(MAPS, "podgraft");
        let told = yield_to(&mut documents, &winners);
        assert!(matches!(documents[0].reading, Reading::Preset(_)), "it is what Pods get");
        assert!(told.len() == 1 && told[0].contains("which is refused"), "{told:?}");
    }

    #[test]
    fn what_was_not_seen_may_be_there() {
        let key = |scope| PresetKey { scope, name: "logs".to_owned() };
        let (here, everywhere) = (key(Scope::Namespace("shop".to_owned())), key(Scope::Cluster));
        let of = |unseen: &Unseen| (unseen.may_have(&here), unseen.may_have(&everywhere));
        assert_eq!(of(&Unseen::default()), (false, false));
        assert_eq!(of(&Unseen { namespaced: true, ..Unseen::default() }), (true, false));
        assert_eq!(of(&Unseen { cluster: true, ..Unseen::default() }), (false, true));
        assert_eq!(of(&Unseen { nameless: true, ..Unseen::default() }), (true, true));
        assert_eq!(of(&Unseen { refused: BTreeSet::from([everywhere.clone()]), ..Unseen::default() }), (false, true));
    }
}
