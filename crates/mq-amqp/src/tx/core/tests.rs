//! A transaction's core against a model of a broker: what is told of a commit is what became of it, and nothing is received twice or never.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use mq_core::ErrorKind;

use super::*;
use crate::conn::{Lane as _, Outbox};
use crate::error::Error;
use crate::proto::*;
use crate::publisher::encode;

const PREFETCH: u16 = 4;

/// A broker with one queue, and one channel in transactional mode.
#[derive(Default)]
struct Broker {
    /// Read from the wire, and not looked at yet.
    heard: VecDeque<Incoming>,
    /// To be told, in this order.
    says: VecDeque<Incoming>,
    queue: VecDeque<u64>,
    unacked: BTreeMap<u64, u64>,
    tags: u64,
    published: Vec<Content>,
    settled: Vec<(u64, u64, Decision)>,
    /// Its commit is not answered.
    committing: bool,
    /// What was published and committed, and what was returned in its place.
    applied: BTreeSet<u64>,
    returned: BTreeSet<u64>,
    /// What was received, and taken from the queue for good.
    taken: BTreeSet<u64>,
}

fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(body).unwrap().parse().unwrap()
}

impl Broker {
    /// Does the next thing that it has heard.
    fn work(&mut self, dice: &mut fastrand::Rng) {
        let Some(heard) = self.heard.pop_front() else {
            return;
        };
        assert!(!self.committing, "{heard:?} before the commit's answer");
        match heard {
            Incoming::Content(_, content) => self.published.push(content),
            Incoming::Method(Method::BasicAck(ack)) => self.settle(ack.delivery_tag, Decision::Ack),
            Incoming::Method(Method::BasicReject(it)) if it.requeue => {
                self.settle(it.delivery_tag, Decision::Release);
            }
            Incoming::Method(Method::BasicReject(it)) => {
                self.settle(it.delivery_tag, Decision::Reject);
            }
            Incoming::Method(Method::TxCommit(_)) => self.commit(dice),
            Incoming::Method(Method::TxRollback(_)) => {
                self.published.clear();
                for (tag, number, _) in self.settled.drain(..) {
                    self.unacked.insert(tag, number);
                }
                self.says
                    .push_back(Incoming::Method(TxRollbackOk {}.into()));
            }
            Incoming::Method(Method::BasicRecover(_)) => {
                self.back();
                self.says
                    .push_back(Incoming::Method(BasicRecoverOk {}.into()));
            }
            other @ Incoming::Method(_) => panic!("{other:?}"),
        }
    }

    fn settle(&mut self, tag: u64, decision: Decision) {
        let number = self.unacked.remove(&tag).expect("a tag that is held");
        self.settled.push((tag, number, decision));
    }

    fn commit(&mut self, dice: &mut fastrand::Rng) {
        for content in std::mem::take(&mut self.published) {
            let number = number(&content.body);
            if dice.u8(..10) > 0 {
                assert!(self.applied.insert(number), "{number} twice");
                continue;
            }
            self.returned.insert(number);
            let told = BasicReturn {
                reply_code: 312,
                reply_text: "NO_ROUTE".into(),
                exchange: "x".into(),
                routing_key: "key".into(),
            };
            self.says.push_back(Incoming::Content(told.into(), content));
        }
        for (_, number, decision) in std::mem::take(&mut self.settled) {
            if decision == Decision::Release {
                self.queue.push_front(number);
            } else {
                assert!(self.taken.insert(number), "{number} twice");
            }
        }
        self.committing = true;
        self.says.push_back(Incoming::Method(TxCommitOk {}.into()));
    }

    /// What is unacknowledged goes back, in its order.
    fn back(&mut self) {
        for (_, number) in std::mem::take(&mut self.unacked).into_iter().rev() {
            self.queue.push_front(number);
        }
    }

    /// The channel is gone; what was heard and not done never will be.
    fn lose(&mut self) {
        for (tag, number, _) in self.settled.drain(..) {
            self.unacked.insert(tag, number);
        }
        self.back();
        self.heard.clear();
        self.says.clear();
        self.published.clear();
        (self.tags, self.committing) = (0, false);
    }

    fn deliver(&mut self) {
        if self.unacked.len() + self.settled.len() >= usize::from(PREFETCH) || self.committing {
            return;
        }
        let Some(number) = self.queue.pop_front() else {
            return;
        };
        self.tags += 1;
        self.unacked.insert(self.tags, number);
        let deliver = BasicDeliver {
            consumer_tag: "c".into(),
            delivery_tag: self.tags,
            redelivered: false,
            exchange: "".into(),
            routing_key: "q".into(),
        };
        let content = Content {
            properties: Bytes::from_static(&[0, 0]),
            body: number.to_string().into(),
            too_large: None,
        };
        self.says
            .push_back(Incoming::Content(deliver.into(), content));
    }
}

