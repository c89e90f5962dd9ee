//! The ids of messages that were given none.

use std::sync::atomic::{AtomicU64, Ordering};

use bytestring::ByteString;

use crate::Message;

/// Ids that nobody else gives.
#[derive(Debug)]
pub(crate) struct Ids {
    prefix: u64,
    numbers: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self {
            prefix: fastrand::u64(..),
            numbers: AtomicU64::new(1),
        }
    }

    pub(crate) fn next(&self) -> ByteString {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number:x}", self.prefix).into()
    }

    /// Gives a message an id, if it has none.
    pub(crate) fn mark(&self, message: &mut Message) {
        let id = &mut message.properties_mut().message_id;
        if id.is_none() {
            *id = Some(self.next());
        }
    }
}
