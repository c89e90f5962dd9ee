//! How a delivery can end, and what that is to the broker.

use std::time::Duration;

/// What a handler decides about a message. What a [broadcasting](crate::ConsumerBuilder::broadcast) consumer does not acknowledge stays with it:
/// it waits there for as long, and where a dead letter is spoken of, it is skipped. Of an [ordered](crate::ConsumerBuilder::ordered) one it waits
/// there too, for its own times, and its queue waits with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// Done with.
    Ack,
    /// Deliver it again after the broker's delay for this attempt: 10 s for the second, growing to 2 h. After
    /// [`max_redeliveries`](crate::ConsumerBuilder::max_redeliveries) it goes to the dead-letter queue instead.
    Retry,
    /// Deliver it again after this time, rounded up to one of the broker's delay levels (1 s, 5 s, 10 s, 30 s, 1 to 10 min, 20 min,
    /// 30 min, 1 h, 2 h; longer is 2 h). It counts as an attempt.
    RetryAfter(Duration),
    /// Put it into the dead-letter queue (`%DLQ%group`) now.
    DeadLetter,
    /// Done with, and everything acknowledged of its queue with it; see [`Acker::commit`](crate::Acker::commit).
    Commit,
    /// Deliver everything of its queue again that is not committed; see [`Acker::rollback`](crate::Acker::rollback).
    Rollback,
}

impl Settle {
    /// How to send it back; `None` for an acknowledgement.
    pub(crate) fn level(self) -> Option<DelayLevel> {
        match self {
            Self::Ack | Self::Commit => None,
            Self::Retry | Self::Rollback => Some(DelayLevel::POLICY),
            Self::RetryAfter(delay) => Some(DelayLevel::at_least(delay)),
            Self::DeadLetter => Some(DelayLevel::DEAD),
        }
    }
}

/// The delay level of a send-back, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DelayLevel(pub(crate) i32);

impl DelayLevel {
    /// The broker decides by how often the message came.
    pub(crate) const POLICY: Self = Self(0);
    /// To the dead-letter queue.
    // apache/rocketmq: AbstractSendMessageProcessor.consumerSendMsgBack, a level below 0 goes to the DLQ
    pub(crate) const DEAD: Self = Self(-1);

    /// The first level that is not shorter; the longest for more than two hours.
    pub(crate) fn at_least(delay: Duration) -> Self {
        let shorter = LEVEL_SECONDS
            .iter()
            .filter(|level| Duration::from_secs(**level) < delay)
            .count();
        let level = (shorter + 1).min(LEVEL_SECONDS.len());
        Self(i32::try_from(level).unwrap_or(i32::MAX))
    }

    /// How long a message waits that has been redelivered so often; for one that does not go to the broker.
    pub(crate) fn delay(self, reconsumed: i32) -> Duration {
        let place = usize::try_from(self.explicit(reconsumed)).unwrap_or(0);
        let longest = LEVEL_SECONDS.len();
        let seconds = LEVEL_SECONDS.get(place.clamp(1, longest) - 1);
        Duration::from_secs(seconds.copied().unwrap_or_default())
    }

    /// The level to put on a message that goes to the retry topic as an ordinary send.
    // apache/rocketmq: DefaultMQPushConsumerImpl.sendMessageBackAsNormalMessage, 3 + how often it was consumed again
    pub(crate) fn explicit(self, reconsumed: i32) -> i32 {
        if self == Self::POLICY {
            reconsumed.max(0).saturating_add(3)
        } else {
            self.0
        }
    }
}

/// What the delay levels mean unless the broker's `messageDelayLevel` says otherwise; the first is level 1.
// apache/rocketmq: MessageStoreConfig.messageDelayLevel
const LEVEL_SECONDS: [u64; 18] = [
    1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_round_up_to_a_level() {
        for (ms, level) in [
            (0, 1),
            (1, 1),
            (1000, 1),
            (1001, 2),
            (5000, 2),
            (10_001, 4),
            (60_000, 5),
            (61_000, 6),
            (7_200_000, 18),
            (7_200_001, 18),
            (u64::MAX, 18),
        ] {
            assert_eq!(
                DelayLevel::at_least(Duration::from_millis(ms)).0,
                level,
                "{ms} ms"
            );
        }
    }

    #[test]
    fn decisions_become_levels() {
        assert_eq!(Settle::Ack.level(), None);
        assert_eq!(Settle::Retry.level(), Some(DelayLevel(0)));
        assert_eq!(Settle::DeadLetter.level(), Some(DelayLevel(-1)));
        assert_eq!(
            Settle::RetryAfter(Duration::from_secs(7)).level(),
            Some(DelayLevel(3))
        );
        assert_eq!(DelayLevel::POLICY.explicit(2), 5);
        assert_eq!(DelayLevel(7).explicit(2), 7);
    }

    #[test]
    fn without_a_broker_the_delays_are_the_same() {
        for (level, reconsumed, seconds) in [
            (DelayLevel::POLICY, 0, 10),
            (DelayLevel::POLICY, 1, 30),
            (DelayLevel::POLICY, 2, 60),
            (DelayLevel::POLICY, 15, 7200),
            (DelayLevel::POLICY, i32::MAX, 7200),
            (DelayLevel::at_least(Duration::ZERO), 9, 1),
            (DelayLevel::at_least(Duration::MAX), 0, 7200),
        ] {
            let delay = level.delay(reconsumed);
            assert_eq!(
                delay,
                Duration::from_secs(seconds),
                "{level:?} {reconsumed}"
            );
        }
    }
}
