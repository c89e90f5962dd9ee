//! What is stored as one: a message, or a batch of them; and what is said of it.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

use super::api::command_ack::ValidationError;
use super::wire::{Fields, Value, low, peek_u16, peek_u32};
use super::{Compression, Malformed, Metadata};

/// Where an entry is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// The ledger; [`u64::MAX`] in the receipt of a message that was dropped as a duplicate.
    pub ledger: u64,
    /// The entry inside the ledger.
    pub entry: u64,
    /// The partition, or −1.
    pub partition: i32,
}

/// An entry that the broker delivers.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The consumer, by its number on the connection.
    pub consumer_id: u64,
    /// Where it is stored.
    pub id: EntryId,
    /// How often it was delivered before.
    pub redelivery_count: u32,
    /// Of a batch, which messages are still wanted: a bit each, from the lowest. Empty: all.
    pub ack_set: Vec<i64>,
    /// The consumer's epoch that it was sent for.
    pub consumer_epoch: Option<u64>,
    /// What it holds; or why that can't be believed, while the stream goes on behind it.
    pub content: Result<Content, Invalid>,
}

/// What an entry holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// What is said of the message, or of the whole batch.
    pub metadata: Metadata,
    /// The payload as it was stored: compressed, encrypted, a batch; a view of the frame.
    pub payload: Bytes,
}

/// Shows of the payload only its length.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("metadata", &self.metadata)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

/// Why an entry's content can't be used. The entry is discarded by an acknowledgement that says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The bytes aren't those that the producer sent.
    #[error("checksum {computed:08x}, where {stated:08x} is stated")]
    Checksum {
        /// What the frame says.
        stated: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The metadata can't be read.
    #[error("unreadable metadata")]
    Metadata(#[source] Malformed),
    /// It is compressed in a way that isn't known here.
    #[error("compression {0} isn't known")]
    Compression(u64),
    /// It does not decompress to the size that is stated.
    #[error("not valid {compression} data of the stated size: {reason}")]
    Decompression {
        /// How it claims to be compressed.
        compression: Compression,
        /// The decoder's words.
        reason: Cow<'static, str>,
    },
    /// It claims to be larger, when decompressed, than is taken.
    #[error("{stated} bytes when decompressed, the limit is {max}")]
    TooLarge {
        /// What the metadata says.
        stated: u32,
        /// The limit.
        max: usize,
    },
    /// The batch can't be split.
    #[error("unreadable batch")]
    Batch(#[source] Malformed),
}

impl Invalid {
    /// What the acknowledgement says to the broker (apache/pulsar: `ConsumerImpl.discardCorruptedMessage`).
    pub const fn validation_error(&self) -> ValidationError {
        match self {
            Self::Checksum { .. } | Self::Metadata(_) => ValidationError::ChecksumMismatch,
            Self::Compression(_) | Self::Decompression { .. } => {
                ValidationError::DecompressionError
            }
            Self::TooLarge { .. } => ValidationError::UncompressedSizeCorruption,
            Self::Batch(_) => ValidationError::BatchDeSerializeError,
        }
    }
}

/// The broker has stored what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The producer, by its number on the connection.
    pub producer_id: u64,
    /// The sequence id of the message, or of the first one of the batch.
    pub sequence_id: u64,
    /// The last one of the batch.
    pub highest_sequence_id: u64,
    /// Where it is stored.
    pub id: Option<EntryId>,
}

/// A transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TxnId {
    /// The upper half; says which coordinator has it.
    pub most: u64,
    /// The lower half.
    pub least: u64,
}

/// What stands before the metadata when a message or batch is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendHead {
    /// The producer, by its number on the connection.
    pub producer_id: u64,
    /// The sequence id, of a batch that of its first message.
    pub sequence_id: u64,
    /// Of a batch, the sequence id of its last message.
    pub highest_sequence_id: Option<u64>,
    /// How many messages it is; 0 and 1 are one.
    pub num_messages: i32,
    /// The transaction that it belongs to.
    pub txn: Option<TxnId>,
    /// Whether it is a part of a message.
    pub is_chunk: bool,
    /// Whether it is a marker, which no application sees.
    pub marker: bool,
    /// Where it is stored at another place, as replicators say.
    pub id: Option<EntryId>,
}

/// What a producer sends, as a broker reads it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The command.
    pub head: SendHead,
    /// Checksum, metadata and payload, as they are to be stored and delivered.
    pub body: Bytes,
    /// The same, read.
    pub content: Result<Content, Invalid>,
}

impl EntryId {
    pub(super) fn decode(mut fields: Fields<'_>) -> Result<Self, Malformed> {
        let (mut ledger, mut entry, mut partition) = (None, None, -1);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Varint(value)) => ledger = Some(value),
                (2, Value::Varint(value)) => entry = Some(value),
                (3, Value::Varint(value)) => partition = low(value).cast_signed(),
                _ => {}
            }
        }
        Ok(Self {
            ledger: ledger.ok_or_else(|| absent("ledgerId"))?,
            entry: entry.ok_or_else(|| absent("entryId"))?,
            partition,
        })
    }
}

