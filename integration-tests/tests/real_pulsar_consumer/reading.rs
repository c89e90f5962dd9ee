//! Readers: from a place on, and on over reconnects, without a gap and without anything twice.

use std::time::Duration;

use integration_tests::harness::pulsar::{Manage, WAIT, connect, fill, next};
use integration_tests::harness::{until, wall, within};
use mq_pulsar::{Client, ErrorKind, Message, MessageId, Reader};

/// Reads until nothing is left.
async fn rest(reader: &Reader) -> Vec<usize> {
    let mut read = Vec::new();
    while within(WAIT, "an answer", reader.has_message_available())
        .await
        .unwrap()
    {
        read.push(one(reader).await);
    }
    read
}

async fn one(reader: &Reader) -> usize {
    let received = within(WAIT, "a message", reader.next())
        .await
        .unwrap()
        .unwrap();
    received.text().unwrap().parse().unwrap()
}

async fn send(client: &Client, topic: &str, number: usize) {
    let producer = client.producer(topic).build().await.unwrap();
    producer
        .send(Message::new(number.to_string()))
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_reader_begins_at_or_after_a_message_and_knows_its_end() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("reader").await;
    let empty = client.reader(&topic).from_earliest().build().await.unwrap();
    assert!(!empty.has_message_available().await.unwrap());
    fill(&client, &topic, 30).await;
    assert_eq!(rest(&empty).await, (0..30).collect::<Vec<_>>());

    let consumer = client.consumer("s").topic(&topic).from_earliest();
    let consumer = consumer.build().await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(next(&consumer).await.id());
    }
    // At both ends of a batch and inside of one.
    for at in [0, 9, 10, 13, 29] {
        let reader = client
            .reader(&topic)
            .start_at(ids[at])
            .build()
            .await
            .unwrap();
        assert_eq!(rest(&reader).await, (at..30).collect::<Vec<_>>());
        let reader = client
            .reader(&topic)
            .start_after(ids[at])
            .build()
            .await
            .unwrap();
        assert_eq!(rest(&reader).await, (at + 1..30).collect::<Vec<_>>());
    }
    let latest = client.reader(&topic).build().await.unwrap();
    assert!(!latest.has_message_available().await.unwrap());
    send(&client, &topic, 30).await;
    for reader in [&latest, &empty] {
        assert_eq!(rest(reader).await, [30]);
    }
    let last = latest
        .last_message_ids()
        .await
        .unwrap()
        .remove(0)
        .1
        .unwrap();
    let reader = client.reader(&topic).start_at(last).build().await.unwrap();
    assert_eq!(rest(&reader).await, [30]);

    // Nothing stays of a reader.
    for reader in [&latest, &empty, &reader] {
        reader.close().await;
        assert!(reader.next().await.unwrap().is_none());
    }
    until(WAIT, "only the consumer is left", async || {
        let subscriptions = &manage.stats(&topic).await["subscriptions"];
        subscriptions
            .as_object()
            .is_some_and(|all| all.keys().eq(["s"]))
    })
    .await;
}

/// The topic is taken from the broker in the middle of a batch, and before anything was read.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_reader_goes_on_where_it_was_when_the_topic_moves() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("moves").await;
    fill(&client, &topic, 10).await;
    let latest = client.reader(&topic).from_latest().build().await.unwrap();
    manage.unload(&topic).await;
    fill(&client, &topic, 100).await;
    for at in 0..100 {
        assert_eq!(one(&latest).await, at);
        if [4, 9, 50].contains(&at) {
            manage.unload(&topic).await;
        }
    }
    assert!(!latest.has_message_available().await.unwrap());
    let earliest = client.reader(&topic).from_earliest().build().await.unwrap();
    let read = rest(&earliest).await;
    assert_eq!(read, (0..10).chain(0..100).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_reader_is_moved_to_a_message_a_time_and_both_ends() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("moved").await;
    fill(&client, &topic, 20).await;
    let (sent, pause) = (wall(), Duration::from_millis(50));
    until(WAIT, "later", async || wall() > sent + pause).await;
    let there = wall();
    fill(&client, &topic, 10).await;
    let reader = client.reader(&topic).from_earliest().build().await.unwrap();
    let mut ids = Vec::new();
    while ids.len() < 15 {
        ids.push(
            within(WAIT, "a message", reader.next())
                .await
                .unwrap()
                .unwrap()
                .id(),
        );
    }
    let all: Vec<_> = (0..20).chain(0..10).collect();
    reader.seek(ids[13]).await.unwrap();
    assert_eq!(rest(&reader).await, all[13..]);
    reader.seek_time(there).await.unwrap();
    assert_eq!(rest(&reader).await, all[20..]);
    reader.seek(MessageId::EARLIEST).await.unwrap();
    assert_eq!(rest(&reader).await, all);
    reader.seek(MessageId::LATEST).await.unwrap();
    assert_eq!(rest(&reader).await, Vec::<usize>::new());
    manage.unload(&topic).await;
    send(&client, &topic, 99).await;
    assert_eq!(one(&reader).await, 99);
    reader.seek_time(there).await.unwrap();
    manage.unload(&topic).await;
    // It is a second too early at most.
    let read = rest(&reader).await;
    assert!(
        read.ends_with(&all[20..]) || read.ends_with(&[9, 99]),
        "{read:?}"
    );
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_reader_of_partitions_reads_all_of_them() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.partitioned("reader", 3).await;
    let producer = client.producer(&topic).build().await.unwrap();
    for at in 0..60 {
        let message = Message::new(at.to_string()).key(at.to_string());
        producer.send(message).await.unwrap();
    }
    let reader = client.reader(&topic).start_at(MessageId::EARLIEST);
    let reader = reader.build().await.unwrap();
    let mut read = rest(&reader).await;
    read.sort_unstable();
    assert_eq!(read, (0..60).collect::<Vec<_>>());
    let last = reader.last_message_ids().await.unwrap();
    let id = last[0].1.unwrap();
    let told = client
        .reader(&topic)
        .start_at(id)
        .build()
        .await
        .unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Invalid);
}
