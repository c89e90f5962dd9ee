//! What waits to be written to a connection.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::proto::{api, encode};

/// Frames in their order. Small ones are copied together; large payloads stay views.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    sealed: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Outbox {
    /// Whether so much waits that nothing more should be added.
    pub(crate) const fn is_full(&self) -> bool {
        self.len >= FULL
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn command(&mut self, command: &api::BaseCommand) {
        self.frame(|tail| encode::command(tail, command));
    }

    /// A whole frame, or the head of one whose payload follows.
    pub(crate) fn frame(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.len += self.tail.len() - before;
    }

    pub(crate) fn payload(&mut self, payload: &Bytes) {
        self.len += payload.len();
        if payload.len() < COPIED {
            self.tail.extend_from_slice(payload);
        } else {
            self.sealed.push_back(self.tail.split().freeze());
            self.sealed.push_back(payload.clone());
        }
    }

    /// What to write next; the answer is how many slices were filled.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
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
    pub(super) fn written(&mut self, mut count: usize) {
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

/// Payloads from this size on are not copied.
const COPIED: usize = 16 * 1024;
/// So much may wait before producers have to.
const FULL: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_in_pieces_and_in_its_order() {
        let large = Bytes::from(vec![7; 40_000]);
        let mut outbox = Outbox::default();
        let mut wanted = Vec::new();
        for at in 0..10_u8 {
            outbox.frame(|tail| tail.extend_from_slice(&[at; 100]));
            wanted.extend([at; 100]);
            let payload = if at % 2 == 0 {
                large.clone()
            } else {
                large.slice(..100)
            };
            outbox.payload(&payload);
            wanted.extend_from_slice(&payload);
        }
        let mut wire = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = outbox.slices(&mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
            let some = all.len().min(1000);
            wire.extend_from_slice(&all[..some]);
            outbox.written(some);
        }
        assert_eq!(wire, wanted);
    }
}