impl Entry {
    /// Reads a MESSAGE, whose content begins at `body`.
    pub(super) fn decode(
        mut fields: Fields<'_>,
        frame: &Bytes,
        body: usize,
    ) -> Result<Self, Malformed> {
        let (mut consumer_id, mut id) = (None, None);
        let (mut redelivery_count, mut ack_set, mut consumer_epoch) = (0, Vec::new(), None);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Varint(value)) => consumer_id = Some(value),
                (2, Value::Bytes(message)) => id = Some(EntryId::decode(message)?),
                (3, Value::Varint(value)) => redelivery_count = low(value),
                (4, Value::Varint(word)) => ack_set.push(word.cast_signed()),
                (4, Value::Bytes(mut packed)) => {
                    while let Some(word) = packed.number()? {
                        ack_set.push(word.cast_signed());
                    }
                }
                (5, Value::Varint(value)) => consumer_epoch = Some(value),
                _ => {}
            }
        }
        Ok(Self {
            consumer_id: consumer_id.ok_or_else(|| absent("consumer_id"))?,
            id: id.ok_or_else(|| absent("message_id"))?,
            redelivery_count,
            ack_set,
            consumer_epoch,
            content: Content::decode(frame, body),
        })
    }
}

impl Receipt {
    pub(super) fn decode(mut fields: Fields<'_>) -> Result<Self, Malformed> {
        let (mut producer_id, mut sequence_id, mut highest, mut id) = (None, None, 0, None);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Varint(value)) => producer_id = Some(value),
                (2, Value::Varint(value)) => sequence_id = Some(value),
                (3, Value::Bytes(message)) => id = Some(EntryId::decode(message)?),
                (4, Value::Varint(value)) => highest = value,
                _ => {}
            }
        }
        Ok(Self {
            producer_id: producer_id.ok_or_else(|| absent("producer_id"))?,
            sequence_id: sequence_id.ok_or_else(|| absent("sequence_id"))?,
            highest_sequence_id: highest,
            id,
        })
    }
}

impl Sent {
    /// Reads a SEND, whose content begins at `body`.
    pub(super) fn decode(
        fields: Fields<'_>,
        frame: &Bytes,
        body: usize,
    ) -> Result<Self, Malformed> {
        Ok(Self {
            head: SendHead::decode(fields)?,
            body: frame.slice(body..),
            content: Content::decode(frame, body),
        })
    }
}

impl SendHead {
    fn decode(mut fields: Fields<'_>) -> Result<Self, Malformed> {
        let (mut producer_id, mut sequence_id) = (None, None);
        let (mut least, mut most) = (None, None);
        let mut head = Self {
            num_messages: 1,
            ..Self::default()
        };
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Varint(value)) => producer_id = Some(value),
                (2, Value::Varint(value)) => sequence_id = Some(value),
                (3, Value::Varint(value)) => head.num_messages = low(value).cast_signed(),
                (4, Value::Varint(value)) => least = Some(value),
                (5, Value::Varint(value)) => most = Some(value),
                (6, Value::Varint(value)) => head.highest_sequence_id = Some(value),
                (7, Value::Varint(value)) => head.is_chunk = value != 0,
                (8, Value::Varint(value)) => head.marker = value != 0,
                (9, Value::Bytes(message)) => head.id = Some(EntryId::decode(message)?),
                _ => {}
            }
        }
        head.producer_id = producer_id.ok_or_else(|| absent("producer_id"))?;
        head.sequence_id = sequence_id.ok_or_else(|| absent("sequence_id"))?;
        head.txn = TxnId::of(most, least);
        Ok(head)
    }
}

impl TxnId {
    /// One whose halves are both there.
    pub(super) fn of(most: Option<u64>, least: Option<u64>) -> Option<Self> {
        most.zip(least).map(|(most, least)| Self { most, least })
    }
}

impl Content {
    /// Reads what stands from `at` on. What a broker wrote before it (`0e02`) is left out.
    ///
    /// ```text
    ///   [0e02, u32 length, broker's metadata]  [0e01, u32 checksum]  u32 length, metadata, payload
    ///                                                                '────── checksum of ───────'
    /// ```
    fn decode(frame: &Bytes, mut at: usize) -> Result<Self, Invalid> {
        let cut = || Invalid::Metadata(Malformed::new("metadata", "cut short"));
        if peek_u16(frame, at) == Some(MAGIC_BROKER) {
            let len = peek_u32(frame, at + 2).ok_or_else(cut)?;
            at = at.saturating_add(6).saturating_add(len as usize);
        }
        if peek_u16(frame, at) == Some(MAGIC_CHECKSUM) {
            let stated = peek_u32(frame, at + 2).ok_or_else(cut)?;
            at += 6;
            let computed = crc32c::crc32c(frame.get(at..).unwrap_or_default());
            if stated != computed {
                return Err(Invalid::Checksum { stated, computed });
            }
        }
        let len = peek_u32(frame, at).ok_or_else(cut)? as usize;
        at += 4;
        if len > frame.len() - at {
            return Err(cut());
        }
        let fields = Fields::new(frame, at..at + len);
        Ok(Self {
            metadata: Metadata::read(fields)?,
            payload: frame.slice(at + len..),
        })
    }
}

/// A field that the protocol requires isn't there.
pub(super) fn absent(field: &'static str) -> Malformed {
    Malformed::new(field, "required, but absent")
}

// apache/pulsar: Commands.magicCrc32c, Commands.magicBrokerEntryMetadata
pub(super) const MAGIC_CHECKSUM: u16 = 0x0E01;
pub(super) const MAGIC_BROKER: u16 = 0x0E02;
