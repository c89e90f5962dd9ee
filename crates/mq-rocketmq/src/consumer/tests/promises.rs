//! A test a promise.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use mq_core::ErrorKind;

use super::broker::Broker;
use crate::proto::ResponseCode;
use crate::proto::command::{
    GetConsumerList, GetMaxOffset, Heartbeat, NotifyConsumersChanged, PullMessage, QueryOffset,
    SendBack, SendMessage, Unregister, UpdateOffset,
};
use crate::{Allocation, Client, ConsumeFrom, Consumer, ConsumerBuilder, Delivery, Error, Settle};

const RETRY: &str = "%RETRY%g";

pub(super) async fn client(broker: &Broker) -> Client {
    Client::from_url(&broker.url)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// A consumer of everything from the beginning, of topic `t` with one queue.
pub(super) async fn consumer(
    broker: &Broker,
    set: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
) -> Consumer {
    let builder = client(broker)
        .await
        .consumer("g")
        .subscribe("t", "*")
        .from(ConsumeFrom::First);
    set(builder).build().await.unwrap()
}

pub(super) fn numbers(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|n| n.to_string())
}

pub(super) async fn next(consumer: &Consumer) -> Delivery {
    within(consumer.recv()).await.unwrap().expect("not closed")
}

pub(super) async fn nothing_comes(consumer: &Consumer) {
    let next = tokio::time::timeout(Duration::from_millis(500), consumer.recv()).await;
    assert!(next.is_err(), "{next:?}");
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("within 20 s")
}

pub(super) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 10 s: {what}");
}

fn text(message: &crate::Message) -> String {
    String::from_utf8(message.body().to_vec()).unwrap()
}

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
async fn close_waits_for_what_is_held() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..1));
    let consumer = consumer(&broker, |builder| builder).await;
    let held = next(&consumer).await;
    let handle = consumer.handle();
    let closing = tokio::spawn(async move { handle.close().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    held.ack().await.unwrap();
    within(closing).await.unwrap();
    assert_eq!(broker.offset("t", 0), Some(1));
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
async fn a_nack_comes_again_with_its_topic_and_the_next_attempt() {
    let broker = Broker::start("t", 1).await;
    broker.add_topic(RETRY, 1);
    broker.store("t", 0, "A", numbers(0..1));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer).await.nack().await.unwrap();
    let again = next(&consumer).await;
    assert_eq!(
        (again.attempt(), again.topic(), again.offset()),
        (2, "t", 0)
    );
    again.dead_letter().await.unwrap();
    let asked = broker.requests::<SendBack>();
    assert_eq!(
        asked
            .iter()
            .map(|asked| asked.delay_level)
            .collect::<Vec<_>>(),
        [0, -1]
    );
    assert_eq!(
        (asked[0].physical_offset, asked[0].max_reconsume_times),
        (1000, Some(16))
    );
    nothing_comes(&consumer).await;
}

#[tokio::test]
async fn the_retry_topic_is_found_when_it_appears() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..1));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer)
        .await
        .nack_after(Duration::from_secs(4))
        .await
        .unwrap();
    assert_eq!(broker.requests::<SendBack>()[0].delay_level, 2);
    assert_eq!(next(&consumer).await.attempt(), 2);
}

#[tokio::test]
async fn a_send_back_that_fails_holds_the_offset_and_goes_another_way() {
    let broker = Broker::start("t", 1).await;
    broker.add_topic(RETRY, 1);
    broker.store("t", 0, "A", numbers(0..2));
    // Both ways fail at first.
    broker.refuse::<SendBack>(
        usize::MAX,
        ResponseCode::SYSTEM_ERROR,
        "look message by offset failed",
    );
    broker.refuse::<SendMessage>(2, ResponseCode::SYSTEM_BUSY, "busy");
    let consumer = consumer(&broker, |builder| builder.max_redeliveries(3)).await;
    let nacked = next(&consumer).await.nack();
    next(&consumer).await.ack().await.unwrap();
    tokio::time::sleep(Duration::from_millis(250)).await;
    let early: Vec<i64> = broker
        .requests::<UpdateOffset>()
        .iter()
        .map(|told| told.commit_offset)
        .collect();
    assert!(early.iter().all(|offset| *offset == 0), "{early:?}");
    within(nacked).await.unwrap();
    let again = next(&consumer).await;
    assert_eq!(
        (again.attempt(), again.topic(), text(&again)),
        (2, "t", "0".to_owned())
    );
    let sent = broker.requests::<SendMessage>().pop().unwrap();
    assert_eq!(
        (sent.reconsume_times, sent.max_reconsume_times),
        (Some(1), Some(3))
    );
    let properties = crate::proto::message::properties::decode(&sent.properties.unwrap());
    assert_eq!(properties.get("DELAY"), Some("3"));
    assert_eq!(properties.get("RETRY_TOPIC"), Some("t"));
    assert!(properties.get("ORIGIN_MESSAGE_ID").is_some());
    until("both are settled", || broker.offset("t", 0) == Some(2)).await;
}

