//! Sending at a steady rate.

use std::{
    thread,
    time::{Duration, Instant},
};

/// When messages are due that are sent at a steady rate.
pub struct Pace {
    begun: Instant,
    step: Duration,
    due: u32,
}

impl Pace {
    pub fn new(per_second: u64) -> Self {
        Self {
            begun: Instant::now(),
            step: Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(u32::MAX),
            due: 0,
        }
    }

    /// Waits until the next one is due, and says what time it is then. Blocks its thread: tokio's timer counts whole milliseconds.
    pub fn next(&mut self) -> Instant {
        let due = self.begun + self.step * self.due;
        self.due += 1;
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            thread::sleep(left);
        }
        Instant::now()
    }
}

/// As latencies are kept.
pub fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}
