//! What a handle knows of its queue: what it was told, has read, or has seen; the latest of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Received;

/// Shared by the clones of a handle. Seconds; 0 is unknown.
#[derive(Debug, Default)]
pub(crate) struct Known {
    visibility: AtomicU64,
    retention: AtomicU64,
}

impl Known {
    /// How long messages are invisible: as a consumer was `told`, else as was last read or seen, else what a queue has that was told nothing.
    pub(crate) fn visibility(&self, told: Option<Duration>) -> Duration {
        told.or_else(|| read(&self.visibility))
            .unwrap_or(SERVICE_DEFAULT)
    }

    pub(crate) fn retention(&self) -> Option<Duration> {
        read(&self.retention)
    }

    pub(crate) fn set_visibility(&self, seconds: u64) {
        self.visibility.store(seconds, Ordering::Relaxed);
    }

    /// What messages show that were received just now: the attribute may have been changed since it was read.
    pub(crate) fn seen(&self, messages: &[Received]) {
        if let Some(visibility) = messages.iter().rev().find_map(Received::visibility) {
            self.set_visibility(visibility.as_secs());
        }
    }

    pub(crate) fn set_retention(&self, seconds: u64) {
        self.retention.store(seconds, Ordering::Relaxed);
    }
}

fn read(seconds: &AtomicU64) -> Option<Duration> {
    let seconds = seconds.load(Ordering::Relaxed);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

// Tencent Cloud, product 406, CreateQueue: visibilityTimeout
const SERVICE_DEFAULT: Duration = Duration::from_secs(30);
