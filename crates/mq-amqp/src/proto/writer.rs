//! Writing the protocol's elementary types.

use bytes::{BufMut as _, BytesMut};

/// Appends fields to a payload.
///
/// A text or table that is longer than its length field can say is cut: whoever gives texts to a method has checked them before
/// (`Short::new`), and a table's size is bounded by the frame.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
    /// Bits that wait for their octet's end.
    bits: Option<(u8, u32)>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub const fn new(out: &'a mut BytesMut) -> Self {
        Self { out, bits: None }
    }

    /// Ends an octet of bits that is not full. Every other field does so too.
    pub fn end_bits(&mut self) {
        if let Some((octet, _)) = self.bits.take() {
            self.out.put_u8(octet);
        }
    }

    /// An octet.
    pub fn u8(&mut self, value: u8) {
        self.end_bits();
        self.out.put_u8(value);
    }

    /// A short.
    pub fn u16(&mut self, value: u16) {
        self.end_bits();
        self.out.put_u16(value);
    }

    /// A long.
    pub fn u32(&mut self, value: u32) {
        self.end_bits();
        self.out.put_u32(value);
    }

    /// A long long.
    pub fn u64(&mut self, value: u64) {
        self.end_bits();
        self.out.put_u64(value);
    }

    /// A bit.
    pub fn bit(&mut self, value: bool) {
        let (octet, used) = self.bits.unwrap_or_default();
        let octet = octet | u8::from(value) << used;
        self.bits = Some((octet, used + 1));
        if used == 7 {
            self.end_bits();
        }
    }

    /// A text of at most 255 bytes.
    pub fn short_string(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        self.u8(length);
        let bytes = text.as_bytes();
        self.out
            .put_slice(bytes.get(..usize::from(length)).unwrap_or(bytes));
    }

    /// Bytes behind their length.
    pub fn long_string(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.out.put_slice(bytes);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.end_bits();
        self.out.put_slice(bytes);
    }

    /// What `write` appends, behind its length as a long.
    pub fn sized(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        self.end_bits();
        let at = self.out.len();
        self.out.put_u32(0);
        let mut inner = Writer::new(self.out);
        write(&mut inner);
        inner.end_bits();
        let length = self.out.len() - at - 4;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        if let Some(place) = self.out.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
}
