//! What is sent and what is received.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mq_core::Properties;

use crate::error::{Error, invalid};
use crate::name::{Namespace, check_send_topic};
use crate::schedule::Schedule;

mod wire;

use self::wire::is_system;
pub(crate) use self::wire::{PRODUCER_GROUP, TAGS, UNIQUE_ID};

/// A message: topic, body, and what travels with them.
///
/// Setters don't fail; what can't travel is found when it is sent, before any byte leaves, and the message is given back.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Message {
    topic: String,
    body: Bytes,
    tag: Option<String>,
    keys: Vec<String>,
    flag: i32,
    ordering_key: Option<String>,
    properties: Properties,
    unique_id: Option<String>,
    schedule: Option<Schedule>,
}

impl Message {
    /// A message for `topic`. The body is at most 4 MiB by default and must not be empty: the broker refuses empty bodies.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            body: body.into(),
            tag: None,
            keys: Vec::new(),
            flag: 0,
            ordering_key: None,
            properties: Properties::new(),
            unique_id: None,
            schedule: None,
        }
    }

    /// A message whose body is `value` as JSON.
    ///
    /// # Errors
    ///
    /// Kind [`Invalid`](mq_core::ErrorKind::Invalid) when the value can't be written as JSON. Not retryable.
    pub fn json<T: serde::Serialize>(topic: impl Into<String>, value: &T) -> Result<Self, Error> {
        let body = serde_json::to_vec(value).map_err(|cause| {
            invalid("encode", "the value can't be written as JSON")
                .into_builder()
                .source(cause)
                .build()
        })?;
        Ok(Self::new(topic, body))
    }

    /// The tag that consumers filter by: one, without `|`.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into()).filter(|tag: &String| !tag.is_empty());
        self
    }

    /// Adds a key under which the broker indexes the message. Keys travel separated by spaces, so that a key holds none.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Adds or replaces a property of the application. Names that the protocol uses itself, such as `TAGS`, are refused when the
    /// message is sent, as are empty values and the separators U+0001 and U+0002.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.set(name, value);
        self
    }

    /// Keeps the order of messages with the same key: they go to one queue, chosen by [`KeyHash`](crate::KeyHash), one after the other, and an
    /// ordered consumer receives them in that order. A topic with one queue orders everything.
    ///
    /// The order holds while the topic's number of queues stays as it is, and for sends that began one after the other. A send that fails is never
    /// made at another broker, and what had been begun behind it with the same key ends as `NotSent`. The key travels as `__SHARDINGKEY`.
    pub fn ordering_key(mut self, key: impl Into<String>) -> Self {
        self.ordering_key = Some(key.into());
        self
    }

    /// A number that travels with the message and means nothing to the broker; default 0.
    pub const fn flag(mut self, flag: i32) -> Self {
        self.flag = flag;
        self
    }

    /// Sets the unique id, for a message that is sent again by another process and must be recognisable as the same one.
    ///
    /// Otherwise the client makes one at the first send.
    pub fn with_unique_id(mut self, id: impl Into<String>) -> Self {
        self.unique_id = Some(id.into());
        self
    }

    /// Has it delivered at this time, in whole milliseconds, rounded up; default at once.
    ///
    /// It is not delivered before the broker's clock shows that time; how much later is the broker's precision (1 s by default). A time that
    /// is past means at once, and [`ScheduledHandle::is_past`](crate::ScheduledHandle::is_past) says so. How far ahead it may be, and that
    /// brokers of 4.x have no such times, is [`Dialect`](crate::Dialect)'s to tell; what can't be kept is an error of the send, never a
    /// delivery at once. Of `deliver_at`, `deliver_after` and `delay_level` the last one that is set counts.
    ///
    /// Scheduled messages can't be sent in a batch.
    pub const fn deliver_at(mut self, time: SystemTime) -> Self {
        self.schedule = Some(Schedule::At(time));
        self
    }

    /// Has it delivered this long after it is stored, or later, in whole milliseconds, rounded up.
    ///
    /// Brokers of 5.x count by their own clock, so that a wrong clock here makes no difference; an attempt that is made again counts anew.
    /// DMS and TDMQ are told a time by this client's clock. Else as [`deliver_at`](Self::deliver_at).
    pub const fn deliver_after(mut self, delay: Duration) -> Self {
        self.schedule = Some(Schedule::After(delay));
        self
    }

    /// Has it delivered after the time of this level, 1 to 18: 1 s, 5 s, 10 s, 30 s, 1 to 10 min, 20 min, 30 min, 1 h, 2 h, unless the broker
    /// is set otherwise. Every broker has levels. Other numbers are refused when it is sent, and such a message can't be cancelled. Else as
    /// [`deliver_at`](Self::deliver_at).
    pub const fn delay_level(mut self, level: u8) -> Self {
        self.schedule = Some(Schedule::Level(level));
        self
    }

    /// The topic, as it was given (without the client's namespace).
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The body, decompressed.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The tag, if there is one.
    pub fn tag_text(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The keys.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The ordering key, if there is one. Of a message that Go sent, it is among the [properties](Self::properties), as `SHARDING_KEY`.
    pub fn ordering_key_text(&self) -> Option<&str> {
        self.ordering_key.as_deref()
    }

    /// The application's properties.
    pub const fn properties(&self) -> &Properties {
        &self.properties
    }

    /// When it is to be delivered, if it was not to be at once. A received message has no schedule any more.
    pub const fn schedule(&self) -> Option<Schedule> {
        self.schedule
    }

    /// The flag.
    pub const fn flag_value(&self) -> i32 {
        self.flag
    }

    /// The unique id: stable over resends; `None` before the first send.
    pub fn unique_id(&self) -> Option<&str> {
        self.unique_id.as_deref()
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// Kind [`Invalid`](mq_core::ErrorKind::Invalid) when the body is not the JSON of a `T`. Not retryable.
    pub fn body_json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|cause| {
            invalid("decode", "the body is not the JSON that was asked for")
                .into_builder()
                .source(cause)
                .build()
        })
    }

    pub(crate) fn unique_id_or(&mut self, make: impl FnOnce() -> String) -> &str {
        self.unique_id.get_or_insert_with(make)
    }

    /// Checks everything that can be checked before a byte leaves.
    pub(crate) fn check(&self, namespace: &Namespace, max_body: usize) -> Result<(), Error> {
        check_send_topic(&namespace.wrap(&self.topic))?;
        if self.body.is_empty() {
            return refuse("the body is empty: the broker refuses empty bodies");
        }
        if self.body.len() > max_body {
            return refuse(format!(
                "the body has {} bytes, the limit is {max_body}",
                self.body.len()
            ));
        }
        if let Some(tag) = &self.tag {
            check_text("tag", tag)?;
            if tag.contains('|') {
                return refuse(format!(
                    "the tag {tag:?} has a \"|\", which separates tags in a subscription"
                ));
            }
            if tag.trim() != tag || tag == "*" {
                return refuse(format!("the tag {tag:?} can't be subscribed to"));
            }
        }
        for key in &self.keys {
            check_text("key", key)?;
            if key.is_empty() || key.contains(' ') {
                return refuse(format!(
                    "the key {key:?} is empty or has a space, which separates keys"
                ));
            }
        }
        if let Some(key) = &self.ordering_key {
            check_text("ordering key", key)?;
            if key.is_empty() {
                return refuse("the ordering key is empty");
            }
        }
        self.schedule.map_or(Ok(()), Schedule::check)?;
        for (name, value) in self.properties.iter() {
            check_text("property name", name)?;
            check_text("property value", value)?;
            if name.is_empty() || value.is_empty() {
                return refuse(format!(
                    "the property {name:?} has no name or no value: it would be lost on the way"
                ));
            }
            if is_system(name) {
                return refuse(format!("the property name {name:?} is the protocol's own"));
            }
        }
        Ok(())
    }
}

