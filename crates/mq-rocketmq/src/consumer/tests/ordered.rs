//! Lanes: one message of a queue at a time, what failed first, and nobody waits for another queue.

use std::time::Duration;

use mq_core::ErrorKind;

use super::broker::Broker;
use super::support::{
    RETRY, Stopwatch, client, consumer, next, nothing_comes, numbers, text, until, within,
};
use crate::proto::ResponseCode;
use crate::proto::command::SendBack;
use crate::{ConsumeFrom, ConsumerBuilder, Event, Settle};

const SOON: Duration = Duration::from_millis(50);

fn ordered(builder: ConsumerBuilder) -> ConsumerBuilder {
    builder.ordered().suspend(SOON)
}

#[tokio::test]
async fn the_next_of_a_queue_comes_when_the_one_before_is_settled() {
    let broker = Broker::start("t", 2).await;
    broker.store("t", 0, "A", numbers(0..3));
    broker.store("t", 1, "A", numbers(10..11));
    let consumer = consumer(&broker, ordered).await;
    let (one, other) = (next(&consumer).await, next(&consumer).await);
    assert_ne!(one.queue(), other.queue());
    nothing_comes(&consumer).await;
    let (first, second) = if one.queue() == 0 {
        (one, other)
    } else {
        (other, one)
    };
    first.ack().await.unwrap();
    for offset in 1..3 {
        let delivery = next(&consumer).await;
        assert_eq!((delivery.queue(), delivery.offset()), (0, offset));
        delivery.ack().await.unwrap();
    }
    second.ack().await.unwrap();
    consumer.close().await;
    assert_eq!(
        (broker.offset("t", 0), broker.offset("t", 1)),
        (Some(3), Some(1))
    );
}

#[tokio::test]
async fn what_failed_comes_first_after_the_suspend_time_with_the_next_attempt() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..2));
    let suspend = Duration::from_millis(300);
    let consumer = consumer(&broker, |builder| builder.ordered().suspend(suspend)).await;
    // A nack, a drop, a time of its own: that is as exact as it was said.
    next(&consumer).await.nack().await.unwrap();
    let failed = Stopwatch::start();
    let again = next(&consumer).await;
    assert_eq!((again.offset(), again.attempt()), (0, 2));
    assert!(failed.elapsed() + SOON >= suspend, "{:?}", failed.elapsed());
    drop(again);
    let again = next(&consumer).await;
    assert_eq!((again.offset(), again.attempt()), (0, 3));
    assert!(failed.elapsed() + SOON >= 2 * suspend);
    let failed = Stopwatch::start();
    again.nack_after(SOON).await.unwrap();
    let again = next(&consumer).await;
    assert_eq!((again.offset(), again.attempt()), (0, 4));
    assert!((SOON..suspend).contains(&failed.elapsed()));
    again.ack().await.unwrap();
    let second = next(&consumer).await;
    assert_eq!((second.offset(), second.attempt()), (1, 1));
    assert!(
        broker.requests::<SendBack>().is_empty(),
        "no broker hears of it"
    );
}

#[tokio::test]
async fn a_release_comes_first_uncounted() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..2));
    let consumer = consumer(&broker, ordered).await;
    next(&consumer).await.release().await.unwrap();
    let again = next(&consumer).await;
    assert_eq!((again.offset(), again.attempt()), (0, 1));
    nothing_comes(&consumer).await;
}

#[tokio::test]
async fn one_that_always_fails_holds_up_its_queue_and_no_other() {
    let broker = Broker::start("t", 2).await;
    let big = "x".repeat(4096);
    broker.store("t", 0, "A", (0..100).map(|_| big.clone()));
    broker.store("t", 1, "A", numbers(0..200));
    // The queue that is held up would have all the room.
    let consumer = consumer(&broker, |builder| ordered(builder).prefetch_bytes(50_000)).await;
    let (mut failed, mut good) = (0, 0);
    while good < 200 || failed < 5 {
        let delivery = next(&consumer).await;
        if delivery.queue() == 0 {
            assert_eq!(delivery.offset(), 0);
            failed += 1;
            assert_eq!(delivery.attempt(), failed);
            drop(delivery);
        } else {
            assert_eq!(delivery.offset(), good);
            good += 1;
            delivery.ack().await.unwrap();
        }
    }
}

#[tokio::test]
async fn past_the_maximum_it_is_a_dead_letter_once_the_broker_has_confirmed() {
    let broker = Broker::start("t", 1).await;
    broker.add_topic(RETRY, 1);
    broker.store("t", 0, "A", numbers(0..3));
    broker.refuse::<SendBack>(2, ResponseCode::SYSTEM_BUSY, "busy");
    let client = client(&broker).await;
    let mut events = client.events();
    let builder = client
        .consumer("g")
        .subscribe("t", "*")
        .from(ConsumeFrom::First);
    let consumer = ordered(builder).max_redeliveries(1).build().await.unwrap();
    next(&consumer).await.nack().await.unwrap();
    let again = next(&consumer).await;
    assert_eq!((again.offset(), again.attempt()), (0, 2));
    let parking = again.nack();
    let second = next(&consumer).await;
    assert_eq!((second.offset(), second.attempt()), (1, 1));
    assert_eq!(
        broker.requests::<SendBack>().len(),
        3,
        "not before the broker had it"
    );
    within(parking).await.unwrap();
    // At once, whatever the attempt.
    within(second.dead_letter()).await.unwrap();
    assert_eq!(next(&consumer).await.offset(), 2);
    let levels: Vec<_> = broker
        .requests::<SendBack>()
        .iter()
        .map(|asked| asked.delay_level)
        .collect();
    assert_eq!(levels, [-1; 4]);
    let mut parked = Vec::new();
    while parked.len() < 2 {
        if let Some(Event::MessageParked {
            offset, attempts, ..
        }) = within(events.next()).await
        {
            parked.push((offset, attempts));
        }
    }
    assert_eq!(parked, [(0, 2), (1, 1)]);
}

