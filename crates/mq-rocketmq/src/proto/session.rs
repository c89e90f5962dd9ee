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
mod tests {
    use std::time::Duration;

    use mq_core::{Clock, ManualClock};

    use super::*;
    use crate::proto::{HeaderCodec, HeaderParts, Language, NoFields, encode};

    /// A session and its peer, which answers what it is told to; time stands still.
    struct Pair {
        session: Session<u32>,
        peer: FrameDecoder,
        wire: BytesMut,
        clock: ManualClock,
    }

    impl Pair {
        fn new() -> Self {
            Self {
                session: Session::new(),
                peer: FrameDecoder::new(MAX_FRAME),
                wire: BytesMut::new(),
                clock: ManualClock::new(std::time::SystemTime::UNIX_EPOCH),
            }
        }

        fn submit(&mut self, waiter: u32, body: &'static [u8], codec: HeaderCodec) {
            self.submit_as(waiter, body, codec, crate::proto::Flags::REQUEST);
        }

        fn submit_as(
            &mut self,
            waiter: u32,
            body: &'static [u8],
            codec: HeaderCodec,
            flags: crate::proto::Flags,
        ) {
            let parts = HeaderParts {
                code: 10,
                flags,
                remark: None,
                language: Language::RUST,
                version: 1,
                codec,
            };
            self.session
                .submit(Outgoing {
                    head: encode(&parts, &NoFields, &[], body.len()),
                    body: Bytes::from_static(body),
                    deadline: self.clock.now() + Duration::from_secs(3),
                    oneway: flags.is_oneway(),
                    waiter,
                })
                .unwrap();
        }

        /// Moves up to `limit` bytes to the peer.
        fn transmit(&mut self, mut limit: usize) {
            while limit > 0 && self.session.wants_write() {
                let mut slices = [IoSlice::new(&[]); 3];
                let count = self.session.chunks(&mut slices);
                let mut moved = 0;
                for slice in &slices[..count] {
                    let take = slice.len().min(limit);
                    self.wire.extend_from_slice(&slice[..take]);
                    limit -= take;
                    moved += take;
                }
                self.session.written(moved);
            }
        }

        fn arrived(&mut self) -> Vec<Frame> {
            std::iter::from_fn(|| self.peer.decode(&mut self.wire).unwrap()).collect()
        }

        fn answer(&mut self, frame: &Frame) {
            let mut header = frame.header.clone();
            header.flags = crate::proto::Flags::RESPONSE;
            let mut bytes = BytesMut::from(&header.encode(0).into_bytes()[..]);
            self.session.received(&mut bytes).unwrap();
            assert!(bytes.is_empty());
        }

        fn replies(&mut self) -> Vec<u32> {
            std::iter::from_fn(|| self.session.poll_event())
                .map(|event| match event {
                    Event::Reply(waiter, _) => waiter,
                    other => panic!("{other:?}"),
                })
                .collect()
        }
    }

    #[test]
    fn answers_find_their_waiters_in_any_order_and_codec() {
        let mut pair = Pair::new();
        for waiter in 0..10 {
            let codec = if waiter % 2 == 0 {
                HeaderCodec::Json
            } else {
                HeaderCodec::Binary
            };
            pair.submit(waiter, b"body", codec);
        }
        // One byte at a time: frames are put together again.
        while pair.session.wants_write() {
            pair.transmit(1);
        }
        let frames = pair.arrived();
        assert_eq!(frames.len(), 10);
        frames.iter().rev().for_each(|frame| pair.answer(frame));
        assert_eq!(pair.replies(), (0..10).rev().collect::<Vec<_>>());
        assert_eq!(pair.session.in_flight(), 0);
    }

    #[test]
    fn a_late_answer_finds_nobody() {
        let mut pair = Pair::new();
        pair.submit(1, b"", HeaderCodec::Json);
        pair.transmit(usize::MAX);
        let late = pair.arrived();
        pair.clock.advance(Duration::from_secs(3));
        pair.session.expire(pair.clock.now());
        assert!(matches!(
            pair.session.poll_event(),
            Some(Event::Expired(1, Progress::Written))
        ));
        // The slot is used again; the generation tells the two apart.
        pair.submit(2, b"", HeaderCodec::Json);
        pair.answer(&late[0]);
        assert!(pair.session.poll_event().is_none());
        assert_eq!(pair.session.in_flight(), 1);
    }

    #[test]
    fn what_expires_unbegun_is_not_written() {
        let mut pair = Pair::new();
        pair.submit(1, b"0123456789", HeaderCodec::Json);
        pair.submit(2, b"0123456789", HeaderCodec::Json);
        // The first is half way.
        pair.transmit(20);
        pair.clock.advance(Duration::from_secs(3));
        pair.session.expire(pair.clock.now());
        let mut expired = [pair.session.poll_event(), pair.session.poll_event()].map(|event| {
            let Some(Event::Expired(waiter, progress)) = event else {
                panic!("{event:?}")
            };
            (waiter, progress)
        });
        expired.sort_by_key(|(waiter, _)| *waiter);
        assert_eq!(expired, [(1, Progress::Written), (2, Progress::Queued)]);
        // What was begun is finished, or the stream would be out of step; the other is gone.
        pair.transmit(usize::MAX);
        assert_eq!(pair.arrived().len(), 1);
        pair.submit(3, b"", HeaderCodec::Json);
        pair.transmit(usize::MAX);
        assert_eq!(pair.arrived().len(), 1);
    }

    #[test]
    fn a_lost_connection_tells_what_had_left() {
        let mut pair = Pair::new();
        pair.submit(1, b"", HeaderCodec::Binary);
        pair.transmit(usize::MAX);
        pair.submit(2, b"", HeaderCodec::Binary);
        let mut lost = pair.session.fail();
        lost.sort_by_key(|(waiter, _)| *waiter);
        assert_eq!(lost, [(1, Progress::Written), (2, Progress::Queued)]);
    }

    #[test]
    fn a_oneway_ends_when_it_is_written() {
        let mut pair = Pair::new();
        pair.submit_as(
            7,
            b"0123456789",
            HeaderCodec::Json,
            crate::proto::Flags::ONEWAY,
        );
        pair.transmit(30);
        assert!(pair.session.poll_event().is_none());
        pair.transmit(usize::MAX);
        assert!(matches!(pair.session.poll_event(), Some(Event::Written(7))));
        assert_eq!(pair.session.in_flight(), 0);
    }

    #[test]
    fn a_framing_error_is_told() {
        let mut pair = Pair::new();
        let mut bytes = BytesMut::from(&[0xFF; 16][..]);
        assert!(pair.session.received(&mut bytes).is_err());
    }
}
