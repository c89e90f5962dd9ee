//! Cuts a byte stream into frames.
//!
//! ```text
//!   | u8 kind | u16 channel | u32 length | payload | 0xCE |
//!                                        '─ length ─'
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::Malformed;

/// What a client writes before the first frame, and a server that wants another protocol answers.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// Bytes of a frame beside its payload.
pub const FRAME_OVERHEAD: usize = HEAD + 1;

/// The smallest frame that every peer has to take, before and after tuning.
pub const FRAME_MIN: usize = 4096;

const HEAD: usize = 7;
const END: u8 = 0xCE;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A method with its fields.
    Method,
    /// How large a content is, and its properties.
    Header,
    /// A part of a content.
    Body,
    /// A sign of life.
    Heartbeat,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Method => 1,
            Self::Header => 2,
            Self::Body => 3,
            Self::Heartbeat => 8,
        }
    }

    fn of(code: u8) -> Result<Self, Malformed> {
        Ok(match code {
            1 => Self::Method,
            2 => Self::Header,
            3 => Self::Body,
            8 => Self::Heartbeat,
            _ => return Err(Malformed::new("frame type", format!("there is no {code}"))),
        })
    }
}

/// A frame; the payload is a view of the read buffer.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it holds.
    pub kind: Kind,
    /// The channel it belongs to; 0 is the connection.
    pub channel: u16,
    /// What it holds.
    pub payload: Bytes,
}

/// Shows no payload: it may hold a password or a message.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("kind", &self.kind)
            .field("channel", &self.channel)
            .field("length", &self.payload.len())
            .finish()
    }
}

/// Takes frames off the front of a read buffer.
///
/// Calling order: read bytes into the buffer, call [`decode`](Self::decode) until it answers `None`, read again.
/// After an error it answers the same error for ever: nothing in the stream says where the next frame begins.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    max_payload: usize,
    poisoned: Option<Malformed>,
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `frame_max` bytes, all counted.
    pub fn new(frame_max: usize) -> Self {
        Self {
            max_payload: frame_max.max(FRAME_MIN) - FRAME_OVERHEAD,
            poisoned: None,
        }
    }

    /// Both sides have settled another size.
    pub fn set_frame_max(&mut self, frame_max: usize) {
        self.max_payload = frame_max.max(FRAME_MIN) - FRAME_OVERHEAD;
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
        if let Some(&first) = buf.first() {
            if first == b'A'
                && PROTOCOL_HEADER
                    .iter()
                    .zip(&*buf)
                    .take(4)
                    .all(|(a, b)| a == b)
            {
                return Err(Malformed::new(
                    "frame",
                    "the server speaks another version of AMQP",
                ));
            }
            Kind::of(first)?;
        }
        let Some(head) = buf.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [kind, c0, c1, l0, l1, l2, l3] = *head;
        let kind = Kind::of(kind)?;
        let channel = u16::from_be_bytes([c0, c1]);
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.max_payload {
            let reason = format!("{length} bytes, where {} may be", self.max_payload);
            return Err(Malformed::new("frame length", reason));
        }
        let whole = HEAD + length + 1;
        if buf.len() < whole {
            buf.reserve(whole - buf.len());
            return Ok(None);
        }
        if buf.get(whole - 1) != Some(&END) {
            return Err(Malformed::new(
                "frame end",
                "the octet behind the payload is not 0xCE",
            ));
        }
        let mut payload = buf.split_to(whole).freeze();
        payload.advance(HEAD);
        payload.truncate(length);
        Ok(Some(Frame {
            kind,
            channel,
            payload,
        }))
    }
}

/// Appends a frame whose payload `write` appends.
pub fn put_frame(out: &mut BytesMut, kind: Kind, channel: u16, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    put_head(out, kind, channel, 0);
    write(out);
    let length = u32::try_from(out.len() - at - HEAD).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(at + 3..at + HEAD) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    put_end(out);
}

/// Appends what stands before a payload of `length` bytes.
pub fn put_head(out: &mut BytesMut, kind: Kind, channel: u16, length: u32) {
    let [c0, c1] = channel.to_be_bytes();
    let [l0, l1, l2, l3] = length.to_be_bytes();
    out.put_slice(&[kind.code(), c0, c1, l0, l1, l2, l3]);
}

/// Appends what stands behind a payload.
pub fn put_end(out: &mut BytesMut) {
    out.put_u8(END);
}
