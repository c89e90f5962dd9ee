//! What is subscribed to, by whom, and what is said of a message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::StreamExt as _;
use integration_tests::harness::pulsar::{Manage, WAIT, connect};
use integration_tests::harness::{now, unique, within};
use mq_pulsar::{Compression, ErrorCode, ErrorKind, Message, MessageId};

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_all_partitions_are_consumed_with_all_that_is_said_of_a_message() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.partitioned("parts", 3).await;
    let consumer = client.consumer("s").topic(&topic).from_earliest();
    let mut consumer = consumer.name("here").build().await.unwrap();
    let producer = client.producer(&topic).compression(Compression::None);
    let producer = producer.name(unique("producer")).build().await.unwrap();
    let event = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for at in 0..30 {
        let message = Message::new(format!("{{\"at\":{at}}}")).key(format!("key-{at}"));
        let message = message.property("number", at.to_string()).ordering_key("o");
        producer.send(message.event_time(event)).await.unwrap();
    }
    producer.send(Message::null().key("gone")).await.unwrap();
    let (mut seen, mut partitions) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..31 {
        let got = within(WAIT, "a message", consumer.next()).await;
        let got = got.unwrap().unwrap();
        let id = got.id();
        assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
        assert_eq!(
            got.topic(),
            format!("{topic}-partition-{}", id.partition().unwrap())
        );
        partitions.insert(id.partition());
        assert_eq!(got.producer_name(), producer.name());
        if got.is_null() {
            assert_eq!((got.key_text(), got.body().len()), (Some("gone"), 0));
        } else {
            let body: BTreeMap<String, u32> = got.json().unwrap();
            let at = body["at"].to_string();
            assert_eq!(got.property_text("number"), Some(&*at));
            assert_eq!(got.key_text(), Some(&*format!("key-{at}")));
            assert_eq!(got.ordering_key().unwrap(), "o");
            assert_eq!(got.event_time(), Some(event));
        }
        seen.insert(got.key_text().unwrap().to_owned());
        got.ack().await.unwrap();
    }
    assert_eq!((seen.len(), partitions.len()), (31, 3));
    consumer.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_who_may_not_have_a_subscription_is_told_at_once() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("busy").await;
    let first = client.consumer("s").topic(&topic).build().await.unwrap();
    let begun = now();
    let told = client.consumer("s").topic(&topic).build().await;
    let told = told.unwrap_err();
    assert_eq!(told.code(), Some(&ErrorCode::CONSUMER_BUSY), "{told}");
    assert!(now() - begun < Duration::from_secs(5));
    first.close().await;
    let second = client.consumer("s").topic(&topic).build().await.unwrap();
    manage.delete(&topic).await;
    drop(second);
    let none = client.consumer("s").build().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Invalid);
    let none = client.consumer("s").topic("no-tenant/no-namespace/x");
    let none = none.build().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound, "{none}");
}
