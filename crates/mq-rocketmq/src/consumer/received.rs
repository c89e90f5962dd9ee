//! A message as it was received: its content, and where and how it came.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use bytestring::ByteString;
use mq_core::Properties;

use crate::Message;
use crate::conn::QueueId;
use crate::message::{TAGS, UNIQUE_ID};
use crate::name::Namespace;
use crate::proto::message::{OffsetMessageId, PropertyText, SysFlag};

/// A received message: a view of the bytes that the broker sent. Derefs to [`Message`], for keys and properties; that is taken out of
/// the bytes when it is asked for the first time.
#[derive(Clone)]
pub struct Received {
    pub(super) topic: ByteString,
    pub(super) body: Bytes,
    pub(super) flag: i32,
    /// Tag, keys, unique id, the application's properties and the protocol's, read when they are asked for.
    pub(super) wire: PropertyText,
    pub(super) content: OnceLock<Box<Content>>,
    pub(super) queue: QueueId,
    pub(super) offset: i64,
    /// Where it is in the broker's log, if sending that place back brings back this message and nothing else.
    pub(super) physical_offset: Option<i64>,
    pub(super) message_id: Option<OffsetMessageId>,
    pub(super) reconsumed: i32,
    pub(super) born_at_ms: i64,
    pub(super) stored_at_ms: i64,
    pub(super) sys_flag: SysFlag,
    /// The topic with its namespace, as the broker knows it.
    pub(super) full_topic: ByteString,
    pub(super) undecoded: Option<Undecoded>,
}

/// Why a message stands as it came.
///
/// If its body could not be decompressed, the body is the compressed one and everything else is right. If the message itself could not be
/// read, the body is all its bytes, and tag, keys and properties are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecoded {
    pub(super) reason: String,
}

/// What is made when somebody asks: the message, and the properties that are the protocol's own.
pub(super) type Content = (Message, Properties);

impl Received {
    /// The topic, without the client's namespace. A message that is delivered again shows its first.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The body, decompressed.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The tag, if there is one.
    pub fn tag_text(&self) -> Option<&str> {
        self.wire.get(TAGS)
    }

    /// The unique id that its producer made: stable over resends. `None` if that producer makes none.
    pub fn unique_id(&self) -> Option<&str> {
        self.wire.get(UNIQUE_ID)
    }

    /// The name of the broker it came from.
    pub fn broker(&self) -> &str {
        &self.queue.broker
    }

    /// The number of the queue it came from, at that broker. A message that is delivered again comes from a queue of the group's retry
    /// topic.
    pub fn queue(&self) -> i32 {
        self.queue.id
    }

    /// Its offset in the queue.
    pub const fn offset(&self) -> i64 {
        self.offset
    }

    /// Which delivery of this message it is: 1 for the first.
    pub fn attempt(&self) -> u32 {
        u32::try_from(self.reconsumed)
            .unwrap_or(0)
            .saturating_add(1)
    }

    /// The broker's id of this copy: its address and the place in its log. `None` if that could not be read.
    ///
    /// Another delivery of the message has another; [`unique_id`](Message::unique_id) stays.
    pub fn message_id(&self) -> Option<String> {
        self.message_id.map(|id| id.to_string())
    }

    /// When the producer made it, by the producer's clock.
    pub fn born_at(&self) -> SystemTime {
        time(self.born_at_ms)
    }

    /// When the broker stored this copy, by the broker's clock.
    pub fn stored_at(&self) -> SystemTime {
        time(self.stored_at_ms)
    }

    /// The properties that are the protocol's own.
    pub fn system_properties(&self) -> &Properties {
        &self.content().1
    }

    /// Why the message stands as it came, if it could not be decoded.
    pub const fn undecoded(&self) -> Option<&Undecoded> {
        self.undecoded.as_ref()
    }

    /// The content alone.
    pub fn into_message(mut self) -> Message {
        match self.content.take() {
            Some(content) => content.0,
            None => self.decode().0,
        }
    }

    /// The same, in memory of its own instead of a view of the answer that it came in.
    pub(super) fn detached(&self) -> Self {
        Self {
            topic: self.topic().into(),
            body: Bytes::copy_from_slice(&self.body),
            wire: self.wire.as_str().to_owned().into(),
            content: OnceLock::new(),
            full_topic: (&*self.full_topic).into(),
            ..self.clone()
        }
    }

    fn content(&self) -> &Content {
        self.content.get_or_init(|| Box::new(self.decode()))
    }

    fn decode(&self) -> Content {
        Message::received(&self.topic, self.body.clone(), self.flag, &self.wire)
    }

    /// What it takes of the memory limits.
    pub(super) fn cost(&self) -> usize {
        self.body.len() + self.wire.as_str().len() + self.full_topic.len() + OVERHEAD
    }

    /// A message that can't be read, as it came.
    pub(super) fn raw(
        queue: &QueueId,
        namespace: &Namespace,
        offset: i64,
        body: Bytes,
        reason: String,
    ) -> Self {
        let full_topic = ByteString::from(&*queue.topic);
        Self {
            topic: full_topic.slice_ref(namespace.unwrap(&full_topic)),
            full_topic,
            body,
            flag: 0,
            wire: PropertyText::default(),
            content: OnceLock::new(),
            queue: queue.clone(),
            offset,
            physical_offset: None,
            message_id: None,
            reconsumed: 0,
            born_at_ms: 0,
            stored_at_ms: 0,
            sys_flag: SysFlag::default(),
            undecoded: Some(Undecoded { reason }),
        }
    }
}

impl Undecoded {
    /// What is wrong with it, in one line. Holds nothing of the content.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Deref for Received {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.content().0
    }
}

/// Shows everything but the body, of which it shows the length.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("topic", &self.topic())
            .field("broker", &self.queue.broker)
            .field("queue", &self.queue.id)
            .field("offset", &self.offset)
            .field("attempt", &self.attempt())
            .field("unique_id", &self.unique_id())
            .field("body_len", &self.body().len())
            .field("undecoded", &self.undecoded)
            .finish_non_exhaustive()
    }
}

fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// What a message costs besides its text: the structures around it.
const OVERHEAD: usize = 256;
