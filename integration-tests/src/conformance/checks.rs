//! The checks themselves, in terms of the adapter only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use mq_cli::adapter::{
    Broker, Compress, Consume, Delivery, From, Options, Outgoing, Sent, Settle, Subscription,
};
use mq_core::{ErrorKind, Properties};

use super::{Check, Subject};
use crate::harness::{now, unique, within};

/// Runs one check; a panic is a failure.
pub(super) async fn run(check: Check, subject: Subject) {
    match check {
        Check::SendReceive => send_receive(subject).await,
        Check::PropertiesSurvive => properties_survive(subject).await,
        Check::BodiesSurvive => bodies_survive(subject).await,
        Check::LargeBody => large_body(subject).await,
        Check::CompressedBodies => compressed_bodies(subject).await,
        Check::SendAll => send_all(subject).await,
        Check::Retry => retry(subject).await,
        Check::RetryAfter => retry_after(subject).await,
        Check::Dropped => dropped(subject).await,
        Check::Release => release(subject).await,
        Check::DeadLetter => dead_letter(subject).await,
        Check::TagFilter => tag_filter(subject).await,
        Check::CloseHandsBack => close_hands_back(subject).await,
        Check::Groups => groups(subject).await,
    }
}

async fn send_receive(subject: Subject) {
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
        assert_eq!((&message.id, message.offset), (&told.id, told.offset));
        assert_eq!((&message.topic, &message.queue), (&topic, &told.queue));
        assert_eq!((message.redelivery_count, &message.undecoded), (0, &None));
        ack(delivery).await;
    }
    end(broker, [subscription]).await;
}

async fn properties_survive(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("properties").await);
    let mut message = Outgoing::new(&topic, "body")
        .key("ключ-1")
        .property("城市", "深圳")
        .property("emoji", "🚀🇨🇳")
        .property("json", "{\"a\": [1, \"\\n\"]}")
        .property("spaces", " a  b ")
        .property("long", "x".repeat(10_000));
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

async fn bodies_survive(subject: Subject) {
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

async fn large_body(subject: Subject) {
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

async fn compressed_bodies(subject: Subject) {
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

async fn send_all(subject: Subject) {
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

async fn retry(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("retry").await);
    let sent = send_numbers(&broker, &topic, 0..1).await;
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    for count in 0..3 {
        let delivery = next(&subscription).await;
        assert_eq!(delivery.message.redelivery_count, count);
        assert_eq!(
            (&delivery.message.id, &delivery.message.topic),
            (&sent[0].id, &topic)
        );
        assert_eq!(number(&delivery), 0);
        let decision = if count < 2 {
            Settle::Retry
        } else {
            Settle::Ack
        };
        delivery.settle(decision).await.expect("still ours");
    }
    end(broker, [subscription]).await;
}

async fn retry_after(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("after").await);
    send_numbers(&broker, &topic, 0..1).await;
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    let delay = Duration::from_secs(1);
    let delivery = next(&subscription).await;
    let settled = now();
    let settling = delivery.settle(Settle::RetryAfter(delay));
    settling.await.expect("still ours");
    let delivery = next(&subscription).await;
    // Brokers and this machine count milliseconds apart.
    assert!(
        settled.elapsed() + Duration::from_millis(50) > delay,
        "{:?}",
        settled.elapsed()
    );
    assert_eq!(delivery.message.redelivery_count, 1);
    ack(delivery).await;
    end(broker, [subscription]).await;
}

async fn dropped(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("dropped").await);
    let sent = send_numbers(&broker, &topic, 0..1).await;
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    drop(next(&subscription).await);
    let delivery = next(&subscription).await;
    assert_eq!(delivery.message.id, sent[0].id);
    assert_eq!(delivery.message.redelivery_count, 1);
    ack(delivery).await;
    end(broker, [subscription]).await;
}

async fn release(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("release").await);
    send_numbers(&broker, &topic, 0..1).await;
    let subscription = earliest(&broker, &topic, &unique("group")).await;
    for decision in [Settle::Release, Settle::Release, Settle::Ack] {
        let delivery = next(&subscription).await;
        assert_eq!(delivery.message.redelivery_count, 0);
        delivery.settle(decision).await.expect("still ours");
    }
    end(broker, [subscription]).await;
}

async fn dead_letter(subject: Subject) {
    let (broker, topic, group) = (
        subject.connect().await,
        subject.topic("dead").await,
        unique("group"),
    );
    send_numbers(&broker, &topic, 0..1).await;
    let subscription = earliest(&broker, &topic, &group).await;
    let delivery = next(&subscription).await;
    delivery
        .settle(Settle::DeadLetter)
        .await
        .expect("still ours");
    subscription.close().await;
    // The group goes on behind it.
    send_numbers(&broker, &topic, 1..6).await;
    let subscription = earliest(&broker, &topic, &group).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 5 {
        let delivery = next(&subscription).await;
        seen.insert(number(&delivery));
        ack(delivery).await;
    }
    assert!(seen.into_iter().eq(1..6));
    end(broker, [subscription]).await;
}

