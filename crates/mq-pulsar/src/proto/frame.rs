//! Cuts a byte stream into frames, and reads them.
//!
//! ```text
//!   | u32 length | u32 command's length | command | checksum, metadata, payload of SEND and MESSAGE |
//!                '────────────────────────── length bytes ──────────────────────────────────────────'
//! ```

use bytes::{Bytes, BytesMut};
use prost::Message as _;

use super::api::{BaseCommand, base_command::Type};
use super::entry::absent;
use super::wire::{Fields, Value, low, peek_u32};
use super::{Entry, Malformed, Receipt, Sent};

/// What a frame brought.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// An entry that is delivered (MESSAGE).
    Message(Entry),
    /// What was sent is stored (`SEND_RECEIPT`).
    Receipt(Receipt),
    /// A producer sends (SEND); to brokers.
    Send(Sent),
    /// Any other command. Its type may be one that isn't known here.
    Command(Box<BaseCommand>),
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
    /// A decoder that refuses frames of more than `max_frame` bytes, their length included: the broker's largest message and
    /// [`FRAME_PADDING`].
    pub const fn new(max_frame: usize) -> Self {
        Self {
            max_frame,
            poisoned: None,
        }
    }

    /// Another largest frame, as CONNECTED says it.
    pub const fn set_max_frame(&mut self, max_frame: usize) {
        self.max_frame = max_frame;
    }

    /// The next whole frame, or `None` if `buf` holds only a part of it.
    ///
    /// # Errors
    /// [`Malformed`] as soon as the bytes at hand can't begin a frame, or where a command can't be read; the connection has to be
    /// replaced. An entry whose content can't be used is no such error: [`Entry::content`].
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Incoming>, Malformed> {
        if let Some(poison) = &self.poisoned {
            return Err(poison.clone());
        }
        // Not `inspect_err`, here and below: what it passes on is large, and would be copied.
        let next = self.next(buf);
        if let Err(error) = &next {
            self.poisoned = Some(error.clone());
        }
        next
    }

    fn next(&self, buf: &mut BytesMut) -> Result<Option<Incoming>, Malformed> {
        let Some(length) = peek_u32(buf, 0) else {
            return Ok(None);
        };
        let frame = self.check(length)?;
        let Some(command) = peek_u32(buf, LENGTH) else {
            return Ok(None);
        };
        let body = HEAD.saturating_add(command as usize);
        if body > frame {
            let reason = format!("{command} bytes in a frame of {length}");
            return Err(Malformed::new("command size", reason));
        }
        if buf.len() < frame {
            make_room(buf, frame);
            return Ok(None);
        }
        read(&buf.split_to(frame).freeze(), body)
    }

    /// The length of the whole frame.
    fn check(&self, length: u32) -> Result<usize, Malformed> {
        let frame = LENGTH.saturating_add(length as usize);
        if frame > self.max_frame {
            let reason = match looks_like(length) {
                Some(what) => format!("{what}, not a frame"),
                None => format!("{length} is above the limit of {} bytes", self.max_frame),
            };
            return Err(Malformed::new("frame size", reason));
        }
        if frame < HEAD {
            let reason = format!("{length} is too short for a command");
            return Err(Malformed::new("frame size", reason));
        }
        Ok(frame)
    }
}

impl Default for FrameDecoder {
    /// For the largest message that brokers take where they say nothing else.
    fn default() -> Self {
        Self::new(MAX_MESSAGE_SIZE + FRAME_PADDING)
    }
}

/// Reads a frame whose command ends at `body`.
fn read(frame: &Bytes, body: usize) -> Result<Option<Incoming>, Malformed> {
    let fields = Fields::new(frame, HEAD..body);
    Ok(Some(match kind(fields)? {
        Some(Type::Message) => {
            let fields = hot(fields, Type::Message)?;
            Incoming::Message(Entry::decode(fields, frame, body)?)
        }
        Some(Type::SendReceipt) => {
            Incoming::Receipt(Receipt::decode(hot(fields, Type::SendReceipt)?)?)
        }
        Some(Type::Send) => Incoming::Send(Sent::decode(hot(fields, Type::Send)?, frame, body)?),
        _ => match BaseCommand::decode(frame.slice(HEAD..body)) {
            Ok(command) => Incoming::Command(Box::new(command)),
            Err(error) => return Err(Malformed::new("command", error.to_string())),
        },
    }))
}

/// The command's type, which everybody writes first; `None` is one that isn't known here.
fn kind(mut fields: Fields<'_>) -> Result<Option<Type>, Malformed> {
    while let Some(field) = fields.next()? {
        if let (1, Value::Varint(value)) = field {
            return Ok(Type::try_from(low(value).cast_signed()).ok());
        }
    }
    Err(absent("type"))
}

/// The fields of the command of this type: its field has the type's number.
fn hot(mut fields: Fields<'_>, kind: Type) -> Result<Fields<'_>, Malformed> {
    while let Some((number, value)) = fields.next()? {
        match value {
            Value::Bytes(command) if number == kind as u64 => return Ok(command),
            _ => {}
        }
    }
    Err(absent(kind.as_str_name()))
}

/// Grows the buffer towards a frame that is under way at the pace of the bytes that really arrive, so that a bare
/// length buys no memory, and never past the frame, so that the cap on frames is a cap on the buffer.
fn make_room(buf: &mut BytesMut, frame: usize) {
    let missing = frame - buf.len();
    buf.reserve(missing.min(buf.len().max(FIRST_STEP)));
}

/// People do point clients at the wrong port: says what a length in truth is the beginning of.
fn looks_like(length: u32) -> Option<&'static str> {
    match &length.to_be_bytes() {
        b"HTTP" => Some("an HTTP answer (is this the web service's port?)"),
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"PRI " => Some("an HTTP request"),
        [0x14..=0x17, 0x03, ..] => Some("a TLS record (is this a TLS port?)"),
        _ => None,
    }
}

// apache/pulsar: Commands.DEFAULT_MAX_MESSAGE_SIZE, Commands.MESSAGE_SIZE_FRAME_PADDING
/// The largest message where CONNECTED says nothing of it.
pub const MAX_MESSAGE_SIZE: usize = 5 << 20;
/// What a frame may have beyond its message.
pub const FRAME_PADDING: usize = 10 << 10;

const LENGTH: usize = 4;
/// The two lengths.
const HEAD: usize = 8;
const FIRST_STEP: usize = 64 << 10;
