//! Protocol buffers' own format, as far as the hot path needs it: fields are views of the frame that they came in.

use std::ops::Range;

use bytes::{BufMut as _, Bytes, BytesMut};
use bytestring::ByteString;

use super::Malformed;

/// Walks over the fields of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    frame: &'a Bytes,
    at: usize,
    end: usize,
}

/// What a field holds. A field of a type other than the expected one counts as unknown, as with Java's codec.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Varint(u64),
    /// A string, bytes, or a message.
    Bytes(Fields<'a>),
    /// Four or eight bytes, which nothing of ours has.
    Fixed,
}

/// Why fields can't be read: small, since it is part of what every field answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bad {
    Varint,
    Kind,
    Length,
}

impl From<Bad> for Malformed {
    #[cold]
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Varint => Self::new("varint", "cut short, or of more than 64 bits"),
            Bad::Kind => Self::new("field", "a wire type that isn't known"),
            Bad::Length => Self::new("field", "longer than its message"),
        }
    }
}

impl<'a> Fields<'a> {
    /// The fields that stand in `range` of `frame`.
    pub(super) fn new(frame: &'a Bytes, range: Range<usize>) -> Self {
        Self {
            frame,
            at: range.start,
            end: range.end.min(frame.len()),
        }
    }

    /// The next field, by its number.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Bad> {
        if self.at >= self.end {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            2 => {
                let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                let at = self.skip(len)?;
                Value::Bytes(Self {
                    frame: self.frame,
                    at,
                    end: at + len,
                })
            }
            1 => self.skip(8).map(|_| Value::Fixed)?,
            5 => self.skip(4).map(|_| Value::Fixed)?,
            _ => return Err(Bad::Kind),
        };
        Ok(Some((key >> 3, value)))
    }

    /// The next number of a packed field.
    pub(super) fn number(&mut self) -> Result<Option<u64>, Bad> {
        if self.at >= self.end {
            return Ok(None);
        }
        self.varint().map(Some)
    }

    /// What is here as a view of the frame.
    pub(super) fn bytes(&self) -> Bytes {
        self.frame.slice(self.at..self.end)
    }

    /// What is here as text. Bytes that are no UTF-8 are replaced as Java does it, and only then is the text a copy: clients
    /// of other languages write such keys, and their messages arrive.
    pub(super) fn text(&self) -> ByteString {
        ByteString::try_from(self.bytes())
            .unwrap_or_else(|_| String::from_utf8_lossy(self.as_slice()).as_ref().into())
    }

    pub(super) fn as_slice(&self) -> &'a [u8] {
        self.frame.get(self.at..self.end).unwrap_or_default()
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Bad> {
        let bytes = self.as_slice();
        if let [first @ 0..0x80, ..] = bytes {
            self.at += 1;
            return Ok(u64::from(*first));
        }
        self.long_varint(bytes)
    }

    fn long_varint(&mut self, bytes: &[u8]) -> Result<u64, Bad> {
        let mut value = 0;
        for (place, byte) in bytes.iter().take(10).enumerate() {
            if place == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7F) << (7 * place);
            if *byte < 0x80 {
                self.at += place + 1;
                return Ok(value);
            }
        }
        Err(Bad::Varint)
    }

    /// Leaves out `len` bytes, and answers where they begin.
    fn skip(&mut self, len: usize) -> Result<usize, Bad> {
        if len > self.end - self.at {
            return Err(Bad::Length);
        }
        let at = self.at;
        self.at += len;
        Ok(at)
    }
}

/// An `int32` or `uint32`: the low half of what was written.
#[expect(clippy::cast_possible_truncation, reason = "so the format has it")]
pub(super) const fn low(value: u64) -> u32 {
    value as u32
}

/// Where fields are written to; or counted, so that one function says what a message is made of.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
    fn varint(&mut self, value: u64);

    /// An unsigned number, or a `bool`.
    #[inline]
    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    /// An `int32` or `int64`: a negative one takes ten bytes.
    fn signed(&mut self, field: u64, value: i64) {
        self.number(field, value.cast_unsigned());
    }

    /// A string or bytes.
    #[inline]
    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.message(field, bytes.len());
        self.put(bytes);
    }

    /// The head of a message of `len` bytes, which the caller writes next.
    #[inline]
    fn message(&mut self, field: u64, len: usize) {
        self.varint(field << 3 | 2);
        self.varint(len as u64);
    }

    /// A `KeyValue`.
    fn pair(&mut self, field: u64, key: &str, value: &str) {
        let mut len = Length(0);
        len.bytes(1, key.as_bytes());
        len.bytes(2, value.as_bytes());
        self.message(field, len.0);
        self.bytes(1, key.as_bytes());
        self.bytes(2, value.as_bytes());
    }
}

impl Sink for BytesMut {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_u8(low(value).to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.put_u8(low(value).to_le_bytes()[0]);
    }
}

/// Counts what would be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length(pub(super) usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn varint(&mut self, value: u64) {
        let bits = 64 - (value | 1).leading_zeros() as usize;
        self.0 += bits.div_ceil(7);
    }
}

/// The length of what `write` writes.
pub(super) fn length(write: impl FnOnce(&mut Length)) -> usize {
    let mut length = Length(0);
    write(&mut length);
    length.0
}

/// A size as the frame has it. What doesn't fit can't be sent: callers refuse messages that are larger than the broker's most, far below.
pub(super) fn size(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Leaves room for a size that isn't known yet.
pub(super) fn leave_size(out: &mut BytesMut) -> usize {
    out.put_u32(0);
    out.len()
}

/// Fills that room: the size is that of what stands from `from` on, and of `more` bytes that follow.
pub(super) fn fill_size(out: &mut [u8], from: usize, more: usize) {
    let len = size(out.len() - from + more);
    if let Some(room) = out.get_mut(from - 4..from) {
        room.copy_from_slice(&len.to_be_bytes());
    }
}

pub(super) fn peek_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

pub(super) fn peek_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_are_counted() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            let mut out = BytesMut::new();
            out.varint(value);
            assert_eq!(length(|it| it.varint(value)), out.len());
            let out = out.freeze();
            let mut fields = Fields::new(&out, 0..out.len());
            assert_eq!(fields.number().unwrap(), Some(value));
            assert_eq!(fields.number().unwrap(), None);
        }
    }

    #[test]
    fn a_number_of_too_many_bits_is_refused() {
        for bytes in [
            &[0xFF; 10][..],
            &[0x80; 11],
            &[0x80],
            &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        ] {
            let bytes = Bytes::copy_from_slice(bytes);
            Fields::new(&bytes, 0..bytes.len()).number().unwrap_err();
        }
    }

    #[test]
    fn text_that_is_no_utf8_is_replaced_as_java_does_it() {
        let bytes = Bytes::from_static(b"k\xFFy");
        assert_eq!(Fields::new(&bytes, 0..3).text(), "k\u{FFFD}y");
    }
}
