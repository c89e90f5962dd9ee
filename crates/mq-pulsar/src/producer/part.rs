//! What a producer has under way to one partition.
//!
//! ```text
//!  push ─► open batch ──(full, 1 ms, or nothing in flight)──► line ──(fill)──► flight ──receipt──► the senders hear
//!                                                              ▲                 │
//!                                                              └─── lane lost ───┘   in order, under the same sequence ids
//! ```
//!
//! Invariants: sequence ids are given when messages are pushed, so that `flight`, `line` and the open batch are in their order, whatever is lost. The
//! broker answers in the order of what was written: a receipt is of `flight`'s first, or of one that was written before it was lost.

mod lane;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytestring::ByteString;
use mq_core::Outcome;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::batch::{Common, Op, Slot, size_in_batch};
use super::gate::{Ended, Gate};
use super::{SendError, words};
use crate::conn::{Connection, Key, now};
use crate::error::Error;
use crate::proto::Compression;
use crate::topic::TopicName;

/// How messages are put together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batching {
    /// 1: not at all.
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) linger: Duration,
}

pub(super) struct Part {
    pub(super) topic: TopicName,
    pub(super) id: u64,
    batching: Batching,
    gate: Weak<Gate>,
    state: Mutex<State>,
    /// The lane was lost, or has to be opened anew; or nothing is left to do.
    pub(super) changed: Notify,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    open: Vec<Slot>,
    open_bytes: usize,
    /// When the first of the open batch was put there.
    since: Instant,
    /// Nothing is waited for to fill it.
    hurry: bool,
    line: VecDeque<Op>,
    flight: VecDeque<Op>,
    channel: Option<Connection>,
    /// The driver was told that there is something to write now, or later.
    told: bool,
    told_later: bool,
    common: Common,
    next_sequence: u64,
    /// How often the lane was lost: by two tasks, in either order, it may be opened and lost.
    losses: u64,
    /// The broker can't go on with it: it has to be opened anew.
    broken: Option<Error>,
    ended: bool,
}

/// What the broker says when a producer is opened.
pub(super) struct Welcome {
    pub(super) name: ByteString,
    pub(super) last_sequence_id: i64,
    pub(super) max_message_size: usize,
}

