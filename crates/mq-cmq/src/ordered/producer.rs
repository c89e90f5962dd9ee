//! Sends messages with a key, numbered, one of a key at a time.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mq_core::{ErrorKind, Outcome};
use serde::Serialize;
use tokio::sync::oneshot;

use super::Ordered;
use super::lanes::{Job, Lanes};
use crate::error::{Error, SendError};

/// A message with a key: what has the same key is received in the order in which it was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct OrderedMessage {
    key: Arc<str>,
    body: Arc<str>,
    /// Epoch and number of one that may have been stored.
    pub(super) place: Option<(u64, u64)>,
}

impl OrderedMessage {
    /// A message. Its key has up to 256 bytes, which is seen when it is sent.
    pub fn new(key: impl Into<Arc<str>>, body: impl Into<Arc<str>>) -> Self {
        Self {
            key: key.into(),
            body: body.into(),
            place: None,
        }
    }

    /// A message with `value` as JSON.
    ///
    /// # Errors
    ///
    /// `value` can't be written as JSON.
    pub fn json<T: Serialize + ?Sized>(
        key: impl Into<Arc<str>>,
        value: &T,
    ) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|body| Self::new(key, body))
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// Without the body.
impl fmt::Debug for OrderedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedMessage")
            .field("key", &self.key)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The service has the message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrderedReceipt {
    /// The id that the service gave the message.
    pub message_id: String,
    /// The number of the shard.
    pub shard: usize,
    /// The epoch of its stream.
    pub epoch: u64,
    /// The number in its stream, from 1.
    pub seq: u64,
}

/// Sends messages of many keys. Cheap to clone; clones number together. Made by [`Ordered::producer`].
#[derive(Clone)]
pub struct OrderedProducer {
    lanes: Arc<Lanes>,
}

impl OrderedProducer {
    pub(super) fn new(ordered: &Ordered) -> Self {
        Self {
            lanes: Arc::new(Lanes::new(ordered.clone())),
        }
    }

    /// The name that its messages carry: 16 random digits.
    pub fn name(&self) -> &str {
        self.lanes.name()
    }

    /// Sends a message; resolves when the service has it. Of a key one message is under way, in the order in which the sends were first
    /// polled; the client's tasks do it, so that a send that is dropped later is sent all the same. One whose answer did not come is sent
    /// again with the same number, which consumers recognise.
    pub fn send(&self, message: OrderedMessage) -> OrderedSend {
        OrderedSend {
            lanes: Arc::clone(&self.lanes),
            message,
            timeout: None,
        }
    }

    /// Gives up on knowing whether the last message of a key was stored: what follows begins an epoch, whose order to what came before is
    /// not promised. The answer is whether it did: not while something of the key is under way.
    pub fn abandon(&self, key: &str) -> bool {
        self.lanes.abandon(key)
    }
}

impl fmt::Debug for OrderedProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedProducer")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// A send of one message with a key: await it. Made by [`OrderedProducer::send`].
///
/// # Errors
///
/// A [`SendError`] with the message. Outcome `Unknown`: it may have been stored, and knows its number. Until it is sent again
/// (the message that was given back), or the key is [abandoned](OrderedProducer::abandon), nothing else of the key is sent. Outcome `Rejected`: the
/// service said no. `NotSent`: kind `Invalid`, body or key are not acceptable; kind `Busy`, 1024 messages wait already; kind `Closed`; or a message of the
/// key before it failed, so that its turn did not come.
///
/// # Cancel safety
///
/// Dropped before it was polled, nothing is sent; after, it is.
#[must_use = "nothing is sent until it is awaited"]
pub struct OrderedSend {
    lanes: Arc<Lanes>,
    message: OrderedMessage,
    timeout: Option<Duration>,
}

impl OrderedSend {
    /// How long the message may take once it is its turn, its attempts included; default the client's.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl IntoFuture for OrderedSend {
    type Output = Result<OrderedReceipt, SendError<OrderedMessage>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (done, result) = oneshot::channel();
            let message = self.message.clone();
            self.lanes.join(Job {
                message: self.message,
                timeout: self.timeout,
                done,
            });
            let gone = |_| Err(SendError::new(gone(), message));
            result.await.unwrap_or_else(gone)
        })
    }
}

impl fmt::Debug for OrderedSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedSend")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// The client closed with the send under way.
fn gone() -> Error {
    Error::builder(ErrorKind::Closed, "the client was closed meanwhile")
        .operation("send in order")
        .outcome(Outcome::Unknown)
        .build()
}
