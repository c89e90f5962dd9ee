//! Producers on a real broker: what is stored, in which order, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use integration_tests::harness::pulsar::{Manage, url};
use integration_tests::harness::{now, size, unique, until, within};
use mq_pulsar::{AccessMode, Client, ErrorCode, ErrorKind, Message, Outcome, Producer, Routing};

const WAIT: Duration = Duration::from_secs(30);

async fn connect() -> Client {
    Client::from_url(&url()).unwrap().connect().await.unwrap()
}

async fn send_many(producer: &Producer, count: usize) -> Vec<mq_pulsar::Receipt> {
    let messages = stream::iter(0..count).map(|number| Message::new(number.to_string()));
    let results = producer.send_all(messages).collect::<Vec<_>>();
    let results = within(WAIT, "all receipts", results).await;
    results.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_producer_batches_what_comes_together_and_counts_it() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("batched").await;
    manage.subscribe(&topic, "sub").await;
    let producer = client.producer(&topic).build().await.unwrap();
    assert_eq!(producer.last_sequence_id(), None);
    let count = size(5_000, 100_000);
    let receipts = send_many(&producer, count).await;
    let ids: Vec<_> = receipts
        .iter()
        .map(mq_pulsar::Receipt::sequence_id)
        .collect();
    assert!(ids.iter().copied().eq(0..count as u64), "given in order");
    assert_eq!(producer.last_sequence_id(), Some(count as u64 - 1));
    let stats = manage.stats(&topic).await;
    assert_eq!(
        stats["msgInCounter"].as_u64(),
        Some(count as u64),
        "{stats}"
    );
    let entries = manage.backlog(&topic, "sub").await;
    assert!(entries <= count as u64, "{entries}");
    producer.close().await.unwrap();
    client.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_producer_spreads_over_partitions_and_follows_their_number() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.partitioned("spread", 2).await;
    let options = client.producer(&topic).batch_messages(1);
    let options = options.partition_refresh(Duration::from_millis(200));
    let producer = options.build().await.unwrap();
    assert_eq!(producer.partitions(), 2);
    send_many(&producer, 100).await;
    for number in 0..2 {
        let stats = manage.stats(&format!("{topic}-partition-{number}")).await;
        assert_eq!(stats["msgInCounter"].as_u64(), Some(50), "{stats}");
    }
    manage.grow(&topic, 3).await;
    until(WAIT, "the new partition is used", async || {
        producer.partitions() == 3
    })
    .await;
    send_many(&producer, 30).await;
    let stats = manage.stats(&format!("{topic}-partition-2")).await;
    assert_eq!(stats["msgInCounter"].as_u64(), Some(10), "{stats}");
    producer.close().await.unwrap();
    let single = client.producer(&topic).routing(Routing::custom(|_, _| 1));
    let single = single.build().await.unwrap();
    send_many(&single, 10).await;
    let stats = manage.stats(&format!("{topic}-partition-1")).await;
    assert_eq!(stats["msgInCounter"].as_u64(), Some(70), "{stats}");
    client.close().await;
}

