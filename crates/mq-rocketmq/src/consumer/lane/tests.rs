use std::time::Duration;

use mq_core::{Clock, SystemClock};
use proptest::prelude::*;

use super::*;

fn now() -> Instant {
    SystemClock.now()
}

fn lane(by_hand: bool, offsets: impl IntoIterator<Item = i64>) -> Ledger<i64> {
    let mut ledger = Ledger::new(0, Some(0)).ordered(Some(Lane::new(by_hand, None)));
    let found = offsets.into_iter().map(|offset| (offset, 10, offset));
    ledger.pulled(found, 10);
    ledger
}

fn take(ledger: &mut Ledger<i64>) -> Loan {
    let offset = ledger.offer().expect("its turn");
    ledger.hand_out(offset, now()).unwrap().1
}

#[test]
fn the_next_is_offered_when_the_one_before_is_settled() {
    let mut ledger = lane(false, [2, 5, 6]);
    assert_eq!(ledger.offer(), Some(2));
    assert_eq!(ledger.offer(), None, "offered already");
    let (_, loan) = ledger.hand_out(2, now()).unwrap();
    assert_eq!(ledger.offer(), None, "held");
    ledger.ack(loan).unwrap();
    assert_eq!((ledger.offer(), ledger.commit()), (Some(5), 5));
}

#[test]
fn what_failed_is_the_next() {
    let mut ledger = lane(false, [1, 2]);
    let loan = take(&mut ledger);
    ledger.send_back(loan).unwrap();
    assert_eq!(ledger.offer(), None);
    ledger.defer(1, |kept| *kept).unwrap();
    assert_eq!(ledger.offer(), None, "suspended");
    ledger.again(1, |message| message + 100).unwrap();
    assert_eq!(ledger.offer(), Some(1));
    assert_eq!(ledger.hand_out(1, now()).unwrap().0, 101);
}

#[test]
fn a_batch_is_what_follows() {
    let mut ledger = lane(false, [1, 2, 3]);
    let first = take(&mut ledger);
    let (_, second) = ledger.hand_out_next(now()).unwrap();
    ledger.ack(second).unwrap();
    assert_eq!(ledger.offer(), None, "the first is held");
    assert_eq!(ledger.commit(), 1);
    ledger.ack(first).unwrap();
    assert_eq!(ledger.offer(), Some(3));
    assert_eq!(ledger.hand_out_next(now()), Err(Stale), "not held");
}

#[test]
fn what_is_kept_holds_the_offset_until_it_is_committed() {
    let mut ledger = lane(true, [1, 2, 3]);
    for _ in 0..2 {
        let loan = take(&mut ledger);
        assert_eq!(ledger.ack(loan), Ok(0));
    }
    assert_eq!((ledger.commit(), ledger.bytes()), (1, 30));
    assert_eq!(ledger.commit_kept(), 20);
    assert_eq!((ledger.commit(), ledger.bytes()), (3, 10));
    let loan = take(&mut ledger);
    ledger.ack(loan).unwrap();
    assert_eq!(ledger.commit_kept(), 10);
    assert_eq!(ledger.commit(), 10);
}

#[test]
fn a_rollback_brings_everything_kept_again_in_order() {
    let mut ledger = lane(true, [1, 2, 3]);
    for _ in 0..2 {
        let loan = take(&mut ledger);
        ledger.ack(loan).unwrap();
    }
    let loan = take(&mut ledger);
    assert_eq!(ledger.roll_back(loan), Ok((1, 1)));
    assert_eq!(ledger.offer(), None, "suspended");
    ledger.defer(1, |kept| *kept).unwrap();
    ledger.again(1, |kept| *kept).unwrap();
    for offset in 1..=3 {
        assert_eq!(ledger.ack(offset), Err(Stale), "an earlier delivery");
        let again = take(&mut ledger);
        assert_eq!(again.offset, offset);
        ledger.ack(again).unwrap();
    }
    assert_eq!(ledger.commit(), 1);
    ledger.commit_kept();
    assert_eq!(ledger.commit(), 10);
}