async fn tag_filter(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.topic("tags").await);
    for tag in ["A", "B", "C", "A", "D", "B"] {
        let message = Outgoing::new(&topic, tag).tag(tag);
        broker.send(message).await.expect("stored");
    }
    let mut consume = Consume::new(&topic, unique("group"));
    consume.from = From::Earliest;
    consume.filter = "A || D".into();
    let subscription = broker.consume(&consume).await.expect("a subscription");
    let mut seen = Vec::new();
    for _ in 0..3 {
        let delivery = next(&subscription).await;
        assert_eq!(
            delivery.message.tag.as_deref(),
            std::str::from_utf8(&delivery.message.body).ok()
        );
        seen.extend(delivery.message.tag.clone());
        ack(delivery).await;
    }
    seen.sort();
    assert_eq!(seen, ["A", "A", "D"]);
    // Nothing else comes before the next that is wanted.
    broker
        .send(Outgoing::new(&topic, "D").tag("D"))
        .await
        .expect("stored");
    let delivery = next(&subscription).await;
    assert_eq!(delivery.message.tag.as_deref(), Some("D"));
    ack(delivery).await;
    end(broker, [subscription]).await;
}

async fn close_hands_back(subject: Subject) {
    let (broker, topic, group) = (
        subject.connect().await,
        subject.topic("close").await,
        unique("group"),
    );
    send_numbers(&broker, &topic, 0..40).await;
    let subscription = earliest(&broker, &topic, &group).await;
    let mut settled = BTreeSet::new();
    while settled.len() < 15 {
        let delivery = next(&subscription).await;
        settled.insert(number(&delivery));
        ack(delivery).await;
    }
    subscription.close().await;
    let after = within(LIMIT, "an end", subscription.recv()).await;
    assert!(
        after.expect("no error").is_none(),
        "closed, and still receiving"
    );
    let subscription = earliest(&broker, &topic, &group).await;
    let mut rest = BTreeSet::new();
    while rest.len() < 25 {
        let delivery = next(&subscription).await;
        let number = number(&delivery);
        assert!(!settled.contains(&number), "{number} was settled before");
        assert_eq!(delivery.message.redelivery_count, 0);
        rest.insert(number);
        ack(delivery).await;
    }
    settled.append(&mut rest);
    assert!(settled.into_iter().eq(0..40));
    end(broker, [subscription]).await;
}

async fn groups(subject: Subject) {
    let (one, two) = (subject.connect().await, subject.connect().await);
    let (topic, shared) = (subject.topic("groups").await, unique("shared"));
    let first = earliest(&one, &topic, &shared).await;
    let second = earliest(&two, &topic, &shared).await;
    let alone = earliest(&one, &topic, &unique("alone")).await;
    send_numbers(&one, &topic, 0..40).await;
    let mut by_alone = BTreeSet::new();
    while by_alone.len() < 40 {
        let delivery = next(&alone).await;
        by_alone.insert(number(&delivery));
        ack(delivery).await;
    }
    let mut by_shared = BTreeSet::new();
    while by_shared.len() < 40 {
        let delivery = tokio::select! {
            delivery = next(&first) => delivery,
            delivery = next(&second) => delivery,
        };
        by_shared.insert(number(&delivery));
        // A queue that has just moved from one member to the other brings its messages again.
        match delivery.settle(Settle::Ack).await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Stale),
        }
    }
    assert!(by_alone.into_iter().eq(0..40) && by_shared.into_iter().eq(0..40));
    for subscription in [first, second, alone] {
        subscription.close().await;
    }
    end(one, []).await;
    end(two, []).await;
}

async fn send_numbers(broker: &Broker, topic: &str, numbers: std::ops::Range<usize>) -> Vec<Sent> {
    let mut sent = Vec::new();
    for number in numbers {
        let message = Outgoing::new(topic, number.to_string());
        sent.push(broker.send(message).await.expect("stored"));
    }
    sent
}

async fn earliest(broker: &Broker, topic: &str, group: &str) -> Subscription {
    let mut consume = Consume::new(topic, group);
    consume.from = From::Earliest;
    broker.consume(&consume).await.expect("a subscription")
}

async fn next(subscription: &Subscription) -> Delivery {
    within(LIMIT, "a delivery", subscription.recv())
        .await
        .expect("no error")
        .expect("not closed")
}

fn number(delivery: &Delivery) -> usize {
    let text = std::str::from_utf8(&delivery.message.body).expect("a number");
    text.parse().expect("a number")
}

async fn ack(delivery: Delivery) {
    delivery.settle(Settle::Ack).await.expect("still ours");
}

async fn end(broker: Broker, subscriptions: impl IntoIterator<Item = Subscription>) {
    for subscription in subscriptions {
        subscription.close().await;
    }
    broker.close().await.expect("nothing has failed");
}

/// Ends a wait that would never end; never reached when things are right.
const LIMIT: Duration = Duration::from_secs(30);
