//! A transaction under way, and how it ends.

use std::fmt;

use super::end::{Decision, settle};
use super::open::Place;
use super::{TransactionalProducer, Work};
use crate::Message;
use crate::error::Result;

/// A transaction under way: the broker has the half message, and shows it to nobody yet. Made by
/// [`TransactionalProducer::begin`](super::TransactionalProducer::begin).
///
/// Do the local work while it lives, then [`commit`](Self::commit) or [`rollback`](Self::rollback). Dropped without either, by an early
/// return, a panic or the death of the process, it is left to the checker: the broker asks every producer of the group in turn. As long as it lives, this
/// producer answers the broker itself that nothing is decided; the checker is not asked here.
#[must_use = "dropped, the transaction is left to the checker"]
pub struct Transaction {
    /// Keeps the client's tasks alive, too.
    producer: TransactionalProducer,
    message: Message,
    unique_id: String,
    /// As the half message was stored first.
    begun_at: Place,
    queue: i32,
    ended: bool,
}

impl Transaction {
    pub(super) fn new(
        producer: TransactionalProducer,
        message: Message,
        begun_at: Place,
        queue: i32,
    ) -> Self {
        let unique_id = message.unique_id().unwrap_or_default().to_owned();
        producer.shared.open.guard(&unique_id, begun_at.clone());
        Self {
            producer,
            message,
            unique_id,
            begun_at,
            queue,
            ended: false,
        }
    }

    /// The message, as it was given, with its unique id.
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// The transaction's id, which is the message's unique id: what to store with the local work, for the checker to find.
    pub fn id(&self) -> &str {
        &self.unique_id
    }

    /// The name of the broker that holds the half message, and will hold the message.
    pub fn broker(&self) -> &str {
        &self.begun_at.broker
    }

    /// The number of the queue at that broker in which the message will be when it is committed.
    pub const fn queue(&self) -> i32 {
        self.queue
    }

    /// Has the message delivered. Resolves when the broker has confirmed it.
    ///
    /// Takes the producer's time-out at most. Asked again within it, of the same broker, as long as the commit was surely not carried
    /// out; there is no calling it again, since a broker that commits twice delivers twice.
    ///
    /// # Errors
    ///
    /// The outcome says what is known: `Unknown`, the message is delivered or will be asked about; `Rejected` and `NotSent`, it is not delivered
    /// and the broker will ask the checker, which decides. So nothing need be done about any of them, as long as the checker knows the
    /// decision. Kind `Rejected` with code 604: the commit came after the time to the
    /// [first check](super::TransactionalProducerBuilder::first_check_after) that was asked for.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, the commit may or may not reach the broker; then the checker decides.
    pub async fn commit(self) -> Result<()> {
        self.end(Decision::Commit).await
    }

    /// Has the message forgotten. Resolves when the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit): without a confirmation, the broker will ask the checker.
    ///
    /// # Cancel safety
    ///
    /// As [`commit`](Self::commit).
    pub async fn rollback(self) -> Result<()> {
        self.end(Decision::Rollback).await
    }

    pub(super) async fn end(mut self, decision: Decision) -> Result<()> {
        let open = &self.producer.shared.open;
        let place = open.place(&self.unique_id);
        let place = place.unwrap_or_else(|| self.begun_at.clone());
        let ended = settle(&self.producer.shared, &self.unique_id, &place, decision).await;
        self.ended = true;
        ended
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let place = self.producer.shared.open.end(&self.unique_id);
        let place = place.unwrap_or_else(|| self.begun_at.clone());
        tracing::debug!(unique_id = %self.unique_id, "a transaction is left to the checker");
        // The broker asks whether it hears of this or not. It is told by a task, since there may be no runtime here.
        let left = Work::LeaveOpen(self.unique_id.clone(), place);
        let _ = self.producer.shared.work.try_send(left);
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.unique_id)
            .field("broker", &self.begun_at.broker)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
