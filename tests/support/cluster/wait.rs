//! Waiting for what will be so: asking again and again, never sleeping and hoping.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// Long enough for a loaded machine; whoever waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something. An error is what was seen instead.
pub fn until_within<T, E: Debug>(patience: Duration, what: &str, mut look: impl FnMut() -> Result<T, E>) -> Result<T, String> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(seen) => return Ok(seen),
            Err(instead) if start.elapsed() > patience => {
                return Err(format!("waited {} s for {what}; seen last: {instead:?}", patience.as_secs()));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// As [`until_within`], and the test fails where nothing comes.
pub fn until<T, E: Debug>(what: &str, look: impl FnMut() -> Result<T, E>) -> T {
    until_within(PATIENCE, what, look).unwrap_or_else(|trouble| panic!("{trouble}"))
}
