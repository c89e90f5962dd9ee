//! A cursor over bytes of known length: every read is checked, none allocates.

use bytes::Bytes;

use super::Malformed;

/// Reads big-endian numbers and slices from the front of a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.saturating_add(len);
        let Some(taken) = self.bytes.get(self.at..end) else {
            return Err(self.too_short(len, field));
        };
        self.at = end;
        Ok(taken)
    }

    /// As [`take`](Self::take), as a view of `whole`: this reader was made on it, or on a part of it.
    #[inline]
    pub(crate) fn share(
        &mut self,
        whole: &Bytes,
        len: usize,
        field: &'static str,
    ) -> Result<Bytes, Malformed> {
        Ok(whole.slice_ref(self.take(len, field)?))
    }

    #[inline]
    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], Malformed> {
        let at = self.at;
        self.take(N, field)?
            .try_into()
            .map_err(|_| Malformed::new(field, at, "truncated"))
    }

    #[inline]
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn i16(&mut self, field: &'static str) -> Result<i16, Malformed> {
        self.array(field).map(i16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, Malformed> {
        self.array(field).map(i32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, Malformed> {
        self.array(field).map(i64::from_be_bytes)
    }

    /// A length as Java writes it: a signed 32-bit number that must not be negative.
    #[inline]
    pub(crate) fn len32(&mut self, field: &'static str) -> Result<usize, Malformed> {
        let at = self.at;
        let len = self.i32(field)?;
        usize::try_from(len).map_err(|_| Malformed::new(field, at, format!("length {len}")))
    }

    /// A length as Java writes it: a signed 16-bit number that must not be negative.
    #[inline]
    pub(crate) fn len16(&mut self, field: &'static str) -> Result<usize, Malformed> {
        let at = self.at;
        let len = self.i16(field)?;
        usize::try_from(len).map_err(|_| Malformed::new(field, at, format!("length {len}")))
    }

    pub(crate) fn text(&mut self, len: usize, field: &'static str) -> Result<&'a str, Malformed> {
        let at = self.at;
        std::str::from_utf8(self.take(len, field)?)
            .map_err(|_| Malformed::new(field, at, "not UTF-8"))
    }

    #[cold]
    fn too_short(&self, len: usize, field: &'static str) -> Malformed {
        let reason = format!("needs {len} bytes, {} are left", self.remaining());
        Malformed::new(field, self.at, reason)
    }
}
