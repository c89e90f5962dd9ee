//! How long after a failure a message comes again.

use std::time::Duration;

/// The same each time, or longer and longer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    pub(super) least: Duration,
    pub(super) most: Duration,
    pub(super) multiplier: f64,
}

impl Backoff {
    pub(super) const fn constant(pause: Duration) -> Self {
        Self {
            least: pause,
            most: pause,
            multiplier: 1.0,
        }
    }

    /// The pause after a message was delivered so often in vain before.
    // apache/pulsar: MultiplierRedeliveryBackoff.next
    pub(super) fn pause(&self, redelivered: u32) -> Duration {
        let most = self.most.min(LONGEST);
        let factor = self
            .multiplier
            .powi(i32::try_from(redelivered).unwrap_or(i32::MAX));
        let pause = self.least.as_secs_f64() * factor;
        Duration::try_from_secs_f64(pause).map_or(most, |pause| pause.min(most))
    }

    /// Whether it can be meant.
    pub(super) fn is_valid(&self) -> bool {
        self.multiplier.is_finite() && self.multiplier >= 1.0 && self.least <= self.most
    }
}

/// Longer pauses are taken for this one.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_one_as_in_java() {
        let backoff = Backoff {
            least: Duration::from_secs(1),
            most: Duration::from_secs(60),
            multiplier: 2.0,
        };
        let seconds = |count| backoff.pause(count).as_secs();
        assert_eq!(
            [0, 1, 2, 5, 6, 7, u32::MAX].map(seconds),
            [1, 2, 4, 32, 60, 60, 60]
        );
        let same = Backoff::constant(Duration::from_millis(300));
        assert_eq!(same.pause(0), same.pause(u32::MAX));
        assert_eq!(Backoff::constant(Duration::MAX).pause(3), LONGEST);
        let none = Backoff {
            least: Duration::ZERO,
            ..backoff
        };
        assert_eq!(none.pause(u32::MAX), Duration::from_secs(60));
        assert!(backoff.is_valid() && same.is_valid());
        for multiplier in [0.5, f64::NAN, f64::INFINITY] {
            assert!(
                !Backoff {
                    multiplier,
                    ..backoff
                }
                .is_valid()
            );
        }
        assert!(
            !Backoff {
                most: Duration::ZERO,
                ..backoff
            }
            .is_valid()
        );
    }
}
