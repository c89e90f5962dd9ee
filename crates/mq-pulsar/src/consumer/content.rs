//! An entry, as what it holds is handed out: a message, or a batch that is split while it is.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use super::bits::Bits;
use super::tracker::Place;
use crate::proto::{
    BatchReader, Compression, Content, Entry, EntryId, Invalid, Malformed, Metadata, Single,
    decompress,
};

/// What the messages of an entry have in common.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) metadata: Metadata,
    pub(super) id: EntryId,
    pub(super) redelivered: u32,
    pub(super) topic: ByteString,
    pub(super) part: usize,
    /// How many messages; 1 also for what is no batch.
    pub(super) size: u32,
}

impl Head {
    pub(super) const fn place(&self) -> Place {
        (self.id.ledger, self.id.entry)
    }
}

/// An entry of which something is to be handed out.
pub(super) struct Ready {
    pub(super) head: Arc<Head>,
    pub(super) bytes: usize,
    rest: Rest,
    next: u32,
}

enum Rest {
    One(Option<Bytes>),
    Batch(BatchReader),
}

/// A message that is handed out.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) head: Arc<Head>,
    pub(super) index: u32,
    /// Of a message that was in a batch.
    pub(super) single: Option<Single>,
    pub(super) payload: Bytes,
    /// Which time it was handed out.
    pub(super) loan: u64,
}

/// Why an entry is not handed out.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is broken, and nobody will ever read it.
    Broken(Invalid),
    /// Others may read it.
    Unreadable(&'static str),
}

impl Ready {
    /// Reads an entry; gives with it which of its messages are wanted.
    pub(super) fn open(
        entry: Entry,
        topic: &ByteString,
        part: usize,
    ) -> Result<(Self, Bits), Refused> {
        let Content { metadata, payload } = entry.content.map_err(broken)?;
        if !metadata.encryption_keys.is_empty() {
            return Err(Refused::Unreadable("it is encrypted"));
        }
        if metadata.num_chunks_from_msg.is_some_and(|parts| parts > 1) {
            return Err(Refused::Unreadable("it is a part of a message in chunks"));
        }
        let payload = if metadata.compression == Compression::None {
            payload
        } else {
            let size = metadata.uncompressed_size.unwrap_or_default();
            decompress(metadata.compression, &payload, size, LARGEST).map_err(broken)?
        };
        let size = match metadata.num_messages_in_batch {
            None => 1,
            Some(count) => batch_size(count, payload.len())?,
        };
        let bytes = payload.len();
        let rest = match metadata.num_messages_in_batch {
            None => Rest::One(Some(payload)),
            Some(count) => Rest::Batch(BatchReader::new(payload, count)),
        };
        let wanted = Bits::of_ack_set(size, &entry.ack_set);
        let head = Arc::new(Head {
            metadata,
            id: entry.id,
            redelivered: entry.redelivery_count,
            topic: topic.clone(),
            part,
            size,
        });
        let ready = Self {
            head,
            bytes,
            rest,
            next: 0,
        };
        Ok((ready, wanted))
    }

    /// Whether there can't be more.
    pub(super) fn is_empty(&self) -> bool {
        match &self.rest {
            Rest::One(payload) => payload.is_none(),
            Rest::Batch(reader) => reader.left() == 0,
        }
    }

    /// The next message; what can't be split is broken.
    pub(super) fn next(&mut self) -> Option<Result<Arrival, Invalid>> {
        let (single, payload) = match &mut self.rest {
            Rest::One(payload) => (None, payload.take()?),
            Rest::Batch(reader) => match reader.next()? {
                Ok(single) => {
                    let payload = single.payload.clone();
                    (Some(single), payload)
                }
                Err(malformed) => return Some(Err(Invalid::Batch(malformed))),
            },
        };
        let index = self.next;
        self.next += 1;
        Some(Ok(Arrival {
            head: Arc::clone(&self.head),
            index,
            single,
            payload,
            loan: 0,
        }))
    }
}

/// As many as are said, where so many can be.
fn batch_size(count: i32, payload: usize) -> Result<u32, Refused> {
    let size = u32::try_from(count).unwrap_or_default();
    if size == 0 || size as usize > payload / SMALLEST {
        let reason = format!("{count} messages in {payload} bytes");
        return Err(broken(Invalid::Batch(Malformed::new("batch", reason))));
    }
    Ok(size)
}

fn broken(invalid: Invalid) -> Refused {
    match invalid {
        Invalid::Compression(_) => Refused::Unreadable("its compression is not known"),
        Invalid::TooLarge { .. } => Refused::Unreadable("it is too large when decompressed"),
        invalid => Refused::Broken(invalid),
    }
}

/// A message of a batch has at least its length.
const SMALLEST: usize = 4;
/// Larger entries are not decompressed.
const LARGEST: usize = 128 * 1024 * 1024;