#[tokio::test]
async fn a_dropped_delivery_is_sent_back_once_after_the_delay_that_is_set() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..2));
    let consumer = consumer(&broker, |builder| {
        builder.retry_delay(Duration::from_secs(61))
    })
    .await;
    drop(next(&consumer).await);
    let (received, acker) = next(&consumer).await.into_parts();
    assert_eq!(received.offset(), 1);
    drop(acker);
    until("two send-backs", || {
        broker.requests::<SendBack>().len() == 2
    })
    .await;
    assert!(
        broker
            .requests::<SendBack>()
            .iter()
            .all(|asked| asked.delay_level == 6)
    );
    until("offset 2", || broker.offset("t", 0) == Some(2)).await;
}

#[tokio::test]
async fn the_decision_is_recorded_when_the_call_is_made() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..2));
    let consumer = consumer(&broker, |builder| builder).await;
    drop(next(&consumer).await.ack());
    drop(next(&consumer).await.nack());
    until("one send-back", || broker.requests::<SendBack>().len() == 1).await;
    until("offset 2", || broker.offset("t", 0) == Some(2)).await;
}

#[tokio::test]
async fn a_release_is_the_next_to_come_and_counts_nothing() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = consumer(&broker, |builder| builder).await;
    let first = next(&consumer).await;
    let second = next(&consumer).await;
    first.release().await.unwrap();
    let again = next(&consumer).await;
    assert_eq!((again.offset(), again.attempt()), (0, 1));
    again.ack().await.unwrap();
    second.ack().await.unwrap();
    assert!(broker.requests::<SendBack>().is_empty());
}

#[tokio::test]
async fn a_delivery_held_too_long_goes_back_and_is_stale() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..1));
    let consumer = consumer(&broker, |builder| {
        builder.settle_timeout(Duration::from_millis(200))
    })
    .await;
    let held = next(&consumer).await;
    until("sent back", || broker.requests::<SendBack>().len() == 1).await;
    assert_eq!(held.ack().await.unwrap_err().kind(), ErrorKind::Stale);
    until("offset 1", || broker.offset("t", 0) == Some(1)).await;
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
async fn a_broker_in_trouble_is_asked_again_and_receivers_hear_nothing_of_it() {
    let broker = Broker::start("t", 1).await;
    broker.refuse::<PullMessage>(3, ResponseCode::SYSTEM_ERROR, "store is busy");
    broker.store("t", 0, "A", numbers(0..1));
    let consumer = consumer(&broker, |builder| builder).await;
    assert_eq!(next(&consumer).await.offset(), 0);
}

#[tokio::test]
async fn a_refused_login_fails_the_start_and_ends_a_running_consumer() {
    let broker = Broker::start("t", 1).await;
    let refused = "User:mallory no permission to access topic t";
    broker.refuse::<Heartbeat>(1, ResponseCode::NO_PERMISSION, refused);
    let client = client(&broker).await;
    let build = || client.consumer("g").subscribe("t", "*").build();
    assert_eq!(within(build()).await.unwrap_err().kind(), ErrorKind::Auth);
    broker.refuse::<QueryOffset>(2, ResponseCode::NO_PERMISSION, refused);
    assert_eq!(within(build()).await.unwrap_err().kind(), ErrorKind::Auth);
    broker.refuse::<QueryOffset>(0, ResponseCode::SUCCESS, "");

    let consumer = within(build()).await.unwrap();
    broker.refuse::<PullMessage>(usize::MAX, ResponseCode::NO_PERMISSION, refused);
    assert_eq!(
        within(consumer.recv()).await.unwrap_err().kind(),
        ErrorKind::Auth
    );
    assert!(consumer.recv().await.unwrap().is_none());
    within(consumer.close()).await;
    let asked = broker.requests::<PullMessage>().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        broker.requests::<PullMessage>().len(),
        asked,
        "no retry loop"
    );
}

#[tokio::test]
async fn a_missing_group_is_a_typed_error() {
    let broker = Broker::start("t", 1).await;
    let consumer = consumer(&broker, |builder| builder).await;
    broker.refuse::<PullMessage>(
        1,
        ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
        "subscription group not exist",
    );
    let error: Error = within(consumer.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.code(),
        Some(&ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST)
    );
}

