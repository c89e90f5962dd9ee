//! Offsets that are set from outside, that are nowhere in the queue, that can't be stored; and queues that appear.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::harness::{
    Wire, committed, connect, connect_to, first_broker, from_first, nameserver, next, now,
    producer, text, topic, unique, until, wall, within,
};
use mq_dev::proxy::{Action, Observed, Proxy};
use mq_rocketmq::{Client, Consumer, Event, Message, Producer, QueueRef, SeekTo};

const WAIT: Duration = Duration::from_secs(60);

async fn send(producer: &Producer, topic: &str, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let message = Message::new(topic, number.to_string());
        producer.send(message).await.unwrap();
    }
}

async fn eat(consumer: &Consumer, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        let delivery = next(consumer).await;
        assert_eq!(delivery.offset(), offset);
        delivery.ack().await.unwrap();
    }
}

/// Ten messages, acknowledged; of them five were stored before the time that is told, and five after it.
async fn ten_eaten(topic: &str, group: &str) -> (Client, Producer, Consumer, SystemTime) {
    let client = connect().await;
    let producer = producer(&client).await;
    send(&producer, topic, 0..5).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let then = wall();
    send(&producer, topic, 5..10).await;
    let consumer = from_first(&client, group, topic).build().await.unwrap();
    eat(&consumer, 0..10).await;
    (client, producer, consumer, then)
}

/// An operator sets a group back to a time while it consumes: 5.x tells the reader at its next pull, 4.x sends it an order (220).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_an_operator_sets_the_group_back_during_consumption() {
    let (topic, group) = (topic("reset", 1).await, unique("group"));
    let (client, producer, consumer, then) = ten_eaten(&topic, &group).await;
    let then = then.duration_since(UNIX_EPOCH).unwrap().as_millis();
    until(WAIT, "the group has an offset", async || {
        committed(&group, &topic, 0).await == Some(10)
    })
    .await;
    first_broker().await.reset_group(&group, &topic, then).await;
    eat(&consumer, 5..10).await;
    send(&producer, &topic, 10..11).await;
    eat(&consumer, 10..11).await;
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(11));
    client.close().await.unwrap();
}

/// The user seeks, on a real broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_seek_goes_to_an_offset_a_time_and_the_ends() {
    let (topic, group) = (topic("seek", 1).await, unique("group"));
    let (client, producer, consumer, then) = ten_eaten(&topic, &group).await;
    let mut queues = consumer.assignment().into_iter();
    let queue: QueueRef = queues.find(|queue| queue.topic() == topic).unwrap();
    for (to, offset) in [
        (SeekTo::Offset(7), 7),
        (SeekTo::Timestamp(then), 5),
        (SeekTo::First, 0),
    ] {
        assert_eq!(consumer.seek(&queue, to).await.unwrap(), offset, "{to:?}");
        eat(&consumer, offset..10).await;
    }
    consumer.seek(&queue, SeekTo::First).await.unwrap();
    assert_eq!(consumer.seek(&queue, SeekTo::Last).await.unwrap(), 10);
    send(&producer, &topic, 10..11).await;
    eat(&consumer, 10..11).await;
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(11));
    client.close().await.unwrap();
}

/// The group's offset is far beyond the queue (its log was lost): as Java does, the consumer goes where the broker sends it, which is the
/// beginning on 4.x and the end on 5.x; and it says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_an_offset_beyond_the_queue_is_corrected_and_told() {
    let (client, topic, group) = (connect().await, topic("beyond", 1).await, unique("group"));
    let producer = producer(&client).await;
    send(&producer, &topic, 0..5).await;
    let mut broker = first_broker().await;
    broker.create_group(&group, true).await;
    broker.store_offset(&group, &topic, 0, 1000).await;
    let mut events = client.events();
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    let corrected = async {
        loop {
            let event = events.next().await.unwrap();
            if let Event::OffsetMoved { from, to, .. } = event {
                return (from, to);
            }
        }
    };
    let (from, to) = within(WAIT, "a correction", corrected).await;
    assert!(from == 1000 && (to == 0 || to == 5), "from {from} to {to}");
    send(&producer, &topic, 5..6).await;
    eat(&consumer, to..6).await;
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(6));
    client.close().await.unwrap();
}

/// No offset can be stored, on any way: what was acknowledged comes again, and nothing is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_offsets_that_can_not_be_stored_lose_nothing() {
    let (topic, group) = (topic("unstored", 1).await, unique("group"));
    let lose = |frame: &Observed<'_>| {
        let is_commit = !frame.header.flags.is_response() && frame.header.code == 15;
        if is_commit {
            Action::Drop
        } else {
            Action::Forward
        }
    };
    let proxy = Proxy::builder(nameserver())
        .policy(lose)
        .start()
        .await
        .unwrap();
    let url = format!("rocketmq://{}", proxy.addr());
    let client = connect_to(&url).await;
    let producer = producer(&client).await;
    send(&producer, &topic, 0..10).await;
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    eat(&consumer, 0..10).await;
    within(WAIT, "closing", consumer.close()).await;
    assert!(proxy.requests(15) > 0, "it tried");
    client.close().await.unwrap();

    let client = connect().await;
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    eat(&consumer, 0..10).await;
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(10));
    client.close().await.unwrap();
}

/// A topic grows from four queues to eight: within 30 s the producer writes all, and the consumer reads all from their beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_new_queues_are_used_within_30_seconds() {
    let (client, topic, group) = (connect().await, topic("grows", 4).await, unique("group"));
    let producer = producer(&client).await;
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    send(&producer, &topic, 0..8).await;
    let mut seen = BTreeSet::new();
    for _ in 0..8 {
        let delivery = next(&consumer).await;
        seen.insert(delivery.queue());
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen.len(), 4);
    let begun = now();
    first_broker().await.create_topic(&topic, 8, false).await;
    let mut wire = Wire::connect(&nameserver()).await.unwrap();
    until(WAIT, "the nameserver knows", async || {
        wire.route(&topic)
            .await
            .queues
            .iter()
            .any(|share| share.write_queue_nums == 8)
    })
    .await;
    let (mut used, mut number) = (BTreeSet::new(), 8);
    while used.len() < 8 {
        let message = Message::new(&topic, number.to_string());
        used.insert(producer.send(message).await.unwrap().queue());
        number += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "written: {used:?}"
        );
    }
    let mut left: BTreeSet<String> = (8..number).map(|number: i64| number.to_string()).collect();
    while !left.is_empty() {
        let delivery = next(&consumer).await;
        left.remove(&text(&delivery));
        delivery.ack().await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "read");
    consumer.close().await;
    client.close().await.unwrap();
}
