//! A partition's subscription: about to be made, there, gone.

use std::sync::atomic::Ordering;

use super::{Core, Permits, Prepared};
use crate::conn::{Connection, Key};

impl Core {
    /// A subscription of the partition is about to be made: gives its number, and what to tell the broker.
    pub(in crate::consumer) fn prepare(&self, part: usize) -> Option<Prepared> {
        let mut state = self.state();
        let part = state.parts.get_mut(part)?;
        part.epoch += 1;
        part.lost = false;
        let (start, rollback) = part.begins();
        Some(Prepared {
            epoch: part.epoch,
            consumer_epoch: part.consumer_epoch,
            start,
            rollback,
        })
    }

    /// The subscription is there: from now on messages may come.
    pub(in crate::consumer) fn begin(
        &self,
        part: usize,
        epoch: u64,
        connection: &Connection,
        key: Key,
    ) {
        let mut state = self.state();
        if let Some(part) = state.parts.get_mut(part)
            && part.epoch == epoch
            && !part.lost
        {
            part.link = Some((connection.clone(), key));
            part.tracker.begin(epoch);
            part.permits = Permits {
                owed: self.credit.load(Ordering::Relaxed),
                fresh: true,
            };
            part.called = false;
            part.wake();
            drop(state);
            // For who seeks.
            self.ready.notify_waiters();
        }
    }

    /// That subscription is gone: another one has to be made.
    pub(super) fn lose(&self, at: usize, epoch: u64, why: &str) {
        let mut state = self.state();
        let Some(part) = state
            .parts
            .get_mut(at)
            .filter(|part| part.epoch == epoch && !part.lost)
        else {
            return;
        };
        part.lost = true;
        part.link = None;
        part.tracker.lost();
        part.receipts.lost(why);
        part.permits = Permits::default();
        part.again.forget();
        part.discarded.clear();
        part.flush_at = None;
        part.activate(None, &self.events);
        state.purge(at, |_| true);
        drop(state);
        self.settled.notify_waiters();
        self.change(at);
    }

    pub(in crate::consumer) fn is_live(&self, part: usize, epoch: u64) -> bool {
        let state = self.state();
        let part = state.parts.get(part);
        part.is_some_and(|part| part.epoch == epoch && part.link.is_some())
    }
}
