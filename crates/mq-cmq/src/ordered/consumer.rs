//! Receives shards, each by a task of its own, and hands out one message of each at a time.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use mq_core::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::delivery::{OrderedDelivery, OrderedHeld};
use super::{Ordered, SequenceGap, shard};
use crate::consumer::{Ready, Settle, Workers, begin, decide};
use crate::error::{Error, Result, invalid, refused};
use crate::proto::limits;

/// What to do about a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapDecision {
    /// End the consumer with an error.
    End,
    /// Wait for the missing numbers as long again; their stream stands still.
    Wait,
    /// Go on behind the gap. What turns up of it later is [`Late`](super::Continuity::Late).
    Skip,
}

type OnGap = dyn Fn(&SequenceGap) -> GapDecision + Send + Sync;

/// Options of an [`OrderedConsumer`]. Setters don't fail; what can't be is found by [`OrderedConsumerBuilder::build`].
#[must_use = "a builder does nothing until build() is called"]
#[derive(Clone)]
pub struct OrderedConsumerBuilder {
    ordered: Ordered,
    shards: Option<BTreeSet<usize>>,
    options: Options,
    on_gap: Option<Arc<OnGap>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) wait: Duration,
    pub(super) visibility: Option<Duration>,
    pub(super) window: usize,
    pub(super) gap_after: Option<Duration>,
    pub(super) most_streams: usize,
}

impl OrderedConsumerBuilder {
    pub(super) const fn new(ordered: Ordered) -> Self {
        Self {
            ordered,
            shards: None,
            options: Options {
                wait: Duration::from_secs(3),
                visibility: None,
                window: 16,
                gap_after: None,
                most_streams: 100_000,
            },
            on_gap: None,
        }
    }

    /// Which shards it receives; default all. Of all consumers that run at a time, one may have a shard: CMQ can't see to that.
    pub fn shards(mut self, numbers: impl IntoIterator<Item = usize>) -> Self {
        self.shards = Some(numbers.into_iter().collect());
        self
    }

    /// How long a receive waits at the service; as for [`ConsumerBuilder::wait`](crate::ConsumerBuilder::wait).
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.options.wait = wait;
        self
    }

    /// The queues' visibility timeout; as for [`ConsumerBuilder::visibility`](crate::ConsumerBuilder::visibility).
    pub const fn visibility(mut self, timeout: Duration) -> Self {
        self.options.visibility = Some(timeout);
        self
    }

    /// How many messages of a shard are held at a time: the one that is handled, those behind it, and those that came before their turn;
    /// default 16, 1 to 10 000. Their time runs meanwhile: with handlers that take long, hold few. With few, a queue that was stirred is
    /// slower to sort: what there is no room for comes again when its visibility timeout ends, and counts as received.
    pub const fn window(mut self, most: usize) -> Self {
        self.options.window = most;
        self
    }

    /// How long a missing number is waited for, also where a stream is met in the middle; default the visibility timeout and 5 s, since
    /// what somebody else holds comes back by then. Shorter, and gaps are told that are none.
    pub const fn gap_after(mut self, time: Duration) -> Self {
        self.options.gap_after = Some(time);
        self
    }

    /// How many streams are remembered of a shard; default 100 000, some 200 bytes each. Of those that were forgotten, what comes again is
    /// not recognised.
    pub const fn most_streams(mut self, most: usize) -> Self {
        self.options.most_streams = most;
        self
    }

    /// Decides what happens at a gap; default [`GapDecision::End`].
    pub fn on_gap(
        mut self,
        decide: impl Fn(&SequenceGap) -> GapDecision + Send + Sync + 'static,
    ) -> Self {
        self.on_gap = Some(Arc::new(decide));
        self
    }

    /// Starts it. It runs in the runtime in which it is built, as tasks of the client.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: a shard that is none, no shard, or a time or window out of its range.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn build(self) -> Result<OrderedConsumer> {
        let refuse = |refusal| refused(BUILD, refusal);
        let all = self.ordered.shards();
        let shards = self.shards.unwrap_or_else(|| (0..all.len()).collect());
        let queues: Option<Vec<_>> = shards.iter().map(|at| all.get(*at).cloned()).collect();
        let none = || invalid(BUILD, "a shard is 0 to the number of shards less 1");
        let queues = queues.ok_or_else(none)?;
        let clock = Arc::clone(&queues.first().ok_or_else(none)?.shared().clock);
        let options = self.options;
        if !(1..=10_000).contains(&options.window) || options.most_streams == 0 {
            let message = "a window is 1 to 10000 messages, and at least one stream is remembered";
            return Err(invalid(BUILD, message));
        }
        limits::wait_seconds(options.wait).map_err(refuse)?;
        if let Some(visibility) = options.visibility {
            limits::visibility_seconds(visibility).map_err(refuse)?;
        }
        let core = Arc::new(Core {
            ready: Ready::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            alive: watch::Sender::new(queues.len()),
            heard: watch::Sender::new(false),
            options,
            on_gap: self.on_gap,
            tally: Tally::default(),
            clock,
        });
        for (at, queue) in queues.into_iter().enumerate() {
            let shared = Arc::clone(queue.shared());
            begin(&shared, shard::serve(Arc::clone(&core), queue, at == 0));
        }
        Ok(OrderedConsumer::new(core))
    }
}

