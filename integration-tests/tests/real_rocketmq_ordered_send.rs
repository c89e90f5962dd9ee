//! Ordering keys on real brokers: the queue that the official clients choose, and an order that a failure does not break.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::Foreign;
use integration_tests::harness::{
    broker_version, connect, drain, nameserver, producer, text, topic, unique, within,
};
use mq_dev::proxy::{Proxy, faults};
use mq_rocketmq::{Client, KeyHash, Message, Outcome};

const KEYS: usize = 24;

/// Their queue of each key `order{i}`, and ours.
async fn same_queues(test: &str, theirs: Foreign, version: &str, hash: KeyHash) {
    let record = Record::begin(
        test,
        "mq-rocketmq",
        "ordered",
        "the same key goes to the same queue",
    )
    .tier(Tier::Foreign)
    .version(version);
    let (client, topic) = (connect().await, topic("hash", 7).await);
    let call = theirs.call(&nameserver(), &topic, &unique("producer"));
    let sent = call.count(KEYS).ordering_key("order{i}").send().await;
    let theirs: Vec<_> = sent.unwrap().iter().map(|sent| sent.queue).collect();
    let ours = client.producer(&unique("producer")).key_hash(hash);
    let ours = ours.build().await.unwrap();
    let mut queues = Vec::new();
    for number in 0..KEYS {
        let message = Message::new(&topic, "ours").ordering_key(format!("order{number}"));
        let receipt = ours.send(message).await.unwrap();
        queues.push(u32::try_from(receipt.queue()).unwrap());
    }
    assert_eq!(queues, theirs);
    // Not by chance all in one.
    assert!(theirs.iter().any(|queue| *queue != theirs[0]));
    let received = drain(&client, &topic, 2 * KEYS).await;
    let keys = received.iter().filter(|received| {
        let go = received.properties().get("SHARDING_KEY");
        received.ordering_key_text().or(go).is_some()
    });
    assert_eq!(keys.count(), 2 * KEYS, "the key travels");
    client.close().await.unwrap();
    record.passed();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL) and a JDK"]
async fn real_rocketmq_ordered_java_and_ours_choose_the_same_queue() {
    let test = "real_rocketmq_ordered_java_and_ours_choose_the_same_queue";
    same_queues(test, Foreign::Java, &foreign("Java 5.5.0"), KeyHash::Java).await;
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL) and Go"]
async fn real_rocketmq_ordered_go_and_ours_choose_the_same_queue() {
    let test = "real_rocketmq_ordered_go_and_ours_choose_the_same_queue";
    same_queues(test, Foreign::Go, &foreign("Go v2.1.2"), KeyHash::Fnv1a).await;
}

fn foreign(client: &str) -> String {
    format!("{client} on {}", broker_version())
}

/// Bodies by key, in the order of each queue.
async fn stored(client: &Client, topic: &str, count: usize) -> BTreeMap<String, Vec<String>> {
    let mut all = drain(client, topic, count).await;
    all.sort_by_key(|received| (received.queue(), received.offset()));
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for received in &all {
        let key = received.ordering_key_text().unwrap().to_owned();
        by_key.entry(key).or_default().push(text(received));
    }
    by_key
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_ordered_sends_are_stored_in_the_order_of_their_keys() {
    let (client, topic) = (connect().await, topic("keys", 4).await);
    let producer = producer(&client).await;
    let mut confirms = Vec::new();
    for number in 0..800 {
        let message = Message::new(&topic, format!("{number:03}"));
        let message = message.ordering_key(format!("key{}", number % 8));
        confirms.push(producer.enqueue(message).await.unwrap());
    }
    for confirm in within(
        Duration::from_secs(30),
        "all are stored",
        join_all(confirms),
    )
    .await
    {
        confirm.unwrap();
    }
    let stored = stored(&client, &topic, 800).await;
    assert_eq!(stored.len(), 8);
    for (key, bodies) in stored {
        assert_eq!(bodies.len(), 100);
        assert!(bodies.is_sorted(), "{key}: {bodies:?}");
    }
    client.close().await.unwrap();
}

/// The answer of one send gets lost while later ones of its key and of another wait.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_ordered_nothing_overtakes_a_send_that_is_unresolved() {
    let topic = topic("overtake", 4).await;
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let url = format!("rocketmq://{}", proxy.addr());
    let client = Client::from_url(&url).unwrap().connect().await.unwrap();
    let producer = client.producer(&unique("producer")).max_attempts(1);
    let producer = producer.timeout(Duration::from_secs(10)).build().await;
    let producer = producer.unwrap();
    let keyed = |key: &str, body: &str| Message::new(&topic, body.to_owned()).ordering_key(key);
    producer.send(keyed("a", "0")).await.unwrap();
    let lost = proxy.inject(faults::drop_reply(310, 1));
    let sending = producer.enqueue(keyed("a", "1"));
    let first = sending.timeout(Duration::from_secs(1)).await.unwrap();
    let mut behind = Vec::new();
    for body in ["2", "3", "4"] {
        behind.push(producer.enqueue(keyed("a", body)).await.unwrap());
    }
    let error = first.await.unwrap_err().error;
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    let mut given_back = Vec::new();
    for failed in join_all(behind).await {
        let failed = failed.unwrap_err();
        assert_eq!(failed.error.outcome(), Outcome::NotSent, "{}", failed.error);
        given_back.push(*failed.message);
    }
    drop(lost);
    producer.send(keyed("b", "other")).await.unwrap();
    // Sent again, in order.
    producer.send(keyed("a", "1 again")).await.unwrap();
    for message in given_back {
        producer.send(message).await.unwrap();
    }
    // The one whose answer was lost is stored, and none of those behind it before it was sent again.
    let stored = stored(&connect().await, &topic, 7).await;
    assert_eq!(stored["a"], ["0", "1", "1 again", "2", "3", "4"]);
    assert_eq!(stored["b"], ["other"]);
    client.close().await.unwrap();
}