#[test]
fn a_lock_that_has_lapsed_hands_nothing_out_and_does_not_come_back() {
    let start = now();
    let until = start + Duration::from_secs(30);
    let mut ledger: Ledger<i64> = Ledger::new(0, None).ordered(Some(Lane::new(false, Some(until))));
    ledger.pulled([(0, 1, 0), (1, 1, 1)], 2);
    let offset = ledger.offer().unwrap();
    assert_eq!(ledger.hand_out(offset, until), Err(Stale));
    ledger.renew(until, until + Duration::from_secs(30));
    assert_eq!(ledger.lease(), Some(until));
    let later = until + Duration::from_secs(20);
    ledger.renew(start, later);
    assert_eq!(ledger.lease(), Some(later));
    ledger.hand_out(offset, until).unwrap();
}

#[test]
fn a_lane_that_ends_settles_what_is_held_and_hands_out_nothing_more() {
    let mut ledger = lane(false, [1, 2]);
    let loan = take(&mut ledger);
    assert!(ledger.end_lane());
    assert!(!ledger.end_lane(), "once");
    assert!(ledger.is_busy());
    ledger.ack(loan).unwrap();
    assert_eq!((ledger.offer(), ledger.commit()), (None, 2));
}

#[derive(Debug, Clone)]
enum Step {
    Pull(Vec<bool>),
    Take,
    TakeNext,
    Ack,
    Fail,
    Again,
    Release,
    Commit,
    RollBack,
    DeadLetter,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => proptest::collection::vec(any::<bool>(), 0..6).prop_map(Step::Pull),
        6 => Just(Step::Take),
        1 => Just(Step::TakeNext),
        4 => Just(Step::Ack),
        2 => Just(Step::Fail),
        4 => Just(Step::Again),
        1 => Just(Step::Release),
        1 => Just(Step::Commit),
        1 => Just(Step::RollBack),
        1 => Just(Step::DeadLetter),
    ]
}

/// What the user sees of a lane, and what must hold of it.
#[derive(Debug, Default)]
struct Seen {
    held: std::collections::VecDeque<Loan>,
    waiting: std::collections::BTreeSet<i64>,
    /// The highest that was handed out.
    last: Option<i64>,
    /// Below it everything is settled, whatever comes.
    done: std::collections::BTreeSet<i64>,
}

impl Seen {
    fn handed_out(&mut self, loan: Loan, pulled: &[i64]) {
        let first_time = self.last.is_none_or(|last| loan.offset > last);
        if first_time {
            // In order, and none is left out.
            let before = pulled.iter().rfind(|offset| **offset < loan.offset);
            assert_eq!(self.last, before.copied());
            self.last = Some(loan.offset);
        }
        assert!(!self.done.contains(&loan.offset), "it was settled");
        assert!(
            self.held
                .back()
                .is_none_or(|held| held.offset < loan.offset),
            "what is held at a time is in order"
        );
        assert!(self.waiting.is_empty(), "something before it waits");
        self.held.push_back(loan);
    }
}

struct Game {
    ledger: Ledger<i64>,
    by_hand: bool,
    seen: Seen,
    pulled: Vec<i64>,
    /// What is offered, and not handed out yet.
    ready: Option<i64>,
}

impl Game {
    fn new(by_hand: bool) -> Self {
        Self {
            ledger: Ledger::new(0, None).ordered(Some(Lane::new(by_hand, None))),
            by_hand,
            seen: Seen::default(),
            pulled: Vec::new(),
            ready: None,
        }
    }

    fn pull(&mut self, found: &[bool]) {
        let from = self.ledger.next();
        let offsets = (from..).zip(found).filter(|(_, found)| **found);
        let offsets: Vec<i64> = offsets.map(|(offset, _)| offset).collect();
        self.ledger
            .pulled(offsets.iter().map(|offset| (*offset, 7, *offset)), from);
        self.pulled.extend(offsets);
    }

