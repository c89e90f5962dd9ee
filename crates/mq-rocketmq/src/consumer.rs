//! Receiving: a member of a consumer group, its deliveries, and settling them.
//!
//! ```text
//!  brokers ─► one puller a queue ─► local buffer ─► recv │ Stream │ run ─► ack, nack, release
//!                   ▲ room                                                    │
//!                   └──────────────── ledger a queue ◄────────────────────────┘
//!                                     lowest unsettled = the group's offset, every 5 s and at close
//! ```

mod assign;
mod budget;
mod close;
mod core;
mod decode;
mod delivery;
mod gate;
mod lane;
mod lock;
mod model;
mod offset;
mod offsets;
mod options;
mod ordered;
mod position;
mod pull;
mod queue;
mod ready;
mod rebalance;
mod received;
mod receiver;
mod redeliver;
mod returns;
mod run;
mod settle;
mod subscription;
mod turns;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_util::Stream;

pub use self::assign::{Allocation, AllocationInput, QueueRef};
use self::core::{Core, Phase};
pub(crate) use self::decode::inflate;
pub use self::delivery::{Acker, Delivery, Settling};
pub use self::options::{ConsumeFrom, ConsumerBuilder};
pub use self::position::SeekTo;
pub use self::received::{Received, Undecoded};
use self::receiver::Receiver;
pub use self::settle::Settle;
use crate::client::{GroupMember, Handle};
use crate::error::Result;
use crate::proto::command::{ConsumerData, ResetOffset, Subscription as SubscriptionData};

/// A member of a consumer group. In clustering mode, the default, every message goes to one member, at least once; in
/// [broadcasting](ConsumerBuilder::broadcast) it comes to every member.
///
/// Receive with [`recv`](Self::recv), as a [`Stream`], or by [`run`](Self::run) with a handler. What is not settled comes again; the group's
/// offset stays below it.
///
/// End it with [`close`](Self::close). Dropped without it, everything stops at once: deliveries that are still held are
/// [`Stale`](mq_core::ErrorKind::Stale) and offsets of the last five seconds are not persisted, so that messages come twice. Brokers are told, so
/// that the rest of the group takes over; where the client ends too, they notice that its connections do.
///
/// ```no_run
/// # async fn run() -> mq_rocketmq::Result<()> {
/// use mq_rocketmq::Client;
///
/// let client = Client::from_url("rocketmq://127.0.0.1:9876")?.connect().await?;
/// let consumer = client.consumer("my-group").subscribe("my-topic", "*").build().await?;
/// while let Some(delivery) = consumer.recv().await? {
///     println!("{} bytes", delivery.body().len());
///     delivery.ack().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a consumer that is dropped leaves its group"]
pub struct Consumer {
    life: Life,
    /// The place of the one who polls it as a stream.
    stream: Receiver,
}

/// What ends the consumer when it is dropped.
struct Life {
    core: Arc<Core>,
    _handle: Arc<Handle>,
}

/// Closes a [`Consumer`] from elsewhere. Outlives it.
#[derive(Clone)]
pub struct ConsumerHandle {
    core: Arc<Core>,
}

impl Consumer {
    /// The next message; `None` when the consumer is closed. Any number of callers may wait at a time.
    ///
    /// # Errors
    ///
    /// What ended the consumer; then `None`. Lost connections are no errors, they are made again. Kind `Auth`: login or permission was
    /// refused. Kind `NotFound`: the group does not exist and the cluster does not create groups. Kind `Rejected`: the group or topic may not be consumed.
    /// None is retryable.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, no message is lost. Polled once and left alone, it keeps nothing from other callers.
    pub async fn recv(&self) -> Result<Option<Delivery>> {
        self.recv_for(1).await
    }

    /// The next message, for someone who could take so many.
    async fn recv_for(&self, wanted: usize) -> Result<Option<Delivery>> {
        let receiver = self.life.core.receiver(wanted);
        poll_fn(|cx| receiver.poll(cx)).await
    }

