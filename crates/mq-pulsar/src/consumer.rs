//! Consuming.
//!
//! ```text
//!  attend: one task a partition looks its broker up, subscribes, and does so again when subscription or connection is lost
//!  Core: what is ready ─ Tracker: what is here, held, settled ─ PartLane ─ driver of the connection
//!  run: a task a message
//!  follow: a task that has partitions and topics attended which are added
//!  letters: a task that sends what was in vain to dead letter and retry letter topics
//! ```

mod attend;
mod backoff;
mod bits;
mod content;
mod core;
mod delivery;
mod events;
mod follow;
mod key_shared;
mod letters;
mod options;
mod pattern;
mod reader;
mod run;
mod seek;
mod settling;
mod tracker;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::Stream;

use self::backoff::Backoff;
use self::content::Arrival;
use self::core::Core;
pub use self::core::Counts;
pub use self::delivery::{Acker, Delivery, Received, Settle};
pub use self::events::{ConsumerEvent, ConsumerEvents};
pub use self::letters::{DeadLetter, RetryLetter};
pub use self::options::{ConsumerBuilder, SubscriptionType};
pub use self::reader::{Reader, ReaderBuilder};
pub use self::settling::Settling;
use crate::client::Client;
use crate::error::Result;

/// Receives the messages of a subscription. Receive by [`recv`](Self::recv), by [`run`](Self::run), or as a [`Stream`].
///
/// Connections and subscriptions that are lost are made again, and what was not acknowledged is delivered again; none of that is an item. What is
/// handed out when a connection is lost stays with its handler: it is not handed out a second time by this consumer. Dropped, it closes.
pub struct Consumer {
    shared: Arc<Shared>,
    concurrency: usize,
    /// What whoever polls it as a stream waits for. In a lock that nobody waits for, so that others may receive beside it.
    next: Mutex<Option<BoxFuture<'static, Result<Option<Arrival>>>>>,
}

struct Shared {
    core: Arc<Core>,
    client: Client,
    nack: Backoff,
}

impl Client {
    /// Options of a consumer of a subscription. Its topics are given by [`ConsumerBuilder::topic`].
    pub fn consumer(&self, subscription: impl Into<String>) -> ConsumerBuilder {
        ConsumerBuilder::new(self.clone(), subscription.into())
    }
}

impl Consumer {
    /// The next message; `None` when the consumer is closed. Any number of callers may wait at a time.
    ///
    /// # Errors
    ///
    /// What ended the consumer, once; then `None`. Kind `NotFound` if a topic is gone, `Auth` if it may not be consumed any longer.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a message is handed out when this returns, or stays. Polled once and left alone, it keeps nothing from other callers.
    pub async fn recv(&self) -> Result<Option<Delivery>> {
        let received = self.shared.core.next().await?;
        Ok(received.map(|received| Delivery::new(Arc::clone(&self.shared), received)))
    }

    /// What pauses, moves and closes the consumer from elsewhere.
    pub fn handle(&self) -> ConsumerHandle {
        ConsumerHandle {
            core: Arc::clone(&self.shared.core),
        }
    }

    /// What the broker tells besides messages: first, of a failover subscription, of which partitions this consumer is the active one now.
    pub fn events(&self) -> ConsumerEvents {
        self.shared.core.events()
    }

    /// What has happened to its messages.
    pub fn counts(&self) -> Counts {
        self.shared.core.counts()
    }

    /// As [`ConsumerHandle::close`].
    ///
    /// # Cancel safety
    ///
    /// As [`ConsumerHandle::close`].
    pub async fn close(&self) {
        self.handle().close().await;
    }

    /// The subscription's name.
    pub fn subscription(&self) -> &str {
        &self.shared.core.subscription
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { shared, next, .. } = &mut *self;
        let next = next.get_mut().unwrap_or_else(PoisonError::into_inner);
        if next.is_none()
            && let Poll::Ready(received) = shared.core.take()
        {
            return Poll::Ready(item(shared, received));
        }
        let waiting = next.get_or_insert_with(|| Box::pin(Core::next_of(Arc::clone(&shared.core))));
        let received = std::task::ready!(waiting.as_mut().poll(cx));
        *next = None;
        Poll::Ready(item(shared, received))
    }
}

fn item(shared: &Arc<Shared>, received: Result<Option<Arrival>>) -> Option<Result<Delivery>> {
    let received = received.transpose()?;
    Some(received.map(|received| Delivery::new(Arc::clone(shared), received)))
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.core.close();
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("subscription", &self.subscription())
            .finish_non_exhaustive()
    }
}

/// Pauses, moves and closes a [`Consumer`].
#[derive(Clone)]
pub struct ConsumerHandle {
    core: Arc<Core>,
}

impl ConsumerHandle {
    /// Hands out nothing more until [`resume`](Self::resume); the queue still fills.
    pub fn pause(&self) {
        self.core.pause(true);
    }

    /// Hands out again.
    pub fn resume(&self) {
        self.core.pause(false);
    }

    /// Stops handing out, and waits up to 5 s until what was handed out is settled; acknowledgements are written before the subscription is left.
    /// What is not settled by then comes again, to whichever consumer. `recv` answers `None` from then on.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: closing goes on without the caller. Calling it again waits for the same end.
    pub async fn close(&self) {
        self.core.close();
        self.core.ended().await;
    }
}

impl fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerHandle")
            .field("subscription", &self.core.subscription)
            .finish_non_exhaustive()
    }
}
