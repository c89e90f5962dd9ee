//! Half messages against a model of a broker: nothing is lost, nothing is sent twice on one channel, and nothing that was decided is asked about.

mod places;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::BytesMut;
use mq_core::ErrorKind;
use tokio::sync::Semaphore;

use super::half::Half;
use super::halves::{Doing, Halves};
use super::lane::{SlotLane, Taker};
use super::outgoing::{Answer, Outgoing};
use crate::Message;
use crate::conn::{Connection, Lane as _, Outbox};
use crate::error::Error;
use crate::proto::{
    Assembler, BasicAck, BasicDeliver, BasicNack, Content, FrameDecoder, Incoming, Method,
    Properties, Value,
};

const TARGET: &str = "target";
const SLOT: &str = "slot";

/// One slot, its consumer, and the queue that commits go to.
struct Bench {
    halves: Arc<Halves>,
    lane: Option<Arc<SlotLane>>,
    room: Arc<Semaphore>,
    serial: u64,
    dice: fastrand::Rng,
    /// Ready in the slot's queue.
    slot: VecDeque<Content>,
    /// Delivered and not acknowledged, by tag.
    held: BTreeMap<u64, Content>,
    tags: u64,
    /// Published on this channel and not confirmed.
    flight: VecDeque<(u64, String, Content)>,
    published: u64,
    /// What the target has, by id.
    target: BTreeMap<String, usize>,
    /// What each transaction has been told to do, and how it ended.
    begun: Vec<(Half, Answer)>,
    commits: BTreeMap<String, Answer>,
    rolled_back: Vec<String>,
    /// What was to be committed is not rolled back later, whatever was heard of it.
    to_commit: BTreeSet<String>,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let wait = Duration::from_secs(3600);
        Self {
            halves: Arc::new(Halves::new(wait, wait, "discard".into())),
            lane: None,
            room: Arc::new(Semaphore::new(1000)),
            serial: 0,
            dice: fastrand::Rng::with_seed(seed),
            slot: VecDeque::new(),
            held: BTreeMap::new(),
            tags: 0,
            flight: VecDeque::new(),
            published: 0,
            target: BTreeMap::new(),
            begun: Vec::new(),
            commits: BTreeMap::new(),
            rolled_back: Vec::new(),
            to_commit: BTreeSet::new(),
        }
    }

    fn open(&mut self) {
        self.serial += 1;
        let lane = opened(&self.halves, self.serial);
        self.lane = Some(lane);
        (self.tags, self.published) = (0, 0);
    }

    /// The broker has what it was told; who published may not hear of it.
    fn lose(&mut self) {
        let Some(lane) = self.lane.take() else { return };
        while self.dice.bool() && self.store() {}
        self.flight.clear();
        for (_, content) in std::mem::take(&mut self.held).into_iter().rev() {
            self.slot.push_front(content);
        }
        lane.lost(&Error::builder(ErrorKind::Disconnected, "a test").build());
    }

    fn begin(&mut self) {
        let Some(lane) = &self.lane else { return };
        let half = Half {
            id: self.begun.len().to_string().into(),
            message: Message::new(TARGET, "x").id(self.begun.len().to_string()),
            exchange: "".into(),
            mandatory: true,
            born_ms: 0,
            checks: 0,
            checked_ms: 0,
        };
        let room = Arc::clone(&self.room).try_acquire_owned().unwrap();
        self.halves.begin(half.clone(), room);
        let answer = lane.publish(Outgoing {
            message: half.wrapped(SLOT.into()),
            exchange: "".into(),
            mandatory: true,
        });
        self.begun.push((half, answer));
    }

    /// Commits, rolls back, leaves or renews one that was begun.
    fn act(&mut self) {
        if self.begun.is_empty() {
            return;
        }
        let number = self.dice.usize(..self.begun.len());
        let half = self.begun[number].0.clone();
        let id = half.id.to_string();
        let decided = self.commits.contains_key(&id) || self.rolled_back.contains(&id);
        match self.dice.u8(..6) {
            0..3 if !decided => {
                if let Some(place) = self.halves.try_hold(&half.id, Doing::Ending) {
                    let outgoing = Outgoing {
                        message: half.message.clone(),
                        exchange: "".into(),
                        mandatory: true,
                    };
                    let answer = place.lane.forward(outgoing, place.tag, half.id, true);
                    self.to_commit.insert(id.clone());
                    self.commits.insert(id, answer);
                }
            }
            3 if !decided && !self.to_commit.contains(&id) => {
                if self.halves.try_hold(&half.id, Doing::Ending).is_some() {
                    self.halves.end(&half.id, None);
                    self.rolled_back.push(id);
                }
            }
            4 => self.halves.leave(&half.id),
            _ => {
                if let Some(place) = self.halves.try_hold(&half.id, Doing::Renewing) {
                    let outgoing = Outgoing {
                        message: half.wrapped(SLOT.into()),
                        exchange: "".into(),
                        mandatory: true,
                    };
                    drop(place.lane.forward(outgoing, place.tag, half.id, false));
                }
            }
        }
    }

    /// The broker reads what is written.
    fn fill(&mut self) {
        let Some(lane) = &self.lane else { return };
        for incoming in written(lane) {
            match incoming {
                Incoming::Content(Method::BasicPublish(publish), content) => {
                    self.published += 1;
                    let key = publish.routing_key.to_string();
                    self.flight.push_back((self.published, key, content));
                }
                Incoming::Method(Method::BasicAck(ack)) => {
                    let known = self.held.remove(&ack.delivery_tag);
                    // It would close the channel.
                    known.expect("what is acknowledged is held, once");
                }
                _ => {}
            }
        }
    }

    /// Takes the next message that was published; says whether there was one.
    fn store(&mut self) -> bool {
        let Some((_, key, content)) = self.flight.pop_front() else {
            return false;
        };
        if key == SLOT {
            self.slot.push_back(content);
        } else {
            let properties = Properties::decode(content.properties).unwrap();
            let id = properties.message_id.unwrap().to_string();
            *self.target.entry(id).or_default() += 1;
        }
        true
    }

    /// Confirms or refuses the next one.
    fn confirm(&mut self) {
        let Some(lane) = self.lane.clone() else {
            return;
        };
        let Some((tag, key, _)) = self.flight.front() else {
            return;
        };
        let (delivery_tag, key) = (*tag, key.clone());
        let multiple = false;
        if self.dice.u8(..8) == 0 {
            self.flight.pop_front();
            let nack = BasicNack {
                delivery_tag,
                multiple,
                requeue: false,
            };
            lane.incoming(Incoming::Method(nack.into())).unwrap();
            return;
        }
        self.store();
        // The queue may be faster than the confirm.
        if key == SLOT && self.dice.bool() {
            self.deliver();
        }
        let ack = BasicAck {
            delivery_tag,
            multiple,
        };
        lane.incoming(Incoming::Method(ack.into())).unwrap();
    }

    fn deliver(&mut self) {
        let Some(lane) = self.lane.clone() else {
            return;
        };
        let Some(content) = self.slot.pop_front() else {
            return;
        };
        self.tags += 1;
        self.held.insert(self.tags, content.clone());
        let incoming = delivered(self.tags, content);
        lane.incoming(incoming).unwrap();
    }

    /// What failed may be tried again; what was confirmed is there.
    fn listen(&mut self) {
        self.commits.retain(|id, answer| match answer.try_recv() {
            Ok(Ok(())) => {
                assert!(
                    self.target.contains_key(id),
                    "{id} was confirmed and is not there"
                );
                *answer = tokio::sync::oneshot::channel().1;
                true
            }
            Ok(Err(_)) => false,
            Err(_) => true,
        });
        for id in &self.rolled_back {
            assert!(
                !self.target.contains_key(id),
                "{id} was rolled back and sent"
            );
        }
    }
}

