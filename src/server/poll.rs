//! Looks at something again and again, on a thread of its own, as reading files blocks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::metrics::Metrics;

/// Has the next look come at once. Rung during a look, there is another one.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    inner: Arc<(Mutex<Rung>, Condvar)>,
}

#[derive(Debug, Default)]
struct Rung {
    now: bool,
    over: bool,
}

impl Bell {
    /// Rings it.
    pub fn ring(&self) {
        self.set(|rung| rung.now = true);
    }

    fn set(&self, change: impl FnOnce(&mut Rung)) {
        change(&mut self.inner.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.inner.1.notify_all();
    }

    /// Waits until it rings or the time is over; `false` where there is to be no other look.
    fn wait(&self, time: Duration) -> bool {
        let rung = self.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.inner.1.wait_timeout_while(rung, time, |rung| !rung.now && !rung.over);
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        rung.now = false;
        !rung.over
    }
}

/// Goes on until it is dropped.
#[derive(Debug)]
pub struct Poll {
    bell: Bell,
}

impl Poll {
    /// Calls `look` every `period`, for the first time after one. A look that panics is counted, and does not end it.
    #[must_use]
    pub fn start(name: &str, period: Duration, metrics: Arc<Metrics>, mut look: impl FnMut() + Send + 'static) -> Poll {
        Poll::start_with(name, period, Bell::default(), metrics, move || {
            look();
            period
        })
    }

    /// Calls `look` after `first`, and then after what it says itself, or when the bell rings.
    #[must_use]
    pub fn start_with(
        name: &str,
        first: Duration,
        bell: Bell,
        metrics: Arc<Metrics>,
        mut look: impl FnMut() -> Duration + Send + 'static,
    ) -> Poll {
        let listened = bell.clone();
        let work = move || {
            let mut period = first;
            while listened.wait(period) {
                period = catch_unwind(AssertUnwindSafe(&mut look)).unwrap_or_else(|_| {
                    metrics.panics.inc();
                    first
                });
            }
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
            tracing::error!(name, %error, "cannot start a thread, changes of files will not be seen");
        }
        Poll { bell }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.bell.set(|rung| rung.over = true);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn until(looks: &AtomicUsize, number: usize) {
        while looks.load(Ordering::SeqCst) < number {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn goes_on_after_a_panic_and_ends_when_dropped() {
        let (looks, metrics) = (Arc::new(AtomicUsize::new(0)), Arc::new(Metrics::new()));
        let poll = Poll::start("test", Duration::from_millis(5), Arc::clone(&metrics), {
            let looks = Arc::clone(&looks);
            move || assert!(looks.fetch_add(1, Ordering::SeqCst) > 0, "the first look")
        });
        until(&looks, 3);
        assert_eq!(metrics.panics.get(), 1);
        drop(poll);
        std::thread::sleep(Duration::from_millis(20));
        let after = looks.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(looks.load(Ordering::SeqCst), after);
    }

    #[test]
    fn looks_at_once_when_the_bell_rings() {
        let (looks, bell) = (Arc::new(AtomicUsize::new(0)), Bell::default());
        let _poll = Poll::start_with("test", Duration::from_secs(3600), bell.clone(), Arc::new(Metrics::new()), {
            let looks = Arc::clone(&looks);
            move || {
                looks.fetch_add(1, Ordering::SeqCst);
                Duration::from_secs(3600)
            }
        });
        for number in 1..=3 {
            bell.ring();
            until(&looks, number);
        }
    }
}
