//! One face for every protocol: what the `mq` command, demos and the conformance suite speak to.
//!
//! ```text
//!  Outgoing ─► Broker::send │ send_all ─► Sent, or Failed with the message
//!  Incoming ◄─ Subscription::recv ◄─ Broker::consume
//!                    └─► Delivery::settle(Settle)
//! ```
//!
//! It is no lowest common denominator to program against: what a protocol can do beyond it is in its own crate. [`Features`] says what of
//! this face is there.
//!
//! # Cancel safety
//!
//! Every future here is as the protocol's own is: asking and receiving lose nothing when they are dropped; a send, a transaction's end, a
//! cancellation or a change that is dropped half way may or may not reach the broker; a settlement is recorded by the call.

mod amqp;
mod cmq;
mod control;
mod error;
mod made;
mod message;
mod model;
mod options;
mod pulsar;
mod rocketmq;
mod subscription;
mod transaction;

use futures_util::{Stream, StreamExt as _};

pub use self::amqp::{Amqp, OfTopic};
pub use self::cmq::{Cmq, InOrder, OfQueue};
pub use self::control::CmqControl;
pub(crate) use self::control::NO_MESSAGES;
pub use self::error::{Error, Failed, Result, Unchanged};
pub use self::message::{Cancel, Incoming, Outgoing, Sent, Settle, When};
pub use self::model::{
    Description, Features, QueueCount, QueueEnd, QueueLag, QueueRange, QueueReady, Topic,
};
pub use self::options::{Batching, Compress, Consume, From, Options, Sharing, Target};
pub(crate) use self::options::{DEFAULT_GROUP, DEFAULT_NAMESPACE};
pub use self::pulsar::{OfSubscription, Pulsar};
pub use self::rocketmq::RocketMq;
pub use self::subscription::{Acker, Delivery, Subscription};
pub use self::transaction::Transaction;

/// A connected client of one of the protocols. Cheap to clone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Broker {
    /// Over RocketMQ's remoting protocol.
    RocketMq(RocketMq),
    /// Over CMQ's HTTP or TCP.
    Cmq(Cmq),
    /// Over CMQ's control plane: no messages.
    CmqControl(CmqControl),
    /// Over AMQP 0-9-1.
    Amqp(Amqp),
    /// Over Pulsar's binary protocol.
    Pulsar(Pulsar),
}

impl Broker {
    /// Connects to what the URL names.
    ///
    /// # Errors
    ///
    /// As the protocol's client has it: kind `Connect` names each address and why; kind `Auth` says that the keys were refused.
    pub async fn connect(target: Target, options: Options) -> Result<Self> {
        match target {
            Target::RocketMq(builder) => {
                let connected = RocketMq::connect(*builder, options).await;
                connected.map(Self::RocketMq)
            }
            Target::Cmq(builder) => Cmq::new(*builder, options).map(Self::Cmq),
            Target::CmqTcp(builder) => Cmq::over_tcp(*builder, options).map(Self::Cmq),
            Target::CmqControl(builder) => {
                CmqControl::new(*builder, &options).map(Self::CmqControl)
            }
            Target::Amqp(builder) => Amqp::connect(*builder, options).await.map(Self::Amqp),
            Target::Pulsar { builder, namespace } => {
                let connected = Pulsar::connect(*builder, namespace, options).await;
                connected.map(Self::Pulsar)
            }
        }
    }

