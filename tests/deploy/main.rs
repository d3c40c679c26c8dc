//! What is in `deploy/`: the chart through the real Helm, the files that are rendered from it, the image; and all of it on real API servers.
//!
//! What needs no cluster comes first. `PODGRAFT_TEST_CLUSTER=off` leaves the stories out that need one.

#[path = "../support/cluster/mod.rs"]
#[allow(dead_code, reason = "every test program takes what it needs")]
mod harness;

#[path = "../support/debian.rs"]
mod debian;

mod alerts;
mod asked;
mod helm;
mod image;
mod manifests;
mod registered;
mod release;
mod rendered;
mod rights;
mod values;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;

use harness::stage;
use harness::story::Stories;
use libtest_mimic::{Arguments, Trial};

/// Tests that need no cluster, by module.
type Tests = &'static [(&'static str, fn())];

const TESTS: &[(&str, Tests)] = &[
    ("values", values::TESTS),
    ("alerts", alerts::TESTS),
    ("registered", registered::TESTS),
    ("rights", rights::TESTS),
    ("rendered", rendered::TESTS),
    ("image", image::TESTS),
];

const STORIES: &[(&str, Stories)] = &[
    ("manifests", manifests::STORIES),
    ("rights", rights::STORIES),
    ("asked", asked::STORIES),
    ("release", release::STORIES),
    ("workloads", workloads::STORIES),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (module, tests) in TESTS {
        for (name, test) in *tests {
            trials.push(Trial::test(format!("{module}::{name}"), || {
                test();
                Ok(())
            }));
        }
    }
    let failed = libtest_mimic::run(&arguments, trials).has_failed();
    let stories = stage::run(&arguments, &PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("deploy"), STORIES);
    if failed { ExitCode::FAILURE } else { stories }
}
