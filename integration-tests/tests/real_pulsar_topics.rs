//! Which topics a Pulsar consumer has: several, those of a pattern, and what is added while it runs; none of their messages is missed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::harness::pulsar::{Manage, told, url};
use integration_tests::harness::{until, within};
use mq_pulsar::{Client, Consumer, DeadLetter, ErrorKind, Message, RetryLetter};
use serde_json::Value;

const WAIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(200);
/// Later than messages are sent to what is new.
const LATER: Duration = Duration::from_secs(4);

async fn connect() -> Client {
    let builder = Client::from_url(&url()).unwrap();
    builder.connect().await.unwrap()
}

/// Sends so many, and gives what they say.
async fn fill(client: &Client, topic: &str, count: usize) -> BTreeSet<String> {
    let producer = client.producer(topic).batch_messages(1);
    let producer = producer.build().await.unwrap();
    let texts: BTreeSet<_> = (0..count).map(|at| format!("{topic} {at}")).collect();
    for text in &texts {
        producer.send(Message::new(text.clone())).await.unwrap();
    }
    producer.close().await.unwrap();
    texts
}

/// Receives and acknowledges until all of these have come, and nothing else.
async fn all(consumer: &Consumer, mut expected: BTreeSet<String>) {
    while !expected.is_empty() {
        let next = consumer.recv();
        let next = within(WAIT, &format!("{} more messages", expected.len()), next).await;
        let next = next.unwrap().unwrap();
        let text = next.text().unwrap();
        assert!(expected.remove(text), "{text} was not to come");
        next.ack().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_topics_several_are_one_consumers() {
    let (client, manage) = (connect().await, Manage::shared());
    let topics = [
        manage.topic("one").await,
        manage.topic("two").await,
        manage.partitioned("three", 3).await,
    ];
    let consumer = client.consumer("s").topics(&topics).build().await.unwrap();
    let mut expected = BTreeSet::new();
    for topic in &topics {
        expected.extend(fill(&client, topic, 20).await);
    }
    all(&consumer, expected).await;
    consumer.close().await;
    for topic in &topics[..2] {
        assert_eq!(manage.backlog(topic, "s").await, 0);
    }
}

/// A consumer that begins with what is new has all that was sent to a partition before it knew of it.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_topics_partitions_that_are_added_are_consumed_from_their_beginning() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.partitioned("grows", 1).await;
    let consumer = client.consumer("s").topic(&topic).from_latest();
    let consumer = consumer.receiver_queue(10).partition_refresh(LATER);
    let consumer = consumer.build().await.unwrap();
    all(&consumer, fill(&client, &topic, 5).await).await;
    for count in [2, 4] {
        manage.grow(&topic, count).await;
        all(&consumer, fill(&client, &topic, 40).await).await;
    }
    within(WAIT, "the end", consumer.close()).await;
    assert!(consumer.recv().await.unwrap().is_none());
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_topics_of_a_pattern_are_consumed_from_their_beginning_when_they_are_added() {
    let (client, manage) = (connect().await, Manage::shared());
    let namespace = manage.namespace("pattern").await;
    let topic = |name: &str| format!("persistent://{namespace}/{name}");
    // The broker filters by the first; the second is too long for it.
    let long = format!("{namespace}/a-(1|2|3|{})", "x".repeat(60));
    for pattern in [format!("{namespace}/a-[123]"), long] {
        let consumer = client.consumer("s").topics_pattern(pattern).from_latest();
        let consumer = consumer.partition_refresh(LATER).build().await.unwrap();
        // Nothing is there yet.
        let mut expected = fill(&client, &topic("a-1"), 10).await;
        fill(&client, &topic("b-1"), 10).await;
        fill(&client, &topic("a-11"), 10).await;
        all(&consumer, expected).await;
        expected = fill(&client, &topic("a-2"), 10).await;
        manage.partition(&topic("a-3"), 2).await;
        expected.extend(fill(&client, &topic("a-3"), 20).await);
        expected.extend(fill(&client, &topic("a-1"), 10).await);
        all(&consumer, expected).await;
        manage.grow(&topic("a-3"), 3).await;
        all(&consumer, fill(&client, &topic("a-3"), 30).await).await;
        within(WAIT, "the end", consumer.close()).await;
        for name in ["a-1", "a-2", "b-1", "a-11"] {
            manage.delete(&topic(name)).await;
        }
        let path = format!("persistent/{namespace}/a-3/partitions?force=true");
        manage.ask("DELETE", &path, Value::Null).await.unwrap();
    }
}

/// A topic of a pattern that is deleted is not made again by its consumer, which goes on with the others.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_topics_of_a_pattern_may_be_deleted_and_come_again() {
    let (client, manage) = (connect().await, Manage::shared());
    let namespace = manage.namespace("deleted").await;
    let topic = |name: &str| format!("persistent://{namespace}/{name}");
    fill(&client, &topic("goes"), 1).await;
    fill(&client, &topic("stays"), 1).await;
    let consumer = client
        .consumer("s")
        .topics_pattern(format!("{namespace}/.*"));
    let consumer = consumer.shared().partition_refresh(SOON);
    let consumer = consumer.build().await.unwrap();
    manage.delete(&topic("goes")).await;
    // What is new is seen: so it was looked since.
    for name in ["new-1", "new-2"] {
        all(&consumer, fill(&client, &topic(name), 3).await).await;
    }
    let list = async || {
        let path = format!("persistent/{namespace}");
        let list = manage.ask("GET", &path, Value::Null).await.unwrap();
        list.as_array().unwrap().len()
    };
    assert_eq!(list().await, 3, "it is there again");
    all(&consumer, fill(&client, &topic("stays"), 3).await).await;
    all(&consumer, fill(&client, &topic("goes"), 3).await).await;
    assert_eq!(list().await, 4);
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_topics_of_a_pattern_are_not_the_consumers_own_letters() {
    let (client, manage) = (connect().await, Manage::shared());
    let namespace = manage.namespace("letters").await;
    let topic = format!("persistent://{namespace}/orders");
    fill(&client, &topic, 1).await;
    let letters = DeadLetter::after(1).initial_subscription("reader");
    let consumer = client
        .consumer("s")
        .topics_pattern(format!("{namespace}/.*"));
    let consumer = consumer.shared().from_earliest().dead_letter(letters);
    let consumer = consumer.partition_refresh(SOON).nack_delay(SOON);
    let consumer = consumer.build().await.unwrap();
    for _ in 0..2 {
        let next = within(WAIT, "a message", consumer.recv()).await;
        drop(next.unwrap().unwrap().nack().await);
    }
    let dead = format!("{topic}-s-DLQ");
    until(WAIT, "a dead letter", async || {
        consumer.counts().dead_lettered == 1
    })
    .await;
    for name in ["new-1", "new-2"] {
        all(
            &consumer,
            fill(&client, &format!("{namespace}/{name}"), 3).await,
        )
        .await;
    }
    assert_eq!(manage.backlog(&dead, "reader").await, 1);
    let stats = manage.stats(&dead).await;
    assert!(stats["subscriptions"]["s"].is_null(), "{stats}");
}

/// As consoles hand their addresses out.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_topics_of_a_pattern_are_found_over_http() {
    let manage = Manage::shared();
    let builder = Client::from_url(&told("ADMIN_URL")).unwrap();
    let client = builder.connect().await.unwrap();
    let namespace = manage.namespace("http").await;
    let consumer = client
        .consumer("s")
        .topics_pattern(format!("{namespace}/a-.*"));
    let consumer = consumer.partition_refresh(SOON).build().await.unwrap();
    for name in ["a-1", "a-2"] {
        fill(&client, &format!("{namespace}/b"), 3).await;
        all(
            &consumer,
            fill(&client, &format!("{namespace}/{name}"), 3).await,
        )
        .await;
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_topics_what_can_not_be_is_told_at_once() {
    let client = connect().await;
    let consumer = || client.consumer("s").shared();
    for wrong in [
        consumer().topics_pattern("("),
        consumer().topics_pattern("a.*").topic("a"),
        consumer()
            .topics_pattern("a.*")
            .retry_letter(RetryLetter::new()),
    ] {
        let told = wrong.build().await.unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Invalid, "{told}");
    }
}
