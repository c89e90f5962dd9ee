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
    parts: Vec<Bytes>,
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
                    parts: Vec::new(),
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
        let announced = partial.and_then(|it| Some((it.header.as_mut()?, &mut it.parts)));
        let Some((header, parts)) = announced else {
            return Err(Malformed::new("content body", "none was announced"));
        };
        let length = payload.len() as u64;
        let left = header.left.checked_sub(length);
        header.left =
            left.ok_or_else(|| Malformed::new("content body", "more than was announced"))?;
        if header.takes {
            parts.push(payload);
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
            body: joined(partial.parts),
            too_large: (!header.takes).then_some(header.size),
        };
        Some(Incoming::Content(partial.method, content))
    }
}

/// A body of one frame stays a view of what was read.
fn joined(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() < 2 {
        return parts.pop().unwrap_or_default();
    }
    let length = parts.iter().map(Bytes::len).sum();
    let mut whole = BytesMut::with_capacity(length);
    for part in parts {
        whole.extend_from_slice(&part);
    }
    whole.freeze()
}
