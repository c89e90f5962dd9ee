//! Pulsar behind the common face.
//!
//! ```text
//!  TOPIC                                    in the namespace that the target names
//!  TENANT/NAMESPACE/TOPIC                   in another one
//!  [non-]persistent://TENANT/NAMESPACE/TOPIC
//!  …-partition-3                            one partition
//! ```
//!
//! A group is a subscription. What needs the broker's HTTP management, as making topics and telling a backlog, is not there.

mod receive;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _};
use mq_core::ErrorKind;
use mq_pulsar::{
    Client, ClientBuilder, Compression, Error as PulsarError, Message, MessageId, Producer,
    SendError, Unheard,
};

pub use self::receive::OfSubscription;
pub(super) use self::receive::settle;
use super::made::Made;
use super::{
    Compress, Error, Failed, Features, Options, Outgoing, QueueEnd, Result, Sent, Topic, Unchanged,
};

/// A client of Pulsar. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pulsar {
    client: Client,
    namespace: Arc<str>,
    /// One a topic.
    producers: Made<Producer>,
    options: Arc<Options>,
}

pub(super) const FEATURES: Features = Features {
    tags: false,
    sql_filter: false,
    retry_after: true,
    dead_letter: false,
    groups: true,
    from_earliest: true,
    compression: true,
    ordered: false,
    transactional: false,
    scheduled: false,
    cancel: false,
    exact_times: false,
    keys: true,
    properties: true,
    binary: true,
    large: true,
    release: false,
};

impl Pulsar {
    pub(super) async fn connect(
        builder: ClientBuilder,
        namespace: String,
        options: Options,
    ) -> Result<Self> {
        Ok(Self {
            client: builder.connect().await?,
            namespace: namespace.into(),
            producers: Made::default(),
            options: Arc::new(options),
        })
    }

    /// The protocol's own client, for what goes beyond the common face.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// A topic's name with its namespace.
    fn whole(&self, topic: &str) -> String {
        if topic.contains('/') {
            return topic.to_owned();
        }
        format!("{}/{topic}", self.namespace)
    }

    pub(super) async fn send(&self, message: Outgoing) -> Result<Sent, Failed> {
        let sent = self.try_send(&message).await;
        sent.map_err(|error| Failed {
            error,
            message: Box::new(message),
            id: None,
        })
    }

    async fn try_send(&self, message: &Outgoing) -> Result<Sent> {
        check(message)?;
        let producer = self.producer(&message.destination).await?;
        let sent = producer.send(outgoing(message)).await;
        let receipt = sent.map_err(|SendError { error, .. }| error)?;
        // What was sent before under the same number has its place already.
        let id = receipt.id();
        Ok(Sent {
            id: id.map(|id| id.to_string()).unwrap_or_default(),
            topic: message.destination.clone(),
            queue: id.map(queue).unwrap_or_default(),
            offset: None,
            durable: true,
            handle: None,
            at_once: false,
        })
    }

    async fn producer(&self, topic: &str) -> Result<Producer> {
        let made = self.producers.get(topic, || async {
            let options = &self.options;
            let mut builder = self.client.producer(self.whole(topic));
            builder = builder.window(options.max_in_flight);
            if let Some(compress) = options.compress {
                builder = builder.compression(compression(compress));
            }
            if let Some(messages) = options.batching.messages {
                builder = builder.batch_messages(messages);
            }
            if let Some(bytes) = options.batching.bytes {
                builder = builder.batch_bytes(bytes);
            }
            if let Some(time) = options.batching.linger {
                builder = builder.linger(time);
            }
            if let Some(timeout) = options.send_timeout {
                builder = builder.timeout(timeout);
            }
            builder.build().await
        });
        Ok(made.await?)
    }

    /// All under way together; the producer makes its own batches of them.
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

    /// Those of the namespace, a partitioned one once.
    pub(super) async fn topics(&self) -> Result<Vec<Topic>> {
        let names = self.client.topics(&self.namespace).await?;
        Ok(folded(&names, &self.namespace))
    }

    pub(super) async fn describe(&self, topic: &str) -> Result<Vec<QueueEnd>> {
        let whole = self.whole(topic);
        let names = match self.client.partitions(&whole).await? {
            0 => vec![(String::new(), whole)],
            count => {
                let partition = |at| format!("{whole}{PARTITION}{at}");
                let names = (0..count).map(|at| (at.to_string(), partition(at)));
                names.collect()
            }
        };
        let asked = names.into_iter().map(async |(queue, name)| {
            let last = self.client.last_message_id(&name).await?;
            Ok(QueueEnd {
                queue,
                last: last.map(|id| id.to_string()),
            })
        });
        join_all(asked).await.into_iter().collect()
    }

