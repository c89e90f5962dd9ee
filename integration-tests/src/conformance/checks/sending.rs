//! What is sent arrives as it was.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use mq_cli::adapter::{Compress, Options, Outgoing};
use mq_core::Properties;

use super::{ack, earliest, end, next, number, send_numbers};
use crate::conformance::Subject;
use crate::harness::unique;

pub(super) async fn send_receive(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("send").await);
    let sent = send_numbers(&broker, &topic, 0..50).await;
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 50 {
        let delivery = next(&subscription).await;
        let number = number(&delivery);
        assert!(seen.insert(number), "{number} came twice");
        let told = &sent[number];
        let message = &delivery.message;
        assert_eq!(message.id, told.id);
        // Of a stream only the receiver is told.
        if told.offset.is_some() {
            assert_eq!(message.offset, told.offset);
        }
        assert_eq!((&message.topic, &message.queue), (&topic, &told.queue));
        assert_eq!((message.redelivery_count, &message.undecoded), (0, &None));
        ack(delivery).await;
    }
    end(broker, [subscription]).await;
}

pub(super) async fn properties_survive(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("properties").await);
    let mut message = Outgoing::new(&topic, "body")
        .property("城市", "深圳")
        .property("emoji", "🚀🇨🇳")
        .property("json", "{\"a\": [1, \"\\n\"]}")
        .property("spaces", " a  b ")
        .property("long", "x".repeat(10_000));
    if broker.features().keys {
        message = message.key("ключ-1");
    }
    if broker.features().tags {
        message = message.tag("标签");
    }
    broker.send(message.clone()).await.expect("stored");
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let delivery = next(&subscription).await;
    assert_eq!(delivery.message.key, message.key);
    assert_eq!(delivery.message.tag, message.tag);
    // Brokers keep them in any order.
    let sorted = |properties: &Properties| -> BTreeMap<String, String> {
        let pairs = properties.iter();
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    assert_eq!(
        sorted(&delivery.message.properties),
        sorted(&message.properties)
    );
    ack(delivery).await;
    end(broker, [subscription]).await;
}

pub(super) async fn bodies_survive(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("bodies").await);
    let bodies: [Vec<u8>; 5] = [
        (0..=255).collect(),
        vec![0],
        "分布式消息队列 🚀 \u{10FFFF}\u{0}".into(),
        vec![0xFF; 1000],
        b"\x28\xB5\x2F\xFD looks like zstd".to_vec(),
    ];
    for body in &bodies {
        let message = Outgoing::new(&topic, body.clone());
        broker.send(message).await.expect("stored");
    }
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let mut seen = BTreeSet::new();
    for _ in &bodies {
        let delivery = next(&subscription).await;
        seen.insert(delivery.message.body.to_vec());
        ack(delivery).await;
    }
    assert_eq!(seen, bodies.into_iter().collect());
    end(broker, [subscription]).await;
}

pub(super) async fn large_body(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("large").await);
    let body: Vec<u8> = (0u32..3_670_016)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let message = Outgoing::new(&topic, body.clone());
    broker.send(message).await.expect("stored");
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let delivery = next(&subscription).await;
    assert!(delivery.message.body == body, "another body");
    ack(delivery).await;
    end(broker, [subscription]).await;
}

pub(super) async fn compressed_bodies(subject: Subject) {
    let topic = subject.topic("compressed").await;
    let ways = [Compress::Zlib, Compress::Lz4, Compress::Zstd];
    let body = |index: usize| format!("{index} {}", "compressible ".repeat(10_000));
    for (index, way) in ways.into_iter().enumerate() {
        let mut options = Options::default();
        options.compress = Some(way);
        let broker = subject.connect_as(options).await;
        let message = Outgoing::new(&topic, body(index));
        broker.send(message).await.expect("stored");
        broker.close().await.expect("closed");
    }
    let broker = subject.connect().await;
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let mut seen = BTreeSet::new();
    for _ in ways {
        let delivery = next(&subscription).await;
        seen.insert(delivery.message.body.to_vec());
        ack(delivery).await;
    }
    assert_eq!(seen, (0..3).map(|index| body(index).into_bytes()).collect());
    end(broker, [subscription]).await;
}

pub(super) async fn send_all(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("all").await);
    let outgoing = |index: usize| {
        // A message without a destination can't be sent by any protocol.
        let to = if index % 10 == 3 { "" } else { topic.as_str() };
        Outgoing::new(to, index.to_string())
    };
    let messages: Vec<Outgoing> = (0..100).map(outgoing).collect();
    let results: Vec<_> = broker.send_all(stream::iter(messages)).collect().await;
    assert_eq!(results.len(), 100);
    let mut ids = BTreeMap::new();
    for (index, result) in results.into_iter().enumerate() {
        match result {
            Ok(sent) => drop(ids.insert(sent.id, index)),
            Err(failed) => assert_eq!(index % 10, 3, "{}", failed.error),
        }
    }
    assert_eq!(ids.len(), 90);
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    for _ in 0..90 {
        let delivery = next(&subscription).await;
        assert_eq!(ids.remove(&delivery.message.id), Some(number(&delivery)));
        ack(delivery).await;
    }
    end(broker, [subscription]).await;
}
