//! What one queue owes: which messages are not settled, and how far the group's offset may go.
//!
//! ```text
//!   offset  10    11    12    13    14    15 ◄─ next: where the next pull begins
//!           done  held  gap   done  ready
//!                 ▲
//!                 commit(): the lowest that is not settled, else `next`
//! ```
//!
//! Only what is not settled is kept, so that memory is bounded by the prefetch limits and not by how far the queue ran ahead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lane::Lane;

/// Where an unsettled message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the local buffer; in an ordered queue, until it is its turn.
    Ready,
    /// Of an ordered queue: in the local buffer.
    Offered,
    /// In the user's hands since then.
    Held(Instant),
    /// On its way back to the broker: settled once the broker has confirmed.
    Returning,
    /// To be handed out again after a while, without a broker.
    Waiting,
    /// Given back while the consumer closes: stays uncommitted, and another consumer will get it.
    Left,
    /// Acknowledged, and to be committed by hand.
    Kept,
}

#[derive(Debug)]
pub(super) struct Entry<M> {
    pub(super) message: M,
    pub(super) bytes: usize,
    pub(super) place: Place,
    /// How often it has waited for another delivery.
    pub(super) round: u32,
}

/// A message in the user's hands: who still has an earlier delivery of it, taken back in the meantime, settles nothing by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loan {
    pub(crate) offset: i64,
    round: u32,
}

/// The first delivery of a message.
impl From<i64> for Loan {
    fn from(offset: i64) -> Self {
        Self { offset, round: 0 }
    }
}

/// The unsettled messages of one queue; `M` is the message.
///
/// Calling order: [`pulled`](Self::pulled) adds what a pull found, [`hand_out`](Self::hand_out) gives a message to the user,
/// then one of [`ack`](Self::ack), [`send_back`](Self::send_back), [`release`](Self::release); a message sent back ends with
/// [`sent_back`](Self::sent_back), or goes by [`defer`](Self::defer) and [`again`](Self::again) into the buffer once more. After [`revoke`](Self::revoke) nothing moves any more.
#[derive(Debug)]
pub(crate) struct Ledger<M> {
    pub(super) entries: BTreeMap<i64, Entry<M>>,
    pub(super) bytes: usize,
    next: i64,
    persisted: Option<i64>,
    pub(super) revoked: bool,
    /// If the queue is ordered.
    pub(super) lane: Option<Lane>,
}

/// The queue is no longer this consumer's, or the message was taken out of the caller's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale;

impl<M: Clone> Ledger<M> {
    /// A queue read from `next` on. `persisted` is what the broker has stored for the group.
    pub(crate) fn new(next: i64, persisted: Option<i64>) -> Self {
        Self {
            entries: BTreeMap::new(),
            bytes: 0,
            next,
            persisted,
            revoked: false,
            lane: None,
        }
    }

    /// In order, if there is a lane.
    pub(crate) fn ordered(self, lane: Option<Lane>) -> Self {
        Self { lane, ..self }
    }

    /// Where the next pull begins.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// How many messages are not settled.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// How many bytes the unsettled messages hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How far the queue ran ahead of what may be committed.
    pub(crate) fn span(&self) -> i64 {
        self.next.saturating_sub(self.commit())
    }

    /// Whether the queue is lost.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// The offset the group may commit: everything below it is settled. It never goes back.
    pub(crate) fn commit(&self) -> i64 {
        self.entries
            .first_key_value()
            .map_or(self.next, |(offset, _)| *offset)
    }

    /// The offset to commit, if the broker has another and the queue is still ours.
    pub(crate) fn unpersisted(&self) -> Option<i64> {
        let commit = self.commit();
        (!self.revoked && self.persisted != Some(commit)).then_some(commit)
    }

    /// The broker has stored `offset` for the group.
    pub(crate) fn persisted(&mut self, offset: i64) {
        self.persisted = Some(self.persisted.map_or(offset, |known| known.max(offset)));
    }

    /// What a pull found, and where the next one begins. Offsets that are in neither (filtered out, compacted away) count as settled;
    /// what lies below the last pull's end was dealt with before and is left out. The answer is the offsets that were taken up.
    pub(crate) fn pulled(
        &mut self,
        found: impl IntoIterator<Item = (i64, usize, M)>,
        next: i64,
    ) -> Vec<i64> {
        let mut taken = Vec::new();
        if self.revoked {
            return taken;
        }
        let floor = self.next;
        for (offset, bytes, message) in found {
            if offset < floor || self.entries.contains_key(&offset) {
                continue;
            }
            taken.push(offset);
            self.entries.insert(
                offset,
                Entry {
                    message,
                    bytes,
                    place: Place::Ready,
                    round: 0,
                },
            );
            self.bytes += bytes;
            self.next = self.next.max(offset.saturating_add(1));
        }
        self.next = self.next.max(next);
        taken
    }

