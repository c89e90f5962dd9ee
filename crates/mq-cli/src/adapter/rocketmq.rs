//! RocketMQ behind the common face.

mod receive;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, StreamExt as _, stream};
use mq_core::ErrorKind;
use mq_rocketmq::{
    Client, ClientBuilder, Compression, ConsumeFrom, Consumer, Durability, Message, Producer,
    ProducerBuilder, Receipt, Schedule, ScheduledHandle, SendError, TopicOptions,
    TransactionalProducer,
};
use tokio::sync::OnceCell;

pub(super) use self::receive::{recv, settle};
use super::{
    Cancel, Compress, Consume, Failed, Features, From, Options, Outgoing, QueueLag, QueueRange,
    Result, Sent, Topic, Unchanged, When,
};

/// A client, and the producer that is made when it is first needed.
#[derive(Debug, Clone)]
pub struct RocketMq {
    client: Client,
    producer: Arc<OnceCell<Producer>>,
    pub(super) transactional: Arc<OnceCell<TransactionalProducer>>,
    options: Arc<Options>,
}

pub(super) const FEATURES: Features = Features {
    tags: true,
    sql_filter: false,
    retry_after: true,
    dead_letter: true,
    groups: true,
    from_earliest: true,
    compression: true,
    ordered: true,
    transactional: true,
    scheduled: true,
    cancel: true,
    exact_times: true,
    keys: true,
    properties: true,
    binary: true,
    large: true,
    release: true,
};

impl RocketMq {
    pub(super) async fn connect(builder: ClientBuilder, options: Options) -> Result<Self> {
        if options.compress.is_some_and(|it| compression(it).is_none()) {
            let told = "RocketMQ's bodies are compressed by zlib, lz4 or zstd";
            let error = mq_rocketmq::Error::builder(ErrorKind::Unsupported, told);
            return Err(error.build().into());
        }
        Ok(Self {
            client: builder.connect().await?,
            producer: Arc::default(),
            transactional: Arc::default(),
            options: Arc::new(options),
        })
    }

    /// The protocol's own client, for what goes beyond the common face.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    async fn producer(&self) -> Result<&Producer> {
        let made = self
            .producer
            .get_or_try_init(|| async { self.builder().build().await });
        Ok(made.await?)
    }

    pub(super) fn builder(&self) -> ProducerBuilder {
        let options = &self.options;
        let mut builder = self
            .client
            .producer(&options.group)
            .max_in_flight(options.max_in_flight);
        if let Some(compression) = options.compress.and_then(compression) {
            builder = builder.compression(compression);
        }
        if let Some(timeout) = options.send_timeout {
            builder = builder.timeout(timeout);
        }
        builder
    }

    pub(super) async fn send(&self, message: Outgoing) -> Result<Sent, Failed> {
        let producer = match self.producer().await {
            Ok(producer) => producer,
            Err(error) => {
                return Err(Failed {
                    error,
                    message: Box::new(message),
                    id: None,
                });
            }
        };
        let topic = message.destination.clone();
        match producer.send(outgoing(message)).await {
            Ok(receipt) => Ok(sent(topic, &receipt)),
            Err(failed) => Err(given_back(failed)),
        }
    }

    pub(super) async fn send_batch(&self, messages: Vec<Outgoing>) -> Vec<Result<Sent, Failed>> {
        let producer = match self.producer().await {
            Ok(producer) => producer,
            Err(error) => {
                let failed = |message| Failed {
                    error: error.clone(),
                    message: Box::new(message),
                    id: None,
                };
                return messages.into_iter().map(failed).map(Err).collect();
            }
        };
        // A batch is for one topic.
        let topic = messages.first().map(|first| first.destination.clone());
        let topic = topic.unwrap_or_default();
        let results = producer
            .send_batch(messages.into_iter().map(outgoing))
            .await;
        let told = |result| match result {
            Ok(receipt) => Ok(sent(topic.clone(), &receipt)),
            Err(failed) => Err(given_back(failed)),
        };
        results.into_iter().map(told).collect()
    }

    pub(super) fn send_all<S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Sent, Failed>> + Send + use<S>
    where
        S: Stream<Item = Outgoing> + Send + 'static,
    {
        let this = self.clone();
        stream::once(async move {
            match this.producer().await {
                Ok(producer) => through(producer, messages).boxed(),
                Err(error) => messages
                    .map(move |message| {
                        Err(Failed {
                            error: error.clone(),
                            message: Box::new(message),
                            id: None,
                        })
                    })
                    .boxed(),
            }
        })
        .flatten()
    }

    pub(super) async fn cancel(&self, handle: &str) -> Result<Cancel> {
        let handle: ScheduledHandle = handle.parse()?;
        let cancelled = self.producer().await?.cancel(&handle).await?;
        Ok(match cancelled {
            mq_rocketmq::Cancel::Cancelled => Cancel::Cancelled,
            mq_rocketmq::Cancel::TooLate => Cancel::TooLate,
            // Whatever else there may be, it is not certain.
            _ => Cancel::Requested,
        })
    }

    pub(super) async fn consume(&self, consume: &Consume) -> Result<Consumer> {
        let from = match consume.from {
            From::Earliest => ConsumeFrom::First,
            From::Latest => ConsumeFrom::Last,
        };
        let mut builder = self
            .client
            .consumer(&consume.group)
            .subscribe(&consume.topic, &consume.filter)
            .from(from);
        if let Some(count) = consume.prefetch {
            builder = builder.prefetch_count(count);
        }
        if let Some(count) = consume.max_redeliveries {
            builder = builder.max_redeliveries(count);
        }
        if consume.ordered {
            builder = builder.ordered();
        }
        if let Some(timeout) = consume.settle_timeout {
            builder = builder.settle_timeout(timeout);
        }
        Ok(builder.build().await?)
    }

    pub(super) async fn topics(&self) -> Result<Vec<Topic>> {
        let names = self.client.admin().topics().await?;
        let derived = |name: &str| name.starts_with("%RETRY%") || name.starts_with("%DLQ%");
        Ok(names
            .into_iter()
            .map(|name| Topic {
                derived: derived(&name),
                name,
            })
            .collect())
    }

    pub(super) async fn describe(&self, topic: &str) -> Result<Vec<QueueRange>> {
        let description = self.client.admin().describe(topic).await?;
        Ok(description
            .queues
            .into_iter()
            .map(|range| QueueRange {
                queue: queue_name(&range.broker, range.queue),
                first: range.first,
                next: range.next,
                readable: range.readable,
                writable: range.writable,
            })
            .collect())
    }

    pub(super) async fn lag(&self, group: &str) -> Result<Vec<QueueLag>> {
        let lag = self.client.admin().lag(group).await?;
        Ok(lag
            .queues
            .into_iter()
            .map(|lag| QueueLag {
                queue: queue_name(&lag.broker, lag.queue),
                committed: lag.committed,
                next: lag.next,
                behind: lag.behind(),
                topic: lag.topic,
            })
            .collect())
    }

    pub(super) async fn groups(&self) -> Result<Vec<String>> {
        Ok(self.client.admin().groups().await?)
    }

    pub(super) async fn create_topic(
        &self,
        topic: &str,
        queues: Option<u32>,
    ) -> Result<Vec<String>, Unchanged> {
        let mut options = TopicOptions::new();
        if let Some(count) = queues {
            options = options.queues(count);
        }
        let changed = self.client.admin().create_topic(topic, options).await?;
        Ok(changed.brokers)
    }

    pub(super) async fn create_group(&self, group: &str) -> Result<Vec<String>, Unchanged> {
        Ok(self.client.admin().create_group(group).await?.brokers)
    }

    pub(super) async fn delete_topic(&self, topic: &str) -> Result<Vec<String>, Unchanged> {
        Ok(self.client.admin().delete_topic(topic).await?.brokers)
    }

    pub(super) async fn delete_group(&self, group: &str) -> Result<Vec<String>, Unchanged> {
        Ok(self.client.admin().delete_group(group).await?.brokers)
    }

    pub(super) async fn close(&self) -> Result<()> {
        Ok(self.client.close().await?)
    }
}

