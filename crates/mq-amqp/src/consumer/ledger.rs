//! Which deliveries of a channel are settled, and how to say so in few frames.
//!
//! Invariant: `basic.ack` with `multiple` is written for a tag only if everything up to it is settled, and what was refused among it has
//! been refused in a frame before. So a message that nobody has acknowledged is never acknowledged along with others.

use std::collections::{BTreeMap, VecDeque};

/// What was decided of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Done with it.
    Ack,
    /// The broker is to deliver it again.
    Requeue,
    /// The broker is to dead-letter it, or drop it where there are no dead letters.
    Reject,
    /// Nothing is said: it goes back with the channel.
    Leave,
}

/// A frame to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Ack { tag: u64, multiple: bool },
    Nack { tag: u64, requeue: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Held,
    /// Acknowledged, and not written.
    Acked,
    /// Written.
    Done,
    /// Nobody holds it, and the broker is told nothing of it.
    Left,
}

/// The unsettled deliveries of one channel.
///
/// ```text
///  stragglers: held for long │ entries: base … the last that came
/// ```
///
/// Memory is bounded by what is held: entries that are settled behind one that is held for long don't stay for it.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The tag of the first entry.
    base: u64,
    entries: VecDeque<Entry>,
    /// How many entries there may be beyond twice what is held.
    spare: usize,
    /// Below the base: what is held, and whether it is acknowledged by now and that not written.
    stragglers: BTreeMap<u64, bool>,
    /// Something was left, which an acknowledgement of many would cover.
    left: bool,
    held: usize,
    /// Acknowledged since the last write.
    acked: Vec<u64>,
    refused: Vec<(u64, bool)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            base: 1,
            entries: VecDeque::new(),
            spare: SPARE,
            stragglers: BTreeMap::new(),
            left: false,
            held: 0,
            acked: Vec::new(),
            refused: Vec::new(),
        }
    }
}

impl Ledger {
    /// A delivery has come. Tags of a channel are counted up by one; anything else is refused.
    pub(super) fn delivered(&mut self, tag: u64) -> bool {
        if tag != self.base + self.entries.len() as u64 {
            return false;
        }
        self.entries.push_back(Entry::Held);
        self.held += 1;
        true
    }

    /// Records what was decided; the answer is whether the delivery was held.
    pub(super) fn settle(&mut self, tag: u64, decision: Decision) -> bool {
        let was_held = if tag < self.base {
            self.settle_straggler(tag, decision)
        } else {
            self.settle_entry(tag, decision)
        };
        if was_held {
            self.held -= 1;
            match decision {
                Decision::Ack => self.acked.push(tag),
                Decision::Requeue | Decision::Reject => {
                    self.refused.push((tag, decision == Decision::Requeue));
                }
                Decision::Leave => {}
            }
        }
        was_held
    }

    fn settle_entry(&mut self, tag: u64, decision: Decision) -> bool {
        let Some(entry) = self.entry(tag).filter(|entry| **entry == Entry::Held) else {
            return false;
        };
        *entry = match decision {
            Decision::Ack => Entry::Acked,
            Decision::Requeue | Decision::Reject => Entry::Done,
            Decision::Leave => Entry::Left,
        };
        true
    }

    fn settle_straggler(&mut self, tag: u64, decision: Decision) -> bool {
        let Some(acked) = self.stragglers.get_mut(&tag).filter(|acked| !**acked) else {
            return false;
        };
        if decision == Decision::Ack {
            *acked = true;
        } else {
            self.left |= decision == Decision::Leave;
            self.stragglers.remove(&tag);
        }
        true
    }

    fn entry(&mut self, tag: u64) -> Option<&mut Entry> {
        let at = tag.checked_sub(self.base)?;
        self.entries.get_mut(usize::try_from(at).ok()?)
    }

    /// How many decisions wait to be written.
    pub(super) const fn news(&self) -> usize {
        self.acked.len() + self.refused.len()
    }

