//! The waiting line of a producer: who may have bytes under way, in the order in which sends began.
//!
//! ```text
//!  send (first poll) ─► waiting, FIFO ──room?──► launched ─► connection ─► done ─► release ─┐
//!                          ▲    └ withdrawn when its future is dropped                      │
//!                          └───────────────────── admits the next ◄─────────────────────────┘
//! ```
//!
//! Whoever releases admits: a driver task, the retry task or a caller. Futures are never needed for it, so that sends that are
//! polled once and then left alone keep nobody waiting.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::error::SendError;

/// What waits in the line.
pub(crate) trait Entry: Send {
    /// Bytes it will hold while under way.
    fn size(&self) -> usize;
    fn deadline(&self) -> Instant;
    /// There is room: go.
    fn launch(self: Box<Self>);
    /// Its time was over before there was room.
    fn expire(self: Box<Self>);
}

/// Window and line of one producer.
pub(crate) struct Window<E> {
    max_count: usize,
    max_bytes: usize,
    state: Mutex<State<E>>,
    /// Something about the line changed that the sweeper should know.
    pub(crate) changed: Notify,
    idle: Notify,
}

struct State<E> {
    count: usize,
    bytes: usize,
    next_ticket: u64,
    waiting: BTreeMap<u64, Box<E>>,
    /// Somebody is launching what was admitted; whoever releases meanwhile leaves the rest to them. Keeps the order and the stack flat.
    admitting: bool,
    unheard: u64,
    last_unheard: VecDeque<SendError>,
}

