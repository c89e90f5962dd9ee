//! The JSON header, as fastjson writes and reads it.

use std::{borrow::Cow, fmt};

use bytes::{BufMut, BytesMut};
use compact_str::{CompactString, ToCompactString as _};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{Flags, Header, HeaderCodec, HeaderParts, Language};
use crate::proto::{
    ExtFields, FieldSink, Fields, MAX_EXT_FIELDS, Malformed,
    fields::{DECIMAL, decimal},
    json as tolerant,
};

/// The width of the longest `i32`. JSON allows blanks before a number, so that the opaque can be set in place.
pub(super) const OPAQUE: usize = 11;

/// `opaque` with leading blanks.
pub(super) fn padded(opaque: i32) -> [u8; OPAQUE] {
    let mut slot = [b' '; OPAQUE];
    let mut buf = [0; DECIMAL];
    let digits = decimal(&mut buf, i64::from(opaque)).as_bytes();
    if let Some(end) = slot.get_mut(OPAQUE - digits.len()..) {
        end.copy_from_slice(digits);
    }
    slot
}

/// Appends the header and answers where its opaque begins.
pub(super) fn encode(
    buf: &mut BytesMut,
    parts: &HeaderParts<'_>,
    fields: &(impl Fields + ?Sized),
    extra: &[(&str, &str)],
) -> usize {
    // The order of the keys is fastjson's: by name.
    buf.put_slice(b"{\"code\":");
    put_int(buf, parts.code);
    put_ext(buf, fields, extra);
    buf.put_slice(b",\"flag\":");
    put_int(buf, parts.flags.0);
    if let Some(language) = parts.language.name() {
        buf.put_slice(b",\"language\":\"");
        buf.put_slice(language.as_bytes());
        buf.put_u8(b'"');
    }
    buf.put_slice(b",\"opaque\":");
    let opaque_at = buf.len();
    buf.put_slice(&padded(0));
    if let Some(remark) = parts.remark {
        buf.put_slice(b",\"remark\":");
        put_text(buf, remark);
    }
    buf.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    put_int(buf, parts.version);
    buf.put_u8(b'}');
    opaque_at
}

pub(super) fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
    let raw: RawHeader<'_> = match serde_json::from_slice(bytes) {
        Ok(raw) => raw,
        // Not what serde_json accepts; it may still be what fastjson writes.
        Err(_) => return decode_tolerant(bytes),
    };
    Ok(raw.into_header())
}

fn decode_tolerant(bytes: &[u8]) -> Result<Header, Malformed> {
    let standard = tolerant::standard(bytes)?;
    serde_json::from_slice(&standard)
        .map(RawHeader::into_header)
        .map_err(|error| Malformed::json("header", &error))
}

fn put_ext(buf: &mut BytesMut, fields: &(impl Fields + ?Sized), extra: &[(&str, &str)]) {
    let before = buf.len();
    buf.put_slice(b",\"extFields\":{");
    let mut sink = JsonSink { buf, first: true };
    fields.fields(&mut sink);
    for (key, value) in extra {
        sink.text(key, value);
    }
    if sink.first {
        buf.truncate(before);
    } else {
        buf.put_u8(b'}');
    }
}

struct JsonSink<'a> {
    buf: &'a mut BytesMut,
    first: bool,
}

impl FieldSink for JsonSink<'_> {
    fn text(&mut self, key: &str, value: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.buf.put_u8(b',');
        }
        put_text(self.buf, key);
        self.buf.put_u8(b':');
        put_text(self.buf, value);
    }
}

fn put_int(buf: &mut BytesMut, value: i32) {
    buf.put_slice(decimal(&mut [0; DECIMAL], i64::from(value)).as_bytes());
}

/// Writes a JSON string: quotes, backslashes and control characters are escaped, all else is UTF-8.
fn put_text(buf: &mut BytesMut, text: &str) {
    buf.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
        let (plain, escaped) = rest.split_at(at);
        buf.put_slice(plain);
        let Some((byte, after)) = escaped.split_first() else {
            break;
        };
        put_escape(buf, *byte);
        rest = after;
    }
    buf.put_slice(rest);
    buf.put_u8(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put_escape(buf: &mut BytesMut, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |nibble: u8| {
                if nibble < 10 {
                    b'0' + nibble
                } else {
                    b'A' + nibble - 10
                }
            };
            buf.put_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    buf.put_slice(&[b'\\', short]);
}

/// Unknown keys are ignored and nulls are absence, as fastjson has it.
#[derive(Deserialize)]
struct RawHeader<'a> {
    code: i32,
    #[serde(borrow, default)]
    language: Option<Cow<'a, str>>,
    #[serde(default)]
    version: Option<i32>,
    #[serde(default)]
    opaque: Option<i32>,
    #[serde(default)]
    flag: Option<i32>,
    #[serde(default)]
    remark: Option<String>,
    #[serde(default, rename = "extFields", deserialize_with = "ext_fields")]
    ext: ExtFields,
}

impl RawHeader<'_> {
    fn into_header(self) -> Header {
        Header {
            code: self.code,
            language: self
                .language
                .and_then(|name| Language::from_name(&name))
                .unwrap_or(Language::UNKNOWN),
            version: self.version.unwrap_or_default(),
            opaque: self.opaque.unwrap_or_default(),
            flags: Flags(self.flag.unwrap_or_default()),
            remark: self.remark,
            ext: self.ext,
            codec: HeaderCodec::Json,
        }
    }
}

fn ext_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExtFields, D::Error> {
    deserializer.deserialize_option(ExtVisitor)
}

struct ExtVisitor;

impl<'de> Visitor<'de> for ExtVisitor {
    type Value = ExtFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_none<E>(self) -> Result<ExtFields, E> {
        Ok(ExtFields::new())
    }

    fn visit_unit<E>(self) -> Result<ExtFields, E> {
        Ok(ExtFields::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<ExtFields, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ExtFields, A::Error> {
        let mut ext = ExtFields::with_room();
        while let Some(key) = map.next_key::<CompactString>()? {
            if ext.len() == MAX_EXT_FIELDS {
                return Err(A::Error::custom("too many ext fields"));
            }
            if let Some(value) = map.next_value::<Scalar>()?.0 {
                ext.push(key, value);
            }
        }
        Ok(ext)
    }
}

/// A value as text; null is absent.
struct Scalar(Option<CompactString>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number, a boolean or null")
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.into())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_compact_string())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_compact_string())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_compact_string())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        // Not as compact_str writes it: 1.0 is to be read as a whole number.
        Ok(Scalar(Some(value.to_string().into())))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }

    /// A nested value can't be a field; reading past it keeps the header readable.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar(None))
    }
}