/// A slot's channel that is open.
fn opened(halves: &Arc<Halves>, serial: u64) -> Arc<SlotLane> {
    let taker: Arc<dyn Taker> = Arc::<Halves>::clone(halves);
    let weak: Weak<dyn Taker> = Arc::downgrade(&taker);
    let lane = SlotLane::new(SLOT.into(), weak);
    let (connection, key) = Connection::nowhere(serial);
    lane.opened(&connection, key);
    lane
}

/// What a lane has to write.
fn written(lane: &SlotLane) -> Vec<Incoming> {
    let mut out = Outbox::new(4096);
    while lane.fill(1, &mut out) {}
    let mut wire = BytesMut::new();
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let count = out.slices(&mut slices);
    slices[..count]
        .iter()
        .for_each(|it| wire.extend_from_slice(it));
    let (mut decoder, mut assembler) = (FrameDecoder::new(4096), Assembler::default());
    let mut all = Vec::new();
    while let Some(frame) = decoder.decode(&mut wire).unwrap() {
        all.extend(assembler.take(frame, 1 << 20).unwrap());
    }
    all
}

fn delivered(delivery_tag: u64, content: Content) -> Incoming {
    let deliver = BasicDeliver {
        consumer_tag: "c".into(),
        delivery_tag,
        redelivered: false,
        exchange: "".into(),
        routing_key: SLOT.into(),
    };
    Incoming::Content(Method::BasicDeliver(deliver), content)
}

