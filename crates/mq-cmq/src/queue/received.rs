//! A message that was received.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;

use crate::proto::action::ReceivedMessage;
use crate::proto::limits::MAX_VISIBILITY_SECONDS;

/// A message that was received. It is invisible to others until [`Received::visible_again`]; delete it before, or it is delivered again.
///
/// `Debug` does not show the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    message: ReceivedMessage,
    handle: ReceiptHandle,
}

/// Where a dead letter was before it died.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetterOrigin {
    /// The id of the queue, as the service gave it.
    pub queue_id: String,
    /// When it was sent there, to the second.
    pub enqueued: SystemTime,
    /// How often it was received there.
    pub attempts: u32,
}

/// What a message is deleted by: valid for the last receive of the message, until it is visible again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReceiptHandle(String);

impl Received {
    pub(super) fn new(mut message: ReceivedMessage) -> Self {
        let handle = ReceiptHandle(std::mem::take(&mut message.handle));
        Self { message, handle }
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.message.body
    }

    /// The body, taken out.
    pub fn into_body(self) -> String {
        self.message.body
    }

    /// The body read as JSON.
    ///
    /// # Errors
    ///
    /// It is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.body())
    }

    /// The id that the service gave the message: the same at every delivery.
    pub fn message_id(&self) -> &str {
        &self.message.id
    }

    /// What the message is deleted by.
    pub const fn handle(&self) -> &ReceiptHandle {
        &self.handle
    }

    /// How often the message was received, this time included; 0 where the service does not say. Not to be relied on: newer documents
    /// call it reserved.
    pub const fn attempt(&self) -> u64 {
        self.message.dequeue_count
    }

    /// When it was sent, by the service's clock, to the second.
    pub fn enqueued(&self) -> SystemTime {
        time(self.message.enqueued)
    }

    /// When it was first received, by the service's clock, to the second; `None` where the service does not say.
    pub fn first_received(&self) -> Option<SystemTime> {
        Some(self.message.first_dequeued)
            .filter(|seconds| *seconds > 0)
            .map(time)
    }

    /// For how long it was made invisible, as the service's own times say it; they do on the first receive only.
    pub(crate) fn visibility(&self) -> Option<Duration> {
        let message = &self.message;
        if message.dequeue_count != 1 || message.first_dequeued == 0 {
            return None;
        }
        let seconds = message.next_visible.checked_sub(message.first_dequeued)?;
        // What is outside of what a queue can be told says something else.
        (1..=MAX_VISIBILITY_SECONDS.into())
            .contains(&seconds)
            .then(|| Duration::from_secs(seconds))
    }

    /// The body as it came: over TCP it may be something else than text, which [`body`](Self::body) shows with `\u{fffd}` for what is none.
    pub fn bytes(&self) -> &[u8] {
        let bytes = self.message.bytes.as_deref();
        bytes.unwrap_or(self.message.body.as_bytes())
    }

    /// Of a dead letter, where it was before; `None` of other messages, and over HTTP, which does not say it.
    pub fn origin(&self) -> Option<DeadLetterOrigin> {
        let origin = self.message.origin.as_ref()?;
        Some(DeadLetterOrigin {
            queue_id: origin.queue_id.clone(),
            enqueued: time(origin.enqueued),
            attempts: origin.dequeue_count,
        })
    }

    /// When it becomes visible to others again, by the service's clock, to the second. CMQ can't move it.
    pub fn visible_again(&self) -> SystemTime {
        time(self.message.next_visible)
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("message_id", &self.message.id)
            .field("handle", &self.handle.0)
            .field("attempt", &self.message.dequeue_count)
            .finish_non_exhaustive()
    }
}

impl ReceiptHandle {
    /// A handle that was kept as a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The handle as a text, to be kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Times that no calendar has are the epoch.
fn time(seconds: u64) -> SystemTime {
    let since = Duration::from_secs(seconds);
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
