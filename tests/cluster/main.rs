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
#[path = "../support/clock.rs"]
mod clock;
#[path = "../support/debian.rs"]
mod debian;
#[path = "../support/cluster/mod.rs"]
mod harness;
#[path = "../support/mod.rs"]
mod support;

mod again;
mod away;
mod certificates;
mod compare;
mod corpus;
mod crowd;
mod custom_resources;
mod doctor;
mod every_kind;
mod failure;
mod left_alone;
mod leftovers;
mod live;
mod outage;
mod policies;
mod readme;
mod reinvocation;
mod rollouts;
mod stores;
mod tables;
mod told;
mod up;
mod validate;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use harness::parts;
use harness::story::Stories;
use harness::{Trouble, say, stage};
use libtest_mimic::Arguments;

/// All stories, by module.
const STORIES: &[(&str, Stories)] = &[
    // What takes longest begins first.
    ("certificates", certificates::STORIES),
    ("every_kind", every_kind::STORIES),
    ("left_alone", left_alone::STORIES),
    ("reinvocation", reinvocation::STORIES),
    ("words", words::STORIES),
    ("failure", failure::STORIES),
    ("again", again::STORIES),
    ("rollouts", rollouts::STORIES),
    ("crowd", crowd::STORIES),
    ("stores", stores::STORIES),
    ("custom_resources", custom_resources::STORIES),
    ("told", told::STORIES),
    ("outage", outage::STORIES),
    ("policies", policies::STORIES),
    ("corpus", corpus::STORIES),
    ("validate", validate::STORIES),
    ("live", live::STORIES),
    ("doctor", doctor::STORIES),
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
        return finished(stage::build(&parts::versions()));
    }
    let arguments = Arguments::from_args();
    stage::run(&arguments, &runs(), STORIES)
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
