//! A message to send.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;

use crate::error::{Result, invalid};
use crate::proto::SingleMetadata;

/// A message: a body, or none, and what travels with it. Its topic is the producer's.
///
/// ```
/// use mq_pulsar::Message;
///
/// let message = Message::new(r#"{"id":1}"#).key("customer-7").property("tenant", "acme");
/// assert_eq!(message.key_text(), Some("customer-7"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "it is sent by a producer"]
pub struct Message {
    pub(crate) head: SingleMetadata,
    /// Not before, in milliseconds since 1970. Kept only by what goes alone.
    pub(crate) deliver_at: Option<i64>,
    body: Bytes,
}

impl Message {
    /// A message with this body, which may be empty.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            head: SingleMetadata::default(),
            deliver_at: None,
            body: body.into(),
        }
    }

    /// A message without a value, which is something else than an empty one: in a compacted topic it deletes its key.
    pub fn null() -> Self {
        let mut message = Self::new(Bytes::new());
        message.head.null_value = true;
        message
    }

    /// A message whose body is `value` as JSON.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: what `value`'s `Serialize` answers.
    pub fn json(value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|cause| {
            let error = invalid("send", "the value can't be written as JSON").into_builder();
            error.source(cause).build()
        })?;
        Ok(Self::new(body))
    }

    /// The key: messages with the same one go to the same partition, and to the same consumer of a `Key_Shared` subscription.
    pub fn key(mut self, key: impl Into<ByteString>) -> Self {
        self.head.partition_key = Some(key.into());
        self.head.key_is_base64 = false;
        self
    }

    /// The same for a key that is no text.
    pub fn key_bytes(mut self, key: impl AsRef<[u8]>) -> Self {
        self.head.partition_key = Some(STANDARD.encode(key).into());
        self.head.key_is_base64 = true;
        self
    }

    /// What a `Key_Shared` subscription goes by in place of the key; the partition stays that of the key.
    pub fn ordering_key(mut self, key: impl Into<Bytes>) -> Self {
        self.head.ordering_key = Some(key.into());
        self
    }

    /// A property of the application's; one of the same name is replaced.
    pub fn property(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.set_property(name.into(), value.into());
        self
    }

    /// When what it tells of happened. Kept in milliseconds; before 1970 is 1970.
    pub fn event_time(mut self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.head.event_time = Some(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// A number of the application's in place of the producer's own count: with deduplication on, the broker drops what is not higher than the last
    /// one of the same producer name.
    pub const fn sequence_id(mut self, number: u64) -> Self {
        self.head.sequence_id = Some(number);
        self
    }

    /// The body; empty where there is none.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether it has no value.
    pub const fn is_null(&self) -> bool {
        self.head.null_value
    }

    /// The key, as it travels: of one that is no text, its Base64.
    pub fn key_text(&self) -> Option<&str> {
        self.head.partition_key.as_deref()
    }

    /// The properties, in their order.
    pub fn properties(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.head
            .properties
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// A property's value.
    pub fn property_text(&self, name: &str) -> Option<&str> {
        self.properties()
            .find_map(|(own, value)| (own == name).then_some(value))
    }

    pub(crate) fn set_property(&mut self, name: ByteString, value: ByteString) {
        let mut all = self.head.properties.iter_mut();
        match all.find(|(own, _)| *own == name) {
            Some((_, own)) => *own = value,
            None => self.head.properties.push((name, value)),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("key", &self.key_text())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_there_once() {
        let message = Message::new("body")
            .property("a", "1")
            .property("a", "2")
            .key_bytes([0xff]);
        assert_eq!(message.properties().collect::<Vec<_>>(), [("a", "2")]);
        assert_eq!(message.key_text(), Some("/w=="));
        assert!(message.head.key_is_base64);
        assert!(!message.key("text").head.key_is_base64);
        assert!(Message::null().is_null() && Message::null().body().is_empty());
    }
}
