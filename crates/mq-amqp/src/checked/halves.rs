//! The half messages that this process knows, and what is to become of each.
//!
//! ```text
//!  begin ─► guarded ──(guard dropped)──► left ──(due)──► asked ─┬─► ended: forwarded or forgotten
//!              │ its half arrives in the slot      ▲            └─► moving: written again, with one check more
//!              └─► ended                           └──────────── its copy arrives
//! ```
//!
//! Invariants: an entry is ended once. A half is acknowledged only when it is ended, or when another copy of it is held or was confirmed. An
//! entry without a guard goes with the lane that held its half, since whoever gets it next asks anew.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytestring::ByteString;
use mq_core::{Clock as _, SystemClock};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::end::now_and;
use super::half::{Half, since_epoch, stray};
use super::lane::{SlotLane, Taker};
use super::outgoing::Outgoing;
use crate::conn::now;
use crate::proto::{BasicDeliver, Content};

pub(super) struct Halves {
    state: Mutex<State>,
    /// For the task that asks: something is due earlier.
    pub(super) earlier: Notify,
    /// One of so many messages made the server close a channel: until they have passed, all are sent one at a time.
    suspects: AtomicUsize,
    first_check: Duration,
    check_interval: Duration,
    discard: ByteString,
}

#[derive(Default)]
struct State {
    entries: HashMap<ByteString, Entry>,
    /// What was ended here, since a copy may still come: the last ones.
    ended: HashSet<ByteString>,
    ended_order: VecDeque<ByteString>,
}

struct Entry {
    /// A transaction lives, and decides.
    guarded: bool,
    half: Half,
    /// Where it is held.
    place: Option<Place>,
    doing: Doing,
    /// Somebody asks the checker.
    asking: bool,
    due: Instant,
    arrived: Arc<Notify>,
    /// Among those that this publisher has begun.
    room: Option<OwnedSemaphorePermit>,
}

/// What is done with a half that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Nothing,
    /// It is written again: its copy takes the place of what is held.
    Renewing,
    /// It is forwarded, or forgotten.
    Ending,
}

/// A delivery that is not settled.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) lane: Arc<SlotLane>,
    pub(super) tag: u64,
    pub(super) since: Instant,
}

impl Place {
    fn is_of(&self, lane: &SlotLane) -> bool {
        std::ptr::eq(&raw const *self.lane, lane)
    }
}

