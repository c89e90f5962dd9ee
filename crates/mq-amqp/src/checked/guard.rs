//! A transaction under way, and how it ends.

use std::fmt;
use std::sync::Arc;

use super::end::{commit, now_and, rollback};
use super::half::Half;
use super::{Handle, Shared};
use crate::Message;
use crate::error::Result;

/// A transaction under way: the broker has the half message, where nobody receives it. Made by
/// [`TransactionalPublisher::begin`](super::TransactionalPublisher::begin).
///
/// Do the local work while it lives, then [`commit`](Self::commit) or [`rollback`](Self::rollback). Dropped without either, by an early return, a
/// panic or the death of the process, it is left to the checker: that of this publisher, or of another one of its group if this one is gone. As long as it
/// lives, this publisher does not ask its checker about it.
#[must_use = "dropped, the transaction is left to the checker"]
pub struct Transaction {
    handle: Arc<Handle>,
    half: Half,
    ended: bool,
}

impl Transaction {
    pub(super) const fn new(handle: Arc<Handle>, half: Half) -> Self {
        Self {
            handle,
            half,
            ended: false,
        }
    }

    /// The transaction's id: what to store with the local work, for the checker to find. No other transaction has it.
    pub fn id(&self) -> &str {
        &self.half.id
    }

    /// The message, with the id under which it will be sent.
    pub const fn message(&self) -> &Message {
        &self.half.message
    }

    /// Has the message sent. Resolves when the broker has confirmed it.
    ///
    /// Takes the publisher's time-out at most. If the channel is lost meanwhile, the message is sent again as soon as the half message is back here, under the
    /// same id; if another publisher of the group has it by then, its checker decides.
    ///
    /// # Errors
    ///
    /// The outcome says what is known. `Unknown`: the message may be sent. `Rejected` and `NotSent`: it is not. In each case the half message is left
    /// to the checker, so nothing need be done as long as it knows the decision. Kind `NotFound`: no queue takes the message, or there is no such exchange.
    /// Kind `Stale`: the half message is not held here any more and did not come back in time.
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, the message may or may not be sent; if it is not, the checker decides.
    pub async fn commit(mut self) -> Result<()> {
        let deadline = now_and(self.shared().timeout);
        commit(self.shared(), &self.half, deadline).await?;
        self.ended = true;
        Ok(())
    }

    /// Has the message forgotten. Resolves when that is on its way to the broker, which confirms no such thing: if the connection breaks just then,
    /// the checker is asked.
    ///
    /// # Errors
    ///
    /// Kind `Stale`: the half message is not held here any more and did not come back in time; the checker is asked.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the transaction is left to the checker.
    pub async fn rollback(mut self) -> Result<()> {
        let deadline = now_and(self.shared().timeout);
        rollback(self.shared(), &self.half, deadline).await?;
        self.ended = true;
        Ok(())
    }

    pub(super) const fn half(&self) -> &Half {
        &self.half
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended {
            tracing::debug!(id = %self.half.id, "a transaction is left to the checker");
            self.shared().halves.leave(&self.half.id);
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.half.id)
            .field("message", &self.half.message)
            .finish_non_exhaustive()
    }
}
