//! Messages, receipts and decisions without a protocol.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mq_core::Properties;

/// A message to send.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct Outgoing {
    /// The topic or queue, without the client's namespace. For CMQ `QUEUE`, `QUEUE/SHARDS`, or `topic:NAME[/ROUTING.KEY]`;
    /// for AMQP `QUEUE`, `EXCHANGE/ROUTING.KEY`, or `/QUEUE`, and `TOPIC[/PARTITIONS]` with an ordering key; for Pulsar also a whole name.
    pub destination: String,
    /// The content.
    pub body: Bytes,
    /// The key by which it can be found.
    pub key: Option<String>,
    /// Messages with the same one keep their order.
    pub ordering_key: Option<String>,
    /// The tag by which subscriptions choose.
    pub tag: Option<String>,
    /// Properties of the application.
    pub properties: Properties,
    /// When it is to be delivered; default at once.
    pub when: Option<When>,
    /// What is scheduled can be cancelled, where that has its price; elsewhere all of it can, or nothing.
    pub cancellable: bool,
}

/// When a message is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// At this time, or at once if it is past.
    At(SystemTime),
    /// So long after it is stored.
    After(Duration),
    /// After the delay that the broker has under this number; RocketMQ has 1 to 18.
    Level(u8),
}

/// What became of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancel {
    /// The message is not delivered.
    Cancelled,
    /// Its time has come.
    TooLate,
    /// The broker has taken the cancellation, and tells no more.
    Requested,
}

/// Proof that the broker has a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The id that stays the same over resends, and that the receiver sees too; for Pulsar where it is stored, empty if it was a duplicate.
    pub id: String,
    /// The topic, as it was given.
    pub topic: String,
    /// The queue, unique in the topic: for RocketMQ broker and number, as `broker-a/0`, for Pulsar the partition's number.
    /// Empty of what an AMQP exchange led on, and of a topic without partitions.
    pub queue: String,
    /// The offset in the queue, where the protocol has offsets.
    pub offset: Option<i64>,
    /// Whether everything that the broker was to do before answering is done.
    pub durable: bool,
    /// What cancels it, if it is scheduled.
    pub handle: Option<String>,
    /// Whether it was to be scheduled, and its time was past: it is delivered at once.
    pub at_once: bool,
}

/// A message that was received.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// The id that stays the same over resends and deliveries; empty if its sender gave it none.
    pub id: String,
    /// The topic it was sent to, without the client's namespace.
    pub topic: String,
    /// The queue this copy came from, named as in [`Sent::queue`]. A message that is delivered again may come from a retry queue.
    pub queue: String,
    /// The offset in that queue, where the protocol has offsets.
    pub offset: Option<i64>,
    /// The key; several are separated by spaces.
    pub key: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// Properties of the application.
    pub properties: Properties,
    /// The content.
    pub body: Bytes,
    /// When it was made, by the sender's clock, if it says so.
    pub born_at: Option<SystemTime>,
    /// When it was taken here.
    pub received_at: SystemTime,
    /// How often it was delivered before.
    pub redelivery_count: u32,
    /// Why the body is as it came, if it could not be decoded.
    pub undecoded: Option<String>,
}

/// What becomes of a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// Done with.
    Ack,
    /// Deliver it again, by the protocol's retry policy.
    Retry,
    /// Deliver it again after this time or later.
    RetryAfter(Duration),
    /// Move it aside at once.
    DeadLetter,
    /// Give it back as if it had never been received: not counted as a delivery, where [`Features::release`](super::Features::release) says so.
    Release,
}

impl Outgoing {
    /// A message for `destination`.
    pub fn new(destination: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            destination: destination.into(),
            body: body.into(),
            ..Self::default()
        }
    }

    /// Sets the key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the ordering key.
    pub fn ordering_key(mut self, key: impl Into<String>) -> Self {
        self.ordering_key = Some(key.into());
        self
    }

    /// Sets the tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Adds or replaces a property.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.set(name, value);
        self
    }

    /// Has it delivered then.
    pub const fn when(mut self, when: When) -> Self {
        self.when = Some(when);
        self
    }

    /// Asks for a handle that cancels it, where that has its price.
    pub const fn cancellable(mut self) -> Self {
        self.cancellable = true;
        self
    }
}

/// Shows everything but the body, of which it shows the length.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("destination", &self.destination)
            .field("body_len", &self.body.len())
            .field("key", &self.key)
            .field("ordering_key", &self.ordering_key)
            .field("tag", &self.tag)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

/// Shows everything but the body, of which it shows the length.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("id", &self.id)
            .field("topic", &self.topic)
            .field("queue", &self.queue)
            .field("offset", &self.offset)
            .field("body_len", &self.body.len())
            .field("redelivery_count", &self.redelivery_count)
            .field("undecoded", &self.undecoded)
            .finish_non_exhaustive()
    }
}
