//! The bytes that all producers of a client may have under way.
// apache/pulsar: MemoryLimitController

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, Weak};

use super::gate::Gate;

/// Counts the bytes of messages under way.
pub(crate) struct Memory {
    limit: usize,
    used: AtomicUsize,
    /// Who found no room, and looks again when there is some.
    waiting: Mutex<Vec<Weak<Gate>>>,
}

impl Memory {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Takes so many bytes if they are there; what is larger than all goes alone.
    pub(super) fn take(&self, bytes: usize, who: &Weak<Gate>) -> bool {
        if self.try_take(bytes) {
            return true;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|other| other.ptr_eq(who)) {
            waiting.push(Weak::clone(who));
        }
        drop(waiting);
        // Given back since the first look, it may have found nobody waiting.
        self.try_take(bytes)
    }

    fn try_take(&self, bytes: usize) -> bool {
        let more = |used: usize| {
            let sum = used.saturating_add(bytes);
            (used == 0 || sum <= self.limit).then_some(sum)
        };
        let taken = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok()
    }

    /// Gives bytes back; the answer is who waits for some, who has to be told where nothing is locked.
    pub(super) fn give_back(&self, bytes: usize) -> Vec<Weak<Gate>> {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting)
    }
}
