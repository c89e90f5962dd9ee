//! A message to publish.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;

use crate::error::{Result, invalid};
use crate::proto::{Properties, Table, Value};

/// A message: a routing key, a body, and what travels with it. Stored by queues that are durable, unless [`transient`](Self::transient).
///
/// ```
/// use mq_amqp::Message;
///
/// let message = Message::new("orders.created", r#"{"id":1}"#)
///     .content_type("application/json")
///     .header("tenant", "acme");
/// assert_eq!(message.routing_key(), "orders.created");
/// ```
#[derive(Clone, PartialEq)]
#[must_use = "it is sent by a publisher"]
pub struct Message {
    routing_key: ByteString,
    properties: Box<Properties>,
    body: Bytes,
}

impl Message {
    /// A message for whom the exchange leads `routing_key` to; with the default exchange, which has no name, that is the queue of this name.
    pub fn new(routing_key: impl Into<ByteString>, body: impl Into<Bytes>) -> Self {
        Self {
            routing_key: routing_key.into(),
            properties: Box::new(Properties {
                delivery_mode: Some(PERSISTENT),
                ..Properties::default()
            }),
            body: body.into(),
        }
    }

    /// A message whose body is `value` as JSON, with the content type that says so.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: what `value`'s `Serialize` answers.
    pub fn json(routing_key: impl Into<ByteString>, value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|cause| {
            invalid("send", "the value can't be written as JSON")
                .into_builder()
                .source(cause)
                .build()
        })?;
        Ok(Self::new(routing_key, body).content_type("application/json"))
    }

    pub(crate) fn from_parts(routing_key: ByteString, properties: Properties, body: Bytes) -> Self {
        Self {
            routing_key,
            properties: Box::new(properties),
            body,
        }
    }

    /// The message's id, by which who receives it can recognise it when it comes twice. Without one, a publisher gives it one of its own.
    pub fn id(mut self, id: impl Into<ByteString>) -> Self {
        self.properties.message_id = Some(id.into());
        self
    }

    /// A header: a value of the application's, or one that a headers exchange looks at.
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<Value>) -> Self {
        self.properties
            .headers
            .get_or_insert_default()
            .insert(name, value);
        self
    }

    /// All headers in the place of those that are there.
    pub fn headers(mut self, headers: Table) -> Self {
        self.properties.headers = Some(headers);
        self
    }

    /// What kind of content the body is, such as `application/json`.
    pub fn content_type(mut self, kind: impl Into<ByteString>) -> Self {
        self.properties.content_type = Some(kind.into());
        self
    }

    /// How the body is encoded, such as `gzip`. The client does not encode it.
    pub fn content_encoding(mut self, encoding: impl Into<ByteString>) -> Self {
        self.properties.content_encoding = Some(encoding.into());
        self
    }

    /// Which request it answers.
    pub fn correlation_id(mut self, id: impl Into<ByteString>) -> Self {
        self.properties.correlation_id = Some(id.into());
        self
    }

    /// The queue where an answer is waited for.
    pub fn reply_to(mut self, queue: impl Into<ByteString>) -> Self {
        self.properties.reply_to = Some(queue.into());
        self
    }

    /// After how long it is dropped, or dead-lettered, if nobody has received it. In milliseconds on the wire; a part of one counts as one.
    pub fn expires_after(mut self, time: Duration) -> Self {
        let millis = time.as_nanos().div_ceil(1_000_000);
        self.properties.expiration = Some(millis.to_string().into());
        self
    }

    /// From 0 to what the queue has at most; what is higher is delivered first.
    pub const fn priority(mut self, priority: u8) -> Self {
        self.properties.priority = Some(priority);
        self
    }

    /// When it was made. In seconds on the wire.
    pub fn timestamp(mut self, at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH);
        self.properties.timestamp = since.ok().map(|since| since.as_secs());
        self
    }

    /// What kind of message it is, in the application's words.
    pub fn kind(mut self, kind: impl Into<ByteString>) -> Self {
        self.properties.kind = Some(kind.into());
        self
    }

    /// Which application sends it.
    pub fn app_id(mut self, id: impl Into<ByteString>) -> Self {
        self.properties.app_id = Some(id.into());
        self
    }

    /// Who sends it: the server takes nothing but the connection's user.
    pub fn user_id(mut self, user: impl Into<ByteString>) -> Self {
        self.properties.user_id = Some(user.into());
        self
    }

    /// It is not stored: a server that stops loses it, whatever the queue.
    pub const fn transient(mut self) -> Self {
        self.properties.delivery_mode = Some(TRANSIENT);
        self
    }

    /// Where it is to be led.
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// The body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Everything that travels beside the body.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    pub(crate) fn properties_mut(&mut self) -> &mut Properties {
        &mut self.properties
    }

    pub(crate) fn set_routing_key(&mut self, key: ByteString) {
        self.routing_key = key;
    }

    /// The id, if it has one yet.
    pub fn message_id(&self) -> Option<&str> {
        self.properties.message_id.as_deref()
    }
}

/// Shows the body's length alone.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("routing_key", &self.routing_key)
            .field("message_id", &self.properties.message_id)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

const TRANSIENT: u8 = 1;
const PERSISTENT: u8 = 2;
