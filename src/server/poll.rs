//! Looks at something again and again, on a thread of its own, as reading files blocks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use super::metrics::Metrics;

/// Goes on until it is dropped.
#[derive(Debug)]
pub struct Poll {
    _stop: Sender<()>,
}

impl Poll {
    /// Calls `look` every `period`, for the first time after one. A look that panics is counted, and does not end it.
    #[must_use]
    pub fn start(name: &str, period: Duration, metrics: Arc<Metrics>, mut look: impl FnMut() + Send + 'static) -> Poll {
        let (stop, stopped) = mpsc::channel::<()>();
        let work = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(period) {
                if catch_unwind(AssertUnwindSafe(&mut look)).is_err() {
                    metrics.panics.inc();
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
            tracing::error!(name, %error, "cannot start a thread, changes of files will not be seen");
        }
        Poll { _stop: stop }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn goes_on_after_a_panic_and_ends_when_dropped() {
        let (looks, metrics) = (Arc::new(AtomicUsize::new(0)), Arc::new(Metrics::new()));
        let poll = Poll::start("test", Duration::from_millis(5), Arc::clone(&metrics), {
            let looks = Arc::clone(&looks);
            move || assert!(looks.fetch_add(1, Ordering::SeqCst) > 0, "the first look")
        });
        while looks.load(Ordering::SeqCst) < 3 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(metrics.panics.get(), 1);
        drop(poll);
        std::thread::sleep(Duration::from_millis(20));
        let after = looks.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(looks.load(Ordering::SeqCst), after);
    }
}