    /// The protocol, as the command line calls it.
    pub const fn protocol(&self) -> &'static str {
        match self {
            Self::RocketMq(_) => "rocketmq",
            Self::Cmq(_) | Self::CmqControl(_) => "cmq",
            Self::Amqp(_) => "amqp",
            Self::Pulsar(_) => "pulsar",
        }
    }

    /// What the protocol can do.
    pub fn features(&self) -> Features {
        match self {
            Self::RocketMq(_) => rocketmq::FEATURES,
            Self::Cmq(broker) => broker.features(),
            Self::CmqControl(_) => Features::default(),
            Self::Amqp(_) => amqp::FEATURES,
            Self::Pulsar(_) => pulsar::FEATURES,
        }
    }

    /// Sends a message and waits until the broker has stored it.
    ///
    /// # Errors
    ///
    /// [`Failed`], with what became of the message and the message itself.
    pub async fn send(&self, message: Outgoing) -> Result<Sent, Failed> {
        match self {
            Self::RocketMq(broker) => broker.send(message).await,
            Self::Cmq(broker) => broker.send(message).await,
            Self::CmqControl(_) => Err(control::not_sent(message)),
            Self::Amqp(broker) => broker.send(message).await,
            Self::Pulsar(broker) => broker.send(message).await,
        }
    }

    /// Sends what a stream yields through the client's own `send_all`: one result a message, in the order of the input; goes on after an
    /// error.
    pub fn send_all<S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Sent, Failed>> + Send + use<S>
    where
        S: Stream<Item = Outgoing> + Send + 'static,
    {
        match self {
            Self::RocketMq(broker) => broker.send_all(messages).boxed(),
            Self::Cmq(broker) => broker.send_all(messages).boxed(),
            Self::CmqControl(_) => messages.map(|it| Err(control::not_sent(it))).boxed(),
            Self::Amqp(broker) => broker.send_all(messages).boxed(),
            Self::Pulsar(broker) => broker.send_all(messages).boxed(),
        }
    }

    /// Sends messages to one topic together, in one request if they fit; one result a message, in the order of the messages.
    pub async fn send_batch(&self, messages: Vec<Outgoing>) -> Vec<Result<Sent, Failed>> {
        match self {
            Self::RocketMq(broker) => broker.send_batch(messages).await,
            Self::Cmq(broker) => broker.send_batch(messages).await,
            Self::CmqControl(_) => {
                let refused = messages.into_iter().map(|it| Err(control::not_sent(it)));
                refused.collect()
            }
            Self::Amqp(broker) => broker.send_batch(messages).await,
            Self::Pulsar(broker) => broker.send_batch(messages).await,
        }
    }

    /// Has a scheduled message not delivered, by the handle that [`Sent::handle`] gave.
    ///
    /// # Errors
    ///
    /// As the protocol's client has it; kind `Invalid` if it is no handle, kind `NotFound` if it is one of another cluster.
    pub async fn cancel(&self, handle: &str) -> Result<Cancel> {
        match self {
            Self::RocketMq(broker) => broker.cancel(handle).await,
            Self::Cmq(_) | Self::CmqControl(_) => Err(cmq::no_cancel()),
            Self::Amqp(broker) => broker.cancel(handle).await,
            Self::Pulsar(_) => Err(pulsar::no_cancel()),
        }
    }

    /// Joins a group and starts receiving: what is sent from then on arrives at a member of the group.
    ///
    /// # Errors
    ///
    /// As the protocol's client has it.
    pub async fn consume(&self, consume: &Consume) -> Result<Subscription> {
        match self {
            Self::RocketMq(broker) => broker.consume(consume).await.map(Subscription::RocketMq),
            Self::Cmq(broker) => broker.consume(consume).await,
            Self::CmqControl(_) => Err(control::no_messages()),
            Self::Amqp(broker) => broker.consume(consume).await,
            Self::Pulsar(broker) => broker.consume(consume).await,
        }
    }

    /// The topics, sorted, without those that the broker needs for itself.
    ///
    /// # Errors
    ///
    /// As the protocol's client has it.
    pub async fn topics(&self) -> Result<Vec<Topic>> {
        match self {
            Self::RocketMq(broker) => broker.topics().await,
            Self::Cmq(broker) => broker.topics().await,
            Self::CmqControl(broker) => broker.topics().await,
            Self::Amqp(_) => Err(amqp::no_list()),
            Self::Pulsar(broker) => broker.topics().await,
        }
    }

    /// A topic's or queue's queues and which messages they hold.
    ///
    /// # Errors
    ///
    /// As the protocol's client has it; kind `NotFound` if there is no such topic.
    pub async fn describe(&self, topic: &str) -> Result<Description> {
        match self {
            Self::RocketMq(broker) => broker.describe(topic).await.map(Description::Ranges),
            Self::Cmq(broker) => broker.describe(topic).await.map(Description::Counts),
            Self::CmqControl(broker) => broker.describe(topic).await.map(Description::Counts),
            Self::Amqp(broker) => broker.describe(topic).await.map(Description::Ready),
            Self::Pulsar(broker) => broker.describe(topic).await.map(Description::Ends),
        }
    }

    /// How far a group is behind, queue by queue.
    ///
    /// # Errors
    ///
    /// As the protocol's client has it; kind `NotFound` if there is no such group.
    pub async fn lag(&self, group: &str) -> Result<Vec<QueueLag>> {
        match self {
            Self::RocketMq(broker) => broker.lag(group).await,
            Self::Cmq(_) | Self::CmqControl(_) => Err(cmq::no_groups()),
            Self::Amqp(_) => Err(amqp::no_groups()),
            Self::Pulsar(_) => Err(pulsar::no_admin()),
        }
    }

    /// The consumer groups, sorted, without those that the broker needs for itself.
    ///
    /// # Errors
    ///
    /// As the protocol's client has it.
    pub async fn groups(&self) -> Result<Vec<String>> {
        match self {
            Self::RocketMq(broker) => broker.groups().await,
            Self::Cmq(_) | Self::CmqControl(_) => Err(cmq::no_groups()),
            Self::Amqp(_) => Err(amqp::no_groups()),
            Self::Pulsar(_) => Err(pulsar::no_admin()),
        }
    }

    /// Creates a topic, with so many queues on each broker; one that exists keeps its number, unless one is given. Says at which brokers.
    ///
    /// # Errors
    ///
    /// [`Unchanged`], with what the protocol's client says.
    pub async fn create_topic(
        &self,
        topic: &str,
        queues: Option<u32>,
    ) -> Result<Vec<String>, Unchanged> {
        match self {
            Self::RocketMq(broker) => broker.create_topic(topic, queues).await,
            Self::Cmq(broker) => broker.create_topic(topic, queues).await,
            Self::CmqControl(broker) => broker.create_topic(topic).await,
            Self::Amqp(broker) => broker.create_topic(topic, queues).await,
            Self::Pulsar(_) => Err(pulsar::unchanged()),
        }
    }

    /// Creates a consumer group; one that exists stays as it is. Says at which brokers.
    ///
    /// # Errors
    ///
    /// [`Unchanged`], with what the protocol's client says.
    pub async fn create_group(&self, group: &str) -> Result<Vec<String>, Unchanged> {
        match self {
            Self::RocketMq(broker) => broker.create_group(group).await,
            Self::Cmq(_) | Self::CmqControl(_) => Err(cmq::unchanged(cmq::no_groups())),
            Self::Amqp(_) => Err(amqp::unchanged(amqp::no_groups())),
            Self::Pulsar(_) => Err(pulsar::unchanged()),
        }
    }

    /// Deletes a topic with its messages. Says at which brokers.
    ///
    /// # Errors
    ///
    /// [`Unchanged`], with what the protocol's client says; kind `NotFound` if there is no such topic.
    pub async fn delete_topic(&self, topic: &str) -> Result<Vec<String>, Unchanged> {
        match self {
            Self::RocketMq(broker) => broker.delete_topic(topic).await,
            Self::Cmq(broker) => broker.delete_topic(topic).await,
            Self::CmqControl(broker) => broker.delete_topic(topic).await,
            Self::Amqp(broker) => broker.delete_topic(topic).await,
            Self::Pulsar(_) => Err(pulsar::unchanged()),
        }
    }

    /// Deletes a consumer group with its offsets and what was to be delivered to it again. Says at which brokers.
    ///
    /// # Errors
    ///
    /// [`Unchanged`], with what the protocol's client says; kind `NotFound` if there is no such group.
    pub async fn delete_group(&self, group: &str) -> Result<Vec<String>, Unchanged> {
        match self {
            Self::RocketMq(broker) => broker.delete_group(group).await,
            Self::Cmq(_) | Self::CmqControl(_) => Err(cmq::unchanged(cmq::no_groups())),
            Self::Amqp(_) => Err(amqp::unchanged(amqp::no_groups())),
            Self::Pulsar(_) => Err(pulsar::unchanged()),
        }
    }

    /// Waits for what is under way, closes what is open and disconnects.
    ///
    /// # Errors
    ///
    /// The first of the sends that failed without anybody having heard of it.
    pub async fn close(&self) -> Result<()> {
        match self {
            Self::RocketMq(broker) => broker.close().await,
            Self::Cmq(broker) => {
                broker.close();
                Ok(())
            }
            Self::CmqControl(broker) => {
                broker.close();
                Ok(())
            }
            Self::Amqp(broker) => broker.close().await,
            Self::Pulsar(broker) => broker.close().await,
        }
    }
}