    /// Gives a buffered message to the user.
    pub(crate) fn hand_out(&mut self, offset: i64, now: Instant) -> Result<(M, Loan), Stale> {
        if self.lane.is_some_and(|lane| !lane.is_open(now)) {
            return Err(Stale);
        }
        let entry = self.moved(offset, |place| {
            matches!(place, Place::Ready | Place::Offered).then_some(Place::Held(now))
        })?;
        let round = entry.round;
        Ok((entry.message.clone(), Loan { offset, round }))
    }

    /// Settles a message in the user's hands. The answer is how many bytes it frees.
    pub(crate) fn ack(&mut self, loan: impl Into<Loan>) -> Result<usize, Stale> {
        let offset = self.held(loan)?;
        if self.lane.is_some_and(|lane| lane.by_hand) {
            self.moved(offset, |_| Some(Place::Kept))?;
            return Ok(0);
        }
        Ok(self.settle(offset))
    }

    /// Takes a message out of the user's hands, to be sent back to the broker.
    pub(crate) fn send_back(&mut self, loan: impl Into<Loan>) -> Result<M, Stale> {
        let offset = self.held(loan)?;
        let entry = self.moved(offset, |_| Some(Place::Returning))?;
        Ok(entry.message.clone())
    }

    /// The broker has taken back what was on its way.
    pub(crate) fn sent_back(&mut self, offset: i64) -> Result<usize, Stale> {
        match self.entries.get(&offset) {
            Some(Entry {
                place: Place::Returning,
                ..
            }) if !self.revoked => Ok(self.settle(offset)),
            _ => Err(Stale),
        }
    }

    /// What was to go back waits here instead, as `keep` makes it of what it was.
    pub(crate) fn defer(&mut self, offset: i64, keep: impl FnOnce(&M) -> M) -> Result<(), Stale> {
        let entry = self.moved(offset, |place| {
            (place == Place::Returning).then_some(Place::Waiting)
        })?;
        entry.message = keep(&entry.message);
        Ok(())
    }

    /// What has waited can be handed out again, as `renew` makes it of what it was.
    pub(crate) fn again(&mut self, offset: i64, renew: impl FnOnce(&M) -> M) -> Result<(), Stale> {
        let entry = self.moved(offset, |place| {
            (place == Place::Waiting).then_some(Place::Ready)
        })?;
        entry.message = renew(&entry.message);
        entry.round = entry.round.wrapping_add(1);
        Ok(())
    }

    /// Takes a message out of the user's hands, unsettled and uncounted: into the buffer again, or, `closing`, left to others.
    pub(crate) fn release(&mut self, loan: impl Into<Loan>, closing: bool) -> Result<(), Stale> {
        let offset = self.held(loan)?;
        let place = if closing { Place::Left } else { Place::Ready };
        let entry = self.moved(offset, |_| Some(place))?;
        // Who meant the delivery that has ended does not mean the next.
        entry.round = entry.round.wrapping_add(1);
        Ok(())
    }

    /// The offset of a message that the user still has, by this delivery of it.
    pub(super) fn held(&self, loan: impl Into<Loan>) -> Result<i64, Stale> {
        let Loan { offset, round } = loan.into();
        let entry = self.entries.get(&offset).ok_or(Stale)?;
        let is_held = matches!(entry.place, Place::Held(_)) && entry.round == round;
        (is_held && !self.revoked).then_some(offset).ok_or(Stale)
    }

    /// What is held for longer than `limit`.
    pub(crate) fn overdue(&self, now: Instant, limit: Duration) -> Vec<Loan> {
        let late = |entry: &Entry<M>| match entry.place {
            Place::Held(since) => now.saturating_duration_since(since) >= limit,
            _ => false,
        };
        if self.revoked {
            return Vec::new();
        }
        self.entries
            .iter()
            .filter(|(_, entry)| late(entry))
            .map(|(offset, entry)| Loan {
                offset: *offset,
                round: entry.round,
            })
            .collect()
    }

    /// Whether messages are held by the user, or on their way back.
    pub(crate) fn is_busy(&self) -> bool {
        let busy = |entry: &Entry<M>| matches!(entry.place, Place::Held(_) | Place::Returning);
        !self.revoked && self.entries.values().any(busy)
    }

