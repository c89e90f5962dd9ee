//! What a consumer has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a consumer has done since it was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages that the service gave.
    pub received: u64,
    /// Messages whose delete was confirmed.
    pub deleted: u64,
    /// Messages that were held for four fifths of their visibility timeout.
    pub warned: u64,
    /// Messages that were held past their deadline, or waited in the buffer until then.
    pub expired: u64,
    /// Deletes that were refused for an expired handle, here or by the service: these messages come again although they were handled.
    pub refused: u64,
    /// Deliveries that were dropped unsettled.
    pub dropped: u64,
    /// Messages that are held now: buffered, handled, or being deleted. Never more than the concurrency.
    pub in_flight: usize,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) received: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) warned: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) dropped: AtomicU64,
}

impl Tally {
    pub(super) fn counts(&self, in_flight: usize) -> Counts {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Counts {
            received: read(&self.received),
            deleted: read(&self.deleted),
            warned: read(&self.warned),
            expired: read(&self.expired),
            refused: read(&self.refused),
            dropped: read(&self.dropped),
            in_flight,
        }
    }
}

pub(crate) fn count(of: &AtomicU64, by: usize) {
    let by = u64::try_from(by).unwrap_or(u64::MAX);
    of.fetch_add(by, Ordering::Relaxed);
}
