//! The control planes of a run: one a version, started for the first story that needs it, shared by its stories, gone at the end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use super::parts::Parts;
use super::plane::Plane;
use super::story::{Stories, Story};
use super::{Trouble, parts, say, tools};

/// How many stories go on at once, where nobody says it: they wait for most of their time, for a rotation say, and not for a processor.
const AT_ONCE: usize = 8;

/// Runs the stories, by module, on one version after the other; `runs` is where control planes keep what they need.
pub fn run(arguments: &Arguments, runs: &Path, stories: &[(&str, Stories)]) -> ExitCode {
    if std::env::var("PODGRAFT_TEST_CLUSTER").is_ok_and(|value| value == "off") {
        libtest_mimic::run(arguments, Vec::new()).exit_if_failed();
        say("LEFT OUT: no test against a real API server was run (PODGRAFT_TEST_CLUSTER=off)");
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments { test_threads: arguments.test_threads.or(Some(AT_ONCE)), ..arguments.clone() };
    let versions = parts::versions();
    if arguments.filter.is_none() && !arguments.list {
        // Before the first begins, as they would get no processor meanwhile. What cannot be built is said by the stories that ask for it.
        let _ = build(&versions);
    }
    let mut failed = false;
    for version in versions {
        failed |= run_version(&arguments, runs, stories, version).has_failed();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run_version(arguments: &Arguments, runs: &Path, stories: &[(&str, Stories)], version: String) -> Conclusion {
    let stage = Arc::new(Stage { version, runs: runs.to_owned(), plane: OnceLock::new(), starting: Mutex::new(()) });
    let mut trials = Vec::new();
    for (module, stories) in stories {
        for (name, tell) in *stories {
            let stage = Arc::clone(&stage);
            trials.push(Trial::test(format!("{module}::{name}::{}", stage.version), move || {
                let story = Story::begin(stage.plane().map_err(Failed::from)?, name);
                tell(&story);
                story.end();
                Ok(())
            }));
        }
    }
    let conclusion = libtest_mimic::run(arguments, trials);
    if let Some(Ok(plane)) = Arc::into_inner(stage).and_then(|stage| stage.plane.into_inner()) {
        if conclusion.has_failed() {
            say(&format!("the logs of this control plane, and of each Podgraft, are in {}", plane.keep_logs().display()));
        } else {
            plane.remove();
        }
    }
    conclusion
}

/// Builds what most stories need, where it is not there.
pub fn build(versions: &[String]) -> Result<(), Trouble> {
    versions.iter().try_for_each(|version| Parts::get(version).map(drop))?;
    tools::kwok()?;
    tools::cert_manager().map(drop)
}

struct Stage {
    version: String,
    runs: PathBuf,
    plane: OnceLock<Result<Plane, Trouble>>,
    /// Stories take turns at starting it.
    starting: Mutex<()>,
}

impl Stage {
    fn plane(&self) -> Result<&Plane, Trouble> {
        let _turn = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let plane = self.plane.get_or_init(|| {
            let start = Instant::now();
            let plane = Plane::start(&self.version, &self.runs)?;
            say(&format!("Kubernetes {} is up, in {:.1} s", plane.release()?, start.elapsed().as_secs_f64()));
            Ok(plane)
        });
        plane.as_ref().map_err(Clone::clone)
    }
}