    /// How many are held by somebody.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Everything that was decided, as frames. Refusals first, so that an acknowledgement of many does not cover one.
    pub(super) fn write(&mut self, mut put: impl FnMut(Write)) {
        for (tag, requeue) in self.refused.drain(..) {
            put(Write::Nack { tag, requeue });
        }
        if self.stragglers.is_empty() && !self.left {
            self.write_many(&mut put);
        }
        let mut acked = std::mem::take(&mut self.acked);
        for tag in acked.drain(..) {
            if tag < self.base {
                // Not there: it was among the many.
                if self.stragglers.remove(&tag).is_none() {
                    continue;
                }
            } else if let Some(entry) = self.entry(tag) {
                *entry = Entry::Done;
            }
            put(Write::Ack {
                tag,
                multiple: false,
            });
        }
        self.acked = acked;
        self.trim();
    }

    /// What is settled from the first entry on, in one frame.
    fn write_many(&mut self, put: &mut impl FnMut(Write)) {
        let settled = self
            .entries
            .iter()
            .take_while(|entry| !matches!(entry, Entry::Held | Entry::Left))
            .count();
        let mut last = None;
        let mut count = 0;
        for (tag, entry) in (self.base..).zip(self.entries.drain(..settled)) {
            if entry == Entry::Acked {
                last = Some(tag);
                count += 1;
            }
        }
        self.base += settled as u64;
        if let Some(tag) = last {
            put(Write::Ack {
                tag,
                multiple: count > 1,
            });
        }
    }

    /// Lets go of what is written, and sets those apart that hold up too many. Nothing is left to be written by now.
    fn trim(&mut self) {
        let most = self.held.saturating_mul(2).saturating_add(self.spare);
        while let Some(first) = self.entries.front() {
            if *first != Entry::Done && self.entries.len() <= most {
                return;
            }
            match first {
                Entry::Held => {
                    self.stragglers.insert(self.base, false);
                }
                Entry::Left => self.left = true,
                Entry::Acked | Entry::Done => {}
            }
            self.entries.pop_front();
            self.base += 1;
        }
    }
}

