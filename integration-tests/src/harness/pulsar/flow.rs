//! Messages in and out of Pulsar, as most tests want them: numbers, in batches of ten.

use std::time::Duration;

use mq_pulsar::{Client, Consumer, Delivery, Message};

use super::Manage;
use crate::harness::{until, within};

/// How long a broker may take for anything.
pub const WAIT: Duration = Duration::from_secs(60);

/// A client of the broker that this run shares.
pub async fn connect() -> Client {
    connect_to(&super::url()).await
}

/// A client of a broker.
pub async fn connect_to(url: &str) -> Client {
    let builder = Client::from_url(url).unwrap();
    builder.connect().await.unwrap()
}

/// Sends `0`, `1` and so on, as batches of ten: in a test with one thread nothing is written before ten are there.
pub async fn fill(client: &Client, topic: &str, count: usize) {
    let producer = client.producer(topic).batch_messages(10);
    let producer = producer.linger(Duration::from_secs(1));
    let producer = producer.build().await.unwrap();
    for at in 0..count {
        drop(
            producer
                .enqueue(Message::new(at.to_string()))
                .await
                .unwrap(),
        );
    }
    producer.close().await.unwrap();
}

/// The next delivery.
pub async fn next(consumer: &Consumer) -> Delivery {
    let next = within(WAIT, "a message", consumer.recv()).await;
    next.unwrap().unwrap()
}

/// The next so many, none of them settled.
pub async fn some(consumer: &Consumer, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(next(consumer).await);
    }
    all
}

/// The numbers in them.
pub fn numbers(all: &[Delivery]) -> Vec<usize> {
    let numbers = all.iter().map(|one| one.text().unwrap().parse().unwrap());
    numbers.collect()
}

/// Fails if there is one more than should be: a message that is sent now has to be the next, and is acknowledged.
pub async fn only(client: &Client, topic: &str, consumer: &Consumer) {
    let producer = client.producer(topic).build().await.unwrap();
    producer.send(Message::new("last")).await.unwrap();
    let last = next(consumer).await;
    assert_eq!(last.text(), Some("last"), "{last:?} came too");
    last.ack().await.unwrap();
}

/// Waits until everything is acknowledged.
pub async fn acked(manage: &Manage, topic: &str, subscription: &str) {
    until(WAIT, "an empty backlog", async || {
        manage.backlog(topic, subscription).await == 0
    })
    .await;
}
