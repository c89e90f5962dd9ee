//! The window of a producer: how much may be under way, and who waits for room.
//!
//! Who waits is no future but a message in a line: whoever makes room puts the next one into its partition. So a send that was polled once and then
//! left alone holds nobody up. Locks are taken in the order gate, partition, connection, and answers are given when none is held.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use mq_core::Outcome;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::batch::Slot;
use super::memory::Memory;
use super::part::Part;
use super::{Answer, Receipt, SendError, Unheard, words};
use crate::Message;
use crate::error::{Error, closed};

/// Who waited, and what became of the message.
pub(super) type Ended = (Answer, Result<Receipt, SendError>);

pub(super) struct Gate {
    pub(super) window: usize,
    window_bytes: usize,
    /// Nobody waits: what has no room fails.
    fails: bool,
    memory: Arc<Memory>,
    me: Weak<Self>,
    state: Mutex<State>,
    /// Something has come to its end.
    moved: Notify,
    /// Something ends before what the sweep waits for.
    pub(super) armed: Notify,
    /// Nothing is left to do for the tasks.
    pub(super) over: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    count: usize,
    bytes: usize,
    next: u64,
    /// When the sweep looks again.
    sweeps: Option<Instant>,
    closing: bool,
    leaving: bool,
    ended: Option<Error>,
    unheard: Unheard,
}

struct Waiting {
    slot: Slot,
    part: Arc<Part>,
    admitted: oneshot::Sender<()>,
}

/// A send as it was taken.
pub(super) struct Taken {
    pub(super) number: u64,
    /// `None`: it is in the window already.
    pub(super) admitted: Option<oneshot::Receiver<()>>,
}

impl Gate {
    pub(super) fn new(
        window: usize,
        window_bytes: usize,
        fails: bool,
        memory: Arc<Memory>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            window,
            window_bytes,
            fails,
            memory,
            me: Weak::clone(me),
            state: Mutex::default(),
            moved: Notify::new(),
            armed: Notify::new(),
            over: watch::Sender::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message: to its partition if there is room and nobody waits, else behind those who wait.
    ///
    /// # Errors
    ///
    /// With the message: the producer is closed, or full and not to wait.
    pub(super) fn take(
        &self,
        part: &Arc<Part>,
        message: Message,
        deadline: Instant,
        answer: Answer,
    ) -> Result<Taken, SendError> {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Err(SendError::new(why.clone(), message));
        }
        if state.closing {
            return Err(SendError::new(closed("send", "producer"), message));
        }
        let number = state.next;
        let slot = Slot {
            number,
            own_sequence: message.head.sequence_id.is_some(),
            cost: cost(&message),
            message,
            answer: Some(answer),
            deadline,
        };
        let has_room = state.waiting.is_empty() && self.admit(&mut state, slot.cost);
        if !has_room && self.fails {
            return Err(SendError::new(words::full(self.window), slot.message));
        }
        state.next += 1;
        if state.sweeps.is_none_or(|at| deadline < at) {
            state.sweeps = Some(deadline);
            self.armed.notify_one();
        }
        if has_room {
            part.push(slot);
            return Ok(Taken {
                number,
                admitted: None,
            });
        }
        let (admitted, room) = oneshot::channel();
        state.waiting.push_back(Waiting {
            slot,
            part: Arc::clone(part),
            admitted,
        });
        Ok(Taken {
            number,
            admitted: Some(room),
        })
    }

    /// Takes room, if there is some. A message larger than the window goes alone.
    fn admit(&self, state: &mut State, cost: usize) -> bool {
        let fits = state.count == 0
            || state.count < self.window && state.bytes.saturating_add(cost) <= self.window_bytes;
        if !fits || !self.memory.take(cost, &self.me) {
            return false;
        }
        state.count += 1;
        state.bytes += cost;
        true
    }

    fn promote(&self, state: &mut State) {
        while let Some(cost) = state.waiting.front().map(|next| next.slot.cost) {
            if !self.admit(state, cost) {
                return;
            }
            let Some(next) = state.waiting.pop_front() else {
                return;
            };
            let _ = next.admitted.send(());
            next.part.push(next.slot);
        }
    }

    /// There may be room again, by what other producers gave back.
    fn look_again(&self) {
        self.promote(&mut self.state());
    }

