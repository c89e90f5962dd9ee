//! The broker of this run, our client and one of theirs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::foreign::pulsar::{Call, Content, Peer};
use integration_tests::harness::pulsar::{Manage, url};
use integration_tests::harness::{until, within};
use mq_pulsar::{Client, Consumer, Delivery, Message, ProducerBuilder};

pub(crate) const WAIT: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) ours: Client,
    pub(crate) peer: Peer,
    pub(crate) manage: Manage,
}

impl World {
    pub(crate) async fn start(peer: Peer) -> Self {
        let builder = Client::from_url(&url()).unwrap();
        Self {
            ours: builder.connect().await.unwrap(),
            peer,
            manage: Manage::shared(),
        }
    }

    /// A call of theirs.
    pub(crate) fn theirs(&self, topic: &str) -> Call {
        self.peer.topic(&url(), topic)
    }

    /// An exclusive consumer of ours, which was there before what it reads.
    pub(crate) async fn consumer(&self, topic: &str, subscription: &str) -> Consumer {
        let consumer = self.ours.consumer(subscription).topic(topic);
        let consumer = consumer.batch_index_acks(true).from_earliest();
        consumer.build().await.unwrap()
    }

    /// We send them in this order, as batches if the options allow it, and hear that the broker has them.
    pub(crate) async fn we_send(&self, options: ProducerBuilder, contents: &[Content]) {
        let producer = options.linger(WAIT / 60).build().await.unwrap();
        for content in contents {
            drop(producer.enqueue(message(content)).await.unwrap());
        }
        producer.close().await.unwrap();
    }

    /// Until the broker knows that everything of a topic is acknowledged.
    pub(crate) async fn acked(&self, topic: &str, subscription: &str) {
        until(WAIT, "an empty backlog", async || {
            self.manage.backlog(topic, subscription).await == 0
        })
        .await;
    }

    /// How many bytes a topic was sent.
    pub(crate) async fn bytes(&self, topic: &str) -> u64 {
        let stats = self.manage.stats(topic).await;
        stats["bytesInCounter"].as_u64().unwrap()
    }
}

pub(crate) async fn next(consumer: &Consumer) -> Delivery {
    let delivery = within(WAIT, "a message", consumer.recv()).await;
    delivery.unwrap().unwrap()
}

/// So many messages; none is settled.
pub(crate) async fn some(consumer: &Consumer, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(next(consumer).await);
    }
    all
}

pub(crate) fn contents(all: &[Delivery]) -> Vec<Content> {
    all.iter().map(content).collect()
}

/// What it says, as theirs would show it.
pub(crate) fn content(delivery: &Delivery) -> Content {
    let millis = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let event = delivery.event_time().map(millis).unwrap_or_default();
    let properties = delivery.properties();
    Content {
        value: (!delivery.is_null()).then(|| delivery.body().to_vec()),
        key: delivery.key_text().map(str::to_owned),
        ordering_key: delivery.ordering_key().map(|key| key.to_vec()),
        properties: properties
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        event_time: u64::try_from(event).unwrap(),
    }
}

fn message(content: &Content) -> Message {
    let mut message = match &content.value {
        Some(value) => Message::new(value.clone()),
        None => Message::null(),
    };
    if let Some(key) = &content.key {
        message = message.key(key.clone());
    }
    if let Some(key) = &content.ordering_key {
        message = message.ordering_key(key.clone());
    }
    for (name, value) in &content.properties {
        message = message.property(name.clone(), value.clone());
    }
    if content.event_time > 0 {
        message = message.event_time(UNIX_EPOCH + Duration::from_millis(content.event_time));
    }
    message
}
