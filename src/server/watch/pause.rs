//! How long to wait before asking again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first pause.
const SHORTEST: Duration = Duration::from_millis(800);

/// The longest pause while the API server answers, and says no (a right that is missing, too many requests): that is not made worse.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest pause while nobody answers, or somebody in its place (502, 503): what changed has to be in force within five seconds of its
/// return.
const LONGEST_ALONE: Duration = Duration::from_secs(3);

/// Pauses that double, each shortened by up to a quarter, so that replicas do not ask all at once.
#[derive(Debug, Default)]
pub struct Pause {
    /// Failures of the same sort in a row.
    failures: u32,
    refused: bool,
}

impl Pause {
    /// The next pause. `refused`: the API server is there, and says no. Where that changes, pauses are short again.
    pub fn next(&mut self, refused: bool) -> Duration {
        if refused != self.refused {
            *self = Pause { failures: 0, refused };
        }
        let longest = if refused { LONGEST } else { LONGEST_ALONE };
        let pause = SHORTEST.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures = self.failures.saturating_add(1);
        jittered(pause)
    }
}

/// Shortens a time by up to a quarter.
pub fn jittered(time: Duration) -> Duration {
    // Each state is seeded at random.
    let random = RandomState::new().hash_one(0) % 1024;
    time - time.mul_f64(random as f64 / 4096.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_with_jitter() {
        let mut pause = Pause::default();
        for wanted in [800, 1600, 3000, 3000] {
            let got = pause.next(false).as_millis();
            assert!((wanted * 3 / 4..=wanted).contains(&got), "{got} for {wanted}");
        }
        for wanted in [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            let got = pause.next(true).as_millis();
            assert!((wanted * 3 / 4..=wanted).contains(&got), "{got} for {wanted}");
        }
        assert!(pause.next(false) <= SHORTEST);
        let several: std::collections::BTreeSet<Duration> = (0..20).map(|_| jittered(LONGEST)).collect();
        assert!(several.len() > 1);
    }
}
