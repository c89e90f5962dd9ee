//! Batches: several messages for one queue in one body (320), and inner batches, which come back as such.
//!
//! ```text
//!   { i32 total size, i32 0, i32 0, i32 flag, i32 length, body, i16 length, properties }*
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::{BadMessage, PropertyText, StoredMessage, iter};
use crate::proto::{Malformed, reader::Reader};

/// One message of a batch; its topic is the batch's.
// apache/rocketmq: MessageDecoder.encodeMessage
#[derive(Clone, PartialEq, Eq, Default)]
pub struct BatchItem {
    /// The user's own flag bits.
    pub flag: i32,
    /// The body; batches are not compressed.
    pub body: Bytes,
    /// The properties.
    pub properties: PropertyText,
}

impl BatchItem {
    /// Appends the item to `buf`.
    pub fn encode(&self, buf: &mut BytesMut) {
        let start = buf.len();
        buf.put_u32(0);
        buf.put_u64(0);
        buf.put_i32(self.flag);
        buf.put_u32(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        buf.put_slice(&self.body);
        self.properties.put(buf);
        let total = u32::try_from(buf.len() - start).unwrap_or(u32::MAX);
        if let Some(slot) = buf.get_mut(start..start + 4) {
            slot.copy_from_slice(&total.to_be_bytes());
        }
    }

    /// Reads one item, which must be the whole of `bytes`.
    ///
    /// # Errors
    /// [`Malformed`] if it is anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        Self::read(bytes, bytes)
    }

    /// As [`decode`](Self::decode), of a part of `whole`.
    fn read(whole: &Bytes, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let total = reader.len32("totalSize")?;
        if total != bytes.len() {
            let reason = format!("{total} in an item of {} bytes", bytes.len());
            return Err(Malformed::new("totalSize", 0, reason));
        }
        // Magic and checksum are 0 by design, and Java reads past them.
        reader.take(8, "magic")?;
        let flag = reader.i32("flag")?;
        let body_len = reader.len32("body")?;
        let body = reader.share(whole, body_len, "body")?;
        let properties_len = reader.len16("properties")?;
        let properties = reader.share(whole, properties_len, "properties")?;
        if reader.remaining() > 0 {
            let reason = format!("{} bytes left over", reader.remaining());
            return Err(Malformed::new("totalSize", reader.at(), reason));
        }
        Ok(Self {
            flag,
            body,
            properties: PropertyText::read(properties)?,
        })
    }
}

/// Shows everything but the body, of which it shows the length.
impl std::fmt::Debug for BatchItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchItem")
            .field("flag", &self.flag)
            .field("properties", &self.properties)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The body of a batch.
pub fn encode_batch<'a>(items: impl IntoIterator<Item = &'a BatchItem>) -> Bytes {
    let mut buf = BytesMut::new();
    for item in items {
        item.encode(&mut buf);
    }
    buf.freeze()
}

/// The items of a batch's body. An item that can't be read is an error in its place, and the rest goes on.
pub fn decode_batch(body: Bytes) -> impl Iterator<Item = Result<BatchItem, BadMessage>> {
    let mut pieces = iter::Pieces::new(body, MIN_ITEM);
    std::iter::from_fn(move || pieces.next_with(BatchItem::read))
}

/// The messages of an inner batch, whose plain (decompressed) body is `body`: each has the batch's place and times, its own
/// flag, body and properties, and the offset of the batch plus its number.
// apache/rocketmq: MessageDecoder.decodeMessage(MessageExt, List)
pub fn unwrap_batch(
    batch: &StoredMessage,
    body: Bytes,
) -> impl Iterator<Item = Result<StoredMessage, BadMessage>> {
    decode_batch(body)
        .zip(0_i64..)
        .map(|(item, number)| (item, batch.queue_offset.saturating_add(number)))
        .map(|(item, queue_offset)| match item {
            Ok(item) => Ok(StoredMessage {
                queue_offset,
                flag: item.flag,
                body_crc: super::body_crc(&item.body),
                body: item.body,
                properties: item.properties,
                ..batch.clone()
            }),
            Err(bad) => Err(BadMessage {
                queue_offset: Some(queue_offset),
                queue_id: Some(batch.queue_id),
                physical_offset: Some(batch.physical_offset),
                ..bad
            }),
        })
}

/// An item with neither body nor properties.
const MIN_ITEM: usize = 4 + 4 + 4 + 4 + 4 + 2;