impl Part {
    pub(super) fn new(
        topic: TopicName,
        id: u64,
        batching: Batching,
        compression: Compression,
        gate: Weak<Gate>,
    ) -> Self {
        Self {
            topic,
            id,
            batching,
            gate,
            state: Mutex::new(State {
                open: Vec::new(),
                open_bytes: 0,
                since: now(),
                hurry: false,
                line: VecDeque::new(),
                flight: VecDeque::new(),
                channel: None,
                told: false,
                told_later: false,
                common: Common {
                    compression,
                    producer_name: ByteString::new(),
                    max_message_size: usize::MAX,
                },
                next_sequence: 0,
                losses: 0,
                broken: None,
                ended: false,
            }),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn key(&self) -> Key {
        Key::Producer(self.id)
    }

    /// The name under which the broker knows it; empty before the first time.
    pub(super) fn name(&self) -> ByteString {
        self.state().common.producer_name.clone()
    }

    pub(super) fn last_sequence_id(&self) -> Option<u64> {
        self.state().next_sequence.checked_sub(1)
    }

    /// The largest message that the broker takes.
    pub(super) fn max_message_size(&self) -> usize {
        self.state().common.max_message_size
    }

    /// It is about to be opened: what [`opened`](Self::opened) has to be told.
    pub(super) fn opening(&self) -> u64 {
        self.state().losses
    }

    /// The broker has it: what is under way is written, beginning with what was written before. The answer is whether it has it still.
    pub(super) fn opened(&self, connection: &Connection, welcome: Welcome, opening: u64) -> bool {
        let mut state = self.state();
        if state.losses != opening || state.ended {
            return false;
        }
        if state.common.producer_name.is_empty() {
            // Only at first: later ones are in the line with theirs.
            state.next_sequence = u64::try_from(welcome.last_sequence_id + 1).unwrap_or_default();
        }
        state.common.producer_name = welcome.name;
        state.common.max_message_size = welcome.max_message_size;
        state.broken = None;
        state.channel = Some(connection.clone());
        (state.told, state.told_later) = (false, false);
        self.wake(&mut state);
        true
    }

    /// Whether it is open and can go on; or why it can't.
    pub(super) fn standing(&self) -> Result<bool, Error> {
        let state = self.state();
        match &state.broken {
            Some(why) => Err(why.clone()),
            None => Ok(state.channel.is_some()),
        }
    }

    /// Takes a message that has room. Called by the gate, in the order of the sends.
    pub(super) fn push(&self, mut slot: Slot) {
        let mut state = self.state();
        if !slot.own_sequence {
            slot.message.head.sequence_id = Some(state.next_sequence);
        }
        // As in Java, a number of the user's does not move ours; but ours never comes behind it.
        state.next_sequence = state
            .next_sequence
            .max(slot.sequence_id().saturating_add(1));
        if self.batching.messages <= 1 {
            state.line.push_back(Op::of(vec![slot]));
            self.wake(&mut state);
            return;
        }
        let size = size_in_batch(&slot.message);
        if !state.open.is_empty() && state.open_bytes + size > self.batching.bytes {
            state.close_batch();
        }
        if state.open.is_empty() {
            state.since = now();
        }
        state.open.push(slot);
        state.open_bytes += size;
        if state.open.len() >= self.batching.messages || state.open_bytes >= self.batching.bytes {
            state.close_batch();
        }
        self.wake(&mut state);
    }

    /// What is in the open batch goes as it is.
    pub(super) fn hurry(&self) {
        let mut state = self.state();
        state.hurry = true;
        self.wake(&mut state);
    }

    fn wake(&self, state: &mut State) {
        let Some(connection) = &state.channel else {
            return;
        };
        if state.is_ready(self.batching.linger, None) {
            if !state.told {
                connection.wake(self.key());
                state.told = true;
            }
        } else if !state.open.is_empty() && !state.told_later {
            connection.wake_at(self.key(), state.since + self.batching.linger);
            state.told_later = true;
        }
    }

    /// Takes a message back whose time is over, unless it has come to its end.
    pub(super) fn give_up(&self, number: u64) -> Option<(Ended, usize)> {
        let mut state = self.state();
        if let Ok(at) = state.open.binary_search_by_key(&number, |slot| slot.number) {
            let mut slot = state.open.remove(at);
            state.open_bytes = state
                .open_bytes
                .saturating_sub(size_in_batch(&slot.message));
            return slot.late(Outcome::NotSent).map(|ended| (ended, slot.cost));
        }
        let all = state.line.iter_mut().map(|op| (op.sent, op));
        let found = all.filter(|(sent, _)| *sent == 0).find_map(|(_, op)| {
            let at = op
                .slots
                .binary_search_by_key(&number, |slot| slot.number)
                .ok()?;
            Some(op.slots.remove(at))
        });
        if let Some(mut slot) = found {
            return slot.late(Outcome::NotSent).map(|ended| (ended, slot.cost));
        }
        let State { flight, line, .. } = &mut *state;
        let slot = flight.iter_mut().chain(line).find_map(|op| {
            let at = op
                .slots
                .binary_search_by_key(&number, |slot| slot.number)
                .ok()?;
            op.slots.get_mut(at)
        })?;
        // It holds its place until the broker says what became of it, or the lane is lost.
        slot.late(Outcome::Unknown).map(|ended| (ended, 0))
    }

    /// Those whose time is over, and when that of the next one is.
    pub(super) fn late(&self, now: Instant) -> (Vec<u64>, Option<Instant>) {
        let state = self.state();
        let ops = state.flight.iter().chain(&state.line);
        let all = ops.flat_map(|op| &op.slots).chain(&state.open);
        let waited = all.filter(|slot| slot.answer.is_some());
        let (late, others): (Vec<_>, Vec<_>) = waited.partition(|slot| slot.deadline <= now);
        let next = others.iter().map(|slot| slot.deadline).min();
        (late.iter().map(|slot| slot.number).collect(), next)
    }

    /// The number of the oldest message that somebody waits for.
    pub(super) fn oldest(&self) -> Option<u64> {
        let state = self.state();
        let ops = state.flight.iter().chain(&state.line);
        let mut all = ops.flat_map(|op| &op.slots).chain(&state.open);
        all.find(|slot| slot.answer.is_some())
            .map(|slot| slot.number)
    }

    /// Nothing will be sent any more: everybody hears why.
    pub(super) fn end(&self, why: &Error) -> (Vec<Ended>, Vec<usize>) {
        let mut state = self.state();
        (state.ended, state.channel) = (true, None);
        state.close_batch();
        let ops = std::mem::take(&mut state.flight).into_iter();
        let ops: Vec<_> = ops.chain(std::mem::take(&mut state.line)).collect();
        drop(state);
        let (mut ended, mut freed) = (Vec::new(), Vec::new());
        for op in ops {
            let outcome = match op.sent {
                0 => Outcome::NotSent,
                _ => Outcome::Unknown,
            };
            let error = why.clone().into_builder().operation("send");
            op.fail(&error.outcome(outcome).build(), &mut ended, &mut freed);
        }
        (ended, freed)
    }
}

impl State {
    /// What was written and not answered is written again, by the next lane.
    fn lose(&mut self) -> Vec<usize> {
        self.channel = None;
        self.losses += 1;
        let mut freed = Vec::new();
        let mut again = std::mem::take(&mut self.flight);
        for op in &mut again {
            // Whose sender was told that its fate is unknown is not sent again.
            freed.extend(op.drop_abandoned());
        }
        again.retain(|op| !op.slots.is_empty());
        again.append(&mut self.line);
        self.line = again;
        freed
    }

    fn close_batch(&mut self) {
        if !self.open.is_empty() {
            let slots = std::mem::take(&mut self.open);
            self.line.push_back(Op::of(slots));
            self.open_bytes = 0;
        }
    }

    /// Whether there is something that need not wait for more.
    fn is_ready(&self, linger: Duration, at: Option<Instant>) -> bool {
        let due = || at.is_some_and(|at| self.since + linger <= at);
        !self.line.is_empty()
            || !self.open.is_empty() && (self.flight.is_empty() || self.hurry || due())
    }
}

impl Op {
    pub(super) fn fail(self, error: &Error, ended: &mut Vec<Ended>, freed: &mut Vec<usize>) {
        for mut slot in self.slots {
            freed.push(slot.cost);
            if let Some(answer) = slot.answer.take() {
                ended.push((
                    answer,
                    Err(SendError::new(error.clone(), slot.given_back())),
                ));
            }
        }
    }
}

impl Slot {
    pub(super) fn late(&mut self, outcome: Outcome) -> Option<Ended> {
        let answer = self.answer.take()?;
        let error = words::timed_out(outcome);
        Some((answer, Err(SendError::new(error, self.given_back()))))
    }
}