    /// The queue is lost: what is not settled is forgotten, since its new owner gets it. The answer is how many bytes that frees.
    pub(crate) fn revoke(&mut self) -> usize {
        self.revoked = true;
        // The offset stands where it stood: a late `commit()` must not jump to `next`.
        self.next = self.commit();
        self.entries.clear();
        std::mem::take(&mut self.bytes)
    }

    fn moved(
        &mut self,
        offset: i64,
        to: impl Fn(Place) -> Option<Place>,
    ) -> Result<&mut Entry<M>, Stale> {
        if self.revoked {
            return Err(Stale);
        }
        let entry = self.entries.get_mut(&offset).ok_or(Stale)?;
        entry.place = to(entry.place).ok_or(Stale)?;
        Ok(entry)
    }

    fn settle(&mut self, offset: i64) -> usize {
        let freed = self.entries.remove(&offset).map_or(0, |entry| entry.bytes);
        self.bytes -= freed;
        freed
    }
}

#[cfg(test)]
mod tests {
    use mq_core::{Clock, SystemClock};
    use proptest::prelude::*;

    use super::*;

    fn now() -> Instant {
        SystemClock.now()
    }

    fn with(offsets: impl IntoIterator<Item = i64>, next: i64) -> Ledger<i64> {
        let mut ledger = Ledger::new(0, Some(0));
        ledger.pulled(offsets.into_iter().map(|offset| (offset, 10, offset)), next);
        ledger
    }

    #[test]
    fn the_offset_stops_at_the_lowest_unsettled() {
        let mut ledger = with(0..10, 10);
        for offset in 0..10 {
            ledger.hand_out(offset, now()).unwrap();
        }
        for offset in (0..10).filter(|offset| *offset != 3) {
            ledger.ack(offset).unwrap();
        }
        assert_eq!(ledger.commit(), 3);
        assert_eq!((ledger.count(), ledger.bytes(), ledger.span()), (1, 10, 7));
        ledger.ack(3).unwrap();
        assert_eq!(ledger.commit(), 10);
    }

    #[test]
    fn gaps_count_as_settled() {
        let mut ledger = with([2, 5], 9);
        assert_eq!(ledger.commit(), 2);
        for offset in [2, 5] {
            ledger.hand_out(offset, now()).unwrap();
            ledger.ack(offset).unwrap();
        }
        assert_eq!(ledger.commit(), 9);
        // A pull that found nothing for us still moves the offset.
        ledger.pulled([], 40);
        assert_eq!((ledger.commit(), ledger.unpersisted()), (40, Some(40)));
    }

    #[test]
    fn a_message_sent_back_holds_the_offset_until_the_broker_has_it() {
        let mut ledger = with(0..2, 2);
        ledger.hand_out(0, now()).unwrap();
        ledger.send_back(0).unwrap();
        assert_eq!(ledger.commit(), 0);
        assert_eq!(ledger.ack(0), Err(Stale), "taken out of the user's hands");
        assert_eq!(ledger.sent_back(0), Ok(10));
        assert_eq!(ledger.commit(), 1);
    }

    #[test]
    fn a_message_that_waits_holds_the_offset_and_comes_again_renewed() {
        let mut ledger = with(0..2, 2);
        ledger.hand_out(0, now()).unwrap();
        assert_eq!(ledger.defer(0, |kept| *kept), Err(Stale), "the user has it");
        ledger.send_back(0).unwrap();
        assert!(ledger.is_busy());
        ledger.defer(0, |kept| *kept).unwrap();
        assert!(!ledger.is_busy(), "closing does not wait for it");
        assert_eq!(ledger.hand_out(0, now()), Err(Stale), "not yet");
        assert_eq!(ledger.commit(), 0);
        ledger.again(0, |message| message + 100).unwrap();
        assert_eq!(ledger.again(0, |message| *message), Err(Stale));
        let (message, loan) = ledger.hand_out(0, now()).unwrap();
        assert_eq!(message, 100);
        assert_eq!(ledger.ack(0), Err(Stale), "an earlier delivery");
        assert_eq!(ledger.release(0, false), Err(Stale));
        assert_eq!(ledger.send_back(0), Err(Stale));
        let limit = Duration::from_secs(1);
        assert_eq!(ledger.overdue(now() + limit, limit), [loan]);
        ledger.ack(loan).unwrap();
        assert_eq!(ledger.commit(), 1);
    }