    /// Waits until it is closed, by whomever, and tells what closing could not do.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`, retryable: the file of a [broadcasting](ConsumerBuilder::broadcast) consumer could not be written, so that messages
    /// come again. Told once. In clustering there are none.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, it has told nothing.
    pub async fn closed(&self) -> Result<()> {
        self.handle().closed().await
    }

    /// Closes it from elsewhere.
    pub fn handle(&self) -> ConsumerHandle {
        ConsumerHandle {
            core: Arc::clone(&self.life.core),
        }
    }

    /// Stops receiving, waits up to 5 s for deliveries that are held, sends back what is to go back, persists the offsets and leaves the
    /// group. [`recv`](Self::recv) gives `None` from the call on; what was buffered here goes to others, uncounted.
    ///
    /// A [broadcasting](ConsumerBuilder::broadcast) consumer writes its file instead, and what was buffered or held comes to it again when it is
    /// started again; whether it could is what [`closed`](Self::closed) tells.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: closing goes on without the caller. Calling it again waits for the same end.
    pub async fn close(&self) {
        self.handle().close().await;
    }

    fn config(&self) -> &options::Config {
        &self.life.core.config
    }
}

impl ConsumerHandle {
    /// As [`Consumer::close`]. At once if it is closed already.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: closing goes on without the caller.
    pub async fn close(&self) {
        self.core.begin_close();
        self.core.reached(Phase::Closed).await;
    }

    /// As [`Consumer::closed`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::closed`].
    ///
    /// # Cancel safety
    ///
    /// As [`Consumer::closed`].
    pub async fn closed(&self) -> Result<()> {
        self.core.reached(Phase::Closed).await;
        self.core.take_failure().map_or(Ok(()), Err)
    }

    /// Whether the consumer is closed, closing, or gone.
    pub fn is_closed(&self) -> bool {
        self.core.phase() != Phase::Open
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
        f.debug_struct("Consumer")
            .field("group", &self.life.core.group)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerHandle")
            .field("group", &self.core.group)
            .field("phase", &self.core.phase())
            .finish()
    }
}

/// The consumer, as its client sees it. Weak: the client must not keep a dropped consumer.
struct Member(Weak<Core>);

impl GroupMember for Member {
    fn heartbeat(&self) -> Option<ConsumerData> {
        self.0.upgrade().map(|core| core.heartbeat())
    }

    fn rebalance_now(&self) {
        if let Some(core) = self.0.upgrade() {
            core.rebalance.notify_one();
        }
    }

    fn reset(&self, order: &ResetOffset) {
        if let Some(core) = self.0.upgrade() {
            core.reset(order);
        }
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> {
        let core = self.0.upgrade();
        Box::pin(async move {
            let Some(core) = core else { return Ok(()) };
            let handle = ConsumerHandle { core };
            handle.close().await;
            handle.closed().await
        })
    }
}

impl Core {
    fn heartbeat(&self) -> ConsumerData {
        let from = match self.config.from {
            ConsumeFrom::First => "CONSUME_FROM_FIRST_OFFSET",
            ConsumeFrom::Last => "CONSUME_FROM_LAST_OFFSET",
            ConsumeFrom::Timestamp(_) => "CONSUME_FROM_TIMESTAMP",
        };
        let subscriptions = self.topics.iter().map(|topic| SubscriptionData {
            code_set: topic.subscription.codes().into_iter().collect(),
            expression_type: Some("TAG".to_owned()),
            sub_string: topic.subscription.expression.clone(),
            sub_version: self.version,
            tags: topic.subscription.tags.iter().cloned().collect(),
            topic: topic.name.to_string(),
            ..SubscriptionData::default()
        });
        ConsumerData {
            group_name: self.group.to_string(),
            consume_from_where: Some(from.to_owned()),
            consume_type: Some("CONSUME_PASSIVELY".to_owned()),
            message_model: Some(self.model.name().to_owned()),
            subscriptions: subscriptions.collect(),
            unit_mode: false,
        }
    }
}

#[cfg(test)]
mod tests;
