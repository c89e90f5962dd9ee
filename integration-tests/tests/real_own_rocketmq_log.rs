//! A log whose beginning is deleted while a group still wanted it: what is there is received, and what is not is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::time::Duration;

use integration_tests::brokers::{Cluster, Profile};
use integration_tests::harness::{
    Wire, connect_to, from_first, next, producer, topic_at, unique, until, within,
};
use mq_rocketmq::{Client, Consumer, Event, Message};

/// Five files of the log.
const COUNT: i64 = 800;
const BODY: usize = 100 * 1024;
/// Brokers look for what to delete for the first time when they are a minute old.
const WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_a_deleted_log_is_left_and_nothing_behind_it_is_skipped() {
    // Both at once: most of the time is waiting.
    let both = [Profile::Rocketmq, Profile::Rocketmq4];
    let [five, four] = both.map(|profile| Cluster::start(profile).unwrap());
    tokio::join!(deleted(&five), deleted(&four));
}

async fn deleted(cluster: &Cluster) {
    let topic = topic_at(cluster.namesrv(), "deleted", 1).await;
    let (client, other) = (
        connect_to(cluster.url()).await,
        connect_to(cluster.url()).await,
    );
    send(&client, &topic).await;
    // One group has gone, another has its hands full.
    let (gone, busy) = (unique("gone"), unique("busy"));
    let consumer = from_first(&client, &gone, &topic).build().await.unwrap();
    for _ in 0..10 {
        next(&consumer).await.ack().await.unwrap();
    }
    consumer.close().await;
    let builder = from_first(&other, &busy, &topic).prefetch_count(8);
    let held_by = builder.pull_batch(8).build().await.unwrap();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(next(&held_by).await);
    }

    let mut always = "fileReservedTime=0\ndeleteWhen=00".to_owned();
    (1..24).for_each(|hour| write!(always, ";{hour:02}").unwrap());
    for (_, mut broker) in Wire::brokers(cluster.namesrv()).await {
        broker.configure(&always).await;
    }
    until(WAIT, "the log's beginning is deleted", async || {
        begins_at(&client, &topic).await > 100
    })
    .await;
    let first = begins_at(&client, &topic).await;

    let (client_told, other_told) = (client.events(), other.events());
    let consumer = from_first(&client, &gone, &topic).build().await.unwrap();
    goes_on(&consumer, first, client_told, 10).await;
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    goes_on(&held_by, first, other_told, 8).await;
    client.close().await.unwrap();
    other.close().await.unwrap();
}

async fn send(client: &Client, topic: &str) {
    let producer = producer(client).await;
    for number in 0..COUNT {
        let mut body = vec![b'x'; BODY];
        body.extend_from_slice(number.to_string().as_bytes());
        let receipt = producer.send(Message::new(topic, body)).await.unwrap();
        assert_eq!(receipt.offset(), number);
    }
}

async fn begins_at(client: &Client, topic: &str) -> i64 {
    let found = client.admin().describe(topic).await.unwrap();
    found.queues.first().unwrap().first
}

/// Everything from the new beginning on, in order; the way there is told.
async fn goes_on(consumer: &Consumer, first: i64, mut events: mq_rocketmq::Events, left: i64) {
    for offset in first..COUNT {
        let delivery = next(consumer).await;
        assert_eq!(delivery.offset(), offset);
        assert!(delivery.body().ends_with(offset.to_string().as_bytes()));
        delivery.ack().await.unwrap();
    }
    let moved = async {
        loop {
            if let Some(Event::OffsetMoved { from, to, .. }) = events.next().await {
                return (from, to);
            }
        }
    };
    assert_eq!(within(WAIT, "it is told", moved).await, (left, first));
    consumer.close().await;
}
