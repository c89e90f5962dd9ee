//! AMQP 0-9-1 behind the common face.
//!
//! ```text
//!  QUEUE                   a queue, by the default exchange
//!  EXCHANGE/ROUTING.KEY    an exchange: only to send
//!  /QUEUE                  a queue whose name has a / in it
//!  NAME[/PARTITIONS]       with an ordering key, or to receive in order: an ordered topic, of 8 partitions if it isn't said
//! ```

mod lanes;
mod later;
mod place;
mod properties;
mod receive;
mod transaction;

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _};
use mq_amqp::{
    Client, ClientBuilder, Error as AmqpError, ErrorKind, Message, Publisher, Queue, Scheduler,
    SendError, TransactionalPublisher, Unheard,
};
use mq_core::{Clock as _, SystemClock};
use tokio::sync::OnceCell;

pub use self::lanes::OfTopic;
pub(super) use self::lanes::settle_ordered;
use self::lanes::{Lanes, Publishing};
use self::place::Place;
pub(super) use self::receive::{recv, settle};
use super::cmq::part;
use super::made::Made;
use super::{Error, Failed, Features, Options, Outgoing, QueueReady, Result, Sent, Unchanged};

/// A client of AMQP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Amqp {
    client: Client,
    /// One an exchange.
    publishers: Made<Publisher>,
    /// One an ordered topic.
    in_order: Made<Publishing>,
    scheduler: Arc<OnceCell<Scheduler>>,
    /// One an exchange.
    transactions: Made<TransactionalPublisher>,
    options: Arc<Options>,
}

/// A send that failed, and the id that its message got.
struct Stopped {
    error: Error,
    id: Option<String>,
}

pub(super) const FEATURES: Features = Features {
    tags: false,
    sql_filter: false,
    retry_after: true,
    dead_letter: true,
    groups: false,
    from_earliest: true,
    compression: false,
    ordered: true,
    transactional: true,
    scheduled: true,
    cancel: true,
    exact_times: true,
    keys: false,
    properties: true,
    binary: true,
    large: true,
    release: false,
};

impl Amqp {
    pub(super) async fn connect(builder: ClientBuilder, options: Options) -> Result<Self> {
        Ok(Self {
            client: builder.connect().await?,
            publishers: Made::default(),
            in_order: Made::default(),
            scheduler: Arc::default(),
            transactions: Made::default(),
            options: Arc::new(options),
        })
    }