#[tokio::test]
async fn a_queue_that_moves_to_another_member_is_given_up_with_its_offset() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer).await.ack().await.unwrap();
    let held = next(&consumer).await;
    // It sorts in front, and takes the only queue.
    broker.state().others.push("0.0.0.0@1".to_owned());
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    until("offset 1", || broker.offset("t", 0) == Some(1)).await;
    assert_eq!(
        within(held.ack()).await.unwrap_err().kind(),
        ErrorKind::Stale
    );
    nothing_comes(&consumer).await;
    let pulls = || {
        broker
            .requests::<PullMessage>()
            .iter()
            .filter(|pull| &*pull.topic == "t")
            .count()
    };
    let before = pulls();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(pulls(), before, "a revoked epoch pulls no more");
    assert_eq!(broker.offset("t", 0), Some(1));
    // And it comes back.
    broker.state().others.clear();
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    assert_eq!(next(&consumer).await.offset(), 1);
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
async fn a_list_without_this_consumer_changes_nothing() {
    let broker = Broker::start("t", 1).await;
    let consumer = consumer(&broker, |builder| builder).await;
    // As after a restart of the broker, before the next heartbeat.
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    broker.store("t", 0, "A", numbers(0..1));
    assert_eq!(next(&consumer).await.offset(), 0);
}

#[tokio::test]
async fn handlers_that_fail_panic_or_hang_do_not_end_the_consumer() {
    let broker = Broker::start("t", 1).await;
    broker.add_topic(RETRY, 1);
    broker.store(
        "t",
        0,
        "A",
        ["fail", "panic", "hang", "good"].map(str::to_owned),
    );
    let consumer = consumer(&broker, |builder| {
        builder.settle_timeout(Duration::from_millis(500))
    })
    .await;
    let (done, handle) = (Arc::new(AtomicUsize::new(0)), consumer.handle());
    let counted = Arc::clone(&done);
    let running = consumer.run(move |message| {
        let done = Arc::clone(&counted);
        async move {
            if message.attempt() == 1 {
                match &*text(&message) {
                    "fail" => return Err("not yet"),
                    "panic" => panic!("a handler's bug"),
                    "hang" => std::future::pending().await,
                    _ => {}
                }
            }
            done.fetch_add(1, Ordering::AcqRel);
            Ok(Settle::Ack)
        }
    });
    let watch = async {
        until("all four are handled", || done.load(Ordering::Acquire) == 4).await;
        handle.close().await;
    };
    let (ran, ()) = within(async { tokio::join!(running, watch) }).await;
    ran.unwrap();
    assert_eq!(
        (broker.offset("t", 0), broker.offset(RETRY, 0)),
        (Some(4), Some(3))
    );
}

#[tokio::test]
async fn no_more_handlers_run_than_are_allowed() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..50));
    let consumer = consumer(&broker, |builder| builder.concurrency(3)).await;
    let (now, most, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (n, m, d) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&done));
    let running = consumer.run(move |_| {
        let (now, most, done) = (Arc::clone(&n), Arc::clone(&m), Arc::clone(&d));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::AcqRel);
            done.fetch_add(1, Ordering::AcqRel);
            Ok::<_, Error>(Settle::Ack)
        }
    });
    let handle = consumer.handle();
    let watch = async {
        until("all are handled", || done.load(Ordering::Acquire) == 50).await;
        handle.close().await;
    };
    let (ran, ()) = within(async { tokio::join!(running, watch) }).await;
    ran.unwrap();
    assert_eq!(most.load(Ordering::Acquire), 3);
}

#[tokio::test]
async fn batches_are_full_or_late_and_settled_together() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..7));
    let consumer = consumer(&broker, |builder| builder.concurrency(1)).await;
    let (sizes, mut seen) = tokio::sync::mpsc::channel(8);
    let running = consumer.run_batch(3, Duration::from_millis(300), move |batch| {
        let sizes = sizes.clone();
        async move {
            sizes.send(batch.len()).await.unwrap();
            Ok::<_, Error>(Settle::Ack)
        }
    });
    let handle = consumer.handle();
    let watch = async {
        for size in [3, 3, 1] {
            assert_eq!(seen.recv().await, Some(size));
        }
        handle.close().await;
    };
    let (ran, ()) = within(async { tokio::join!(running, watch) }).await;
    ran.unwrap();
    assert_eq!(broker.offset("t", 0), Some(7));
}

#[tokio::test]
async fn a_consumer_is_a_stream() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let mut consumer = consumer(&broker, |builder| builder).await;
    for n in 0..3 {
        let delivery = within(consumer.next()).await.unwrap().unwrap();
        assert_eq!(delivery.offset(), n);
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
    assert!(consumer.next().await.is_none());
}

#[tokio::test]
async fn a_receiver_polled_once_and_left_alone_holds_nobody_up() {
    let broker = Broker::start("t", 1).await;
    let consumer = consumer(&broker, |builder| builder).await;
    let mut left: Vec<_> = (0..100).map(|_| Box::pin(consumer.recv())).collect();
    for alone in &mut left {
        assert!(futures_util::poll!(alone).is_pending());
    }
    broker.store("t", 0, "A", numbers(0..1));
    next(&consumer).await.ack().await.unwrap();
    drop(left);
}

