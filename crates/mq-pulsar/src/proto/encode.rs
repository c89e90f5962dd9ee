//! Writes frames. Of what carries a payload only the head is written: the payload itself follows as it is, uncopied.

use bytes::{BufMut as _, BytesMut};
use prost::Message as _;

use super::api::{BaseCommand, base_command::Type, command_ack::ValidationError};
use super::entry::MAGIC_CHECKSUM;
use super::wire::{Sink, fill_size, leave_size, length, size};
use super::{Entry, EntryId, Receipt, SendHead, TxnId};

/// Which entries, or messages of one, were handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ack<'a> {
    /// The consumer, by its number on the connection.
    pub consumer_id: u64,
    /// Whether everything up to the one id is meant.
    pub cumulative: bool,
    /// The ids.
    pub ids: &'a [AckId],
    /// Why they are discarded.
    pub validation_error: Option<ValidationError>,
    /// The transaction that the acknowledgement belongs to.
    pub txn: Option<TxnId>,
    /// Asks for an answer under this number.
    pub request_id: Option<u64>,
}

/// What is acknowledged of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AckId {
    /// The ledger.
    pub ledger: u64,
    /// The entry inside the ledger.
    pub entry: u64,
    /// Of a batch, which messages are still wanted: a bit each, from the lowest. Empty: the whole entry is acknowledged.
    pub ack_set: Vec<i64>,
    /// How many messages the batch has, which transactions need to know.
    pub batch_size: Option<i32>,
}

impl From<EntryId> for AckId {
    fn from(id: EntryId) -> Self {
        Self {
            ledger: id.ledger,
            entry: id.entry,
            ..Self::default()
        }
    }
}

/// Writes a command that has no payload.
pub fn command(out: &mut BytesMut, command: &BaseCommand) {
    let len = command.encoded_len();
    out.reserve(8 + len);
    out.put_u32(size(4 + len));
    out.put_u32(size(len));
    // Not `encode`: it fails where there is no room, of which there always is.
    command.encode_raw(out);
}

/// Writes the head of a SEND: all but the payload, which has to follow.
///
/// ```text
///   u32 length, u32 command's length, SEND, 0e01, u32 checksum, u32 metadata's length, metadata │ payload
///                                                               '───────── checksum of ─────────────────'
/// ```
///
/// apache/pulsar: `Commands.serializeCommandSendWithSize`
pub fn send(out: &mut BytesMut, head: &SendHead, metadata: &[u8], payload: &[u8]) {
    let start = leave_size(out);
    hot(out, Type::Send, head);
    body(out, metadata, payload);
    fill_size(out, start, payload.len());
}

/// Writes what stands between a command and a payload: checksum and metadata.
pub fn body(out: &mut BytesMut, metadata: &[u8], payload: &[u8]) {
    let len = size(metadata.len()).to_be_bytes();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&len), metadata);
    out.put_u16(MAGIC_CHECKSUM);
    out.put_u32(crc32c::crc32c_append(sum, payload));
    out.extend_from_slice(&len);
    out.extend_from_slice(metadata);
}

/// Writes the head of a MESSAGE, as a broker does it: all but the body, of `body` bytes, which has to follow
/// ([`Sent::body`](super::Sent::body)). The entry's content is left out of account.
pub fn message(out: &mut BytesMut, entry: &Entry, body: usize) {
    let start = leave_size(out);
    hot(out, Type::Message, entry);
    fill_size(out, start, body);
}

/// Writes a `SEND_RECEIPT`, as a broker does it.
pub fn receipt(out: &mut BytesMut, receipt: &Receipt) {
    let start = leave_size(out);
    hot(out, Type::SendReceipt, receipt);
    fill_size(out, start, 0);
}

/// Writes an ACK.
pub fn ack(out: &mut BytesMut, ack: &Ack<'_>) {
    let start = leave_size(out);
    hot(out, Type::Ack, ack);
    fill_size(out, start, 0);
}

