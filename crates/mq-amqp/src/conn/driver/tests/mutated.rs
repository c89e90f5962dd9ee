//! Frames of a server with bytes changed: whatever comes, each waiter hears one end, and nothing grows.

use bytes::{BufMut as _, BytesMut};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::*;
use crate::conn::Reply;

/// A million; 100 million with `MQ_SOAK=1`, or as many as `MQ_FUZZ_FRAMES` says.
fn count() -> u64 {
    let soak = std::env::var("MQ_SOAK").is_ok_and(|it| it == "1");
    let usual = if soak { 100_000_000 } else { 1_000_000 };
    std::env::var("MQ_FUZZ_FRAMES").map_or(usual, |it| it.parse().unwrap())
}

/// A channel that is open, one that opens and one that closes; on the first a call is under way.
struct Bench {
    channels: Channels,
    out: Outbox,
    lane: Arc<Told>,
    call: oneshot::Receiver<Result<Incoming, Error>>,
    opening: oneshot::Receiver<Result<u16, Error>>,
}

const MOST: u64 = 64 * 1024;

impl Bench {
    fn new() -> Self {
        let (mut channels, mut out) = (Channels::new(3), Outbox::new(FRAME_MIN));
        let lane = Arc::<Told>::default();
        let mut last = None;
        for serial in 1..=3 {
            let (opened, answer) = oneshot::channel();
            channels.open(serial, Arc::<Told>::clone(&lane), opened, &mut out);
            if serial == 2 {
                last = Some(answer);
            } else {
                let id = u16::try_from(serial).unwrap();
                channels.take(open_ok(id), MOST, &mut out).unwrap();
            }
        }
        let (reply, call): (Reply, _) = oneshot::channel();
        let asked = Method::from(QueuePurge {
            reserved_1: 0,
            queue: "q".into(),
            nowait: false,
        });
        channels.call(Key { id: 1, serial: 1 }, &asked, reply, &mut out);
        channels.close(Key { id: 3, serial: 3 }, None, &mut out);
        Self {
            channels,
            out,
            lane,
            call,
            opening: last.unwrap(),
        }
    }

    /// What a driver does with what was read; whether it goes on.
    fn hear(&mut self, wire: &mut BytesMut) -> (u64, bool) {
        let mut decoder = FrameDecoder::new(FRAME_MIN);
        let mut frames = 0;
        loop {
            match decoder.decode(wire) {
                Ok(Some(frame)) => {
                    frames += 1;
                    let taken = match frame.channel {
                        0 => Method::decode(frame.payload).map(drop),
                        _ => self.channels.take(frame, MOST, &mut self.out).map(drop),
                    };
                    if taken.is_err() {
                        return (frames, false);
                    }
                }
                Ok(None) => return (frames, true),
                Err(_) => return (frames, false),
            }
        }
    }
}

#[test]
fn frames_mutated() {
    let (count, corpus) = (count(), corpus());
    let mut dice = fastrand::Rng::with_seed(0x616d_7170);
    let (mut heard, mut answered, mut opened, mut ended, mut whole) = (0, 0, 0, 0, 0);
    let mut runs = 0_u64;
    while heard < count {
        runs += 1;
        let mut bench = Bench::new();
        let said = bench.out.waits();
        let mut wire = BytesMut::new();
        for _ in 0..dice.usize(1..5) {
            let one = &corpus[dice.usize(..corpus.len())];
            wire.extend_from_slice(&if dice.u8(..3) == 0 {
                one.clone()
            } else {
                mutate(one, &mut dice)
            });
        }
        let length = wire.len();
        let (frames, goes_on) = bench.hear(&mut wire);
        heard += frames.max(1);
        ended += u64::from(!goes_on);
        // What is announced takes no memory but for one frame (a buffer that grows doubles), and what we answer is small.
        assert!(wire.capacity() <= length.max(FRAME_MIN) * 4);
        assert!(bench.out.waits() - said <= 16 * usize::try_from(frames).unwrap());
        let why = Error::builder(mq_core::ErrorKind::Disconnected, "the end").build();
        bench.channels.lost(&why);
        answered += u64::from(hears(bench.call).is_some_and(|told| told.is_ok()));
        opened += u64::from(hears(bench.opening).is_some_and(|told| told.is_ok()));
        let bodies = bench.lane.bodies.lock().unwrap();
        whole += u64::from(!bodies.is_empty());
        assert!(bodies.iter().all(|body| *body <= length));
        // The open channel's lane, and that of the one that was opening if it came to be open.
        assert!(*bench.lane.lost.lock().unwrap() <= 2);
    }
    let seldom = runs / 100;
    let all = [answered, opened, ended, whole, runs - ended];
    assert!(all.iter().all(|it| *it > seldom), "{all:?} of {runs}");
}

