//! Puts a content together: the method that announces it, its header, its body in parts.

use bytes::{Bytes, BytesMut};

use super::Malformed;
use super::frame::{Frame, Kind};
use super::method::Method;
use super::reader::Reader;

/// A message as it came: its properties are read when they are asked for.
#[derive(Clone, PartialEq)]
pub struct Content {
    /// Flags and properties, see [`Properties::decode`](super::Properties::decode).
    pub properties: Bytes,
    /// The body; empty if it was too large to be taken.
    pub body: Bytes,
    /// How large the body was, if it was larger than may be.
    pub too_large: Option<u64>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("body_len", &self.body.len())
            .field("too_large", &self.too_large)
            .finish_non_exhaustive()
    }
}

/// What has come whole on a channel.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "handed on at once")]
pub enum Incoming {
    /// A method that is all there is.
    Method(Method),
    /// A method with its content.
    Content(Method, Content),
}

/// Puts together what comes on one channel. Holds at most the body that is under way, and that is bounded.
#[derive(Debug, Default)]
pub struct Assembler {
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    method: Method,
    header: Option<Header>,
    body: Body,
}

/// What has come of a body. In one frame, it stays a view of what was read; what comes in more is copied, so that a body takes no more memory
/// than it has bytes, however small the frames are.
#[derive(Debug, Default)]
struct Body {
    first: Bytes,
    whole: BytesMut,
}

impl Body {
    fn add(&mut self, part: Bytes) {
        if self.whole.is_empty() && self.first.is_empty() {
            self.first = part;
            return;
        }
        if self.whole.is_empty() {
            self.whole
                .extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.whole.extend_from_slice(&part);
    }

    fn take(self) -> Bytes {
        if self.whole.is_empty() {
            return self.first;
        }
        self.whole.freeze()
    }
}

#[derive(Debug)]
struct Header {
    left: u64,
    size: u64,
    properties: Bytes,
    takes: bool,
}

impl Assembler {
    /// Takes a frame of the channel; gives what it makes whole.
    ///
    /// # Errors
    /// [`Malformed`] for frames that don't follow each other so, and for more body than was announced.
    pub fn take(&mut self, frame: Frame, max_body: u64) -> Result<Option<Incoming>, Malformed> {
        match frame.kind {
            Kind::Method => self.method(frame.payload),
            Kind::Header => self.header(frame.payload, max_body),
            Kind::Body => self.body(frame.payload),
            Kind::Heartbeat => Ok(None),
        }
    }

    fn method(&mut self, payload: Bytes) -> Result<Option<Incoming>, Malformed> {
        let method = Method::decode(payload)?;
        // A server that closes the channel in the middle of a content does not end that one first.
        if let (Some(_), false) = (&self.partial, matches!(method, Method::ChannelClose(_))) {
            return Err(Malformed::new("method", "a content was under way"));
        }
        self.partial = None;
        match method {
            Method::BasicDeliver(_)
            | Method::BasicGetOk(_)
            | Method::BasicReturn(_)
            | Method::BasicPublish(_) => {
                self.partial = Some(Partial {
                    method,
                    header: None,
                    body: Body::default(),
                });
                Ok(None)
            }
            method => Ok(Some(Incoming::Method(method))),
        }
    }

    fn header(&mut self, payload: Bytes, max_body: u64) -> Result<Option<Incoming>, Malformed> {
        let partial = self
            .partial
            .as_mut()
            .filter(|partial| partial.header.is_none());
        let partial =
            partial.ok_or_else(|| Malformed::new("content header", "none was announced"))?;
        let mut reader = Reader::new(payload);
        reader.u16("class id")?;
        reader.u16("weight")?;
        let size = reader.u64("body size")?;
        partial.header = Some(Header {
            left: size,
            size,
            properties: reader.into_rest(),
            takes: size <= max_body,
        });
        Ok(self.whole())
    }

