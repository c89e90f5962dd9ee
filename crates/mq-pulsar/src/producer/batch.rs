//! From messages to what is written: a message by itself, or a batch of them, compressed.
// apache/pulsar: BatchMessageContainerImpl, ProducerImpl.serializeAndSendMessage

use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use mq_core::{Clock as _, ErrorKind, SystemClock};
use tokio::time::Instant;

use super::Answer;
use crate::Message;
use crate::conn::Outbox;
use crate::error::{Error, Result};
use crate::proto::{BatchWriter, Compression, Metadata, SendHead, compress, encode};

/// A message that somebody waits for.
pub(super) struct Slot {
    pub(super) number: u64,
    /// With its sequence id, the user's or the producer's.
    pub(super) message: Message,
    /// Whether the sequence id is the user's.
    pub(super) own_sequence: bool,
    /// What it holds of the window.
    pub(super) cost: usize,
    /// `None`: who waited was told that its fate is unknown.
    pub(super) answer: Option<Answer>,
    pub(super) deadline: Instant,
}

impl Slot {
    pub(super) fn sequence_id(&self) -> u64 {
        self.message.head.sequence_id.unwrap_or_default()
    }

    /// The message as it was given: a count of ours is not its own.
    pub(super) fn given_back(&self) -> Message {
        let mut message = self.message.clone();
        if !self.own_sequence {
            message.head.sequence_id = None;
        }
        message
    }
}

/// What is written at once, and answered at once.
pub(super) struct Op {
    pub(super) slots: Vec<Slot>,
    /// What is written, once it was made.
    encoded: Option<Encoded>,
    /// How often it was written.
    pub(super) sent: u32,
}

struct Encoded {
    metadata: Bytes,
    payload: Bytes,
}

/// What all messages of a producer have in common.
pub(super) struct Common {
    pub(super) compression: Compression,
    /// From the broker.
    pub(super) producer_name: ByteString,
    pub(super) max_message_size: usize,
}

impl Op {
    pub(super) const fn of(slots: Vec<Slot>) -> Self {
        Self {
            slots,
            encoded: None,
            sent: 0,
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.slots.first().map_or(0, Slot::sequence_id)
    }

    fn last(&self) -> u64 {
        self.slots.last().map_or(0, Slot::sequence_id)
    }

    /// Leaves out those that nobody waits for; the answer is what they held.
    pub(super) fn drop_abandoned(&mut self) -> Vec<usize> {
        let gone = self.slots.iter().filter(|slot| slot.answer.is_none());
        let held: Vec<_> = gone.map(|slot| slot.cost).collect();
        if !held.is_empty() {
            self.slots.retain(|slot| slot.answer.is_some());
            self.encoded = None;
        }
        held
    }

    /// Writes it, as it was written before if it was.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: too large for the broker.
    pub(super) fn write(
        &mut self,
        producer_id: u64,
        common: &Common,
        out: &mut Outbox,
    ) -> Result<()> {
        if self.encoded.is_none() {
            self.encoded = Some(self.encode(common)?);
        }
        let Some(Encoded { metadata, payload }) = &self.encoded else {
            return Ok(());
        };
        let batch = self.slots.len() > 1;
        let head = SendHead {
            producer_id,
            sequence_id: self.first(),
            highest_sequence_id: batch.then(|| self.last()),
            num_messages: i32::try_from(self.slots.len()).unwrap_or(i32::MAX),
            ..SendHead::default()
        };
        out.frame(|tail| encode::send(tail, &head, metadata, payload));
        out.payload(payload);
        self.sent = self.sent.saturating_add(1);
        Ok(())
    }

    fn encode(&self, common: &Common) -> Result<Encoded> {
        let (plain, mut metadata) = match self.slots.as_slice() {
            // A batch of one would only be larger. apache/pulsar: BatchMessageContainerImpl.createOpSendMsg
            [one] => (one.message.body().clone(), alone(&one.message)),
            several => (together(several), Metadata::default()),
        };
        metadata.sequence_id = self.first();
        if self.slots.len() > 1 {
            metadata.num_messages_in_batch = i32::try_from(self.slots.len()).ok();
            metadata.highest_sequence_id = Some(self.last());
        }
        metadata.producer_name = common.producer_name.clone();
        metadata.publish_time = wall_ms();
        let payload = match compress(common.compression, &plain) {
            Some(packed) => {
                metadata.compression = common.compression;
                metadata.uncompressed_size = u32::try_from(plain.len()).ok();
                Bytes::from(packed)
            }
            None => plain,
        };
        let mut encoded = BytesMut::with_capacity(metadata.encoded_len());
        metadata.encode(&mut encoded);
        // apache/pulsar: ProducerImpl.isMessageSizeExceeded counts both
        let size = encoded.len() + payload.len();
        if size > common.max_message_size {
            return Err(too_large(size, common.max_message_size));
        }
        Ok(Encoded {
            metadata: encoded.freeze(),
            payload,
        })
    }
}

fn wall_ms() -> u64 {
    let since = SystemClock.wall().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// How many bytes a message takes in a batch.
pub(super) fn size_in_batch(message: &Message) -> usize {
    BatchWriter::size_of(&message.head, message.body().len())
}

pub(super) fn too_large(size: usize, most: usize) -> Error {
    let message = format!("the message has {size} bytes, where the broker takes {most}");
    Error::builder(ErrorKind::Invalid, message)
        .operation("send")
        .hint("compress it, or put the body elsewhere and send where it is")
        .build()
}

fn alone(message: &Message) -> Metadata {
    let head = message.head.clone();
    Metadata {
        properties: head.properties,
        partition_key: head.partition_key,
        key_is_base64: head.key_is_base64,
        ordering_key: head.ordering_key,
        event_time: head.event_time,
        null_value: head.null_value,
        deliver_at_time: message.deliver_at,
        ..Metadata::default()
    }
}

fn together(slots: &[Slot]) -> Bytes {
    let size = slots.iter().map(|slot| slot.cost).sum();
    let mut batch = BatchWriter::with_capacity(size);
    for slot in slots {
        batch.append(&slot.message.head, slot.message.body());
    }
    batch.take()
}
