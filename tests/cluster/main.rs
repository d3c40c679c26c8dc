//! The engine held against real API servers: unmodified control planes on loopback, and Podgraft in front of them.
//!
//! Each module below is told as stories: presets, a workload, what must be there. Every story runs on every version. One control plane
//! a version is started, shared by its stories, and gone at the end.
//!
//! `PODGRAFT_TEST_CLUSTER=off` leaves all of it out. `PODGRAFT_TEST_KUBERNETES=1.36` names the versions. With `parts` as first argument
//! only the parts are built; with `up`, see the module `up`.

#[path = "../support/client.rs"]
#[allow(dead_code, reason = "a story takes what it needs")]
mod client;
#[path = "../support/cluster/mod.rs"]
mod harness;
#[path = "../support/mod.rs"]
mod support;

mod again;
mod compare;
mod corpus;
mod crowd;
mod every_kind;
mod failure;
mod left_alone;
mod leftovers;
mod policies;
mod readme;
mod reinvocation;
mod rollouts;
mod tables;
mod up;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use harness::parts::{self, Parts};
use harness::plane::Plane;
use harness::story::{Stories, Story};
use harness::{Trouble, say};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

/// All stories, by module.
const STORIES: &[(&str, Stories)] = &[
    ("every_kind", every_kind::STORIES),
    ("left_alone", left_alone::STORIES),
    ("reinvocation", reinvocation::STORIES),
    ("words", words::STORIES),
    ("failure", failure::STORIES),
    ("again", again::STORIES),
    ("rollouts", rollouts::STORIES),
    ("crowd", crowd::STORIES),
    ("policies", policies::STORIES),
    ("corpus", corpus::STORIES),
    ("tables", tables::STORIES),
    ("readme", readme::STORIES),
    ("leftovers", leftovers::STORIES),
];

fn main() -> ExitCode {
    let first = std::env::args().nth(1).unwrap_or_default();
    if first == "up" {
        return up::run();
    }
    if first == "parts" {
        let kubernetes = parts::versions().iter().try_for_each(|version| Parts::get(version).map(drop));
        return finished(kubernetes.and_then(|()| parts::kwok().map(drop)));
    }
    let arguments = Arguments::from_args();
    if std::env::var("PODGRAFT_TEST_CLUSTER").is_ok_and(|value| value == "off") {
        libtest_mimic::run(&arguments, Vec::new()).exit_if_failed();
        say("LEFT OUT: no test against a real API server was run (PODGRAFT_TEST_CLUSTER=off)");
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for version in parts::versions() {
        failed |= run_version(&arguments, &version).has_failed();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Where runs keep what they need.
fn runs() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cluster")
}

fn finished(done: Result<(), Trouble>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            say(&trouble);
            ExitCode::FAILURE
        }
    }
}

/// The control plane of one version, started for the first story that needs it.
struct Stage {
    version: String,
    plane: OnceLock<Result<Plane, Trouble>>,
    /// Stories take turns at starting it.
    starting: Mutex<()>,
}

impl Stage {
    fn plane(&self) -> Result<&Plane, Trouble> {
        let _turn = self.starting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let plane = self.plane.get_or_init(|| {
            let start = Instant::now();
            let plane = Plane::start(&self.version, &runs())?;
            say(&format!("Kubernetes {} is up, in {:.1} s", plane.release()?, start.elapsed().as_secs_f64()));
            Ok(plane)
        });
        plane.as_ref().map_err(Clone::clone)
    }
}

fn run_version(arguments: &Arguments, version: &str) -> Conclusion {
    let stage = Arc::new(Stage { version: version.to_owned(), plane: OnceLock::new(), starting: Mutex::new(()) });
    let mut trials = Vec::new();
    for (module, stories) in STORIES {
        for (name, tell) in *stories {
            let stage = Arc::clone(&stage);
            trials.push(Trial::test(format!("{module}::{name}::{version}"), move || {
                let story = Story::begin(stage.plane().map_err(Failed::from)?, name);
                tell(&story);
                story.end();
                Ok(())
            }));
        }
    }
    let conclusion = libtest_mimic::run(arguments, trials);
    let plane = Arc::into_inner(stage).and_then(|stage| stage.plane.into_inner());
    if let Some(Ok(plane)) = plane {
        if conclusion.has_failed() {
            say(&format!("the logs of this control plane, and of each Podgraft, are in {}", plane.keep_logs().display()));
        } else {
            plane.remove();
        }
    }
    conclusion
}
