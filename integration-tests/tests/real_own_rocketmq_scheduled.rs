//! Scheduled messages at brokers that are set otherwise: no timers, no recall, either key of deletions; and at those of another cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::brokers::{Cluster, Profile};
use integration_tests::harness::{
    Wire, connect_to, from_first, next, producer, text, topic_at, unique, wall,
};
use mq_rocketmq::{Cancel, Client, ErrorKind, Message, Outcome, Producer, ScheduledHandle};

async fn configure(cluster: &Cluster, settings: &str) {
    for (_, mut broker) in Wire::brokers(cluster.namesrv()).await {
        broker.configure(settings).await;
    }
}

async fn schedule(producer: &Producer, message: Message) -> ScheduledHandle {
    let receipt = producer.send(message).await.unwrap();
    receipt.scheduled().unwrap().clone()
}

/// Recall is off by default. Then a deletion goes out in both of its forms, of which the broker takes one: the message is gone under either
/// setting, its neighbour is not, and no form is ever delivered. Timers can be switched off, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_cancel_without_recall_and_timers_switched_off() {
    let cluster = Cluster::start(Profile::Rocketmq).unwrap();
    let client = connect_to(cluster.url()).await;
    let producer = producer(&client).await;
    for with_topic in [false, true] {
        let settings =
            format!("recallMessageEnable=false\nappendTopicForTimerDeleteKey={with_topic}\n");
        configure(&cluster, &settings).await;
        let topic = topic_at(cluster.namesrv(), "delete", 2).await;
        without_recall(&client, &producer, &topic).await;
    }
    configure(&cluster, "timerWheelEnable=false\n").await;
    let topic = topic_at(cluster.namesrv(), "off", 1).await;
    without_timers(&client, &producer, &topic).await;
    client.close().await.unwrap();
}

async fn without_recall(client: &Client, producer: &Producer, topic: &str) {
    let building = from_first(client, &unique("group"), topic).build();
    let consumer = building.await.unwrap();
    let delay = Duration::from_millis(2500);
    let due = wall() + delay;
    let message = |body: &'static str| Message::new(topic, body);
    let gone = [
        schedule(producer, message("gone").deliver_at(due)).await,
        schedule(producer, message("gone").deliver_after(delay)).await,
    ];
    schedule(producer, message("kept").deliver_at(due)).await;
    for handle in gone.iter().chain(&gone) {
        let cancelled = producer.cancel(handle).await.unwrap();
        assert_eq!(cancelled, Cancel::Requested, "{topic}");
    }
    let last = message("last").deliver_at(due + Duration::from_secs(1));
    let last = schedule(producer, last).await;
    for expected in ["kept", "last"] {
        let delivery = next(&consumer).await;
        assert_eq!(text(&delivery), expected, "{topic}");
        delivery.ack().await.unwrap();
    }
    let late = producer.cancel(&last).await.unwrap();
    assert_eq!(late, Cancel::TooLate, "{topic}");
    consumer.close().await;
}

async fn without_timers(client: &Client, producer: &Producer, topic: &str) {
    let second = Duration::from_secs(1);
    for message in [
        Message::new(topic, "x").deliver_at(wall() + second),
        Message::new(topic, "x").deliver_after(second),
    ] {
        let failed = producer.send(message).await.unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::Unsupported, "{failed}");
        assert_eq!(failed.outcome(), Outcome::Rejected);
        let hint = failed.error.hint().unwrap();
        assert!(hint.contains("timerWheelEnable=true"), "{hint}");
        let told = failed.error.to_string();
        assert!(!told.contains("attempt"), "tried again: {told}");
    }
    let level = Message::new(topic, "level").delay_level(1);
    schedule(producer, level).await;
    let building = from_first(client, &unique("group"), topic).build();
    let delivery = next(&building.await.unwrap()).await;
    assert_eq!(text(&delivery), "level");
}

/// Clusters have brokers of the same names, and can have topics of the same name: a handle of another one says so, and cancels nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_cancel_in_another_cluster_is_an_error() {
    let here = Cluster::start(Profile::Rocketmq).unwrap();
    let there = Cluster::start(Profile::RocketmqBench).unwrap();
    let topic = topic_at(here.namesrv(), "two", 1).await;
    let (client, other) = (connect_to(here.url()).await, connect_to(there.url()).await);
    let (sender, stranger) = (producer(&client).await, producer(&other).await);
    let message = Message::new(&topic, "here").deliver_after(Duration::from_secs(600));
    let handle = schedule(&sender, message).await;

    let error = stranger.cancel(&handle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "no such topic: {error}");
    for (_, mut broker) in Wire::brokers(there.namesrv()).await {
        broker.create_topic(&topic, 1, false).await;
    }
    // A message where the other one would be, to make the question harder.
    for _ in 0..100 {
        stranger.send(Message::new(&topic, "there")).await.unwrap();
    }
    let error = stranger.cancel(&handle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(
        error.to_string().contains("does not have the message"),
        "{error}"
    );
    assert_eq!(sender.cancel(&handle).await.unwrap(), Cancel::Cancelled);
    client.close().await.unwrap();
    other.close().await.unwrap();
}