/// So that one that is a little slower than the others does not cost frames.
const SPARE: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a broker makes of frames: each tag is acknowledged or refused once.
    #[derive(Default)]
    struct Broker {
        held: BTreeMap<u64, Option<Decision>>,
    }

    impl Broker {
        fn read(&mut self, write: Write) {
            match write {
                Write::Ack { tag, multiple } => {
                    assert!(self.held.contains_key(&tag), "unknown delivery tag {tag}");
                    let first = if multiple { 0 } else { tag };
                    let covered: Vec<u64> =
                        self.held.range(first..=tag).map(|(tag, _)| *tag).collect();
                    for tag in covered {
                        let decided = self.held.remove(&tag).unwrap();
                        assert_eq!(decided, Some(Decision::Ack), "{tag} was acknowledged along");
                    }
                }
                Write::Nack { tag, requeue } => {
                    let decided = self.held.remove(&tag).expect("unknown delivery tag");
                    let wanted = if requeue {
                        Decision::Requeue
                    } else {
                        Decision::Reject
                    };
                    assert_eq!(decided, Some(wanted));
                }
            }
        }
    }

    fn decision() -> impl Strategy<Value = Decision> {
        prop_oneof![4 => Just(Decision::Ack), 1 => Just(Decision::Requeue), 1 => Just(Decision::Reject), 1 => Just(Decision::Leave)]
    }

    proptest! {
        #[test]
        fn each_delivery_is_settled_as_was_decided_and_once(spare in 0..40_usize, steps in proptest::collection::vec((0_u8..6, any::<u64>(), decision()), 1..200)) {
            let mut ledger = Ledger { spare, ..Ledger::default() };
            let mut broker = Broker::default();
            let mut next = 1;
            for (step, pick, decision) in steps {
                match step {
                    0 | 1 => {
                        prop_assert!(ledger.delivered(next));
                        broker.held.insert(next, None);
                        next += 1;
                    }
                    2..=4 if !broker.held.is_empty() => {
                        let at = usize::try_from(pick % broker.held.len() as u64).unwrap();
                        let (tag, decided) = broker.held.iter_mut().nth(at).unwrap();
                        prop_assert_eq!(ledger.settle(*tag, decision), decided.is_none());
                        decided.get_or_insert(decision);
                    }
                    _ => {
                        ledger.write(|write| broker.read(write));
                        prop_assert_eq!(ledger.news(), 0);
                        let left = broker.held.values().filter(|decided| **decided == Some(Decision::Leave)).count();
                        let undecided = broker.held.values().filter(|decided| decided.is_none()).count();
                        prop_assert_eq!(left + undecided, broker.held.len(), "something decided was not written");
                        prop_assert_eq!(ledger.held(), undecided);
                        prop_assert!(ledger.entries.len() + ledger.stragglers.len() <= undecided * 3 + spare, "it grows");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_contiguous_is_one_frame() {
        let mut ledger = Ledger::default();
        for tag in 1..=6 {
            assert!(ledger.delivered(tag));
        }
        for tag in [3, 1, 2, 5] {
            assert!(ledger.settle(tag, Decision::Ack));
        }
        let mut writes = Vec::new();
        ledger.write(|write| writes.push(write));
        assert_eq!(
            writes,
            [
                Write::Ack {
                    tag: 3,
                    multiple: true
                },
                Write::Ack {
                    tag: 5,
                    multiple: false
                }
            ]
        );
        assert!(!ledger.settle(5, Decision::Ack), "twice");
        assert!(!ledger.delivered(9), "a tag was left out");
    }

    /// A message that is retried in place for ever, and streams, which take nothing back.
    #[test]
    fn it_does_not_grow_behind_what_is_held_for_long() {
        for decision in [None, Some(Decision::Leave)] {
            let mut ledger = Ledger::default();
            assert!(ledger.delivered(1));
            if let Some(decision) = decision {
                assert!(ledger.settle(1, decision));
            }
            let mut acked = Vec::new();
            for tag in 2..=100_001 {
                assert!(ledger.delivered(tag));
                assert!(ledger.settle(tag, Decision::Ack));
                if tag % 2 == 0 {
                    continue;
                }
                ledger.write(|write| match write {
                    Write::Ack {
                        tag,
                        multiple: false,
                    } => acked.push(tag),
                    other => panic!("{other:?} covers the first"),
                });
            }
            assert!(acked.into_iter().eq(2..=100_001));
            assert!(ledger.entries.capacity() <= 4 * SPARE, "it grew");
            assert!(ledger.stragglers.len() <= 1);
            assert_eq!(ledger.settle(1, Decision::Ack), decision.is_none());
        }
    }

    /// Many at a time again, as soon as the one is settled.
    #[test]
    fn one_that_was_held_for_long_costs_frames_no_longer() {
        let mut ledger = Ledger {
            spare: 0,
            ..Ledger::default()
        };
        let settle = |ledger: &mut Ledger, tags: &[u64]| {
            for tag in tags {
                assert!(ledger.settle(*tag, Decision::Ack));
            }
            let mut writes = Vec::new();
            ledger.write(|write| writes.push(write));
            writes
        };
        let ack = |tag, multiple| Write::Ack { tag, multiple };
        assert!((1..=6).all(|tag| ledger.delivered(tag)));
        let singles = [2, 3, 4, 5, 6].map(|tag| ack(tag, false));
        assert_eq!(settle(&mut ledger, &[2, 3, 4, 5, 6]), singles);
        assert_eq!(ledger.stragglers.len(), 1);
        assert!((7..=10).all(|tag| ledger.delivered(tag)));
        assert_eq!(settle(&mut ledger, &[7]), [ack(7, false)]);
        assert_eq!(settle(&mut ledger, &[1, 8]), [ack(1, false), ack(8, false)]);
        assert_eq!(settle(&mut ledger, &[9, 10]), [ack(10, true)]);
    }
}
