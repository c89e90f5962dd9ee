//! CMQ over HTTP and TCP behind the common face.
//!
//! ```text
//!  QUEUE                     a queue
//!  QUEUE/SHARDS              QUEUE-0 … with an order by convention: sends need an ordering key
//!  topic:NAME                a topic: a tag filters
//!  topic:NAME/ROUTING.KEY    a topic with binding keys
//! ```

mod batch;
mod place;
mod receive;
mod transaction;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _};
use mq_cmq::ordered::{OrderedMessage, OrderedProducer};
use mq_cmq::{
    Client, ClientBuilder, Error as CmqError, ErrorKind, Message, TcpClientBuilder, TopicMessage,
};
use mq_core::{Clock as _, SystemClock};

pub(super) use self::place::{Place, TOPIC};
pub use self::receive::{InOrder, OfQueue};
pub(super) use self::receive::{settle, settle_ordered};
use self::transaction::Transactions;
use super::{
    Error, Failed, Features, Options, Outgoing, QueueCount, Result, Sent, Topic, Unchanged, When,
};

/// A client of CMQ. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cmq {
    client: Client,
    /// One a sharded name: they number what they send.
    ordered: Arc<Mutex<BTreeMap<String, OrderedProducer>>>,
    options: Arc<Options>,
    /// Over TCP.
    transactions: Option<Transactions>,
}

const FEATURES: Features = Features {
    tags: false,
    sql_filter: false,
    retry_after: false,
    dead_letter: false,
    groups: false,
    from_earliest: true,
    compression: false,
    ordered: true,
    transactional: false,
    scheduled: true,
    cancel: false,
    exact_times: false,
    keys: false,
    properties: false,
    binary: false,
    large: false,
    release: false,
};

impl Cmq {
    pub(super) fn new(builder: ClientBuilder, options: Options) -> Result<Self> {
        let builder = match options.send_timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        };
        Ok(Self {
            client: builder.build()?,
            ordered: Arc::default(),
            options: Arc::new(options),
            transactions: None,
        })
    }

    pub(super) fn over_tcp(builder: TcpClientBuilder, options: Options) -> Result<Self> {
        let builder = match options.send_timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        };
        let client = builder.build()?;
        Ok(Self {
            client: client.as_client().clone(),
            ordered: Arc::default(),
            options: Arc::new(options),
            transactions: Some(Transactions::new(client)),
        })
    }

    pub(super) const fn features(&self) -> Features {
        Features {
            transactional: self.transactions.is_some(),
            ..FEATURES
        }
    }

    /// The protocol's own client, for what goes beyond the common face.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn send(&self, message: Outgoing) -> Result<Sent, Failed> {
        self.try_send(&message)
            .await
            .map_err(|error| failed(message, error))
    }

    async fn try_send(&self, message: &Outgoing) -> Result<Sent> {
        let text = check(message)?;
        match Place::parse(&message.destination)? {
            Place::Queue(name) => {
                without_ordering_key(message)?;
                let queue = self.client.queue(&name)?;
                let sent = queue.send(scheduled(message, text)).await;
                let receipt = sent.map_err(CmqError::from)?;
                Ok(told(message, receipt.message_id(), name))
            }
            Place::Topic { name, routing_key } => {
                without_ordering_key(message)?;
                let topic = self.client.topic(&name)?;
                let published = topic.publish(tagged(message, text, routing_key)).await;
                let receipt = published.map_err(CmqError::from)?;
                Ok(told(message, receipt.message_id(), name))
            }
            Place::Shards { name, count } => {
                let key = message.ordering_key.as_deref();
                let key = key.ok_or_else(|| invalid("shards need an ordering key"))?;
                if message.when.is_some() {
                    return Err(invalid("a message with an ordering key can't be delayed"));
                }
                let producer = self.producer(&message.destination, &name, count)?;
                let mut sent = producer.send(OrderedMessage::new(key, text)).await;
                // Behind one of which nobody knows whether it was stored, which was told: here nobody sends that again.
                if let Err(failed) = &sent
                    && failed.error.kind() == ErrorKind::Stale
                    && producer.abandon(key)
                {
                    sent = producer.send(OrderedMessage::new(key, text)).await;
                }
                let receipt = sent.map_err(CmqError::from)?;
                let queue = format!("{name}-{}", receipt.shard);
                Ok(told(message, &receipt.message_id, queue))
            }
        }
    }

    fn producer(&self, destination: &str, name: &str, count: usize) -> Result<OrderedProducer> {
        let mut known = self.ordered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = known.get(destination) {
            return Ok(producer.clone());
        }
        let producer = self.client.ordered(name, count)?.producer();
        known.insert(destination.to_owned(), producer.clone());
        drop(known);
        Ok(producer)
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

    pub(super) async fn topics(&self) -> Result<Vec<Topic>> {
        let queues = self.client.queues().all().await?.into_iter();
        let mut all: Vec<String> = queues.map(|queue| queue.name).collect();
        let topics = self.client.topics().all().await?.into_iter();
        all.extend(topics.map(|topic| format!("{TOPIC}{}", topic.name)));
        all.sort();
        let known = |name| Topic {
            name,
            derived: false,
        };
        Ok(all.into_iter().map(known).collect())
    }

    pub(super) async fn describe(&self, name: &str) -> Result<Vec<QueueCount>> {
        match Place::parse(name)? {
            Place::Topic { name, .. } => {
                let attributes = self.client.topic(&name)?.attributes().await?;
                Ok(vec![QueueCount {
                    queue: format!("{TOPIC}{name}"),
                    visible: attributes.messages,
                    held: 0,
                    delayed: 0,
                }])
            }
            place => {
                let asked = place.queues().into_iter().map(async |queue| {
                    let attributes = self.client.queue(&queue)?.attributes().await?;
                    Ok(QueueCount {
                        queue,
                        visible: attributes.active,
                        held: attributes.inactive,
                        delayed: attributes.delayed,
                    })
                });
                join_all(asked).await.into_iter().collect()
            }
        }
    }

    /// The number of queues is a part of the name. Says what was made.
    pub(super) async fn create_topic(
        &self,
        name: &str,
        queues: Option<u32>,
    ) -> Result<Vec<String>, Unchanged> {
        if queues.is_some() {
            return Err(unchanged(invalid("write QUEUE/SHARDS as the name")));
        }
        let mut made = Vec::new();
        match Place::parse(name).map_err(unchanged)? {
            Place::Topic { name, routing_key } => {
                let filter = match routing_key {
                    Some(_) => mq_cmq::Filter::Routing,
                    None => mq_cmq::Filter::Tags,
                };
                self.client.create_topic(&name).filter(filter).await?;
                made.push(name);
            }
            place => {
                for queue in place.queues() {
                    let created = self.client.create_queue(&queue).await;
                    created.map_err(|error| part(error, &made))?;
                    made.push(queue);
                }
            }
        }
        Ok(made)
    }

    pub(super) async fn delete_topic(&self, name: &str) -> Result<Vec<String>, Unchanged> {
        let mut gone = Vec::new();
        match Place::parse(name).map_err(unchanged)? {
            Place::Topic { name, .. } => {
                self.client.delete_topic(&name).await?;
                gone.push(name);
            }
            place => {
                for queue in place.queues() {
                    let deleted = self.client.delete_queue(&queue).await;
                    deleted.map_err(|error| part(error, &gone))?;
                    gone.push(queue);
                }
            }
        }
        Ok(gone)
    }

    pub(super) fn close(&self) {
        self.client.close();
    }
}

