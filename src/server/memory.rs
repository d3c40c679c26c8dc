//! Memory that a burst of large reviews took is given back.
//!
//! glibc takes blocks past a threshold from the system, and gives them back when they are freed. But the threshold grows with every such block
//! that is freed, up to 32 MiB, and from then on they are cut from heaps that seldom shrink. A threshold that is set does not grow (`mallopt(3)`,
//! `M_MMAP_THRESHOLD`). glibc reads it from the environment when a program starts, so the program starts once more. Measured on a burst of
//! reviews of up to 7 MiB, 9 MiB of memory before: 145 MiB at its height and 90 MiB afterwards without, 66 and 12 MiB with it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// In glibc's own words; 128 KiB is what it starts with.
const THRESHOLD: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// Starts the program once more with the threshold set, in place of itself: the process stays the same. Returns where there is nothing to do, or
/// where it cannot be done, as in a container without `/proc`: then memory is given back later, or not at all.
///
/// To be called first, by `main` only. Where the threshold is in the environment already, as a container's image may have it, nothing is done.
pub fn settle(arguments: &[OsString]) {
    let given = std::env::var_os(THRESHOLD.0).is_some() || std::env::var("GLIBC_TUNABLES").is_ok_and(|all| all.contains("mmap_threshold"));
    let Some((program, rest)) = arguments.split_first() else { return };
    if given || !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return;
    }
    // By its own name, else it would be listed as `exe`.
    let Ok(itself) = std::env::current_exe() else { return };
    let _ = Command::new(itself).arg0(program).args(rest).env(THRESHOLD.0, THRESHOLD.1).exec();
}
