//! What is told about topics: to look makes no topic and no subscription, and takes nothing from who consumes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use integration_tests::harness::pulsar::{Manage, told, url};
use integration_tests::harness::{unique, until};
use mq_pulsar::{Client, ErrorKind, Message};

async fn connect(url: &str) -> Client {
    Client::from_url(url).unwrap().connect().await.unwrap()
}

/// Over Pulsar's protocol, and where topics are looked up over HTTP.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_inspect_topics_and_partitions_are_told_and_none_is_made() {
    let manage = Manage::shared();
    for url in [url(), told("ADMIN_URL")] {
        let client = connect(&url).await;
        let namespace = manage.namespace("looked-at").await;
        let topic = |name: &str| format!("persistent://{namespace}/{name}");
        manage.partition(&topic("parts"), 2).await;
        let one = client.producer(topic("one")).build().await.unwrap();
        for absent in [topic("absent"), format!("{}-partition-0", topic("absent"))] {
            let error = client.partitions(&absent).await;
            let error = error.err().or(client.last_message_id(&absent).await.err());
            assert_eq!(error.unwrap().kind(), ErrorKind::NotFound, "{absent}");
        }
        assert_eq!(client.partitions(&topic("parts")).await.unwrap(), 2);
        assert_eq!(client.partitions(&topic("one")).await.unwrap(), 0);
        let names = ["one", "parts-partition-0", "parts-partition-1"];
        let expected = names.map(topic);
        assert_eq!(client.topics(&namespace).await.unwrap(), expected);
        for wrong in ["public", "a/b/c", "a/", "a/b?c=d"] {
            let error = client.topics(wrong).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        }
        one.close().await.unwrap();
        client.close().await;
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_inspect_the_last_message_is_told_beside_a_consumer_and_nothing_is_left() {
    let (client, manage) = (connect(&url()).await, Manage::shared());
    let topic = manage.topic("last").await;
    assert_eq!(client.last_message_id(&topic).await.unwrap(), None);
    // It has its subscription for itself.
    let consumer = client.consumer(unique("s")).topic(&topic);
    let consumer = consumer.build().await.unwrap();
    let producer = client.producer(&topic).build().await.unwrap();
    for number in 0..3 {
        let message = Message::new(number.to_string());
        let receipt = producer.send(message).await.unwrap();
        let last = client.last_message_id(&topic).await.unwrap();
        assert_eq!(last, receipt.id());
    }
    for number in 0..3 {
        let delivery = consumer.recv().await.unwrap().unwrap();
        assert_eq!(delivery.text().unwrap(), number.to_string());
        assert_eq!(delivery.redelivery_count(), 0);
        delivery.ack().await.unwrap();
    }
    let wait = std::time::Duration::from_secs(10);
    until(wait, "only the consumer's subscription", async || {
        let stats = manage.stats(&topic).await;
        let subscriptions = stats["subscriptions"].as_object().unwrap();
        subscriptions
            .keys()
            .map(String::as_str)
            .eq([consumer.subscription()])
    })
    .await;
    client.close().await;
}
