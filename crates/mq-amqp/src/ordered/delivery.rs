//! A message of an ordered topic, handed out.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::lane::{Head, Lane};
use crate::consumer::returns::REFUSED;
use crate::error::Result;
use crate::{Received, Settle};

/// A message of an ordered topic, and what settles it. Until that is done nothing else of its partition is handed out. Dropped without it, the same message
/// is handed out again here.
#[must_use = "dropped without being settled, it is handed out again"]
pub struct OrderedDelivery {
    lane: Arc<Lane>,
    head: OwnedMutexGuard<Head>,
    /// For who reads it; the lane has its own.
    received: Received,
}

impl OrderedDelivery {
    pub(super) const fn new(
        lane: Arc<Lane>,
        head: OwnedMutexGuard<Head>,
        received: Received,
    ) -> Self {
        Self {
            lane,
            head,
            received,
        }
    }

    /// Done with it. See [`settle`](Self::settle).
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub async fn ack(self) -> Result<()> {
        self.settle(Settle::Ack).await
    }

    /// Settles it. [`Settle::Retry`] and [`Settle::RetryAfter`] have it handed out again here after a pause, before anything else of its partition, and when
    /// its attempts are used up it is parked, as by [`Settle::DeadLetter`]. [`Settle::Release`] has it handed out again at once, and counts as no attempt.
    ///
    /// Cancel safe: dropped before its first poll, nothing is decided; while it is being parked, that is tried again before anything else of its partition is
    /// handed out.
    ///
    /// # Errors
    ///
    /// Kind `Stale` if its channel is gone: the broker delivers the message again. Was it acknowledged, this consumer drops the copy if it has the numbers of
    /// an [`OrderedPublisher`](crate::OrderedPublisher); another one that takes over does not. What publishing answers, if it can't be parked: it will be.
    pub async fn settle(mut self, decision: Settle) -> Result<()> {
        let policy = self.lane.policy;
        let attempt = self.received.attempt();
        let Some(held) = &mut self.head.held else {
            return Ok(());
        };
        let given_up = match decision {
            Settle::Ack => return self.head.ack().await,
            Settle::Release => return Ok(()),
            Settle::DeadLetter => REFUSED.to_owned(),
            Settle::Retry | Settle::RetryAfter(_) => {
                let Some(why) = policy.used_up(attempt) else {
                    let asked = match decision {
                        Settle::RetryAfter(pause) => Some(pause),
                        _ => None,
                    };
                    held.pause_until = Some(policy.again_at(attempt, asked));
                    held.received.count_attempt();
                    return Ok(());
                };
                why
            }
        };
        held.given_up = Some(given_up);
        self.lane.park(&mut self.head).await
    }

    /// Which attempt it is, from 1 on; a lost connection may begin the count anew.
    pub const fn attempt(&self) -> u32 {
        self.received.attempt()
    }

    /// The queue of its partition.
    pub fn queue(&self) -> &str {
        self.lane.consumer.queue()
    }

    /// The message, without what settles it.
    pub const fn received(&self) -> &Received {
        &self.received
    }
}

impl Deref for OrderedDelivery {
    type Target = Received;

    fn deref(&self) -> &Received {
        &self.received
    }
}

impl fmt::Debug for OrderedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedDelivery")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
