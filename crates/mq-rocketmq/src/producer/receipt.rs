//! What the broker says of a stored message.

use crate::conn::QueueId;
use crate::error::SendError;
use crate::proto::ResponseCode;
use crate::schedule::ScheduledHandle;

/// Proof that the broker has stored a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    unique_id: String,
    message_id: String,
    queue: QueueId,
    offset: i64,
    durability: Durability,
    pub(super) scheduled: Option<Box<ScheduledHandle>>,
}

/// How safely a stored message lies, when the broker was asked to flush or replicate before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// As the broker is configured: everything it was to do before answering is done.
    AsConfigured,
    /// Stored in memory; the flush to disk took too long.
    FlushTimedOut,
    /// Stored at the master; a replica took too long.
    ReplicaTimedOut,
    /// Stored at the master; there is no replica.
    NoReplica,
}

impl Durability {
    /// From the answer's code; `None` for a code that says that the message is not stored.
    pub(crate) const fn of(code: ResponseCode) -> Option<Self> {
        match code {
            ResponseCode::SUCCESS => Some(Self::AsConfigured),
            ResponseCode::FLUSH_DISK_TIMEOUT => Some(Self::FlushTimedOut),
            ResponseCode::FLUSH_SLAVE_TIMEOUT => Some(Self::ReplicaTimedOut),
            ResponseCode::SLAVE_NOT_AVAILABLE => Some(Self::NoReplica),
            _ => None,
        }
    }
}

impl Receipt {
    pub(crate) const fn new(
        unique_id: String,
        message_id: String,
        queue: QueueId,
        offset: i64,
        durability: Durability,
    ) -> Self {
        Self {
            unique_id,
            message_id,
            queue,
            offset,
            durability,
            scheduled: None,
        }
    }

    /// The id that the client gave: stable over resends, known to consumers. What Java calls `msgId`.
    pub fn unique_id(&self) -> &str {
        &self.unique_id
    }

    /// The id that the broker gave, made of its address and the place in its log. What Java calls `offsetMsgId`.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// The topic's full name, with the namespace.
    pub fn topic(&self) -> &str {
        &self.queue.topic
    }

    /// The broker's name.
    pub fn broker(&self) -> &str {
        &self.queue.broker
    }

    /// The queue's number at that broker.
    pub const fn queue(&self) -> i32 {
        self.queue.id
    }

    /// The offset in the queue.
    pub const fn offset(&self) -> i64 {
        self.offset
    }

    /// What [`Producer::cancel`](crate::Producer::cancel) takes, and when the message is due; `None` if it was to be delivered at once.
    pub fn scheduled(&self) -> Option<&ScheduledHandle> {
        self.scheduled.as_deref()
    }

    /// How safely the message lies.
    pub const fn durability(&self) -> Durability {
        self.durability
    }
}

/// Sends that failed without anybody having heard of it: their futures or confirms had been dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unheard {
    /// How many.
    pub count: u64,
    /// The last of them, at most 64, with their messages.
    pub last: Vec<SendError>,
}

impl std::fmt::Display for Unheard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} sends failed that nobody waited for", self.count)?;
        match self.last.last() {
            Some(failed) => write!(f, "; the last: {}", failed.error),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Unheard {}
