//! What the broker is told of a partition's messages, and what is forgotten then.

use super::{Place, Tracked, Tracker};

/// What is to be acknowledged to the broker.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::consumer) struct Told {
    pub(in crate::consumer) place: Place,
    /// What is left of a batch; `None`: nothing is.
    pub(in crate::consumer) left: Option<Vec<i64>>,
    pub(in crate::consumer) cumulative: bool,
}

impl Tracker {
    /// Whether there is something to tell.
    pub(in crate::consumer) fn has_news(&self) -> bool {
        !self.news.is_empty() || self.cumulative.is_some()
    }

    pub(in crate::consumer) fn news(&self) -> usize {
        self.news.len()
    }

    /// Whether the next that is told of an entry tells what was acknowledged of it just now.
    pub(in crate::consumer) fn is_told(&self, place: Place, sets: bool) -> bool {
        let tracked = self
            .entries
            .get(&place)
            .filter(|_| self.news.contains(&place));
        tracked.is_some_and(|tracked| sets || tracked.left.is_empty())
    }

    /// Whether it is to be told that everything up to a message is acknowledged.
    pub(in crate::consumer) const fn has_upto(&self) -> bool {
        self.cumulative.is_some()
    }

    /// What to tell the broker, at most so many. `sets`: it keeps acknowledgement sets.
    pub(in crate::consumer) fn flush(&mut self, sets: bool, most: usize) -> Vec<Told> {
        let mut told = Vec::new();
        if let Some((place, left)) = self.cumulative.take() {
            told.push(Told {
                place,
                left: left.map(|left| left.to_ack_set()),
                cumulative: true,
            });
        }
        while told.len() < most {
            let Some(place) = self.news.pop_first() else {
                break;
            };
            let Some(tracked) = self.entries.get_mut(&place) else {
                continue;
            };
            if tracked.left.is_empty() {
                self.forget(place);
                told.push(Told::entry(place, None));
            } else if sets {
                tracked.untold.clear();
                let left = tracked.left.to_ack_set();
                told.push(Told::entry(place, Some(left)));
                self.rest(place);
            } else {
                self.rest(place);
            }
        }
        told
    }

    /// An entry of which nothing is here or handed out is remembered only for what was acknowledged of it, and not for ever.
    pub(super) fn rest(&mut self, place: Place) {
        let Some(tracked) = self.entries.get(&place) else {
            return;
        };
        let here = [&tracked.ready, &tracked.held, &tracked.waiting];
        if here.iter().any(|here| !here.is_empty()) || self.news.contains(&place) {
            return;
        }
        let acked = !tracked.untold.is_empty() || tracked.left.count() < tracked.size;
        if !acked || self.epoch == 0 && tracked.untold.is_empty() {
            self.forget(place);
            return;
        }
        self.idle.push_back(place);
        while self.idle.len() > REMEMBERED
            && let Some(oldest) = self.idle.pop_front()
        {
            let idle = self.entries.get(&oldest).is_some_and(Tracked::is_idle);
            if idle && !self.news.contains(&oldest) {
                self.forget(oldest);
            }
        }
    }

    pub(super) fn forget(&mut self, place: Place) {
        if let Some(tracked) = self.entries.remove(&place) {
            self.held -= tracked.held.count() as usize;
        }
        self.news.remove(&place);
    }
}

impl Told {
    pub(super) const fn entry(place: Place, left: Option<Vec<i64>>) -> Self {
        Self {
            place,
            left,
            cumulative: false,
        }
    }
}

/// So many entries of which nothing is here are remembered.
pub(super) const REMEMBERED: usize = 10_000;
