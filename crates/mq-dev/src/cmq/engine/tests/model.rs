//! Random commands against what the documents say of each message, one at a time.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const VISIBLE_AFTER: u64 = 3_000;
const KEPT: u64 = 60_000;
const MOST: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Send {
        count: usize,
        delay: u32,
    },
    Receive {
        dead: bool,
        count: usize,
        wait: u32,
    },
    /// One of all handles that were ever given.
    Delete(prop::sample::Index),
    Cancel(prop::sample::Index),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..4_usize, prop_oneof![2 => Just(0), 1 => 0..6_u32])
            .prop_map(|(count, delay)| Step::Send { count, delay }),
        4 => (any::<bool>(), 1..5_usize, prop_oneof![1 => Just(0), 1 => 1..8_u32])
            .prop_map(|(dead, count, wait)| Step::Receive { dead, count, wait }),
        4 => any::<prop::sample::Index>().prop_map(Step::Delete),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        4 => prop_oneof![Just(1), 1..1_500_u64, Just(VISIBLE_AFTER), 1..20_000_u64].prop_map(Step::Pass),
    ]
}

/// What one message is at a time.
#[derive(Debug, Clone)]
struct Message {
    dead: bool,
    enqueued: u64,
    receives: u32,
    /// Nobody but the holder can have it before.
    visible: u64,
    handle: Option<u64>,
    deleted: bool,
}

impl Message {
    /// As it is at `now`.
    fn at(&mut self, now: u64) -> &mut Self {
        if self.handle.is_some() && self.visible <= now && !self.gone(self.visible) {
            self.handle = None;
            if !self.dead && self.receives >= MOST {
                self.dead = true;
                self.receives = 0;
                self.enqueued = self.visible;
            }
        }
        self
    }

    const fn gone(&self, now: u64) -> bool {
        self.deleted || self.enqueued + KEPT <= now
    }

    const fn can_be_had(&self, now: u64) -> bool {
        !self.gone(now) && self.visible <= now
    }
}

struct World {
    engine: Engine,
    now: u64,
    messages: HashMap<u64, Message>,
    handles: Vec<(bool, u64, u64)>,
    waiters: Vec<Waiter>,
}

impl World {
    fn new() -> Self {
        let second = Duration::from_secs(1);
        let spec = |name: &str| {
            QueueSpec::new(name)
                .visibility(3 * second)
                .retention(60 * second)
        };
        Self {
            engine: with([spec("dead"), spec("q").dead_letter("dead", MOST)]),
            now: START,
            messages: HashMap::new(),
            handles: Vec::new(),
            waiters: Vec::new(),
        }
    }

    fn queue(dead: bool) -> &'static str {
        if dead { "dead" } else { "q" }
    }

    fn got(&mut self, dead: bool, messages: &[Delivered]) {
        for one in messages {
            let at = one.next_visible - VISIBLE_AFTER;
            let message = self.messages.get_mut(&one.id).expect("it was sent").at(at);
            assert!(message.can_be_had(at), "{one:?} {message:?}");
            assert_eq!(message.dead, dead, "{one:?} {message:?}");
            message.receives += 1;
            message.visible = one.next_visible;
            message.handle = Some(one.handle);
            assert_eq!(one.receives, message.receives);
            assert_eq!(one.enqueued, message.enqueued);
            self.handles.push((dead, one.id, one.handle));
        }
    }

    /// What those who wait were told; and nobody waits for what is there.
    fn look(&mut self) {
        for effect in self.engine.take_effects() {
            match effect {
                Effect::Deliver(waiter, messages) => {
                    assert!(self.waiters.contains(&waiter));
                    self.waiters.retain(|one| *one != waiter);
                    self.got(waiter.0 == 1, &messages);
                }
                Effect::End(waiter, _) => self.waiters.retain(|one| *one != waiter),
                Effect::Push(_) | Effect::Ask(_) => unreachable!(),
            }
        }
        for dead in [false, true] {
            if self.engine.waiting(Self::queue(dead)) > 0 {
                assert_eq!(self.there(dead), 0, "somebody waits for what is there");
            }
        }
    }

    fn there(&mut self, dead: bool) -> usize {
        let now = self.now;
        let all = self.messages.values_mut().map(|message| message.at(now));
        all.filter(|message| message.dead == dead && message.can_be_had(now))
            .count()
    }

    fn receive(&mut self, dead: bool, count: usize, wait: u32) {
        let there = self.there(dead);
        let received = self
            .engine
            .receive(self.now, Self::queue(dead), want(count), Some(wait));
        match received.unwrap() {
            Received::Now(messages) => {
                assert_eq!(messages.len(), there.min(count));
                self.got(dead, &messages);
            }
            Received::Later(waiter) => {
                assert_eq!(there, 0);
                self.waiters.push(waiter);
            }
            Received::Empty => assert_eq!(there, 0),
        }
    }

    fn delete(&mut self, (dead, id, handle): (bool, u64, u64)) {
        let now = self.now;
        let message = self.messages.get_mut(&id).unwrap().at(now);
        let valid = message.handle == Some(handle) && !message.gone(now) && message.visible > now;
        let deleted = self.engine.delete(now, Self::queue(dead), handle);
        assert_eq!(deleted.is_ok(), valid, "{message:?}");
        message.deleted |= valid;
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send { count, delay } => {
                let ids = self.engine.send(self.now, "q", &vec!["x"; count], delay);
                let message = Message {
                    dead: false,
                    enqueued: self.now,
                    receives: 0,
                    visible: self.now + u64::from(delay) * 1000,
                    handle: None,
                    deleted: false,
                };
                for id in ids.unwrap() {
                    self.messages.insert(id, message.clone());
                }
            }
            Step::Receive { dead, count, wait } => self.receive(dead, count, wait),
            Step::Delete(ref which) if !self.handles.is_empty() => {
                let one = *which.get(&self.handles);
                self.delete(one);
            }
            Step::Cancel(ref which) if !self.waiters.is_empty() => {
                let one = *which.get(&self.waiters);
                self.engine.cancel(one);
                self.waiters.retain(|waiter| *waiter != one);
            }
            Step::Delete(_) | Step::Cancel(_) => {}
            Step::Pass(time) => {
                self.now += time;
                self.engine.advance(self.now);
            }
        }
        self.look();
    }

    /// Whoever waits gives up; everything that is left comes, and then nothing is left.
    fn drain(&mut self) {
        for waiter in std::mem::take(&mut self.waiters) {
            self.engine.cancel(waiter);
        }
        for _ in 0..=2 * MOST {
            self.now += VISIBLE_AFTER;
            for dead in [false, true] {
                self.receive(dead, usize::MAX, 0);
            }
        }
        let now = self.now;
        let left = self.messages.values_mut().map(|message| message.at(now));
        let left = left.filter(|message| !message.gone(now));
        assert!(
            left.into_iter()
                .all(|message| message.dead && message.handle.is_some())
        );
        for one in self.handles.clone() {
            self.delete(one);
        }
        assert!(self.messages.values().all(|message| message.gone(now)));
        let state = self.engine.queue_state(now, "dead").unwrap();
        assert_eq!((state.active, state.inactive, state.delayed), (0, 0, 0));
        assert_eq!(self.engine.bytes, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_message_is_lost_held_twice_or_deleted_by_an_old_handle(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.drain();
    }
}
