//! Reading the protocol's elementary types off a payload.
#![allow(
    clippy::missing_errors_doc,
    reason = "all of them: the payload ends before the field does"
)]

use bytes::{Buf as _, Bytes};
use bytestring::ByteString;

use super::Malformed;

/// Takes fields off the front of a payload. What it hands out are views of it.
#[derive(Debug)]
pub struct Reader {
    rest: Bytes,
    /// The octet that bits are taken from, and how many were.
    bits: Option<(u8, u32)>,
}

impl Reader {
    /// A reader at the beginning of `payload`.
    pub const fn new(payload: Bytes) -> Self {
        Self {
            rest: payload,
            bits: None,
        }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// What is left, unread.
    pub fn into_rest(self) -> Bytes {
        self.rest
    }

    /// The next `length` bytes.
    pub fn take(&mut self, field: &'static str, length: usize) -> Result<Bytes, Malformed> {
        self.bits = None;
        if length > self.rest.len() {
            let reason = format!("{length} bytes announced, {} left", self.rest.len());
            return Err(Malformed::new(field, reason));
        }
        Ok(self.rest.split_to(length))
    }

    fn need(&mut self, field: &'static str, length: usize) -> Result<(), Malformed> {
        self.bits = None;
        if self.rest.len() < length {
            return Err(Malformed::new(field, "the payload ends within it"));
        }
        Ok(())
    }

    /// An octet.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.need(field, 1)?;
        Ok(self.rest.get_u8())
    }

    /// A short, as every number in network order.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.need(field, 2)?;
        Ok(self.rest.get_u16())
    }

    /// A long.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.need(field, 4)?;
        Ok(self.rest.get_u32())
    }

    /// A long long.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.need(field, 8)?;
        Ok(self.rest.get_u64())
    }

    /// A bit; bits that follow each other share octets, the first in the lowest place.
    pub fn bit(&mut self, field: &'static str) -> Result<bool, Malformed> {
        let (octet, taken) = match self.bits {
            Some((octet, taken)) if taken < 8 => (octet, taken),
            _ => (self.u8(field)?, 0),
        };
        self.bits = Some((octet, taken + 1));
        Ok(octet >> taken & 1 == 1)
    }

    /// A text of at most 255 bytes. Bytes that are no UTF-8 become U+FFFD: the protocol does not say which characters they are.
    pub fn short_string(&mut self, field: &'static str) -> Result<ByteString, Malformed> {
        let length = self.u8(field)?;
        let bytes = self.take(field, usize::from(length))?;
        Ok(text(&bytes))
    }

    /// As many bytes as the long before them says.
    pub fn long_string(&mut self, field: &'static str) -> Result<Bytes, Malformed> {
        let length = self.u32(field)?;
        self.take(field, usize::try_from(length).unwrap_or(usize::MAX))
    }
}

fn text(bytes: &Bytes) -> ByteString {
    ByteString::try_from(bytes.clone())
        .unwrap_or_else(|_| ByteString::from(String::from_utf8_lossy(bytes).into_owned()))
}
