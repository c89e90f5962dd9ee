//! A transaction under way, and how it ends.

use std::fmt;
use std::sync::Arc;

use mq_core::Outcome;

use super::Checkers;
use crate::client::{Call, Shared};
use crate::error::{Error, ErrorCode, Result, rejected};
use crate::proto::Envelope;
use crate::proto::action::{ConfirmTransaction, Confirmation};
use crate::proto::tcp::state;

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Commit,
    Rollback,
}

impl Decision {
    const fn state(self) -> i32 {
        match self {
            Self::Commit => state::COMMIT,
            Self::Rollback => state::ROLLBACK,
        }
    }

    const fn operation(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }
}

/// A transaction under way: the server has the half message, and nobody receives it yet. Made by
/// [`TransactionalProducer::begin`](super::TransactionalProducer::begin).
///
/// Do the local work while it lives, then [`commit`](Self::commit) or [`rollback`](Self::rollback). Dropped without either, by an early
/// return, a panic or the death of the process, it is left to the checker: nothing is sent then, and the server asks. As long as it lives, the
/// checker is not asked here.
#[must_use = "dropped, the transaction is left to the checker"]
pub struct Prepared {
    checkers: Arc<Checkers>,
    shared: Arc<Shared>,
    queue: Arc<str>,
    number: u64,
    id: String,
    ended: bool,
}

impl Prepared {
    pub(super) fn new(
        checkers: Arc<Checkers>,
        shared: Arc<Shared>,
        queue: Arc<str>,
        number: u64,
    ) -> Self {
        checkers.opened(number);
        Self {
            checkers,
            shared,
            queue,
            number,
            id: number.to_string(),
            ended: false,
        }
    }

    /// The id of the half message, and of the message that it becomes: what to store with the local work, for the checker to find.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The queue's name.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Has the message delivered. Resolves when the server has confirmed it; asked again within the client's time-out while the answer does not
    /// come, since doing it twice is harmless.
    ///
    /// # Errors
    ///
    /// With outcome `Unknown`, `NotSent` or kind `Busy`: the server will ask the checker, which decides; so too with kind `Auth`, the keys are refused, and
    /// `NotFound`, the queue is. Kind `Rejected` and outcome `Rejected`:
    /// [`ErrorCode::TRANSACTION_STATE`], it was rolled back before, by the checker or because nobody answered in time;
    /// [`ErrorCode::TRANSACTION_NOT_FOUND`], the server does not know it (any more; outcome `Unknown` where an attempt before had no answer); [`ErrorCode::NOT_TRANSACTIONAL`].
    ///
    /// # Cancel safety
    ///
    /// Dropped half way, it may or may not be committed; if not, the server asks the checker.
    pub async fn commit(self) -> Result<()> {
        self.end(Decision::Commit).await
    }

    /// Has the message forgotten. Resolves when the server has confirmed it.
    ///
    /// # Errors
    ///
    /// As for [`commit`](Self::commit).
    ///
    /// # Cancel safety
    ///
    /// As for [`commit`](Self::commit).
    pub async fn rollback(self) -> Result<()> {
        self.end(Decision::Rollback).await
    }

    async fn end(mut self, decision: Decision) -> Result<()> {
        let settled = settle(&self.shared, &self.queue, self.number, decision).await;
        self.ended = true;
        settled
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.checkers.ended(self.number);
        if !self.ended {
            tracing::debug!(queue = %self.queue, id = self.id, "a transaction is left to the checker");
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("queue", &self.queue)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Tells the server what becomes of a half message, and awaits its answer.
pub(super) async fn settle(
    shared: &Shared,
    queue: &str,
    message_id: u64,
    decision: Decision,
) -> Result<()> {
    let operation = decision.operation();
    let state = decision.state();
    let action = ConfirmTransaction {
        queue,
        message_id,
        state,
    };
    let call = Call {
        resend_unknown: Some(true),
        ..Call::new(operation)
    };
    let answered = shared.ask(&action, call).await.map_err(certain)?;
    let said = shared.reply::<ConfirmTransaction<'_>>(&answered, operation)?;
    if let Some(code) = answered.envelope.error() {
        let refused = refusal(shared, operation, &said, code, &answered.envelope);
        // Forgotten, perhaps because an attempt whose answer was lost has ended it.
        if answered.unsure && refused.code() == Some(&ErrorCode::TRANSACTION_NOT_FOUND) {
            return Err(refused.into_builder().outcome(Outcome::Unknown).build());
        }
        return Err(refused);
    }
    match said.state {
        None => Ok(()),
        Some(now) if now == state => Ok(()),
        Some(_) => {
            let code = ErrorCode::TRANSACTION_STATE;
            Err(refusal(shared, operation, &said, code, &answered.envelope))
        }
    }
}

/// A decision can be repeated: what the server says of the transaction itself holds, whatever became of the attempts before. Another no, such as that
/// the keys are refused by now, says nothing about an attempt whose answer was lost.
fn certain(error: Error) -> Error {
    let of_the_transaction = [ErrorCode::TRANSACTION_STATE, ErrorCode::NOT_TRANSACTIONAL];
    let is_no = error
        .code()
        .is_some_and(|code| of_the_transaction.contains(code));
    if is_no && error.outcome() == Outcome::Unknown {
        return error.into_builder().outcome(Outcome::Rejected).build();
    }
    error
}

/// The item's own code is more to the point than that of the whole.
fn refusal(
    shared: &Shared,
    operation: &'static str,
    said: &Confirmation,
    whole: ErrorCode,
    envelope: &Envelope,
) -> Error {
    let code = said.code.map_or(whole, ErrorCode::of_result);
    let text = said.message.as_deref().unwrap_or_else(|| envelope.text());
    let told = Envelope::refusal(code, text, envelope.request_id.clone());
    let error = rejected(operation, shared.endpoint(), code, &told);
    error.into_builder().outcome(Outcome::Rejected).build()
}