fn check_text(what: &str, text: &str) -> Result<(), Error> {
    if text.contains(['\u{1}', '\u{2}']) {
        return refuse(format!(
            "the {what} {text:?} has U+0001 or U+0002, which separate properties"
        ));
    }
    Ok(())
}

fn refuse(message: impl Into<String>) -> Result<(), Error> {
    Err(invalid("check message", message))
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("body_len", &self.body.len())
            .field("tag", &self.tag)
            .field("keys", &self.keys)
            .field("ordering_key", &self.ordering_key)
            .field("unique_id", &self.unique_id)
            .field("schedule", &self.schedule)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &Message) -> Result<(), Error> {
        message.check(&Namespace::default(), 100)
    }

    #[test]
    fn what_can_not_travel_is_refused_with_a_reason() {
        let good = || Message::new("t", "body");
        let cases = [
            (Message::new("", "x"), "topic name is empty"),
            (Message::new("a b", "x"), "' '"),
            (Message::new("t", ""), "body is empty"),
            (Message::new("t", vec![0; 101]), "the limit is 100"),
            (good().tag("a|b"), "separates tags"),
            (good().tag("a||b"), "separates tags"),
            (good().tag("a\u{1}"), "U+0001"),
            (good().tag(" a"), "can't be subscribed"),
            (good().key("a b"), "separates keys"),
            (good().key(""), "empty"),
            (good().ordering_key(""), "ordering key is empty"),
            (good().ordering_key("\u{2}"), "U+0001 or U+0002"),
            (good().property("a\u{2}", "x"), "U+0001 or U+0002"),
            (good().property("a", "x\u{1}"), "U+0001 or U+0002"),
            (good().property("a", ""), "no value"),
            (good().property("TAGS", "x"), "protocol's own"),
            (good().property("TIMER_DELAY_MS", "x"), "protocol's own"),
            (good().delay_level(0), "1 to 18"),
            (good().delay_level(19), "1 to 18"),
        ];
        for (message, part) in cases {
            let error = check(&message).unwrap_err();
            assert_eq!(error.kind(), mq_core::ErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        assert!(check(&good().tag("TagA").key("k").property("a", "b")).is_ok());
    }

    #[test]
    fn debug_shows_no_body() {
        assert!(!format!("{:?}", Message::new("t", "canary")).contains("canary"));
    }
}
