//! Sending: one message, many, in batches, or without waiting for an answer.
//!
//! ```text
//!  send ─► checked, packed, signed ─► line ─► window ─► connection ─► broker
//!    ▲          caller's task          │  FIFO, by count and bytes       │
//!    └──── receipt, or error and message ◄── retry task ◄── failures ◄───┘
//! ```

mod batch;
mod cancel;
mod compress;
mod ending;
mod half;
mod key;
mod lanes;
mod operation;
mod pack;
mod receipt;
mod retry;
mod send;
mod shared;
mod target;
mod timed;
mod transaction;
mod window;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

pub use self::compress::Compression;
pub use self::key::KeyHash;
pub use self::receipt::{Durability, Receipt, Unheard};
pub use self::send::{Confirm, Enqueue, Send, SendBatch, SendOneway};
use self::shared::ProducerShared;
pub use self::transaction::{
    Begin, CheckedMessage, TransactError, Transaction, TransactionalProducer,
    TransactionalProducerBuilder, Verdict,
};
use crate::Message;
use crate::client::{Flush, Handle};
use crate::consumer::QueueRef;
use crate::error::{Result, SendError};
use crate::name::check_group;

/// Sends messages. Cheap to clone; clones share window and line.
///
/// Made by [`Client::producer`](crate::Client::producer).
#[derive(Clone)]
pub struct Producer {
    shared: Arc<ProducerShared>,
    /// Keeps the client's tasks alive.
    _alive: Arc<Handle>,
}

impl Producer {
    /// Sends a message and waits until the broker has stored it.
    ///
    /// `producer.send(message).await` gives the [`Receipt`]; `.timeout(…)` before `.await` bounds the wait. At its first poll the
    /// send joins the producer's line and then goes on by itself, whether it is polled or not. The first of a topic joins when the route
    /// has come, which it must be polled for.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message: `Rejected` and `NotSent` mean that it is not stored, `Unknown` that it may be. What the broker or
    /// the network may cure has been tried again already, at another broker if there is one, as long as the time-out allowed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before there was room in the window, nothing is sent. Dropped later, the message is not called back, and a failure is
    /// reported by the next [`Producer::flush`].
    pub fn send(&self, message: Message) -> Send {
        Send::new(self.clone(), message)
    }

    /// Puts a message into the window and gives a [`Confirm`] for its receipt: the way to have many under way.
    ///
    /// Waits while the window is full: that is the backpressure.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], for what happens before there was room; the rest is the [`Confirm`]'s.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::send`].
    pub fn enqueue(&self, message: Message) -> Enqueue {
        Enqueue::new(self.clone(), message)
    }

    /// Sends a message without asking for an answer: it may get lost without anybody noticing.
    ///
    /// Resolves when the message was handed to the socket. Not tried again.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], without the broker's.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::send`].
    pub fn send_oneway(&self, message: Message) -> SendOneway {
        SendOneway::new(self.clone(), message)
    }

    /// Sends messages of one topic in as few requests as their sizes allow; the results are in the order of the messages.
    ///
    /// The messages of one request are stored together or not at all, in one queue; they are not compressed. What does not fit into
    /// one request goes in several.
    ///
    /// # Errors
    ///
    /// Each message has its own result. When one of them can't be sent at all (kind `Invalid`), or the topics differ, none is.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::send`], request by request.
    pub fn send_batch(&self, messages: impl IntoIterator<Item = Message>) -> SendBatch {
        SendBatch::new(self.clone(), messages.into_iter().collect())
    }

    /// Sends what a stream yields, as many at a time as the window allows; yields one result a message, in the order of the input, and
    /// goes on after an error.
    pub fn send_all<S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Receipt, SendError>> + use<S>
    where
        S: Stream<Item = Message>,
    {
        let producer = self.clone();
        let ahead = self.shared.max_in_flight;
        messages
            .map(move |message| IntoFuture::into_future(producer.send(message)))
            .buffered(ahead)
    }

