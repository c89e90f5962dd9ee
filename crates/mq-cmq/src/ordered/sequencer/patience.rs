//! How long a missing number is waited for.

use std::time::Instant;

use mq_core::later;

use super::Sequencer;
use super::state::State;

impl<M> Sequencer<M> {
    /// Whether what has not come since then will not come: nothing else was there any more, or it is [`at_last`](Self::at_last).
    pub(super) fn waited(
        &self,
        state: &State,
        since: Instant,
        found: u64,
        sent_ms: u64,
        now: Instant,
    ) -> bool {
        let ripe = self.ripe(state.quiet(since, found));
        self.empty.is_some_and(|empty| empty >= ripe) || now >= self.at_last(state, since, sent_ms)
    }

    /// When everything that was there has had the time to come.
    pub(super) fn ripe(&self, quiet: Instant) -> Instant {
        let quiet = self.disturbed.map_or(quiet, |at| at.max(quiet));
        later(quiet, self.rules.gap_after)
    }

    /// When the next number is given up in a queue that is never empty: ten times the wait after the last one that was sent before what is
    /// there came for the first time, or after nothing was heard of a receive; and ten times that, if it was here before.
    pub(super) fn at_last(&self, state: &State, since: Instant, sent_ms: u64) -> Instant {
        let older = self.first_met.range(..=sent_ms / 1000).next_back();
        let since = older.map_or(since, |(_, at)| since.max(*at));
        let since = self.disturbed.map_or(since, |at| at.max(since));
        let times = if state.let_go.contains_key(&state.next) {
            100
        } else {
            10
        };
        later(since, self.rules.gap_after.saturating_mul(times))
    }

    pub(super) fn met_first(&mut self, second: u64, now: Instant) {
        drop(self.first_met.split_off(&second));
        self.first_met.insert(second, now);
        let forget = self.rules.gap_after.saturating_mul(10);
        while let Some(first) = self.first_met.first_entry()
            && later(*first.get(), forget) < now
        {
            first.remove();
        }
    }
}
