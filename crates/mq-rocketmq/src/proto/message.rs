//! Stored messages: what the body of a pull holds, one after another.
//!
//! ```text
//!   total size, magic, body crc, queue id, flag        5 × i32
//!   queue offset, physical offset                      2 × i64
//!   sys flag i32, born at i64, born host (4|16 + 4)
//!   stored at i64, store host (4|16 + 4)
//!   reconsume times i32, prepared transaction offset i64
//!   i32 length, body │ u8 (v2: i16) length, topic │ i16 length, properties
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{Malformed, reader::Reader};

pub mod batch;
pub mod id;
pub mod iter;
pub mod properties;
pub mod sys_flag;

pub use self::{
    batch::{BatchItem, decode_batch, encode_batch, unwrap_batch},
    id::{OffsetMessageId, UniqueIdParts, unique_id},
    iter::{BadMessage, Messages, decode_messages},
    properties::PropertyText,
    sys_flag::{SysFlag, Transaction},
};

/// How a stored message writes its topic's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MessageVersion {
    /// One byte, for topics of at most 127 bytes.
    #[default]
    V1,
    /// Two bytes (5.0 and later).
    V2,
}

/// A message as a broker stores it and hands it over.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// How it is written.
    pub version: MessageVersion,
    /// The checksum of the stored body: see [`body_crc_matches`](Self::body_crc_matches).
    pub body_crc: i32,
    /// The queue.
    pub queue_id: i32,
    /// The user's own flag bits.
    pub flag: i32,
    /// Its offset in the queue.
    pub queue_offset: i64,
    /// Where it is in the broker's log.
    pub physical_offset: i64,
    /// Compression, transaction and batch bits. Writing sets the bits for IPv6 by the hosts.
    pub sys_flag: SysFlag,
    /// When the producer made it, in ms since 1970.
    pub born_at_ms: i64,
    /// The producer's address.
    pub born_host: SocketAddr,
    /// When the broker stored it, in ms since 1970.
    pub stored_at_ms: i64,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// How often it was delivered before.
    pub reconsume_times: i32,
    /// For transactions: where the half message is.
    pub prepared_transaction_offset: i64,
    /// The body as stored, perhaps compressed; a view of the buffer it was decoded from.
    pub body: Bytes,
    /// The topic, with its namespace; a view of that buffer too.
    pub topic: ByteString,
    /// The properties.
    pub properties: PropertyText,
}

impl StoredMessage {
    /// A message of a topic, with everything else empty.
    pub fn new(topic: impl Into<ByteString>, body: Bytes) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self {
            version: MessageVersion::V1,
            body_crc: body_crc(&body),
            queue_id: 0,
            flag: 0,
            queue_offset: 0,
            physical_offset: 0,
            sys_flag: SysFlag::default(),
            born_at_ms: 0,
            born_host: nowhere,
            stored_at_ms: 0,
            store_host: nowhere,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            topic: topic.into(),
            properties: PropertyText::default(),
        }
    }

    /// Reads one message, which must be the whole of `bytes`.
    ///
    /// # Errors
    /// [`Malformed`] if it is anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        Self::read(bytes, bytes)
    }

    /// As [`decode`](Self::decode), of a part of `whole`.
    fn read(whole: &Bytes, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let fixed = Fixed::read(&mut reader)?;
        if fixed.total != bytes.len() {
            let reason = format!("{} in a message of {} bytes", fixed.total, bytes.len());
            return Err(Malformed::new("totalSize", 0, reason));
        }
        let born_at_ms = reader.i64("bornTimestamp")?;
        let born_host = read_host(&mut reader, fixed.sys_flag.is_born_host_v6(), "bornHost")?;
        let stored_at_ms = reader.i64("storeTimestamp")?;
        let store_host = read_host(&mut reader, fixed.sys_flag.is_store_host_v6(), "storeHost")?;
        let reconsume_times = reader.i32("reconsumeTimes")?;
        let prepared_transaction_offset = reader.i64("preparedTransactionOffset")?;
        let body_len = reader.len32("body")?;
        let body = reader.share(whole, body_len, "body")?;
        let topic_len = match fixed.version {
            MessageVersion::V1 => usize::from(reader.u8("topic")?),
            MessageVersion::V2 => reader.len16("topic")?,
        };
        let topic_at = reader.at();
        let topic = ByteString::try_from(reader.share(whole, topic_len, "topic")?)
            .map_err(|_| Malformed::new("topic", topic_at, "not UTF-8"))?;
        let properties_len = reader.len16("properties")?;
        let properties = reader.share(whole, properties_len, "properties")?;
        if reader.remaining() > 0 {
            let reason = format!("{} bytes left over", reader.remaining());
            return Err(Malformed::new("totalSize", reader.at(), reason));
        }
        Ok(Self {
            version: fixed.version,
            body_crc: fixed.body_crc,
            queue_id: fixed.queue_id,
            flag: fixed.flag,
            queue_offset: fixed.queue_offset,
            physical_offset: fixed.physical_offset,
            sys_flag: fixed.sys_flag,
            born_at_ms,
            born_host,
            stored_at_ms,
            store_host,
            reconsume_times,
            prepared_transaction_offset,
            body,
            topic,
            properties: PropertyText::read(properties)?,
        })
    }

    /// Appends the message to `buf`, as a broker would write it.
    ///
    /// A topic that the version can't hold is written as V2. What is too long for the format (a topic or properties of
    /// 32 KiB) can't be read back.
    pub fn encode(&self, buf: &mut BytesMut) {
        let start = buf.len();
        let sys_flag = self
            .sys_flag
            .set_host_v6(self.born_host.is_ipv6(), self.store_host.is_ipv6());
        let long_topic = self.version == MessageVersion::V2 || self.topic.len() > MAX_TOPIC_V1;
        buf.put_i32(0);
        buf.put_u32(if long_topic { MAGIC_V2 } else { MAGIC_V1 });
        buf.put_i32(self.body_crc);
        buf.put_i32(self.queue_id);
        buf.put_i32(self.flag);
        buf.put_i64(self.queue_offset);
        buf.put_i64(self.physical_offset);
        buf.put_i32(sys_flag.0);
        buf.put_i64(self.born_at_ms);
        put_host(buf, self.born_host);
        buf.put_i64(self.stored_at_ms);
        put_host(buf, self.store_host);
        buf.put_i32(self.reconsume_times);
        buf.put_i64(self.prepared_transaction_offset);
        buf.put_u32(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        buf.put_slice(&self.body);
        let topic_len = u16::try_from(self.topic.len()).unwrap_or(u16::MAX);
        match u8::try_from(topic_len) {
            Ok(len) if !long_topic => buf.put_u8(len),
            _ => buf.put_u16(topic_len),
        }
        buf.put_slice(self.topic.as_bytes());
        self.properties.put(buf);
        let total = u32::try_from(buf.len() - start).unwrap_or(u32::MAX);
        if let Some(slot) = buf.get_mut(start..start + 4) {
            slot.copy_from_slice(&total.to_be_bytes());
        }
    }

    /// Whether the body is what the broker took its checksum of. Reads the whole body.
    pub fn body_crc_matches(&self) -> bool {
        self.body_crc == body_crc(&self.body)
    }

    /// The id made of the broker's address and the physical offset.
    pub fn offset_message_id(&self) -> OffsetMessageId {
        OffsetMessageId {
            host: self.store_host,
            physical_offset: self.physical_offset,
        }
    }
}