/// What the caller has done in its transaction.
#[derive(Default)]
struct Mine {
    published: BTreeSet<u64>,
    held: BTreeMap<u64, u64>,
    settled: BTreeSet<u64>,
}

struct Bench {
    core: Core,
    broker: Broker,
    dice: fastrand::Rng,
    serial: u64,
    numbers: u64,
    tx: Option<Mine>,
    committing: bool,
    /// Published in transactions that were told not to be applied.
    never: BTreeSet<u64>,
    kinds: BTreeSet<&'static str>,
}

fn limits() -> Limits {
    Limits {
        messages: 5,
        bytes: 1 << 20,
        prefetch: PREFETCH,
    }
}

impl Bench {
    fn new(seed: u64) -> Self {
        let mut bench = Self {
            core: Core::new(limits()),
            broker: Broker::default(),
            dice: fastrand::Rng::with_seed(seed),
            serial: 0,
            numbers: 0,
            tx: None,
            committing: false,
            never: BTreeSet::new(),
            kinds: BTreeSet::new(),
        };
        bench.broker.queue.extend(0..20);
        bench.open();
        bench
    }

    fn open(&mut self) {
        self.broker.lose();
        self.serial += 1;
        self.core = Core::new(limits());
        let (connection, key) = Connection::nowhere(self.serial);
        self.core.opened(&connection, key);
    }

    fn begin(&mut self) {
        match self.core.begin().now_or_never() {
            Some(true) => self.tx = Some(Mine::default()),
            Some(false) => self.open(),
            None => {}
        }
    }

    fn publish(&mut self) {
        let Some(mine) = &mut self.tx else { return };
        self.numbers += 1;
        let number = self.numbers;
        let message = Message::new("key", number.to_string()).id(number.to_string());
        let head = encode::head(&message, "x", true).unwrap();
        match self.core.publish("x".into(), message, head) {
            Ok(()) => drop(mine.published.insert(number)),
            Err(failed) => {
                let full = failed.kind() == ErrorKind::Invalid && mine.published.len() == 5;
                assert!(full || self.core.is_over(), "{failed}");
            }
        }
    }

    fn receive(&mut self) {
        let Some(mine) = &mut self.tx else { return };
        match self.core.next().now_or_never() {
            Some(Ok(Some(arrival))) => {
                let number = number(&arrival.content.body);
                let tag = arrival.deliver.delivery_tag;
                assert_eq!(mine.held.insert(tag, number), None, "{number} twice");
            }
            Some(Ok(None)) => {
                let held = mine.held.len() + mine.settled.len();
                assert_eq!(held, usize::from(PREFETCH));
            }
            Some(Err(_)) => assert!(self.core.is_over()),
            None => {}
        }
    }

    fn settle(&mut self) {
        let Some(mine) = &mut self.tx else { return };
        let Some((tag, number)) = mine.held.pop_first() else {
            return;
        };
        let decisions = [Decision::Ack, Decision::Reject, Decision::Release];
        let decision = decisions[self.dice.usize(..3)];
        if self.core.settle(Some(tag), decision).is_err() {
            assert!(self.core.is_over());
            return;
        }
        assert!(self.core.settle(Some(tag), Decision::Ack).is_err());
        mine.settled.insert(number);
    }

