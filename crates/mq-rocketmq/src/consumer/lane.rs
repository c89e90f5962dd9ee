//! The lane of an ordered queue: the next message is offered when the one before it is settled, and only while the broker's lock holds.
//!
//! ```text
//!   Ready ── offer ──► Offered ── hand_out ──► Held ── ack ──► settled; committed by hand: Kept ── commit_kept ──► settled
//!     ▲   the first     in the local buffer      │                                           │
//!     │   unsettled                              ├─ send_back ──► Returning ─ defer ─► Waiting
//!     └───────────── again, after a while ◄──────┴─────────────────── roll_back ◄────────────┘
//! ```
//!
//! Only the first message that is neither settled nor kept is ever offered, so that the lane needs no memory of whose turn it is.

use std::time::Instant;

use super::offset::{Ledger, Loan, Place, Stale};

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lane {
    /// What is acknowledged is kept until it is committed.
    pub(crate) by_hand: bool,
    /// Until when the broker's lock holds; `None` if there is none.
    pub(crate) lease: Option<Instant>,
    /// Everything below is kept.
    kept: i64,
    /// Nothing more is handed out: the queue is about to be given up.
    ends: bool,
}

impl Lane {
    pub(crate) const fn new(by_hand: bool, lease: Option<Instant>) -> Self {
        Self {
            by_hand,
            lease,
            kept: 0,
            ends: false,
        }
    }

    /// The same queue's, in another epoch.
    pub(crate) const fn fresh(self) -> Self {
        Self::new(self.by_hand, self.lease)
    }

    /// Whether a message may be handed out.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        !self.ends && self.lease.is_none_or(|until| now < until)
    }
}

impl<M: Clone> Ledger<M> {
    /// The message whose turn it is, once; `None` while another one is offered, held or waits, and where there are no lanes.
    pub(crate) fn offer(&mut self) -> Option<i64> {
        let lane = self.lane.as_mut()?;
        if self.revoked || lane.ends {
            return None;
        }
        let mut ahead = self.entries.range_mut(lane.kept..);
        let (offset, entry) = ahead.find(|(_, entry)| entry.place != Place::Kept)?;
        // What lies below stays kept until it is committed or rolled back: it is looked through once.
        lane.kept = *offset;
        if entry.place != Place::Ready {
            return None;
        }
        entry.place = Place::Offered;
        Some(*offset)
    }

    /// Whether the message behind what is held is there.
    pub(crate) fn has_next(&self) -> bool {
        self.following().is_some()
    }

    /// Beside what is held, gives the user the message that follows it.
    pub(crate) fn hand_out_next(&mut self, now: Instant) -> Result<(M, Loan), Stale> {
        let next = self.following().ok_or(Stale)?;
        self.hand_out(next, now)
    }

    fn following(&self) -> Option<i64> {
        let mut ahead = self.entries.range(self.lane?.kept..);
        let next = ahead.find(|(_, entry)| !matches!(entry.place, Place::Kept | Place::Held(_)));
        next.filter(|(_, entry)| entry.place == Place::Ready)
            .map(|(offset, _)| *offset)
    }

    /// Settles everything that is kept. The answer is how many bytes it frees.
    pub(crate) fn commit_kept(&mut self) -> usize {
        let mut freed = 0;
        if self.revoked {
            return freed;
        }
        while let Some(first) = self.entries.first_entry()
            && first.get().place == Place::Kept
        {
            freed += first.remove().bytes;
        }
        self.bytes -= freed;
        freed
    }

    /// Takes a message out of the user's hands, and everything that is kept with it, to be handed out again. The answer is the first of
    /// them, which is on its way as after [`send_back`](Self::send_back).
    pub(crate) fn roll_back(&mut self, loan: impl Into<Loan>) -> Result<(i64, M), Stale> {
        let last = self.held(loan)?;
        let mut first = None;
        for (offset, entry) in self.entries.range_mut(..=last) {
            if entry.place != Place::Kept && *offset != last {
                continue;
            }
            // Who meant the delivery that has ended does not mean the next.
            entry.round = entry.round.wrapping_add(1);
            entry.place = if first.is_none() {
                Place::Returning
            } else {
                Place::Ready
            };
            first.get_or_insert_with(|| (*offset, entry.message.clone()));
        }
        if let Some(lane) = &mut self.lane {
            lane.kept = 0;
        }
        first.ok_or(Stale)
    }

    /// Nothing more is handed out. The answer is whether it was before.
    pub(crate) fn end_lane(&mut self) -> bool {
        self.lane
            .as_mut()
            .is_some_and(|lane| !std::mem::replace(&mut lane.ends, true))
    }

    /// The broker's lock holds until then; an epoch whose lock has lapsed does not come back.
    pub(crate) fn renew(&mut self, now: Instant, until: Instant) {
        if let Some(lane) = &mut self.lane
            && lane.lease.is_some_and(|lease| now < lease)
        {
            lane.lease = Some(until);
        }
    }

    /// Until when the broker's lock holds.
    pub(crate) fn lease(&self) -> Option<Instant> {
        self.lane.and_then(|lane| lane.lease)
    }

    /// The lane, if the queue is ordered.
    pub(crate) fn lane(&self) -> Option<Lane> {
        self.lane
    }
}

#[cfg(test)]
mod tests;
