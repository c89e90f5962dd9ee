//! Headers: what they hold, and their two encodings.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::{ExtFields, Fields, Malformed};

mod binary;
mod json;

/// How a header is written. A broker answers in the encoding of the request, so each request may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HeaderCodec {
    /// JSON, understood by every broker and every cloud.
    #[default]
    Json,
    /// The smaller binary form (`ROCKETMQ`). Its code has 16 bits: larger codes are written as JSON.
    Binary,
}

/// The bits that tell requests, oneway requests and answers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub i32);

impl Flags {
    /// A request that wants an answer.
    pub const REQUEST: Self = Self(0);
    /// An answer.
    pub const RESPONSE: Self = Self(1);
    /// A request that wants no answer.
    pub const ONEWAY: Self = Self(2);

    /// Whether this is an answer.
    pub const fn is_response(self) -> bool {
        self.0 & Self::RESPONSE.0 != 0
    }

    /// Whether this is a request without an answer.
    pub const fn is_oneway(self) -> bool {
        self.0 & Self::ONEWAY.0 != 0
    }
}

/// The language a peer says it is written in (`LanguageCode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(pub u8);

impl Language {
    /// Java, and what an absent language means.
    pub const JAVA: Self = Self(0);
    /// Any language without a number of its own.
    pub const OTHER: Self = Self(7);
    /// Go.
    pub const GO: Self = Self(9);
    /// Rust; brokers before 4.9.4 read it as null.
    pub const RUST: Self = Self(12);
    /// A name that is in no table, or null.
    pub const UNKNOWN: Self = Self(u8::MAX);

    /// Its name in JSON headers, if it has one.
    pub fn name(self) -> Option<&'static str> {
        LANGUAGES.get(usize::from(self.0)).copied()
    }

    /// The language of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        let at = LANGUAGES.iter().position(|known| *known == name)?;
        u8::try_from(at).ok().map(Self)
    }
}

/// A decoded header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What is asked, or how it was answered.
    pub code: i32,
    /// The sender's language.
    pub language: Language,
    /// The sender's version (`MQVersion`'s ordinal).
    pub version: i32,
    /// Pairs an answer with its request.
    pub opaque: i32,
    /// Request, oneway or answer.
    pub flags: Flags,
    /// What an error answer says about itself.
    pub remark: Option<String>,
    /// The command's own fields.
    pub ext: ExtFields,
    /// How the header was written; an answer should be written likewise.
    pub codec: HeaderCodec,
}

impl Header {
    /// Writes this header again, as it was.
    pub fn encode(&self, body_len: usize) -> Encoded {
        let parts = HeaderParts {
            code: self.code,
            flags: self.flags,
            remark: self.remark.as_deref(),
            language: self.language,
            version: self.version,
            codec: self.codec,
        };
        let mut encoded = encode(&parts, &self.ext, &[], body_len);
        encoded.set_opaque(self.opaque);
        encoded
    }
}

/// A header to be written, without its ext fields and its opaque.
#[derive(Debug, Clone, Copy)]
pub struct HeaderParts<'a> {
    /// What is asked, or how it was answered.
    pub code: i32,
    /// Request, oneway or answer.
    pub flags: Flags,
    /// What an error answer says about itself.
    pub remark: Option<&'a str>,
    /// The sender's language.
    pub language: Language,
    /// The sender's version (`MQVersion`'s ordinal).
    pub version: i32,
    /// The encoding wished for.
    pub codec: HeaderCodec,
}

/// Prefix and header of a frame, ready to be written before its body.
///
/// The opaque can still be set, in place: it is not part of what a signature covers, and a retry gets a new one.
pub struct Encoded {
    buf: BytesMut,
    opaque_at: usize,
    codec: HeaderCodec,
    body_len: usize,
}

impl Encoded {
    /// Sets the number that pairs the answer with this request.
    pub fn set_opaque(&mut self, opaque: i32) {
        let number = match self.codec {
            HeaderCodec::Json => json::padded(opaque),
            HeaderCodec::Binary => {
                let mut number = [0; json::OPAQUE];
                number[..4].copy_from_slice(&opaque.to_be_bytes());
                number
            }
        };
        let width = self.opaque_width();
        if let (Some(slot), Some(number)) = (
            self.buf.get_mut(self.opaque_at..self.opaque_at + width),
            number.get(..width),
        ) {
            slot.copy_from_slice(number);
        }
    }

    /// Prefix and header as they go on the wire; the body follows.
    pub fn into_bytes(self) -> Bytes {
        self.buf.freeze()
    }

    /// Bytes of prefix and header.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Never: a prefix is always there.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Bytes of the whole frame, body included, prefix of four not included: what a limit on frames counts.
    pub fn frame_len(&self) -> usize {
        self.buf.len() - 4 + self.body_len
    }

    /// The encoding that was really used.
    pub fn codec(&self) -> HeaderCodec {
        self.codec
    }

    fn opaque_width(&self) -> usize {
        match self.codec {
            HeaderCodec::Json => json::OPAQUE,
            HeaderCodec::Binary => 4,
        }
    }
}

/// Shows sizes only: a header can hold a signature.
impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("codec", &self.codec)
            .field("len", &self.buf.len())
            .field("body_len", &self.body_len)
            .finish_non_exhaustive()
    }
}

/// Writes prefix and header of a frame whose body has `body_len` bytes and is written by the caller.
///
/// The ext fields are those of `fields`, then `extra`. The opaque is 0 until [`Encoded::set_opaque`]. A frame above the
/// peer's limit is written all the same: compare [`Encoded::frame_len`].
pub fn encode(
    parts: &HeaderParts<'_>,
    fields: &(impl Fields + ?Sized),
    extra: &[(&str, &str)],
    body_len: usize,
) -> Encoded {
    let mut buf = BytesMut::with_capacity(FIRST_CAPACITY);
    buf.put_u64(0);
    let binary_code = i16::try_from(parts.code).ok();
    let (codec, opaque_at) = match (parts.codec, binary_code) {
        (HeaderCodec::Binary, Some(code)) => (
            HeaderCodec::Binary,
            binary::encode(&mut buf, code, parts, fields, extra),
        ),
        _ => (
            HeaderCodec::Json,
            json::encode(&mut buf, parts, fields, extra),
        ),
    };
    let header_len = u32::try_from(buf.len() - 8)
        .unwrap_or(u32::MAX)
        .min(0x00FF_FFFF);
    let length = u32::try_from(buf.len() - 4 + body_len).unwrap_or(u32::MAX);
    let kind = match codec {
        HeaderCodec::Json => 0,
        HeaderCodec::Binary => 1 << 24,
    };
    let prefix = (u64::from(length) << 32) | u64::from(kind | header_len);
    if let Some(slot) = buf.get_mut(..8) {
        slot.copy_from_slice(&prefix.to_be_bytes());
    }
    Encoded {
        buf,
        opaque_at,
        codec,
        body_len,
    }
}

/// Reads a header of the given kind; all its bytes must be used.
///
/// # Errors
/// [`Malformed`], with offsets counted from the header's first byte.
pub fn decode_header(kind: HeaderCodec, bytes: &[u8]) -> Result<Header, Malformed> {
    match kind {
        HeaderCodec::Json => json::decode(bytes),
        HeaderCodec::Binary => binary::decode(bytes),
    }
}

// apache/rocketmq: LanguageCode, the ordinal is the wire number.
const LANGUAGES: [&str; 14] = [
    "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP",
    "OMS", "RUST", "NODE_JS",
];

/// Enough for a send without properties; larger headers grow once.
const FIRST_CAPACITY: usize = 512;

#[cfg(test)]
mod tests;
