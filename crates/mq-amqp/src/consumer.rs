//! Consuming.
//!
//! ```text
//!  attend: one task a consumer opens a channel, sets the prefetch, consumes; and does so again when channel, consumer or connection is lost
//!  Core: what is ready, held, settled ─ Lane ─ driver of the consuming connection
//!  run, run_batch: a task a message or batch
//! ```

pub(crate) mod attend;
mod core;
mod delivery;
mod ledger;
mod options;
mod retry;
pub(crate) mod returns;
pub(crate) mod run;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::Stream;

pub use self::core::Counts;
pub(crate) use self::core::{Arrival, CHUNK, has_offset};
use self::core::{Core, Ticket};
pub use self::delivery::{Acker, Delivery, Received, Settle, Settling};
pub use self::options::ConsumerBuilder;
pub use self::retry::RetryPolicy;
use self::returns::Returns;
use crate::client::Client;
use crate::error::Result;

/// Receives the messages of a queue. Receive by [`recv`](Self::recv), by [`run`](Self::run), or as a [`Stream`].
///
/// Connections and channels that are lost are made again, and what was not acknowledged is delivered again; none of that is an item. Dropped, it
/// closes: what it holds goes back to the queue.
pub struct Consumer {
    shared: Arc<Shared>,
    concurrency: usize,
    /// The place of the one who polls it as a stream.
    stream: Ticket,
}

struct Shared {
    core: Arc<Core>,
    client: Client,
    retry: RetryPolicy,
    /// `None`: nothing of it is published.
    returns: Option<Returns>,
}

impl Consumer {
    /// The next message; `None` when the consumer or its client is closed. Any number of callers may wait at a time.
    ///
    /// # Errors
    ///
    /// What ended the consumer, once; then `None`. Kind `NotFound` if the queue is gone, `Auth` if it may not be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a message is handed out when this returns, or stays. Polled once and left alone, it keeps nothing from other callers.
    pub async fn recv(&self) -> Result<Option<Delivery>> {
        let received = self.shared.core.next().await?;
        Ok(received.map(|received| Delivery::new(Arc::clone(&self.shared), received)))
    }

    /// What pauses and closes the consumer from elsewhere.
    pub fn handle(&self) -> ConsumerHandle {
        ConsumerHandle {
            core: Arc::clone(&self.shared.core),
        }
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

    /// Begins to close.
    pub(crate) fn leave(&self) {
        self.shared.core.close();
    }

    /// The queue.
    pub fn queue(&self) -> &str {
        &self.shared.core.queue
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { shared, stream, .. } = &mut *self;
        let received = std::task::ready!(shared.core.poll_next(stream, cx))?;
        let delivery = received.map(|received| Delivery::new(Arc::clone(shared), received));
        Poll::Ready(delivery.map(Ok))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.core.close();
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", &self.queue())
            .finish_non_exhaustive()
    }
}

/// Pauses and closes a [`Consumer`].
#[derive(Clone)]
pub struct ConsumerHandle {
    core: Arc<Core>,
}

impl ConsumerHandle {
    /// Hands out nothing more until [`resume`](Self::resume); the prefetch still fills.
    pub fn pause(&self) {
        self.core.pause(true);
    }

    /// Hands out again.
    pub fn resume(&self) {
        self.core.pause(false);
    }

    /// Stops receiving, gives back what was not handed out, and waits up to 5 s until what was handed out is settled; what is not by then goes back
    /// to the queue. A server that does not answer is waited for 1 s more. `recv` answers `None` from then on.
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
            .field("queue", &self.core.queue)
            .finish_non_exhaustive()
    }
}
