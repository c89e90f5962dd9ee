//! One connection as a state machine: matches answers to requests, without socket, clock or task.
//!
//! ```text
//!  submit ──► slab slot + opaque ──► out queue ──► chunks()/written() ──► socket
//!  waiter ◄── event ◄── slot ◄── opaque ◄── decoder ◄── received(bytes) ◄── socket
//! ```
//!
//! Calling order: [`Session::submit`] and [`Session::received`] feed it, [`Session::poll_event`] is drained after each of them and
//! after [`Session::written`] and [`Session::expire`]; a framing error from `received` ends the session: [`Session::fail`] gives
//! back every waiter with what is known of its request.
//!
//! The opaque is a slab index and a generation, so that a late answer to a request that timed out finds nobody.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use slab::Slab;

use super::{Encoded, Frame, FrameDecoder, MAX_FRAME, Malformed};

/// How far a request got before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not one byte was handed to the socket.
    Queued,
    /// At least one byte was handed to the socket.
    Written,
}

/// What [`Session::poll_event`] reports.
#[derive(Debug)]
pub enum Event<W> {
    /// The answer to a request.
    Reply(W, Frame),
    /// A one-way request was handed to the socket in full.
    Written(W),
    /// A request's time is over.
    Expired(W, Progress),
    /// The peer asks something of us.
    Request(Frame),
}

/// A request on its way out.
#[derive(Debug)]
pub struct Outgoing<W> {
    /// The encoded header; its opaque is set by the session.
    pub head: Encoded,
    /// The body, written behind the header without a copy.
    pub body: Bytes,
    /// When to give up waiting.
    pub deadline: Instant,
    /// Whether no answer comes; the waiter then hears [`Event::Written`].
    pub oneway: bool,
    /// Who waits.
    pub waiter: W,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session<W> {
    decoder: FrameDecoder,
    slots: Slab<Slot<W>>,
    generation: u16,
    out: VecDeque<Chunk>,
    /// Bytes of the frame at the front of `out` were handed to the socket already.
    front_begun: bool,
    events: VecDeque<Event<W>>,
    /// No slot's deadline is before this.
    earliest: Option<Instant>,
}

#[derive(Debug)]
struct Slot<W> {
    generation: u16,
    deadline: Instant,
    progress: Progress,
    oneway: bool,
    waiter: W,
}

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    opaque: i32,
    /// The last chunk of its frame.
    last: bool,
}

impl<W> Default for Session<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W> Session<W> {
    /// A session that has seen nothing yet.
    pub fn new() -> Self {
        Self {
            decoder: FrameDecoder::new(MAX_FRAME),
            slots: Slab::new(),
            generation: 0,
            out: VecDeque::new(),
            front_begun: false,
            events: VecDeque::new(),
            earliest: None,
        }
    }

