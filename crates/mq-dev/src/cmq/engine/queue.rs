//! One queue: what it holds, who waits for it, and what happens to it as time passes.
//!
//! A message is in `messages` and in exactly one of `ready` and `timers`; with a handle in `handles` while somebody holds it.
//!
//! Entries are numbered in the order of their arrival and the retention is the queue's, so that the oldest entry is the first to expire,
//! and no index is needed for that.

mod halves;
mod inner;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::halves::Halves;
pub(super) use self::halves::{Decided, SavedHalves};
pub(crate) use self::halves::{Decision, Question, Sender};
use super::ids::Ids;
use super::message::{Dead, Delivered, Message, State};
use super::{Body, Disorder};
use crate::cmq::spec::QueueSpec;

/// Chance, and how much of it.
pub(super) type Chance<'a> = (&'a mut fastrand::Rng, Disorder);

/// How a wait ended.
#[derive(Debug)]
pub(super) enum Ended {
    With(Vec<Delivered>),
    Without,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) changed: u64,
    spec: QueueSpec,
    messages: BTreeMap<u64, Message>,
    /// By when they became visible, then by entry.
    ready: BTreeSet<(u64, u64)>,
    /// The ready ones by age; empty unless messages die of age.
    aging: BTreeSet<u64>,
    /// When delayed and held messages become visible.
    timers: BTreeSet<(u64, u64)>,
    handles: HashMap<u64, u64>,
    /// Deleted, and to be had again.
    kept: BTreeMap<u64, Message>,
    /// In the order of their coming.
    waiters: BTreeMap<u64, Waiting>,
    waits: BTreeSet<(u64, u64)>,
    ended: Vec<u64>,
    halves: Halves,
    delayed: usize,
    scheduled: Option<u64>,
    /// Of all messages, and what of it the server knows.
    bytes: usize,
    counted: usize,
}

/// What a receive wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    /// So many messages at most.
    pub(crate) count: usize,
    /// How long nobody else receives them; as the queue says if not given.
    pub(crate) visibility_seconds: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    want: Want,
    until: u64,
}

impl Queue {
    pub(super) fn new(id: String, spec: QueueSpec, now: u64) -> Self {
        Self {
            id,
            created: now,
            changed: now,
            spec,
            messages: BTreeMap::new(),
            ready: BTreeSet::new(),
            aging: BTreeSet::new(),
            timers: BTreeSet::new(),
            handles: HashMap::new(),
            kept: BTreeMap::new(),
            waiters: BTreeMap::new(),
            waits: BTreeSet::new(),
            ended: Vec::new(),
            halves: Halves::default(),
            delayed: 0,
            scheduled: None,
            bytes: 0,
            counted: 0,
        }
    }

    pub(super) const fn spec(&self) -> &QueueSpec {
        &self.spec
    }

