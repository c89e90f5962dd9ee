//! A batch: many messages that are sent, stored and delivered as one entry.
//!
//! ```text
//!   { u32 length, metadata of the message, its payload } × as many as the entry's metadata says
//! ```

use bytes::{Bytes, BytesMut};

use super::wire::{Fields, fill_size, leave_size, length, peek_u32, size};
use super::{Malformed, SingleMetadata};

/// Writes a batch, message by message.
#[derive(Debug, Default)]
pub struct BatchWriter {
    out: BytesMut,
    count: usize,
}

/// Splits a batch into its messages, one at a time and without copying.
///
/// Yields exactly as many as the metadata says, or an error as the last item.
#[derive(Debug, Clone)]
pub struct BatchReader {
    payload: Bytes,
    at: usize,
    left: usize,
}

/// A message of a batch.
#[derive(Clone, PartialEq, Eq)]
pub struct Single {
    /// What is said of it.
    pub metadata: SingleMetadata,
    /// Its payload, a view of the batch.
    pub payload: Bytes,
}

/// Shows of the payload only its length.
impl std::fmt::Debug for Single {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Single")
            .field("metadata", &self.metadata)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

impl BatchWriter {
    /// An empty batch, with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            out: BytesMut::with_capacity(capacity),
            count: 0,
        }
    }

    /// How many bytes a message takes in a batch.
    pub fn size_of(metadata: &SingleMetadata, payload: usize) -> usize {
        4 + length(|it| metadata.write(it, size(payload))) + payload
    }

    /// Writes a message behind the others.
    pub fn append(&mut self, metadata: &SingleMetadata, payload: &[u8]) {
        let from = leave_size(&mut self.out);
        metadata.write(&mut self.out, size(payload.len()));
        fill_size(&mut self.out, from, 0);
        self.out.extend_from_slice(payload);
        self.count += 1;
    }

    /// How many messages there are.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// How many bytes they take.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What was written, as the payload of an entry. The writer begins anew.
    pub fn take(&mut self) -> Bytes {
        self.count = 0;
        self.out.split().freeze()
    }
}

impl BatchReader {
    /// Splits `payload`, decompressed, which holds `count` messages, as [`Metadata::num_messages_in_batch`] says. A negative
    /// count is that of a batch which holds none.
    ///
    /// [`Metadata::num_messages_in_batch`]: super::Metadata::num_messages_in_batch
    pub fn new(payload: Bytes, count: i32) -> Self {
        Self {
            payload,
            at: 0,
            left: usize::try_from(count).unwrap_or_default(),
        }
    }

    /// How many messages are to come, if the batch is sound.
    pub const fn left(&self) -> usize {
        self.left
    }

    fn split(&mut self) -> Result<Single, Malformed> {
        let cut = || Malformed::new("batch", "cut short");
        let len = peek_u32(&self.payload, self.at).ok_or_else(cut)? as usize;
        let from = self.at + 4;
        if len > self.payload.len() - from {
            return Err(cut());
        }
        let body = from + len;
        let fields = Fields::new(&self.payload, from..body);
        let (metadata, len) = SingleMetadata::read(fields)?;
        if len > self.payload.len() - body {
            return Err(cut());
        }
        self.at = body + len;
        Ok(Single {
            metadata,
            payload: self.payload.slice(body..self.at),
        })
    }
}

impl Iterator for BatchReader {
    type Item = Result<Single, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let split = self.split();
        if split.is_err() {
            self.left = 0;
        }
        Some(split)
    }

    /// No more than the bytes at hand can hold: a message takes six at least.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let fit = (self.payload.len() - self.at) / 6 + 1;
        (0, Some(self.left.min(fit)))
    }
}
