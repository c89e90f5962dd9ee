//! What a publisher has under way, and which of it is on the wire.
//!
//! ```text
//!  send ─► waiting ──(room in the window)──► line ──(fill)──► flight ──ack, nack──► the sender hears
//!                                             ▲                 │
//!                                             └── channel lost ─┘   in order, under the same id
//! ```
//!
//! Invariants: `waiting`, `line` and `flight` are each in the order in which sends were made, and whatever is in `flight` was made before
//! whatever is in `line`. The message with delivery tag `t` is `flight[t - base]`; tags are counted where bytes are written.

mod lane;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;
use mq_core::Outcome;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use self::state::{Resolved, Slot, State, Waiting, remove};
use super::encode::Head;
use super::words::unroutable;
use super::{Receipt, SendError, Unheard};
use crate::Message;
use crate::conn::{Connection, Key, now};
use crate::error::{Error, closed};
use crate::proto::{BasicReturn, Content, Malformed, Properties};
use crate::rpc::Replies;

pub(super) type Answer = oneshot::Sender<Result<Receipt, SendError>>;

/// A publisher's state, which outlives channels and connections.
pub(super) struct Core {
    exchange: ByteString,
    window: usize,
    window_bytes: usize,
    /// Takes the answers, if what is published are requests.
    pub(super) replies: Option<Arc<Replies>>,
    state: Mutex<State>,
    /// The channel was lost, or nothing is left to do.
    pub(super) changed: Notify,
    /// Something has come to its end.
    moved: Notify,
}

/// A send as it was taken.
pub(super) struct Taken {
    pub(super) number: u64,
    /// `None`: it is in the window already.
    pub(super) admitted: Option<oneshot::Receiver<()>>,
}

impl Core {
    pub(super) fn new(
        exchange: ByteString,
        window: usize,
        window_bytes: usize,
        replies: Option<Arc<Replies>>,
    ) -> Self {
        Self {
            exchange,
            window,
            window_bytes,
            replies,
            state: Mutex::default(),
            changed: Notify::new(),
            moved: Notify::new(),
        }
    }

    pub(super) fn exchange(&self) -> &str {
        &self.exchange
    }

    pub(super) const fn window(&self) -> usize {
        self.window
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message: into the window if there is room and nobody waits, else behind those who wait.
    pub(super) fn take(
        &self,
        message: Message,
        head: Head,
        deadline: Instant,
        answer: Answer,
    ) -> Result<Taken, SendError> {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Err(SendError::new(why.clone(), message));
        }
        if state.closing {
            return Err(SendError::new(closed("send", "publisher"), message));
        }
        let number = state.next;
        state.next += 1;
        let slot = Slot {
            number,
            cost: message.body().len() + head.header().len(),
            message: Some(message),
            head,
            answer: Some(answer),
            returned: None,
            sent: 0,
            deadline,
            abandoned: false,
        };
        if state.waiting.is_empty() && self.has_room(&state, slot.cost) {
            state.admit(slot);
            drop(state);
            return Ok(Taken {
                number,
                admitted: None,
            });
        }
        let (admitted, room) = oneshot::channel();
        state.waiting.push_back(Waiting { slot, admitted });
        Ok(Taken {
            number,
            admitted: Some(room),
        })
    }

    /// A message larger than the window goes alone.
    fn has_room(&self, state: &State, cost: usize) -> bool {
        state.count == 0
            || state.count < self.window && state.bytes.saturating_add(cost) <= self.window_bytes
    }

    fn promote(&self, state: &mut State) {
        while let Some(next) = state.waiting.front() {
            if !self.has_room(state, next.slot.cost) {
                return;
            }
            let Some(next) = state.waiting.pop_front() else {
                return;
            };
            // Who waits for room no longer may wait for the answer still: who waits for neither withdraws it himself.
            let _ = next.admitted.send(());
            state.admit(next.slot);
        }
    }

    /// Takes a send back whose time is over; says what became of it.
    pub(super) fn abandon(&self, number: u64) -> Option<(Outcome, Message)> {
        let mut state = self.state();
        let (_, outcome, message) = state.give_up(number)?;
        self.promote(&mut state);
        state.wake();
        self.tell_of_an_end(&state);
        Some((outcome, message))
    }

    /// The sender dropped its future before there was room.
    pub(super) fn withdraw(&self, number: u64) {
        let mut state = self.state();
        remove(&mut state.waiting, number, |waiting| waiting.slot.number);
        self.tell_of_an_end(&state);
    }

    /// A channel is there, which does not confirm yet.
    pub(super) fn begin(&self, key: Key) {
        self.state().begun = Some(key);
    }

    /// The channel confirms from now on; the answer is whether it is still there.
    pub(super) fn opened(&self, connection: &Connection, key: Key) -> bool {
        let mut state = self.state();
        // The task that tells of a loss is not the one that opens: it may have told of this one already.
        if state.begun.take() != Some(key) {
            return false;
        }
        state.base = 1;
        state.channel = Some((connection.clone(), key));
        state.dirty = false;
        state.wake();
        true
    }

    /// Whether the server has blocked the connection.
    pub(super) fn is_blocked(&self) -> bool {
        self.state()
            .channel
            .as_ref()
            .is_some_and(|(connection, _)| connection.is_blocked())
    }

    /// Whether this is the channel that is written to.
    pub(super) fn holds(&self, key: Key) -> bool {
        self.state()
            .channel
            .as_ref()
            .is_some_and(|(_, held)| *held == key)
    }