fn through(
    producer: &Producer,
    messages: impl Stream<Item = Outgoing> + Send + 'static,
) -> impl Stream<Item = Result<Sent, Failed>> + Send + 'static {
    // Receipts have full names. Results come in the order of the input, so that what was given can be had back.
    let given: Arc<Mutex<VecDeque<String>>> = Arc::default();
    let waiting = Arc::clone(&given);
    let messages = messages.map(move |message| {
        locked(&waiting).push_back(message.destination.clone());
        outgoing(message)
    });
    producer.send_all(messages).map(move |result| {
        let topic = locked(&given).pop_front().unwrap_or_default();
        match result {
            Ok(receipt) => Ok(sent(topic, &receipt)),
            Err(failed) => Err(given_back(failed)),
        }
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn outgoing(from: Outgoing) -> Message {
    let mut message = Message::new(from.destination, from.body);
    if let Some(tag) = from.tag {
        message = message.tag(tag);
    }
    // Keys travel separated by spaces.
    for key in from.key.iter().flat_map(|key| key.split(' ')) {
        message = message.key(key);
    }
    if let Some(key) = from.ordering_key {
        message = message.ordering_key(key);
    }
    for (name, value) in from.properties {
        message = message.property(name, value);
    }
    match from.when {
        Some(When::At(time)) => message.deliver_at(time),
        Some(When::After(delay)) => message.deliver_after(delay),
        Some(When::Level(level)) => message.delay_level(level),
        None => message,
    }
}

pub(super) fn given_back(failed: SendError) -> Failed {
    let message = &failed.message;
    let keys = message.keys().join(" ");
    Failed {
        message: Box::new(Outgoing {
            destination: message.topic().to_owned(),
            body: message.body().clone(),
            key: Some(keys).filter(|keys| !keys.is_empty()),
            ordering_key: message.ordering_key_text().map(str::to_owned),
            tag: message.tag_text().map(str::to_owned),
            properties: message.properties().clone(),
            when: match message.schedule() {
                Some(Schedule::At(time)) => Some(When::At(time)),
                Some(Schedule::After(delay)) => Some(When::After(delay)),
                _ => None,
            },
            // All of it can be.
            cancellable: false,
        }),
        id: message.unique_id().map(str::to_owned),
        error: failed.error.into(),
    }
}

fn sent(topic: String, receipt: &Receipt) -> Sent {
    Sent {
        id: receipt.unique_id().to_owned(),
        topic,
        queue: queue_name(receipt.broker(), receipt.queue()),
        offset: Some(receipt.offset()),
        durable: receipt.durability() == Durability::AsConfigured,
        handle: receipt.scheduled().map(ToString::to_string),
        at_once: receipt.scheduled().is_some_and(ScheduledHandle::is_past),
    }
}

/// Queues are numbered at each broker: only with its name the number is unique in the topic.
fn queue_name(broker: &str, queue: i32) -> String {
    format!("{broker}/{queue}")
}

const fn compression(compress: Compress) -> Option<Compression> {
    Some(match compress {
        Compress::Zlib => Compression::zlib(),
        Compress::Lz4 => Compression::lz4(),
        Compress::Zstd => Compression::zstd(),
        Compress::Snappy => return None,
    })
}