/// What CMQ's messages don't have, refused; the body as text.
fn check(message: &Outgoing) -> Result<&str> {
    if message.key.is_some() {
        return Err(unsupported("CMQ's messages have no keys"));
    }
    if message.properties.iter().next().is_some() {
        return Err(unsupported("CMQ's messages have no properties"));
    }
    if matches!(message.when, Some(When::Level(_))) {
        return Err(unsupported("CMQ has no delay levels"));
    }
    let queue = !message.destination.starts_with(TOPIC);
    if queue && message.tag.is_some() {
        let told = "only what is published to a topic can have a tag";
        return Err(unsupported(told));
    }
    if !queue && message.when.is_some() {
        return Err(unsupported("CMQ's topics can't delay messages"));
    }
    std::str::from_utf8(&message.body)
        .map_err(|_| unsupported("CMQ's bodies are text in UTF-8; encode others, as Base64"))
}

fn without_ordering_key(message: &Outgoing) -> Result<()> {
    match message.ordering_key {
        Some(_) => Err(invalid("an ordering key needs shards: QUEUE/SHARDS")),
        None => Ok(()),
    }
}

fn scheduled(from: &Outgoing, text: &str) -> Message {
    let message = Message::new(text);
    match from.when {
        Some(When::At(time)) => message.deliver_at(time),
        Some(When::After(delay)) => message.deliver_after(delay),
        _ => message,
    }
}

fn tagged(from: &Outgoing, text: &str, routing_key: Option<String>) -> TopicMessage {
    let mut message = TopicMessage::new(text);
    if let Some(tag) = &from.tag {
        message = message.tag(tag);
    }
    match routing_key {
        Some(key) => message.routing_key(key),
        None => message,
    }
}

fn told(message: &Outgoing, id: &str, queue: String) -> Sent {
    let is_past = |when| match when {
        When::At(time) => time <= SystemClock.wall(),
        When::After(delay) => delay.is_zero(),
        When::Level(_) => false,
    };
    Sent {
        id: id.to_owned(),
        topic: message.destination.clone(),
        queue,
        offset: None,
        durable: true,
        handle: None,
        at_once: message.when.is_some_and(is_past),
    }
}

fn failed(message: Outgoing, error: Error) -> Failed {
    Failed {
        error,
        message: Box::new(message),
        id: None,
    }
}

pub(super) fn unchanged(error: Error) -> Unchanged {
    Unchanged {
        error,
        partial: false,
    }
}

/// Something is done already.
pub(super) fn part(error: impl Into<Unchanged>, done: &[String]) -> Unchanged {
    let mut failed = error.into();
    failed.partial |= !done.is_empty();
    failed
}

pub(super) fn no_cancel() -> Error {
    unsupported("CMQ can't take back a message that was sent")
}

pub(super) fn no_groups() -> Error {
    unsupported("CMQ has no consumer groups")
}

pub(super) fn unsupported(told: &str) -> Error {
    CmqError::builder(ErrorKind::Unsupported, told)
        .build()
        .into()
}

fn invalid(told: &str) -> Error {
    CmqError::builder(ErrorKind::Invalid, told).build().into()
}
