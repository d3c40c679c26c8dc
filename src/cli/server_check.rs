//! `podgraft check --server`: what the API server says of Pods with each preset, before any Pod meets it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::args::EXEMPT;
use super::cluster::Cluster;
use super::cluster::namespaces::{self, Labels};
use super::cluster::sample::{Tried, attempt};
use super::source::Fault;
use crate::preset::{Preset, Scope};

/// What came of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What there is to tell.
    pub told: Vec<Told>,
    /// How many presets the API server took or refused.
    pub tried: usize,
}

impl Report {
    /// How many presets it refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.told.iter().filter(|told| told.word == Word::Refused).map(|told| told.preset).collect::<BTreeSet<_>>().len()
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The API server refuses a Pod with it.
    Refused,
    /// It warns of a Pod with it.
    Warned,
    /// Nobody knows.
    Untried,
}

/// What is told of one preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its place in the list that was given.
    pub preset: usize,
    /// How bad it is.
    pub word: Word,
    /// The path in the Pod.
    pub path: String,
    /// A sentence.
    pub text: String,
}

/// Tries each preset on a Pod of a namespace where it applies; cluster presets in `namespace` where they apply there.
///
/// # Errors
/// Nobody answers.
pub fn try_all(cluster: &Cluster, presets: &[Arc<Preset>], namespace: &str) -> Result<Report, Fault> {
    let mut places = Places { cluster, first: namespace, named: Labels::new(), all: None };
    let Report { mut told, mut tried } = Report::default();
    for (index, preset) in presets.iter().enumerate().filter(|(_, preset)| !preset.is_shadow()) {
        let note = |word: Word, text: String| Told { preset: index, word, path: String::new(), text };
        let (place, labels) = match places.of(preset)? {
            Ok(found) => found,
            Err(why) => {
                told.push(note(Word::Untried, format!("was not tried: {why}")));
                continue;
            }
        };
        let outcome = attempt(cluster, preset, &place, &labels)?;
        tried += usize::from(!matches!(outcome, Tried::Untold(_)));
        match outcome {
            Tried::Taken(warnings) => {
                let warned = |warning: String| note(Word::Warned, format!("the API server warns of a Pod with it: {warning}"));
                told.extend(warnings.into_iter().map(warned));
            }
            Tried::Refused(causes) => told.extend(causes.into_iter().map(|(path, words)| Told {
                preset: index,
                word: Word::Refused,
                path,
                text: format!("the API server refuses a Pod with it in the namespace {place}: {words}"),
            })),
            Tried::Untold(why) => told.push(note(Word::Untried, format!("was not tried: {why}"))),
        }
    }
    Ok(Report { told, tried })
}

/// A namespace with its labels, or why there is none.
type Place = Result<(String, Vec<(String, String)>), String>;

/// Finds namespaces for presets.
struct Places<'c> {
    cluster: &'c Cluster,
    first: &'c str,
    /// Those that were asked for by name.
    named: Labels,
    /// All of them, once somebody needed that.
    all: Option<Result<Labels, String>>,
}

impl Places<'_> {
    fn of(&mut self, preset: &Preset) -> Result<Place, Fault> {
        let selector = match (&preset.spec().key.scope, &preset.spec().namespace_selector) {
            (Scope::Namespace(namespace), _) => return Ok(Ok((namespace.clone(), self.labels(namespace)?))),
            (Scope::Cluster, None) => return Ok(Ok((self.first.to_owned(), self.labels(self.first)?))),
            (Scope::Cluster, Some(selector)) => selector,
        };
        let labels = self.labels(self.first)?;
        if selector.matches(&labels[..]) {
            return Ok(Ok((self.first.to_owned(), labels)));
        }
        if self.all.is_none() {
            self.all = Some(namespaces::all(self.cluster)?);
        }
        Ok(match &self.all {
            Some(Ok(all)) => {
                let fits =
                    |(name, labels): &(&String, &Vec<(String, String)>)| !EXEMPT.contains(&name.as_str()) && selector.matches(&labels[..]);
                let found = all.iter().find(fits).map(|(name, labels)| (name.clone(), labels.clone()));
                found.ok_or_else(|| "no namespace has the labels that its namespaceSelector asks for".to_owned())
            }
            Some(Err(words)) => Err(format!(
                "its namespaceSelector does not match the namespace {}, and others are not known ({words}): name one with -n",
                self.first
            )),
            None => Err("no namespace is known".to_owned()),
        })
    }

    /// Its labels, or its name alone.
    fn labels(&mut self, namespace: &str) -> Result<Vec<(String, String)>, Fault> {
        if !self.named.contains_key(namespace) {
            let (mut known, _) = namespaces::labels(self.cluster, &BTreeSet::from([namespace.to_owned()]))?;
            let labels = known.remove(namespace).unwrap_or_else(|| super::treat::namespace_labels(&[], namespace));
            self.named.insert(namespace.to_owned(), labels);
        }
        Ok(self.named.get(namespace).cloned().unwrap_or_default())
    }
}
