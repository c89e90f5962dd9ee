//! The server's time: that of the machine, or one that stands still until it is moved.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mq_core::{Clock as _, ManualClock, SystemClock};

use super::shared::Shared;

/// What the state goes by, in milliseconds since the Unix epoch. It does not go back when the machine's calendar is set back.
#[derive(Debug)]
pub(super) enum Time {
    Machine { start: Instant, wall: u64 },
    Virtual(ManualClock),
}

impl Time {
    pub(super) fn of_the_machine() -> Self {
        Self::Machine {
            start: SystemClock.now(),
            wall: millis(SystemClock.wall()),
        }
    }

    pub(super) fn still(at: SystemTime) -> Self {
        Self::Virtual(ManualClock::new(at))
    }

    pub(super) fn now(&self) -> u64 {
        match self {
            Self::Machine { start, wall } => {
                let passed = SystemClock.now().saturating_duration_since(*start);
                wall + u64::try_from(passed.as_millis()).unwrap_or(u64::MAX >> 1)
            }
            Self::Virtual(clock) => millis(clock.wall()),
        }
    }

    /// By how much [`Time::now`] may be behind, in milliseconds.
    pub(super) const fn lag(&self) -> u64 {
        match self {
            // The start is cut to a millisecond, and what has passed since then too.
            Self::Machine { .. } => 2,
            Self::Virtual(_) => 0,
        }
    }

    /// How long to sleep until a time; `None` for until somebody moves the clock.
    pub(super) fn until(&self, at: u64) -> Option<Duration> {
        match self {
            Self::Machine { .. } => Some(Duration::from_millis(at.saturating_sub(self.now()))),
            Self::Virtual(_) => None,
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or_default()
}

/// The clock of a server that was started with [`Builder::virtual_clock`](super::Builder::virtual_clock).
///
/// It decides about delays, visibility, waits, retention and retries of pushes. Signatures go by the machine's clock, as clients do.
#[derive(Clone)]
pub struct VirtualClock {
    shared: Arc<Shared>,
}

impl VirtualClock {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.shared.time.now())
    }

    /// Lets time pass: what falls due happens, in its order, before this returns. Answers to those who waited are on their way then.
    pub fn advance(&self, by: Duration) {
        if let Time::Virtual(clock) = &self.shared.time {
            clock.advance(by);
            self.shared.tick();
        }
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock").field(&self.now()).finish()
    }
}
