//! One send at a time for each ordering key and each explicit queue.
//!
//! ```text
//!   joined ─► (the producer's line) ─► enter ──free──► under way ─► leave: the next of the lane
//!                                        └──busy──► waits in the lane ──┘   or, after a failure, all that had joined: overtaken
//! ```
//!
//! What had joined before a send of its lane failed is not sent: it would come before what failed, once that is sent again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::conn::QueueId;
use crate::error::Error;

/// Whose order is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Key { topic: Arc<str>, key: Arc<str> },
    Queue(QueueId),
}

/// A place among those that have joined a lane.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) lane: Lane,
    serial: u64,
}

/// What entering came to.
#[derive(Debug)]
pub(crate) enum Entered<T> {
    /// The lane is free: go.
    Go(T),
    /// Kept here until the one before is at its end.
    Waits,
    /// One before it failed with this error.
    Overtaken(T, Error),
}

/// How one leaves.
#[derive(Debug)]
pub(crate) enum Left {
    /// It was under way and succeeded.
    Done,
    /// It was under way and failed, or its time was over before it began.
    Failed(Error),
    /// It was given up by who wanted it, or overtaken.
    Gone,
}

/// Who is concerned by a leave.
#[derive(Debug)]
pub(crate) struct Freed<T> {
    /// It is this one's turn.
    pub(crate) next: Option<T>,
    /// These are not to be sent any more, because of that.
    pub(crate) overtaken: Vec<(T, Error)>,
}

/// Those whose time is over, and when the next one's is.
#[derive(Debug)]
pub(crate) struct Swept<T> {
    pub(crate) expired: Vec<T>,
    pub(crate) next: Option<Instant>,
}

/// All lanes of a producer; `T` is a send.
#[derive(Debug)]
pub(crate) struct Lanes<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    lanes: HashMap<Lane, Line<T>>,
    serial: u64,
}

#[derive(Debug)]
struct Line<T> {
    /// How many have joined and not left.
    members: usize,
    busy: bool,
    waiting: VecDeque<(u64, Instant, T)>,
    broken: Vec<Break>,
}

/// A failure, and whom it takes along: who joined behind it until it was known.
#[derive(Debug)]
struct Break {
    after: u64,
    until: u64,
    error: Error,
}