    /// The broker reads what is written.
    fn fill(&mut self) {
        let mut out = Outbox::new(4096);
        while self.core.fill(1, &mut out) {}
        let mut wire = BytesMut::new();
        while !out.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 1];
            assert_eq!(out.slices(&mut slices), 1);
            wire.extend_from_slice(&slices[0]);
            let count = slices[0].len();
            out.written(count);
        }
        let (mut decoder, mut assembler) = (FrameDecoder::new(4096), Assembler::default());
        while let Some(frame) = decoder.decode(&mut wire).unwrap() {
            self.broker
                .heard
                .extend(assembler.take(frame, 1 << 20).unwrap());
        }
    }

    fn tell(&mut self) {
        let Some(said) = self.broker.says.pop_front() else {
            return;
        };
        if matches!(said, Incoming::Method(Method::TxCommitOk(_))) {
            self.broker.committing = false;
        }
        self.core.incoming(said).unwrap();
    }

    fn lose(&mut self) {
        let why = Error::builder(ErrorKind::Disconnected, "a test").outcome(Outcome::Unknown);
        self.core.lost(&why.build());
        // What was done and not told of stays done.
        self.broker.lose();
    }

    fn commit(&mut self) {
        if self.tx.is_some() && !self.committing {
            match self.core.commit() {
                Ok(()) => self.committing = true,
                Err(error) => self.end(Err(error.into())),
            }
        }
    }

    fn undo(&mut self) {
        if let Some(mine) = self.tx.take() {
            // One that was written is anybody's guess.
            if !self.committing || self.core.state().phase == Phase::Committing {
                self.never.extend(mine.published);
            }
            self.committing = false;
            self.core.undo();
        }
    }

    fn hear(&mut self, impatient: bool) {
        if self.committing && impatient {
            let told = self.core.too_late(Duration::from_secs(1));
            self.end(told);
        } else if self.committing
            && let Some(told) = self.core.committed().now_or_never()
        {
            self.end(told);
        }
    }

    /// What is told of a commit is what became of it.
    fn end(&mut self, told: Result<(), CommitError>) {
        self.committing = false;
        let mine = self.tx.take().unwrap();
        let broker = &self.broker;
        let failed = match told {
            Ok(()) => {
                self.kinds.insert("applied");
                assert!(mine.published.is_subset(&broker.applied));
                return;
            }
            Err(failed) => failed,
        };
        if failed.kind() == ErrorKind::NotFound {
            self.kinds.insert("unroutable");
            let back = failed.unroutable.iter();
            let back: BTreeSet<u64> = back.map(|it| number(it.message.body())).collect();
            let (lost, applied): (BTreeSet<u64>, _) = mine
                .published
                .iter()
                .partition(|it| broker.returned.contains(it));
            assert_eq!(back, lost);
            assert!(applied.is_subset(&broker.applied));
        } else if failed.outcome() == Outcome::Unknown {
            self.kinds.insert("unknown");
        } else {
            self.kinds.insert("not applied");
            self.never.extend(mine.published);
        }
    }

    fn check(&self) {
        assert!(self.never.is_disjoint(&self.broker.applied));
        assert!(self.never.is_disjoint(&self.broker.returned));
        let state = self.core.state();
        assert!(state.ready.len() <= usize::from(PREFETCH) * 2 + 16);
        let quiet = self.broker.heard.is_empty() && self.broker.says.is_empty();
        if quiet && state.phase == Phase::Idle {
            let here = state.ready.iter().map(|it| it.deliver.delivery_tag);
            let here: Vec<u64> = here.collect();
            let there: Vec<u64> = self.broker.unacked.keys().copied().collect();
            assert_eq!(
                here, there,
                "held by the broker and not here, or here alone"
            );
        }
    }

    fn step(&mut self) {
        match self.dice.u8(..40) {
            0..4 => {
                if self.tx.is_none() {
                    self.begin();
                }
            }
            4..8 if !self.committing => self.publish(),
            8..12 if !self.committing => self.receive(),
            12..15 if !self.committing => self.settle(),
            15..20 => self.fill(),
            20..26 => self.broker.work(&mut self.dice),
            26..31 => self.tell(),
            31..34 => self.broker.deliver(),
            34..36 => self.commit(),
            36 => self.undo(),
            37 if self.dice.bool() => self.lose(),
            38 => {
                let impatient = self.dice.u8(..4) == 0;
                self.hear(impatient);
            }
            _ => self.hear(false),
        }
        self.check();
    }

    /// Everything that is under way comes to its end.
    fn finish(&mut self) {
        self.undo();
        for _ in 0..100 {
            self.fill();
            while !self.broker.heard.is_empty() || !self.broker.says.is_empty() {
                self.tell();
                if !self.broker.committing {
                    self.broker.work(&mut self.dice);
                }
            }
            self.check();
        }
        self.begin();
        if self.tx.is_none() {
            self.begin();
        }
        assert!(self.tx.is_some(), "another one begins");
    }
}

#[test]
fn what_is_told_of_a_commit_is_what_became_of_it() {
    let mut kinds = BTreeSet::new();
    for seed in 0..2000 {
        let mut bench = Bench::new(seed);
        for _ in 0..300 {
            bench.step();
        }
        bench.finish();
        kinds.append(&mut bench.kinds);
    }
    let all = ["applied", "not applied", "unknown", "unroutable"];
    assert!(kinds.into_iter().eq(all), "each was seen");
}
