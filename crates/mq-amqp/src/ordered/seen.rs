//! Which numbers of which producers were settled here.

use std::collections::{BTreeMap, HashMap};

use bytestring::ByteString;

/// What was settled of a partition, as long as its consumer lives. It may forget, oldest first, and never takes one for settled that was not: gaps are kept,
/// since what failed once may be sent later.
#[derive(Debug, Default)]
pub(super) struct Seen {
    producers: HashMap<ByteString, Settled>,
    turn: u64,
}

#[derive(Debug, Default)]
struct Settled {
    /// First to last, both included; none touches the next.
    ranges: BTreeMap<u64, u64>,
    /// When it was added to.
    turn: u64,
}

impl Seen {
    pub(super) fn contains(&self, producer: &str, number: u64) -> bool {
        let settled = self.producers.get(producer);
        settled.is_some_and(|settled| settled.contains(number))
    }

    pub(super) fn insert(&mut self, producer: &ByteString, number: u64) {
        self.turn += 1;
        let known = self.producers.contains_key(producer);
        if !known && self.producers.len() >= MOST_PRODUCERS {
            let oldest = self.producers.iter().min_by_key(|(_, it)| it.turn);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.producers.remove(&oldest);
            }
        }
        let settled = self.producers.entry(producer.clone()).or_default();
        settled.turn = self.turn;
        settled.insert(number);
    }
}

impl Settled {
    fn contains(&self, number: u64) -> bool {
        let before = self.ranges.range(..=number).next_back();
        before.is_some_and(|(_, last)| number <= *last)
    }

    fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let (mut first, mut last) = (number, number);
        if let Some((start, end)) = self.ranges.range(..number).next_back()
            && end.checked_add(1) == Some(number)
        {
            first = *start;
        }
        let next = number.checked_add(1);
        if let Some(end) = next.and_then(|next| self.ranges.remove(&next)) {
            last = end;
        }
        self.ranges.insert(first, last);
        if self.ranges.len() > MOST_RANGES {
            self.ranges.pop_first();
        }
    }
}

/// Of each producer: one more with each send that failed and was not made again.
const MOST_RANGES: usize = 64;
const MOST_PRODUCERS: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_settled_is_known_and_nothing_else(numbers in proptest::collection::vec(0_u64..100, 0..200)) {
            let (mut seen, mut model) = (Seen::default(), BTreeSet::new());
            let producer = ByteString::from("p");
            for number in numbers {
                seen.insert(&producer, number);
                model.insert(number);
                for at in 0..101 {
                    prop_assert_eq!(seen.contains("p", at), model.contains(&at));
                }
            }
            prop_assert!(!seen.contains("another", 0));
        }
    }

    #[test]
    fn it_is_bounded_and_forgets_the_oldest() {
        let mut seen = Seen::default();
        for at in 0..1000 {
            seen.insert(&"gaps".into(), at * 2);
        }
        assert_eq!(seen.producers["gaps"].ranges.len(), MOST_RANGES);
        assert!(seen.contains("gaps", 1998) && !seen.contains("gaps", 0));
        for at in 0..MOST_PRODUCERS {
            seen.insert(&at.to_string().into(), u64::MAX);
        }
        assert_eq!(seen.producers.len(), MOST_PRODUCERS);
        assert!(!seen.contains("gaps", 1998));
    }
}
