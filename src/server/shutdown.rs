//! The way out: SIGTERM or SIGINT first makes not ready while everything is still answered, then stops accepting and drains.
//!
//! Why not at once: until every API server has seen that the endpoint is gone it still sends reviews, and a connection that is closed under a
//! request fails it, as POSTs are not sent again. So for `--shutdown-delay` connections are accepted and every answer says `Connection: close`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::ready::{Block, Ready};

/// How far the way out has been gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing yet.
    Serving,
    /// Not ready, accepting, every answer closes its connection.
    Leaving,
    /// No new connections; what is being answered is answered.
    Draining,
}

/// What connections and listeners look at.
#[derive(Clone, Debug)]
pub struct Departure {
    stage: watch::Receiver<Stage>,
    leaving: Arc<AtomicBool>,
}

impl Departure {
    /// Whether answers have to close their connections, for one answer: cheaper to hand on than the whole.
    #[must_use]
    pub fn leaving(&self) -> Leaving {
        Leaving(Arc::clone(&self.leaving))
    }

    /// Waits until this stage (or a later one) is reached, or nobody is there any more to reach it.
    pub async fn reached(&mut self, stage: Stage) {
        // An error means that the other side is gone, and then it is over too.
        let _ = self.stage.wait_for(|now| *now >= stage).await;
    }
}

/// Whether the way out was begun.
#[derive(Clone, Debug)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// Whether it is so by now.
    #[must_use]
    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Leads the way out.
#[derive(Debug)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
    leaving: Arc<AtomicBool>,
}

impl Shutdown {
    /// At stage [`Stage::Serving`].
    #[must_use]
    pub fn new() -> (Shutdown, Departure) {
        let (sender, receiver) = watch::channel(Stage::Serving);
        let leaving = Arc::new(AtomicBool::new(false));
        (Shutdown { stage: sender, leaving: Arc::clone(&leaving) }, Departure { stage: receiver, leaving })
    }

    /// Goes through [`Stage::Leaving`], which lasts `delay`, to [`Stage::Draining`]. What is returned keeps readiness false.
    pub async fn depart(&self, ready: &Ready, delay: Duration) -> Block {
        let block = ready.block("shutdown", "leaving");
        self.leaving.store(true, Ordering::Relaxed);
        self.stage.send_replace(Stage::Leaving);
        tokio::time::sleep(delay).await;
        self.stage.send_replace(Stage::Draining);
        block
    }
}

/// SIGTERM and SIGINT. Caught from when this is made, also as process 1, for which the kernel has no default action.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches them from now on. Needs a tokio runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> std::io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one: its name, and the exit status of a process that it ends.
    pub async fn next(&mut self) -> (&'static str, u8) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", 143),
            _ = self.interrupt.recv() => ("SIGINT", 130),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leaving_lasts_its_delay_and_then_it_drains() {
        let (shutdown, mut departure) = Shutdown::new();
        let ready = Ready::default();
        assert!(!departure.leaving().is_so() && ready.is_ready());
        let started = std::time::Instant::now();
        let way = tokio::spawn({
            let ready = ready.clone();
            async move { shutdown.depart(&ready, Duration::from_millis(300)).await }
        });
        departure.reached(Stage::Leaving).await;
        assert!(departure.leaving().is_so() && !ready.is_ready());
        assert!(started.elapsed() < Duration::from_millis(250));
        departure.reached(Stage::Draining).await;
        assert!(started.elapsed() >= Duration::from_millis(300));
        let block = way.await.unwrap();
        assert!(!ready.is_ready());
        drop(block);
    }
}
