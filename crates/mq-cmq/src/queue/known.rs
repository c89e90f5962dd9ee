//! What a handle knows of its queue: what it was told, has read, or has seen; the latest of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Received;
use crate::proto::limits::MAX_VISIBILITY_SECONDS;

/// Shared by the clones of a handle. Seconds; 0 is unknown.
#[derive(Debug, Default)]
pub(crate) struct Known {
    visibility: AtomicU64,
    retention: AtomicU64,
}

impl Known {
    /// How long messages are invisible: as a consumer was `told`, else as was last read or seen, else it is a guess.
    pub(crate) fn visibility(&self, told: Option<Duration>) -> Visibility {
        let known = told.or_else(|| read(&self.visibility));
        Visibility {
            time: known.unwrap_or(SERVICE_DEFAULT),
            is_guess: known.is_none(),
        }
    }

    pub(crate) fn retention(&self) -> Option<Duration> {
        read(&self.retention)
    }

    /// What no queue can have been told says something else.
    pub(crate) fn set_visibility(&self, seconds: u64) {
        if (1..=MAX_VISIBILITY_SECONDS.into()).contains(&seconds) {
            self.visibility.store(seconds, Ordering::Relaxed);
        }
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

/// How long messages are invisible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visibility {
    pub(crate) time: Duration,
    /// It is what a queue has that was told nothing: enough to warn by, not to refuse by.
    pub(crate) is_guess: bool,
}

fn read(seconds: &AtomicU64) -> Option<Duration> {
    let seconds = seconds.load(Ordering::Relaxed);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

// Tencent Cloud, product 406, CreateQueue: visibilityTimeout
const SERVICE_DEFAULT: Duration = Duration::from_secs(30);
