//! What becomes of the offsets: where a queue begins, what is stored, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use mq_core::ErrorKind;

use super::broker::Broker;
use super::support::{client, consumer, next, nothing_comes, numbers, text, until, within};
use crate::ConsumeFrom;
use crate::proto::ResponseCode;
use crate::proto::command::{
    GetMaxOffset, Heartbeat, NotifyConsumersChanged, PullMessage, QueryOffset, SendBack,
    UpdateOffset,
};

#[tokio::test]
async fn the_offset_stays_below_what_is_not_settled_and_close_persists_it() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..10));
    let consumer = consumer(&broker, |builder| builder).await;
    let mut held = None;
    for n in 0..10 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.offset(), n);
        if n == 3 {
            held = Some(delivery);
        } else {
            delivery.ack().await.unwrap();
        }
    }
    let closing = tokio::spawn({
        let handle = consumer.handle();
        async move { handle.close().await }
    });
    assert!(consumer.recv().await.unwrap().is_none());
    // After close began, a drop is a release: neither sent back nor passed.
    drop(held);
    within(closing).await.unwrap();
    assert_eq!(broker.offset("t", 0), Some(3));
    assert!(broker.requests::<SendBack>().is_empty());
    let order: Vec<i32> = broker.state().log.iter().map(|(code, ..)| *code).collect();
    let last = |code: i32| order.iter().rposition(|known| *known == code);
    assert!(last(15) < last(35), "unregistering comes last: {order:?}");
    assert!(consumer.handle().is_closed());
    within(consumer.close()).await;
}

#[tokio::test]
async fn an_offset_is_persisted_while_the_consumer_runs() {
    let broker = Broker::start("t", 1).await;
    let consumer = consumer(&broker, |builder| builder).await;
    broker.store("t", 0, "A", numbers(0..3));
    for _ in 0..3 {
        next(&consumer).await.ack().await.unwrap();
    }
    until("offset 3", || broker.offset("t", 0) == Some(3)).await;
    // Never with a pull: a broker may store that after, and so undo, one that is told by itself.
    let pulls = broker.requests::<PullMessage>();
    assert!(pulls.iter().all(|pull| pull.sys_flag & 1 == 0));
}

#[tokio::test]
async fn an_offset_of_0_that_the_broker_made_up_is_stored() {
    let broker = Broker::start("t", 1).await;
    broker.state().young = true;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer).await.release().await.unwrap();
    within(consumer.close()).await;
    // Or else the group would begin anew, perhaps at the end, once the broker says that there is none.
    assert_eq!(broker.offset("t", 0), Some(0));
}

#[tokio::test]
async fn what_is_sent_after_build_comes_for_a_group_that_begins_last() {
    let broker = Broker::start("t", 2).await;
    broker.store("t", 0, "A", ["old".to_owned()]);
    let consumer = consumer(&broker, |builder| builder.from(ConsumeFrom::Last)).await;
    broker.store("t", 0, "A", ["new".to_owned()]);
    let delivery = next(&consumer).await;
    assert_eq!(text(&delivery), "new");
}

#[tokio::test]
async fn a_failed_query_is_not_taken_for_no_offset() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..5));
    broker.state().offsets.insert(("t".to_owned(), 0), 4);
    // Of the topic's queue; the retry topic does not exist.
    broker.refuse::<QueryOffset>(2, ResponseCode::SYSTEM_ERROR, "try later");
    let consumer = consumer(&broker, |builder| builder).await;
    assert_eq!(next(&consumer).await.offset(), 4);
}

#[tokio::test]
async fn first_begins_at_the_first_there_is_and_a_time_at_its_offset() {
    for (from, offset) in [
        (ConsumeFrom::First, 7),
        (ConsumeFrom::Timestamp(std::time::SystemTime::UNIX_EPOCH), 8),
    ] {
        let broker = Broker::start("t", 1).await;
        broker.state().begins = 7;
        broker.store("t", 0, "A", numbers(0..3));
        let consumer = consumer(&broker, |builder| builder.from(from)).await;
        assert_eq!(next(&consumer).await.offset(), offset);
    }
}

#[tokio::test]
async fn a_tag_of_equal_hash_is_not_delivered_and_the_offset_advances() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "BB", numbers(0..5));
    let client = client(&broker).await;
    let consumer = client
        .consumer("g")
        .subscribe("t", "Aa")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    nothing_comes(&consumer).await;
    until("offset 5", || broker.offset("t", 0) == Some(5)).await;
    let told = broker.requests::<Heartbeat>().remove(0);
    let subscription = told.consumers[0]
        .subscriptions
        .iter()
        .find(|data| data.topic == "t")
        .unwrap();
    assert_eq!(
        (&*subscription.sub_string, &*subscription.code_set),
        ("Aa", &[2112][..])
    );
}

#[tokio::test]
async fn an_offset_below_the_queue_goes_on_at_its_beginning_and_loses_nothing() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..4));
    let consumer = consumer(&broker, |builder| builder.pull_batch(2)).await;
    let held = next(&consumer).await;
    for _ in 1..4 {
        next(&consumer).await.ack().await.unwrap();
    }
    broker.state().pull_answers.push((21, 10));
    broker.store("t", 0, "A", numbers(4..12));
    // The pull that waits may still answer as usual; the next says 21.
    let mut seen = BTreeSet::new();
    while !seen.contains(&11) {
        let delivery = next(&consumer).await;
        seen.insert(delivery.offset());
        delivery.ack().await.unwrap();
    }
    held.ack().await.unwrap();
    until("offset 12", || broker.offset("t", 0) == Some(12)).await;
}

