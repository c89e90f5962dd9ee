//! What may happen, in any order, against a broker that forgets nothing: nothing may be lost, nor come twice.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What a broker knows: of each entry, which messages are left; and which it has to deliver.
struct Broker {
    left: Vec<Bits>,
    to_deliver: BTreeSet<usize>,
    sets: bool,
}

impl Broker {
    fn told(&mut self, told: Told) {
        let at = usize::try_from(told.place.1).unwrap();
        match told.left {
            None => self.left[at].clear(),
            Some(left) if self.sets => {
                let size = SIZES[at];
                let left = Bits::of_ack_set(size, &left);
                self.left[at].keep(&left);
            }
            // The others let it pass.
            Some(_) => {}
        }
        if self.left[at].is_empty() {
            self.to_deliver.remove(&at);
        }
    }

    fn all_again(&mut self) {
        self.to_deliver = (0..SIZES.len())
            .filter(|at| !self.left[*at].is_empty())
            .collect();
    }
}

/// Single messages, batches, and one that takes more than a word.
const SIZES: [u32; 6] = [1, 2, 3, 10, 70, 1];

/// What may happen, with a number that chooses what to.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deliver(usize),
    Take(usize),
    Ack(usize),
    Nack(usize),
    Due,
    DueAll,
    Flush {
        lost: bool,
    },
    Reconnect,
    /// The time of all that is handed out is over.
    Expire,
    /// To a message.
    Seek(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<usize>().prop_map(Step::Deliver),
        8 => any::<usize>().prop_map(Step::Take),
        8 => any::<usize>().prop_map(Step::Ack),
        3 => any::<usize>().prop_map(Step::Nack),
        2 => Just(Step::Due),
        1 => Just(Step::DueAll),
        3 => Just(Step::Flush { lost: false }),
        1 => Just(Step::Flush { lost: true }),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Expire),
        1 => (0..SIZES.len(), 0..12_u32).prop_map(|(at, index)| Step::Seek(at, index)),
    ]
}

struct World {
    tracker: Tracker,
    broker: Broker,
    epoch: u64,
    ready: BTreeSet<(usize, u32)>,
    held: BTreeSet<(usize, u32)>,
    acked: BTreeSet<(usize, u32)>,
    /// Told on a connection that was lost, so that nobody here knows.
    forgotten: BTreeSet<usize>,
    sets: bool,
}

