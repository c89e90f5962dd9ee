//! Cuts a byte stream into frames.
//!
//! ```text
//!   | u32 length | u8 kind, u24 header length | header | body |
//!                '──────────── length bytes ───────────────────'
//! ```

use bytes::{Buf, Bytes, BytesMut};

use super::{Header, HeaderCodec, Malformed, codec};

/// One request or answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The decoded header.
    pub header: Header,
    /// The body, a view of the read buffer.
    pub body: Bytes,
}

/// Shows the header, and of the body only its length.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("header", &self.header)
            .field("body_len", &self.body.len())
            .finish()
    }
}

/// Takes frames off the front of a read buffer.
///
/// Calling order: read bytes into the buffer, call [`decode`](Self::decode) until it answers `None`, read again.
/// After an error it answers the same error for ever: nothing in the stream says where the next frame begins.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    max_frame: usize,
    poisoned: Option<Malformed>,
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `max_frame` bytes (the prefix of four not counted).
    pub const fn new(max_frame: usize) -> Self {
        Self {
            max_frame,
            poisoned: None,
        }
    }

    /// The next whole frame, or `None` if `buf` holds only a part of it.
    ///
    /// # Errors
    /// [`Malformed`] as soon as the bytes at hand can't begin a frame; the connection has to be replaced.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
        if let Some(poison) = &self.poisoned {
            return Err(poison.clone());
        }
        self.next(buf)
            .inspect_err(|error| self.poisoned = Some(error.clone()))
    }

    fn next(&self, buf: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
        let Some(length) = peek_u32(buf, 0) else {
            return Ok(None);
        };
        let length = self.check_length(length)?;
        let Some(prefix) = peek_u32(buf, LENGTH) else {
            return Ok(None);
        };
        let (kind, header_len) = check_header_prefix(prefix, length)?;
        if buf.len() < LENGTH + length {
            make_room(buf, LENGTH + length);
            return Ok(None);
        }
        let mut frame = buf.split_to(LENGTH + length).freeze();
        frame.advance(LENGTH + PREFIX);
        let header = codec::decode_header(kind, &frame.split_to(header_len))?;
        Ok(Some(Frame {
            header,
            body: frame,
        }))
    }

    fn check_length(&self, length: u32) -> Result<usize, Malformed> {
        if length == 0 || length > i32::MAX.unsigned_abs() {
            let reason = match looks_like(length) {
                Some(what) => format!("{what}, not a frame"),
                None => format!("{}", length.cast_signed()),
            };
            return Err(Malformed::new("length", 0, reason));
        }
        let len = usize::try_from(length).unwrap_or(usize::MAX);
        if len < PREFIX {
            return Err(Malformed::new(
                "length",
                0,
                format!("{len} is too short for a header"),
            ));
        }
        if len > self.max_frame {
            let reason = match looks_like(length) {
                Some(what) => format!("{what}, not a frame"),
                None => format!("{len} is above the limit of {} bytes", self.max_frame),
            };
            return Err(Malformed::new("length", 0, reason));
        }
        Ok(len)
    }
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new(MAX_FRAME)
    }
}

fn check_header_prefix(prefix: u32, length: usize) -> Result<(HeaderCodec, usize), Malformed> {
    let kind = match prefix >> 24 {
        0 => HeaderCodec::Json,
        1 => HeaderCodec::Binary,
        other => {
            let reason = format!("serialization {other} is neither JSON (0) nor binary (1)");
            return Err(Malformed::new("serializeType", LENGTH, reason));
        }
    };
    let header_len = usize::try_from(prefix & 0x00FF_FFFF).unwrap_or(usize::MAX);
    if header_len > length - PREFIX {
        let reason = format!("header of {header_len} bytes in a frame of {length}");
        return Err(Malformed::new("headerLength", LENGTH, reason));
    }
    if header_len > MAX_HEADER {
        let reason = format!("header of {header_len} bytes, the limit is {MAX_HEADER}");
        return Err(Malformed::new("headerLength", LENGTH, reason));
    }
    Ok((kind, header_len))
}

/// Grows the buffer towards a frame that is under way at the pace of the bytes that really arrive, so that a bare
/// length buys no memory, and never past the frame, so that the cap on frames is a cap on the buffer.
fn make_room(buf: &mut BytesMut, frame: usize) {
    let missing = frame - buf.len();
    buf.reserve(missing.min(buf.len().max(FIRST_STEP)));
}

fn peek_u32(buf: &[u8], at: usize) -> Option<u32> {
    let bytes = buf.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

/// People do point clients at the wrong port: says what a length in truth is the beginning of.
fn looks_like(length: u32) -> Option<&'static str> {
    match &length.to_be_bytes() {
        b"PRI " => Some("an HTTP/2 preface"),
        b"HTTP" => Some("an HTTP answer"),
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"CONN" => Some("an HTTP request"),
        b"SSH-" => Some("an SSH banner"),
        b"AMQP" => Some("an AMQP header"),
        b"PROX" => Some("a PROXY protocol header"),
        [0x14..=0x17, 0x03, ..] => Some("a TLS record (is this a TLS port?)"),
        _ => None,
    }
}

/// The largest frame, without its prefix of four bytes; the broker's own default (`com.rocketmq.remoting.frameMaxLength`).
pub const MAX_FRAME: usize = 16 << 20;
/// The largest header. The broker's own limit is that of the 24-bit length, but 32 KiB of properties need far less.
pub const MAX_HEADER: usize = 1 << 20;
/// The most ext fields a header may have; the largest known command has 19.
pub const MAX_EXT_FIELDS: usize = 256;

const LENGTH: usize = 4;
const PREFIX: usize = 4;
const FIRST_STEP: usize = 64 << 10;

#[cfg(test)]
mod tests;