/// Writes a FLOW: `permits` more messages may be delivered.
pub fn flow(out: &mut BytesMut, consumer_id: u64, permits: u32) {
    let start = leave_size(out);
    hot(out, Type::Flow, &Flow(consumer_id, permits));
    fill_size(out, start, 0);
}

/// Writes a command, with its length before it; the command's field has the type's number.
fn hot(out: &mut BytesMut, kind: Type, command: &impl Command) {
    let start = leave_size(out);
    out.number(1, kind as u64);
    out.message(kind as u64, length(|sink| command.write(sink)));
    command.write(out);
    fill_size(out, start, 0);
}

/// What is written by hand, field by field in the order of their numbers.
trait Command {
    fn write(&self, out: &mut impl Sink);
}

impl Command for SendHead {
    fn write(&self, out: &mut impl Sink) {
        out.number(1, self.producer_id);
        out.number(2, self.sequence_id);
        if self.num_messages > 1 {
            out.signed(3, self.num_messages.into());
        }
        if let Some(txn) = self.txn {
            out.number(4, txn.least);
            out.number(5, txn.most);
        }
        if let Some(highest) = self.highest_sequence_id {
            out.number(6, highest);
        }
        if self.is_chunk {
            out.number(7, 1);
        }
        if self.marker {
            out.number(8, 1);
        }
        put_id(out, 9, self.id);
    }
}

impl Command for Entry {
    fn write(&self, out: &mut impl Sink) {
        out.number(1, self.consumer_id);
        let id = Stored(self.id);
        out.message(2, length(|sink| id.write(sink)));
        id.write(out);
        if self.redelivery_count > 0 {
            out.number(3, self.redelivery_count.into());
        }
        for word in &self.ack_set {
            out.signed(4, *word);
        }
        if let Some(epoch) = self.consumer_epoch {
            out.number(5, epoch);
        }
    }
}

impl Command for Receipt {
    fn write(&self, out: &mut impl Sink) {
        out.number(1, self.producer_id);
        out.number(2, self.sequence_id);
        put_id(out, 3, self.id);
        out.number(4, self.highest_sequence_id);
    }
}

impl Command for Ack<'_> {
    fn write(&self, out: &mut impl Sink) {
        out.number(1, self.consumer_id);
        out.number(2, self.cumulative.into());
        for id in self.ids {
            out.message(3, length(|sink| id.write(sink)));
            id.write(out);
        }
        if let Some(error) = self.validation_error {
            out.number(4, error as u64);
        }
        if let Some(txn) = self.txn {
            out.number(6, txn.least);
            out.number(7, txn.most);
        }
        if let Some(request) = self.request_id {
            out.number(8, request);
        }
    }
}

impl Command for AckId {
    fn write(&self, out: &mut impl Sink) {
        out.number(1, self.ledger);
        out.number(2, self.entry);
        for word in &self.ack_set {
            out.signed(5, *word);
        }
        if let Some(size) = self.batch_size {
            out.signed(6, size.into());
        }
    }
}

struct Flow(u64, u32);

impl Command for Flow {
    fn write(&self, out: &mut impl Sink) {
        out.number(1, self.0);
        out.number(2, self.1.into());
    }
}

impl Command for EntryId {
    fn write(&self, out: &mut impl Sink) {
        out.number(1, self.ledger);
        out.number(2, self.entry);
        if self.partition != -1 {
            out.signed(3, self.partition.into());
        }
    }
}

/// An id as brokers write it in a MESSAGE: with its partition also where there is none.
struct Stored(EntryId);

impl Command for Stored {
    fn write(&self, out: &mut impl Sink) {
        out.number(1, self.0.ledger);
        out.number(2, self.0.entry);
        out.signed(3, self.0.partition.into());
    }
}

fn put_id(out: &mut impl Sink, field: u64, id: Option<EntryId>) {
    if let Some(id) = id {
        out.message(field, length(|sink| id.write(sink)));
        id.write(out);
    }
}
