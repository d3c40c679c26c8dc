//! Which presets the files hold: of each file what can be read, and the last good version of what cannot be read any more.
//!
//! The rules (spec sections 1, 2 and 8):
//! - A file with a document that cannot be read keeps the last good version of every preset that it held and that no readable document
//!   of it names. An empty or deleted file holds none.
//! - Two documents of one kind, namespace and name are both refused, so each counts as one that cannot be read.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::listing::Picture;
use crate::document::{self, Problem, ReadOptions, Reading, Severity};
use crate::preset::{Origin, Preset, PresetKey};
use crate::server::store::{Contents, Held};

/// See the module.
#[derive(Debug)]
pub struct Holdings {
    default_namespace: String,
    files: BTreeMap<PathBuf, Holding>,
    /// Twins that were reported, so that they are reported once.
    twins: BTreeSet<PresetKey>,
}

#[derive(Debug, Default)]
struct Holding {
    /// The digest of what was read.
    content: Option<Result<[u8; 32], String>>,
    documents: Vec<Remnant>,
    held: BTreeMap<PresetKey, Held>,
}

/// What is left of a document once it was read.
#[derive(Debug)]
struct Remnant {
    key: Option<PresetKey>,
    origin: Origin,
    /// `None`: refused.
    preset: Option<Arc<Preset>>,
}

impl Holdings {
    /// Of no files.
    pub fn new(default_namespace: String) -> Holdings {
        Holdings { default_namespace, files: BTreeMap::new(), twins: BTreeSet::new() }
    }

    /// Takes over a picture; returns the problems of what is new in it.
    pub fn update(&mut self, picture: &Picture) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.files.retain(|path, _| picture.contains_key(path));
        for (path, file) in picture {
            let holding = match self.files.entry(path.clone()) {
                Entry::Occupied(known) if known.get().content.as_ref() == Some(&file.content) => continue,
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(Holding::default()),
            };
            holding.content = Some(file.content.clone());
            let text = file.content.as_ref().map_err(String::clone).and_then(|_| text(file.bytes.as_deref()));
            holding.documents = read(path, text, &self.default_namespace, &mut problems);
        }
        let twins = self.twins();
        problems.extend(self.new_twin_problems(&twins));
        self.settle(&twins);
        self.twins = twins.into_keys().collect();
        problems
    }

    /// What is in force, and how many documents are refused.
    pub fn contents(&self) -> Contents {
        let (_, refused) = self.numbers();
        Contents { held: self.files.values().flat_map(|holding| holding.held.values().cloned()).collect(), refused }
    }

    /// How many presets are in force, and how many documents are refused.
    pub fn numbers(&self) -> (usize, usize) {
        let held = self.files.values().map(|holding| holding.held.len()).sum();
        let documents = self.files.values().flat_map(|holding| &holding.documents);
        (held, documents.filter(|document| self.is_refused(document)).count())
    }

    /// Whether no document is refused.
    pub fn is_fine(&self) -> bool {
        self.numbers().1 == 0
    }

    fn is_refused(&self, document: &Remnant) -> bool {
        document.preset.is_none() || document.key.as_ref().is_some_and(|key| self.twins.contains(key))
    }

    /// Keys that more than one document has, with the places of these documents.
    fn twins(&self) -> BTreeMap<PresetKey, Vec<Origin>> {
        let mut seen: HashMap<&PresetKey, u32> = HashMap::new();
        let documents = || self.files.values().flat_map(|holding| &holding.documents);
        for document in documents() {
            if let Some(key) = &document.key {
                *seen.entry(key).or_default() += 1;
            }
        }
        let mut twins: BTreeMap<PresetKey, Vec<Origin>> = BTreeMap::new();
        for document in documents() {
            if let Some(key) = document.key.as_ref().filter(|key| seen.get(key).is_some_and(|number| *number > 1)) {
                twins.entry(key.clone()).or_default().push(document.origin.clone());
            }
        }
        twins
    }

    fn new_twin_problems(&self, twins: &BTreeMap<PresetKey, Vec<Origin>>) -> Vec<Problem> {
        let new = twins.iter().filter(|(key, _)| !self.twins.contains(key));
        let problems = new.flat_map(|(key, places)| {
            places.iter().enumerate().filter_map(move |(index, place)| {
                let other = places.iter().enumerate().find(|(other, _)| *other != index)?.1;
                Some(Problem {
                    severity: Severity::Error,
                    source: place.source.clone(),
                    line: place.line,
                    column: 1,
                    path: "metadata.name".to_owned(),
                    text: format!("{key} is also at {}:{}: both are refused, rename or remove one", other.source, other.line),
                })
            })
        });
        problems.collect()
    }

    /// Decides for every file what it holds from now on.
    fn settle(&mut self, twins: &BTreeMap<PresetKey, Vec<Origin>>) {
        let mut fresh: BTreeSet<PresetKey> = BTreeSet::new();
        for holding in self.files.values_mut() {
            let mut held: BTreeMap<PresetKey, Held> = BTreeMap::new();
            let mut broken = false;
            for document in &holding.documents {
                match (&document.preset, &document.key) {
                    (Some(preset), Some(key)) if !twins.contains_key(key) => {
                        fresh.insert(key.clone());
                        held.insert(key.clone(), Held { preset: Arc::clone(preset), stale: false });
                    }
                    _ => broken = true,
                }
            }
            if broken {
                for (key, last_good) in std::mem::take(&mut holding.held) {
                    held.entry(key).or_insert(Held { stale: true, ..last_good });
                }
            }
            holding.held = held;
        }
        // What another file says well by now is that file's.
        for holding in self.files.values_mut() {
            holding.held.retain(|key, held| !held.stale || !fresh.contains(key));
        }
    }
}

fn text(bytes: Option<&[u8]>) -> Result<&str, String> {
    let bytes = bytes.ok_or("its bytes are gone")?;
    std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8 at byte {}", error.valid_up_to()))
}

fn read(path: &Path, text: Result<&str, String>, default_namespace: &str, problems: &mut Vec<Problem>) -> Vec<Remnant> {
    let source = path.display().to_string();
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            let origin = Origin { source: source.clone(), line: 1 };
            let text = format!("cannot read the file: {error}");
            problems.push(Problem { severity: Severity::Error, source, line: 1, column: 1, path: String::new(), text });
            return vec![Remnant { key: None, origin, preset: None }];
        }
    };
    let mut readings = Vec::new();
    for document in document::read(&source, text, &ReadOptions { default_namespace }) {
        problems.extend(document.problems);
        let (key, preset) = match document.reading {
            Reading::Ignored => continue,
            Reading::Refused { key } => (key, None),
            Reading::Preset(spec) => (Some(spec.key.clone()), Some(Arc::new(Preset::compile(*spec)))),
        };
        readings.push(Remnant { key, origin: document.origin, preset });
    }
    readings
}
