//! What is said of a message, of a batch, and of a message inside of one. Texts are views of the frame.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::entry::absent;
use super::wire::{Fields, Sink, Value, length, low};
use super::{Compression, Invalid, Malformed, TxnId};

/// What is said of a message, or of a whole batch (`MessageMetadata`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// The producer's name.
    pub producer_name: ByteString,
    /// The sequence id, of a batch that of its first message.
    pub sequence_id: u64,
    /// When it was sent, in milliseconds since 1970.
    pub publish_time: u64,
    /// Properties, in their order; a key may be there twice.
    pub properties: Vec<(ByteString, ByteString)>,
    /// The cluster that it was replicated from.
    pub replicated_from: Option<ByteString>,
    /// The key.
    pub partition_key: Option<ByteString>,
    /// The clusters that it is replicated to, where those aren't the namespace's.
    pub replicate_to: Vec<ByteString>,
    /// How the payload is compressed.
    pub compression: Compression,
    /// The payload's size before it was compressed.
    pub uncompressed_size: Option<u32>,
    /// Of a batch, how many messages it has. A batch of one is a batch.
    pub num_messages_in_batch: Option<i32>,
    /// When the event happened, in milliseconds since 1970.
    pub event_time: Option<u64>,
    /// The keys that it is encrypted with.
    pub encryption_keys: Vec<EncryptionKey>,
    /// How it is encrypted.
    pub encryption_algo: Option<ByteString>,
    /// What the decryption needs.
    pub encryption_param: Option<Bytes>,
    /// The schema's version.
    pub schema_version: Option<Bytes>,
    /// Whether the key stands for bytes, in Base64. Written wherever there is a key.
    pub key_is_base64: bool,
    /// What orders it in place of the key.
    pub ordering_key: Option<Bytes>,
    /// When it is to be delivered, in milliseconds since 1970.
    pub deliver_at_time: Option<i64>,
    /// Marks what isn't for applications.
    pub marker_type: Option<i32>,
    /// The transaction that it belongs to.
    pub txn: Option<TxnId>,
    /// Of a batch, the sequence id of its last message.
    pub highest_sequence_id: Option<u64>,
    /// Whether it has no value, which is something else than an empty one.
    pub null_value: bool,
    /// Of a message in parts, what they have in common.
    pub uuid: Option<ByteString>,
    /// How many parts it has.
    pub num_chunks_from_msg: Option<i32>,
    /// How large it is with all its parts.
    pub total_chunk_msg_size: Option<i32>,
    /// Which part this is, from 0 on.
    pub chunk_id: Option<i32>,
    /// Whether it has no key, of a pair of key and value.
    pub null_partition_key: bool,
}

/// A key that a message is encrypted with; itself encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncryptionKey {
    /// Its name.
    pub name: ByteString,
    /// The encrypted key.
    pub value: Bytes,
    /// What is said of it.
    pub metadata: Vec<(ByteString, ByteString)>,
}

/// What is said of a message inside a batch (`SingleMessageMetadata`); its size is that of the payload beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the protocol's flags")]
pub struct SingleMetadata {
    /// Properties, in their order; a key may be there twice.
    pub properties: Vec<(ByteString, ByteString)>,
    /// The key.
    pub partition_key: Option<ByteString>,
    /// Whether compaction took it out: nobody is to see it.
    pub compacted_out: bool,
    /// When the event happened, in milliseconds since 1970.
    pub event_time: Option<u64>,
    /// Whether the key stands for bytes, in Base64. Written wherever there is a key.
    pub key_is_base64: bool,
    /// What orders it in place of the key.
    pub ordering_key: Option<Bytes>,
    /// The sequence id.
    pub sequence_id: Option<u64>,
    /// Whether it has no value, which is something else than an empty one.
    pub null_value: bool,
    /// Whether it has no key, of a pair of key and value.
    pub null_partition_key: bool,
}

impl Metadata {
    /// Whether the payload is a batch (apache/pulsar: `ConsumerImpl.messageReceived`).
    pub fn is_batch(&self) -> bool {
        self.num_messages_in_batch.is_some()
    }

    /// Reads the whole of `bytes`.
    ///
    /// # Errors
    /// [`Invalid::Metadata`], or [`Invalid::Compression`] where the payload could not be read.
    pub fn decode(bytes: &Bytes) -> Result<Self, Invalid> {
        Self::read(Fields::new(bytes, 0..bytes.len()))
    }

    /// Writes it, in the order of the fields' numbers, as Java does.
    pub fn encode(&self, out: &mut BytesMut) {
        self.write(out);
    }

    /// How many bytes [`encode`](Self::encode) writes.
    pub fn encoded_len(&self) -> usize {
        length(|it| self.write(it))
    }