#[tokio::test]
async fn one_that_is_held_too_long_is_suspended_and_stale() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..2));
    let limit = Duration::from_millis(200);
    let consumer = consumer(&broker, |builder| ordered(builder).settle_timeout(limit)).await;
    let held = next(&consumer).await;
    let again = next(&consumer).await;
    assert_eq!((again.offset(), again.attempt()), (0, 2));
    assert_eq!(
        within(held.ack()).await.unwrap_err().kind(),
        ErrorKind::Stale
    );
    again.ack().await.unwrap();
    assert_eq!(next(&consumer).await.offset(), 1);
}

#[tokio::test]
async fn what_is_committed_by_hand_stays_uncommitted_until_then_and_can_be_rolled_back() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..6));
    let consumer = consumer(&broker, |builder| ordered(builder).manual_commit()).await;
    for offset in 0..2 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.offset(), offset);
        delivery.ack().await.unwrap();
    }
    next(&consumer).await.rollback().await.unwrap();
    for offset in 0..3 {
        let delivery = next(&consumer).await;
        assert_eq!((delivery.offset(), delivery.attempt()), (offset, 1));
        delivery.ack().await.unwrap();
    }
    next(&consumer).await.commit().await.unwrap();
    next(&consumer).await.ack().await.unwrap();
    let last = next(&consumer).await;
    consumer.close().await;
    assert_eq!(last.offset(), 5);
    assert_eq!(
        broker.offset("t", 0),
        Some(4),
        "the fifth is acknowledged, and not committed"
    );
}

#[tokio::test]
async fn all_queues_are_committed_by_one_call() {
    let broker = Broker::start("t", 2).await;
    for queue in 0..2 {
        broker.store("t", queue, "A", numbers(0..1));
    }
    let consumer = consumer(&broker, |builder| ordered(builder).manual_commit()).await;
    for _ in 0..2 {
        next(&consumer).await.ack().await.unwrap();
    }
    consumer.commit();
    consumer.close().await;
    assert_eq!(
        (broker.offset("t", 0), broker.offset("t", 1)),
        (Some(1), Some(1))
    );
}

#[tokio::test]
async fn without_order_commit_is_ack_and_rollback_is_nack() {
    let broker = Broker::start("t", 1).await;
    broker.add_topic(RETRY, 1);
    broker.store("t", 0, "A", numbers(0..2));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer).await.rollback().await.unwrap();
    next(&consumer).await.commit().await.unwrap();
    until("one went back", || broker.requests::<SendBack>().len() == 1).await;
    let again = next(&consumer).await;
    assert_eq!((text(&again), again.attempt()), ("0".to_owned(), 2));
}

#[tokio::test]
async fn what_is_for_ordered_consumers_is_refused_elsewhere() {
    let broker = Broker::start("t", 1).await;
    let builder = client(&broker).await.consumer("g").subscribe("t", "*");
    for (name, builder) in [
        ("suspend", builder.clone().suspend(SOON)),
        ("manual_commit", builder.manual_commit()),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn in_broadcasting_there_is_no_lock_and_in_the_end_it_is_skipped() {
    let broker = Broker::start("t", 1).await;
    broker
        .state()
        .locks
        .insert(("t".to_owned(), 0), "another".to_owned());
    broker.store("t", 0, "A", numbers(0..2));
    let dir = tempfile::tempdir().unwrap();
    let set = |builder| ordered(builder).broadcast(dir.path()).max_redeliveries(1);
    let consumer = consumer(&broker, set).await;
    for attempt in 1..=2 {
        let delivery = next(&consumer).await;
        assert_eq!((delivery.offset(), delivery.attempt()), (0, attempt));
        drop(delivery);
    }
    assert_eq!(next(&consumer).await.offset(), 1);
    let requests = broker.requests::<crate::proto::command::LockQueues>();
    assert!(requests.is_empty() && broker.requests::<SendBack>().is_empty());
}

/// Only what a handler decides: the rest of `Settle` is in the tests above.
#[tokio::test]
async fn a_handler_can_commit_and_roll_back() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..4));
    let consumer = consumer(&broker, |builder| ordered(builder).manual_commit()).await;
    let (seen, mut all) = tokio::sync::mpsc::channel(16);
    let running = consumer.run(move |message| {
        let seen = seen.clone();
        async move {
            seen.send(message.offset()).await.unwrap();
            Ok::<_, crate::Error>(match message.offset() {
                // The first time.
                2 if seen.capacity() == 16 - 3 => Settle::Rollback,
                3 => Settle::Commit,
                _ => Settle::Ack,
            })
        }
    });
    let handle = consumer.handle();
    let watch = async {
        until("committed", || seen_all(&all)).await;
        handle.close().await;
    };
    let (ran, ()) = within(async { tokio::join!(running, watch) }).await;
    ran.unwrap();
    let mut offsets = Vec::new();
    while let Ok(offset) = all.try_recv() {
        offsets.push(offset);
    }
    assert_eq!(offsets, [0, 1, 2, 0, 1, 2, 3]);
    assert_eq!(broker.offset("t", 0), Some(4));
}

fn seen_all(all: &tokio::sync::mpsc::Receiver<i64>) -> bool {
    all.len() == 7
}