    pub(super) async fn close(&self) -> Result<()> {
        let closing = self.producers.all().into_iter().map(Producer::close);
        let closed = join_all(closing).await;
        self.client.close().await;
        let mut failed = closed.into_iter().filter_map(first_of);
        failed.next().map_or(Ok(()), Err)
    }
}

/// What nobody heard of yet.
fn first_of(closed: Result<(), Unheard>) -> Option<Error> {
    let failed = closed.err()?.last.into_iter().next()?;
    Some(failed.error.into())
}

/// As the client has it.
fn outgoing(message: &Outgoing) -> Message {
    let mut ready = Message::new(message.body.clone());
    if let Some(key) = &message.key {
        ready = ready.key(key.as_str());
    }
    for (name, value) in message.properties.iter() {
        ready = ready.property(name, value);
    }
    ready
}

/// What is not there over Pulsar, or not yet, refused.
fn check(message: &Outgoing) -> Result<()> {
    if message.tag.is_some() {
        return Err(unsupported("Pulsar's messages have no tags"));
    }
    if message.ordering_key.is_some() {
        return Err(unsupported(
            "ordered topics over Pulsar are not there yet: a key keeps its messages in one partition",
        ));
    }
    if message.when.is_some() || message.cancellable {
        return Err(unsupported(
            "messages for later over Pulsar are not there yet",
        ));
    }
    Ok(())
}

/// Whole names as they are called here: without the namespace, a partitioned topic once, and those that clients make for retries marked.
fn folded(names: &[String], namespace: &str) -> Vec<Topic> {
    let within = format!("persistent://{namespace}/");
    let mut topics = BTreeMap::new();
    for name in names {
        let name = match name.rsplit_once(PARTITION) {
            Some((topic, number))
                if number.parse().is_ok_and(|it: u32| it.to_string() == number) =>
            {
                topic
            }
            _ => name,
        };
        let derived = name.ends_with("-RETRY") || name.ends_with("-DLQ");
        let name = name.strip_prefix(&within).unwrap_or(name);
        topics.insert(name.to_owned(), derived);
    }
    let topic = |(name, derived)| Topic { name, derived };
    topics.into_iter().map(topic).collect()
}

/// The partition by its number; empty where there are none.
fn queue(id: MessageId) -> String {
    let partition = id.partition();
    partition.map(|at| at.to_string()).unwrap_or_default()
}

const fn compression(compress: Compress) -> Compression {
    match compress {
        Compress::Zlib => Compression::Zlib,
        Compress::Lz4 => Compression::Lz4,
        Compress::Zstd => Compression::Zstd,
        Compress::Snappy => Compression::Snappy,
    }
}

pub(super) fn no_cancel() -> Error {
    unsupported("messages for later over Pulsar are not there yet")
}

pub(super) fn no_admin() -> Error {
    unsupported("that takes Pulsar's HTTP management, which is not spoken here")
}

pub(super) fn unchanged() -> Unchanged {
    Unchanged {
        error: no_admin(),
        partial: false,
    }
}

pub(super) fn no_transaction(message: Outgoing) -> Failed {
    Failed {
        error: unsupported("transactions over Pulsar are not there yet"),
        message: Box::new(message),
        id: None,
    }
}

fn unsupported(told: &str) -> Error {
    PulsarError::builder(ErrorKind::Unsupported, told)
        .build()
        .into()
}

const PARTITION: &str = "-partition-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_one_topic_and_names_are_short_where_they_can_be() {
        let names = [
            "non-persistent://acme/ns/live",
            "persistent://acme/ns/orders-partition-0",
            "persistent://acme/ns/orders-partition-1",
            "persistent://acme/ns/orders-partition-x",
            "persistent://acme/ns/orders-sub-DLQ",
        ];
        let told = folded(&names.map(str::to_owned), "acme/ns");
        let told: Vec<_> = told.iter().map(|it| (&*it.name, it.derived)).collect();
        let expected = [
            ("non-persistent://acme/ns/live", false),
            ("orders", false),
            ("orders-partition-x", false),
            ("orders-sub-DLQ", true),
        ];
        assert_eq!(told, expected);
    }
}