    /// Gives room back and answers; what nobody listens to any more is kept for `flush`.
    pub(super) fn finish(&self, ended: Vec<Ended>, freed: &[usize]) {
        let mut unheard = Vec::new();
        for (answer, result) in ended {
            if let Err(Err(failed)) = answer.send(result) {
                unheard.push(failed);
            }
        }
        let mut state = self.state();
        let bytes: usize = freed.iter().sum();
        state.count = state.count.saturating_sub(freed.len());
        state.bytes = state.bytes.saturating_sub(bytes);
        let others = self.memory.give_back(bytes);
        self.promote(&mut state);
        for failed in unheard {
            state.unheard.add(failed);
        }
        self.tell_of_an_end(&state);
        drop(state);
        for other in others.iter().filter_map(Weak::upgrade) {
            other.look_again();
        }
    }

    fn tell_of_an_end(&self, state: &State) {
        self.moved.notify_waiters();
        if state.leaving && state.count == 0 && state.waiting.is_empty() {
            self.over.send_replace(true);
        }
    }

    /// The sender dropped its future before there was room.
    pub(super) fn withdraw(&self, number: u64) {
        let mut state = self.state();
        state.remove(number);
        self.promote(&mut state);
        self.tell_of_an_end(&state);
    }

    /// Gives up what is late; gives when the next one is.
    pub(super) fn expire(&self, parts: &[Arc<Part>], now: Instant) -> Option<Instant> {
        let (mut ended, mut freed) = (Vec::new(), Vec::new());
        let mut state = self.state();
        let waiting = state
            .waiting
            .iter()
            .map(|waiting| (waiting.slot.number, waiting.slot.deadline));
        let (late, others): (Vec<_>, Vec<_>) = waiting.partition(|(_, deadline)| *deadline <= now);
        let mut next = others.iter().map(|(_, deadline)| *deadline).min();
        for (number, _) in late {
            let mut slot = state.remove(number);
            ended.extend(slot.as_mut().and_then(|slot| slot.late(Outcome::NotSent)));
        }
        for part in parts {
            let (late, its_next) = part.late(now);
            for number in late {
                if let Some((told, cost)) = part.give_up(number) {
                    ended.push(told);
                    // What was written holds its room until it is known what became of it.
                    freed.extend((cost > 0).then_some(cost));
                }
            }
            next = [next, its_next].into_iter().flatten().min();
        }
        state.sweeps = next;
        drop(state);
        if !ended.is_empty() {
            self.finish(ended, &freed);
        }
        next
    }

    /// Waits until what was taken so far has come to its end; gives what nobody has heard of.
    pub(super) async fn flushed(&self, parts: impl Fn() -> Vec<Arc<Part>>) -> Unheard {
        let until = self.state().next;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let waits = self
                .state()
                .waiting
                .front()
                .map(|waiting| waiting.slot.number);
            let parts = parts();
            for part in &parts {
                part.hurry();
            }
            let oldest = parts
                .iter()
                .filter_map(|part| part.oldest())
                .chain(waits)
                .min();
            if oldest.is_none_or(|oldest| oldest >= until) {
                return std::mem::take(&mut self.state().unheard);
            }
            moved.await;
        }
    }

    /// Waits until nothing is left to do. It keeps the guard of what it has seen to itself: where the end is told, that would hold up who tells it.
    pub(super) async fn is_over(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Takes nothing more; what is under way goes on.
    pub(super) fn refuse(&self) {
        self.state().closing = true;
    }

    /// The last handle is gone: what is under way is still brought to its end.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.leaving = true;
        self.tell_of_an_end(&state);
    }

    /// Nothing will be sent any more: everybody hears why.
    pub(super) fn end(&self, parts: &[Arc<Part>], why: &Error) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(why.clone());
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        let (mut ended, mut freed) = (Vec::new(), Vec::new());
        for part in parts {
            let (told, costs) = part.end(why);
            ended.extend(told);
            freed.extend(costs);
        }
        for Waiting { mut slot, .. } in waiting {
            if let Some(answer) = slot.answer.take() {
                let error = why.clone().into_builder().operation("send");
                let error = error.outcome(Outcome::NotSent).build();
                ended.push((answer, Err(SendError::new(error, slot.given_back()))));
            }
        }
        self.finish(ended, &freed);
        self.over.send_replace(true);
    }
}

impl State {
    fn remove(&mut self, number: u64) -> Option<Slot> {
        let number_of = |waiting: &Waiting| waiting.slot.number;
        let at = self.waiting.binary_search_by_key(&number, number_of).ok()?;
        self.waiting.remove(at).map(|waiting| waiting.slot)
    }
}

/// What a message holds of the window: its body and its metadata, never nothing.
fn cost(message: &Message) -> usize {
    super::batch::size_in_batch(message).max(1)
}
