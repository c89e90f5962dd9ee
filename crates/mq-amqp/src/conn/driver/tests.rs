//! Channels without a socket.

mod mutated;

use std::sync::{Arc, Mutex};

use super::channels::Channels;
use crate::conn::{Key, Lane, Outbox};
use crate::error::Error;
use crate::proto::*;

/// Keeps the sizes of what comes.
#[derive(Default)]
pub(super) struct Told {
    bodies: Mutex<Vec<usize>>,
    lost: Mutex<usize>,
}

impl Lane for Told {
    fn fill(&self, _: u16, _: &mut Outbox) -> bool {
        false
    }

    fn incoming(&self, incoming: Incoming) -> Result<(), Malformed> {
        if let Incoming::Content(_, content) = incoming {
            // What is read late has to be readable, or to say why not.
            let _ = Properties::decode(content.properties.clone());
            self.bodies.lock().unwrap().push(content.body.len());
        }
        Ok(())
    }

    fn lost(&self, _: &Error) {
        *self.lost.lock().unwrap() += 1;
    }
}

fn told(channel: u16, method: impl Into<Method>) -> Frame {
    let mut payload = bytes::BytesMut::new();
    method.into().encode(&mut payload);
    Frame {
        kind: Kind::Method,
        channel,
        payload: payload.freeze(),
    }
}

fn open_ok(channel: u16) -> Frame {
    let reserved_1 = LongStr::default();
    told(channel, ChannelOpenOk { reserved_1 })
}

/// The server never lets go of the only channel: whoever asks for one and goes is forgotten.
#[test]
fn who_waits_for_a_channel_and_goes_is_forgotten() {
    let (mut channels, mut out) = (Channels::new(1), Outbox::new(FRAME_MIN));
    let lane: Arc<dyn Lane> = Arc::new(Told::default());
    let mut ask = |channels: &mut Channels, serial| {
        let (opened, answer) = tokio::sync::oneshot::channel();
        channels.open(serial, Arc::clone(&lane), opened, &mut out);
        answer
    };
    let first = ask(&mut channels, 1);
    let mut other = Outbox::new(FRAME_MIN);
    channels.take(open_ok(1), 0, &mut other).unwrap();
    assert_eq!(first.blocking_recv().unwrap().unwrap(), 1);
    channels.close(Key { id: 1, serial: 1 }, None, &mut other);
    for serial in 2..1000 {
        drop(ask(&mut channels, serial));
        assert!(channels.waiting() <= 1, "{}", channels.waiting());
    }
    let mut last = ask(&mut channels, 1000);
    let close_ok = told(1, ChannelCloseOk {});
    while last.try_recv().is_err() {
        channels.take(close_ok.clone(), 0, &mut other).unwrap();
        channels.take(open_ok(1), 0, &mut other).unwrap();
    }
}

/// A server that asks for pauses and reads no answers: they take no memory.
#[test]
fn answers_that_are_not_read_take_no_memory() {
    let (mut channels, mut out) = (Channels::new(1), Outbox::new(FRAME_MIN));
    let (opened, _answer) = tokio::sync::oneshot::channel();
    channels.open(1, Arc::new(Told::default()), opened, &mut out);
    channels.take(open_ok(1), 0, &mut out).unwrap();
    for round in 0..100_000 {
        let active = round % 2 == 0;
        let flow = told(1, ChannelFlow { active });
        channels.take(flow, 0, &mut out).unwrap();
        assert_eq!(channels.is_paused(Key { id: 1, serial: 1 }), !active);
    }
    assert!(out.waits() < 300 * 1024, "{}", out.waits());
}
