//! Receiving from CMQ.

use std::future::Future;

use bytes::Bytes;
use mq_cmq::ordered::{OrderedConsumer, OrderedDelivery};
use mq_cmq::{Consumer, Received, Settling};
use mq_core::{Clock as _, Properties, SystemClock};

use super::super::{Acker, Consume, Delivery, Incoming, Result, Settle, Subscription};
use super::{Cmq, Place, invalid, unsupported};

/// A consumer of one queue, and what that was called.
#[derive(Debug)]
pub struct OfQueue {
    consumer: Consumer,
    destination: String,
}

/// A consumer of shards, and what they were called.
#[derive(Debug)]
pub struct InOrder {
    consumer: OrderedConsumer,
    destination: String,
}

impl Cmq {
    pub(in crate::adapter) async fn consume(&self, consume: &Consume) -> Result<Subscription> {
        match (Place::parse(&consume.topic)?, consume.ordered) {
            (Place::Queue(name), false) => {
                let most = consume.prefetch.unwrap_or(AT_A_TIME);
                let queue = self.client.queue(&name)?;
                // With the visibility timeout known from the start no first delivery is too late. TDMQ does not tell, and what is wrong
                // otherwise the first receive says, too.
                drop(queue.attributes().await);
                let building = queue.consumer().concurrency(most);
                Ok(Subscription::Cmq(Box::new(OfQueue {
                    consumer: building.build()?,
                    destination: name,
                })))
            }
            (Place::Shards { name, count }, true) => {
                let consumer = self.client.ordered(&name, count)?.consumer().build()?;
                Ok(Subscription::CmqOrdered(Box::new(InOrder {
                    consumer,
                    destination: consume.topic.clone(),
                })))
            }
            (Place::Queue(_), true) => {
                let told = "CMQ keeps no order in one queue: name its shards, as in orders/4";
                Err(invalid(told))
            }
            (Place::Shards { .. }, false) => {
                let told = "shards are received in order: ask for it, or name one, as in orders-0";
                Err(invalid(told))
            }
            (Place::Topic { .. }, _) => {
                let told = "a topic is not received from: name a queue that is subscribed to it";
                Err(invalid(told))
            }
        }
    }
}

impl OfQueue {
    pub(in crate::adapter) async fn recv(&self) -> Result<Option<Delivery>> {
        let Some(delivery) = self.consumer.recv().await? else {
            return Ok(None);
        };
        let (held, acker) = delivery.into_parts();
        Ok(Some(Delivery {
            message: incoming(&held, &self.destination, held.body()),
            acker: Acker::Cmq(acker),
        }))
    }

    pub(in crate::adapter) async fn close(&self) {
        self.consumer.close().await;
    }
}

impl InOrder {
    pub(in crate::adapter) async fn recv(&self) -> Result<Option<Delivery>> {
        let Some(delivery) = self.consumer.recv().await? else {
            return Ok(None);
        };
        let mut message = incoming(delivery.received(), &self.destination, delivery.body());
        message.key = delivery.key().map(str::to_owned);
        Ok(Some(Delivery {
            message,
            acker: Acker::CmqOrdered(Box::new(delivery)),
        }))
    }

    pub(in crate::adapter) async fn close(&self) {
        self.consumer.close().await;
    }
}

fn incoming(received: &Received, queue: &str, body: &str) -> Incoming {
    let before = received.attempt().saturating_sub(1);
    Incoming {
        id: received.message_id().to_owned(),
        topic: queue.to_owned(),
        queue: queue.to_owned(),
        offset: None,
        key: None,
        tag: None,
        properties: Properties::default(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        // CMQ carries no time of the sender: this is when the service took it.
        born_at: Some(received.enqueued()),
        received_at: SystemClock.wall(),
        redelivery_count: u32::try_from(before).unwrap_or(u32::MAX),
        undecoded: None,
    }
}

pub(in crate::adapter) fn settle(
    acker: mq_cmq::Acker,
    decision: Settle,
) -> impl Future<Output = Result<()>> + Send {
    // The decision is recorded here, not when the future is polled.
    let settling = match decision {
        Settle::Ack => acker.ack(),
        _ => acker.nack(),
    };
    settled(settling, decision)
}

pub(in crate::adapter) fn settle_ordered(
    delivery: OrderedDelivery,
    decision: Settle,
) -> impl Future<Output = Result<()>> + Send {
    let settling = match decision {
        Settle::Ack => delivery.ack(),
        _ => delivery.nack(),
    };
    settled(settling, decision)
}

async fn settled(settling: Settling, decision: Settle) -> Result<()> {
    settling.await?;
    match decision {
        Settle::RetryAfter(_) | Settle::DeadLetter => Err(unsupported(
            "CMQ delivers again when the visibility timeout ends, and has dead letters by the queue's rule only",
        )),
        Settle::Ack | Settle::Retry | Settle::Release => Ok(()),
    }
}

/// As many as a receive takes at most.
const AT_A_TIME: usize = 16;
