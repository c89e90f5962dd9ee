//! A message in the user's hands, and the decision about it.
//!
//! ```text
//!   recv ──► Delivery ──► ack │ nack │ nack_after │ dead_letter │ release ──► Settling
//!               │                        recorded at the call            waits for the result
//!               ├──► into_parts ──► (Received, Acker)
//!               └──► dropped: as nack, counted and warned about; while closing: as release
//! ```

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::core::Core;
use super::offset::{Loan, Stale};
use super::ordered::Turn;
use super::queue::Queue;
use super::received::Received;
use super::settle::Settle;
use crate::error::{Error, Result};

/// A received message that is not settled yet. Derefs to [`Received`], and that to [`Message`](crate::Message).
///
/// Settle it with [`ack`](Self::ack) or one of the others. Dropping it unsettled is a [`nack`](Self::nack), which is counted and warned
/// about; after [`close`](crate::Consumer::close) began it is a [`release`](Self::release). One that is held longer than
/// [`settle_timeout`](crate::ConsumerBuilder::settle_timeout) is taken back the same way, and settling it then fails with
/// [`Stale`](mq_core::ErrorKind::Stale).
#[must_use = "a delivery that is dropped unsettled is delivered again"]
pub struct Delivery {
    received: Arc<Received>,
    acker: Acker,
}

/// Settles one message, apart from its content: what is left of a [`Delivery`] by [`into_parts`](Delivery::into_parts).
///
/// Dropping it unsettled is what dropping the delivery is.
#[must_use = "an acker that is dropped unsettled has its message delivered again"]
pub struct Acker {
    slot: Option<Slot>,
}

#[derive(Clone)]
struct Slot {
    core: Arc<Core>,
    queue: Arc<Queue>,
    loan: Loan,
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
    Waiting(oneshot::Receiver<()>),
}

impl Delivery {
    pub(super) fn new(
        core: Arc<Core>,
        queue: Arc<Queue>,
        loan: Loan,
        received: Arc<Received>,
    ) -> Self {
        Self {
            received,
            acker: Acker {
                slot: Some(Slot { core, queue, loan }),
            },
        }
    }

    /// For how long the one who handles it may stay with its queue; at once over where there are no lanes.
    pub(super) fn turn(&self) -> Turn {
        let slot = self.acker.slot.as_ref();
        slot.map_or_else(Turn::default, |slot| slot.core.turn_of_lane())
    }

    /// Of an ordered queue: up to `most` messages that follow, once some have arrived.
    pub(super) fn following(&self, most: usize) -> Vec<Self> {
        let slot = self.acker.slot.as_ref();
        slot.map(|slot| slot.core.following(&slot.queue, most))
            .unwrap_or_default()
    }

    /// Resolves when its queue has got more messages.
    pub(super) async fn more_arrive(&self) {
        if let Some(slot) = &self.acker.slot {
            slot.queue.arrived().notified().await;
        }
    }

    /// Takes content and decision apart, to move them to different places.
    pub fn into_parts(self) -> (Received, Acker) {
        let Self { received, acker } = self;
        (Arc::unwrap_or_clone(received), acker)
    }

    /// Done with: the group's offset may pass it. See [`Acker::ack`].
    pub fn ack(self) -> Settling {
        self.acker.ack()
    }

    /// Deliver it again after the broker's delay for this attempt. See [`Acker::nack`].
    pub fn nack(self) -> Settling {
        self.acker.nack()
    }

    /// Deliver it again after `delay`, rounded up to a delay level. See [`Acker::nack_after`].
    pub fn nack_after(self, delay: Duration) -> Settling {
        self.acker.nack_after(delay)
    }

    /// Into the dead-letter queue now. See [`Acker::dead_letter`].
    pub fn dead_letter(self) -> Settling {
        self.acker.dead_letter()
    }

    /// Done with, and everything acknowledged of its queue with it. See [`Acker::commit`].
    pub fn commit(self) -> Settling {
        self.acker.commit()
    }

    /// Deliver everything of its queue again that is not committed. See [`Acker::rollback`].
    pub fn rollback(self) -> Settling {
        self.acker.rollback()
    }

    /// Give it back as if it had never been received. See [`Acker::release`].
    pub fn release(self) -> Settling {
        self.acker.release()
    }
}

impl Acker {
    /// Done with: the group's offset may pass the message. Resolves at once; the offset is persisted within 5 s and by
    /// [`close`](crate::Consumer::close), so that a crash in between brings the message again.
    ///
    /// # Errors
    ///
    /// Kind [`Stale`](mq_core::ErrorKind::Stale), when the settle time-out has passed or the queue is another consumer's now: the message
    /// is delivered again. Not retryable.
    pub fn ack(self) -> Settling {
        self.settle(Settle::Ack)
    }