impl World {
    fn new(sets: bool, broker_sets: bool) -> Self {
        let mut world = Self {
            tracker: tracker(),
            broker: Broker {
                left: SIZES.map(Bits::all).into(),
                to_deliver: BTreeSet::new(),
                sets: broker_sets,
            },
            epoch: 1,
            ready: BTreeSet::new(),
            held: BTreeSet::new(),
            acked: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            sets,
        };
        world.broker.all_again();
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Deliver(which) => {
                if let Some(at) = nth(&self.broker.to_deliver, which) {
                    self.deliver(at);
                }
            }
            Step::Take(which) => {
                if let Some((at, index)) = nth(&self.ready, which) {
                    self.take(at, index);
                }
            }
            Step::Ack(which) => {
                if let Some((at, index)) = nth(&self.held, which) {
                    self.tracker.ack((1, at as u64), index).unwrap_or(());
                    self.held.remove(&(at, index));
                    self.acked.insert((at, index));
                }
            }
            Step::Nack(which) => {
                if let Some((at, index)) = nth(&self.held, which) {
                    self.tracker.nack((1, at as u64), index, now()).unwrap();
                    self.held.remove(&(at, index));
                }
            }
            Step::Due => self.due(),
            Step::DueAll => self.due_all(),
            Step::Flush { lost } => {
                for told in self.tracker.flush(self.sets, 3) {
                    if lost {
                        self.forgotten
                            .insert(usize::try_from(told.place.1).unwrap());
                    } else {
                        self.broker.told(told);
                    }
                }
                if lost {
                    self.step(Step::Reconnect);
                }
            }
            Step::Reconnect => {
                self.tracker.lost();
                self.ready.clear();
                self.epoch += 1;
                self.tracker.begin(self.epoch);
                self.broker.all_again();
            }
            Step::Expire => {
                assert_eq!(self.tracker.expire(now()), self.held.len() as u64);
                self.held.clear();
            }
            Step::Seek(at, index) => self.seek(at, index),
        }
        self.check();
    }

    fn due(&mut self) {
        for place in self.tracker.due(now()) {
            let at = usize::try_from(place.1).unwrap();
            self.tracker.asked(place);
            self.ready.retain(|(of, _)| *of != at);
            self.broker.to_deliver.insert(at);
        }
    }

    fn due_all(&mut self) {
        if !self.tracker.due(now()).is_empty() {
            self.tracker.asked_all();
            self.ready.clear();
            self.broker.all_again();
        }
    }

    fn deliver(&mut self, at: usize) {
        self.broker.to_deliver.remove(&at);
        let wanted = if self.broker.sets {
            self.broker.left[at].clone()
        } else if self.broker.left[at].is_empty() {
            return;
        } else {
            Bits::all(SIZES[at])
        };
        let fresh = self.tracker.arrived((1, at as u64), SIZES[at], wanted);
        for index in (0..SIZES[at]).filter(|index| fresh.has(*index)) {
            assert!(self.ready.insert((at, index)), "ready twice: {at}.{index}");
        }
    }

    /// The broker knows entries; what is before the message inside of its own is for the client to leave out.
    fn seek(&mut self, start: usize, first: u32) {
        self.tracker.restart(Some(((1, start as u64), first)));
        self.ready.clear();
        self.held.clear();
        self.acked.clear();
        self.forgotten.clear();
        for (at, size) in SIZES.into_iter().enumerate() {
            self.broker.left[at] = if at < start {
                Bits::none(size)
            } else {
                Bits::all(size)
            };
            let skipped = (0..size).filter(|index| (at, *index) < (start, first));
            self.acked.extend(skipped.map(|index| (at, index)));
        }
        self.step(Step::Reconnect);
    }

    fn take(&mut self, at: usize, index: u32) {
        self.ready.remove(&(at, index));
        assert!(self.tracker.take((1, at as u64), index));
        self.tracker.lend((1, at as u64), index, Some(now()));
        assert!(
            self.held.insert((at, index)),
            "handed out twice: {at}.{index}"
        );
        let again = self.acked.contains(&(at, index)) && !self.forgotten.contains(&at);
        // A broker that keeps no sets, though it is told them, delivers what it was told.
        if !self.sets || self.broker.sets {
            assert!(!again, "handed out once more: {at}.{index}");
        }
        self.acked.remove(&(at, index));
    }

    /// The broker never takes for handled what is not.
    fn check(&self) {
        for (at, left) in self.broker.left.iter().enumerate() {
            for index in (0..SIZES[at]).filter(|index| !left.has(*index)) {
                let handed_again = self.forgotten.contains(&at) || self.sets != self.broker.sets;
                assert!(
                    self.acked.contains(&(at, index))
                        || handed_again && self.held.contains(&(at, index)),
                    "{at}.{index} is lost"
                );
            }
        }
        assert_eq!(self.tracker.held(), self.held.len());
    }

    /// Whatever happened: in the end everything is handled, and the broker knows.
    fn finish(mut self) {
        for _ in 0..20 {
            for step in [
                Step::Due,
                Step::Reconnect,
                Step::Flush { lost: false },
                Step::Flush { lost: false },
            ] {
                self.step(step);
            }
            while !self.broker.to_deliver.is_empty() {
                self.step(Step::Deliver(0));
            }
            while !self.ready.is_empty() {
                self.step(Step::Take(0));
            }
            while !self.held.is_empty() {
                self.step(Step::Ack(0));
            }
            self.step(Step::Flush { lost: false });
            self.step(Step::Flush { lost: false });
        }
        let left: u32 = self.broker.left.iter().map(Bits::count).sum();
        assert_eq!(left, 0, "never told");
    }
}

fn nth<T: Copy>(of: &BTreeSet<T>, which: usize) -> Option<T> {
    of.iter().nth(which.checked_rem(of.len())?).copied()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice_that_was_not_given_back(
        steps in prop::collection::vec(step(), 1..200),
        sets in any::<bool>(),
        broker_sets in any::<bool>(),
    ) {
        let mut world = World::new(sets, broker_sets);
        for step in steps {
            world.step(step);
        }
        world.finish();
    }
}
