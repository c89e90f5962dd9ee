//! A message whose turn it is, and the decision about it.

use std::fmt;
use std::ops::Deref;
use std::time::Instant;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::sequencer::Continuity;
use crate::consumer::{Settle, Settling, expired};
use crate::error::Result;
use crate::queue::Received;

/// A message of a shard, out of its envelope, and for how long it is ours.
#[derive(Clone)]
pub struct OrderedHeld {
    pub(super) received: Received,
    pub(super) payload: String,
    /// Key and number.
    pub(super) place: Option<(String, u64)>,
    pub(super) continuity: Continuity,
    pub(super) deadline: Instant,
    /// When it is given up.
    pub(super) give_up: Instant,
    pub(super) expiry: CancellationToken,
}

/// A message whose turn it is. Derefs to [`OrderedHeld`]. The next of its shard comes when this one is settled.
///
/// Dropping it unsettled is a [`nack`](Self::nack).
#[must_use = "a delivery that is dropped unsettled is delivered again"]
pub struct OrderedDelivery {
    held: OrderedHeld,
    settle: oneshot::Sender<Decision>,
}

/// What the shard is told.
#[derive(Debug)]
pub(super) enum Decision {
    Ack(oneshot::Sender<Result<()>>),
    Retry,
}

impl OrderedHeld {
    /// The payload, without the envelope.
    pub fn body(&self) -> &str {
        &self.payload
    }

    /// The payload read as JSON.
    ///
    /// # Errors
    ///
    /// It is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.payload)
    }

    /// The key; `None` of a [foreign](Continuity::Foreign) message.
    pub fn key(&self) -> Option<&str> {
        self.place.as_ref().map(|(key, _)| key.as_str())
    }

    /// The number in its stream, from 1; `None` of a [foreign](Continuity::Foreign) message.
    pub fn seq(&self) -> Option<u64> {
        self.place.as_ref().map(|(_, seq)| *seq)
    }

    /// How it follows the one before it.
    pub const fn continuity(&self) -> Continuity {
        self.continuity
    }

    /// The message as it came, in its envelope.
    pub const fn received(&self) -> &Received {
        &self.received
    }

    /// As [`Held::deadline`](crate::Held::deadline).
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// As [`Held::expiry`](crate::Held::expiry).
    pub const fn expiry(&self) -> &CancellationToken {
        &self.expiry
    }

    /// Whether the [deadline](Self::deadline) has passed.
    pub fn is_expired(&self) -> bool {
        self.expiry.is_cancelled()
    }
}

impl OrderedDelivery {
    pub(super) const fn new(held: OrderedHeld, settle: oneshot::Sender<Decision>) -> Self {
        Self { held, settle }
    }

    /// Done with: it counts as handled from the call on, is deleted, and comes to nobody here again. Resolves when the service has
    /// confirmed the delete; then comes the next of the shard.
    ///
    /// # Errors
    ///
    /// As for [`Acker::ack`](crate::Acker::ack). Of an expired handle this consumer deletes the message unseen when it comes again.
    pub fn ack(self) -> Settling {
        let (done, result) = oneshot::channel();
        match self.settle.send(Decision::Ack(done)) {
            Ok(()) => Settling::later(result),
            Err(_) => Settling::now(Err(expired())),
        }
    }

    /// Not done: it comes again when its visibility timeout ends, and its stream waits until then.
    ///
    /// # Errors
    ///
    /// None.
    pub fn nack(self) -> Settling {
        // Nobody need hear of it: without an answer it is the same.
        let _ = self.settle.send(Decision::Retry);
        Settling::now(Ok(()))
    }

    /// Whether the shard has given it up.
    pub(super) fn is_over(&self) -> bool {
        self.settle.is_closed()
    }

    pub(super) fn settle(self, decision: Settle) -> Settling {
        match decision {
            Settle::Ack => self.ack(),
            Settle::Retry => self.nack(),
        }
    }

    /// The message, to be handled while the delivery is kept to be settled.
    pub(super) fn content(&self) -> OrderedHeld {
        self.held.clone()
    }
}

impl Deref for OrderedDelivery {
    type Target = OrderedHeld;

    fn deref(&self) -> &OrderedHeld {
        &self.held
    }
}

/// Without the payload.
impl fmt::Debug for OrderedHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedHeld")
            .field("received", &self.received)
            .field("seq", &self.seq())
            .field("continuity", &self.continuity)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OrderedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.held, f)
    }
}