    /// Deliver it again after the broker's delay for this attempt; past
    /// [`max_redeliveries`](crate::ConsumerBuilder::max_redeliveries) it goes to the dead-letter queue. Resolves when the broker has confirmed; until then
    /// the group's offset does not pass the message. In [broadcasting](crate::ConsumerBuilder::broadcast) it waits here, which is confirmed at once,
    /// and in the end it is skipped.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack). A broker that can't be reached is no error: it is tried again until it confirms or the queue is lost.
    pub fn nack(self) -> Settling {
        self.settle(Settle::Retry)
    }

    /// Deliver it again after `delay`, rounded up to one of the broker's delay levels (see [`Settle::RetryAfter`]).
    ///
    /// # Errors
    ///
    /// As [`nack`](Self::nack).
    pub fn nack_after(self, delay: Duration) -> Settling {
        self.settle(Settle::RetryAfter(delay))
    }

    /// Into the dead-letter queue now, whatever the attempt; in [broadcasting](crate::ConsumerBuilder::broadcast) it is skipped.
    ///
    /// # Errors
    ///
    /// As [`nack`](Self::nack).
    pub fn dead_letter(self) -> Settling {
        self.settle(Settle::DeadLetter)
    }

    /// Done with, and so is everything that was acknowledged of its queue before it and waits for a
    /// [commit by hand](crate::ConsumerBuilder::manual_commit). Elsewhere it is an [`ack`](Self::ack).
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack).
    pub fn commit(self) -> Settling {
        self.settle(Settle::Commit)
    }

    /// Deliver this message again, and before it everything that was acknowledged of its queue and is not
    /// [committed](crate::ConsumerBuilder::manual_commit), after the queue's [suspend time](crate::ConsumerBuilder::suspend). It counts as no
    /// attempt. Where nothing is committed by hand it is a [`nack`](Self::nack).
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack).
    pub fn rollback(self) -> Settling {
        self.settle(Settle::Rollback)
    }

    /// Give it back as if it had never been received: it is the next to be received here, with the same attempt. While the consumer closes
    /// it stays uncommitted instead, and another member of the group gets it; in broadcasting this one does, when it is started again.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack).
    pub fn release(mut self) -> Settling {
        self.slot.take().map_or_else(Settling::stale, |slot| {
            Settling::now(slot.core.release(&slot.queue, slot.loan))
        })
    }

    /// Settles it, and takes the next of its lane while the turn lasts.
    pub(super) fn settle_and_follow(
        mut self,
        decision: Settle,
        turn: &mut Turn,
    ) -> Option<Delivery> {
        let goes_on = decision == Settle::Ack && turn.goes_on();
        let Some(Slot { core, queue, loan }) = self.slot.take_if(|_| goes_on) else {
            // The decision is recorded by the call; if it came too late, the message comes again anyway.
            drop(self.settle(decision));
            return None;
        };
        let (next, loan) = core.ack_and_follow(&queue, loan, turn)?;
        Some(Delivery::new(core, queue, loan, next))
    }

    pub(super) fn settle(mut self, decision: Settle) -> Settling {
        let Some(Slot { core, queue, loan }) = self.slot.take() else {
            return Settling::stale();
        };
        match decision {
            Settle::Ack => return Settling::now(core.ack(&queue, loan)),
            Settle::Commit => return Settling::now(core.ack_and_commit(&queue, loan)),
            Settle::Rollback if core.commits_by_hand() => {
                return Settling::now(core.roll_back(&queue, loan));
            }
            _ => {}
        }
        let (done, result) = oneshot::channel();
        match core.send_back(&queue, loan, decision, Some(done)) {
            Ok(()) => Settling(Progress::Waiting(result)),
            Err(Stale) => Settling::stale(),
        }
    }
}

impl Settling {
    fn now(result: Result<(), Stale>) -> Self {
        Self(Progress::Known(Some(result.map_err(stale))))
    }

    fn stale() -> Self {
        Self::now(Err(Stale))
    }
}

impl Future for Settling {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Progress::Known(result) => Poll::Ready(result.take().unwrap_or(Ok(()))),
            // The sender is dropped when the queue is lost before the broker has confirmed.
            Progress::Waiting(result) => Pin::new(result)
                .poll(cx)
                .map(|result| result.map_err(|_| stale(Stale))),
        }
    }
}

impl Deref for Delivery {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl Drop for Acker {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.core.dropped(&slot.queue, slot.loan);
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.received, f)
    }
}

impl fmt::Debug for Acker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acker")
            .field("queue", &self.slot.as_ref().map(|slot| slot.queue.id()))
            .field("offset", &self.slot.as_ref().map(|slot| slot.loan.offset))
            .finish()
    }
}

fn stale(_: Stale) -> Error {
    Error::builder(mq_core::ErrorKind::Stale, "the message is no longer this delivery's to settle")
        .operation("settle")
        .hint("its queue moved to another consumer, its settle time-out passed, or the consumer is gone; it is delivered again")
        .build()
}