    fn take(&mut self) {
        if let Some(offset) = self.ready.take() {
            let (_, loan) = self.ledger.hand_out(offset, now()).unwrap();
            assert!(self.seen.held.is_empty(), "one at a time");
            self.seen.handed_out(loan, &self.pulled);
        }
    }

    fn take_next(&mut self) {
        if !self.seen.held.is_empty()
            && self.seen.waiting.is_empty()
            && let Ok((_, loan)) = self.ledger.hand_out_next(now())
        {
            self.seen.handed_out(loan, &self.pulled);
        }
    }

    fn ack(&mut self) {
        if let Some(loan) = self.seen.held.pop_front() {
            self.ledger.ack(loan).unwrap();
            if !self.by_hand {
                self.seen.done.insert(loan.offset);
            }
        }
    }

    /// As `run_batch` does it: all of a batch share its end.
    fn fail(&mut self) {
        for loan in std::mem::take(&mut self.seen.held) {
            self.ledger.send_back(loan).unwrap();
            self.ledger.defer(loan.offset, |kept| *kept).unwrap();
            self.seen.waiting.insert(loan.offset);
        }
    }

    fn again(&mut self) {
        for offset in std::mem::take(&mut self.seen.waiting) {
            self.ledger.again(offset, |kept| *kept).unwrap();
        }
    }

    /// The only one that is held.
    fn alone(&mut self) -> Option<Loan> {
        (self.seen.held.len() == 1).then(|| self.seen.held.pop_front())?
    }

    fn roll_back(&mut self, loan: Loan) {
        let (first, _) = self.ledger.roll_back(loan).unwrap();
        self.ledger.defer(first, |kept| *kept).unwrap();
        self.seen.waiting.insert(first);
    }

    fn dead_letter(&mut self, loan: Loan) {
        self.ledger.send_back(loan).unwrap();
        self.ledger.sent_back(loan.offset).unwrap();
        self.seen.done.insert(loan.offset);
    }

    fn commit(&mut self) {
        self.ledger.commit_kept();
        let committed = self.ledger.commit();
        let below = self.pulled.iter().filter(|offset| **offset < committed);
        self.seen.done.extend(below);
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Pull(found) => self.pull(found),
            Step::Take => self.take(),
            Step::TakeNext => self.take_next(),
            Step::Ack => self.ack(),
            Step::Fail => self.fail(),
            Step::Again => self.again(),
            Step::Commit => self.commit(),
            Step::Release => {
                if let Some(loan) = self.alone() {
                    self.ledger.release(loan, false).unwrap();
                }
            }
            Step::RollBack => {
                if let Some(loan) = self.alone() {
                    self.roll_back(loan);
                }
            }
            Step::DeadLetter => {
                if let Some(loan) = self.alone() {
                    self.dead_letter(loan);
                }
            }
        }
    }

    fn check(&mut self) {
        self.ready = self.ready.or_else(|| self.ledger.offer());
        assert_eq!(self.ledger.offer(), None, "one at a time is offered");
        let open = self
            .pulled
            .iter()
            .filter(|offset| !self.seen.done.contains(offset));
        let open: Vec<_> = open.collect();
        assert_eq!(self.ledger.count(), open.len());
        let lowest = open.first().copied().copied();
        assert_eq!(
            self.ledger.commit(),
            lowest.unwrap_or_else(|| self.ledger.next())
        );
    }
}

fn play(by_hand: bool, steps: Vec<Step>) {
    let mut game = Game::new(by_hand);
    for step in steps {
        game.play(&step);
        game.check();
    }
}

proptest! {
    #[test]
    fn a_lane_is_in_order_whatever_happens(steps in proptest::collection::vec(step(), 0..160)) {
        play(false, steps);
    }

    #[test]
    fn a_lane_that_is_committed_by_hand_is_in_order(steps in proptest::collection::vec(step(), 0..160)) {
        play(true, steps);
    }
}
