//! What is acknowledged of a batch, on brokers of their own: over their restart, and where they keep nothing of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use integration_tests::brokers::pulsar::Node;
use integration_tests::harness::pulsar::{
    Manage, WAIT, acked, connect_to, fill, next, numbers, on, only, some,
};
use integration_tests::harness::{until, within};
use mq_pulsar::{Client, ConsumerBuilder, ErrorKind, Outcome};
use tokio::task::spawn_blocking;

async fn node(lines: &'static [&'static str]) -> (Arc<Node>, Client, Manage) {
    let node = spawn_blocking(|| Node::start_with(lines)).await.unwrap();
    let node = Arc::new(node.unwrap());
    let (client, manage) = (connect_to(&node.url()).await, Manage::of(&node));
    (node, client, manage)
}

/// Two batches of ten: all of the first is acknowledged, and the fourth of the second one.
async fn one_of_a_batch(
    client: &Client,
    topic: &str,
    kind: fn(ConsumerBuilder) -> ConsumerBuilder,
    cumulative: bool,
) {
    fill(client, topic, 20).await;
    let first = kind(client.consumer("s").topic(topic));
    let first = first.build().await.unwrap();
    for (at, delivery) in some(&first, 20).await.into_iter().enumerate() {
        match at {
            13 if cumulative => delivery.ack_cumulative().await.unwrap(),
            0..10 | 13 if !cumulative => delivery.ack().await.unwrap(),
            _ => drop(delivery),
        }
    }
    first.close().await;
}

/// The promise on page one, over the broker's own end: nine come back where it had written down what it was told.
///
/// It does so when whole entries are acknowledged too. One that stops by itself forgets sets, whatever client told it of them.
// apache/pulsar 4.0.8: ManagedCursorImpl.persistPositionWhenClosing; what that writes of sets is not read again
#[tokio::test]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_with_one_of_ten_acknowledged_nine_come_back_after_the_brokers_end() {
    let (node, client, manage) = node(&[]).await;
    let topic = manage.topic("nine").await;
    manage.subscribe(&topic, "s").await;
    one_of_a_batch(&client, &topic, ConsumerBuilder::exclusive, false).await;
    until(WAIT, "it is written down", async || {
        let cursor = &manage.internal_stats(&topic).await["cursors"]["s"];
        cursor["cursorLedgerLastEntry"].as_i64() >= Some(0)
    })
    .await;
    on(&node, |node| node.kill9().unwrap()).await;
    on(&node, |node| node.restart().unwrap()).await;

    let second = client.consumer("s").topic(&topic).build().await.unwrap();
    let again = some(&second, 9).await;
    assert_eq!(numbers(&again), [10, 11, 12, 14, 15, 16, 17, 18, 19]);
    for delivery in again {
        delivery.ack().await.unwrap();
    }
    only(&client, &topic, &second).await;
    acked(&manage, &topic, "s").await;
}

/// However it goes down, all that was not acknowledged comes back; with it what the broker forgot.
#[tokio::test]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_with_one_of_ten_acknowledged_none_of_nine_is_lost_where_the_broker_dies() {
    let (node, client, manage) = node(&[]).await;
    for kill in [false, true] {
        let topic = manage.topic("dies").await;
        manage.subscribe(&topic, "s").await;
        one_of_a_batch(&client, &topic, ConsumerBuilder::shared, false).await;
        if kill {
            on(&node, |node| node.kill9().unwrap()).await;
        } else {
            on(&node, |node| node.shutdown().unwrap()).await;
        }
        on(&node, |node| node.restart().unwrap()).await;
        let second = client.consumer("s").topic(&topic).shared();
        let second = second.build().await.unwrap();
        let mut again = Vec::new();
        while again.last() != Some(&19) {
            let delivery = next(&second).await;
            again.extend(numbers(std::slice::from_ref(&delivery)));
            delivery.ack().await.unwrap();
        }
        again.retain(|number| *number != 13 && *number >= 10);
        assert_eq!(again, [10, 11, 12, 14, 15, 16, 17, 18, 19]);
        acked(&manage, &topic, "s").await;
        second.close().await;
    }
}

/// A broker that keeps no sets takes no harm from being told: all ten come back, never none, and none of the batch before.
#[tokio::test]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_with_one_of_ten_acknowledged_ten_come_back_from_a_broker_without_sets() {
    // With transactions it remembers them there.
    let (_node, client, manage) = node(&[
        "acknowledgmentAtBatchIndexLevelEnabled=false",
        "transactionCoordinatorEnabled=false",
    ])
    .await;
    for (kind, cumulative) in [
        (ConsumerBuilder::exclusive as fn(_) -> _, false),
        (ConsumerBuilder::shared, false),
        (ConsumerBuilder::failover, true),
    ] {
        let topic = manage.topic("ten").await;
        manage.subscribe(&topic, "s").await;
        one_of_a_batch(&client, &topic, kind, cumulative).await;
        let second = kind(client.consumer("s").topic(&topic));
        let second = second.build().await.unwrap();
        let again = some(&second, 10).await;
        assert_eq!(numbers(&again), (10..20).collect::<Vec<_>>());
        for delivery in again {
            delivery.ack().await.unwrap();
        }
        only(&client, &topic, &second).await;
        acked(&manage, &topic, "s").await;
        second.close().await;
    }
}

/// The broker goes before it answers: who waits hears that it may have it or not, and what it does not have comes again.
#[tokio::test]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_an_acknowledgement_that_the_broker_does_not_answer_is_told_as_unknown() {
    let (node, client, manage) = node(&[]).await;
    let topic = manage.topic("unknown").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 10).await;
    let consumer = client.consumer("s").topic(&topic).ack_receipts(true);
    let consumer = consumer.build().await.unwrap();
    let mut all = some(&consumer, 10).await;
    let mine = all.remove(7);
    on(&node, |node| node.stop().unwrap()).await;
    let mut waiting = Box::pin(mine.ack());
    let early = tokio::time::timeout(Duration::from_millis(500), &mut waiting).await;
    assert!(early.is_err(), "{early:?}: nobody can have answered");
    on(&node, |node| node.kill9().unwrap()).await;
    let told = within(WAIT, "an answer", waiting).await.unwrap_err();
    assert_eq!(
        (told.kind(), told.outcome()),
        (ErrorKind::Stale, Outcome::Unknown)
    );
    on(&node, |node| node.restart().unwrap()).await;
    let again = next(&consumer).await;
    assert_eq!(again.text(), Some("7"), "only that one is nobody's");
    for delivery in all.into_iter().chain([again]) {
        delivery.ack().await.unwrap();
    }
    assert_eq!(manage.backlog(&topic, "s").await, 0);
}