/// `None`: it was let go, which who waits hears too.
fn hears<T>(mut waiter: oneshot::Receiver<T>) -> Option<T> {
    match waiter.try_recv() {
        Ok(told) => Some(told),
        Err(TryRecvError::Closed) => None,
        Err(TryRecvError::Empty) => panic!("one hears nothing"),
    }
}

/// Some bytes changed, cut off, put in; in three of four cases the first frame's length is set right again.
fn mutate(whole: &[u8], dice: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..dice.usize(1..4) {
        let at = dice.usize(..bytes.len());
        match dice.u8(..7) {
            0 => bytes[at] ^= 1 << dice.u8(..8),
            1 => bytes[at] = dice.u8(..),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.usize(..5)],
            3 if bytes.len() > 16 => bytes.truncate(at.max(9)),
            4 => {
                let put = (0..dice.usize(..9)).map(|_| dice.u8(..));
                drop(bytes.splice(at..at, put));
            }
            5 => bytes[2] = dice.u8(..5),
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
    }
    if dice.u8(..4) > 0 && bytes.len() > 8 {
        let payload = u32::try_from(bytes.len() - 8).unwrap();
        bytes[0] = whole[0];
        bytes[3..7].copy_from_slice(&payload.to_be_bytes());
        *bytes.last_mut().unwrap() = 0xce;
    } else if dice.bool() && bytes.len() > 8 {
        let length = [0, 1, 4088, 4089, 1 << 20, u32::MAX][dice.usize(..6)];
        bytes[3..7].copy_from_slice(&length.to_be_bytes());
    }
    bytes
}

/// Every method on each of the channels, contents whole and in parts.
fn corpus() -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    for channel in 0..=3 {
        for method in Method::every() {
            let mut out = BytesMut::new();
            put_frame(&mut out, Kind::Method, channel, |out| method.encode(out));
            corpus.push(out.to_vec());
        }
    }
    // What is waited for would be seldom among so many.
    for at in [(1, (50, 31)), (2, (20, 11)), (3, (20, 41))] {
        let (channel, id) = at;
        let told = Method::every().into_iter().find(|method| method.id() == id);
        let mut out = BytesMut::new();
        put_frame(&mut out, Kind::Method, channel, |out| {
            told.unwrap().encode(out);
        });
        corpus.extend(vec![out.to_vec(); 25]);
    }
    let deliver = Method::every().into_iter();
    let deliver =
        deliver.filter(|method| matches!(method, Method::BasicDeliver(_) | Method::BasicReturn(_)));
    for method in deliver {
        for size in [0_u64, 5, 300, MOST + 1] {
            corpus.extend(vec![content(&method, size); 5]);
        }
    }
    corpus
}

fn content(method: &Method, size: u64) -> Vec<u8> {
    let properties = Properties {
        headers: Some(
            [("a", Value::from(vec![Value::Void, true.into()]))]
                .into_iter()
                .collect(),
        ),
        message_id: Some("id".into()),
        timestamp: Some(1),
        ..Properties::default()
    };
    let mut out = BytesMut::new();
    put_frame(&mut out, Kind::Method, 1, |out| method.encode(out));
    put_frame(&mut out, Kind::Header, 1, |out| {
        out.put_u16(60);
        out.put_u16(0);
        out.put_u64(size);
        properties.encode(out);
    });
    for part in vec![7; usize::try_from(size.min(MOST)).unwrap()].chunks(200) {
        if out.len() < 4000 {
            put_frame(&mut out, Kind::Body, 1, |out| out.put_slice(part));
        }
    }
    out.to_vec()
}
