//! What becomes of messages that were not handled.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::core::Arrival;
use super::delivery::{Settling, attempt};
use super::{Shared, returns};
use crate::conn::now;

/// When and how a message comes again whose handler answered [`Settle::Retry`](super::Settle::Retry).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it is given to a consumer"]
pub struct RetryPolicy {
    how: How,
    first: Duration,
    longest: Duration,
    attempts: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    InPlace,
    Delayed,
    Requeue,
}

impl RetryPolicy {
    /// The message stays with this consumer, which hands it out again after a pause that doubles from `first` up to `longest`. It keeps a place of
    /// the prefetch meanwhile, and the broker's time-out of acknowledgements (30 minutes by default) runs on.
    pub const fn in_place(first: Duration, longest: Duration) -> Self {
        Self {
            how: How::InPlace,
            first,
            longest,
            attempts: None,
        }
    }

    /// The message waits in a queue of the broker's, `mq.retry.<milliseconds>.<queue>`, and comes to any consumer of its queue after a pause that doubles
    /// from `first` up to `longest`, rounded up to 100 ms, a second or a minute. It takes no place of the prefetch and outlives this process. The
    /// consumer's user needs to declare and publish; the order of the queue is not kept. One whose properties can't be read is retried in place.
    pub const fn delayed(first: Duration, longest: Duration) -> Self {
        Self {
            how: How::Delayed,
            first,
            longest,
            attempts: None,
        }
    }

    /// Whether messages are published for it.
    pub(super) const fn publishes(&self) -> bool {
        matches!(self.how, How::Delayed)
    }

    /// The message goes back to its queue at once, for any consumer. One that nobody can handle goes round without a pause: give it a limit, by
    /// [`attempts`](Self::attempts) on a quorum queue or by the queue's own delivery limit.
    pub const fn requeue() -> Self {
        Self {
            how: How::Requeue,
            first: Duration::ZERO,
            longest: Duration::ZERO,
            attempts: None,
        }
    }

    /// After so many attempts the message is dead-lettered: to the consumer's parking queue, or refused. Default: never.
    pub const fn attempts(mut self, most: u32) -> Self {
        self.attempts = Some(most);
        self
    }

    /// How long a message stays here that can't be sent round: as long as one that failed, and never without a pause.
    pub(super) fn back_off(&self, arrival: &Arrival) -> Duration {
        let ours = if self.first.is_zero() || self.longest.is_zero() {
            Self::default()
        } else {
            *self
        };
        let properties = returns::properties(arrival);
        let pause = ours.pause(attempt(arrival, &properties));
        pause.min(Self::default().longest)
    }

    /// Whether messages stay with their consumer.
    pub(crate) const fn stays(&self) -> bool {
        matches!(self.how, How::InPlace)
    }

    /// Why a message is put aside whose last attempt this was.
    pub(crate) fn used_up(&self, attempt: u32) -> Option<String> {
        let last = self.attempts.is_some_and(|most| attempt >= most);
        last.then(|| format!("{attempt} attempts failed"))
    }

    /// When a message comes again here that failed: after the time that was asked for, or the pause of its attempt.
    pub(crate) fn again_at(&self, attempt: u32, asked: Option<Duration>) -> Instant {
        let pause = asked.unwrap_or_else(|| self.pause(attempt));
        now() + pause.min(LONGEST)
    }

    fn pause(&self, attempt: u32) -> Duration {
        let doubled = self.first.saturating_mul(
            1_u32
                .checked_shl(attempt.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        doubled.min(self.longest)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::in_place(Duration::from_secs(1), Duration::from_secs(60))
    }
}

pub(super) fn retry(shared: &Arc<Shared>, received: Arrival, pause: Option<Duration>) -> Settling {
    let policy = &shared.retry;
    let properties = returns::properties(&received);
    let attempt = attempt(&received, &properties);
    if let Some(why) = policy.used_up(attempt) {
        return returns::park(shared, &received, &why);
    }
    let result = match (policy.how, pause) {
        (How::Requeue, None) => shared.core.give_back(received),
        (How::Delayed, pause) => {
            let pause = pause.unwrap_or_else(|| policy.pause(attempt));
            return returns::delay(shared, &received, pause);
        }
        (_, pause) => {
            let at = policy.again_at(attempt, pause);
            shared.core.again(received, at)
        }
    };
    Settling::now(result)
}

/// Longer pauses would outlive any time-out of the broker.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy::in_place(Duration::from_secs(1), Duration::from_secs(60));
        let pauses: Vec<u64> = [1, 2, 3, 6, 7, 40, u32::MAX]
            .into_iter()
            .map(|at| policy.pause(at).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60]);
    }
}
