//! Receiving with a deadline: pollers that take no more than can be handled, deliveries, and settling them.
//!
//! ```text
//!  free places ─► poller: receive, up to as many ─► lease (deadline, token) ─► buffer ─► recv │ Stream │ run
//!       ▲                                              │ 80 %: warned; over: token cancelled        │
//!       └──────── confirmed ◄── remover: delete, up to 16 together ◄── ack ◄─────────────────────────┤
//!       └──────── nack, dropped, given up: comes again when its visibility timeout ends ◄────────────┘
//! ```

mod close;
mod core;
mod counts;
mod delivery;
mod lease;
mod options;
mod poll;
mod ready;
mod removal;
mod run;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;

use self::core::{Core, Phase};
pub use self::counts::Counts;
pub(crate) use self::counts::count;
pub(crate) use self::delivery::expired;
pub use self::delivery::{Acker, Delivery, Held, Settle, Settling};
pub(crate) use self::lease::Term;
pub use self::options::ConsumerBuilder;
pub(crate) use self::poll::{
    IDLE_PAUSE, LONGEST_PAUSE, backoff, first_heard, is_final, wait_within,
};
pub(crate) use self::ready::Ready;
pub(crate) use self::removal::delete_until;
pub(crate) use self::run::{Workers, begin, decide};
use crate::error::Result;

/// Receives the messages of a queue, and knows for how long they are its own. Made by [`Queue::consumer`](crate::Queue::consumer).
///
/// Receive with [`recv`](Self::recv), as a [`Stream`], or by [`run`](Self::run) with a handler. A message that is not deleted within
/// the queue's visibility timeout, which CMQ can't extend, is delivered again: each delivery tells its
/// [`deadline`](Held::deadline), is warned about at four fifths of the time, and has a [token](Held::expiry) that is cancelled at its end.
///
/// End it with [`close`](Self::close). Dropped without it, everything stops at once, and what is held is delivered again.
///
/// ```no_run
/// # async fn run(queue: mq_cmq::Queue) -> mq_cmq::Result<()> {
/// let consumer = queue.consumer().concurrency(8).build()?;
/// while let Some(delivery) = consumer.recv().await? {
///     println!("{}", delivery.body());
///     delivery.ack().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a consumer that is dropped stops"]
pub struct Consumer {
    life: Life,
    /// The place of the one who polls it as a stream.
    stream: Receiver,
}

/// What ends the consumer when it is dropped.
struct Life(Arc<Core>);

/// Somebody who waits for deliveries. Its place is left when it is dropped.
struct Receiver {
    core: Arc<Core>,
    ticket: u64,
}

/// Closes a [`Consumer`] from elsewhere. Outlives it.
#[derive(Clone)]
pub struct ConsumerHandle {
    core: Arc<Core>,
}

impl Consumer {
    fn new(core: Arc<Core>) -> Self {
        Self {
            stream: Receiver::new(&core),
            life: Life(core),
        }
    }

    /// The next message; `None` when the consumer is closed. Any number of callers may wait at a time.
    ///
    /// # Errors
    ///
    /// What ended the consumer; then `None`. Lost connections, time-outs, throttling and errors inside the service are no errors here: it is
    /// tried again after a pause that grows to 10 s. Kind `Auth`: a key was refused; nothing more is asked then. Kind `NotFound`: there is
    /// no such queue. Kind `Protocol`: from the beginning on, what answers is not CMQ. None is retryable.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, no message is lost. Polled once and left alone, it keeps nothing from other callers.
    pub async fn recv(&self) -> Result<Option<Delivery>> {
        let receiver = Receiver::new(&self.life.0);
        poll_fn(|cx| receiver.poll(cx)).await
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.life.0.counts()
    }

    /// Closes it from elsewhere.
    pub fn handle(&self) -> ConsumerHandle {
        ConsumerHandle {
            core: Arc::clone(&self.life.0),
        }
    }

    /// Stops receiving, and waits up to 5 s for deliveries that are held and deletes that are under way. [`recv`](Self::recv) gives `None`
    /// from the call on. What was received and not handed out, or is still held after that, is delivered again when its visibility
    /// timeout ends: CMQ can't take a message back earlier.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: closing goes on without the caller. Calling it again waits for the same end.
    pub async fn close(&self) {
        self.handle().close().await;
    }

    fn core(&self) -> &Core {
        &self.life.0
    }

    fn concurrency(&self) -> usize {
        self.life.0.config.concurrency
    }
}

impl ConsumerHandle {
    /// As [`Consumer::close`]. At once if it is closed already.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: closing goes on without the caller.
    pub async fn close(&self) {
        self.core.begin_close(None);
        self.core.reached(Phase::Closed).await;
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.core.counts()
    }

    /// Whether the consumer is closed, closing, or gone.
    pub fn is_closed(&self) -> bool {
        self.core.phase() != Phase::Open
    }
}

impl Receiver {
    fn new(core: &Arc<Core>) -> Self {
        Self {
            ticket: core.ready.ticket(),
            core: Arc::clone(core),
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<Option<Delivery>>> {
        loop {
            let taken = std::task::ready!(self.core.ready.poll_take(self.ticket, cx))?;
            let Some((id, held)) = taken else {
                return Poll::Ready(Ok(None));
            };
            if self.core.hand_out(id, &held) {
                return Poll::Ready(Ok(Some(Delivery::new(Arc::clone(&self.core), id, held))));
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.core.ready.leave(self.ticket);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll(cx).map(Result::transpose)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.life.0, f)
    }
}

impl fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerHandle")
            .field("queue", &self.core.queue.name())
            .field("phase", &self.core.phase())
            .finish()
    }
}
