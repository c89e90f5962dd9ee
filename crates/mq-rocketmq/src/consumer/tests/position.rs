//! Going elsewhere: by the user, by the broker; and holding everything up.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use mq_core::ErrorKind;

use super::broker::Broker;
use super::support::{consumer, next, nothing_comes, numbers, until, within};
use crate::proto::command::{QueueKey, ResetOffset, UpdateOffset};
use crate::{QueueRef, SeekTo};

fn order(offset: i64) -> ResetOffset {
    let key = QueueKey {
        broker_name: "b".to_owned(),
        queue_id: 0,
        topic: "t".to_owned(),
    };
    ResetOffset {
        topic: "t".into(),
        group: "g".into(),
        timestamp_ms: 1,
        is_force: Some(true),
        offsets: vec![(key, offset)],
    }
}

#[tokio::test]
async fn an_operator_sets_the_offset_while_messages_are_held() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..10));
    let consumer = consumer(&broker, |builder| builder).await;
    for (target, wanted) in [(2, 2), (8, 8)] {
        let held = next(&consumer).await;
        broker.tell(&order(target));
        until("the offset is stored", || {
            broker.offset("t", 0) == Some(target)
        })
        .await;
        let stale = held.ack().await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Stale);
        let delivery = next(&consumer).await;
        assert_eq!(delivery.offset(), wanted);
        delivery.ack().await.unwrap();
    }
    within(consumer.close()).await;
    assert_eq!(broker.offset("t", 0), Some(9));
}

/// The last order counts, also when an earlier one is still being carried out.
#[tokio::test]
async fn of_two_orders_the_later_counts() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..10));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer).await.ack().await.unwrap();
    let kind = <UpdateOffset as crate::proto::Request>::CODE.0;
    broker
        .state()
        .delay
        .insert(kind, Duration::from_millis(300));
    broker.tell(&order(2));
    until("the first is under way", || {
        !broker.requests::<UpdateOffset>().is_empty()
    })
    .await;
    broker.tell(&order(7));
    until("the second is stored", || broker.offset("t", 0) == Some(7)).await;
    assert_eq!(next(&consumer).await.offset(), 7);
}

#[tokio::test]
async fn seeking_goes_to_each_kind_of_place() {
    let broker = Broker::start("t", 2).await;
    broker.store("t", 0, "A", numbers(0..10));
    let consumer = consumer(&broker, |builder| builder).await;
    let queue = QueueRef::new("t", "b", 0);
    assert!(consumer.assignment().contains(&queue));
    for (to, offset) in [
        (SeekTo::Offset(6), 6),
        (SeekTo::First, 0),
        (SeekTo::Offset(9), 9),
    ] {
        assert_eq!(consumer.seek(&queue, to).await.unwrap(), offset);
        let delivery = next(&consumer).await;
        assert_eq!(delivery.offset(), offset, "{to:?}");
        delivery.ack().await.unwrap();
    }
    assert_eq!(consumer.seek(&queue, SeekTo::Last).await.unwrap(), 10);
    nothing_comes(&consumer).await;
    broker.store("t", 0, "A", numbers(10..11));
    assert_eq!(next(&consumer).await.offset(), 10);

    let refused = consumer.seek(&queue, SeekTo::Offset(-1)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    let elsewhere = QueueRef::new("t", "b", 7);
    let refused = consumer.seek(&elsewhere, SeekTo::First).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    let handle = consumer.handle();
    within(consumer.close()).await;
    let refused = handle.seek(&queue, SeekTo::First).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn while_paused_nothing_is_handed_out_or_pulled_and_what_is_held_can_be_settled() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = consumer(&broker, |builder| builder).await;
    let held = next(&consumer).await;
    consumer.pause();
    assert!(consumer.is_paused());
    nothing_comes(&consumer).await;
    held.ack().await.unwrap();
    // What a long poll still brings is buffered, and no other pull is made.
    broker.store("t", 0, "A", numbers(3..6));
    nothing_comes(&consumer).await;
    let pulls = || {
        broker
            .requests::<crate::proto::command::PullMessage>()
            .len()
    };
    let before = pulls();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pulls(), before);
    consumer.resume();
    for offset in 1..6 {
        assert_eq!(next(&consumer).await.offset(), offset);
    }
}
