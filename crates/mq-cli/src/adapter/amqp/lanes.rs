//! Ordered topics: how they are written, sent to and received from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt as _;
use mq_amqp::{
    Error as AmqpError, OrderedConsumer, OrderedDelivery, OrderedPublisher, OrderedTopic,
    ReplyCode, RetryPolicy,
};

use super::super::{Acker, Consume, Delivery, Error, Outgoing, Result, Sent, Settle};
use super::receive::{incoming, translated};
use super::{Amqp, Stopped, invalid, outgoing};

/// An ordered topic, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lanes {
    name: String,
    partitions: u16,
}

/// A consumer of an ordered topic, and what that was called.
#[derive(Debug)]
pub struct OfTopic {
    consumer: OrderedConsumer,
    destination: String,
}

/// An ordered topic that is there, and who publishes to it.
#[derive(Debug, Clone)]
pub(super) struct Publishing {
    topic: OrderedTopic,
    pub(super) publisher: OrderedPublisher,
}

impl Lanes {
    /// `NAME`, or `NAME/PARTITIONS`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let read = match text.split_once('/') {
            None => Self::new(text, PARTITIONS),
            Some((name, partitions)) => {
                let partitions = partitions.parse().unwrap_or_default();
                Self::new(name, partitions)
            }
        };
        read.ok_or_else(|| {
            let told = format!(
                "{text:?}: an ordered topic is written as NAME/PARTITIONS, with 1 to {MOST} of them, as orders/8"
            );
            invalid(&told)
        })
    }

    /// `NAME/PARTITIONS`, where a name alone is a queue.
    pub(super) fn explicit(text: &str) -> Option<Self> {
        let (name, partitions) = text.split_once('/')?;
        Self::new(name, partitions.parse().ok()?)
    }

    fn new(name: &str, partitions: u16) -> Option<Self> {
        let good = !name.is_empty() && (1..=MOST).contains(&partitions);
        good.then(|| Self {
            name: name.to_owned(),
            partitions,
        })
    }

    /// As [`queues`](Self::queues), of a topic that may not be there.
    pub(super) fn names(&self) -> Vec<String> {
        let name = &self.name;
        let partitions = (0..self.partitions).map(|it| format!("{name}.p{it:03}"));
        partitions.chain([format!("{name}.parked")]).collect()
    }

    /// All queues of a topic, the one of what nobody could handle at last.
    pub(super) fn queues(topic: &OrderedTopic) -> Vec<String> {
        let partitions = (0..topic.partitions()).map(|it| topic.queue(it));
        partitions.chain([topic.parking_queue()]).collect()
    }
}

impl fmt::Display for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.partitions)
    }
}

impl Amqp {
    /// Makes what is missing of a topic.
    pub(super) async fn declare(&self, lanes: &Lanes) -> Result<OrderedTopic, AmqpError> {
        let topic = || {
            let topic = self.client.ordered_topic(lanes.name.clone());
            topic.partitions(lanes.partitions)
        };
        match topic().declare().await {
            // It may be there with quorum queues: AMQP does not tell, and refuses to have them called classic.
            Err(error) if error.code() == Some(&ReplyCode::PRECONDITION_FAILED) => {
                let replicated = topic().quorum().declare().await;
                replicated.map_err(|_| error)
            }
            declared => declared,
        }
    }

    /// A topic that is there. Made by whom sends or receives, each mistyped name would be one.
    pub(super) async fn topic(&self, lanes: &Lanes) -> Result<OrderedTopic, AmqpError> {
        // The queue of what nobody could handle may be left of one that was deleted.
        let there = self.client.queue(&format!("{}.p000", lanes.name)).await;
        there.map_err(|error| {
            let hint = format!("an ordered topic is made by: mq amqp create {lanes}");
            error.into_builder().hint(hint).build()
        })?;
        self.declare(lanes).await
    }