    /// The protocol's own client, for what goes beyond the common face.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn send(&self, message: Outgoing) -> Result<Sent, Failed> {
        let sent = match (check(&message), &message.ordering_key, message.when) {
            (Err(error), ..) => Err(error.into()),
            (_, Some(key), _) => self.send_in_order(&message, key).await,
            (_, None, Some(when)) => self.schedule(&message, when).await,
            (_, None, None) => self.publish(&message).await,
        };
        sent.map_err(|Stopped { error, id }| Failed {
            error,
            message: Box::new(message),
            id,
        })
    }

    async fn publish(&self, message: &Outgoing) -> Result<Sent, Stopped> {
        let place = Place::parse(&message.destination)?;
        let publisher = self.publisher(place.exchange()).await?;
        let ready = outgoing(message, place.routing_key());
        let receipt = publisher.send(ready).await?;
        Ok(Sent {
            id: receipt.unique_id().to_owned(),
            topic: message.destination.clone(),
            // Into which queues an exchange has led it, the broker does not say.
            queue: place.into_queue().unwrap_or_default(),
            offset: None,
            durable: true,
            handle: None,
            at_once: false,
        })
    }

    async fn publisher(&self, exchange: &str) -> Result<Publisher> {
        let made = self.publishers.get(exchange, || async {
            let options = &self.options;
            let mut builder = self.client.publisher(exchange.to_owned());
            builder = builder.window(options.max_in_flight);
            if let Some(timeout) = options.send_timeout {
                builder = builder.timeout(timeout);
            }
            builder.build().await
        });
        Ok(made.await?)
    }

    /// One by one, as the protocol has it, and all under way together.
    pub(super) async fn send_batch(&self, messages: Vec<Outgoing>) -> Vec<Result<Sent, Failed>> {
        join_all(messages.into_iter().map(|message| self.send(message))).await
    }

    /// As many at a time as the options say; results in the order of the input.
    pub(super) fn send_all<S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Sent, Failed>> + Send + use<S>
    where
        S: Stream<Item = Outgoing> + Send + 'static,
    {
        let this = self.clone();
        let most = this.options.max_in_flight;
        let sends = messages.map(move |message| {
            let this = this.clone();
            async move { this.send(message).await }
        });
        sends.buffered(most)
    }

    pub(super) async fn describe(&self, name: &str) -> Result<Vec<QueueReady>> {
        let queues = match Lanes::explicit(name) {
            // Looked at, not declared.
            Some(lanes) => lanes.names(),
            None => vec![Place::queue(name)?],
        };
        let asked = queues.iter().map(async |queue| {
            let told = self.client.queue(queue).await?;
            Ok(QueueReady {
                queue: told.name,
                visible: told.messages,
                consumers: told.consumers,
            })
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Says what was made.
    pub(super) async fn create_topic(
        &self,
        name: &str,
        queues: Option<u32>,
    ) -> Result<Vec<String>, Unchanged> {
        if queues.is_some() {
            let told = "an AMQP queue is one queue; NAME/PARTITIONS is an ordered topic";
            return Err(unchanged(invalid(told)));
        }
        if let Some(lanes) = Lanes::explicit(name) {
            self.declare(&lanes).await?;
            return Ok(vec![lanes.to_string()]);
        }
        let queue = Place::queue(name).map_err(unchanged)?;
        self.client
            .declare_queue(Queue::classic(queue.clone()))
            .await?;
        Ok(vec![queue])
    }

    /// Says what is gone.
    pub(super) async fn delete_topic(&self, name: &str) -> Result<Vec<String>, Unchanged> {
        if let Some(lanes) = Lanes::explicit(name) {
            // Also that it has so many partitions: else some would stay.
            let topic = self.topic(&lanes).await?;
            self.client.delete_exchange(topic.name()).await?;
            let mut gone = vec![topic.name().to_owned()];
            for queue in Lanes::queues(&topic) {
                let deleted = self.client.delete_queue(&queue).await;
                deleted.map_err(|error| part(error, &gone))?;
                gone.push(queue);
            }
            return Ok(vec![lanes.to_string()]);
        }
        let queue = Place::queue(name).map_err(unchanged)?;
        // To delete what is not there is no error of the broker's, and looks like a mistyped name.
        let there = self.client.queue(&queue).await;
        there.map_err(|error| error.into_builder().operation("delete queue").build())?;
        self.client.delete_queue(&queue).await?;
        Ok(vec![queue])
    }

    pub(super) async fn close(&self) -> Result<()> {
        let mut flushed = Vec::new();
        for publisher in self.publishers.all() {
            flushed.push(publisher.flush().await);
        }
        for publishing in self.in_order.all() {
            flushed.push(publishing.publisher.flush().await);
        }
        if let Some(scheduler) = self.scheduler.get() {
            flushed.push(scheduler.flush().await);
        }
        for publisher in self.transactions.all() {
            publisher.close().await;
        }
        self.client.close().await;
        let mut failed = flushed.into_iter().filter_map(first_of);
        failed.next().map_or(Ok(()), Err)
    }
}

/// What nobody heard of yet.
fn first_of(flushed: Result<(), Unheard>) -> Option<Error> {
    let failed = flushed.err()?.last.into_iter().next()?;
    Some(failed.error.into())
}

/// As the client has it.
fn outgoing(message: &Outgoing, routing_key: &str) -> Message {
    let mut ready = Message::new(routing_key.to_owned(), message.body.clone());
    ready = ready.timestamp(SystemClock.wall());
    for (name, value) in message.properties.iter() {
        ready = ready.header(name.to_owned(), value.to_owned());
    }
    ready
}

/// What AMQP's messages don't have, refused.
fn check(message: &Outgoing) -> Result<()> {
    if message.key.is_some() {
        return Err(unsupported("AMQP's messages have no keys"));
    }
    if message.tag.is_some() {
        return Err(unsupported("AMQP's messages have no tags"));
    }
    if message.cancellable && message.when.is_none() {
        return Err(invalid("only what is scheduled can be cancelled"));
    }
    Ok(())
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self { error, id: None }
    }
}

impl From<SendError> for Stopped {
    fn from(failed: SendError) -> Self {
        Self {
            id: failed.message.message_id().map(str::to_owned),
            error: failed.error.into(),
        }
    }
}

pub(super) fn no_groups() -> Error {
    unsupported("AMQP has no consumer groups")
}

pub(super) fn no_list() -> Error {
    unsupported("AMQP can't list queues")
}

fn unsupported(told: &str) -> Error {
    AmqpError::builder(ErrorKind::Unsupported, told)
        .build()
        .into()
}

fn invalid(told: &str) -> Error {
    AmqpError::builder(ErrorKind::Invalid, told).build().into()
}

pub(super) fn unchanged(error: Error) -> Unchanged {
    Unchanged {
        error,
        partial: false,
    }
}
