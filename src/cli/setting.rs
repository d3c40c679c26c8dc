//! What manifests are read against: presets, namespaces' labels, and the names that stand in for those that are not given. All of it comes
//! from files and flags, or from a cluster.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::args::PresetArgs;
use super::cluster::namespaces::{self, Labels};
use super::cluster::presets::{Scoped, Unseen, gather};
use super::cluster::{Cluster, LiveArgs};
use super::manifest::Manifest;
use super::presets::{self, Loaded};
use super::source::Fault;
use super::treat;
use super::workload;

/// The label that every namespace has.
const NAME: &str = "kubernetes.io/metadata.name";

/// What a Pod's surroundings are.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// The namespace of Pods that name none.
    pub namespace: String,
    /// Namespaces whose Pods are left alone.
    pub exempt: Vec<String>,
    /// Labels of all namespaces, over those that are known.
    pub given: Vec<(String, String)>,
    /// What is known of namespaces.
    pub known: Labels,
}

impl Setting {
    /// As files and flags say.
    #[must_use]
    pub fn offline(args: &PresetArgs) -> Setting {
        Setting {
            namespace: args.names.namespace().to_owned(),
            exempt: args.exempt_namespaces.clone(),
            given: args.names.namespace_labels.clone(),
            known: Labels::new(),
        }
    }

    /// The labels of a namespace: those that it has, those that were given, and its name.
    #[must_use]
    pub fn labels(&self, namespace: &str) -> Vec<(String, String)> {
        let given = |key: &str| self.given.iter().any(|(one, _)| one == key);
        let known = self.known.get(namespace).into_iter().flatten();
        let mut labels: Vec<(String, String)> = known.filter(|(key, _)| !given(key)).chain(&self.given).cloned().collect();
        labels.retain(|(key, _)| key != NAME);
        labels.push((NAME.to_owned(), namespace.to_owned()));
        labels
    }
}

/// Manifests, and what they are read against.
#[derive(Debug)]
pub struct Prepared {
    /// The manifests.
    pub manifests: Vec<Manifest>,
    /// The presets.
    pub loaded: Loaded,
    /// The rest.
    pub setting: Setting,
}

/// Reads manifests, presets and what is known of namespaces.
///
/// # Errors
/// Where a file or directory can't be read, or the cluster doesn't answer.
pub fn prepare(files: &[PathBuf], args: &PresetArgs, live: &LiveArgs) -> Result<Prepared, Fault> {
    if !live.from_cluster {
        let loaded = presets::load(args)?;
        return Ok(Prepared { manifests: treat::read(files)?, loaded, setting: Setting::offline(args) });
    }
    let manifests = treat::read(files)?;
    let cluster = Cluster::connect(&live.cluster)?;
    let namespace = args.names.namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
    let documents = manifests.iter().flat_map(|manifest| &manifest.documents);
    let names: BTreeSet<String> =
        documents.flat_map(|document| workload::find(document.tree(), &namespace)).map(|workload| workload.namespace).collect();
    let (loaded, setting, _) = from_cluster(&cluster, &names, namespace, args, live)?;
    Ok(Prepared { manifests, loaded, setting })
}

/// What the cluster says about these namespaces, and which presets may be there unseen.
///
/// # Errors
/// The cluster doesn't answer.
pub fn from_cluster(
    cluster: &Cluster,
    names: &BTreeSet<String>,
    namespace: String,
    args: &PresetArgs,
    live: &LiveArgs,
) -> Result<(Loaded, Setting, Unseen), Fault> {
    let own = namespaces::own(cluster, &live.cluster)?;
    let gathered = gather(cluster, Scoped::In(names), &own)?;
    let unseen = gathered.unseen.clone();
    let mut loaded = gathered.loaded();
    let (known, unknown) = namespaces::labels(cluster, names)?;
    loaded.notes.extend(unknown);
    let setting = Setting { namespace, exempt: exempt(args, &own), given: args.names.namespace_labels.clone(), known };
    Ok((loaded, setting, unseen))
}

/// The exempt namespaces: Podgraft's own among them, whatever it is called, unless others were named.
fn exempt(args: &PresetArgs, own: &str) -> Vec<String> {
    let mut exempt = args.exempt_namespaces.clone();
    let default = super::args::EXEMPT;
    if exempt == default && !exempt.iter().any(|name| name == own) {
        exempt.push(own.to_owned());
    }
    exempt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_were_given_win_over_known_ones_and_the_name_is_always_there() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let known = [("shop".to_owned(), vec![pair("team", "a"), pair("tier", "x"), pair(NAME, "shop")])].into();
        let setting = Setting { given: vec![pair("team", "b"), pair(NAME, "odd")], known, ..Setting::default() };
        assert_eq!(setting.labels("shop"), [pair("tier", "x"), pair("team", "b"), pair(NAME, "shop")]);
        assert_eq!(setting.labels("other"), [pair("team", "b"), pair(NAME, "other")]);
    }
}