impl<E: Entry> Window<E> {
    pub(crate) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self {
            max_count: max_count.max(1),
            max_bytes,
            state: Mutex::new(State {
                count: 0,
                bytes: 0,
                next_ticket: 0,
                waiting: BTreeMap::new(),
                admitting: false,
                unheard: 0,
                last_unheard: VecDeque::new(),
            }),
            changed: Notify::new(),
            idle: Notify::new(),
        }
    }

    /// Joins the line; answers with the place in it.
    pub(crate) fn join(&self, entry: Box<E>) -> u64 {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.insert(ticket, entry);
        drop(state);
        self.admit();
        ticket
    }

    /// Leaves the line, if not yet admitted.
    pub(crate) fn withdraw(&self, ticket: u64) {
        let withdrawn = self.lock().waiting.remove(&ticket);
        if withdrawn.is_some() {
            // It may have been the one for which there was no room.
            self.admit();
            self.tell_if_idle();
        }
        drop(withdrawn);
    }

    /// Something admitted is at its end.
    pub(crate) fn release(&self, size: usize) {
        {
            let mut state = self.lock();
            state.count = state.count.saturating_sub(1);
            state.bytes = state.bytes.saturating_sub(size);
        }
        self.admit();
        self.tell_if_idle();
    }

    /// Ends what has waited too long; says when the next one's time is over.
    pub(crate) fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut expired = Vec::new();
        let next = {
            let mut state = self.lock();
            let due: Vec<u64> = state
                .waiting
                .iter()
                .filter(|(_, entry)| entry.deadline() <= now)
                .map(|(ticket, _)| *ticket)
                .collect();
            expired.extend(due.iter().filter_map(|ticket| state.waiting.remove(ticket)));
            state.waiting.values().map(|entry| entry.deadline()).min()
        };
        let any = !expired.is_empty();
        for entry in expired {
            entry.expire();
        }
        if any {
            self.admit();
            self.tell_if_idle();
        }
        next
    }

    /// Keeps a failure that nobody heard of for the next flush: the number of all, the last [`KEPT`] themselves.
    pub(crate) fn keep_unheard(&self, failed: SendError) {
        tracing::warn!(error = %failed.error, "a send failed and nobody waits for it");
        let mut state = self.lock();
        state.unheard += 1;
        if state.last_unheard.len() == KEPT {
            state.last_unheard.pop_front();
        }
        state.last_unheard.push_back(failed);
    }

    /// Takes what [`Window::keep_unheard`] kept.
    pub(crate) fn take_unheard(&self) -> (u64, Vec<SendError>) {
        let mut state = self.lock();
        let count = std::mem::take(&mut state.unheard);
        (count, std::mem::take(&mut state.last_unheard).into())
    }

    /// Waits until nothing waits and nothing is under way.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }

    fn admit(&self) {
        if std::mem::replace(&mut self.lock().admitting, true) {
            return;
        }
        loop {
            let admitted = self.take_admissible();
            if admitted.is_empty() {
                return;
            }
            // Outside the lock: launching may fail at once and come back here.
            admitted.into_iter().for_each(Entry::launch);
        }
    }

    /// The entries at the head of the line for which there is room; none ends the admitting.
    fn take_admissible(&self) -> Vec<Box<E>> {
        let mut state = self.lock();
        let mut admitted = Vec::new();
        while let Some(entry) = state.waiting.first_entry() {
            let size = entry.get().size();
            // One that is larger than the whole window goes alone.
            let has_room = state.count == 0
                || (state.count < self.max_count && state.bytes + size <= self.max_bytes);
            if !has_room {
                break;
            }
            admitted.extend(state.waiting.pop_first().map(|(_, entry)| entry));
            state.count += 1;
            state.bytes += size;
        }
        state.admitting = !admitted.is_empty();
        if !state.waiting.is_empty() {
            self.changed.notify_one();
        }
        admitted
    }

    fn tell_if_idle(&self) {
        if self.lock().is_idle() {
            self.idle.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> State<E> {
    fn is_idle(&self) -> bool {
        self.count == 0 && self.waiting.is_empty()
    }
}

/// Failures kept with their messages.
const KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mq_core::{Clock, SystemClock};

    use super::*;

    struct Probe {
        name: u32,
        size: usize,
        deadline: Instant,
        log: Arc<Mutex<Vec<(u32, &'static str)>>>,
    }

    impl Entry for Probe {
        fn size(&self) -> usize {
            self.size
        }
        fn deadline(&self) -> Instant {
            self.deadline
        }
        fn launch(self: Box<Self>) {
            self.log.lock().unwrap().push((self.name, "launched"));
        }
        fn expire(self: Box<Self>) {
            self.log.lock().unwrap().push((self.name, "expired"));
        }
    }

    struct Line {
        window: Window<Probe>,
        log: Arc<Mutex<Vec<(u32, &'static str)>>>,
        start: Instant,
    }

    impl Line {
        fn new(count: usize, bytes: usize) -> Self {
            let start = SystemClock.now();
            Self {
                window: Window::new(count, bytes),
                log: Arc::default(),
                start,
            }
        }

        fn join(&self, name: u32, size: usize, seconds: u64) -> u64 {
            let deadline = self.start + Duration::from_secs(seconds);
            let log = Arc::clone(&self.log);
            self.window.join(Box::new(Probe {
                name,
                size,
                deadline,
                log,
            }))
        }

        fn log(&self) -> Vec<(u32, &'static str)> {
            std::mem::take(&mut *self.log.lock().unwrap())
        }
    }

    #[test]
    fn admits_in_order_by_count_and_bytes() {
        let line = Line::new(2, 100);
        for (name, size) in [(0, 60), (1, 50), (2, 10)] {
            line.join(name, size, 9);
        }
        // 1 has no room, and 2 does not overtake it.
        assert_eq!(line.log(), [(0, "launched")]);
        line.window.release(60);
        assert_eq!(line.log(), [(1, "launched"), (2, "launched")]);
    }

    #[test]
    fn an_oversize_one_goes_alone() {
        let line = Line::new(8, 100);
        line.join(0, 10, 9);
        line.join(1, 500, 9);
        line.join(2, 1, 9);
        assert_eq!(line.log(), [(0, "launched")]);
        line.window.release(10);
        assert_eq!(line.log(), [(1, "launched")]);
        line.window.release(500);
        assert_eq!(line.log(), [(2, "launched")]);
    }

    #[test]
    fn withdrawing_the_head_lets_the_next_in() {
        let line = Line::new(8, 100);
        line.join(0, 90, 9);
        let head = line.join(1, 50, 9);
        line.join(2, 5, 9);
        line.log();
        line.window.withdraw(head);
        assert_eq!(line.log(), [(2, "launched")]);
    }

    #[test]
    fn those_whose_time_is_over_leave_the_line() {
        let line = Line::new(1, 100);
        line.join(0, 1, 9);
        line.join(1, 1, 2);
        line.join(2, 1, 5);
        line.log();
        let next = line.window.sweep(line.start + Duration::from_secs(2));
        assert_eq!(line.log(), [(1, "expired")]);
        assert_eq!(next, Some(line.start + Duration::from_secs(5)));
    }
}
