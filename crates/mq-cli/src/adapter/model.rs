//! What the protocols can do, and what there is at their brokers.

#[cfg(doc)]
use super::{Incoming, Settle};

/// What a protocol can do, of what this face offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a table of independent facts"
)]
pub struct Features {
    /// Messages carry a tag, and a subscription can choose by it.
    pub tags: bool,
    /// A subscription can choose by properties, in SQL92.
    pub sql_filter: bool,
    /// [`Settle::RetryAfter`] waits as long as asked, or longer.
    pub retry_after: bool,
    /// [`Settle::DeadLetter`] moves a message aside at once.
    pub dead_letter: bool,
    /// Several members of a group share the queues, and take them over from each other.
    pub groups: bool,
    /// A new group can begin with the oldest message there is.
    pub from_earliest: bool,
    /// Bodies can be compressed.
    pub compression: bool,
    /// Messages with the same ordering key arrive in the order they were sent.
    pub ordered: bool,
    /// Messages can be sent under a transaction.
    pub transactional: bool,
    /// Messages can be sent for a later time.
    pub scheduled: bool,
    /// What is scheduled can be cancelled.
    pub cancel: bool,
    /// Times of delivery are kept to less than a second.
    pub exact_times: bool,
    /// Messages have keys.
    pub keys: bool,
    /// Messages have properties.
    pub properties: bool,
    /// Bodies may be any bytes; else they are text.
    pub binary: bool,
    /// Bodies may have several MiB.
    pub large: bool,
    /// [`Settle::Release`] is not counted as a delivery.
    pub release: bool,
}

/// A topic or queue that the broker knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Topic {
    /// The name, without the client's namespace.
    pub name: String,
    /// Whether the broker made it by itself, for retries or dead letters.
    pub derived: bool,
}

/// Which offsets a queue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueRange {
    /// The queue, named as in [`Incoming::queue`].
    pub queue: String,
    /// The offset of its oldest message.
    pub first: i64,
    /// The offset after its newest message.
    pub next: i64,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
}

/// How many messages a queue has, where it has no offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueCount {
    /// The queue, or `topic:NAME`.
    pub queue: String,
    /// Those that can be received.
    pub visible: u64,
    /// Those that somebody has received and not yet deleted.
    pub held: u64,
    /// Those whose time has not come.
    pub delayed: u64,
}

/// What a queue tells of itself that tells neither offsets nor what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueReady {
    /// The queue.
    pub queue: String,
    /// How many messages can be received.
    pub visible: u32,
    /// How many receive from it.
    pub consumers: u32,
}

/// What is known of a queue that tells where it ends, and not how much it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueEnd {
    /// The queue, named as in [`Incoming::queue`].
    pub queue: String,
    /// The id of its last message, if it holds one.
    pub last: Option<String>,
}

/// What a topic or queue is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Description {
    /// Queues with offsets.
    Ranges(Vec<QueueRange>),
    /// Queues without.
    Counts(Vec<QueueCount>),
    /// Queues of which is known what can be received.
    Ready(Vec<QueueReady>),
    /// Queues of which is known where they end.
    Ends(Vec<QueueEnd>),
}

/// How far a group is behind in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLag {
    /// The topic.
    pub topic: String,
    /// The queue, named as in [`Incoming::queue`].
    pub queue: String,
    /// The offset that the group reads next.
    pub committed: i64,
    /// The offset after the newest message.
    pub next: i64,
    /// How many messages the group has not settled yet.
    pub behind: i64,
}

impl QueueRange {
    /// How many messages the queue holds at most: offsets may have gaps.
    pub const fn messages(&self) -> i64 {
        self.next.saturating_sub(self.first)
    }
}

impl QueueCount {
    /// All messages of it.
    pub const fn messages(&self) -> u64 {
        self.visible
            .saturating_add(self.held)
            .saturating_add(self.delayed)
    }
}