    pub(super) async fn send_in_order(
        &self,
        message: &Outgoing,
        key: &str,
    ) -> Result<Sent, Stopped> {
        if message.when.is_some() {
            return Err(invalid("a message with an ordering key can't be delayed").into());
        }
        let lanes = Lanes::parse(&message.destination)?;
        let name = lanes.to_string();
        let made = self.in_order.get(&name, || async {
            let topic = self.topic(&lanes).await?;
            let window = u32::try_from(self.options.max_in_flight).unwrap_or(u32::MAX);
            let mut publisher = topic.publisher().window(window);
            if let Some(timeout) = self.options.send_timeout {
                publisher = publisher.timeout(timeout);
            }
            let publisher = publisher.build().await?;
            Ok::<_, AmqpError>(Publishing { topic, publisher })
        });
        let Publishing { topic, publisher } = made.await.map_err(Error::from)?;
        let receipt = publisher.send(outgoing(message, key)).await?;
        Ok(Sent {
            id: receipt.unique_id().to_owned(),
            topic: message.destination.clone(),
            queue: topic.queue(topic.partition_of(key)),
            offset: None,
            durable: true,
            handle: None,
            at_once: false,
        })
    }

    pub(super) async fn consume_in_order(&self, consume: &Consume) -> Result<OfTopic> {
        let topic = self.topic(&Lanes::parse(&consume.topic)?).await?;
        let mut builder = topic.consumer();
        if let Some(most) = consume.max_redeliveries {
            builder = builder.retry(RetryPolicy::default().attempts(u32::from(most) + 1));
        }
        if let Some(count) = consume.prefetch {
            builder = builder.prefetch(u16::try_from(count).unwrap_or(u16::MAX));
        }
        Ok(OfTopic {
            consumer: builder.build().await?,
            destination: consume.topic.clone(),
        })
    }
}

impl OfTopic {
    pub(in crate::adapter) async fn recv(&self) -> Result<Option<Delivery>> {
        let Some(delivery) = self.consumer.recv().await? else {
            return Ok(None);
        };
        let mut message = incoming(delivery.received(), delivery.queue());
        message.topic.clone_from(&self.destination);
        message.key = Some(delivery.routing_key().to_owned());
        for ours in NUMBERING {
            message.properties.remove(ours);
        }
        Ok(Some(Delivery {
            message,
            acker: Acker::AmqpOrdered(Box::new(delivery)),
        }))
    }

    pub(in crate::adapter) async fn close(&self) {
        self.consumer.close().await;
    }
}

pub(in crate::adapter) fn settle_ordered(
    delivery: OrderedDelivery,
    decision: Settle,
) -> impl Future<Output = Result<()>> + Send {
    let mut settling: Pin<Box<dyn Future<Output = _> + Send>> =
        Box::pin(delivery.settle(translated(decision)));
    // It decides at its first poll, which is made here.
    let settled = (&mut settling).now_or_never();
    async move {
        match settled {
            Some(settled) => Ok(settled?),
            None => Ok(settling.await?),
        }
    }
}

/// As the client has it.
const PARTITIONS: u16 = 8;
const MOST: u16 = 1000;
/// What an ordered publisher writes to the headers.
const NUMBERING: [&str; 3] = ["x-mq-key", "x-mq-producer", "x-mq-seq"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordered_topic_is_read_and_written_the_same() {
        let read = |text: &str| Lanes::parse(text).unwrap().to_string();
        assert_eq!(read("orders"), "orders/8");
        assert_eq!(read("a.b/1000"), "a.b/1000");
        for wrong in ["", "/", "/8", "orders/", "orders/0", "orders/1001", "a/b"] {
            let error = Lanes::parse(wrong).unwrap_err();
            assert!(error.to_string().contains("orders/8"), "{wrong}: {error}");
        }
        assert_eq!(Lanes::explicit("orders"), None);
        assert_eq!(Lanes::explicit("events/order.paid"), None);
        let lanes = Lanes::explicit("orders/4").unwrap();
        assert_eq!(lanes, Lanes::parse("orders/4").unwrap());
    }
}
