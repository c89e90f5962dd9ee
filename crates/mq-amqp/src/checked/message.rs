//! What a checker gets to see.

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, SystemTime};

use super::half::Half;
use crate::Message;

/// A half message about which nobody decides any more. Derefs to [`Message`].
pub struct CheckedMessage {
    half: Half,
}

impl CheckedMessage {
    pub(super) const fn new(half: Half) -> Self {
        Self { half }
    }

    /// The transaction's id, as [`Transaction::id`](super::Transaction::id) told it.
    pub fn id(&self) -> &str {
        &self.half.id
    }

    /// How often a checker was asked about it, this time included: 1 for the first. After
    /// [`max_checks`](super::TransactionalPublisherBuilder::max_checks) it is put aside.
    pub const fn attempt(&self) -> u32 {
        self.half.checks.saturating_add(1)
    }

    /// When the transaction began, by the clock of who began it.
    pub fn born_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.half.born_ms)
    }

    /// The exchange that it is to be sent to.
    pub fn exchange(&self) -> &str {
        &self.half.exchange
    }

    /// The message alone.
    pub fn into_message(self) -> Message {
        self.half.message
    }
}

impl Deref for CheckedMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.half.message
    }
}

impl fmt::Debug for CheckedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedMessage")
            .field("id", &self.half.id)
            .field("attempt", &self.attempt())
            .field("message", &self.half.message)
            .finish_non_exhaustive()
    }
}
