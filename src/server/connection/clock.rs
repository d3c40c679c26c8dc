//! In which phase a connection is, and since when.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::time::Instant;

use crate::server::config::Limits;

/// Shared by the parts of one connection, which one task polls: the order of memory operations does not matter.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    /// The phase in the lowest two bits, above them milliseconds since the start.
    phase: AtomicU64,
    /// Requests that began.
    requests: AtomicU32,
    /// Requests that are being answered; more than one on HTTP/2 only.
    active: AtomicU32,
}

const IDLE: u64 = 0;
const HEADER: u64 = 1;
const BUSY: u64 = 2;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// For the first byte of a request.
    Idle,
    /// For the rest of a header.
    Header,
    /// For a body, or for us.
    Busy,
}

/// What a look at the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet; look again then.
    Later(Instant),
    /// The header of a request did not come in time.
    Header,
    /// Nothing came in time.
    Idle,
}

impl Clock {
    /// Of a connection that begins now, idle.
    pub fn new() -> Clock {
        Clock { started: Instant::now(), phase: AtomicU64::new(IDLE), requests: AtomicU32::new(0), active: AtomicU32::new(0) }
    }

    /// Bytes came. If the connection was idle, they are the first of a header.
    pub fn bytes(&self) {
        if self.phase.load(Ordering::Relaxed) & 3 == IDLE {
            self.enter(HEADER);
        }
    }

    /// A whole header is there.
    pub fn begin(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        self.enter(BUSY);
    }

    /// A request has its answer.
    pub fn end(&self) {
        if self.active.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.enter(IDLE);
        }
    }

    /// How many requests began.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What the connection is waiting for.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) & 3 {
            IDLE => Phase::Idle,
            HEADER => Phase::Header,
            _ => Phase::Busy,
        }
    }

    /// When to look at the clock at the latest, so that no deadline is missed that begins in between.
    pub fn next_look(&self, limits: &Limits) -> Instant {
        Instant::now() + limits.header.min(limits.idle)
    }

    /// Whether a deadline has passed.
    pub fn due(&self, limits: &Limits) -> Due {
        let word = self.phase.load(Ordering::Relaxed);
        let since = self.started + std::time::Duration::from_millis(word >> 2);
        let (deadline, past) = match word & 3 {
            IDLE => (since + limits.idle, Due::Idle),
            HEADER => (since + limits.header, Due::Header),
            // The body has its own deadline, and so has the review.
            _ => return Due::Later(self.next_look(limits)),
        };
        if Instant::now() >= deadline { past } else { Due::Later(deadline.min(self.next_look(limits))) }
    }

    fn enter(&self, phase: u64) {
        let milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.phase.store((milliseconds << 2) | phase, Ordering::Relaxed);
    }
}
