//! A message in the user's hands, and the decision about it.
//!
//! ```text
//!   recv ──► Delivery ──► ack │ nack ──► Settling: the delete was confirmed
//!               ├──► into_parts ──► (Held, Acker)
//!               └──► dropped: as nack, counted
//! ```

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::lease::Term;
use crate::error::{Error, Result, closed};
use crate::proto::ErrorCode;
use crate::queue::Received;

/// What a handler decides about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// Done with: it is deleted.
    Ack,
    /// Not done: it comes again when its visibility timeout ends. CMQ can neither shorten that time nor put a message into the dead-letter
    /// queue on demand; a queue with a [dead-letter rule](crate::DeadLetter) does it by itself.
    Retry,
}

/// A message for as long as it is ours: its content, and when that ends. Derefs to [`Received`].
#[derive(Debug, Clone)]
pub struct Held {
    received: Received,
    term: Term,
    expiry: CancellationToken,
}

/// A received message that is not settled yet. Derefs to [`Held`], and that to [`Received`].
///
/// Dropping it unsettled is a [`nack`](Self::nack), which is counted. One that is still held when its visibility timeout has passed twice
/// gives its place in the consumer's concurrency to another message.
#[must_use = "a delivery that is dropped unsettled is delivered again"]
pub struct Delivery {
    held: Held,
    acker: Acker,
}

/// Settles one message, apart from its content: what is left of a [`Delivery`] by [`into_parts`](Delivery::into_parts).
///
/// Dropping it unsettled is what dropping the delivery is.
#[must_use = "an acker that is dropped unsettled has its message delivered again"]
pub struct Acker {
    slot: Option<(Arc<Core>, u64)>,
}

/// Waits for the result of settling; the decision itself was recorded when the call was made, and dropping this does not undo it.
///
/// # Cancel safety
///
/// Cancel-safe.
#[must_use = "the decision is recorded, but only awaiting this tells whether it held"]
#[derive(Debug)]
pub struct Settling(Progress);

#[derive(Debug)]
enum Progress {
    Known(Option<Result<()>>),
    Waiting(oneshot::Receiver<Result<()>>),
}

impl Held {
    pub(super) const fn new(received: Received, term: Term, expiry: CancellationToken) -> Self {
        Self {
            received,
            term,
            expiry,
        }
    }

    /// When its handler is aborted.
    pub(super) const fn give_up(&self) -> Instant {
        self.term.give_up()
    }

    /// Until when the message is certainly ours, by this machine's monotonic clock: the queue's visibility timeout after the *beginning of
    /// the request* that brought it. The service took it later than that, so that it is invisible for longer, by up to the time that
    /// the request took. Time in the consumer's buffer counts. CMQ can't move it.
    pub const fn deadline(&self) -> Instant {
        self.term.deadline
    }

    /// Cancelled at the [deadline](Self::deadline): from then on somebody else may have the message. Also cancelled when the consumer
    /// is gone and can't delete any more.
    pub const fn expiry(&self) -> &CancellationToken {
        &self.expiry
    }

    /// Whether the [deadline](Self::deadline) has passed.
    pub fn is_expired(&self) -> bool {
        self.expiry.is_cancelled()
    }

    /// The content without the deadline.
    pub fn into_received(self) -> Received {
        self.received
    }
}

impl Deref for Held {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl Delivery {
    pub(super) const fn new(core: Arc<Core>, id: u64, held: Held) -> Self {
        let slot = Some((core, id));
        Self {
            held,
            acker: Acker { slot },
        }
    }

    /// Takes content and decision apart, to move them to different places.
    pub fn into_parts(self) -> (Held, Acker) {
        (self.held, self.acker)
    }

    /// Done with: delete it. See [`Acker::ack`].
    pub fn ack(self) -> Settling {
        self.acker.ack()
    }

    /// Not done. See [`Acker::nack`].
    pub fn nack(self) -> Settling {
        self.acker.nack()
    }
}

impl Acker {
    /// Done with: the message is deleted. Resolves when the service has confirmed it. Deletes that are wanted while others are under way
    /// go together, up to 16 in a request; each has its own result. One whose answer did not come is sent again until the time of the
    /// message is over.
    ///
    /// # Errors
    ///
    /// Kind [`Stale`](mq_core::ErrorKind::Stale), [`ErrorCode::HANDLE_EXPIRED`](crate::ErrorCode::HANDLE_EXPIRED): the visibility timeout
    /// had passed, here (outcome `NotSent`) or at the service (`Rejected`); the message is delivered again. Kind `Closed`: the consumer is
    /// gone. Kinds `Auth`, `NotFound`, …: as for [`Queue::delete`](crate::Queue::delete). None is retryable.
    pub fn ack(mut self) -> Settling {
        self.slot.take().map_or_else(
            || Settling::now(Err(closed(SETTLE))),
            |(core, id)| core.ack(id),
        )
    }

    /// Not done: the message comes again when its visibility timeout ends, not before. Nothing is sent; resolves at once.
    ///
    /// # Errors
    ///
    /// None.
    pub fn nack(mut self) -> Settling {
        if let Some((core, id)) = self.slot.take() {
            core.nack(id);
        }
        Settling::now(Ok(()))
    }

    pub(super) fn settle(self, decision: Settle) -> Settling {
        match decision {
            Settle::Ack => self.ack(),
            Settle::Retry => self.nack(),
        }
    }
}

impl Settling {
    pub(crate) const fn now(result: Result<()>) -> Self {
        Self(Progress::Known(Some(result)))
    }

    pub(crate) const fn later(result: oneshot::Receiver<Result<()>>) -> Self {
        Self(Progress::Waiting(result))
    }
}

impl Future for Settling {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Progress::Known(result) => Poll::Ready(result.take().unwrap_or(Ok(()))),
            // The sender is dropped with the consumer.
            Progress::Waiting(result) => Pin::new(result)
                .poll(cx)
                .map(|result| result.unwrap_or_else(|_| Err(gone()))),
        }
    }
}

impl Deref for Delivery {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

impl Drop for Acker {
    fn drop(&mut self) {
        if let Some((core, id)) = self.slot.take() {
            core.dropped(id);
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.held, f)
    }
}

impl fmt::Debug for Acker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acker").finish_non_exhaustive()
    }
}

/// Refused here: the service would say the same.
pub(crate) fn expired() -> Error {
    let message = "the visibility timeout had passed before the message was acknowledged";
    let error = Error::builder(mq_core::ErrorKind::Stale, message)
        .operation(SETTLE)
        .code(ErrorCode::HANDLE_EXPIRED);
    match ErrorCode::HANDLE_EXPIRED.hint() {
        Some(hint) => error.hint(hint).build(),
        None => error.build(),
    }
}

/// The consumer ended with the delete under way.
fn gone() -> Error {
    let message = "the consumer ended before the delete was confirmed";
    Error::builder(mq_core::ErrorKind::Closed, message)
        .operation(SETTLE)
        .outcome(mq_core::Outcome::Unknown)
        .build()
}

pub(super) const SETTLE: &str = "settle";
