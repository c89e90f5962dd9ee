//! A publisher's core against a model of a broker: nothing is confirmed that the broker did not confirm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mq_core::ErrorKind;

use super::*;
use crate::conn::{Lane as _, Outbox};
use crate::proto::{BasicAck, BasicNack, FrameDecoder, Incoming, Method};
use crate::publisher::encode;

/// What a broker knows of one channel: which ids it has unsettled, by their tags.
#[derive(Default)]
struct Broker {
    published: u64,
    unsettled: BTreeMap<u64, u64>,
    /// Confirmed, refused, given back: in any life.
    confirmed: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    returned: BTreeSet<u64>,
}

struct Bench {
    core: Core,
    broker: Broker,
    dice: fastrand::Rng,
    answers: BTreeMap<u64, oneshot::Receiver<Result<Receipt, SendError>>>,
    rooms: Vec<oneshot::Receiver<()>>,
    serial: u64,
    open: bool,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self {
            // Its messages go to another exchange, as a scheduler's do.
            core: Core::new("own".into(), 8, 1 << 20, None),
            broker: Broker::default(),
            dice: fastrand::Rng::with_seed(seed),
            answers: BTreeMap::new(),
            rooms: Vec::new(),
            serial: 0,
            open: false,
        }
    }

    fn send(&mut self) {
        let number = self.answers.len() as u64;
        let message = Message::new("key", number.to_string()).id(number.to_string());
        let head = encode::head(&message, "x", true).unwrap();
        let (answer, answered) = oneshot::channel();
        let deadline = now() + Duration::from_secs(60);
        let taken = self.core.take(message, head, deadline, answer).unwrap();
        assert_eq!(taken.number, number);
        // Who waits for room goes on waiting.
        self.rooms.extend(taken.admitted);
        self.answers.insert(number, answered);
    }

    fn open(&mut self) {
        self.serial += 1;
        let (connection, key) = Connection::nowhere(self.serial);
        self.core.begin(key);
        // A driver that comes too early finds nothing to write.
        let mut out = Outbox::new(4096);
        self.core.fill(1, &mut out);
        assert!(out.is_empty(), "written to a channel that does not confirm");
        assert!(self.core.opened(&connection, key));
        self.open = true;
        (self.broker.published, self.broker.unsettled) = (0, BTreeMap::new());
    }

    fn lose(&mut self) {
        let why = Error::builder(ErrorKind::Disconnected, "a test").outcome(Outcome::Unknown);
        self.core.lost(&why.build());
        self.open = false;
    }

    /// The broker reads what is written.
    fn fill(&mut self) {
        let mut out = Outbox::new(4096);
        while self.core.fill(1, &mut out) {}
        let mut wire = bytes::BytesMut::new();
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let count = out.slices(&mut slices);
        slices[..count]
            .iter()
            .for_each(|it| wire.extend_from_slice(it));
        let mut decoder = FrameDecoder::new(4096);
        let mut assembler = crate::proto::Assembler::default();
        while let Some(frame) = decoder.decode(&mut wire).unwrap() {
            if let Some(Incoming::Content(_, content)) = assembler.take(frame, 1 << 20).unwrap() {
                let number = std::str::from_utf8(&content.body).unwrap().parse().unwrap();
                self.broker.published += 1;
                let tag = self.broker.published;
                self.broker.unsettled.insert(tag, number);
                if self.dice.u8(..6) == 0 {
                    self.broker.returned.insert(number);
                    self.give_back(&content);
                }
            }
        }
        assert!(wire.is_empty());
    }

    fn give_back(&self, content: &Content) {
        let told = BasicReturn {
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
            exchange: "x".into(),
            routing_key: "key".into(),
        };
        let incoming = Incoming::Content(Method::BasicReturn(told), content.clone());
        self.core.incoming(incoming).unwrap();
    }

    fn settle(&mut self) {
        let Some((tag, _)) = self.broker.unsettled.iter().nth(self.dice.usize(..8)) else {
            return;
        };
        let (tag, multiple, ack) = (*tag, self.dice.bool(), self.dice.u8(..4) > 0);
        let from = if multiple { 0 } else { tag };
        let covered: Vec<u64> = self
            .broker
            .unsettled
            .range(from..=tag)
            .map(|it| *it.0)
            .collect();
        for tag in covered {
            let number = self.broker.unsettled.remove(&tag).unwrap();
            let known = if ack {
                &mut self.broker.confirmed
            } else {
                &mut self.broker.refused
            };
            known.insert(number);
        }
        let method = if ack {
            Method::from(BasicAck {
                delivery_tag: tag,
                multiple,
            })
        } else {
            BasicNack {
                delivery_tag: tag,
                multiple,
                requeue: false,
            }
            .into()
        };
        self.core.incoming(Incoming::Method(method)).unwrap();
    }

    /// Nobody was told of a confirm that there was not.
    fn check(&mut self) {
        for (number, answer) in &mut self.answers {
            let broker = &self.broker;
            match answer.try_recv() {
                Ok(Ok(receipt)) => {
                    assert_eq!(receipt.unique_id(), number.to_string());
                    assert!(
                        broker.confirmed.contains(number),
                        "{number} was not confirmed"
                    );
                }
                Ok(Err(failed)) => {
                    assert_eq!(failed.message.body(), number.to_string().as_bytes());
                    let refused = broker.refused.contains(number);
                    let returned = broker.returned.contains(number);
                    assert!(refused || returned, "{number}: {failed}");
                }
                Err(_) => {}
            }
        }
    }
}

/// A thousand lives, in each of which sends, confirms, refusals, returns, losses and given up sends come in any order.
#[test]
fn nobody_is_told_of_a_confirm_that_there_was_not() {
    for seed in 0..1000 {
        let mut bench = Bench::new(seed);
        for _ in 0..150 {
            match bench.dice.u8(..20) {
                0..7 => bench.send(),
                7..12 if bench.open => bench.fill(),
                12..17 if bench.open => bench.settle(),
                17 if bench.open => bench.lose(),
                18 if !bench.answers.is_empty() => {
                    let number = bench.dice.u64(..bench.answers.len() as u64);
                    if bench.core.abandon(number).is_some() {
                        bench.answers.get_mut(&number).unwrap().close();
                    }
                }
                _ if !bench.open => bench.open(),
                _ => {}
            }
            bench.check();
        }
        // Once the broker confirms everything, everybody has heard.
        if !bench.open {
            bench.open();
        }
        while !bench.core.state().is_idle() {
            bench.fill();
            while !bench.broker.unsettled.is_empty() {
                bench.settle();
            }
            bench.check();
        }
        let state = bench.core.state();
        assert_eq!((state.count, state.bytes, state.given_up), (0, 0, 0));
    }
}
