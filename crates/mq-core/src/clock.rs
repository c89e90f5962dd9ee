//! Where time comes from.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// A source of time. Code below the socket takes it as a parameter, so that tests decide what time it is.
pub trait Clock: Debug + Send + Sync {
    /// Monotonic time, for deadlines and intervals.
    fn now(&self) -> Instant;
    /// Calendar time, for what travels on the wire.
    fn wall(&self) -> SystemTime;

    /// Calendar time in milliseconds since the Unix epoch; 0 for a clock set before it.
    fn wall_ms(&self) -> i64 {
        self.wall()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |elapsed| {
                i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
            })
    }
}

/// `by` later than `from`, and at most ten years: a time-out of [`Duration::MAX`] means "no limit" to whoever writes it, and must not overflow.
pub fn later(from: Instant, by: Duration) -> Instant {
    from + by.min(TEN_YEARS)
}

/// Longer than anybody waits, and short enough to be added to any time that a clock shows.
const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    wall_start: SystemTime,
    passed: Mutex<Duration>,
}

impl ManualClock {
    /// A clock that shows `wall` and stands still.
    pub fn new(wall: SystemTime) -> Self {
        Self {
            start: SystemClock.now(),
            wall_start: wall,
            passed: Mutex::new(Duration::ZERO),
        }
    }

    /// Moves both readings forward.
    pub fn advance(&self, by: Duration) {
        *self.lock() += by;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.passed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + *self.lock()
    }

    fn wall(&self) -> SystemTime {
        self.wall_start + *self.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_too_long() {
        let clock = ManualClock::new(SystemTime::UNIX_EPOCH);
        let now = clock.now();
        assert_eq!(
            later(now, Duration::from_secs(3)) - now,
            Duration::from_secs(3)
        );
        assert!(later(now, Duration::MAX) - now > Duration::from_secs(9 * 365 * 24 * 3600));
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        let before = clock.now();
        assert_eq!(clock.wall_ms(), 1500);
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now() - before, Duration::from_secs(2));
        assert_eq!(clock.wall_ms(), 3500);
    }
}
