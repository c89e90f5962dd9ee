//! One channel in transactional mode: what its transaction holds, and what of that is written.
//!
//! ```text
//!  publish, ack, reject, release ──► line ──(fill)──► the server keeps it            recv ◄── ready ◄── deliveries
//!  commit:   the last of the line, tx.commit ──► asked ──► what came back, then commit-ok ──► idle
//!  rollback: in the place of the line, tx.rollback, basic.recover ──► rolling back ──► recovering ──► idle
//!  lost, given up ──► over
//! ```
//!
//! Invariants:
//! - `tx.commit` is the last of its line, and nothing is written between it and its answer: RabbitMQ would close the connection.
//! - A delivery is settled once at most, and only by the transaction that has received it.
//! - Over is over: another channel has another core, so nothing of a transaction is ever written to a second one.
//! - While `tx.commit` is not written nothing of the transaction can be applied; from then on only the server knows, unless it blames
//!   a method that was written before it.
// rabbit_channel 3.10.8: handle_method, "unexpected command while processing 'tx.commit'", and the clauses of tx.commit and tx.rollback

mod lane;
mod state;
#[cfg(test)]
mod tests;
mod words;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytestring::ByteString;
use mq_core::Outcome;
use tokio::sync::Notify;

pub(super) use self::state::{Decision, Limits};
use self::state::{Phase, Published, State, Step};
use super::CommitError;
use crate::Message;
use crate::conn::{Connection, Key};
use crate::consumer::{Arrival, has_offset};
use crate::error::Result;
use crate::proto::FRAME_OVERHEAD;
use crate::publisher::SendError;
use crate::publisher::encode::Head;
use crate::publisher::words::headers_too_large;

pub(super) struct Core {
    limits: Limits,
    state: Mutex<State>,
    /// Something has come, or the channel is over. One waits at most: a transaction is borrowed by who waits.
    changed: Notify,
}

impl Core {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel is there, and nothing is consumed on it yet.
    pub(super) fn opened(&self, connection: &Connection, key: Key) {
        let mut state = self.state();
        // Who tells of a loss may have been faster.
        if state.phase != Phase::Over {
            state.channel = Some((connection.clone(), key));
        }
    }

    /// Waits until another transaction can begin, which is so when the last one's rollback is answered, and begins it; the answer is
    /// whether this channel has one.
    pub(super) async fn begin(&self) -> bool {
        self.wait(|state| match state.phase {
            Phase::Idle if !state.cancelled => {
                state.phase = Phase::Begun;
                Some(true)
            }
            Phase::Undoing | Phase::RollingBack | Phase::Recovering => None,
            _ => Some(false),
        })
        .await
    }

    /// Takes a message into the transaction.
    pub(super) fn publish(
        &self,
        exchange: ByteString,
        message: Message,
        head: Head,
    ) -> Result<(), SendError> {
        let mut state = self.state();
        let cost = message.body().len() + head.header().len();
        if let Err(error) = self.has_room(&state, &head, cost) {
            return Err(SendError::new(error, message));
        }
        state.count += 1;
        state.bytes += cost;
        state.line.push_back(Step::Publish(Box::new(Published {
            exchange,
            message,
            head,
        })));
        state.wake();
        Ok(())
    }

    fn has_room(&self, state: &State, head: &Head, cost: usize) -> Result<()> {
        let (connection, _) = state.there("send")?;
        let (header, frame_max) = (head.header().len(), connection.settled().frame_max);
        if header + FRAME_OVERHEAD > frame_max {
            return Err(headers_too_large(header, frame_max));
        }
        let Limits {
            messages, bytes, ..
        } = self.limits;
        if state.count >= messages || state.bytes.saturating_add(cost) > bytes {
            return Err(words::full(messages, bytes));
        }
        Ok(())
    }

    /// The next message of this transaction; `None` when it holds as many as the prefetch lets come.
    pub(super) async fn next(&self) -> Result<Option<Arrival>> {
        self.wait(|state| self.take(state)).await
    }

    fn take(&self, state: &mut State) -> Option<Result<Option<Arrival>>> {
        if let Err(error) = state.there("recv") {
            return Some(Err(error));
        }
        while let Some(arrival) = state.ready.pop_front() {
            let tag = arrival.deliver.delivery_tag;
            let Some(size) = arrival.content.too_large else {
                state.held.insert(tag, arrival.clone());
                return Some(Ok(Some(arrival)));
            };
            // What a stream has can't be refused; it is passed over.
            let decision = if has_offset(&arrival.content) {
                Decision::Ack
            } else {
                Decision::Reject
            };
            tracing::error!(
                size,
                "a message is larger than max_message_size; it is refused with the transaction"
            );
            state.decide(tag, decision);
        }
        if state.cancelled {
            return Some(Err(words::cancelled()));
        }
        // Until it is committed the server counts as held what was settled in it.
        let full = state.held.len() + state.settled >= usize::from(self.limits.prefetch);
        full.then_some(Ok(None))
    }

    /// Records a decision over a message that this transaction has received; `None` is one of another channel.
    pub(super) fn settle(&self, tag: Option<u64>, decision: Decision) -> Result<()> {
        let mut state = self.state();
        state.there("settle")?;
        let held = tag.and_then(|tag| Some((tag, state.held.get(&tag)?)));
        let Some((tag, arrival)) = held else {
            return Err(words::not_held());
        };
        if decision != Decision::Ack && has_offset(&arrival.content) {
            return Err(words::of_a_stream());
        }
        state.held.remove(&tag);
        state.decide(tag, decision);
        Ok(())
    }

    /// Has the transaction committed.
    pub(super) fn commit(&self) -> Result<()> {
        let mut state = self.state();
        state.there("commit")?;
        state.told = None;
        state.phase = Phase::Committing;
        state.line.push_back(Step::Commit);
        state.wake();
        Ok(())
    }

    /// Waits for what became of a commit.
    pub(super) async fn committed(&self) -> Result<(), CommitError> {
        self.wait(|state| state.told.take()).await
    }

    /// Nobody waits for the commit any longer: it is taken back, if it is not written.
    pub(super) fn too_late(&self, timeout: Duration) -> Result<(), CommitError> {
        let mut state = self.state();
        // Between the timer and now it may have come to its end.
        if let Some(told) = state.told.take() {
            return told;
        }
        let outcome = if state.phase == Phase::Committing {
            Outcome::NotSent
        } else {
            Outcome::Unknown
        };
        let channel = state.channel.as_ref();
        let blocked = channel.is_some_and(|(connection, _)| connection.is_blocked());
        state.undo();
        Err(words::too_late(timeout, outcome, blocked).into())
    }

    /// Takes back what is not committed. What can't be taken back any more ends with the channel.
    pub(super) fn undo(&self) {
        self.state().undo();
    }

    /// Waits until a rollback is answered, or done by the channel's end.
    pub(super) async fn undone(&self) {
        let left = [Phase::Undoing, Phase::RollingBack, Phase::Recovering];
        self.wait(|state| (!left.contains(&state.phase)).then_some(()))
            .await;
    }

    /// Nothing more is written, whatever was decided: what is not committed is taken back by the channel's end.
    pub(super) fn give_up(&self) {
        self.state().end(words::given_up());
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().phase == Phase::Over
    }

    async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            if let Some(found) = look(&mut self.state()) {
                return found;
            }
            self.changed.notified().await;
        }
    }
}
