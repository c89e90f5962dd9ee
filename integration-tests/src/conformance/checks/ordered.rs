//! Receiving in order.

use std::collections::BTreeMap;
use std::time::Duration;

use mq_cli::adapter::{Broker, Consume, From, Outgoing, Sent, Settle, Subscription};

use super::{ack, end, next, number};
use crate::conformance::Subject;
use crate::harness::unique;

async fn in_order(broker: &Broker, topic: &str, most: Option<u16>) -> Subscription {
    let mut consume = Consume::new(topic, unique("group"));
    consume.from = From::Earliest;
    consume.ordered = true;
    consume.max_redeliveries = most;
    broker.consume(&consume).await.expect("a subscription")
}

pub(super) async fn ordered_by_key(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.lanes("by-key").await);
    for number in 0..40 {
        let key = format!("key-{}", number % 4);
        let message = Outgoing::new(&topic, number.to_string()).ordering_key(key);
        broker.send(message).await.expect("stored");
    }
    let subscription = in_order(&broker, &topic, None).await;
    let mut seen: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut failed = None;
    while seen.values().map(Vec::len).sum::<usize>() < 40 {
        let delivery = next(&subscription).await;
        let number = number(&delivery);
        if failed.is_none() {
            failed = Some(number);
            delivery.settle(Settle::Retry).await.expect("still ours");
            continue;
        }
        let of_key = seen.entry(number % 4).or_default();
        // The next of a key, if not again: at least once.
        assert_eq!(number, of_key.len() * 4 + number % 4);
        of_key.push(number);
        ack(delivery).await;
    }
    end(broker, [subscription]).await;
}

/// Messages for every queue of a topic: with a key each where nothing else leads to them.
async fn spread(subject: Subject, broker: &Broker, topic: &str, count: usize) -> Vec<Sent> {
    let mut sent = Vec::new();
    for number in 0..count {
        let mut message = Outgoing::new(topic, number.to_string());
        if subject.has_lanes_of_keys() {
            message = message.ordering_key(format!("key-{number}"));
        }
        sent.push(broker.send(message).await.expect("stored"));
    }
    sent
}

pub(super) async fn ordered_in_turn(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.lanes("turn").await);
    let sent = spread(subject, &broker, &topic, 40).await;
    let subscription = in_order(&broker, &topic, None).await;
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in sent {
        wanted.entry(one.queue).or_default().push(one.id);
    }
    assert!(wanted.len() > 1, "all are in one queue");
    // One of each queue is held, and no more come.
    let mut held = Vec::new();
    for _ in 0..wanted.len() {
        held.push(next(&subscription).await);
    }
    let early = tokio::time::timeout(Duration::from_millis(300), subscription.recv()).await;
    assert!(early.is_err(), "a second one of a queue");
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut failed = None;
    while seen.values().map(Vec::len).sum::<usize>() < 40 {
        let delivery = match held.pop() {
            Some(delivery) => delivery,
            None => next(&subscription).await,
        };
        let (queue, id) = (delivery.message.queue.clone(), delivery.message.id.clone());
        // The first one of the first queue fails once, and is the next of its queue.
        let place = (queue.clone(), id.clone());
        if failed.as_ref().is_none_or(|(of, _)| *of == queue) {
            let count = delivery.message.redelivery_count;
            if failed.is_none() {
                failed = Some(place);
                let after = Settle::RetryAfter(Duration::from_millis(100));
                delivery.settle(after).await.expect("still ours");
                continue;
            }
            let again = failed == Some(place);
            assert_eq!(count, u32::from(again));
        }
        seen.entry(queue).or_default().push(id);
        ack(delivery).await;
    }
    assert_eq!(seen, wanted);
    end(broker, [subscription]).await;
}

pub(super) async fn ordered_dead_letter(subject: Subject) {
    let (broker, topic) = (subject.connect().await, subject.lanes("park").await);
    let sent = spread(subject, &broker, &topic, 20).await;
    let subscription = in_order(&broker, &topic, Some(1)).await;
    let bad = &sent[0];
    let mut seen = Vec::new();
    while seen.len() < 19 {
        let delivery = next(&subscription).await;
        if delivery.message.id == bad.id {
            assert!(delivery.message.redelivery_count < 2, "past the maximum");
            let soon = Settle::RetryAfter(Duration::from_millis(50));
            delivery.settle(soon).await.expect("still ours");
            continue;
        }
        seen.push(number(&delivery));
        ack(delivery).await;
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(1..20));
    end(broker, [subscription]).await;
}
