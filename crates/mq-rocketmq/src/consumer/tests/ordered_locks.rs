//! The broker's locks of an ordered consumer, and what becomes of what is held when they go.

use std::time::Duration;

use mq_core::ErrorKind;

use super::super::lock::Times;
use super::broker::Broker;
use super::support::{Stopwatch, consumer, next, nothing_comes, numbers, until, within};
use crate::proto::command::{
    LockQueues, NotifyConsumersChanged, PullMessage, UnlockQueues, Unregister, UpdateOffset,
};
use crate::proto::{Request, ResponseCode};
use crate::{Consumer, SeekTo};

async fn ordered(broker: &Broker) -> Consumer {
    consumer(broker, crate::ConsumerBuilder::ordered).await
}

fn lock(broker: &Broker, holder: Option<&str>) {
    let mut state = broker.state();
    let key = ("t".to_owned(), 0);
    match holder {
        Some(holder) => state.locks.insert(key, holder.to_owned()),
        None => state.locks.remove(&key),
    };
}

fn pulls(broker: &Broker) -> usize {
    let pulls = broker.requests::<PullMessage>();
    pulls.iter().filter(|pull| &*pull.topic == "t").count()
}

/// Another member sorts in front, and takes the only queue; or it leaves.
fn rebalance(broker: &Broker, others: &[&str]) {
    broker.state().others = others.iter().map(ToString::to_string).collect();
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
}

/// The requests since the start, by their codes, of these kinds.
fn order(broker: &Broker, codes: &[i32]) -> Vec<i32> {
    let state = broker.state();
    let all = state.log.iter().map(|(code, ..)| *code);
    all.filter(|code| codes.contains(code)).collect()
}

#[tokio::test]
async fn a_queue_is_pulled_only_when_it_is_locked_and_as_soon_as_it_is() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..1));
    lock(&broker, Some("another"));
    let consumer = ordered(&broker).await;
    nothing_comes(&consumer).await;
    assert_eq!(pulls(&broker), 0);
    lock(&broker, None);
    let freed = Stopwatch::start();
    assert_eq!(next(&consumer).await.offset(), 0);
    assert!(
        freed.elapsed() < Duration::from_secs(2),
        "{:?}",
        freed.elapsed()
    );
    let asked = &broker.requests::<LockQueues>()[0];
    assert_eq!((&*asked.consumer_group, asked.queues.len()), ("g", 1));
    assert!(!asked.client_id.is_empty() && !asked.only_this_broker);
}

#[tokio::test]
async fn a_lock_that_another_has_meanwhile_makes_what_is_held_stale() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = ordered(&broker).await;
    next(&consumer).await.ack().await.unwrap();
    let held = next(&consumer).await;
    // As after a restart of the broker, when another asked first.
    lock(&broker, Some("another"));
    consumer.life.core.relock.notify_one();
    until("it is given up", || consumer.assignment().is_empty()).await;
    assert_eq!(
        within(held.ack()).await.unwrap_err().kind(),
        ErrorKind::Stale
    );
    assert_eq!(broker.offset("t", 0), None, "the other's offset counts");
    nothing_comes(&consumer).await;
    lock(&broker, None);
    assert_eq!(next(&consumer).await.offset(), 0, "from the stored offset");
}

/// As a broker that is frozen: its lock table would let another have the queue after twice that time.
#[tokio::test]
async fn a_lock_that_cannot_be_renewed_lapses() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let lease = Duration::from_millis(1500);
    let consumer = quick(&broker, lease).await;
    next(&consumer).await.ack().await.unwrap();
    let held = next(&consumer).await;
    broker.refuse::<LockQueues>(usize::MAX, ResponseCode::SYSTEM_ERROR, "no");
    let refused = Stopwatch::start();
    until("it is given up", || consumer.assignment().is_empty()).await;
    let after = refused.elapsed();
    assert!((lease / 2..lease + lease / 2).contains(&after), "{after:?}");
    assert_eq!(held.ack().await.unwrap_err().kind(), ErrorKind::Stale);
    nothing_comes(&consumer).await;
    // It comes back.
    broker.refuse::<LockQueues>(0, ResponseCode::SUCCESS, "");
    assert_eq!(next(&consumer).await.attempt(), 1);
}

#[tokio::test]
async fn a_lock_is_renewed_while_the_queue_is_held() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..2));
    let lease = Duration::from_millis(600);
    let consumer = quick(&broker, lease).await;
    let held = next(&consumer).await;
    tokio::time::sleep(lease * 3).await;
    held.ack().await.unwrap();
    assert_eq!(next(&consumer).await.offset(), 1);
}