/// What an ordered consumer has done since it was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrderedCounts {
    /// Messages that the service gave.
    pub received: u64,
    /// Messages that were acknowledged.
    pub handled: u64,
    /// Messages that came again after they were handled, and were deleted unseen.
    pub duplicates: u64,
    /// Gaps that were told.
    pub gaps: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) received: AtomicU64,
    pub(super) handled: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) gaps: AtomicU64,
}

/// What the shards of one consumer share.
pub(super) struct Core {
    pub(super) ready: Ready<OrderedDelivery>,
    /// Nothing more is received.
    pub(super) stop: CancellationToken,
    /// Nothing more is waited for.
    pub(super) kill: CancellationToken,
    /// How many shards still run.
    pub(super) alive: watch::Sender<usize>,
    /// Whether the service has answered a receive yet.
    pub(super) heard: watch::Sender<bool>,
    pub(super) options: Options,
    on_gap: Option<Arc<OnGap>>,
    pub(super) tally: Tally,
    clock: Arc<dyn Clock>,
}

impl Core {
    pub(super) fn decide(&self, gap: &SequenceGap) -> GapDecision {
        let on_gap = self.on_gap.as_ref();
        on_gap.map_or(GapDecision::End, |on_gap| on_gap(gap))
    }

    /// Receivers get nothing more; the error goes to one of them.
    pub(super) fn end(&self, error: Option<Error>) {
        // What nobody took is dropped, which is a nack.
        drop(self.ready.end(error));
        self.stop.cancel();
    }
}

/// Receives the messages of shards in the order of their streams. See the [module](super). Made by [`Ordered::consumer`].
///
/// At most one message of a shard is in the application's hands. End it with [`close`](Self::close); dropped without it,
/// everything stops at once, and what is held is delivered again.
#[must_use = "a consumer that is dropped stops"]
pub struct OrderedConsumer {
    core: Arc<Core>,
    ticket: u64,
}

impl OrderedConsumer {
    fn new(core: Arc<Core>) -> Self {
        let ticket = core.ready.ticket();
        Self { core, ticket }
    }

    /// The next message of any shard; `None` when the consumer is closed. Any number of callers may wait at a time.
    ///
    /// # Errors
    ///
    /// What ended the consumer; then `None`: as for [`Consumer::recv`](crate::Consumer::recv), and a gap, where
    /// [`on_gap`](OrderedConsumerBuilder::on_gap) did not decide otherwise: [`SequenceGap::of`] finds it in the error.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, no message is lost.
    pub async fn recv(&self) -> Result<Option<OrderedDelivery>> {
        let place = Place {
            core: &self.core,
            ticket: self.core.ready.ticket(),
        };
        poll_fn(|cx| self.core.poll(place.ticket, cx)).await
    }

