//! The binary header (`RocketMQSerializable`).
//!
//! ```text
//!   i16 code | u8 language | i16 version | i32 opaque | i32 flag
//!   i32 length, remark
//!   i32 length of all ext fields, { i16 length, key, i32 length, value }*
//! ```

use bytes::{BufMut, BytesMut};

use super::{Flags, Header, HeaderCodec, HeaderParts, Language};
use crate::proto::{ExtFields, FieldSink, Fields, MAX_EXT_FIELDS, Malformed, reader::Reader};

/// Appends the header and answers where its opaque begins.
pub(super) fn encode(
    buf: &mut BytesMut,
    code: i16,
    parts: &HeaderParts<'_>,
    fields: &(impl Fields + ?Sized),
    extra: &[(&str, &str)],
) -> usize {
    buf.put_i16(code);
    buf.put_u8(parts.language.0);
    buf.put_i16(i16::try_from(parts.version).unwrap_or(i16::MAX));
    let opaque_at = buf.len();
    buf.put_i32(0);
    buf.put_i32(parts.flags.0);
    put_text32(buf, parts.remark.unwrap_or_default());
    let ext_at = buf.len();
    buf.put_u32(0);
    let mut sink = BinarySink { buf };
    fields.fields(&mut sink);
    for (key, value) in extra {
        sink.text(key, value);
    }
    let len = u32::try_from(buf.len() - ext_at - 4).unwrap_or(u32::MAX);
    if let Some(slot) = buf.get_mut(ext_at..ext_at + 4) {
        slot.copy_from_slice(&len.to_be_bytes());
    }
    opaque_at
}

pub(super) fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
    let mut reader = Reader::new(bytes);
    let code = i32::from(reader.i16("code")?);
    let language = Language(reader.u8("language")?);
    let version = i32::from(reader.i16("version")?);
    let opaque = reader.i32("opaque")?;
    let flags = Flags(reader.i32("flag")?);
    let remark_len = reader.len32("remark")?;
    let remark = reader.text(remark_len, "remark")?;
    let ext_len = reader.len32("extFields")?;
    if ext_len != reader.remaining() {
        let reason = format!("{ext_len} bytes, but {} are left", reader.remaining());
        return Err(Malformed::new("extFields", reader.at() - 4, reason));
    }
    let mut ext = ExtFields::new();
    while reader.remaining() > 0 {
        if ext.len() == MAX_EXT_FIELDS {
            let reason = format!("more than {MAX_EXT_FIELDS} fields");
            return Err(Malformed::new("extFields", reader.at(), reason));
        }
        let key_len = reader.len16("extFields key")?;
        let key = reader.text(key_len, "extFields key")?;
        let value_len = reader.len32("extFields value")?;
        ext.push(key, reader.text(value_len, "extFields value")?);
    }
    // apache/rocketmq: RocketMQSerializable reads an empty string as null.
    let remark = (!remark.is_empty()).then(|| remark.to_owned());
    let codec = HeaderCodec::Binary;
    Ok(Header {
        code,
        language,
        version,
        opaque,
        flags,
        remark,
        ext,
        codec,
    })
}

struct BinarySink<'a> {
    buf: &'a mut BytesMut,
}

impl FieldSink for BinarySink<'_> {
    fn text(&mut self, key: &str, value: &str) {
        // A longer key can't be written, and none exists.
        let Ok(len) = i16::try_from(key.len()) else {
            return;
        };
        self.buf.put_i16(len);
        self.buf.put_slice(key.as_bytes());
        put_text32(self.buf, value);
    }
}

fn put_text32(buf: &mut BytesMut, text: &str) {
    buf.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    buf.put_slice(text.as_bytes());
}
