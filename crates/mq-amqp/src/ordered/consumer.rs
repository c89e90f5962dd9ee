//! Receiving in the order of keys.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytestring::ByteString;
use futures_util::FutureExt as _;
use futures_util::future::{join_all, select_all};
use tokio::sync::{OnceCell, watch};

use super::lane::{Lane, Parking};
use super::{OrderedDelivery, OrderedTopic, partition};
use crate::RetryPolicy;
use crate::client::Client;
use crate::error::{Result, invalid};

/// Options of an [`OrderedConsumer`]. Made by [`OrderedTopic::consumer`].
#[must_use = "a consumer is made by build"]
#[derive(Debug)]
pub struct OrderedConsumerBuilder {
    topic: OrderedTopic,
    prefetch: u16,
    retry: RetryPolicy,
    parking: ByteString,
}

impl OrderedConsumerBuilder {
    pub(super) fn new(topic: OrderedTopic) -> Self {
        let parking = partition::parked(&topic.name);
        Self {
            topic,
            prefetch: 20,
            retry: RetryPolicy::default(),
            parking,
        }
    }

    /// How many messages of each partition may be held here, the one that is being handled included. Default 20; at least 1.
    pub const fn prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages;
        self
    }

    /// When a message comes again whose handler fails, in place, while its partition waits. Default: after 1 s, then twice as long each time up to a minute,
    /// for ever; with [`RetryPolicy::attempts`] it is parked at last, and its partition goes on.
    ///
    /// The broker's time-out of acknowledgements (30 minutes by default) bounds the pauses: beyond it the channel is made anew, and the message comes again.
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Where messages go that nobody can handle, with the reason in header `x-mq-reason`. Default: the topic's
    /// [own](OrderedTopic::parking_queue). It has to exist: until a message is parked, its partition waits.
    pub fn parking_queue(mut self, queue: impl Into<ByteString>) -> Self {
        self.parking = queue.into();
        self
    }

    /// Begins to consume from every partition, on a channel each.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for a prefetch of 0 or a policy that is not in place; what [`ConsumerBuilder::build`](crate::ConsumerBuilder::build) answers.
    pub async fn build(self) -> Result<OrderedConsumer> {
        if !self.retry.stays() {
            let text = "only a message that is retried in place keeps its order";
            return Err(invalid("consumer", text));
        }
        let client = &self.topic.client;
        let (close, closing) = watch::channel(false);
        let publisher = Arc::new(OnceCell::new());
        let mut order: Vec<u16> = (0..self.topic.partitions).collect();
        // The broker takes who asked first: consumers that begin together share.
        fastrand::shuffle(&mut order);
        let mut lanes = Vec::with_capacity(order.len());
        for partition in order {
            let queue = partition::queue(&self.topic.name, partition);
            let consumer = client.consumer(queue).prefetch(self.prefetch).in_order();
            lanes.push(Arc::new(Lane {
                consumer: consumer.build().await?,
                client: Client::clone(client),
                policy: self.retry,
                closing: closing.clone(),
                copies: 0.into(),
                head: Arc::default(),
                parking: Parking {
                    queue: self.parking.clone(),
                    publisher: Arc::clone(&publisher),
                },
            }));
        }
        Ok(OrderedConsumer {
            shared: Arc::new(Shared {
                lanes,
                close,
                next: AtomicUsize::new(0),
            }),
            topic: self.topic,
        })
    }
}

/// Receives the messages of an ordered topic: of a partition one at a time, of different partitions as many at a time as there are. Receive by
/// [`recv`](Self::recv) or by [`run`](Self::run).
///
/// Every consumer asks for every partition, and the broker gives each to one of them, who asked first; when that one is gone, another goes on where it
/// stopped. Consumers that begin together share the partitions; one that joins later gets some when others leave or lose their connection.
///
/// Messages come at least once. A copy of what this consumer has settled is not handed out again, as long as it lives, if the message has the numbers of an
/// [`OrderedPublisher`](crate::OrderedPublisher). A consumer that takes over does not know what others have settled: what they did not acknowledge in time
/// comes again, under the same id, before what follows it.
pub struct OrderedConsumer {
    pub(super) shared: Arc<Shared>,
    topic: OrderedTopic,
}

pub(super) struct Shared {
    pub(super) lanes: Vec<Arc<Lane>>,
    close: watch::Sender<bool>,
    /// The lane that is asked first.
    next: AtomicUsize,
}

impl OrderedConsumer {
    /// The next message of any partition that has none handed out; `None` when the consumer is closed.
    ///
    /// Cancel safe: a message is handed out when this returns, or stays.
    ///
    /// # Errors
    ///
    /// What ended the consumer of one partition, as [`Consumer::recv`](crate::Consumer::recv), once; all of it is closed then.
    pub async fn recv(&self) -> Result<Option<OrderedDelivery>> {
        let lanes = &self.shared.lanes;
        let first = self.shared.next.fetch_add(1, Ordering::Relaxed) % lanes.len().max(1);
        let turn = lanes.iter().cycle().skip(first).take(lanes.len());
        let (found, ..) = select_all(turn.map(|lane| lane.next().boxed())).await;
        if found.is_err() {
            self.shared.leave();
        }
        found
    }

    /// How many copies of messages were not handed out, since they were settled here before.
    pub fn copies_dropped(&self) -> u64 {
        let lanes = self.shared.lanes.iter();
        lanes.map(|lane| lane.copies.load(Ordering::Relaxed)).sum()
    }

    /// What closes the consumer from elsewhere.
    pub fn handle(&self) -> OrderedConsumerHandle {
        OrderedConsumerHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// As [`OrderedConsumerHandle::close`].
    pub async fn close(&self) {
        self.shared.close().await;
    }
}

impl Shared {
    fn stop(&self) {
        self.close.send_replace(true);
    }

    /// Hands out nothing more, and gives every partition to others as soon as what is held of it is settled.
    pub(super) fn leave(&self) {
        self.stop();
        for lane in &self.lanes {
            lane.consumer.leave();
        }
    }

    pub(super) async fn close(&self) {
        self.stop();
        join_all(self.lanes.iter().map(|lane| lane.close())).await;
    }
}

impl Drop for OrderedConsumer {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

impl fmt::Debug for OrderedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedConsumer")
            .field("topic", &self.topic.name)
            .finish_non_exhaustive()
    }
}

/// Closes an [`OrderedConsumer`].
#[derive(Clone)]
pub struct OrderedConsumerHandle {
    shared: Arc<Shared>,
}

impl OrderedConsumerHandle {
    /// Hands out nothing more, waits up to 5 s for what was handed out, and gives each partition to the consumer that is next, from the first message on that
    /// is not settled. What is settled later is `Stale`, and comes again there.
    pub async fn close(&self) {
        self.shared.close().await;
    }
}

impl fmt::Debug for OrderedConsumerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedConsumerHandle")
            .finish_non_exhaustive()
    }
}
