//! Which deliveries of a channel are settled, and how to say so in few frames.
//!
//! Invariant: `basic.ack` with `multiple` is written for a tag only if everything up to it is settled, and what was refused among it has
//! been refused in a frame before. So a message that nobody has acknowledged is never acknowledged along with others.

use std::collections::VecDeque;

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

/// The unsettled deliveries of one channel, from the lowest tag that is not done.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The tag of the first entry.
    base: u64,
    entries: VecDeque<Entry>,
    /// Acknowledged since the last write.
    acked: Vec<u64>,
    refused: Vec<(u64, bool)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            base: 1,
            entries: VecDeque::new(),
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
        true
    }

    /// Records what was decided; the answer is whether the delivery was held.
    pub(super) fn settle(&mut self, tag: u64, decision: Decision) -> bool {
        let at = tag
            .checked_sub(self.base)
            .and_then(|at| usize::try_from(at).ok());
        let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) else {
            return false;
        };
        if *entry != Entry::Held {
            return false;
        }
        match decision {
            Decision::Ack => {
                *entry = Entry::Acked;
                self.acked.push(tag);
            }
            Decision::Requeue | Decision::Reject => {
                *entry = Entry::Done;
                self.refused.push((tag, decision == Decision::Requeue));
            }
            Decision::Leave => *entry = Entry::Left,
        }
        true
    }

    /// How many decisions wait to be written.
    pub(super) const fn news(&self) -> usize {
        self.acked.len() + self.refused.len()
    }

    /// How many are held by somebody.
    pub(super) fn held(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| **entry == Entry::Held)
            .count()
    }

    /// Everything that was decided, as frames. Refusals first, so that an acknowledgement of many does not cover one.
    pub(super) fn write(&mut self, mut put: impl FnMut(Write)) {
        for (tag, requeue) in self.refused.drain(..) {
            put(Write::Nack { tag, requeue });
        }
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
        for tag in self.acked.drain(..) {
            let at = tag
                .checked_sub(self.base)
                .and_then(|at| usize::try_from(at).ok());
            if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
                *entry = Entry::Done;
                put(Write::Ack {
                    tag,
                    multiple: false,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
        fn each_delivery_is_settled_as_was_decided_and_once(steps in proptest::collection::vec((0_u8..4, any::<u64>(), decision()), 1..200)) {
            let mut ledger = Ledger::default();
            let mut broker = Broker::default();
            let mut next = 1;
            for (step, pick, decision) in steps {
                match step {
                    0 | 1 => {
                        prop_assert!(ledger.delivered(next));
                        broker.held.insert(next, None);
                        next += 1;
                    }
                    2 if !broker.held.is_empty() => {
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
}