/// With leases that last so long and are renewed four times in it.
async fn quick(broker: &Broker, lease: Duration) -> Consumer {
    consumer(broker, |builder| {
        let mut builder = builder.ordered();
        builder.wish.locks = Times {
            period: lease / 4,
            lease,
            soon: lease / 8,
        };
        builder
    })
    .await
}

#[tokio::test]
async fn a_queue_that_moves_is_unlocked_when_what_is_held_is_settled_and_stored() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = ordered(&broker).await;
    next(&consumer).await.ack().await.unwrap();
    let held = next(&consumer).await;
    rebalance(&broker, &["0.0.0.0@1"]);
    until("it is no longer pulled", || {
        consumer
            .life
            .core
            .queues()
            .iter()
            .all(|queue| queue.stop().is_cancelled())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(broker.requests::<UnlockQueues>().is_empty(), "one is held");
    held.ack().await.unwrap();
    until("it is unlocked", || broker.state().locks.is_empty()).await;
    assert_eq!(broker.offset("t", 0), Some(2));
    let codes = [UpdateOffset::CODE.0, UnlockQueues::CODE.0];
    assert_eq!(order(&broker, &codes).last(), Some(&UnlockQueues::CODE.0));
    nothing_comes(&consumer).await;
    // And it comes back.
    rebalance(&broker, &[]);
    assert_eq!(next(&consumer).await.offset(), 2);
}

#[tokio::test]
async fn a_queue_that_comes_back_while_it_moves_is_taken_on_again() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = ordered(&broker).await;
    let held = next(&consumer).await;
    rebalance(&broker, &["0.0.0.0@1"]);
    until("it moves", || {
        consumer
            .life
            .core
            .queues()
            .iter()
            .all(|queue| queue.stop().is_cancelled())
    })
    .await;
    rebalance(&broker, &[]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    held.ack().await.unwrap();
    assert_eq!(next(&consumer).await.offset(), 1);
    assert_eq!(broker.state().locks.len(), 1, "and locked again");
}

#[tokio::test]
async fn close_stores_unlocks_and_then_leaves() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = ordered(&broker).await;
    next(&consumer).await.ack().await.unwrap();
    within(consumer.close()).await;
    assert_eq!(broker.offset("t", 0), Some(1));
    assert!(broker.state().locks.is_empty());
    let codes = [
        UpdateOffset::CODE.0,
        UnlockQueues::CODE.0,
        Unregister::CODE.0,
    ];
    let order = order(&broker, &codes);
    assert_eq!(order, codes);
}

#[tokio::test]
async fn a_seek_keeps_the_lock() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = ordered(&broker).await;
    let held = next(&consumer).await;
    let queue = consumer.assignment().pop().unwrap();
    consumer.seek(&queue, SeekTo::Offset(2)).await.unwrap();
    assert_eq!(next(&consumer).await.offset(), 2);
    assert_eq!(
        within(held.ack()).await.unwrap_err().kind(),
        ErrorKind::Stale
    );
    assert_eq!(broker.state().locks.len(), 1);
    assert!(broker.requests::<UnlockQueues>().is_empty());
}

#[tokio::test]
async fn a_renewal_that_waits_behind_a_hand_over_takes_no_lock() {
    let broker = Broker::start("t", 2).await;
    let consumer = ordered(&broker).await;
    until("it has both", || consumer.assignment().len() == 2).await;
    until("both locked", || broker.state().locks.len() == 2).await;
    // Unlocking takes a while, as at a broker that is busy or away.
    broker
        .state()
        .delay
        .insert(UnlockQueues::CODE.0, Duration::from_millis(700));
    rebalance(&broker, &["0.0.0.0@1", "0.0.0.0@2"]);
    until("the first is being given back", || {
        !broker.requests::<UnlockQueues>().is_empty()
    })
    .await;
    // As a pull that fails, or the period, does.
    consumer.life.core.relock.notify_one();
    until("both are given back", || {
        broker.requests::<UnlockQueues>().len() == 2
    })
    .await;
    until("the renewal has had its turn", || {
        broker.state().locks.is_empty()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(consumer.assignment().is_empty());
    let locks = broker.state().locks.clone();
    assert!(
        locks.is_empty(),
        "nobody pulls it, and nobody else gets it: {locks:?}"
    );
    within(consumer.close()).await;
}