impl Halves {
    pub(super) fn new(
        first_check: Duration,
        check_interval: Duration,
        discard: ByteString,
    ) -> Self {
        Self {
            state: Mutex::default(),
            earlier: Notify::new(),
            suspects: AtomicUsize::new(0),
            first_check,
            check_interval,
            discard,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction begins.
    pub(super) fn begin(&self, half: Half, room: OwnedSemaphorePermit) {
        let mut entry = Entry::new(half, now());
        (entry.guarded, entry.room) = (true, Some(room));
        self.state().entries.insert(entry.half.id.clone(), entry);
    }

    /// Its guard is gone without a decision.
    pub(super) fn leave(&self, id: &ByteString) {
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(id) else {
            return;
        };
        if entry.place.is_none() {
            // If it is stored, it comes, here or elsewhere.
            state.entries.remove(id);
            return;
        }
        (entry.guarded, entry.due) = (false, self.due(&entry.half));
        drop(state);
        self.earlier.notify_one();
    }

    /// Waits until the half is held, and begins to do this with it; nobody else does anything with it meanwhile. `None` if it is known no more.
    pub(super) async fn hold(&self, id: &ByteString, doing: Doing) -> Option<Place> {
        loop {
            let arrived = Arc::clone(&self.state().entries.get(id)?.arrived);
            let arrived = arrived.notified();
            tokio::pin!(arrived);
            // From here on it counts.
            arrived.as_mut().enable();
            if let Some(place) = self.try_hold(id, doing) {
                return Some(place);
            }
            arrived.await;
        }
    }

    /// As [`hold`](Self::hold), if it can be done now.
    pub(super) fn try_hold(&self, id: &ByteString, doing: Doing) -> Option<Place> {
        let mut state = self.state();
        let free = |entry: &&mut Entry| entry.doing == Doing::Nothing;
        let entry = state.entries.get_mut(id).filter(free)?;
        let place = entry.place.clone()?;
        entry.doing = doing;
        Some(place)
    }

    /// It is decided and done: where it is held it is acknowledged, unless that was done with this delivery, and so is what still comes of it.
    pub(super) fn end(&self, id: &ByteString, acknowledged: Option<(&SlotLane, u64)>) {
        let mut state = self.state();
        let entry = state.entries.remove(id);
        state.remember(id.clone());
        drop(state);
        if let Some(entry) = entry {
            let by_now = |it: (&SlotLane, u64)| entry.is_held_as(it.0, it.1);
            if let Some(place) = &entry.place
                && !acknowledged.is_some_and(by_now)
            {
                place.lane.ack(place.tag);
            }
            // Who waits to do something with it hears that it is known no more.
            entry.arrived.notify_waiters();
        }
        self.earlier.notify_one();
    }

    /// What it is, by now.
    pub(super) fn half(&self, id: &ByteString) -> Option<Half> {
        self.state().entries.get(id).map(|entry| entry.half.clone())
    }

    /// What is due, marked as being asked about, at most so many; and when the next one is.
    pub(super) fn take_due(&self, most: usize) -> (Vec<Half>, Option<Instant>) {
        let mut state = self.state();
        let at = now();
        let (mut due, mut next) = (Vec::new(), None::<Instant>);
        for entry in state.entries.values_mut() {
            if entry.guarded || !entry.is_quiet() {
                continue;
            }
            if entry.due > at {
                next = Some(next.map_or(entry.due, |next| next.min(entry.due)));
            } else if due.len() < most {
                entry.asking = true;
                due.push(entry.half.clone());
            }
        }
        (due, next)
    }

    /// The checker has answered, or could not: it is asked again at this time, if nothing else becomes of it.
    pub(super) fn asked(&self, id: &ByteString, again: Instant) {
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(id) {
            (entry.asking, entry.due) = (false, again);
            if entry.place.is_none() && !entry.guarded {
                state.entries.remove(id);
            }
        }
        drop(state);
        self.earlier.notify_one();
    }

    /// What has been held for so long that the broker would soon take it back.
    pub(super) fn long_held(&self, since: Instant) -> Vec<ByteString> {
        let state = self.state();
        let old = state.entries.values().filter(|entry| {
            let place = entry.place.as_ref();
            entry.is_quiet() && place.is_some_and(|place| place.since <= since)
        });
        old.map(|entry| entry.half.id.clone()).collect()
    }

    /// How many half messages a lane holds.
    pub(super) fn held_by(&self, lane: &SlotLane) -> usize {
        let state = self.state();
        let places = state
            .entries
            .values()
            .filter_map(|entry| entry.place.as_ref());
        places.filter(|place| place.is_of(lane)).count()
    }

    pub(super) fn guarded(&self) -> usize {
        let state = self.state();
        state.entries.values().filter(|entry| entry.guarded).count()
    }

    pub(super) fn has_suspects(&self) -> bool {
        self.suspects.load(Ordering::Acquire) > 0
    }

    /// A message has come to its end, one way or the other.
    pub(super) fn passed(&self) {
        let less = |suspects: usize| suspects.checked_sub(1);
        let _ = self
            .suspects
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    fn due(&self, half: &Half) -> Instant {
        let wall = since_epoch(SystemClock.wall());
        now_and(half.due_in(wall, self.first_check, self.check_interval))
    }

    /// A half message has come; the answer is the delivery that is not needed any more.
    fn take(&self, lane: &Arc<SlotLane>, tag: u64, half: Half) -> Option<Place> {
        let due = self.due(&half);
        let place = Place {
            lane: Arc::clone(lane),
            tag,
            since: now(),
        };
        let mut state = self.state();
        if state.ended.contains(&half.id) {
            return Some(place);
        }
        let entry = state.entries.entry(half.id.clone());
        let entry = entry.or_insert_with(|| Entry::new(half.clone(), due));
        if entry.place.is_some() && entry.doing != Doing::Renewing {
            return Some(place);
        }
        // What was held, if anything, is acknowledged when its copy is confirmed, which this is.
        (entry.place, entry.doing) = (Some(place), Doing::Nothing);
        entry.arrived.notify_waiters();
        if !entry.guarded {
            (entry.due, entry.half) = (due, half);
            drop(state);
            self.earlier.notify_one();
        }
        None
    }

    /// What is no half message is put aside.
    fn put_aside(&self, lane: &SlotLane, deliver: &BasicDeliver, content: &Content) {
        let queue = &lane.queue;
        match stray(deliver, content, self.discard.clone()) {
            Ok(message) => {
                tracing::error!(%queue, "a message that is no half message goes to the discard queue");
                let outgoing = Outgoing {
                    message,
                    exchange: ByteString::new(),
                    mandatory: true,
                };
                // It stays where it is if that fails.
                drop(lane.forward(outgoing, deliver.delivery_tag, ByteString::new(), false));
            }
            Err(malformed) => {
                tracing::error!(%queue, %malformed, "a message that can't be read stays in a slot of transactions");
            }
        }
    }
}

impl Taker for Halves {
    fn arrived(&self, lane: &Arc<SlotLane>, deliver: BasicDeliver, content: Content) {
        if let Some(size) = content.too_large {
            tracing::error!(queue = %lane.queue, size, "a half message is larger than max_message_size: it waits for a publisher that may take it");
            return;
        }
        match Half::unwrapped(&content) {
            Ok(half) => {
                if let Some(needless) = self.take(lane, deliver.delivery_tag, half) {
                    needless.lane.ack(needless.tag);
                }
            }
            Err(_) => self.put_aside(lane, &deliver, &content),
        }
    }

    fn ended(&self, lane: &SlotLane, tag: u64, id: &ByteString) {
        self.end(id, Some((lane, tag)));
    }

    fn refused(&self, lane: &SlotLane, tag: u64, id: &ByteString) {
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(id)
            && entry.is_held_as(lane, tag)
        {
            entry.doing = Doing::Nothing;
            entry.arrived.notify_waiters();
        }
        drop(state);
        self.earlier.notify_one();
    }

    fn lost(&self, lane: &SlotLane, suspects: usize) {
        self.suspects.fetch_max(suspects, Ordering::AcqRel);
        let mut state = self.state();
        state.entries.retain(|_, entry| {
            let here = entry.place.as_ref();
            if here.is_some_and(|place| place.is_of(lane)) {
                (entry.place, entry.doing) = (None, Doing::Nothing);
                return entry.guarded || entry.asking;
            }
            true
        });
    }
}

impl Entry {
    fn new(half: Half, due: Instant) -> Self {
        Self {
            guarded: false,
            half,
            place: None,
            doing: Doing::Nothing,
            asking: false,
            due,
            arrived: Arc::new(Notify::new()),
            room: None,
        }
    }

    fn is_held_as(&self, lane: &SlotLane, tag: u64) -> bool {
        let place = self.place.as_ref();
        place.is_some_and(|place| place.is_of(lane) && place.tag == tag)
    }

    /// Whether it is held and nobody does anything with it.
    fn is_quiet(&self) -> bool {
        self.place.is_some() && self.doing == Doing::Nothing && !self.asking
    }
}

impl State {
    fn remember(&mut self, id: ByteString) {
        if self.ended.insert(id.clone()) {
            self.ended_order.push_back(id);
        }
        if self.ended_order.len() > REMEMBERED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}

/// A copy of what was ended comes soon after, if at all: with the next channel.
const REMEMBERED: usize = 16_384;
