//! What a sender is told of a stored message.

use crate::message_id::MessageId;
use crate::proto;
use crate::topic::TopicName;

/// A message that the broker has stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    id: Option<MessageId>,
    sequence_id: u64,
    attempts: u32,
}

impl Receipt {
    pub(super) fn new(
        topic: &TopicName,
        told: &proto::Receipt,
        batch_index: Option<i32>,
        sequence_id: u64,
        attempts: u32,
    ) -> Self {
        // What was dropped as a duplicate has no place of its own. apache/pulsar: ServerCnx, MessageDeduplication
        let stored = told.id.filter(|id| id.ledger != u64::MAX);
        let number = topic.number().and_then(|number| i32::try_from(number).ok());
        let (partition, index) = (number.unwrap_or(-1), batch_index.unwrap_or(-1));
        Self {
            id: stored.map(|id| MessageId::at(id.ledger, id.entry, partition, index)),
            sequence_id,
            attempts,
        }
    }

    /// Where it is stored; `None` if the broker [dropped it](Self::is_duplicate), as one of this producer's name and sequence id is there already.
    pub const fn id(&self) -> Option<MessageId> {
        self.id
    }

    /// Its sequence id: what [`Producer::last_sequence_id`](crate::Producer::last_sequence_id) says after a restart is compared with.
    pub const fn sequence_id(&self) -> u64 {
        self.sequence_id
    }

    /// Whether the broker dropped it, since one of this producer's name and sequence id is there already.
    pub const fn is_duplicate(&self) -> bool {
        self.id.is_none()
    }

    /// How often it was written: more than once if a connection was lost before the broker had answered.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}