impl<T> Lanes<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            lanes: HashMap::new(),
            serial: 0,
        }))
    }

    /// Joins a lane, in the order of calls.
    pub(crate) fn join(&self, lane: Lane) -> Slot {
        let mut state = self.lock();
        state.serial += 1;
        let serial = state.serial;
        let line = state.lanes.entry(lane.clone()).or_default();
        line.members += 1;
        Slot { lane, serial }
    }

    /// There is room for it: it goes, waits for its turn, or is too late.
    pub(crate) fn enter(&self, slot: &Slot, until: Instant, item: T) -> Entered<T> {
        let mut state = self.lock();
        let Some(line) = state.lanes.get_mut(&slot.lane) else {
            return Entered::Go(item);
        };
        // They enter in the order in which they joined: nobody older asks any more.
        line.broken.retain(|broken| slot.serial <= broken.until);
        let mut broken = line.broken.iter();
        if let Some(broken) = broken.find(|broken| broken.after < slot.serial) {
            return Entered::Overtaken(item, broken.error.clone());
        }
        if line.busy {
            line.waiting.push_back((slot.serial, until, item));
            return Entered::Waits;
        }
        line.busy = true;
        Entered::Go(item)
    }

    /// One is at its end. `entered`: it was told to go.
    pub(crate) fn leave(&self, slot: &Slot, entered: bool, how: Left) -> Freed<T> {
        let mut state = self.lock();
        let serial = state.serial;
        let mut freed = Freed {
            next: None,
            overtaken: Vec::new(),
        };
        let Some(line) = state.lanes.get_mut(&slot.lane) else {
            return freed;
        };
        line.members = line.members.saturating_sub(1);
        if let Left::Failed(error) = how {
            freed.overtaken = line.break_at(slot.serial, serial, error);
        }
        if entered {
            freed.next = line.waiting.pop_front().map(|(_, _, item)| item);
            line.busy = freed.next.is_some();
        }
        if line.members == 0 {
            state.lanes.remove(&slot.lane);
        }
        freed
    }

    /// Takes out what has waited too long for its turn. Each leaves as [`Left::Failed`], which takes those behind it along.
    pub(crate) fn sweep(&self, now: Instant) -> Swept<T> {
        let mut state = self.lock();
        let (mut expired, mut next) = (Vec::new(), None::<Instant>);
        for line in state.lanes.values_mut() {
            if let Some(first) = line.waiting.iter().position(|(_, until, _)| *until <= now)
                && let Some((_, _, item)) = line.waiting.remove(first)
            {
                expired.push(item);
            }
            let until = line.waiting.iter().map(|(_, until, _)| *until).min();
            next = next.into_iter().chain(until).min();
        }
        Swept { expired, next }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Line<T> {
    /// Those behind `after` that have joined `until` now are not to be sent. The answer is those that wait here.
    fn break_at(&mut self, after: u64, until: u64, error: Error) -> Vec<(T, Error)> {
        let keep = self.waiting.partition_point(|(at, ..)| *at < after);
        let behind = self.waiting.split_off(keep).into_iter();
        let behind = behind.map(|(_, _, item)| (item, error.clone())).collect();
        if self.members > 0 {
            self.broken.push(Break {
                after,
                until,
                error,
            });
        }
        behind
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            members: 0,
            busy: false,
            waiting: VecDeque::new(),
            broken: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mq_core::{Clock, ErrorKind, SystemClock};

    use super::*;

    fn lane() -> Lane {
        Lane::Key {
            topic: "t".into(),
            key: "k".into(),
        }
    }

    fn error() -> Error {
        Error::builder(ErrorKind::Timeout, "no answer").build()
    }

    struct Run {
        lanes: Lanes<usize>,
        slots: Vec<Slot>,
        now: Instant,
    }

    impl Run {
        fn with(count: usize) -> Self {
            let lanes = Lanes::new();
            let slots = (0..count).map(|_| lanes.join(lane())).collect();
            let now = SystemClock.now();
            Self { lanes, slots, now }
        }

        /// The answer is `Some` if it goes, `None` if it waits; else what it was overtaken by.
        fn enter(&self, name: usize, seconds: u64) -> Result<Option<usize>, Error> {
            let until = self.now + Duration::from_secs(seconds);
            match self.lanes.enter(&self.slots[name], until, name) {
                Entered::Go(name) => Ok(Some(name)),
                Entered::Waits => Ok(None),
                Entered::Overtaken(_, error) => Err(error),
            }
        }

        fn leave(&self, name: usize, entered: bool, how: Left) -> (Option<usize>, Vec<usize>) {
            let freed = self.lanes.leave(&self.slots[name], entered, how);
            let overtaken = freed.overtaken.into_iter();
            (freed.next, overtaken.map(|(name, _)| name).collect())
        }
    }

    #[test]
    fn one_goes_at_a_time_in_order() {
        let run = Run::with(3);
        assert_eq!(run.enter(0, 9).unwrap(), Some(0));
        assert_eq!(run.enter(1, 9).unwrap(), None);
        assert_eq!(run.enter(2, 9).unwrap(), None);
        assert_eq!(run.leave(0, true, Left::Done), (Some(1), vec![]));
        assert_eq!(run.leave(1, true, Left::Done), (Some(2), vec![]));
        assert_eq!(run.leave(2, true, Left::Done), (None, vec![]));
        assert!(run.lanes.lock().lanes.is_empty(), "nothing piles up");
    }

    #[test]
    fn a_failure_takes_along_who_had_joined_and_nobody_later() {
        let mut run = Run::with(3);
        run.enter(0, 9).unwrap();
        run.enter(1, 9).unwrap();
        // 2 is still in the producer's line.
        let failed = Left::Failed(error());
        assert_eq!(run.leave(0, true, failed), (None, vec![1]));
        assert_eq!(run.leave(1, false, Left::Gone), (None, vec![]));
        run.slots.push(run.lanes.join(lane()));
        assert_eq!(run.enter(2, 9).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(run.leave(2, false, Left::Gone), (None, vec![]));
        assert_eq!(run.enter(3, 9).unwrap(), Some(3));
    }

    #[test]
    fn one_that_never_began_takes_along_only_those_behind_it() {
        let run = Run::with(3);
        // 1 is at its end in the producer's line, before 0 had room.
        assert_eq!(run.leave(1, false, Left::Failed(error())), (None, vec![]));
        assert_eq!(run.enter(0, 9).unwrap(), Some(0));
        assert!(run.enter(2, 9).is_err());
    }

    #[test]
    fn one_that_was_withdrawn_takes_nobody_along() {
        let run = Run::with(2);
        assert_eq!(run.leave(0, false, Left::Gone), (None, vec![]));
        assert_eq!(run.enter(1, 9).unwrap(), Some(1));
    }

    #[test]
    fn who_waits_too_long_for_its_turn_takes_along_those_behind_it() {
        let run = Run::with(4);
        for (name, seconds) in [(0, 9), (1, 8), (2, 3), (3, 9)] {
            run.enter(name, seconds).unwrap();
        }
        let swept = run.lanes.sweep(run.now + Duration::from_secs(3));
        assert_eq!(swept.expired, [2]);
        assert_eq!(swept.next, Some(run.now + Duration::from_secs(8)));
        assert_eq!(run.leave(2, false, Left::Failed(error())), (None, vec![3]));
        assert_eq!(run.leave(3, false, Left::Gone), (None, vec![]));
        assert_eq!(run.leave(0, true, Left::Done), (Some(1), vec![]));
    }
}
