//! Every public future, dropped at every await: nothing is lost, no frame is broken, no room in a window is kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use integration_tests::harness::{
    Stored, at_every_await, cancel_after, committed, connect, from_first, next, topic, unique, url,
    within,
};
use mq_rocketmq::{Client, Message, Producer, QueueRef, SeekTo};

const WAIT: Duration = Duration::from_secs(60);

/// With a window of one, so that a place that is kept is noticed by the next send.
async fn narrow(client: &Client) -> Producer {
    let building = client.producer(&unique("narrow")).max_in_flight(1).build();
    building.await.unwrap()
}

/// The connection still carries whole frames, and the window has room.
async fn works(producer: &Producer, topic: &str) {
    let sending = producer.send(Message::new(topic, "works")).timeout(WAIT);
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_dropped_while_connecting_or_asking() {
    let made = || Client::from_url(&url()).unwrap().connect();
    at_every_await(made, async |client| {
        if let Some(client) = client {
            client.unwrap().close().await.unwrap();
        }
    })
    .await;
    let (client, topic) = (connect().await, topic("asked", 1).await);
    let producer = narrow(&client).await;
    works(&producer, &topic).await;
    // A fresh client each, whose cache is empty.
    for polls in 0..6 {
        let fresh = connect().await;
        let admin = fresh.admin();
        cancel_after(polls, admin.topics()).await;
        cancel_after(polls, admin.describe(&topic)).await;
        let fresh = narrow(&fresh).await;
        cancel_after(
            polls,
            fresh.send(Message::new(&topic, "fresh")).into_future(),
        )
        .await;
        works(&fresh, &topic).await;
    }
    let admin = client.admin();
    at_every_await(
        || admin.describe(&topic),
        async |_| works(&producer, &topic).await,
    )
    .await;
    at_every_await(|| admin.topics(), async |_| works(&producer, &topic).await).await;
    client.close().await.unwrap();
}

/// Each message is stored once or not at all; what its caller saw end well is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_dropped_while_sending() {
    let (client, topic) = (connect().await, topic("dropped", 1).await);
    let producer = narrow(&client).await;
    works(&producer, &topic).await;
    let mut number = 0;
    let mut message = |how: &str| {
        number += 1;
        Message::new(&topic, format!("{how} {number}"))
    };
    let works = async || works(&producer, &topic).await;
    for _ in 0..20 {
        let sent = || producer.send(message("send")).into_future();
        at_every_await(sent, async |_| works().await).await;
        let sent = || {
            let enqueued = producer.enqueue(message("enqueue")).into_future();
            async move { enqueued.await.unwrap().await.unwrap() }
        };
        at_every_await(sent, async |_| works().await).await;
        let sent = || producer.send_oneway(message("oneway")).into_future();
        at_every_await(sent, async |_| works().await).await;
        let sent = || {
            let batch = [message("batch"), message("batch")];
            producer.send_batch(batch).into_future()
        };
        at_every_await(sent, async |_| works().await).await;
        let sent = || {
            let messages = [message("stream"), message("stream")];
            let all = producer.send_all(stream::iter(messages));
            async move { all.count().await }
        };
        at_every_await(sent, async |_| works().await).await;
        let flush = || {
            drop(producer.send(message("flush")));
            producer.flush()
        };
        at_every_await(flush, async |_| works().await).await;
    }
    within(WAIT, "the end of all", producer.flush())
        .await
        .unwrap();
    client.close().await.unwrap();

    let client = connect().await;
    let mut bodies = Stored::read(&client, &topic).await.bodies();
    bodies.retain(|body| body != "works");
    let different: BTreeSet<_> = bodies.iter().collect();
    assert_eq!(bodies.len(), different.len(), "stored twice");
    client.close().await.unwrap();
}

/// A start that was dropped leaves no member behind; a `recv` that was dropped takes no message along; a decision holds though nobody waits for
/// it; closing goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_dropped_while_receiving() {
    let (client, topic, group) = (connect().await, topic("taken", 1).await, unique("group"));
    let producer = narrow(&client).await;
    for number in 0..20 {
        let message = Message::new(&topic, number.to_string());
        producer.send(message).await.unwrap();
    }
    // The group is free again each time, or the next start would be refused.
    let started = || from_first(&client, &group, &topic).build();
    at_every_await(started, async |consumer| {
        if let Some(consumer) = consumer {
            consumer.unwrap().close().await;
        }
    })
    .await;

    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    for number in 0..10 {
        let mut delivery = None;
        let mut polls = 0;
        while delivery.is_none() {
            delivery = cancel_after(polls % 3, consumer.recv()).await;
            polls += 1;
            tokio::task::yield_now().await;
        }
        let delivery = delivery.unwrap().unwrap().unwrap();
        assert_eq!(delivery.offset(), number);
        // Decided when it is called, polled or not.
        cancel_after(usize::from(number % 2 == 0), delivery.ack().into_future()).await;
    }
    let mut queues = consumer.assignment().into_iter();
    let queue: QueueRef = queues.find(|queue| queue.topic() == topic).unwrap();
    let seeking = || consumer.seek(&queue, SeekTo::Offset(10));
    at_every_await(seeking, async |_| {}).await;
    for offset in 10..20 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.offset(), offset);
        delivery.ack().await.unwrap();
    }
    let handle = consumer.handle();
    let closing = || consumer.close();
    at_every_await(closing, async |_| {}).await;
    assert!(handle.is_closed());
    assert_eq!(committed(&group, &topic, 0).await, Some(20));

    let closing = || client.close();
    at_every_await(closing, async |_| {}).await;
}
