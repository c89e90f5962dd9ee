//! What a handle knows of its queue: what it was told, or has read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shared by the clones of a handle. Seconds; 0 is unknown.
#[derive(Debug, Default)]
pub(crate) struct Known {
    visibility: AtomicU64,
    retention: AtomicU64,
}

impl Known {
    pub(crate) fn visibility(&self) -> Option<Duration> {
        read(&self.visibility)
    }

    pub(crate) fn retention(&self) -> Option<Duration> {
        read(&self.retention)
    }

    pub(crate) fn set_visibility(&self, seconds: u64) {
        self.visibility.store(seconds, Ordering::Relaxed);
    }

    pub(crate) fn set_retention(&self, seconds: u64) {
        self.retention.store(seconds, Ordering::Relaxed);
    }
}

fn read(seconds: &AtomicU64) -> Option<Duration> {
    let seconds = seconds.load(Ordering::Relaxed);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}
