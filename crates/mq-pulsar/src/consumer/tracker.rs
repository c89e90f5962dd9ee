//! What became of the messages of one partition: which are here, which are handed out, what the broker has to be told.
//!
//! ```text
//!   arrived ─► ready ─► take ─► held ─► ack ───────────────► untold ─► flush: the entry, or the set of those that are left
//!                ▲               └────► nack ─► waiting ─► due: asked for again ─┐
//!                └──────────────────────────── the broker delivers it again ◄────┘
//! ```
//!
//! The broker stores and forgets entries, and an entry may be a batch: acknowledging a message of it is never more than that message. An
//! entry that comes again brings only what is neither here nor handled. Without sockets and clocks: it is told the time.

mod loans;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::Instant;

use self::loans::Loans;
pub(super) use self::tell::Told;
use super::bits::Bits;

/// Ledger and entry.
pub(super) type Place = (u64, u64);

/// The messages of a partition, by the place of their entry.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    entries: BTreeMap<Place, Tracked>,
    /// Entries of which something is to be told.
    news: BTreeSet<Place>,
    /// When what was not handled is asked for again.
    later: BTreeSet<(Instant, Place, u32)>,
    /// Remembered for what was acknowledged of them, should they come again; the oldest first.
    idle: VecDeque<Place>,
    /// Everything up to there is acknowledged, and the broker is not told yet.
    cumulative: Option<(Place, Option<Bits>)>,
    /// Everything up to there was acknowledged by this subscription.
    upto: Option<(Place, u32)>,
    /// Everything up to there was acknowledged before, and the broker was not told.
    redo: Option<(Place, u32)>,
    /// The subscription that stands; 0 for none.
    epoch: u64,
    held: usize,
    loans: Loans,
    /// Of the entry there, nothing before this index is wanted.
    start: Option<(Place, u32)>,
}

#[derive(Debug)]
struct Tracked {
    size: u32,
    /// The subscription that it last came by.
    epoch: u64,
    /// Not acknowledged, as far as is known. Contains the next three, of which none has what another has.
    left: Bits,
    /// Here, for whoever receives next.
    ready: Bits,
    /// Handed out.
    held: Bits,
    /// Not handled, and asked for again at its time.
    waiting: Bits,
    /// Acknowledged here; the broker may not know.
    untold: Bits,
}

/// The message is not this consumer's any longer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stale;