    /// All messages but the deleted ones and those that are none yet.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn active(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn held(&self) -> usize {
        self.handles.len()
    }

    pub(super) const fn delayed(&self) -> usize {
        self.delayed
    }

    pub(super) fn rewindable(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// When the oldest message was sent, in milliseconds; 0 without one.
    pub(super) fn oldest(&self) -> u64 {
        self.messages
            .first_key_value()
            .map_or(0, |(_, message)| message.enqueued)
    }

    /// All messages and the deleted ones, with their places.
    pub(super) fn saved(&self) -> [Vec<(u64, Message)>; 2] {
        [&self.messages, &self.kept].map(|all| {
            let copies = all.iter().map(|(entry, message)| (*entry, message.clone()));
            copies.collect()
        })
    }

    /// A message that comes now and is visible at `visible`.
    pub(super) fn insert(&mut self, entry: u64, id: u64, body: Body, now: u64, visible: u64) {
        let state = if visible > now {
            State::Delayed { until: visible }
        } else {
            State::Ready { since: now }
        };
        let message = Message {
            id,
            body,
            enqueued: now,
            first_received: 0,
            receives: 0,
            origin: None,
            state,
        };
        self.restore(entry, message);
    }

    /// A message that died elsewhere.
    pub(super) fn bury(&mut self, entry: u64, dead: Dead, now: u64) {
        self.insert(entry, dead.id, dead.body, now, now);
        if let Some(message) = self.messages.get_mut(&entry) {
            message.origin = Some(dead.origin);
        }
    }

    /// A message as it was.
    pub(super) fn restore(&mut self, entry: u64, message: Message) {
        match message.state {
            State::Ready { since } => self.show(entry, since),
            State::Delayed { until } => {
                self.delayed += 1;
                self.timers.insert((until, entry));
            }
            State::Held { until, handle } => {
                self.handles.insert(handle, entry);
                self.timers.insert((until, entry));
            }
        }
        self.bytes += weight(&message.body);
        self.messages.insert(entry, message);
    }

    /// A deleted message as it was.
    pub(super) fn keep(&mut self, entry: u64, message: Message) {
        if self.kept.len() >= self.most() {
            self.forget_oldest();
        }
        self.bytes += weight(&message.body);
        self.kept.insert(entry, message);
    }

    /// Takes messages that are ready: the one that has been visible for longest first.
    pub(super) fn take(
        &mut self,
        now: u64,
        want: Want,
        ids: &mut Ids,
        (dice, disorder): Chance<'_>,
        dead: &mut Vec<Dead>,
    ) -> Vec<Delivered> {
        let mut taken = Vec::with_capacity(want.count.min(self.ready.len()));
        let visibility = want.visibility_seconds;
        let visibility = u64::from(visibility.unwrap_or(self.spec.visibility_seconds)) * 1000;
        while taken.len() < want.count {
            let strange = disorder.shuffle > 0 && dice.u8(..100) < disorder.shuffle;
            let skip = if strange {
                dice.usize(..self.ready.len().clamp(1, SHUFFLED))
            } else {
                0
            };
            let Some(&place) = self.ready.iter().nth(skip) else {
                break;
            };
            self.hide(place.0, place.1);
            if self.dies(now, place.1, dead) {
                continue;
            }
            let again = disorder.redeliver > 0 && dice.u8(..100) < disorder.redeliver;
            let next_visible = now + visibility;
            let until = if again { now } else { next_visible };
            let held = (until, ids.handle());
            taken.extend(self.hand_out(now, place.1, held, next_visible));
        }
        taken
    }

    /// Deletes the message that somebody holds by this handle. One whose time is over has no handle any more: see [`Queue::run`].
    pub(super) fn delete(&mut self, handle: u64) -> bool {
        let Some(entry) = self.handles.get(&handle).copied() else {
            return false;
        };
        if let Some(message) = self.remove(entry)
            && self.spec.rewind_seconds > 0
        {
            self.keep(entry, message);
        }
        true
    }

    /// The message is visible again, as if it had not been taken.
    pub(super) fn give_back(&mut self, handle: u64) {
        let Some(entry) = self.handles.remove(&handle) else {
            return;
        };
        let Some(message) = self.messages.get_mut(&entry) else {
            return;
        };
        let State::Held { until, .. } = message.state else {
            return;
        };
        message.receives = message.receives.saturating_sub(1);
        if message.receives == 0 {
            message.first_received = 0;
        }
        // Before those that came later.
        let since = message.enqueued;
        message.state = State::Ready { since };
        self.timers.remove(&(until, entry));
        self.show(entry, since);
    }

    /// Somebody waits until a time.
    pub(super) fn wait(&mut self, waiter: u64, want: Want, until: u64) {
        self.waits.insert((until, waiter));
        self.waiters.insert(waiter, Waiting { want, until });
    }

    /// Nobody waits there any more.
    pub(super) fn leave(&mut self, waiter: u64) {
        if let Some(waiting) = self.waiters.remove(&waiter) {
            self.waits.remove(&(waiting.until, waiter));
        }
    }

    /// All who wait, in order.
    pub(super) fn everybody(&mut self) -> Vec<u64> {
        self.waits.clear();
        let all = std::mem::take(&mut self.waiters);
        all.into_keys().collect()
    }

    /// Gives what is ready to those who wait, in the order of their coming; and ends the waits that are over.
    pub(super) fn serve(
        &mut self,
        now: u64,
        ids: &mut Ids,
        (dice, disorder): Chance<'_>,
        dead: &mut Vec<Dead>,
    ) -> Vec<(u64, Ended)> {
        let mut served = Vec::new();
        while !self.ready.is_empty() {
            let Some((&waiter, &waiting)) = self.waiters.first_key_value() else {
                break;
            };
            let messages = self.take(now, waiting.want, ids, (dice, disorder), dead);
            if messages.is_empty() {
                break;
            }
            self.leave(waiter);
            served.push((waiter, Ended::With(messages)));
        }
        for waiter in std::mem::take(&mut self.ended) {
            if self.waiters.contains_key(&waiter) {
                self.leave(waiter);
                served.push((waiter, Ended::Without));
            }
        }
        served
    }

    /// Lets happen what is due at `now`: what is too old goes, what was invisible is seen, what can't be consumed dies, waits end.
    pub(super) fn run(&mut self, now: u64, dead: &mut Vec<Dead>) {
        let life = u64::from(self.spec.retention_seconds) * 1000;
        while let Some((&entry, message)) = self.messages.first_key_value()
            && message.enqueued + life <= now
        {
            self.remove(entry);
        }
        let rewind = u64::from(self.spec.rewind_seconds) * 1000;
        while let Some((_, message)) = self.kept.first_key_value()
            && message.enqueued + rewind <= now
        {
            self.forget_oldest();
        }
        while let Some(&(at, entry)) = self.timers.first().filter(|timer| timer.0 <= now) {
            self.timers.pop_first();
            self.appear(at, entry);
            if let Some(since) = self.since(entry)
                && self.must_die(now, entry)
            {
                self.hide(since, entry);
                self.dies(now, entry, dead);
            }
        }
        while let Some(&entry) = self.aging.first()
            && self.must_die(now, entry)
        {
            let since = self.since(entry).unwrap_or_default();
            self.hide(since, entry);
            self.dies(now, entry, dead);
        }
        self.ask(now);
        let over = self.waits.iter().take_while(|wait| wait.0 <= now);
        self.ended = over.map(|wait| wait.1).collect();
    }

    /// Forgets all messages.
    pub(super) fn clear(&mut self) {
        self.messages = BTreeMap::new();
        self.ready.clear();
        self.aging.clear();
        self.timers.clear();
        self.handles = HashMap::new();
        self.kept = BTreeMap::new();
        self.clear_halves();
        self.delayed = 0;
        self.bytes = 0;
    }

    /// Tells the server's sum what has changed since the last time.
    pub(super) const fn count_bytes(&mut self, sum: &mut usize) {
        *sum = sum.saturating_sub(self.counted).saturating_add(self.bytes);
        self.counted = self.bytes;
    }

    /// It is told something else.
    pub(super) fn change(&mut self, spec: QueueSpec, now: u64) {
        self.spec = spec;
        self.changed = now;
        if self.spec.rewind_seconds == 0 {
            while !self.kept.is_empty() {
                self.forget_oldest();
            }
        }
        self.aging.clear();
        if self.max_age().is_some() {
            self.aging.extend(self.ready.iter().map(|place| place.1));
        }
    }
}

/// What a message takes of the memory: beside its body its places in the maps, about 230 bytes as measured.
pub(super) const fn weight(body: &str) -> usize {
    body.len() + BESIDE_BODY
}

const BESIDE_BODY: usize = 256;
/// How far behind its turn a message may be taken when receives are out of order.
const SHUFFLED: usize = 32;
