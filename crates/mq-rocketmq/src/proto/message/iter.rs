//! Takes the body of a pull apart without losing the messages after one that can't be read.

use bytes::Bytes;

use super::{Fixed, StoredMessage};
use crate::proto::{Malformed, reader::Reader};

/// A message that can't be read, and all that is known of it.
#[derive(Clone, PartialEq, Eq)]
pub struct BadMessage {
    /// Its bytes; if its length can't be believed, everything up to the end.
    pub raw: Bytes,
    /// What is wrong with it.
    pub reason: Malformed,
    /// Its offset in the queue, if that could be read. It is as true as the rest of the bytes.
    pub queue_offset: Option<i64>,
    /// Its queue, if that could be read.
    pub queue_id: Option<i32>,
    /// Where it is in the broker's log, if that could be read.
    pub physical_offset: Option<i64>,
}

impl BadMessage {
    pub(super) fn new(raw: Bytes, reason: Malformed) -> Self {
        Self {
            raw,
            reason,
            queue_offset: None,
            queue_id: None,
            physical_offset: None,
        }
    }
}

/// Shows everything but the bytes, of which it shows the length.
impl std::fmt::Debug for BadMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BadMessage")
            .field("reason", &self.reason)
            .field("queue_offset", &self.queue_offset)
            .field("queue_id", &self.queue_id)
            .field("physical_offset", &self.physical_offset)
            .field("raw_len", &self.raw.len())
            .finish()
    }
}

/// The messages of a pull's body, in order. One that can't be read is an error in its place, and the rest goes on;
/// only a length that can't be believed ends the walk, with the remainder as the last error.
pub fn decode_messages(body: Bytes) -> Messages {
    Messages {
        pieces: Pieces::new(body, MIN_MESSAGE),
    }
}

/// See [`decode_messages`].
#[derive(Debug, Clone)]
pub struct Messages {
    pieces: Pieces,
}

impl Iterator for Messages {
    type Item = Result<StoredMessage, BadMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.pieces.next_with(StoredMessage::read)?;
        Some(read.map_err(locate))
    }
}

/// Reads the fixed part, which may be sound where the rest is not.
fn locate(bad: BadMessage) -> BadMessage {
    match Fixed::read(&mut Reader::new(&bad.raw)) {
        Ok(fixed) => BadMessage {
            queue_offset: Some(fixed.queue_offset),
            queue_id: Some(fixed.queue_id),
            physical_offset: Some(fixed.physical_offset),
            ..bad
        },
        Err(_) => bad,
    }
}

/// Cuts bytes into pieces that each begin with their own length.
#[derive(Debug, Clone)]
pub(super) struct Pieces {
    whole: Bytes,
    at: usize,
    min: usize,
}

impl Pieces {
    /// Pieces of at least `min` bytes each.
    pub(super) fn new(whole: Bytes, min: usize) -> Self {
        let at = 0;
        Self { whole, at, min }
    }

    /// The next piece as `read` has it, which is given the whole (for views of it) and the piece. A length that can't be believed makes
    /// all the rest one piece that can't be read, and the last.
    pub(super) fn next_with<T>(
        &mut self,
        read: impl FnOnce(&Bytes, &[u8]) -> Result<T, Malformed>,
    ) -> Option<Result<T, BadMessage>> {
        let rest = self.whole.get(self.at..).filter(|rest| !rest.is_empty())?;
        let piece = Reader::new(rest).len32("totalSize").and_then(|total| {
            let found = (total >= self.min).then(|| rest.get(..total)).flatten();
            found.ok_or_else(|| {
                let reason = format!("{total}, but {} bytes are left", rest.len());
                Malformed::new("totalSize", 0, reason)
            })
        });
        self.at += piece.as_ref().map_or(rest.len(), |piece| piece.len());
        let (raw, result) = match piece {
            Ok(piece) => (piece, read(&self.whole, piece)),
            Err(reason) => (rest, Err(reason)),
        };
        Some(result.map_err(|reason| BadMessage::new(self.whole.slice_ref(raw), reason)))
    }
}

/// A message with empty body, topic and properties, and addresses of four bytes.
const MIN_MESSAGE: usize = 20 + 16 + 4 + 8 + 8 + 8 + 8 + 4 + 8 + 4 + 1 + 2;
