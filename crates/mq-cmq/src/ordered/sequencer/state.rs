//! What is known of one stream.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mq_core::later;

/// How far a stream has been handled, and what it waits for.
#[derive(Debug)]
pub(super) struct State {
    /// 0: not known yet.
    pub(super) next: u64,
    /// Behind this number nobody else has handled anything: what is missing there is a gap.
    pub(super) ours_from: u64,
    /// Since when something waits for the next.
    pub(super) blocked: Option<Instant>,
    /// First and last of what was passed over.
    pub(super) passed: Option<(u64, u64)>,
    /// Numbers that were here and had to be let go, and when: they come back.
    pub(super) let_go: BTreeMap<u64, Instant>,
    pub(super) resumed: bool,
    pub(super) used: u64,
}

impl State {
    /// Goes on at `to`; what lies between was not handled here. Ranges are joined: rather twice than never.
    pub(super) fn pass(&mut self, to: u64) {
        if to > self.next {
            let first = self.passed.map_or(self.next, |(first, _)| first);
            self.passed = Some((first, to.saturating_sub(1)));
        }
        self.next = to;
        self.let_go = self.let_go.split_off(&to);
    }

    /// A number is let go that comes back.
    pub(super) fn lose(&mut self, seq: u64, now: Instant, remembered: Duration) {
        if seq == self.next {
            // It is missing from now on.
            self.blocked = Some(now);
        }
        if seq >= self.next {
            self.let_go.retain(|_, at| later(*at, remembered) > now);
            if self.let_go.len() < MOST_LET_GO {
                self.let_go.insert(seq, now);
            }
        }
    }

    /// From when on nothing has happened that could bring a number before `found`.
    pub(super) fn quiet(&self, since: Instant, found: u64) -> Instant {
        let coming = self.let_go.range(..found).map(|(_, at)| *at).max();
        coming.map_or(since, |at| at.max(since))
    }
}

/// As many numbers as a stream remembers that it let go: some 50 bytes each.
const MOST_LET_GO: usize = 4096;
