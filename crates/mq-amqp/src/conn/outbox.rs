//! What waits to be written to a connection.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::proto::{FRAME_OVERHEAD, Kind, Method, put_end, put_frame, put_head};

/// Frames in their order. Small ones are copied together; of a large body the parts stay views.
#[derive(Debug)]
pub(crate) struct Outbox {
    sealed: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
    frame_max: usize,
}

impl Outbox {
    pub(crate) fn new(frame_max: usize) -> Self {
        Self {
            sealed: VecDeque::new(),
            tail: BytesMut::with_capacity(COPIED),
            len: 0,
            frame_max,
        }
    }

    /// Whether so much waits that nothing more should be added.
    pub(crate) const fn is_full(&self) -> bool {
        self.len >= FULL
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes wait.
    #[cfg(test)]
    pub(crate) const fn waits(&self) -> usize {
        self.len
    }

    /// The largest frame, all counted.
    pub(crate) const fn frame_max(&self) -> usize {
        self.frame_max
    }

    pub(crate) fn method(&mut self, channel: u16, method: &Method) {
        let before = self.tail.len();
        put_frame(&mut self.tail, Kind::Method, channel, |out| {
            method.encode(out);
        });
        self.len += self.tail.len() - before;
    }

    pub(crate) fn heartbeat(&mut self) {
        let before = self.tail.len();
        put_frame(&mut self.tail, Kind::Heartbeat, 0, |_| {});
        self.len += self.tail.len() - before;
    }

    /// A method with its content: its payload, the content header's, and the body cut into frames.
    pub(crate) fn content(&mut self, channel: u16, method: &[u8], header: &[u8], body: &Bytes) {
        let before = self.tail.len();
        put_frame(&mut self.tail, Kind::Method, channel, |out| {
            out.put_slice(method);
        });
        put_frame(&mut self.tail, Kind::Header, channel, |out| {
            out.put_slice(header);
        });
        self.len += self.tail.len() - before;
        let most = self.frame_max - FRAME_OVERHEAD;
        let mut rest = body.clone();
        while !rest.is_empty() {
            let part = rest.split_to(most.min(rest.len()));
            self.body(channel, part);
        }
    }

    fn body(&mut self, channel: u16, part: Bytes) {
        self.len += FRAME_OVERHEAD + part.len();
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        put_head(&mut self.tail, Kind::Body, channel, length);
        if part.len() < COPIED {
            self.tail.put_slice(&part);
        } else {
            self.sealed.push_back(self.tail.split().freeze());
            self.sealed.push_back(part);
        }
        put_end(&mut self.tail);
    }

    /// What to write next; the answer is how many slices were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.sealed.iter().map(|part| &part[..]);
        let parts = parts.chain((!self.tail.is_empty()).then_some(&self.tail[..]));
        let mut count = 0;
        for (slot, part) in slices.iter_mut().zip(parts) {
            *slot = IoSlice::new(part);
            count += 1;
        }
        count
    }

    /// So many bytes are written.
    pub(crate) fn written(&mut self, mut count: usize) {
        self.len -= count;
        while count > 0 {
            let Some(front) = self.sealed.front_mut() else {
                self.tail.advance(count);
                return;
            };
            let part = count.min(front.len());
            front.advance(part);
            count -= part;
            if front.is_empty() {
                self.sealed.pop_front();
            }
        }
    }
}

/// Parts of bodies from this size on are not copied.
const COPIED: usize = 16 * 1024;
/// So much may wait before publishers have to.
const FULL: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{FrameDecoder, Method, TxSelect};

    #[test]
    fn what_is_put_in_comes_out_in_pieces_and_in_its_order() {
        for size in [0_usize, 1, 4088, 4089, 40_000, 300_000] {
            let body = Bytes::from(
                (0..size)
                    .map(|at| u8::try_from(at % 251).unwrap())
                    .collect::<Vec<_>>(),
            );
            for frame_max in [4096, 131_072] {
                let mut outbox = Outbox::new(frame_max);
                outbox.method(1, &TxSelect {}.into());
                outbox.content(2, b"method", b"header", &body);
                outbox.heartbeat();
                let mut wire = BytesMut::new();
                while !outbox.is_empty() {
                    let mut slices = [IoSlice::new(&[]); 3];
                    let count = outbox.slices(&mut slices);
                    let all: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
                    let some = all.len().min(1000);
                    wire.extend_from_slice(&all[..some]);
                    outbox.written(some);
                }
                let mut decoder = FrameDecoder::new(frame_max);
                let mut frames = Vec::new();
                while let Some(frame) = decoder.decode(&mut wire).unwrap() {
                    frames.push(frame);
                }
                assert!(wire.is_empty());
                let of = |kind| frames.iter().filter(move |frame| frame.kind == kind);
                let bodies: Vec<u8> = of(Kind::Body)
                    .flat_map(|frame| frame.payload.to_vec())
                    .collect();
                assert_eq!(bodies, body);
                assert_eq!(of(Kind::Body).count(), size.div_ceil(frame_max - 8));
                assert_eq!(
                    Method::decode(frames[0].payload.clone()).unwrap(),
                    TxSelect {}.into()
                );
                assert_eq!(frames.last().unwrap().kind, Kind::Heartbeat);
            }
        }
    }
}