    #[test]
    fn a_release_can_be_handed_out_again_and_while_closing_it_can_not() {
        let mut ledger = with(0..2, 2);
        ledger.hand_out(0, now()).unwrap();
        assert_eq!(ledger.hand_out(0, now()), Err(Stale));
        ledger.release(0, false).unwrap();
        let (_, loan) = ledger.hand_out(0, now()).unwrap();
        assert_eq!(
            ledger.send_back(0),
            Err(Stale),
            "the delivery that has ended"
        );
        ledger.release(loan, true).unwrap();
        assert_eq!(ledger.hand_out(0, now()), Err(Stale));
        assert_eq!(ledger.commit(), 0);
        assert!(!ledger.is_busy());
    }

    #[test]
    fn a_revoked_queue_neither_settles_nor_commits_nor_takes_up() {
        let mut ledger = with(0..3, 3);
        ledger.hand_out(1, now()).unwrap();
        ledger.hand_out(2, now()).unwrap();
        ledger.send_back(2).unwrap();
        assert_eq!(ledger.revoke(), 30);
        assert_eq!(ledger.ack(1), Err(Stale));
        assert_eq!(ledger.sent_back(2), Err(Stale));
        assert_eq!(ledger.release(1, false), Err(Stale));
        assert!(ledger.pulled([(3, 1, 3)], 4).is_empty());
        assert_eq!((ledger.commit(), ledger.unpersisted()), (0, None));
    }

    #[test]
    fn only_what_the_user_holds_can_be_overdue() {
        let start = now();
        let limit = Duration::from_secs(900);
        let mut ledger = with(0..3, 3);
        ledger.hand_out(0, start).unwrap();
        ledger.hand_out(1, start + Duration::from_secs(1)).unwrap();
        assert_eq!(ledger.overdue(start + limit, limit), [Loan::from(0)]);
        ledger.send_back(0).unwrap();
        assert_eq!(ledger.overdue(start + limit * 2, limit), [Loan::from(1)]);
    }

    #[test]
    fn a_broker_that_answers_below_the_asked_offset_gives_nothing_twice() {
        let mut ledger = with(0..4, 4);
        assert_eq!(ledger.pulled([(2, 10, 2), (4, 10, 4)], 3), [4]);
        assert_eq!(ledger.next(), 5);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Pull(Vec<bool>, i64),
        HandOut(i64),
        Ack(i64),
        SendBack(i64),
        SentBack(i64),
        Release(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let offset = 0..60_i64;
        prop_oneof![
            (proptest::collection::vec(any::<bool>(), 0..8), 0..3_i64)
                .prop_map(|(found, gap)| Step::Pull(found, gap)),
            offset.clone().prop_map(Step::HandOut),
            offset.clone().prop_map(Step::Ack),
            offset.clone().prop_map(Step::SendBack),
            offset.clone().prop_map(Step::SentBack),
            offset.prop_map(Step::Release),
        ]
    }

    proptest! {
        /// Against the plainest model there is: a set of what was pulled and not settled.
        #[test]
        fn the_offset_only_rises_and_passes_nothing_unsettled(steps in proptest::collection::vec(step(), 0..120)) {
            let mut ledger: Ledger<i64> = Ledger::new(0, None);
            let mut open = std::collections::BTreeSet::new();
            let mut last = 0;
            for step in steps {
                match step {
                    Step::Pull(found, gap) => {
                        let from = ledger.next();
                        let kept: Vec<i64> = (from..).zip(&found).filter(|(_, found)| **found).map(|(offset, _)| offset).collect();
                        let next = from + i64::try_from(found.len()).unwrap() + gap;
                        ledger.pulled(kept.iter().map(|offset| (*offset, 7, *offset)), next);
                        open.extend(kept);
                    }
                    Step::HandOut(offset) => { let _ = ledger.hand_out(offset, now()); }
                    Step::Ack(offset) => if ledger.ack(offset).is_ok() { assert!(open.remove(&offset)); },
                    Step::SendBack(offset) => { let _ = ledger.send_back(offset); }
                    Step::SentBack(offset) => if ledger.sent_back(offset).is_ok() { assert!(open.remove(&offset)); },
                    Step::Release(offset) => { let _ = ledger.release(offset, false); }
                }
                prop_assert!(ledger.commit() >= last);
                last = ledger.commit();
                prop_assert_eq!(last, open.first().copied().unwrap_or_else(|| ledger.next()));
                prop_assert_eq!(ledger.count(), open.len());
                prop_assert_eq!(ledger.bytes(), open.len() * 7);
            }
        }
    }
}
