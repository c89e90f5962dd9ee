//! Requests that were seen.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What makes a request that request: secret id, time stamp, nonce, signature.
pub(super) type Mark<'a> = (&'a str, u64, &'a str, &'a str);

/// Two generations: the younger takes in, the older is forgotten when the younger is full or old.
#[derive(Debug)]
pub(super) struct Replays {
    /// Nobody outside can make two requests of one number.
    hasher: RandomState,
    /// In seconds.
    window: u64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    young: HashSet<u64>,
    old: HashSet<u64>,
    since: u64,
}

impl Replays {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            hasher: RandomState::new(),
            window: window.as_secs(),
            seen: Mutex::default(),
        }
    }

    /// Whether it comes for the first time; it is remembered.
    pub(super) fn is_first(&self, mark: Mark<'_>, now: u64) -> bool {
        let number = self.hasher.hash_one(mark);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.young.len() >= MOST || now.saturating_sub(seen.since) > self.window {
            seen.old = std::mem::take(&mut seen.young);
            seen.since = now;
        }
        !seen.old.contains(&number) && seen.young.insert(number)
    }
}

/// Of a generation.
const MOST: usize = 500_000;
