//! Which partition a message goes to.
// apache/pulsar: RoundRobinPartitionMessageRouterImpl, SinglePartitionMessageRouterImpl, MessageRouterBase

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::Message;
use crate::conn::now;
use crate::proto::hash;

/// Where messages without a key go; those with one go by its hash, unless it is [`custom`](Self::custom).
#[derive(Clone)]
pub struct Routing(Way);

#[derive(Clone)]
enum Way {
    RoundRobin,
    Single,
    Custom(Arc<Choice>),
}

type Choice = dyn Fn(&Message, u32) -> u32 + Send + Sync;

impl Routing {
    /// To one partition for so long as batches are filled (10 ms), then to the next. The default.
    pub const fn round_robin() -> Self {
        Self(Way::RoundRobin)
    }

    /// All to one partition, which is chosen when the producer is made.
    pub const fn single() -> Self {
        Self(Way::Single)
    }

    /// Where this says, also for messages with a key: it is given the message and the number of partitions. What it says is taken modulo that.
    pub fn custom(choose: impl Fn(&Message, u32) -> u32 + Send + Sync + 'static) -> Self {
        Self(Way::Custom(Arc::new(choose)))
    }
}

impl fmt::Debug for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Way::RoundRobin => "round robin",
            Way::Single => "single",
            Way::Custom(_) => "custom",
        })
    }
}

/// How a key becomes a partition. All producers of a topic have to agree, or a key's messages are in two partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Hashing {
    /// As Java's `String.hashCode`, the default of the Java client. Go's default is the same for ASCII keys where the number of partitions is a power of
    /// two. That of the C++ and Python clients is another one: next to those, [`Routing::custom`] has to do.
    #[default]
    JavaString,
    /// Murmur3 of 32 bits.
    Murmur3,
}

impl Hashing {
    fn of(self, key: &str) -> u32 {
        match self {
            Self::JavaString => hash::java_string(key),
            Self::Murmur3 => hash::murmur3(key.as_bytes()),
        }
    }
}

/// Chooses partitions for a producer.
pub(super) struct Router {
    way: Way,
    hashing: Hashing,
    /// Where round robin begins, and where all of `single` goes.
    first: u32,
    born: Instant,
    /// Without batches each message goes to the next.
    count: Option<AtomicU64>,
}

impl Router {
    pub(super) fn new(routing: Routing, hashing: Hashing, batching: bool) -> Self {
        Self {
            way: routing.0,
            hashing,
            first: fastrand::u32(..),
            born: now(),
            count: (!batching).then(|| AtomicU64::new(0)),
        }
    }

    pub(super) fn partition(&self, message: &Message, partitions: u32) -> u32 {
        if partitions <= 1 {
            return 0;
        }
        if let Way::Custom(choose) = &self.way {
            return choose(message, partitions) % partitions;
        }
        if let Some(key) = message.key_text() {
            return self.hashing.of(key) % partitions;
        }
        let turn = match (&self.way, &self.count) {
            (Way::Single, _) => 0,
            (_, Some(count)) => count.fetch_add(1, Ordering::Relaxed),
            (_, None) => {
                let turns = (now() - self.born).as_millis() / SWITCH.as_millis();
                u64::try_from(turns).unwrap_or(u64::MAX)
            }
        };
        let at = (u64::from(self.first).wrapping_add(turn)) % u64::from(partitions);
        u32::try_from(at).unwrap_or_default()
    }
}

// apache/pulsar: ProducerConfigurationData.batchingPartitionSwitchFrequencyByPublishDelay, ten times the delay of 1 ms
const SWITCH: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routing: Routing, batching: bool) -> Router {
        Router::new(routing, Hashing::JavaString, batching)
    }

    #[tokio::test(start_paused = true)]
    async fn messages_without_a_key_take_turns_and_those_with_one_stay() {
        let by_batch = router(Routing::round_robin(), true);
        let plain = Message::new("");
        let first = by_batch.partition(&plain, 3);
        assert_eq!(by_batch.partition(&plain, 3), first);
        tokio::time::advance(SWITCH).await;
        assert_eq!(by_batch.partition(&plain, 3), (first + 1) % 3);

        let one_by_one = router(Routing::round_robin(), false);
        let turns: Vec<_> = (0..3).map(|_| one_by_one.partition(&plain, 3)).collect();
        let (a, b) = (turns[0], turns[1]);
        assert_eq!(turns, [a, (a + 1) % 3, (a + 2) % 3]);
        assert_ne!(a, b);

        let single = router(Routing::single(), true);
        let at = single.partition(&plain, 3);
        tokio::time::advance(SWITCH).await;
        assert_eq!(single.partition(&plain, 3), at);

        // "key" hashes to 106079 in Java.
        let keyed = Message::new("").key("key");
        for router in [&by_batch, &one_by_one, &single] {
            assert_eq!(router.partition(&keyed, 7), 106_079 % 7);
        }
        let custom = router_of(|_, partitions| partitions + 1);
        assert_eq!(custom.partition(&keyed, 3), 1);
    }

    fn router_of(choose: impl Fn(&Message, u32) -> u32 + Send + Sync + 'static) -> Router {
        router(Routing::custom(choose), true)
    }
}
