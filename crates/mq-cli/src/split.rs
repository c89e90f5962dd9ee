//! Cutting what comes from stdin into messages.

use bytes::{Bytes, BytesMut};

/// Takes bytes as they come and gives the pieces between delimiters. The last delimiter ends a piece, it begins none.
#[derive(Debug)]
pub(crate) struct Splitter {
    delimiter: Vec<u8>,
    buffer: BytesMut,
    /// Up to here there is no delimiter.
    searched: usize,
}

/// A piece is longer than any broker would take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Splitter {
    /// Cuts at `delimiter`, which is not empty.
    pub(crate) fn new(delimiter: Vec<u8>) -> Self {
        Self {
            delimiter,
            buffer: BytesMut::new(),
            searched: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete piece, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TooLong> {
        let length = self.delimiter.len();
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let found = unsearched
            .windows(length)
            .position(|window| window == self.delimiter);
        let Some(at) = found else {
            // A delimiter may have come in part.
            self.searched = (self.buffer.len() + 1).saturating_sub(length);
            return if self.buffer.len() > LONGEST {
                Err(TooLong)
            } else {
                Ok(None)
            };
        };
        let piece = self.buffer.split_to(self.searched + at);
        drop(self.buffer.split_to(length));
        self.searched = 0;
        Ok(Some(piece.freeze()))
    }

    /// What is left at the end.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        self.searched = 0;
        Some(self.buffer.split().freeze()).filter(|rest| !rest.is_empty())
    }
}

/// More than any broker takes by default, so that its own limit is what is told first.
const LONGEST: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(delimiter: &str, chunks: &[&str]) -> Vec<String> {
        let mut splitter = Splitter::new(delimiter.into());
        let mut pieces = Vec::new();
        for chunk in chunks {
            splitter.push(chunk.as_bytes());
            while let Some(piece) = splitter.next().unwrap() {
                pieces.push(piece);
            }
        }
        pieces.extend(splitter.rest());
        let text = |piece: Bytes| String::from_utf8(piece.to_vec()).unwrap();
        pieces.into_iter().map(text).collect()
    }

    #[test]
    fn lines() {
        assert_eq!(all("\n", &["a\nb\n"]), ["a", "b"]);
        assert_eq!(all("\n", &["a\n", "b"]), ["a", "b"]);
        assert_eq!(all("\n", &["a\n\nb\r\n"]), ["a", "", "b\r"]);
        assert_eq!(all("\n", &[]), [""; 0]);
    }

    #[test]
    fn a_delimiter_may_come_in_parts() {
        assert_eq!(all("--", &["a-", "-b", "-", "c--", "-"]), ["a", "b-c", "-"]);
        let text = "one<>two<><>three";
        let bytewise: Vec<_> = text.split("").collect();
        assert_eq!(all("<>", &bytewise), ["one", "two", "", "three"]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut splitter = Splitter::new(b"\n".to_vec());
        splitter.push(&vec![b'x'; LONGEST + 1]);
        assert_eq!(splitter.next(), Err(TooLong));
    }
}
