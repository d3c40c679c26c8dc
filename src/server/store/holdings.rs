//! Which presets a store holds: of each unit (a file, a key of a ConfigMap, a custom resource) what can be read, and the last good version of
//! what cannot be read any more.
//!
//! The rules (spec sections 1, 2 and 8):
//! - A preset whose document is refused keeps its last good version. A unit with a document of which not even the name can be read keeps that
//!   of every preset that it held and that no other document of it names. An empty unit, or one that is gone, holds none.
//! - Two documents of one kind, namespace and name are both refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Contents, Held, Object};
use crate::document::{Document, Problem, Reading, Severity};
use crate::preset::{Origin, Preset, PresetKey};

/// The SHA-256 of what a unit was read from, or why it could not be read.
pub type Print = Result<[u8; 32], String>;

/// See the module. `U` names a unit.
#[derive(Debug)]
pub struct Holdings<U> {
    units: BTreeMap<U, Unit>,
    /// Twins, with the units where that was reported, so that it is reported once.
    twins: BTreeMap<PresetKey, BTreeSet<U>>,
    /// Whether a unit came, went or changed since it was settled.
    changed: bool,
}

#[derive(Debug)]
struct Unit {
    print: Print,
    object: Option<Arc<Object>>,
    documents: Vec<Remnant>,
    held: BTreeMap<PresetKey, Held>,
}

/// What is left of a document once it was read.
#[derive(Debug)]
pub struct Remnant {
    key: Option<PresetKey>,
    origin: Origin,
    /// `None`: refused.
    preset: Option<Arc<Preset>>,
}

impl Remnant {
    /// What cannot be read at all.
    #[must_use]
    pub fn unreadable(source: &str) -> Remnant {
        Remnant { key: None, origin: Origin { source: source.to_owned(), line: 1 }, preset: None }
    }

    /// Compiles a preset; `None`: the document is none.
    #[must_use]
    pub fn of(document: Document) -> Option<Remnant> {
        let (key, preset) = match document.reading {
            Reading::Ignored => return None,
            Reading::Refused { key } => (key, None),
            Reading::Preset(spec) => (Some(spec.key.clone()), Some(Arc::new(Preset::compile(*spec)))),
        };
        Some(Remnant { key, origin: document.origin, preset })
    }
}

impl<U> Default for Holdings<U> {
    fn default() -> Self {
        Holdings { units: BTreeMap::new(), twins: BTreeMap::new(), changed: true }
    }
}

impl<U: Ord + Clone> Holdings<U> {
    /// Forgets the units that are gone.
    pub fn retain(&mut self, mut is_there: impl FnMut(&U) -> bool) {
        let before = self.units.len();
        self.units.retain(|unit, _| is_there(unit));
        if self.units.len() != before {
            self.changed = true;
            // One that comes back is told anew.
            for told in self.twins.values_mut() {
                told.retain(|unit| self.units.contains_key(unit));
            }
        }
    }

    /// Whether a unit was read from this already.
    #[must_use]
    pub fn has(&self, unit: &U, print: &Print) -> bool {
        self.units.get(unit).is_some_and(|known| known.print == *print)
    }

    /// Takes over what a unit was read to be. `object`: where it stands in the cluster.
    pub fn put(&mut self, unit: U, print: Print, object: Option<Arc<Object>>, documents: Vec<Remnant>) {
        let held = self.units.get_mut(&unit).map(|known| std::mem::take(&mut known.held)).unwrap_or_default();
        self.units.insert(unit, Unit { print, object, documents, held });
        self.changed = true;
    }

    /// Whether there is something to settle: at first there is.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Decides what is in force from now on; returns what is to be said of twins that are new.
    pub fn settle(&mut self) -> Vec<(U, Problem)> {
        let twins = self.twins();
        let problems = self.new_twin_problems(&twins);
        self.decide(&twins);
        self.twins = twins.into_iter().map(|(key, places)| (key, places.into_iter().map(|(unit, _)| unit).collect())).collect();
        self.changed = false;
        problems
    }

