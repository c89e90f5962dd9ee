//! What is told when numbers of a stream are missing.

use std::fmt;

use mq_core::ErrorKind;

use super::sequencer::Stream;
use crate::error::Error;

/// Numbers of a stream that did not come, while later ones did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceGap {
    /// The producer's name.
    pub producer: String,
    /// The producer's epoch.
    pub epoch: u64,
    /// The key.
    pub key: String,
    /// The first number that is missing.
    pub expected: u64,
    /// The first number after it that is there.
    pub found: u64,
}

impl fmt::Display for SequenceGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (expected, last) = (self.expected, self.found.saturating_sub(1));
        write!(f, "numbers {expected} to {last} of a key are missing")
    }
}

impl std::error::Error for SequenceGap {}

impl SequenceGap {
    pub(super) fn new(stream: &Stream, expected: u64, found: u64) -> Self {
        Self {
            producer: stream.producer.clone(),
            epoch: stream.epoch,
            key: stream.key.clone(),
            expected,
            found,
        }
    }

    pub(super) fn stream(&self) -> Stream {
        Stream {
            producer: self.producer.clone(),
            epoch: self.epoch,
            key: self.key.clone(),
        }
    }

    pub(super) fn into_error(self, queue: &str) -> Error {
        let message = format!("{self} in queue {queue}");
        Error::builder(ErrorKind::Protocol, message)
            .operation("receive in order")
            .hint("they were lost, are dead letters, or another consumer has this shard; decide by on_gap")
            .source(self)
            .build()
    }

    /// The gap that an error tells of, if it does.
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }
}
