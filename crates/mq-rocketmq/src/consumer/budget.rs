//! How many bytes of messages may be here unsettled: of a consumer, and of each of its topics.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in use, and how many may be. Whoever pulls asks beforehand, so that it may be overshot by a pull a queue.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            most,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.used.load(Ordering::Acquire) < self.most
    }

    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::AcqRel);
    }

    /// The answer is whether there is room now and was none before: then somebody may be waiting for it.
    pub(super) fn give_back(&self, bytes: usize) -> bool {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        before >= self.most && before.saturating_sub(bytes) < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_room_is_told_once() {
        let budget = Budget::new(10);
        budget.take(4);
        assert!(budget.has_room());
        budget.take(12);
        assert!(!budget.has_room());
        assert!(!budget.give_back(3));
        assert!(budget.give_back(4) && budget.has_room());
        assert!(!budget.give_back(9));
    }
}