    /// Nothing will be sent any more: everybody hears why.
    pub(super) fn end(&self, why: &Error) {
        let mut state = self.state();
        state.ended = Some(why.clone());
        state.channel = None;
        let waiting = std::mem::take(&mut state.waiting);
        let mut resolved = Resolved::new();
        let flight = std::mem::take(&mut state.flight);
        let line = std::mem::take(&mut state.line);
        for slot in flight
            .into_iter()
            .chain(line)
            .chain(waiting.into_iter().map(|waiting| waiting.slot))
        {
            let outcome = if slot.sent == 0 {
                Outcome::NotSent
            } else {
                Outcome::Unknown
            };
            let error = why
                .clone()
                .into_builder()
                .outcome(outcome)
                .operation("send")
                .build();
            slot.fail(error, &mut resolved);
        }
        (state.count, state.bytes, state.given_up) = (0, 0, 0);
        self.finish(state, resolved);
    }

    /// The last handle is gone: what is under way is still brought to its end.
    pub(super) fn leave(&self) {
        self.state().leaving = true;
        self.changed.notify_one();
    }

    /// Whether the task of the publisher has nothing to do any more.
    pub(super) fn is_done(&self) -> bool {
        let state = self.state();
        state.ended.is_some() || state.leaving && state.is_idle()
    }

    /// Waits until what was taken so far has come to its end, each message to its deadline; gives what nobody has heard of.
    pub(super) async fn flushed(&self) -> Unheard {
        let until = self.state().next;
        while let Some(next) = self.expire(now())
            && timeout_at(next, self.has_ended(until)).await.is_err()
        {}
        std::mem::take(&mut self.state().unheard)
    }

    /// Waits until all messages before this one have come to their ends.
    async fn has_ended(&self, until: u64) {
        loop {
            let moved = self.moved.notified();
            if self.state().oldest().is_none_or(|oldest| oldest >= until) {
                return;
            }
            moved.await;
        }
    }

    /// Takes nothing more; what is under way goes on.
    pub(super) fn refuse(&self) {
        self.state().closing = true;
    }

    /// Gives up what is late, also if nobody looks; gives when the next one is.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let blocked = self.is_blocked();
        let mut state = self.state();
        let (late, next) = state.late(now);
        let mut resolved = Resolved::new();
        for number in late {
            if let Some((answer, outcome, message)) = state.give_up(number) {
                let error =
                    SendError::new(super::words::timed_out(None, outcome, blocked), message);
                resolved.push((answer, Err(error)));
            }
        }
        self.finish(state, resolved);
        next
    }

    fn tell_of_an_end(&self, state: &State) {
        self.moved.notify_waiters();
        if state.leaving && state.is_idle() {
            self.changed.notify_one();
        }
    }

    /// Answers, outside of the lock; what nobody listens to any more is kept for `flush`.
    fn finish(&self, mut state: MutexGuard<'_, State>, resolved: Resolved) {
        self.promote(&mut state);
        state.wake();
        for (answer, result) in resolved {
            if let Err(Err(unheard)) = answer.send(result) {
                state.unheard.add(unheard);
            }
        }
        self.tell_of_an_end(&state);
    }

    /// Takes a confirm. One of a message that was never published would be of another one if it were taken: then nothing is known any more.
    fn settle(&self, tag: u64, multiple: bool, ack: bool) -> Result<(), Malformed> {
        let mut state = self.state();
        let last = match tag.checked_sub(state.base).map(usize::try_from) {
            // Known already; or the channel does not confirm yet, or no longer.
            None => return Ok(()),
            _ if state.channel.is_none() => return Ok(()),
            Some(Ok(last)) if last < state.flight.len() => last,
            Some(_) => {
                let reason = format!("{tag} is confirmed, and was not published");
                return Err(Malformed::new("delivery tag", reason));
            }
        };
        let first = if multiple { 0 } else { last };
        let mut resolved = Resolved::new();
        let mut freed = Vec::new();
        for slot in state.flight.iter_mut().skip(first).take(last + 1 - first) {
            if let Some(message) = slot.message.take() {
                freed.push((slot.cost, slot.abandoned));
                slot.settle(message, ack, &mut resolved);
            }
        }
        for (cost, given_up) in freed {
            state.release(cost, given_up);
            state.probes = state.probes.saturating_sub(1);
        }
        while state
            .flight
            .front()
            .is_some_and(|slot| slot.message.is_none())
        {
            state.flight.pop_front();
            state.base += 1;
        }
        self.finish(state, resolved);
        Ok(())
    }

    /// The server could not route a message. It says so before it confirms it, and not by its tag.
    fn came_back(&self, told: &BasicReturn, content: &Content) {
        let id = Properties::decode(content.properties.clone())
            .ok()
            .and_then(|properties| properties.message_id);
        let mut state = self.state();
        let candidates = state.flight.iter_mut().filter(|slot| {
            let message = slot
                .message
                .as_ref()
                .filter(|_| slot.may_come_back(&told.exchange));
            message.is_some_and(|message| {
                message.message_id() == id.as_deref() && message.routing_key() == &*told.routing_key
            })
        });
        // An id of the user's may not be the only one of its kind. The first of those that are alike to the last byte will do; and if a server
        // has changed something on the way, the likest one.
        let slot = candidates.reduce(|first, next| {
            if next.likeness(content) > first.likeness(content) {
                next
            } else {
                first
            }
        });
        if let Some(slot) = slot {
            slot.returned = Some(unroutable(told));
        } else {
            tracing::warn!(exchange = %told.exchange, "a message came back that is not under way");
        }
    }
}
