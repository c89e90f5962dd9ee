//! Messages with the same key, in the order in which they were sent.
//!
//! ```text
//!  publisher: key ─hash─► partition ─► direct exchange <name> ─► <name>.p000, <name>.p001, … (single active consumer each)
//!  consumer:  a Consumer a partition ─► lane: one message at a time, retried in place, then parked in <name>.parked
//! ```
//!
//! Invariants: of a key one message is under way at a time, and a failure fails what had been begun behind it. A lane hands out the next message
//! only when the one before is settled. Nothing goes back to a partition but all that its consumer holds, with the channel.

mod consumer;
mod delivery;
mod lane;
mod partition;
mod publisher;
mod run;
mod seen;

use std::fmt;

use bytestring::ByteString;

pub use self::consumer::{OrderedConsumer, OrderedConsumerBuilder, OrderedConsumerHandle};
pub use self::delivery::OrderedDelivery;
use self::partition::{mark, parked, queue, told};
pub use self::publisher::{OrderedConfirm, OrderedPublisher, OrderedPublisherBuilder};
use crate::client::Client;
use crate::error::{Error, ReplyCode, Result, invalid};
use crate::topology::{Binding, Exchange, Queue};

/// Options of an [`OrderedTopic`]. Made by [`Client::ordered_topic`].
#[must_use = "a topic is made by declare"]
#[derive(Debug)]
pub struct OrderedTopicBuilder {
    client: Client,
    name: ByteString,
    partitions: u16,
    quorum: bool,
}

impl OrderedTopicBuilder {
    pub(crate) const fn new(client: Client, name: ByteString) -> Self {
        Self {
            client,
            name,
            partitions: 8,
            quorum: false,
        }
    }

    /// How many queues the keys are spread over, from 1 to 1000; default 8. As many messages can be handled at a time. It can't be changed later: delete the
    /// topic when it is empty, and declare it anew.
    pub const fn partitions(mut self, partitions: u16) -> Self {
        self.partitions = partitions;
        self
    }

    /// Its queues are replicated; default: classic, on one node.
    pub const fn quorum(mut self) -> Self {
        self.quorum = true;
        self
    }

    /// Makes what is missing of the topic: a direct exchange of its name, the queues `<name>.p000` and on, and `<name>.parked` for what nobody can handle.
    /// All of it is durable, and is made again after a connection was lost.
    ///
    /// Cancel safe: dropped, a part of it may be there; the next declaration makes the rest.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for another number of partitions than 1 to 1000, or a name that is empty or leaves no room for those of its queues; `Rejected`, not to be
    /// tried again, if the topic is there with another number of partitions, which names both, or is there as something else; what
    /// [`Client::declare_queue`] answers.
    pub async fn declare(self) -> Result<OrderedTopic> {
        if !(1..=MOST).contains(&self.partitions) {
            let text = format!("{} partitions, where 1 to {MOST} may be", self.partitions);
            return Err(invalid(OPERATION, text));
        }
        if self.name.is_empty() || self.name.len() > LONGEST {
            let text = format!("the name of an ordered topic has 1 to {LONGEST} bytes");
            return Err(invalid(OPERATION, text));
        }
        let exchange = Exchange::direct(self.name.clone());
        let exchange = exchange.alternate(mark(&self.name, self.partitions));
        let declared = self.client.declare_exchange(exchange).await;
        declared.map_err(|error| self.explain(error))?;
        let parked = self.of_kind(parked(&self.name));
        // What is there may be of the other kind, and is refused: before anything is made that would be of this one.
        let there = self.client.queue(parked.name()).await.is_ok();
        if there {
            self.client.declare_queue(parked.clone()).await?;
        }
        for partition in 0..self.partitions {
            let name = queue(&self.name, partition);
            let queue = self.of_kind(name.clone()).single_active_consumer();
            self.client.declare_queue(queue).await?;
            let binding = Binding::queue(name).to(self.name.clone());
            self.client.bind(binding.key(partition.to_string())).await?;
        }
        if !there {
            self.client.declare_queue(parked).await?;
        }
        Ok(OrderedTopic {
            client: self.client,
            name: self.name,
            partitions: self.partitions,
        })
    }

    fn of_kind(&self, name: ByteString) -> Queue {
        if self.quorum {
            return Queue::quorum(name);
        }
        Queue::classic(name)
    }

    /// The number of partitions that it has instead, if that is what differs.
    fn explain(&self, error: Error) -> Error {
        let differs = error.code() == Some(&ReplyCode::PRECONDITION_FAILED);
        let Some(there) = told(error.message(), &self.name).filter(|_| differs) else {
            return error;
        };
        let (name, wanted) = (&self.name, self.partitions);
        let text = format!("topic \"{name}\" has {there} partitions, and {wanted} were asked for");
        Error::builder(error.kind(), text)
            .code(ReplyCode::PRECONDITION_FAILED)
            .operation(OPERATION)
            .outcome(mq_core::Outcome::Rejected)
            .retry(mq_core::Retry::Never)
            .hint("use the number that it has; to change it, empty and delete the topic first")
            .build()
    }
}

/// A topic whose messages are received in the order of their keys. Cheap to clone.
///
/// The routing key of a message is its ordering key. Two messages with the same key are handled in the order in which they were sent, one after the other,
/// also when connections are lost, the broker restarts, or another consumer takes over. A message may then come twice: its copy has the same
/// [id](crate::Received::unique_id) and comes where its original could, or later.
///
/// ```no_run
/// # async fn run(client: mq_amqp::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use mq_amqp::{Error, Message, Settle};
///
/// let topic = client.ordered_topic("orders").partitions(8).declare().await?;
/// let publisher = topic.publisher().build().await?;
/// publisher.send(Message::new("order-42", "paid")).await?;
///
/// let consumer = topic.consumer().build().await?;
/// consumer.run(|message| async move {
///     println!("{}: {:?}", message.routing_key(), message.text());
///     Ok::<_, Error>(Settle::Ack)
/// }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OrderedTopic {
    client: Client,
    name: ByteString,
    partitions: u16,
}

impl OrderedTopic {
    /// Options of a publisher.
    pub fn publisher(&self) -> OrderedPublisherBuilder {
        OrderedPublisherBuilder::new(self.clone())
    }

    /// Options of a consumer.
    pub fn consumer(&self) -> OrderedConsumerBuilder {
        OrderedConsumerBuilder::new(self.clone())
    }

    /// Its name, which is that of its exchange.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many partitions it has.
    pub const fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The partition of a key: its hash (FNV-1a, 64 bits) modulo their number. Its decimal digits are the routing key by which others publish to it.
    pub fn partition_of(&self, key: &str) -> u16 {
        partition::of(key, self.partitions)
    }

    /// The queue of a partition.
    pub fn queue(&self, partition: u16) -> String {
        queue(&self.name, partition).to_string()
    }

    /// The queue of what nobody could handle.
    pub fn parking_queue(&self) -> String {
        parked(&self.name).to_string()
    }
}

impl fmt::Debug for OrderedTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedTopic")
            .field("name", &self.name)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

const OPERATION: &str = "declare ordered topic";
const MOST: u16 = 1000;
/// Leaves room for what the names of queues end with.
const LONGEST: usize = 230;
