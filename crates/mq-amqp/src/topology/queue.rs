//! Where messages wait.

use std::time::Duration;

use bytestring::ByteString;

use super::{names, short};
use crate::error::Result;
use crate::proto::{Method, QueueDeclare, Table, Value};

/// A queue to declare. Durable, unless said otherwise.
///
/// ```
/// use std::time::Duration;
/// use mq_amqp::Queue;
///
/// let queue = Queue::quorum("orders")
///     .delivery_limit(5)
///     .dead_letter_exchange("")
///     .dead_letter_routing_key("orders.dead")
///     .message_ttl(Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it is declared by Client::declare_queue"]
#[allow(clippy::struct_excessive_bools, reason = "they are the protocol's")]
pub struct Queue {
    name: ByteString,
    durable: bool,
    pub(super) exclusive: bool,
    pub(super) auto_delete: bool,
    adopt: bool,
    arguments: Table,
}

/// What a queue does that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Drops or dead-letters from its head.
    DropHead,
    /// Refuses what is published; its publisher hears it.
    RejectPublish,
    /// Refuses what is published, and dead-letters it. Classic queues alone.
    RejectPublishDeadLetter,
}

/// How surely a quorum queue dead-letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterStrategy {
    /// A message may be lost on its way.
    AtMostOnce,
    /// A message is kept until its new queue has confirmed it. Needs [`Overflow::RejectPublish`].
    AtLeastOnce,
}

impl Queue {
    /// A classic queue: on one node of the cluster.
    pub fn classic(name: impl Into<ByteString>) -> Self {
        Self {
            name: name.into(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            adopt: false,
            arguments: Table::new(),
        }
    }

    /// A quorum queue: replicated, and counts deliveries.
    pub fn quorum(name: impl Into<ByteString>) -> Self {
        Self::classic(name).argument("x-queue-type", "quorum")
    }

    /// A stream: messages stay when they are consumed, and are read from any offset.
    pub fn stream(name: impl Into<ByteString>) -> Self {
        Self::classic(name).argument("x-queue-type", "stream")
    }

    /// A queue of this connection alone, gone with it, under a name of the broker's choice. After a reconnect it is made anew under another name,
    /// which [`Event::QueueRenamed`](crate::Event::QueueRenamed) tells; its bindings and consumers follow.
    pub fn temporary() -> Self {
        Self::classic("").transient().exclusive()
    }

    /// It is gone when the broker stops.
    pub const fn transient(mut self) -> Self {
        self.durable = false;
        self
    }

    /// Only this client can use it, and it is gone with its connection.
    pub const fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// It is deleted when its last consumer is gone.
    pub const fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// If it is there with other arguments, it is used as it is.
    pub const fn or_adopt(mut self) -> Self {
        self.adopt = true;
        self
    }

    /// After how long a message is dropped or dead-lettered. In milliseconds on the wire, rounded up.
    pub fn message_ttl(self, time: Duration) -> Self {
        self.argument("x-message-ttl", millis(time))
    }

    /// After how long without consumers and declarations the queue itself is deleted. In milliseconds on the wire, rounded up.
    pub fn expires(self, time: Duration) -> Self {
        self.argument("x-expires", millis(time))
    }

    /// Where messages go that are refused, expire, or have no room; the default exchange, which leads to the queue that the key names, has no name.
    pub fn dead_letter_exchange(self, exchange: impl Into<ByteString>) -> Self {
        self.argument("x-dead-letter-exchange", exchange.into())
    }

    /// The routing key of dead letters; default the message's own.
    pub fn dead_letter_routing_key(self, key: impl Into<ByteString>) -> Self {
        self.argument("x-dead-letter-routing-key", key.into())
    }

    /// How surely dead letters arrive.
    pub fn dead_letter_strategy(self, strategy: DeadLetterStrategy) -> Self {
        let name = match strategy {
            DeadLetterStrategy::AtMostOnce => "at-most-once",
            DeadLetterStrategy::AtLeastOnce => "at-least-once",
        };
        self.argument("x-dead-letter-strategy", name)
    }

    /// How many messages it holds at most.
    pub fn max_length(self, messages: u32) -> Self {
        self.argument("x-max-length", i64::from(messages))
    }

    /// How many bytes of bodies it holds at most.
    pub fn max_length_bytes(self, bytes: u64) -> Self {
        self.argument(
            "x-max-length-bytes",
            i64::try_from(bytes).unwrap_or(i64::MAX),
        )
    }

    /// What it does when it is full; default [`Overflow::DropHead`].
    pub fn overflow(self, overflow: Overflow) -> Self {
        let name = match overflow {
            Overflow::DropHead => "drop-head",
            Overflow::RejectPublish => "reject-publish",
            Overflow::RejectPublishDeadLetter => "reject-publish-dlx",
        };
        self.argument("x-overflow", name)
    }

    /// One consumer gets all messages, until it is gone.
    pub fn single_active_consumer(self) -> Self {
        self.argument("x-single-active-consumer", true)
    }

    /// Messages have priorities from 0 to this. Classic queues.
    pub fn max_priority(self, most: u8) -> Self {
        self.argument("x-max-priority", i64::from(most))
    }

    /// After so many deliveries a message is dropped or dead-lettered. Quorum queues.
    pub fn delivery_limit(self, deliveries: u32) -> Self {
        self.argument("x-delivery-limit", i64::from(deliveries))
    }

    /// How long a stream keeps messages, such as `7D` or `12h`.
    pub fn max_age(self, age: impl Into<ByteString>) -> Self {
        self.argument("x-max-age", age.into())
    }

    /// An argument of the broker's own.
    pub fn argument(mut self, name: impl Into<ByteString>, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Its name; empty if the broker is to choose one.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn adopts(&self) -> bool {
        self.adopt
    }

    pub(super) fn check(&self) -> Result<()> {
        short("queue", &self.name)?;
        names(&self.arguments)
    }

    pub(super) fn declare(&self) -> Method {
        QueueDeclare {
            reserved_1: 0,
            queue: self.name.clone(),
            passive: false,
            durable: self.durable,
            exclusive: self.exclusive,
            auto_delete: self.auto_delete,
            nowait: false,
            arguments: self.arguments.clone(),
        }
        .into()
    }
}

/// Asks for a queue that is there.
pub(super) fn look(name: &str) -> Method {
    QueueDeclare {
        reserved_1: 0,
        queue: name.into(),
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: Table::new(),
    }
    .into()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}
