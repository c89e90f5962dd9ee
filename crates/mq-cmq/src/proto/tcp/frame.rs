//! Cuts a byte stream into frames.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;

use super::Packet;
use crate::proto::Malformed;

/// Bytes of the largest frame: sixteen bodies of 1 MiB, and what is around them.
pub const MAX_FRAME: usize = 17 * 1024 * 1024;

/// Takes packets off the front of a read buffer.
///
/// Calling order: read bytes into the buffer, call [`decode`](Self::decode) until it answers `None`, read again. After an error it answers
/// the same error for ever: nothing in the stream says where the next frame begins.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    max_frame: usize,
    poisoned: Option<Malformed>,
}

impl FrameDecoder {
    /// A decoder that refuses frames of more than `max_frame` bytes, their head included.
    pub const fn new(max_frame: usize) -> Self {
        Self {
            max_frame,
            poisoned: None,
        }
    }

    /// The next whole packet, or `None` if `buf` holds only a part of it. Memory is taken as bytes come, not as a length says.
    ///
    /// # Errors
    ///
    /// [`Malformed`] as soon as the bytes at hand can't begin a frame, or are no packet; the connection has to be replaced.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
        if let Some(poison) = &self.poisoned {
            return Err(poison.clone());
        }
        self.next(buf)
            .inspect_err(|error| self.poisoned = Some(error.clone()))
    }

    fn next(&self, buf: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
        let Some(length) = self.length(buf)? else {
            return Ok(None);
        };
        if buf.len() < length {
            return Ok(None);
        }
        let mut frame: Bytes = buf.split_to(length).freeze();
        frame.advance(HEAD);
        Packet::decode(frame)
            .map(Some)
            .map_err(|error| Malformed::new(format!("a frame is no packet: {error}")))
    }

    /// The length of the frame at the front, its head included.
    fn length(&self, buf: &[u8]) -> Result<Option<usize>, Malformed> {
        if buf.iter().take(MARK).any(|byte| *byte != 0) {
            return Err(Malformed::new(
                "a frame does not begin with 00 00: this may not be a CMQ gateway",
            ));
        }
        let length = buf.get(MARK..HEAD).and_then(|it| it.try_into().ok());
        let Some(length) = length.map(u32::from_le_bytes) else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length < HEAD {
            return Err(Malformed::new(format!(
                "a frame of {length} bytes, less than its own head"
            )));
        }
        if length > self.max_frame {
            let most = self.max_frame;
            return Err(Malformed::new(format!(
                "a frame of {length} bytes, over the limit of {most}"
            )));
        }
        Ok(Some(length))
    }
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new(MAX_FRAME)
    }
}

/// Adds a packet's frame to `out`.
///
/// # Errors
///
/// [`Malformed`]: it would be larger than [`MAX_FRAME`]; nothing was added.
pub fn encode(packet: &Packet, out: &mut BytesMut) -> Result<(), Malformed> {
    let length = packet.encoded_len().saturating_add(HEAD);
    let wire = u32::try_from(length)
        .ok()
        .filter(|_| length <= MAX_FRAME)
        .ok_or_else(|| {
            Malformed::new(format!(
                "a frame of {length} bytes, over the limit of {MAX_FRAME}"
            ))
        })?;
    out.reserve(length);
    out.put_u16(0);
    out.put_u32_le(wire);
    packet.encode_raw(out);
    Ok(())
}

const MARK: usize = 2;
const HEAD: usize = 6;