impl Tracker {
    /// A subscription begins: the broker delivers everything again that it does not know to be handled.
    pub(super) fn begin(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// The subscription is gone. What was handed out stays so; the rest is forgotten but for what the broker may not know.
    pub(super) fn lost(&mut self) {
        self.epoch = 0;
        self.later.clear();
        self.news.clear();
        let upto = self.upto.take();
        if self.cumulative.take().is_some() {
            self.redo = upto;
        }
        let places: Vec<_> = self.entries.keys().copied().collect();
        for place in places {
            if let Some(tracked) = self.entries.get_mut(&place) {
                tracked.ready.clear();
                tracked.waiting.clear();
                self.rest(place);
            }
        }
    }

    /// An entry has come, of which these are wanted; answers which are to be handed out.
    pub(super) fn arrived(&mut self, place: Place, size: u32, wanted: Bits) -> Bits {
        let epoch = self.epoch;
        let known = self.entries.get(&place);
        if known.is_none_or(|known| known.size != size) {
            self.forget(place);
            let tracked = Tracked::new(size, epoch);
            self.entries.insert(place, tracked);
        }
        // They come in order where everything up to one can be acknowledged.
        self.redo = self.redo.filter(|(redo, _)| place <= *redo);
        let done = self.upto.max(self.redo);
        let Some(tracked) = self.entries.get_mut(&place) else {
            return Bits::none(size);
        };
        for index in (0..size).take_while(|at| Some((place, *at)) <= done) {
            tracked.untold.set(index);
        }
        if let Some((_, first)) = self.start.filter(|(start, _)| *start == place) {
            (0..first.min(size)).for_each(|index| tracked.untold.set(index));
        }
        let mut left = wanted.clone();
        left.remove(&tracked.untold);
        if tracked.epoch == epoch {
            // A broker that keeps no sets delivers the whole entry again.
            left.keep(&tracked.left);
        }
        tracked.epoch = epoch;
        let gone = tracked.held.count();
        tracked.held.keep(&left);
        self.held -= (gone - tracked.held.count()) as usize;
        tracked.ready.keep(&left);
        tracked.waiting.keep(&left);
        let mut fresh = left.clone();
        for here in [&tracked.ready, &tracked.held, &tracked.waiting] {
            fresh.remove(here);
        }
        tracked.ready.add(&fresh);
        tracked.left = left;
        let mut known_here = wanted;
        known_here.keep(&tracked.untold);
        if !known_here.is_empty() || tracked.left.is_empty() {
            self.news.insert(place);
        }
        fresh
    }

    /// Hands a message out, if it is still to be.
    pub(super) fn take(&mut self, place: Place, index: u32) -> bool {
        let Some(tracked) = self.entries.get_mut(&place) else {
            return false;
        };
        let ready = tracked.ready.take(index);
        if ready {
            tracked.held.set(index);
            self.held += 1;
        }
        ready
    }

    /// A message that was handed out is handled.
    ///
    /// # Errors
    ///
    /// The broker can't be told: its subscription is gone, and it may deliver the message to anybody. Should it come here again, it is known.
    pub(super) fn ack(&mut self, place: Place, index: u32) -> Result<(), Stale> {
        if self.acked_up_to(place, index) {
            return Ok(());
        }
        let tracked = self.entries.get_mut(&place).ok_or(Stale)?;
        if !tracked.held.take(index) {
            return Err(Stale);
        }
        self.held -= 1;
        self.loans.back(place, index);
        tracked.left.take(index);
        tracked.untold.set(index);
        if tracked.epoch == self.epoch && self.epoch != 0 {
            self.news.insert(place);
            return Ok(());
        }
        self.rest(place);
        Err(Stale)
    }

    /// What can't be read, and never will be: as if it were handled. Answers how much that was.
    pub(super) fn discard(&mut self, place: Place) -> u32 {
        let Some(tracked) = self.entries.get_mut(&place) else {
            return 0;
        };
        let count = tracked.ready.count();
        tracked.left.remove(&tracked.ready);
        tracked.untold.add(&tracked.ready);
        tracked.ready.clear();
        self.news.insert(place);
        count
    }

    /// Everything up to this message is handled. `sets`: the broker keeps them.
    ///
    /// # Errors
    ///
    /// As for [`ack`](Self::ack).
    // apache/pulsar: PersistentAcknowledgmentsGroupingTracker.doCumulativeAck
    pub(super) fn ack_up_to(&mut self, place: Place, index: u32, sets: bool) -> Result<(), Stale> {
        if self.acked_up_to(place, index) {
            return Ok(());
        }
        let tracked = self.entries.get_mut(&place).ok_or(Stale)?;
        if !tracked.held.has(index) || tracked.epoch != self.epoch || self.epoch == 0 {
            return Err(Stale);
        }
        for at in 0..=index.min(tracked.size.saturating_sub(1)) {
            if tracked.left.take(at) {
                tracked.untold.set(at);
            }
            tracked.ready.take(at);
            tracked.waiting.take(at);
            self.held -= usize::from(tracked.held.take(at));
        }
        let whole = tracked.left.is_empty();
        let left = tracked.left.clone();
        let before: Vec<_> = self
            .entries
            .range(..place)
            .map(|(place, _)| *place)
            .collect();
        for place in before {
            self.forget(place);
        }
        if whole {
            self.forget(place);
            self.cumulative = Some((place, None));
        } else if sets {
            self.cumulative = Some((place, Some(left)));
        } else if let Some(entry) = place.1.checked_sub(1) {
            self.cumulative = Some(((place.0, entry), None));
        }
        self.upto = Some((place, index));
        Ok(())
    }

    fn acked_up_to(&self, place: Place, index: u32) -> bool {
        self.epoch != 0 && self.upto.is_some_and(|upto| (place, index) <= upto)
    }

    /// A message that was handed out is to come again at its time, or at once.
    pub(super) fn nack(&mut self, place: Place, index: u32, at: Instant) -> Result<(), Stale> {
        let tracked = self.entries.get_mut(&place).ok_or(Stale)?;
        if !tracked.held.take(index) {
            return Err(Stale);
        }
        self.held -= 1;
        self.loans.back(place, index);
        if tracked.epoch == self.epoch && self.epoch != 0 {
            tracked.waiting.set(index);
            self.later.insert((at, place, index));
            return Ok(());
        }
        // The broker delivers it again without being asked.
        self.rest(place);
        Ok(())
    }

    /// When something is to be asked for again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.first().map(|(at, ..)| *at)
    }

    /// Of the entry at the start nothing before that index is wanted.
    pub(super) fn begin_at(&mut self, start: Option<(Place, u32)>) {
        self.start = start;
    }

    /// Begins anew somewhere else: whatever is here or handed out is nobody's any more. As [`begin_at`](Self::begin_at).
    pub(super) fn restart(&mut self, start: Option<(Place, u32)>) {
        let mut loans = std::mem::take(&mut self.loans);
        loans.end_all();
        *self = Self {
            epoch: self.epoch,
            loans,
            start,
            ..Self::default()
        };
    }

    /// The entries that are to be asked for again.
    pub(super) fn due(&mut self, now: Instant) -> BTreeSet<Place> {
        let mut due = BTreeSet::new();
        while self.later.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, place, index)) = self.later.pop_first() else {
                break;
            };
            if let Some(tracked) = self.entries.get_mut(&place)
                && tracked.waiting.take(index)
            {
                due.insert(place);
            }
        }
        due
    }

    /// An entry is asked for again: what of it is here and not handed out comes with it. Answers how much that was.
    // apache/pulsar: ConsumerImpl.redeliverUnacknowledgedMessages, removeExpiredMessagesFromQueue
    pub(super) fn asked(&mut self, place: Place) -> u32 {
        let Some(tracked) = self.entries.get_mut(&place) else {
            return 0;
        };
        let dropped = tracked.ready.count();
        tracked.ready.clear();
        self.rest(place);
        dropped
    }

    /// Everything is asked for again.
    pub(super) fn asked_all(&mut self) -> u32 {
        let places: Vec<_> = self.entries.keys().copied().collect();
        places.into_iter().map(|place| self.asked(place)).sum()
    }

    /// Whether a message is handed out.
    pub(super) fn holds(&self, place: Place, index: u32) -> bool {
        let tracked = self.entries.get(&place);
        tracked.is_some_and(|tracked| tracked.held.has(index))
    }

    /// How many messages are handed out.
    pub(super) const fn held(&self) -> usize {
        self.held
    }
}

impl Tracked {
    fn new(size: u32, epoch: u64) -> Self {
        Self {
            size,
            epoch,
            left: Bits::all(size),
            ready: Bits::none(size),
            held: Bits::none(size),
            waiting: Bits::none(size),
            untold: Bits::none(size),
        }
    }

    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests;
