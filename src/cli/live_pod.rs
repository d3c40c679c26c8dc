//! `podgraft explain pod/NAME`: which presets a Pod that runs has, which it has in another version, and what a new one would get.
//!
//! A Pod is changed once, when it is made. What was done then stands in its records; the engine says what would be done now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Done;
use super::cluster::Cluster;
use super::explain::{ExplainArgs, explain as of_pod, written};
use super::manifest::Manifest;
use super::setting;
use super::source::{Fault, Source};
use super::treat;
use super::verdict::{Became, Said, verdicts};
use crate::decide::Skip;
use crate::pod;
use crate::preset::{Preset, PresetKey, PresetSet, Scope};

/// Says it.
///
/// # Errors
/// The cluster doesn't answer, or has no such Pod for whoever asks.
pub fn explain(what: &str, args: &ExplainArgs) -> Result<Done, Fault> {
    let name = named(what).ok_or(Fault::Usage("a live Pod is named pod/NAME"))?;
    let cluster = Cluster::connect(&args.live.cluster)?;
    let namespace = args.presets.names.namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
    let answer = cluster.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}"))?;
    if !answer.is_fine() {
        return Err(Fault::Cluster(format!("the Pod {namespace}/{name} cannot be read: {}", answer.message())));
    }
    let here = BTreeSet::from([namespace.clone()]);
    let (loaded, setting, unseen) = setting::from_cluster(&cluster, &here, namespace.clone(), &args.presets, &args.live)?;
    let manifest = Manifest::read(Source { name: "live".to_owned(), text: answer.text })?;
    let records: BTreeMap<String, String> = manifest.documents.first().map(|document| recorded(document.tree())).unwrap_or_default();
    let (outdated, others) = apart(&loaded.set, &namespace, &records);
    let files = treat::files(vec![manifest], &setting, &others);
    let mut done = Done { problems: loaded.refused, notes: loaded.notes, ..Done::default() };
    let mut explained = Vec::new();
    for treated in files.iter().flat_map(|file| &file.documents).flat_map(|document| &document.workloads) {
        done.problems |= treated.result.is_err();
        let mut said: Vec<Said> = verdicts(treated, &others, &setting.labels(&namespace));
        for one in &mut said {
            settle(one, &records);
        }
        if let Ok(grafted) = &treated.result {
            let left_alone = grafted.skipped.is_some_and(|skip| matches!(skip, Skip::Excluded | Skip::MirrorPod | Skip::ExemptNamespace));
            let namespace_labels = setting.labels(&namespace);
            let of =
                |(preset, version): &(Arc<Preset>, String)| Said::outdated(preset, version, &grafted.labels, &namespace_labels, left_alone);
            said.extend(outdated.iter().map(of));
        }
        let absent = records.iter().filter(|(record, _)| !loaded.set.presets().iter().any(|preset| applies(preset, &namespace, record)));
        said.extend(absent.map(|(record, version)| {
            let unknown = key(record, &namespace).is_some_and(|key| unseen.may_have(&key));
            Said::of_record(record, if unknown { Became::Unknown } else { Became::Gone }, version)
        }));
        let stale = said.iter().any(|one| matches!(one.became, Became::Outdated | Became::Missing | Became::Gone));
        let mut explanation = of_pod("live", 0, treated, said);
        if treated.result.is_ok() {
            explanation.outcome = if stale { "stale" } else { "current" };
        }
        explained.push(explanation);
        if stale {
            done.notes.push(
                "note: a Pod is changed only when it is made: restart its workload (kubectl rollout restart) to get what is new".to_owned(),
            );
        }
    }
    done.output = written(&explained, args.output);
    Ok(done)
}

/// `pod/NAME`, as kubectl takes it.
fn named(what: &str) -> Option<&str> {
    let (kind, name) = what.split_once('/')?;
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (matches!(kind, "pod" | "pods" | "po") && !name.is_empty() && name.bytes().all(fine)).then_some(name)
}

/// The records on a Pod, by the suffix of their keys.
fn recorded(tree: &crate::tree::Tree<'_>) -> BTreeMap<String, String> {
    let ours = |(record, _): &(&str, &str)| record.starts_with("podpreset-") || record.starts_with("clusterpodpreset-");
    pod::records(tree).filter(ours).map(|(record, version)| (record.to_owned(), version.to_owned())).collect()
}

fn applies(preset: &Preset, namespace: &str, record: &str) -> bool {
    let here = match &preset.spec().key.scope {
        Scope::Cluster => true,
        Scope::Namespace(own) => own == namespace,
    };
    here && preset.record() == record
}

/// The presets that the Pod has in another version, with that version, and all others. To the engine an older version's entries are the
/// Pod's own: it would see the newer one in conflict with them.
fn apart(set: &PresetSet, namespace: &str, records: &BTreeMap<String, String>) -> (Vec<(Arc<Preset>, String)>, PresetSet) {
    let (mut outdated, mut others) = (Vec::new(), Vec::new());
    for preset in set.presets() {
        let version = records.get(preset.record()).filter(|_| applies(preset, namespace, preset.record()));
        match version.filter(|version| *version != preset.version()) {
            Some(version) => outdated.push((Arc::clone(preset), version.clone())),
            None => others.push(Arc::clone(preset)),
        }
    }
    (outdated, PresetSet::new(others))
}

/// The preset that a record is of.
fn key(record: &str, namespace: &str) -> Option<PresetKey> {
    let of = |name: &str, scope: Scope| Some(PresetKey { scope, name: name.to_owned() });
    match record.strip_prefix("clusterpodpreset-") {
        Some(name) => of(name, Scope::Cluster),
        None => of(record.strip_prefix("podpreset-")?, Scope::Namespace(namespace.to_owned())),
    }
}

/// A preset that is recorded is on the Pod, whatever would become of a new one: presets that came since may be in conflict with it. What
/// would be added now, and is not recorded, was not when the Pod was made.
fn settle(said: &mut Said, records: &BTreeMap<String, String>) {
    match records.get(&said.preset) {
        Some(version) => said.has(version),
        None if said.became == Became::Applied => said.became = Became::Missing,
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_pod_is_named_as_kubectl_has_it() {
        for (what, name) in [
            ("pod/web", Some("web")),
            ("pods/web-0", Some("web-0")),
            ("po/a.b", Some("a.b")),
            ("web", None),
            ("pod/", None),
            ("deployment/web", None),
            ("pod/../secrets", None),
        ] {
            assert_eq!(named(what), name, "{what}");
        }
    }
}