/// Shows everything but the body, of which it shows the length.
impl std::fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredMessage")
            .field("topic", &self.topic)
            .field("queue_id", &self.queue_id)
            .field("queue_offset", &self.queue_offset)
            .field("physical_offset", &self.physical_offset)
            .field("sys_flag", &self.sys_flag)
            .field("reconsume_times", &self.reconsume_times)
            .field("properties", &self.properties)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The checksum of a body: its CRC-32 without the sign bit.
// apache/rocketmq: UtilAll.crc32
pub fn body_crc(body: &[u8]) -> i32 {
    let mut crc = flate2::Crc::new();
    crc.update(body);
    (crc.sum() & 0x7FFF_FFFF).cast_signed()
}

/// What lies at the same place in every message, so that it can be read even if the rest can't.
struct Fixed {
    total: usize,
    version: MessageVersion,
    body_crc: i32,
    queue_id: i32,
    flag: i32,
    queue_offset: i64,
    physical_offset: i64,
    sys_flag: SysFlag,
}

impl Fixed {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            total: reader.len32("totalSize")?,
            version: match reader.u32("magic")? {
                MAGIC_V1 => MessageVersion::V1,
                MAGIC_V2 => MessageVersion::V2,
                other => {
                    return Err(Malformed::new(
                        "magic",
                        4,
                        format!("unknown: {other:#010x}"),
                    ));
                }
            },
            body_crc: reader.i32("bodyCrc")?,
            queue_id: reader.i32("queueId")?,
            flag: reader.i32("flag")?,
            queue_offset: reader.i64("queueOffset")?,
            physical_offset: reader.i64("physicalOffset")?,
            sys_flag: SysFlag(reader.i32("sysFlag")?),
        })
    }
}

#[inline]
fn read_host(
    reader: &mut Reader<'_>,
    v6: bool,
    field: &'static str,
) -> Result<SocketAddr, Malformed> {
    let at = reader.at();
    let ip: IpAddr = if v6 {
        reader.array::<16>(field)?.into()
    } else {
        reader.array::<4>(field)?.into()
    };
    let port = reader.i32(field)?;
    let port = u16::try_from(port)
        .map_err(|_| Malformed::new(field, at, format!("port {port} does not exist")))?;
    Ok(SocketAddr::new(ip, port))
}

fn put_host(buf: &mut BytesMut, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => buf.put_slice(&ip.octets()),
        IpAddr::V6(ip) => buf.put_slice(&ip.octets()),
    }
    buf.put_u32(u32::from(host.port()));
}

// apache/rocketmq: MessageDecoder.MESSAGE_MAGIC_CODE, MESSAGE_MAGIC_CODE_V2
const MAGIC_V1: u32 = 0xDAA3_20A7;
const MAGIC_V2: u32 = 0xDAA3_20AB;
// apache/rocketmq: MessageVersion reads the length of V1 as a signed byte.
const MAX_TOPIC_V1: usize = 127;

#[cfg(test)]
mod tests;
