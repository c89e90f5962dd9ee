//! Receiving behind the common face.

use futures_util::FutureExt as _;

use super::{
    InOrder, Incoming, OfQueue, OfSubscription, OfTopic, Result, Settle, amqp, cmq, pulsar,
    rocketmq,
};

/// A member of a consumer group, or whatever the protocol has in its place.
#[derive(Debug)]
#[non_exhaustive]
pub enum Subscription {
    /// Over RocketMQ's remoting protocol.
    RocketMq(mq_rocketmq::Consumer),
    /// Of one CMQ queue.
    Cmq(Box<OfQueue>),
    /// Of a CMQ queue's shards, in order.
    CmqOrdered(Box<InOrder>),
    /// Of one AMQP queue.
    Amqp(mq_amqp::Consumer),
    /// Of an ordered topic over AMQP.
    AmqpOrdered(Box<OfTopic>),
    /// Of a Pulsar subscription.
    Pulsar(Box<OfSubscription>),
}

/// A received message that is not settled yet. Dropped unsettled, it is delivered again by the protocol's retry policy.
#[derive(Debug)]
#[must_use = "a delivery that is dropped unsettled is delivered again"]
pub struct Delivery {
    /// What was received.
    pub message: Incoming,
    /// Settles it.
    pub acker: Acker,
}

/// Settles one message, apart from its content.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "an acker that is dropped unsettled has its message delivered again"]
pub enum Acker {
    /// Over RocketMQ's remoting protocol.
    RocketMq(mq_rocketmq::Acker),
    /// Of one CMQ queue.
    Cmq(mq_cmq::Acker),
    /// Of a CMQ queue's shards, in order.
    CmqOrdered(Box<mq_cmq::ordered::OrderedDelivery>),
    /// Of one AMQP queue.
    Amqp(mq_amqp::Acker),
    /// Of an ordered topic over AMQP.
    AmqpOrdered(Box<mq_amqp::OrderedDelivery>),
    /// Of a Pulsar subscription.
    Pulsar(mq_pulsar::Acker),
}

impl Subscription {
    /// The next message; `None` when it is closed. Cancel-safe.
    ///
    /// # Errors
    ///
    /// What ended it; then `None`.
    pub async fn recv(&self) -> Result<Option<Delivery>> {
        match self {
            Self::RocketMq(consumer) => rocketmq::recv(consumer).await,
            Self::Cmq(consumer) => consumer.recv().await,
            Self::CmqOrdered(consumer) => consumer.recv().await,
            Self::Amqp(consumer) => amqp::recv(consumer).await,
            Self::AmqpOrdered(consumer) => consumer.recv().await,
            Self::Pulsar(consumer) => consumer.recv().await,
        }
    }

    /// Gives back what was not handed out, persists what was settled and leaves the group.
    pub async fn close(&self) {
        match self {
            Self::RocketMq(consumer) => consumer.close().await,
            Self::Cmq(consumer) => consumer.close().await,
            Self::CmqOrdered(consumer) => consumer.close().await,
            Self::Amqp(consumer) => consumer.close().await,
            Self::AmqpOrdered(consumer) => consumer.close().await,
            Self::Pulsar(consumer) => consumer.close().await,
        }
    }
}

impl Delivery {
    /// Settles the message. The decision is recorded by the call; the future waits for the result.
    ///
    /// # Errors
    ///
    /// Kind `Stale`: it came too late, and the message is delivered again. Kind `Unsupported`: the protocol has no such decision.
    pub fn settle(self, decision: Settle) -> impl Future<Output = Result<()>> + Send {
        self.acker.settle(decision)
    }
}

impl Acker {
    /// As [`Delivery::settle`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::settle`].
    pub fn settle(self, decision: Settle) -> impl Future<Output = Result<()>> + Send {
        match self {
            Self::RocketMq(acker) => rocketmq::settle(acker, decision).boxed(),
            Self::Cmq(acker) => cmq::settle(acker, decision).boxed(),
            Self::CmqOrdered(delivery) => cmq::settle_ordered(*delivery, decision).boxed(),
            Self::Amqp(acker) => amqp::settle(acker, decision).boxed(),
            Self::AmqpOrdered(delivery) => amqp::settle_ordered(*delivery, decision).boxed(),
            Self::Pulsar(acker) => pulsar::settle(acker, decision).boxed(),
        }
    }
}