#[tokio::test]
async fn a_dropped_consumer_stops_and_leaves_its_deliveries_stale() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..1));
    let client = client(&broker).await;
    let build = || {
        client
            .consumer("g")
            .subscribe("t", "*")
            .from(ConsumeFrom::First)
            .build()
    };
    let consumer = build().await.unwrap();
    let twice = build().await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Invalid);
    let held = next(&consumer).await;
    let handle = consumer.handle();
    drop(consumer);
    assert_eq!(held.ack().await.unwrap_err().kind(), ErrorKind::Stale);
    assert!(handle.is_closed());
    within(handle.close()).await;
    // The group is free again.
    let consumer = build().await.unwrap();
    assert_eq!(next(&consumer).await.offset(), 0);
}

#[tokio::test]
async fn closing_the_client_closes_its_consumers() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..2));
    let client = client(&broker).await;
    let consumer = client
        .consumer("g")
        .subscribe("t", "*")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    next(&consumer).await.ack().await.unwrap();
    within(client.close()).await.unwrap();
    assert!(consumer.recv().await.unwrap().is_none());
    assert_eq!(broker.offset("t", 0), Some(1));
    assert_eq!(broker.requests::<Unregister>().len(), 1);
}

#[tokio::test]
async fn bad_options_say_why() {
    let broker = Broker::start("t", 1).await;
    let client = client(&broker).await;
    let group = || client.consumer("g");
    for (builder, part) in [
        (group(), "no topic"),
        (
            client.consumer("").subscribe("t", "*"),
            "group name is empty",
        ),
        (group().subscribe("a b", "*"), "' '"),
        (group().subscribe("t", "A ||"), "an empty part"),
        (group().subscribe("t", "*").subscribe("t", "A"), "twice"),
        (
            group().subscribe("t", "*").prefetch_count(0),
            "prefetch_count is 0",
        ),
        (
            group().subscribe("t", "*").prefetch_topic_bytes(0),
            "prefetch_topic_bytes is 0",
        ),
        (
            group()
                .subscribe("t", "*")
                .allocation(Allocation::consistent_hash(0)),
            "virtual_nodes is 0",
        ),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    // None of them was left behind.
    group()
        .subscribe("t", "*")
        .build()
        .await
        .unwrap()
        .close()
        .await;
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

#[tokio::test]
async fn a_refusal_as_old_brokers_say_it_ends_the_consumer_too() {
    let broker = Broker::start("t", 1).await;
    let consumer = consumer(&broker, |builder| builder).await;
    let refused = "org.apache.rocketmq.acl.common.AclException: No default permission for t";
    broker.refuse::<PullMessage>(usize::MAX, ResponseCode::SYSTEM_ERROR, refused);
    assert_eq!(
        within(consumer.recv()).await.unwrap_err().kind(),
        ErrorKind::Auth
    );
}

#[tokio::test]
async fn the_allocation_that_is_set_decides_which_queues_are_read() {
    let broker = Broker::start("t", 4).await;
    for queue in 0..4 {
        broker.store("t", queue, "A", [queue.to_string()]);
    }
    // It sorts in front, and has queues 0 and 2.
    broker.state().others.push("0.0.0.0@1".to_owned());
    let consumer = consumer(&broker, |builder| builder.allocation(Allocation::circle())).await;
    let mut queues = [next(&consumer).await.queue(), next(&consumer).await.queue()];
    queues.sort_unstable();
    assert_eq!(queues, [1, 3]);
    nothing_comes(&consumer).await;
}

#[tokio::test]
async fn an_allocation_that_cannot_decide_fails_the_start_and_later_changes_nothing() {
    let broker = Broker::start("t", 1).await;
    let known = Arc::new(AtomicBool::new(false));
    let copy = Arc::clone(&known);
    let room = move |_: &str| copy.load(Ordering::Relaxed).then(|| "here".to_owned());
    let here = |_: &str| Some("here".to_owned());
    let nearby = Allocation::nearby(Allocation::averagely(), here, room);
    let builder = client(&broker).await.consumer("g").subscribe("t", "*");
    let builder = builder.from(ConsumeFrom::First).allocation(nearby);
    let error = within(builder.clone().build()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("no machine room"), "{error}");

    known.store(true, Ordering::Relaxed);
    let consumer = within(builder.build()).await.unwrap();
    known.store(false, Ordering::Relaxed);
    // It sorts in front, and would have the only queue.
    broker.state().others.push("0.0.0.0@1".to_owned());
    let asked = || broker.requests::<GetConsumerList>().len();
    let before = asked();
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    until("it is rebalanced", || asked() > before + 1).await;
    broker.store("t", 0, "A", numbers(0..1));
    assert_eq!(next(&consumer).await.offset(), 0);
}