    /// Gives every message to `handler`, one of each shard at a time, and settles it by what the handler answers. An `Err` and a panic are
    /// [`Settle::Retry`]. A handler that runs past the message's [`deadline`](OrderedHeld::deadline) has its
    /// [`expiry`](OrderedHeld::expiry) cancelled, and is aborted after as long again. Returns when the consumer is closed, after the handlers that still ran
    /// and the deletes of what they acknowledged.
    ///
    /// # Errors
    ///
    /// What ended the consumer: see [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropped, running handlers are aborted and their messages delivered again.
    pub async fn run<F, Fut, E>(&self, handler: F) -> Result<()>
    where
        F: Fn(OrderedHeld) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let ended = self.run_each(handler).await;
        // Whoever returns now may drop the consumer, and the deletes with it.
        self.close().await;
        ended
    }

    async fn run_each<F, Fut, E>(&self, handler: F) -> Result<()>
    where
        F: Fn(OrderedHeld) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Settle, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut workers = Workers::default();
        while let Some(delivery) = workers.beside(self.recv()).await? {
            let handler = Arc::clone(&handler);
            let limit = delivery
                .give_up
                .saturating_duration_since(self.core.clock.now());
            workers.start(async move {
                let content = delivery.content();
                // A panic drops the delivery.
                let decision = decide(limit, async { handler(content).await }).await;
                drop(delivery.settle(decision));
            });
        }
        workers.finish().await;
        Ok(())
    }

    /// What it has done so far.
    pub fn counts(&self) -> OrderedCounts {
        let read = |of: &AtomicU64| of.load(std::sync::atomic::Ordering::Relaxed);
        let tally = &self.core.tally;
        OrderedCounts {
            received: read(&tally.received),
            handled: read(&tally.handled),
            duplicates: read(&tally.duplicates),
            gaps: read(&tally.gaps),
        }
    }

    /// Stops receiving, and waits up to 5 s for what is held and for deletes. [`recv`](Self::recv) gives `None` from the call on. What is
    /// not settled then is delivered again when its visibility timeout ends.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has stopped receiving. Calling it again waits again.
    pub async fn close(&self) {
        self.core.end(None);
        let mut alive = self.core.alive.subscribe();
        let ended = alive.wait_for(|alive| *alive == 0);
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            tracing::warn!("messages are still held: they come again");
        }
        self.core.kill.cancel();
        // The tasks end at once now.
        let _ = self.core.alive.subscribe().wait_for(|it| *it == 0).await;
    }
}

/// Somebody who waits.
struct Place<'a> {
    core: &'a Core,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.core.ready.leave(self.ticket);
    }
}

impl Core {
    fn poll(&self, ticket: u64, cx: &Context<'_>) -> Poll<Result<Option<OrderedDelivery>>> {
        loop {
            let taken = std::task::ready!(self.ready.poll_take(ticket, cx))?;
            // One whose time ended while it waited here goes back by being dropped.
            if taken.as_ref().is_none_or(|it| !it.is_expired()) {
                return Poll::Ready(Ok(taken));
            }
        }
    }
}

impl Stream for OrderedConsumer {
    type Item = Result<OrderedDelivery>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.core.poll(self.ticket, cx).map(Result::transpose)
    }
}

impl Drop for OrderedConsumer {
    fn drop(&mut self) {
        self.core.end(None);
        self.core.kill.cancel();
    }
}

impl fmt::Debug for OrderedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedConsumer")
            .field("options", &self.core.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OrderedConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedConsumerBuilder")
            .field("shards", &self.shards)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

pub(super) fn now(queue: &crate::queue::Queue) -> Instant {
    queue.shared().clock.now()
}

const BUILD: &str = "build ordered consumer";
const PATIENCE: Duration = Duration::from_secs(5);
