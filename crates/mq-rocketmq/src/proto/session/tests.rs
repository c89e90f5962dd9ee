use std::collections::BTreeSet;
use std::time::Duration;

use mq_core::{Clock, ManualClock};

use super::*;
use crate::proto::{Flags, HeaderCodec, HeaderParts, Language, NoFields, encode};

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
        self.submit_as(waiter, body, codec, Flags::REQUEST);
    }

    fn submit_as(&mut self, waiter: u32, body: &'static [u8], codec: HeaderCodec, flags: Flags) {
        self.submit_for(waiter, body, codec, flags, Duration::from_secs(3));
    }

    fn submit_for(
        &mut self,
        waiter: u32,
        body: &'static [u8],
        codec: HeaderCodec,
        flags: Flags,
        wait: Duration,
    ) {
        let parts = HeaderParts {
            codec,
            ..parts(flags)
        };
        self.session
            .submit(Outgoing {
                head: encode(&parts, &NoFields, &[], body.len()),
                body: Bytes::from_static(body),
                deadline: self.clock.now() + wait,
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
        header.flags = Flags::RESPONSE;
        let mut bytes = BytesMut::from(&header.encode(0).into_bytes()[..]);
        self.session.received(&mut bytes).unwrap();
        assert!(bytes.is_empty());
    }

    /// Notes who hears an end.
    fn hear(&mut self, ended: &mut BTreeSet<u32>) {
        while let Some(event) = self.session.poll_event() {
            let (Event::Reply(waiter, _) | Event::Written(waiter) | Event::Expired(waiter, _)) =
                event
            else {
                continue;
            };
            assert!(ended.insert(waiter), "{waiter} hears two ends");
        }
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

fn parts(flags: Flags) -> HeaderParts<'static> {
    HeaderParts {
        code: 10,
        flags,
        remark: None,
        language: Language::RUST,
        version: 1,
        codec: HeaderCodec::Json,
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
    pair.submit_as(7, b"0123456789", HeaderCodec::Json, Flags::ONEWAY);
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

/// What happens to a session, in any order.
#[derive(Debug, Clone, Copy, bolero::TypeGenerator)]
enum Step {
    Submit {
        oneway: bool,
        wait_ms: u16,
    },
    Transmit(u8),
    /// The peer answers the oldest request that it has, and cuts the answer in two here.
    Answer {
        cut: u8,
    },
    /// An answer to whatever number.
    Stray(i32),
    Byte(u8),
    Advance {
        ms: u16,
    },
}

/// Every waiter hears its end once, whatever the peer sends and whenever it is cut off.
#[test]
fn fuzz_session() {
    bolero::check!()
        .with_iterations(5_000)
        .with_type::<Vec<Step>>()
        .for_each(|steps| {
            let mut pair = Pair::new();
            let (mut seen, mut ended) = (Vec::new(), BTreeSet::new());
            let mut submitted = 0;
            let mut inbound = BytesMut::new();
            for step in steps {
                match *step {
                    Step::Submit { oneway, wait_ms } => {
                        let flags = if oneway {
                            Flags::ONEWAY
                        } else {
                            Flags::REQUEST
                        };
                        let wait = Duration::from_millis(wait_ms.into());
                        pair.submit_for(submitted, b"body", HeaderCodec::Binary, flags, wait);
                        submitted += 1;
                    }
                    Step::Transmit(count) => pair.transmit(count.into()),
                    Step::Answer { cut } => {
                        seen.extend(pair.arrived());
                        if seen.is_empty() {
                            continue;
                        }
                        let mut header = seen.remove(0).header;
                        header.flags = Flags::RESPONSE;
                        let bytes = header.encode(0).into_bytes();
                        let (front, back) = bytes.split_at(bytes.len().min(cut.into()));
                        for part in [front, back] {
                            inbound.extend_from_slice(part);
                            if pair.session.received(&mut inbound).is_err() {
                                return finish(pair, ended, submitted);
                            }
                        }
                    }
                    Step::Stray(opaque) => {
                        let mut stray = encode(&parts(Flags::RESPONSE), &NoFields, &[], 0);
                        stray.set_opaque(opaque);
                        inbound.extend_from_slice(&stray.into_bytes());
                        if pair.session.received(&mut inbound).is_err() {
                            return finish(pair, ended, submitted);
                        }
                    }
                    Step::Byte(byte) => inbound.extend_from_slice(&[byte]),
                    Step::Advance { ms } => {
                        pair.clock.advance(Duration::from_millis(ms.into()));
                        pair.session.expire(pair.clock.now());
                    }
                }
                pair.hear(&mut ended);
            }
            finish(pair, ended, submitted);
        });
}

fn finish(mut pair: Pair, mut ended: BTreeSet<u32>, submitted: u32) {
    pair.hear(&mut ended);
    for (waiter, _) in pair.session.fail() {
        assert!(ended.insert(waiter), "{waiter} hears two ends");
    }
    assert!(ended.into_iter().eq(0..submitted), "one hears no end");
}