    /// Requests that wait for an answer or for the socket.
    pub fn in_flight(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is something to write.
    pub fn wants_write(&self) -> bool {
        !self.out.is_empty()
    }

    /// No request expires before this.
    pub const fn next_deadline(&self) -> Option<Instant> {
        self.earliest
    }

    /// Fills `slices` with what is to be written next; returns how many were filled.
    pub fn chunks<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.out) {
            *slice = IoSlice::new(&chunk.bytes);
            filled += 1;
        }
        filled
    }

    /// Takes a request.
    ///
    /// # Errors
    ///
    /// Gives the waiter back when 65 536 requests are under way.
    pub fn submit(&mut self, request: Outgoing<W>) -> Result<(), W> {
        if self.slots.len() >= MAX_SLOTS {
            return Err(request.waiter);
        }
        self.generation = (self.generation + 1) & GENERATION_MASK;
        let index = self.slots.insert(Slot {
            generation: self.generation,
            deadline: request.deadline,
            progress: Progress::Queued,
            oneway: request.oneway,
            waiter: request.waiter,
        });
        let opaque = opaque(index, self.generation);
        let mut head = request.head;
        head.set_opaque(opaque);
        let bodyless = request.body.is_empty();
        self.out.push_back(Chunk {
            bytes: head.into_bytes(),
            opaque,
            last: bodyless,
        });
        if !bodyless {
            self.out.push_back(Chunk {
                bytes: request.body,
                opaque,
                last: true,
            });
        }
        self.earliest = Some(
            self.earliest
                .map_or(request.deadline, |known| known.min(request.deadline)),
        );
        Ok(())
    }

    /// `count` bytes of what [`Session::chunks`] showed were handed to the socket.
    pub fn written(&mut self, mut count: usize) {
        while count > 0 {
            let Some(chunk) = self.out.front_mut() else {
                return;
            };
            let taken = chunk.bytes.len().min(count);
            let (opaque, finished) = (chunk.opaque, taken == chunk.bytes.len());
            let frame_done = finished && chunk.last;
            chunk.bytes.advance(taken);
            count -= taken;
            if finished {
                self.out.pop_front();
            }
            self.front_begun = !frame_done;
            let Some((index, slot)) = find(&mut self.slots, opaque) else {
                continue;
            };
            slot.progress = Progress::Written;
            if frame_done && slot.oneway {
                let slot = self.slots.remove(index);
                self.events.push_back(Event::Written(slot.waiter));
            }
        }
    }

    /// Bytes came in; whole frames are taken out of `buffer` and become events.
    ///
    /// # Errors
    ///
    /// What is wrong with the peer's bytes. The session can't go on.
    pub fn received(&mut self, buffer: &mut BytesMut) -> Result<(), Malformed> {
        while let Some(frame) = self.decoder.decode(buffer)? {
            if !frame.header.flags.is_response() {
                self.events.push_back(Event::Request(frame));
                continue;
            }
            // Nobody there: the request had timed out.
            if let Some((index, _)) = find(&mut self.slots, frame.header.opaque) {
                let slot = self.slots.remove(index);
                self.events.push_back(Event::Reply(slot.waiter, frame));
            }
        }
        Ok(())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event<W>> {
        self.events.pop_front()
    }

    /// Ends the requests whose deadline is `now` or earlier. What of them was not yet begun is never written.
    pub fn expire(&mut self, now: Instant) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        let due: Vec<usize> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.deadline <= now)
            .map(|(index, _)| index)
            .collect();
        for index in &due {
            let slot = self.slots.remove(*index);
            self.events
                .push_back(Event::Expired(slot.waiter, slot.progress));
        }
        if !due.is_empty() {
            self.drop_unbegun();
        }
        self.earliest = self.slots.iter().map(|(_, slot)| slot.deadline).min();
    }

    /// Ends the session: every waiter, in no order, with how far its request got.
    pub fn fail(mut self) -> Vec<(W, Progress)> {
        let mut lost: Vec<_> = Vec::with_capacity(self.slots.len());
        for slot in self.slots.drain() {
            lost.push((slot.waiter, slot.progress));
        }
        lost
    }

    /// Takes frames without a slot out of the out queue, except one that is half written already.
    fn drop_unbegun(&mut self) {
        let slots = &mut self.slots;
        let begun = self
            .out
            .front()
            .map(|chunk| chunk.opaque)
            .filter(|_| self.front_begun);
        self.out
            .retain(|chunk| Some(chunk.opaque) == begun || find(slots, chunk.opaque).is_some());
    }
}

fn find<W>(slots: &mut Slab<Slot<W>>, opaque: i32) -> Option<(usize, &mut Slot<W>)> {
    let opaque = u32::try_from(opaque).ok()?;
    let index = usize::try_from(opaque & INDEX_MASK).ok()?;
    let generation = u16::try_from(opaque >> INDEX_BITS).ok()?;
    slots
        .get_mut(index)
        .filter(|slot| slot.generation == generation)
        .map(|slot| (index, slot))
}

fn opaque(index: usize, generation: u16) -> i32 {
    // The index is below MAX_SLOTS and the generation has 15 bits, so that the sum is a positive i32.
    let bits =
        u32::from(generation) << INDEX_BITS | (u32::try_from(index).unwrap_or(0) & INDEX_MASK);
    i32::try_from(bits).unwrap_or(0)
}

const INDEX_BITS: u32 = 16;
const INDEX_MASK: u32 = 0xFFFF;
const MAX_SLOTS: usize = 1 << 16;
const GENERATION_MASK: u16 = 0x7FFF;

#[cfg(test)]
mod tests;
