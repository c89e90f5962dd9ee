//! Whether the peer is still there: a connection on which something is awaited and nothing is heard.
//!
//! ```text
//!   written ── half the limit, silence ──► probe ── half the limit, silence ──► dead
//!      ▲                 anything heard begins anew                  │
//!      └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! The kernel gives up a peer whose machine or network is gone. A frozen process, or one behind a proxy that swallows what comes, is
//! still acknowledged by its kernel; long polls may be silent for as long as they like. So the peer is asked for any answer at all.

use std::time::{Duration, Instant};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Wait,
    Probe,
    GiveUp,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Liveness {
    half: Duration,
    /// Since when something is awaited and nothing was heard.
    asked: Option<Instant>,
    probed: Option<Instant>,
}

impl Liveness {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            half: limit / 2,
            asked: None,
            probed: None,
        }
    }

    pub(super) fn wrote(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// Something came; `awaited` says whether more is to come.
    pub(super) fn heard(&mut self, now: Instant, awaited: bool) {
        self.asked = awaited.then_some(now);
        self.probed = None;
    }

    /// When [`Liveness::act`] is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.probed
            .or(self.asked)
            .and_then(|since| since.checked_add(self.half))
    }

    /// After a probe the peer has half the limit, however late the probe went out: this process may have been the one that stood still.
    pub(super) fn act(&mut self, now: Instant) -> Act {
        if self.next().is_none_or(|due| due > now) {
            return Act::Wait;
        }
        if self.probed.is_some() {
            return Act::GiveUp;
        }
        self.probed = Some(now);
        Act::Probe
    }
}

#[cfg(test)]
mod tests {
    use mq_core::{Clock as _, ManualClock};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(18);
    const HALF: Duration = Duration::from_secs(9);

    #[test]
    fn a_silent_peer_is_probed_and_then_given_up() {
        let clock = ManualClock::new(std::time::SystemTime::UNIX_EPOCH);
        let mut liveness = Liveness::new(LIMIT);
        assert_eq!(liveness.next(), None, "nothing is awaited");
        let begun = clock.now();
        liveness.wrote(begun);
        clock.advance(HALF / 2);
        // What is written later does not put it off.
        liveness.wrote(clock.now());
        assert_eq!(liveness.act(clock.now()), Act::Wait);
        clock.advance(HALF / 2);
        assert_eq!(liveness.act(clock.now()), Act::Probe);
        assert_eq!(liveness.act(clock.now()), Act::Wait);
        clock.advance(HALF);
        assert_eq!(liveness.act(clock.now()), Act::GiveUp);
        assert_eq!(clock.now() - begun, LIMIT);
    }

    #[test]
    fn whatever_is_heard_begins_anew() {
        let clock = ManualClock::new(std::time::SystemTime::UNIX_EPOCH);
        let mut liveness = Liveness::new(LIMIT);
        liveness.wrote(clock.now());
        clock.advance(HALF);
        assert_eq!(liveness.act(clock.now()), Act::Probe);
        liveness.heard(clock.now(), true);
        clock.advance(HALF);
        assert_eq!(liveness.act(clock.now()), Act::Probe, "a long poll goes on");
        liveness.heard(clock.now(), false);
        clock.advance(LIMIT);
        assert_eq!(liveness.act(clock.now()), Act::Wait, "nothing is awaited");
        liveness.wrote(clock.now());
        clock.advance(HALF);
        assert_eq!(liveness.act(clock.now()), Act::Probe);
    }

    #[test]
    fn a_process_that_stood_still_itself_asks_before_it_gives_up() {
        let clock = ManualClock::new(std::time::SystemTime::UNIX_EPOCH);
        let mut liveness = Liveness::new(LIMIT);
        liveness.wrote(clock.now());
        clock.advance(LIMIT * 100);
        assert_eq!(liveness.act(clock.now()), Act::Probe);
        clock.advance(HALF);
        assert_eq!(liveness.act(clock.now()), Act::GiveUp);
    }
}