/// Who comes again under its name goes on where it was, and what is sent twice is stored once.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_producer_deduplication_holds_across_restarts() {
    let (client, manage) = (connect().await, Manage::shared());
    let namespace = manage.namespace("dedup").await;
    manage.deduplicate(&namespace, true).await;
    let topic = format!("{namespace}/orders");
    let name = unique("producer");
    let producer = client.producer(&topic).name(&name).build().await.unwrap();
    assert_eq!(producer.name(), name);
    send_many(&producer, 10).await;
    producer.close().await.unwrap();
    client.close().await;

    let client = connect().await;
    let producer = client.producer(&topic).name(&name).build().await.unwrap();
    assert_eq!(producer.last_sequence_id(), Some(9));
    let again = Message::new("9 again").sequence_id(9);
    let again = producer.send(again).await.unwrap();
    assert!(again.is_duplicate(), "{again:?}");
    let next = producer.send(Message::new("10")).await.unwrap();
    assert_eq!(next.sequence_id(), 10);
    assert!(!next.is_duplicate(), "{next:?}");
    client.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_producer_what_is_taken_is_said_at_once_or_waited_for() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("access").await;
    let name = unique("producer");
    let first = client.producer(&topic).name(&name).build().await.unwrap();
    let asked = now();
    let error = client
        .producer(&topic)
        .name(&name)
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::PRODUCER_BUSY), "{error}");
    let exclusive = client.producer(&topic).access(AccessMode::Exclusive);
    let error = exclusive.build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    assert!(now() - asked < Duration::from_secs(5));

    let waiting = client.producer(&topic).access(AccessMode::WaitForExclusive);
    let waiting = tokio::spawn(waiting.build());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    first.close().await.unwrap();
    let second = within(WAIT, "the turn", waiting).await.unwrap().unwrap();
    second.send(Message::new("mine alone")).await.unwrap();
    second.close().await.unwrap();

    let exclusive = client.producer(&topic).access(AccessMode::Exclusive);
    let second = exclusive.build().await.unwrap();
    let fencing = client
        .producer(&topic)
        .access(AccessMode::ExclusiveWithFencing);
    let third = fencing.build().await.unwrap();
    third.send(Message::new("taken over")).await.unwrap();
    let error = within(WAIT, "an end", async {
        loop {
            if let Err(failed) = second.send(Message::new("late")).await {
                return failed.error;
            }
        }
    })
    .await;
    assert_eq!(error.code(), Some(&ErrorCode::PRODUCER_FENCED), "{error}");
    client.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_producer_says_what_can_not_be_sent_and_gives_it_back() {
    let (client, manage) = (connect().await, Manage::shared());
    let error = client.producer("no/ns").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let error = client.producer("nobody/nowhere/topic").build().await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    let topic = manage.topic("limits").await;
    let producer = client.producer(&topic).build().await.unwrap();
    let large = vec![7; 5 * 1024 * 1024 + 1];
    let failed = producer.send(Message::new(large)).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Invalid, "{failed}");
    assert_eq!(failed.outcome(), Outcome::NotSent);
    assert_eq!(failed.message.body().len(), 5 * 1024 * 1024 + 1);
    producer
        .send(Message::new(vec![7; 5 * 1000 * 1000]))
        .await
        .unwrap();
    producer.send(Message::new("")).await.unwrap();

    let full = client.producer(&topic).window(1).fail_when_full();
    let full = full.build().await.unwrap();
    let first = full.enqueue(Message::new("first")).await.unwrap();
    let failed = full.send(Message::new("second")).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Busy, "{failed}");
    first.await.unwrap();
    full.send(Message::new("third")).await.unwrap();
    full.close().await.unwrap();
    let closed = client.producer(&topic).build().await.unwrap();
    let other = closed.clone();
    closed.close().await.unwrap();
    let failed = other.send(Message::new("late")).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Closed, "{failed}");
    client.close().await;
}

/// Unloaded while messages are on the way: each is confirmed, and with deduplication each is stored once.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_producer_goes_on_where_a_topic_is_unloaded() {
    let (client, manage) = (connect().await, Manage::shared());
    let namespace = manage.namespace("unloaded").await;
    manage.deduplicate(&namespace, true).await;
    let topic = format!("{namespace}/orders");
    let producer = client.producer(&topic).window(100).batch_messages(10);
    let producer = producer.build().await.unwrap();
    manage.subscribe(&topic, "sub").await;
    let count = size(10_000, 200_000);
    let sending = producer.clone();
    let sending = tokio::spawn(async move { send_many(&sending, count).await });
    let mut unloads = 0;
    while !sending.is_finished() && unloads < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        manage.unload(&topic).await;
        unloads += 1;
    }
    let receipts = sending.await.unwrap();
    assert!(unloads > 0);
    assert_eq!(receipts.len(), count);
    assert!(receipts.iter().any(|receipt| receipt.attempts() > 1) || unloads < 3);
    client.close().await;
}

/// The last clone goes while the producer is being opened again: neither holds the other up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_producer_is_dropped_where_it_can_not_be_opened_again() {
    let topic = Manage::shared().topic("dropped").await;
    for _ in 0..20 {
        let client = connect().await;
        let producer = client.producer(&topic).build().await.unwrap();
        producer.send(Message::new("hello")).await.unwrap();
        client.close().await;
        let dropping = tokio::task::spawn_blocking(move || drop(producer));
        within(WAIT, "the drop", dropping).await.unwrap();
    }
}
