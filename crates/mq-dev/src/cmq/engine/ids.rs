//! Numbers that are given once.

use serde::{Deserialize, Serialize};

/// Where each kind of number stands. Ids and handles begin at the time of the start, so that those of an earlier run, which was not saved,
/// do not come again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ids {
    message: u64,
    handle: u64,
    entry: u64,
    queue: u32,
    other: u64,
}

impl Ids {
    pub(crate) const fn new(now: u64) -> Self {
        // 2^43 ms are some 280 years since the epoch: the sum stays a positive number of 64 bits, as Java's clients read it.
        let start = (now & ((1 << 43) - 1)) << 20;
        Self {
            message: start,
            handle: start,
            entry: 0,
            queue: 0,
            other: 0,
        }
    }

    /// Goes on behind those that were saved, and behind those of this run: what was given after they were saved does not come again.
    pub(crate) fn go_on_behind(&mut self, saved: &Self) {
        self.message = self.message.max(saved.message);
        self.handle = self.handle.max(saved.handle);
        self.entry = self.entry.max(saved.entry);
        self.queue = self.queue.max(saved.queue);
        self.other = self.other.max(saved.other);
    }

    pub(crate) const fn message(&mut self) -> u64 {
        self.message += 1;
        self.message
    }

    /// A handle says nothing about its neighbours: multiplying by an odd number goes through all numbers before one comes again.
    pub(crate) const fn handle(&mut self) -> u64 {
        self.handle += 1;
        (self.handle.wrapping_mul(0x9e37_79b9_7f4a_7c15)) & (u64::MAX >> 1)
    }

    /// The place of a message in a queue: messages of a queue are in the order of these.
    pub(crate) const fn entry(&mut self) -> u64 {
        self.entry += 1;
        self.entry
    }

    pub(crate) const fn queue(&mut self) -> u32 {
        self.queue += 1;
        self.queue
    }

    pub(crate) const fn waiter(&mut self) -> u64 {
        self.other += 1;
        self.other
    }

    pub(crate) const fn push(&mut self) -> u64 {
        self.waiter()
    }

    /// That of a topic or subscription.
    pub(crate) const fn thing(&mut self) -> u64 {
        self.waiter()
    }
}
