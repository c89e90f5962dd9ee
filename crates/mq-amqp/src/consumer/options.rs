//! A consumer's options.

use std::sync::Arc;

use bytestring::ByteString;

use super::core::{Core, Ticket};
use super::returns::{Returns, can_wait};
use super::{Consumer, RetryPolicy, Shared, attend};
use crate::client::Client;
use crate::error::{Result, invalid};
use crate::proto::{BasicConsume, Table, Value};
use crate::topology::names;

/// Options of a [`Consumer`]. Made by [`Client::consumer`].
#[must_use = "a consumer is made by build"]
#[derive(Debug)]
pub struct ConsumerBuilder {
    client: Client,
    queue: ByteString,
    tag: ByteString,
    prefetch: u16,
    concurrency: usize,
    exclusive: bool,
    in_order: bool,
    arguments: Table,
    retry: RetryPolicy,
    parking: Option<ByteString>,
}

impl ConsumerBuilder {
    pub(crate) fn new(client: Client, queue: ByteString) -> Self {
        Self {
            client,
            queue,
            tag: ByteString::new(),
            prefetch: 250,
            concurrency: 16,
            exclusive: false,
            in_order: false,
            arguments: Table::new(),
            retry: RetryPolicy::default(),
            parking: None,
        }
    }

    /// How many messages may be held unsettled, here and in handlers; more do not come. Default 250; at least 1.
    pub const fn prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages;
        self
    }

    /// How many handlers of [`Consumer::run`] may run at a time. Default 16; 1 keeps the queue's order, as long as nothing is retried.
    pub const fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// What the broker's tools call the consumer. Default: a name of the broker's.
    pub fn tag(mut self, tag: impl Into<ByteString>) -> Self {
        self.tag = tag.into();
        self
    }

    /// Nobody else may consume from the queue meanwhile.
    pub const fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Nothing goes back to the queue but everything that is held, with the channel.
    pub(crate) const fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// A consumer of higher priority gets messages as long as it has room. Default 0.
    pub fn priority(self, priority: i32) -> Self {
        self.argument("x-priority", priority)
    }

    /// Where to begin in a stream: `first`, `last`, `next`, an offset, a time. For streams alone, and to be given for each of them: by it the consumer
    /// knows that it must refuse nothing, which would cost the connection.
    pub fn stream_offset(self, offset: impl Into<Value>) -> Self {
        self.argument(STREAM_OFFSET, offset)
    }

    /// An argument of the broker's own.
    pub fn argument(mut self, name: impl Into<ByteString>, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// What becomes of messages whose handler fails. Default: in place, after 1 s, then twice as long each time up to a minute, for ever.
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Where messages go that nobody can handle, with the reason in header `x-mq-reason`. It has to exist: [`build`](Self::build) looks for it.
    /// While nothing can be published to it, they are handed out again, after the pauses of the [retry policy](Self::retry). One whose properties
    /// can't be read is not copied, which would lose them: it is refused. Default: they are refused, and the queue's own dead letters take them, or nobody.
    pub fn parking_queue(mut self, queue: impl Into<ByteString>) -> Self {
        self.parking = Some(queue.into());
        self
    }

    /// Begins to consume.
    ///
    /// # Errors
    ///
    /// Kind `Invalid` for a prefetch or concurrency of 0; `NotFound` if there is no such queue or no such parking queue, `Auth` if it may not be read,
    /// `Rejected` if somebody has it for himself.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped, nothing is consumed.
    pub async fn build(self) -> Result<Consumer> {
        if self.prefetch == 0 || self.concurrency == 0 {
            return Err(invalid(
                "consumer",
                "a prefetch or concurrency of 0 lets nothing come",
            ));
        }
        if self.queue.len() > 255 || self.tag.len() > 255 {
            return Err(invalid(
                "consumer",
                "the queue's name and the tag have at most 255 bytes",
            ));
        }
        names(&self.arguments)?;
        if self.retry.publishes() && !can_wait(&self.queue) {
            return Err(invalid(
                "consumer",
                "the queue's name is too long for one in which its messages wait",
            ));
        }
        if let Some(parking) = &self.parking {
            self.client.queue(parking).await?;
        }
        let returns = if self.parking.is_some() || self.retry.publishes() {
            let publisher = self.client.publisher("").build().await?;
            Some(Returns::new(publisher, self.parking))
        } else {
            None
        };
        let stream = self.arguments.get(STREAM_OFFSET).is_some();
        let core = Arc::new(Core::new(
            self.queue.clone(),
            self.prefetch,
            stream,
            self.in_order,
        ));
        let consume = BasicConsume {
            reserved_1: 0,
            queue: self.queue,
            consumer_tag: self.tag,
            no_local: false,
            no_ack: false,
            exclusive: self.exclusive,
            nowait: false,
            arguments: self.arguments,
        };
        attend::start(&self.client, &core, consume, self.prefetch).await?;
        Ok(Consumer {
            shared: Arc::new(Shared {
                core,
                client: self.client,
                retry: self.retry,
                returns,
            }),
            concurrency: self.concurrency,
            stream: Ticket::default(),
        })
    }
}

// rabbitmq.com/docs/streams, "Consuming": the argument, and the header of each delivery
pub(super) const STREAM_OFFSET: &str = "x-stream-offset";