/// Two thousand lives, in each of which all that can happen to a slot does in any order.
#[test]
fn a_half_message_ends_once_whatever_happens_to_its_slot() {
    for seed in 0..2000 {
        let mut bench = Bench::new(seed);
        for _ in 0..200 {
            match bench.dice.u8(..24) {
                0..4 => bench.begin(),
                4..9 => bench.act(),
                9..13 => bench.fill(),
                13..17 => bench.confirm(),
                17..21 => bench.deliver(),
                21 if bench.lane.is_some() => bench.lose(),
                _ if bench.lane.is_none() => bench.open(),
                _ => {}
            }
            bench.listen();
        }
        settle(&mut bench);
        for (half, mut answer) in bench.begun {
            let id = half.id.to_string();
            let there = bench
                .held
                .values()
                .chain(&bench.slot)
                .any(|content| Half::unwrapped(content).is_ok_and(|held| held.id == half.id));
            let ended = bench.commits.contains_key(&id) || bench.rolled_back.contains(&id);
            if matches!(answer.try_recv(), Ok(Ok(()))) {
                assert!(there || ended, "{seed}: {id} was stored, and is lost");
            }
            // A committed one may be held once more, after a loss; nobody asks about it then.
            assert!(
                !(there && ended),
                "{seed}: {id} was decided, and is still there"
            );
        }
    }
}

/// Until nothing moves any more.
fn settle(bench: &mut Bench) {
    if bench.lane.is_none() {
        bench.open();
    }
    for _ in 0..1000 {
        bench.fill();
        bench.confirm();
        bench.deliver();
        bench.listen();
        let idle = bench.lane.as_ref().is_some_and(|lane| lane.is_idle());
        if idle && bench.flight.is_empty() && bench.slot.is_empty() {
            return;
        }
    }
    panic!("it does not come to rest");
}

fn half() -> Half {
    let message = Message::new("paid", "body")
        .id("7")
        .header("tenant", "acme")
        .header("CC", vec![Value::from("copy")])
        .expires_after(Duration::from_secs(5))
        .transient();
    Half {
        id: "t".into(),
        message,
        exchange: "orders".into(),
        mandatory: false,
        born_ms: 1_800_000_000_001,
        checks: 3,
        checked_ms: 1_800_000_060_001,
    }
}

fn stored(message: &Message) -> Content {
    let mut properties = BytesMut::new();
    message.properties().encode(&mut properties);
    Content {
        properties: properties.freeze(),
        body: message.body().clone(),
        too_large: None,
    }
}

#[test]
fn a_half_message_is_stored_for_good_where_nobody_else_gets_it_and_comes_back_as_it_was() {
    let half = half();
    let wrapped = half.wrapped("slot".into());
    assert_eq!(wrapped.routing_key(), "slot");
    let properties = wrapped.properties();
    assert_eq!(
        (properties.delivery_mode, &properties.expiration),
        (Some(2), &None)
    );
    let headers = properties.headers.as_ref().unwrap();
    assert_eq!(headers.get("CC"), None);
    assert_eq!(Half::unwrapped(&stored(&wrapped)).unwrap(), half);
    let plain = Half {
        message: Message::new("paid", "body").id("8"),
        ..half
    };
    let wrapped = plain.wrapped("slot".into());
    assert_eq!(Half::unwrapped(&stored(&wrapped)).unwrap(), plain);
    let stray = Message::new("slot", "what is this");
    Half::unwrapped(&stored(&stray)).unwrap_err();
}

#[test]
fn a_check_is_due_by_the_clock_of_who_began_and_no_later_than_its_pause() {
    let (first, again) = (Duration::from_secs(60), Duration::from_secs(30));
    let mut half = half();
    let due = |half: &Half, now_ms| half.due_in(now_ms, first, again);
    assert_eq!(
        due(&half, half.checked_ms + 10_000),
        Duration::from_secs(20)
    );
    half.checks = 0;
    assert_eq!(due(&half, half.born_ms + 10_000), Duration::from_secs(50));
    assert_eq!(due(&half, half.born_ms + 90_000), Duration::ZERO);
    // A clock that is behind.
    assert_eq!(due(&half, half.born_ms - 90_000), first);
}