    fn body(&mut self, payload: Bytes) -> Result<Option<Incoming>, Malformed> {
        let partial = self.partial.as_mut();
        let announced = partial.and_then(|it| Some((it.header.as_mut()?, &mut it.body)));
        let Some((header, body)) = announced else {
            return Err(Malformed::new("content body", "none was announced"));
        };
        let length = payload.len() as u64;
        let left = header.left.checked_sub(length);
        header.left =
            left.ok_or_else(|| Malformed::new("content body", "more than was announced"))?;
        if header.takes {
            body.add(payload);
        }
        Ok(self.whole())
    }

    fn whole(&mut self) -> Option<Incoming> {
        let partial = self.partial.take_if(|partial| {
            let header = partial.header.as_ref();
            header.is_some_and(|header| header.left == 0)
        })?;
        let header = partial.header?;
        let content = Content {
            properties: header.properties,
            body: partial.body.take(),
            too_large: (!header.takes).then_some(header.size),
        };
        Some(Incoming::Content(partial.method, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::TxSelect;

    fn frame(kind: Kind, payload: impl Into<Bytes>) -> Frame {
        Frame {
            kind,
            channel: 1,
            payload: payload.into(),
        }
    }

    /// An assembler to which a body of this size was announced.
    fn announced(size: u64) -> Assembler {
        let mut assembler = Assembler::default();
        let mut method = BytesMut::new();
        let publish = Method::every()
            .into_iter()
            .find(|method| matches!(method, Method::BasicPublish(_)));
        publish.unwrap().encode(&mut method);
        let header = [&[0, 60, 0, 0][..], &size.to_be_bytes(), &[0, 0]].concat();
        for (kind, payload) in [(Kind::Method, method.to_vec()), (Kind::Header, header)] {
            let whole = assembler.take(frame(kind, payload), MOST).unwrap();
            assert!(whole.is_none());
        }
        assembler
    }

    const MOST: u64 = 1 << 20;

    /// What an assembler holds beside its own size.
    fn holds(assembler: &Assembler) -> usize {
        let partial = assembler.partial.as_ref();
        partial.map_or(0, |partial| {
            partial.body.first.len() + partial.body.whole.capacity()
        })
    }

    #[test]
    fn frames_of_nothing_and_of_one_byte_take_no_more_memory_than_the_body() {
        let mut assembler = announced(200_000);
        for at in 0..400_000_usize {
            let payload: &'static [u8] = if at % 2 == 0 { b"" } else { b"x" };
            let whole = assembler.take(frame(Kind::Body, payload), MOST).unwrap();
            assert!(holds(&assembler) <= 2 * (at / 2 + 64), "{at}");
            if let Some(Incoming::Content(_, content)) = whole {
                assert_eq!((at, content.body.len()), (399_999, 200_000));
                assert!(content.body.iter().all(|byte| *byte == b'x'));
                return;
            }
        }
        panic!("it never became whole");
    }

    #[test]
    fn what_is_announced_takes_no_memory_before_it_comes() {
        for size in [MOST, MOST + 1, u64::MAX] {
            let mut assembler = announced(size);
            assert_eq!(holds(&assembler), 0);
            assembler
                .take(frame(Kind::Body, vec![7; 1000]), MOST)
                .unwrap();
            let wanted = if size > MOST { 0 } else { 1000 };
            assert_eq!(holds(&assembler), wanted, "{size}");
        }
    }

    #[test]
    fn a_body_of_one_frame_is_not_copied() {
        let body = Bytes::from(vec![7; 1000]);
        let whole = announced(1000).take(frame(Kind::Body, body.clone()), MOST);
        let Some(Incoming::Content(_, content)) = whole.unwrap() else {
            panic!("it is whole");
        };
        assert_eq!(content.body.as_ptr(), body.as_ptr());
        let mut method = BytesMut::new();
        Method::from(TxSelect {}).encode(&mut method);
        let error = announced(1).take(frame(Kind::Method, method), MOST);
        assert!(error.unwrap_err().to_string().contains("under way"));
    }
}