    pub(super) fn read(fields: Fields<'_>) -> Result<Self, Invalid> {
        let mut raw = Raw::default();
        raw.read(fields).map_err(Invalid::Metadata)?;
        let mut metadata = raw.metadata;
        metadata.producer_name = required(raw.producer_name, "producer_name")?;
        metadata.sequence_id = required(raw.sequence_id, "sequence_id")?;
        metadata.publish_time = required(raw.publish_time, "publish_time")?;
        metadata.compression = Compression::of(raw.compression)?;
        metadata.txn = TxnId::of(raw.txn_most, raw.txn_least);
        Ok(metadata)
    }

    fn write(&self, out: &mut impl Sink) {
        out.bytes(1, self.producer_name.as_bytes());
        out.number(2, self.sequence_id);
        out.number(3, self.publish_time);
        put_pairs(out, 4, &self.properties);
        put_text(out, 5, self.replicated_from.as_ref());
        put_text(out, 6, self.partition_key.as_ref());
        for cluster in &self.replicate_to {
            out.bytes(7, cluster.as_bytes());
        }
        if self.compression != Compression::None {
            out.number(8, self.compression.number());
        }
        put_number(out, 9, self.uncompressed_size.map(u64::from));
        put_signed(out, 11, self.num_messages_in_batch);
        put_number(out, 12, self.event_time);
        for key in &self.encryption_keys {
            out.message(13, length(|it| key.write(it)));
            key.write(out);
        }
        put_text(out, 14, self.encryption_algo.as_ref());
        put_bytes(out, 15, self.encryption_param.as_ref());
        put_bytes(out, 16, self.schema_version.as_ref());
        if self.partition_key.is_some() {
            out.number(17, self.key_is_base64.into());
        }
        put_bytes(out, 18, self.ordering_key.as_ref());
        if let Some(at) = self.deliver_at_time {
            out.signed(19, at);
        }
        put_signed(out, 20, self.marker_type);
        put_number(out, 22, self.txn.map(|txn| txn.least));
        put_number(out, 23, self.txn.map(|txn| txn.most));
        put_number(out, 24, self.highest_sequence_id);
        put_flag(out, 25, self.null_value);
        put_text(out, 26, self.uuid.as_ref());
        put_signed(out, 27, self.num_chunks_from_msg);
        put_signed(out, 28, self.total_chunk_msg_size);
        put_signed(out, 29, self.chunk_id);
        put_flag(out, 30, self.null_partition_key);
    }
}

/// What of the metadata isn't complete before all fields are read.
#[derive(Default)]
struct Raw {
    metadata: Metadata,
    producer_name: Option<ByteString>,
    sequence_id: Option<u64>,
    publish_time: Option<u64>,
    compression: u64,
    txn_most: Option<u64>,
    txn_least: Option<u64>,
}

impl Raw {
    fn read(&mut self, mut fields: Fields<'_>) -> Result<(), Malformed> {
        while let Some((number, value)) = fields.next()? {
            match value {
                Value::Varint(value) => self.number(number, value),
                Value::Bytes(value) => self.bytes(number, value)?,
                Value::Fixed => {}
            }
        }
        Ok(())
    }

    fn number(&mut self, number: u64, value: u64) {
        let it = &mut self.metadata;
        let signed = low(value).cast_signed();
        match number {
            2 => self.sequence_id = Some(value),
            3 => self.publish_time = Some(value),
            8 => self.compression = value,
            9 => it.uncompressed_size = Some(low(value)),
            11 => it.num_messages_in_batch = Some(signed),
            12 => it.event_time = Some(value),
            17 => it.key_is_base64 = value != 0,
            19 => it.deliver_at_time = Some(value.cast_signed()),
            20 => it.marker_type = Some(signed),
            22 => self.txn_least = Some(value),
            23 => self.txn_most = Some(value),
            24 => it.highest_sequence_id = Some(value),
            25 => it.null_value = value != 0,
            27 => it.num_chunks_from_msg = Some(signed),
            28 => it.total_chunk_msg_size = Some(signed),
            29 => it.chunk_id = Some(signed),
            30 => it.null_partition_key = value != 0,
            _ => {}
        }
    }

    fn bytes(&mut self, number: u64, value: Fields<'_>) -> Result<(), Malformed> {
        let it = &mut self.metadata;
        match number {
            1 => self.producer_name = Some(value.text()),
            4 => it.properties.push(pair(value)?),
            5 => it.replicated_from = Some(value.text()),
            6 => it.partition_key = Some(value.text()),
            7 => it.replicate_to.push(value.text()),
            13 => it.encryption_keys.push(EncryptionKey::read(value)?),
            14 => it.encryption_algo = Some(value.text()),
            15 => it.encryption_param = Some(value.bytes()),
            16 => it.schema_version = Some(value.bytes()),
            18 => it.ordering_key = Some(value.bytes()),
            26 => it.uuid = Some(value.text()),
            _ => {}
        }
        Ok(())
    }
}

