//! What becomes of a message that is not, or not yet, acknowledged, and who gets what.

use std::collections::BTreeSet;
use std::time::Duration;

use mq_cli::adapter::{Consume, From, Outgoing, Settle};
use mq_core::ErrorKind;

use super::{LIMIT, ack, earliest, end, next, number, send_numbers};
use crate::conformance::Subject;
use crate::harness::{now, unique, within};

pub(super) async fn retry(subject: Subject) {
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

pub(super) async fn retry_after(subject: Subject) {
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

pub(super) async fn dropped(subject: Subject) {
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

pub(super) async fn release(subject: Subject) {
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

pub(super) async fn dead_letter(subject: Subject) {
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

pub(super) async fn tag_filter(subject: Subject) {
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

pub(super) async fn close_hands_back(subject: Subject) {
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
        if broker.features().release {
            assert_eq!(delivery.message.redelivery_count, 0);
        }
        rest.insert(number);
        ack(delivery).await;
    }
    settled.append(&mut rest);
    assert!(settled.into_iter().eq(0..40));
    end(broker, [subscription]).await;
}

pub(super) async fn groups(subject: Subject) {
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