    /// Where a unit stands in the cluster.
    #[must_use]
    pub fn object(&self, unit: &U) -> Option<Arc<Object>> {
        self.units.get(unit)?.object.clone()
    }

    /// What is in force, and how many documents are refused.
    #[must_use]
    pub fn contents(&self) -> Contents {
        let (_, refused) = self.numbers();
        Contents { held: self.units.values().flat_map(|unit| unit.held.values().cloned()).collect(), refused }
    }

    /// How many presets are in force, and how many documents are refused.
    #[must_use]
    pub fn numbers(&self) -> (usize, usize) {
        let held = self.units.values().map(|unit| unit.held.len()).sum();
        let documents = self.units.values().flat_map(|unit| &unit.documents);
        (held, documents.filter(|document| self.is_refused(document)).count())
    }

    /// Whether no document is refused.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.numbers().1 == 0
    }

    fn is_refused(&self, document: &Remnant) -> bool {
        document.preset.is_none() || document.key.as_ref().is_some_and(|key| self.twins.contains_key(key))
    }

    /// Keys that more than one document has, with the places of these documents.
    fn twins(&self) -> BTreeMap<PresetKey, Vec<(U, Origin)>> {
        let mut seen: HashMap<&PresetKey, u32> = HashMap::new();
        for document in self.units.values().flat_map(|unit| &unit.documents) {
            if let Some(key) = &document.key {
                *seen.entry(key).or_default() += 1;
            }
        }
        let mut twins: BTreeMap<PresetKey, Vec<(U, Origin)>> = BTreeMap::new();
        for (unit, document) in self.units.iter().flat_map(|(name, unit)| unit.documents.iter().map(move |document| (name, document))) {
            if let Some(key) = document.key.as_ref().filter(|key| seen.get(key).is_some_and(|number| *number > 1)) {
                twins.entry(key.clone()).or_default().push((unit.clone(), document.origin.clone()));
            }
        }
        twins
    }

    fn new_twin_problems(&self, twins: &BTreeMap<PresetKey, Vec<(U, Origin)>>) -> Vec<(U, Problem)> {
        let problems = twins.iter().flat_map(|(key, places)| {
            let told = self.twins.get(key);
            let new = places.iter().enumerate().filter(move |(_, (unit, _))| !told.is_some_and(|told| told.contains(unit)));
            new.filter_map(move |(index, (unit, place))| {
                let (_, (_, other)) = places.iter().enumerate().find(|(other, _)| *other != index)?;
                let text = format!("{key} is also at {}:{}: both are refused, rename or remove one", other.source, other.line);
                let (source, path) = (place.source.clone(), "metadata.name".to_owned());
                Some((unit.clone(), Problem { severity: Severity::Error, source, line: place.line, column: 1, path, text }))
            })
        });
        problems.collect()
    }

    /// Decides for every unit what it holds from now on.
    fn decide(&mut self, twins: &BTreeMap<PresetKey, Vec<(U, Origin)>>) {
        let mut fresh: BTreeSet<PresetKey> = BTreeSet::new();
        for unit in self.units.values_mut() {
            let mut held: BTreeMap<PresetKey, Held> = BTreeMap::new();
            // What is bad and says its name stands for that one alone; what does not may be any of those that the unit held.
            let (mut nameless, mut bad) = (false, BTreeSet::new());
            for document in &unit.documents {
                match (&document.preset, &document.key) {
                    (Some(preset), Some(key)) if !twins.contains_key(key) => {
                        fresh.insert(key.clone());
                        held.insert(key.clone(), Held { preset: Arc::clone(preset), stale: false, object: unit.object.clone() });
                    }
                    (_, Some(key)) => {
                        bad.insert(key);
                    }
                    (_, None) => nameless = true,
                }
            }
            for (key, last_good) in std::mem::take(&mut unit.held) {
                if nameless || bad.contains(&key) {
                    held.entry(key).or_insert(Held { stale: true, ..last_good });
                }
            }
            unit.held = held;
        }
        // What another unit says well by now is that unit's.
        for unit in self.units.values_mut() {
            unit.held.retain(|key, held| !held.stale || !fresh.contains(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{self, ReadOptions};

    fn put(holdings: &mut Holdings<&'static str>, unit: &'static str, text: &str) -> Vec<(&'static str, Problem)> {
        let documents = document::read(unit, text, &ReadOptions { default_namespace: "default" });
        holdings.put(unit, Err(text.to_owned()), None, documents.into_iter().filter_map(Remnant::of).collect());
        holdings.settle()
    }

    fn preset(name: &str, value: &str) -> String {
        format!(
            "---\napiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: {name}}}\nspec: {{selector: {{}}, env: [{{name: A, value: '{value}'}}]}}\n"
        )
    }

    /// Name, version and whether it is the last good one.
    fn held(holdings: &Holdings<&'static str>) -> Vec<(String, String, bool)> {
        let held = holdings.contents().held.into_iter();
        held.map(|held| (held.preset.spec().key.name.clone(), held.preset.version().to_owned(), held.stale)).collect()
    }

    #[test]
    fn what_cannot_be_read_keeps_its_last_good_version_and_what_is_gone_is_gone() {
        let mut holdings = Holdings::default();
        assert!(put(&mut holdings, "one", &(preset("a", "1") + &preset("b", "1"))).is_empty());
        let good = held(&holdings);
        assert_eq!(good.len(), 2);
        // Nobody can say which of the two the broken document was.
        put(&mut holdings, "one", &(preset("b", "2") + "---\n{{{\n"));
        let now = held(&holdings);
        assert_eq!(now[0], ("a".to_owned(), good[0].1.clone(), true));
        assert!(now[1].0 == "b" && now[1].1 != good[1].1 && !now[1].2);
        assert_eq!(holdings.numbers(), (2, 1));
        // A document that is bad and says its name is that preset's.
        put(
            &mut holdings,
            "one",
            &(preset("b", "2") + "---\napiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {name: c}\nspec: 7\n"),
        );
        assert_eq!(held(&holdings).iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["b"], "a was taken away");
        put(&mut holdings, "one", &preset("b", "2"));
        assert_eq!(held(&holdings).len(), 1);
        put(&mut holdings, "one", "{{{");
        assert_eq!(held(&holdings).len(), 1);
        holdings.retain(|unit| *unit != "one");
        holdings.settle();
        assert!(held(&holdings).is_empty() && holdings.is_fine());
    }

    #[test]
    fn of_twins_both_are_refused_and_said_so_once_and_the_last_good_one_stays() {
        let mut holdings = Holdings::default();
        put(&mut holdings, "one", &preset("a", "1"));
        let good = held(&holdings);
        let problems = put(&mut holdings, "two", &preset("a", "2"));
        assert_eq!(problems.iter().map(|(unit, _)| *unit).collect::<Vec<_>>(), ["one", "two"]);
        assert!(problems[0].1.text.contains("PodPreset default/a is also at two:2"), "{}", problems[0].1);
        assert_eq!(held(&holdings), [("a".to_owned(), good[0].1.clone(), true)]);
        assert_eq!(holdings.numbers(), (1, 2));
        assert!(holdings.settle().is_empty());
        // A third one is told, where it is.
        let places = |problems: &[(&'static str, Problem)]| problems.iter().map(|(unit, _)| *unit).collect::<Vec<_>>();
        assert_eq!(places(&put(&mut holdings, "three", &preset("a", "3"))), ["three"]);
        holdings.retain(|unit| *unit != "three");
        assert!(holdings.settle().is_empty());
        assert_eq!(places(&put(&mut holdings, "three", &preset("a", "3"))), ["three"], "it came back");
        holdings.retain(|unit| *unit != "three");
        // The one that is left is good.
        holdings.retain(|unit| *unit == "two");
        holdings.settle();
        assert!(held(&holdings)[0].1 != good[0].1 && holdings.is_fine());
    }
}