#[tokio::test]
async fn an_offset_beyond_the_queue_goes_back_in_a_new_epoch() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    broker.state().offsets.insert(("t".to_owned(), 0), 3);
    let consumer = consumer(&broker, |builder| builder).await;
    broker.store("t", 0, "A", numbers(3..4));
    let old = next(&consumer).await;
    broker.state().pull_answers.push((21, 1));
    let again = next(&consumer).await;
    assert_eq!(again.offset(), 1);
    assert_eq!(old.ack().await.unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(
        broker.offset("t", 0),
        Some(1),
        "persisted, though it went back"
    );
    for offset in 2..4 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.offset(), offset);
        delivery.ack().await.unwrap();
    }
    again.ack().await.unwrap();
    until("offset 4", || broker.offset("t", 0) == Some(4)).await;
}

#[tokio::test]
async fn an_offset_whose_hand_over_closing_stops_is_persisted_by_closing() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..1));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer).await.ack().await.unwrap();
    let updates = || broker.requests::<UpdateOffset>().len();
    let before = updates();
    // The broker takes the offset of the lost queue and stalls.
    let hour = Duration::from_secs(3600);
    let kind = <UpdateOffset as crate::proto::Request>::CODE.0;
    broker.state().delay.insert(kind, hour);
    broker.state().others.push("0.0.0.0@1".to_owned());
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    until("it is being handed over", || updates() > before).await;
    broker.state().delay.clear();
    within(consumer.close()).await;
    assert_eq!(broker.offset("t", 0), Some(1));
}

#[tokio::test]
async fn who_may_only_subscribe_can_begin_last_too() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let refused = "User:alice has no permission to access Topic:t";
    broker.refuse::<GetMaxOffset>(usize::MAX, ResponseCode::NO_PERMISSION, refused);
    let consumer = consumer(&broker, |builder| builder.from(ConsumeFrom::Last)).await;
    broker.store("t", 0, "A", numbers(3..4));
    assert_eq!(next(&consumer).await.offset(), 3);
}

#[tokio::test]
async fn an_offset_is_persisted_without_any_pull() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    broker.state().hold = Duration::from_secs(60);
    let consumer = consumer(&broker, |builder| builder).await;
    for _ in 0..3 {
        next(&consumer).await.ack().await.unwrap();
    }
    until("offset 3", || broker.offset("t", 0) == Some(3)).await;
    assert!(
        broker
            .requests::<PullMessage>()
            .iter()
            .all(|pull| pull.commit_offset < 3)
    );
}

/// A broker carries requests out by several threads.
#[tokio::test]
async fn an_offset_is_not_stored_while_an_earlier_one_is_under_way() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..2));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer).await.ack().await.unwrap();
    let second = next(&consumer).await;
    let kind = <UpdateOffset as crate::proto::Request>::CODE.0;
    let slow = Duration::from_secs(1);
    broker.state().delay.insert(kind, slow);
    let updates = || broker.requests::<UpdateOffset>().len();
    until("the first offset is under way", || updates() > 0).await;
    broker.state().delay.clear();
    second.ack().await.unwrap();
    within(consumer.close()).await;
    tokio::time::sleep(slow).await;
    assert_eq!(broker.offset("t", 0), Some(2));
}

/// A broker that carries out the first two offsets of a group at a time keeps one of them.
#[tokio::test]
async fn the_first_offset_of_a_topic_goes_alone() {
    let broker = Broker::start("t", 3).await;
    for queue in 0..3 {
        broker.store("t", queue, "A", numbers(0..1));
    }
    let consumer = consumer(&broker, |builder| builder).await;
    for _ in 0..3 {
        next(&consumer).await.ack().await.unwrap();
    }
    let kind = <UpdateOffset as crate::proto::Request>::CODE.0;
    let slow = Duration::from_millis(500);
    broker.state().delay.insert(kind, slow);
    let of_topic = || {
        let all = broker.requests::<UpdateOffset>();
        all.iter().filter(|told| &*told.topic == "t").count()
    };
    let closing = tokio::spawn(async move { within(consumer.close()).await });
    until("the first offset is under way", || of_topic() > 0).await;
    tokio::time::sleep(slow / 2).await;
    assert_eq!(of_topic(), 1);
    closing.await.unwrap();
    for queue in 0..3 {
        assert_eq!(broker.offset("t", queue), Some(1));
    }
}

#[tokio::test]
async fn nothing_of_an_epoch_moves_while_its_offset_is_corrected() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    broker.state().offsets.insert(("t".to_owned(), 0), 2);
    let consumer = consumer(&broker, |builder| builder).await;
    let old = next(&consumer).await;
    let told = broker.requests::<UpdateOffset>().len();
    broker.state().delay.insert(15, Duration::from_secs(1));
    broker.state().pull_answers.push((21, 0));
    let corrections = || {
        let all = broker.requests::<UpdateOffset>();
        all.into_iter()
            .skip(told)
            .filter(|told| told.commit_offset == 0)
            .count()
    };
    until("the correction is under way", || corrections() > 0).await;
    assert_eq!(old.ack().await.unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(next(&consumer).await.offset(), 0);
}
