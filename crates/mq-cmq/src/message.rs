//! What is sent: messages for queues, messages for topics, and the receipt of both.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::proto::limits::{self, Refusal};

/// A message for a queue: a text, and when it may be received.
///
/// Bodies of CMQ are texts in UTF-8, up to 1 MiB (64 KiB on the older service, and by default of a queue). Encode bytes that are not,
/// for example in Base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    body: String,
    due: Due,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    AtOnce,
    After(Duration),
    At(SystemTime),
}

/// Without the body.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("body_len", &self.body.len())
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// A message that is visible at once.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            due: Due::AtOnce,
        }
    }

    /// A message with `value` as JSON.
    ///
    /// # Errors
    ///
    /// `value` can't be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::new)
    }

    /// Visible after `delay`, rounded up to whole seconds. How long it may be is for the queue to say: a message that is due later than
    /// the queue keeps messages is lost on some versions of the service, and refused by others. It is refused here where the handle knows
    /// that time, from [`Queue::attributes`](crate::Queue::attributes) or [`Queue::retention`](crate::Queue::retention). In place of an earlier `deliver_*`.
    #[must_use]
    pub const fn deliver_after(mut self, delay: Duration) -> Self {
        self.due = Due::After(delay);
        self
    }

    /// Visible at `time`, by this machine's clock, rounded up to whole seconds; at once if it has passed. The delay is reckoned when the
    /// request is made: one that has to be made again, after throttling, is later by as much. See [`Message::deliver_after`].
    #[must_use]
    pub const fn deliver_at(mut self, time: SystemTime) -> Self {
        self.due = Due::At(time);
        self
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    pub(crate) fn is_scheduled(&self) -> bool {
        self.due != Due::AtOnce
    }

    /// The seconds to send; `None` for a message without a schedule. `kept`: how long the queue keeps messages, where that is known.
    pub(crate) fn delay_seconds(
        &self,
        now: SystemTime,
        kept: Option<Duration>,
    ) -> Result<Option<u32>, Refusal> {
        let delay = match self.due {
            Due::AtOnce => return Ok(None),
            Due::After(delay) => delay,
            Due::At(time) => time.duration_since(now).unwrap_or_default(),
        };
        limits::delay_seconds(delay, kept).map(Some)
    }
}

impl<T: Into<String>> From<T> for Message {
    fn from(body: T) -> Self {
        Self::new(body)
    }
}

/// A message for a topic: a text, and what subscriptions choose it by. Topics have no delay.
#[derive(Clone, PartialEq, Eq)]
pub struct TopicMessage {
    body: String,
    tags: Vec<String>,
    routing_key: Option<String>,
}

/// Without the body.
impl fmt::Debug for TopicMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicMessage")
            .field("body_len", &self.body.len())
            .field("tags", &self.tags)
            .field("routing_key", &self.routing_key)
            .finish_non_exhaustive()
    }
}

impl TopicMessage {
    /// A message without tags and routing key.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            tags: Vec::new(),
            routing_key: None,
        }
    }

    /// A message with `value` as JSON.
    ///
    /// # Errors
    ///
    /// `value` can't be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(Self::new)
    }

    /// Adds a tag, of up to 16 characters; up to 5 of them. For topics that filter by tags.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// The routing key: words with dots between, up to 64 bytes and 15 dots. For topics that filter by binding keys.
    #[must_use]
    pub fn routing_key(mut self, key: impl Into<String>) -> Self {
        self.routing_key = Some(key.into());
        self
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    pub(crate) fn tags(&self) -> &[String] {
        &self.tags
    }

    pub(crate) fn tag_texts(&self) -> Vec<&str> {
        self.tags.iter().map(String::as_str).collect()
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.routing_key.as_deref()
    }

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        limits::body(&self.body, limits::MAX_BODY)?;
        limits::tags(&self.tags)?;
        self.key().map_or(Ok(()), limits::routing_key)
    }
}

impl<T: Into<String>> From<T> for TopicMessage {
    fn from(body: T) -> Self {
        Self::new(body)
    }
}

/// The service has the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    id: String,
    due: Option<SystemTime>,
}

impl Receipt {
    pub(crate) const fn new(id: String, due: Option<SystemTime>) -> Self {
        Self { id, due }
    }

    /// The id that the service gave the message.
    pub fn message_id(&self) -> &str {
        &self.id
    }

    /// When the message is to become visible, by this machine's clock, as it was sent: whole seconds after the call. `None` without a
    /// schedule. CMQ can't take a scheduled message back.
    pub const fn due(&self) -> Option<SystemTime> {
        self.due
    }

    /// What was scheduled, to be kept; `None` without a schedule.
    pub fn scheduled(&self) -> Option<Scheduled> {
        Some(Scheduled {
            message_id: self.id.clone(),
            due: self.due?,
        })
    }
}

/// A message that is to become visible later, as it was sent. It can be written down by serde. CMQ has no means to cancel it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scheduled {
    message_id: String,
    due: SystemTime,
}

impl Scheduled {
    /// The id that the service gave the message.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// As [`Receipt::due`].
    pub const fn due(&self) -> SystemTime {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_becomes_seconds_rounded_up() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(10_500);
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        for (message, seconds) in [
            (Message::new("x"), None),
            (Message::new("x").deliver_after(Duration::ZERO), Some(0)),
            (
                Message::new("x").deliver_after(Duration::from_millis(1)),
                Some(1),
            ),
            (Message::new("x").deliver_at(at(12_000)), Some(2)),
            (Message::new("x").deliver_at(at(12_500)), Some(2)),
            (Message::new("x").deliver_at(at(12_501)), Some(3)),
            (Message::new("x").deliver_at(at(3)), Some(0)),
        ] {
            assert_eq!(message.delay_seconds(now, None), Ok(seconds), "{message:?}");
        }
    }
}
