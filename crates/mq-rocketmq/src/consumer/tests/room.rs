//! What may be here unsettled: by queue, by topic, in all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use super::broker::Broker;
use super::support::{consumer, next, nothing_comes, numbers};
use crate::ConsumerBuilder;
use crate::proto::command::PullMessage;

#[tokio::test]
async fn a_queue_pulls_only_while_there_is_room() {
    for set in [
        (|builder: ConsumerBuilder| builder.prefetch_count(10))
            as fn(ConsumerBuilder) -> ConsumerBuilder,
        |builder| builder.prefetch_bytes(12 * 1024),
        |builder| builder.prefetch_topic_bytes(12 * 1024),
        |builder| builder.prefetch_queue_bytes(12 * 1024),
    ] {
        let broker = Broker::start("t", 1).await;
        broker.store("t", 0, "A", (0..200).map(|_| "x".repeat(1024)));
        let consumer = consumer(&broker, |builder| set(builder).pull_batch(8)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let of_topic = || {
            let pulls = broker.requests::<PullMessage>();
            pulls
                .iter()
                .filter(|pull| &*pull.topic == "t")
                .map(|pull| pull.queue_offset)
                .max()
                .unwrap()
        };
        assert_eq!(of_topic(), 8, "one pull beyond the limit at most");
        // Handed out counts until it is settled.
        let mut held = Vec::new();
        for _ in 0..16 {
            held.push(next(&consumer).await);
        }
        nothing_comes(&consumer).await;
        for delivery in held {
            delivery.ack().await.unwrap();
        }
        for _ in 16..200 {
            next(&consumer).await.ack().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_topic_whose_room_is_full_leaves_the_others_theirs() {
    let broker = Broker::start("t", 2).await;
    broker.add_topic("u", 1);
    for queue in 0..2 {
        broker.store("t", queue, "A", (0..50).map(|_| "x".repeat(1024)));
    }
    let consumer = consumer(&broker, |builder| {
        let builder = builder.subscribe("u", "*").pull_batch(8);
        builder.prefetch_topic_bytes(12 * 1024)
    })
    .await;
    let mut held = Vec::new();
    // Two pulls of one queue and one of the other, or one of each: each may overshoot by one.
    for _ in 0..16 {
        held.push(next(&consumer).await);
    }
    while let Ok(more) = tokio::time::timeout(Duration::from_millis(500), consumer.recv()).await {
        held.push(more.unwrap().unwrap());
    }
    assert!(held.len() <= 24, "{}", held.len());
    assert!(held.iter().all(|delivery| delivery.topic() == "t"));
    broker.store("u", 0, "A", numbers(0..20));
    for _ in 0..20 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.topic(), "u");
        delivery.ack().await.unwrap();
    }
    nothing_comes(&consumer).await;
    // Both queues of the topic go on when there is room again.
    let rest = 100 - held.len();
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    for _ in 0..rest {
        next(&consumer).await.ack().await.unwrap();
    }
}
