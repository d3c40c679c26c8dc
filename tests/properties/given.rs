//! A generated Pod with presets, grafted; and the runner of the properties.

use std::fmt;
use std::sync::Arc;

use podgraft::document::{self, ReadOptions, Reading};
use podgraft::graft::{self, Grafted, Subject};
use podgraft::preset::{Preset, PresetSet};
use podgraft::tree::{self, NodeId, Tree};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;

use crate::support::defaults;
use crate::{made, vocabulary};

/// A Pod, and the documents of presets.
#[derive(Clone)]
pub struct Given {
    pub pod: Value,
    pub presets: Vec<Value>,
}

impl fmt::Debug for Given {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "\n{}", self.pod)?;
        self.presets.iter().try_for_each(|preset| writeln!(formatter, "---\n{preset}"))
    }
}

/// Random ones; half of the Pods as the API server would have left them.
pub fn given() -> BoxedStrategy<Given> {
    (vocabulary::pod(), made::presets(), any::<bool>())
        .prop_map(|(pod, presets, defaulted)| {
            let pod = if defaulted { value_of(&defaults::as_the_api_server(&tree_of(&pod))) } else { pod };
            Given { pod, presets }
        })
        .boxed()
}

pub fn tree_of(value: &Value) -> Tree<'static> {
    tree::parse(&value.to_string()).unwrap().to_owned_tree(NodeId::ROOT)
}

pub fn value_of(tree: &Tree<'_>) -> Value {
    let mut text = String::new();
    tree.write(NodeId::ROOT, &mut text);
    serde_json::from_str(&text).unwrap()
}

/// The presets of documents; those that are refused are left out.
pub fn compile(documents: &[Value]) -> Vec<Arc<Preset>> {
    let texts = documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
    let read = document::read("made", &texts, &ReadOptions { default_namespace: "default" });
    let spec = |document: document::Document| match document.reading {
        Reading::Preset(spec) => Some(Arc::new(Preset::compile(*spec))),
        _ => None,
    };
    read.into_iter().filter_map(spec).collect()
}

/// Grafts in the namespace `default`. A fault of the self-check is a failure of any property.
pub fn graft(pod: &Value, set: &PresetSet) -> Result<Grafted, TestCaseError> {
    let pod = tree_of(pod);
    let labels = [("kubernetes.io/metadata.name".to_owned(), "default".to_owned())];
    let subject = Subject { pod: &pod, namespace: "default", namespace_labels: &labels, extra_labels: &[], claims: &[], exempt: &[] };
    let grafted = graft::graft(&subject, set).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert!(grafted.skipped != Some(podgraft::decide::Skip::SelfCheck), "the self-check failed");
    Ok(grafted)
}

impl Given {
    pub fn set(&self) -> PresetSet {
        PresetSet::new(compile(&self.presets))
    }

    pub fn graft(&self) -> Result<Grafted, TestCaseError> {
        graft(&self.pod, &self.set())
    }
}

/// So many inputs that are the same in every run, and a quarter as many that are not. `PODGRAFT_PROPERTY_CASES` multiplies.
pub fn hold<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let times: u32 = std::env::var("PODGRAFT_PROPERTY_CASES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let config = |cases: u32| Config { cases: cases * times, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let same = TestRunner::new_with_rng(config(cases), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    for mut runner in [same, TestRunner::new(config(cases / 4))] {
        if let Err(error) = runner.run(strategy, &property) {
            panic!("{error}");
        }
    }
}
