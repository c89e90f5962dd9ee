//! Who was given a message: only that one settles it. With a time-out every delivery is another loan; without, all are the same until a seek.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::{Place, Tracker};

#[derive(Debug, Default)]
pub(super) struct Loans {
    /// The last one.
    number: u64,
    /// They end by themselves.
    timed: bool,
    /// Of those that do: who has a message now.
    open: BTreeMap<(Place, u32), u64>,
    /// And when each ends, settled or not; all last as long.
    ends: VecDeque<(Instant, Place, u32, u64)>,
}

impl Loans {
    fn give(&mut self, place: Place, index: u32, end: Option<Instant>) -> u64 {
        if let Some(end) = end {
            self.timed = true;
            self.number += 1;
            self.open.insert((place, index), self.number);
            self.ends.push_back((end, place, index, self.number));
        }
        self.number
    }

    fn keep(&mut self, place: Place, index: u32) -> u64 {
        if self.timed {
            self.number += 1;
            self.open.insert((place, index), self.number);
        }
        self.number
    }

    fn is_open(&self, place: Place, index: u32, loan: u64) -> bool {
        if self.timed {
            return self.open.get(&(place, index)) == Some(&loan);
        }
        self.number == loan
    }

    pub(super) fn back(&mut self, place: Place, index: u32) {
        if self.timed {
            self.open.remove(&(place, index));
        }
    }

    pub(super) fn end_all(&mut self) {
        self.number += 1;
        self.open.clear();
        self.ends.clear();
    }

    /// The end that comes next, without those of what was settled.
    fn next(&mut self) -> Option<Instant> {
        while let Some((end, place, index, loan)) = self.ends.front().copied() {
            if self.is_open(place, index, loan) {
                return Some(end);
            }
            self.ends.pop_front();
        }
        None
    }
}

impl Tracker {
    /// Notes who has a message that was taken, and until when.
    pub(in crate::consumer) fn lend(
        &mut self,
        place: Place,
        index: u32,
        end: Option<Instant>,
    ) -> u64 {
        self.loans.give(place, index, end)
    }

    /// Whoever had a message leaves it to somebody who has it without an end.
    pub(in crate::consumer) fn keep(&mut self, place: Place, index: u32) -> u64 {
        self.loans.keep(place, index)
    }

    /// Whether this loan of it holds still.
    pub(in crate::consumer) fn is_lent(&self, place: Place, index: u32, loan: u64) -> bool {
        self.loans.is_open(place, index, loan)
    }

    pub(in crate::consumer) fn next_end(&mut self) -> Option<Instant> {
        self.loans.next()
    }

    /// Takes back what was not settled in its time: it is due now. Answers how much that was.
    pub(in crate::consumer) fn expire(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        while self.loans.next().is_some_and(|end| end <= now) {
            let Some((_, place, index, _)) = self.loans.ends.pop_front() else {
                break;
            };
            self.loans.back(place, index);
            // It may have been acknowledged with others.
            expired += u64::from(self.nack(place, index, now).is_ok());
        }
        expired
    }
}