    /// The queues of a topic that can be sent to, in the order in which ordering keys choose among them: for [`Send::queue`].
    ///
    /// # Errors
    ///
    /// Kind `NotFound`: the topic does not exist, or none of its queues can be written; retryable. Others, when the nameservers could not be asked.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn queues(&self, topic: &str) -> Result<Vec<QueueRef>> {
        let client = &self.shared.client;
        client.check_open("list queues")?;
        let route = client
            .routes
            .for_publishing(&client.namespace.wrap(topic))
            .await?;
        let queues = route.publish.iter();
        Ok(queues
            .map(|queue| QueueRef::of(&client.namespace, queue))
            .collect())
    }

    /// Waits until nothing is under way and nothing waits in the line.
    ///
    /// # Errors
    ///
    /// [`Unheard`]: sends whose futures or confirms had been dropped, and which failed. Each is reported once.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn flush(&self) -> Result<(), Unheard> {
        self.shared.flushed().await
    }

    /// The group, with the namespace.
    pub fn group(&self) -> &str {
        &self.shared.group
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

/// Options of a [`Producer`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until build() is awaited"]
pub struct ProducerBuilder {
    handle: Arc<Handle>,
    group: String,
    timeout: Duration,
    attempt_timeout: Option<Duration>,
    max_attempts: u32,
    max_body: usize,
    max_in_flight: usize,
    max_in_flight_bytes: usize,
    compression: Option<Compression>,
    require_durable: bool,
    key_hash: KeyHash,
}

impl ProducerBuilder {
    pub(crate) fn new(handle: Arc<Handle>, group: &str) -> Self {
        Self {
            handle,
            group: group.to_owned(),
            timeout: Duration::from_secs(3),
            attempt_timeout: None,
            max_attempts: 3,
            max_body: 4 << 20,
            max_in_flight: 1024,
            max_in_flight_bytes: 64 << 20,
            compression: None,
            require_durable: false,
            key_hash: KeyHash::Java,
        }
    }

    /// How long a send may take, from its first poll, the wait for room and all attempts included; default 3 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long one attempt may take before the next is made; default none, so that an attempt without an answer lasts as long as the
    /// send. With it a broker that is frozen costs a send this time, not its success; one that is only slow stores the message
    /// twice.
    // apache/rocketmq: DefaultMQProducer.sendMsgMaxTimeoutPerRequest
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// How often a message is tried in all; default 3, at least 1. Every attempt carries the same unique id: a message that was
    /// stored although its answer got lost is stored twice and recognisable by it.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The largest body in bytes, before compression; default 4 MiB, as brokers are configured by default.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How many messages may be under way; default 1024, at least 1. Others wait in line.
    pub const fn max_in_flight(mut self, count: usize) -> Self {
        self.max_in_flight = count;
        self
    }

    /// How many bytes may be under way; default 64 MiB. A message larger than that goes alone.
    pub const fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.max_in_flight_bytes = bytes;
        self
    }

    /// Compresses large bodies; default not.
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Makes an error of what is stored but not as durably as the broker was to (see [`Durability`]); default off. The error's outcome
    /// is `Unknown`, and it carries the receipt.
    pub const fn require_durable(mut self) -> Self {
        self.require_durable = true;
        self
    }

    /// How [ordering keys](Message::ordering_key) choose a queue; default as Java does. All producers of a topic must agree.
    pub const fn key_hash(mut self, hash: KeyHash) -> Self {
        self.key_hash = hash;
        self
    }

    /// Goes on to a producer of transactions: `checker` is asked for the decision on every half message of the group whose transaction is
    /// not ended, whichever producer of the group began it. See [`TransactionalProducer`].
    pub fn checker<F, Fut>(self, checker: F) -> TransactionalProducerBuilder
    where
        F: Fn(CheckedMessage) -> Fut + std::marker::Send + Sync + 'static,
        Fut: Future<Output = Verdict> + std::marker::Send + 'static,
    {
        TransactionalProducerBuilder::new(self, checker)
    }

    /// Makes the producer. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: the group's name is not acceptable. Kind `Closed`: the client is. Neither is retryable.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    #[expect(
        clippy::unused_async,
        reason = "builders end in await; a later version may ask the broker"
    )]
    pub async fn build(self) -> Result<Producer> {
        let client = Arc::clone(&self.handle.shared);
        client.check_open("start producer")?;
        let group = client.namespace.wrap(&self.group);
        check_group(&group)?;
        // Every send under way can be in the channel at once, and no more.
        let (retries, failed) = mpsc::channel(
            self.max_in_flight
                .clamp(1, tokio::sync::Semaphore::MAX_PERMITS),
        );
        let shared = Arc::new(ProducerShared::new(
            client,
            group.as_str().into(),
            &self,
            retries,
        ));
        let known: Arc<dyn Flush> = Arc::<ProducerShared>::clone(&shared);
        shared
            .client
            .groups
            .add_producer(&group, Arc::downgrade(&known));
        retry::start(&shared, failed);
        Ok(Producer {
            shared,
            _alive: self.handle,
        })
    }
}

#[cfg(test)]
mod tests;