impl EncryptionKey {
    fn read(mut fields: Fields<'_>) -> Result<Self, Malformed> {
        let (mut name, mut value, mut metadata) = (None, None, Vec::new());
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(text)) => name = Some(text.text()),
                (2, Value::Bytes(bytes)) => value = Some(bytes.bytes()),
                (3, Value::Bytes(message)) => metadata.push(pair(message)?),
                _ => {}
            }
        }
        Ok(Self {
            name: name.ok_or_else(|| absent("key"))?,
            value: value.ok_or_else(|| absent("value"))?,
            metadata,
        })
    }

    fn write(&self, out: &mut impl Sink) {
        out.bytes(1, self.name.as_bytes());
        out.bytes(2, &self.value);
        put_pairs(out, 3, &self.metadata);
    }
}

impl SingleMetadata {
    /// Reads the metadata, and the size of the payload that it is for.
    pub(super) fn read(mut fields: Fields<'_>) -> Result<(Self, usize), Malformed> {
        let mut it = Self::default();
        let mut size = None;
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(message)) => it.properties.push(pair(message)?),
                (2, Value::Bytes(text)) => it.partition_key = Some(text.text()),
                (3, Value::Varint(value)) => size = Some(low(value).cast_signed()),
                (4, Value::Varint(value)) => it.compacted_out = value != 0,
                (5, Value::Varint(value)) => it.event_time = Some(value),
                (6, Value::Varint(value)) => it.key_is_base64 = value != 0,
                (7, Value::Bytes(bytes)) => it.ordering_key = Some(bytes.bytes()),
                (8, Value::Varint(value)) => it.sequence_id = Some(value),
                (9, Value::Varint(value)) => it.null_value = value != 0,
                (10, Value::Varint(value)) => it.null_partition_key = value != 0,
                _ => {}
            }
        }
        let size = size.ok_or_else(|| absent("payload_size"))?;
        match usize::try_from(size) {
            Ok(size) => Ok((it, size)),
            Err(_) => Err(Malformed::new("payload_size", "negative")),
        }
    }

    #[inline]
    pub(super) fn write(&self, out: &mut impl Sink, payload: u32) {
        put_pairs(out, 1, &self.properties);
        put_text(out, 2, self.partition_key.as_ref());
        out.number(3, payload.into());
        put_flag(out, 4, self.compacted_out);
        put_number(out, 5, self.event_time);
        if self.partition_key.is_some() {
            out.number(6, self.key_is_base64.into());
        }
        put_bytes(out, 7, self.ordering_key.as_ref());
        put_number(out, 8, self.sequence_id);
        put_flag(out, 9, self.null_value);
        put_flag(out, 10, self.null_partition_key);
    }
}

/// A `KeyValue`.
fn pair(mut fields: Fields<'_>) -> Result<(ByteString, ByteString), Malformed> {
    let (mut key, mut value) = (None, None);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(text)) => key = Some(text.text()),
            (2, Value::Bytes(text)) => value = Some(text.text()),
            _ => {}
        }
    }
    let pair = key.zip(value);
    pair.ok_or_else(|| absent("key or value of a property"))
}

fn required<T>(field: Option<T>, name: &'static str) -> Result<T, Invalid> {
    field.ok_or_else(|| Invalid::Metadata(absent(name)))
}

fn put_pairs(out: &mut impl Sink, field: u64, pairs: &[(ByteString, ByteString)]) {
    for (key, value) in pairs {
        out.pair(field, key, value);
    }
}

fn put_text(out: &mut impl Sink, field: u64, text: Option<&ByteString>) {
    if let Some(text) = text {
        out.bytes(field, text.as_bytes());
    }
}

fn put_bytes(out: &mut impl Sink, field: u64, bytes: Option<&Bytes>) {
    if let Some(bytes) = bytes {
        out.bytes(field, bytes);
    }
}

fn put_number(out: &mut impl Sink, field: u64, value: Option<u64>) {
    if let Some(value) = value {
        out.number(field, value);
    }
}

fn put_signed(out: &mut impl Sink, field: u64, value: Option<i32>) {
    if let Some(value) = value {
        out.signed(field, value.into());
    }
}

/// A flag that is absent where it isn't set.
fn put_flag(out: &mut impl Sink, field: u64, set: bool) {
    if set {
        out.number(field, 1);
    }
}
