//! Broadcasting: every member has all of it, and its offsets in a file of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use mq_core::{Clock as _, ErrorKind, Retry, SystemClock};
use tempfile::TempDir;

use super::broker::Broker;
use super::support::{client, consumer, next, nothing_comes, numbers, until, within};
use crate::proto::Request;
use crate::proto::command::{
    GetConsumerList, Heartbeat, PullMessage, QueryOffset, QueueKey, ResetOffset, SendBack,
    SendMessage, UpdateOffset,
};
use crate::{
    Client, ConsumeFrom, Consumer, ConsumerBuilder, Event, Events, QueueRef, Result, SeekTo,
};

/// A directory with the file of group `g`.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("offsets-g.json")
    }

    /// What the file says of a queue of topic `t`.
    fn offset(&self, queue: i32) -> Option<i64> {
        let text = std::fs::read(self.file()).ok()?;
        let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
        file["offsets"]["t"]["b"][queue.to_string()].as_i64()
    }

    async fn says(&self, queue: i32, offset: i64) {
        let what = format!("the file says {offset}");
        until(&what, || self.offset(queue) == Some(offset)).await;
    }

    /// From now on, or not any more, nothing can be written.
    fn obstruct(&self, obstructed: bool) {
        let next = self.0.path().join("offsets-g.json.tmp");
        if obstructed {
            std::fs::create_dir(next).unwrap();
        } else {
            std::fs::remove_dir(next).unwrap();
        }
    }

    async fn consumer(&self, broker: &Broker) -> Consumer {
        consumer(broker, |builder| builder.broadcast(self.0.path())).await
    }

    fn builder(&self, client: &Client) -> ConsumerBuilder {
        let builder = client.consumer("g").subscribe("t", "*");
        builder.from(ConsumeFrom::First).broadcast(self.0.path())
    }
}

async fn eat(consumer: &Consumer, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        let delivery = next(consumer).await;
        assert_eq!((delivery.offset(), delivery.attempt()), (offset, 1));
        delivery.ack().await.unwrap();
    }
}

async fn hear<T>(events: &mut Events, which: fn(Event) -> Option<T>) -> T {
    let hearing = async {
        loop {
            if let Some(found) = which(events.next().await.expect("the client lives")) {
                return found;
            }
        }
    };
    within(hearing).await
}

async fn skipped(events: &mut Events) -> (i64, u32) {
    let which = |event| match event {
        Event::MessageSkipped {
            offset, attempts, ..
        } => Some((offset, attempts)),
        _ => None,
    };
    hear(events, which).await
}

/// Nothing of it went to a broker.
fn asked_for_nothing<R: Request>(broker: &Broker) {
    assert!(broker.requests::<R>().is_empty(), "{:?}", R::CODE);
}

#[tokio::test]
async fn every_queue_is_ours_whoever_is_in_the_group_and_the_broker_stores_nothing() {
    let broker = Broker::start("t", 4).await;
    for queue in 0..4 {
        broker.store("t", queue, "A", numbers(0..5));
    }
    broker.state().others = vec!["0.0.0.0@1".to_owned(), "9.9.9.9@2".to_owned()];
    let (one, two) = (Place::new(), Place::new());
    let members = [one.consumer(&broker).await, two.consumer(&broker).await];
    for (member, place) in members.iter().zip([&one, &two]) {
        assert_eq!(member.assignment().len(), 4, "and no retry topic");
        for _ in 0..20 {
            next(member).await.ack().await.unwrap();
        }
        within(member.close()).await;
        member.closed().await.unwrap();
        for queue in 0..4 {
            assert_eq!(place.offset(queue), Some(5));
        }
    }
    for heartbeat in broker.requests::<Heartbeat>() {
        for told in heartbeat.consumers {
            assert_eq!(told.message_model.as_deref(), Some("BROADCASTING"));
            let topics: Vec<_> = told.subscriptions.iter().map(|one| &*one.topic).collect();
            assert_eq!(topics, ["t"]);
        }
    }
    asked_for_nothing::<GetConsumerList>(&broker);
    asked_for_nothing::<QueryOffset>(&broker);
    asked_for_nothing::<UpdateOffset>(&broker);
}

#[tokio::test]
async fn it_goes_on_where_the_file_says_and_keeps_what_it_does_not_know() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..10));
    let text = r#"{"version": 1, "group": "g", "offsets":
        {"t": {"b": {"0": 3, "7": 70}, "gone": {"0": 5}}, "other": {"b": {"0": 1}}}}"#;
    std::fs::write(place.file(), text).unwrap();
    let consumer = place.consumer(&broker).await;
    eat(&consumer, 3..6).await;
    // Acknowledged above one that is not: it stays behind.
    let held = next(&consumer).await;
    eat(&consumer, 7..10).await;
    let closing = tokio::spawn({
        let handle = consumer.handle();
        async move { handle.close().await }
    });
    assert!(consumer.recv().await.unwrap().is_none());
    drop(held);
    within(closing).await.unwrap();
    let file: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.file()).unwrap()).unwrap();
    let wanted = serde_json::json!(
        {"t": {"b": {"0": 6, "7": 70}, "gone": {"0": 5}}, "other": {"b": {"0": 1}}});
    assert_eq!(file["offsets"], wanted);
    // Closed, it does not have the file any more, though it is still there.
    eat(&place.consumer(&broker).await, 6..10).await;
}

/// Dropped without a close, as by a crash: what was written within the last 5 s comes again, and nothing else.
#[tokio::test]
async fn a_crash_brings_what_was_since_the_last_write() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..10));
    let crashed = place.consumer(&broker).await;
    eat(&crashed, 0..4).await;
    place.says(0, 4).await;
    eat(&crashed, 4..6).await;
    drop(crashed);
    assert_eq!(place.offset(0), Some(4));
    eat(&place.consumer(&broker).await, 4..10).await;
}

/// A new group that begins with what is sent from now on: from `build` on it is known where that is.
#[tokio::test]
async fn what_is_sent_after_build_comes_also_after_a_crash_at_once() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..3));
    let last = |builder: ConsumerBuilder| builder.broadcast(place.0.path()).from(ConsumeFrom::Last);
    drop(consumer(&broker, last).await);
    broker.store("t", 0, "A", numbers(3..5));
    eat(&consumer(&broker, last).await, 3..5).await;
}

/// A topic is made after `build`, and the consumer dies before its offsets are due: it is known all the same where it began.
#[tokio::test]
async fn a_topic_that_appears_before_a_crash_is_read_from_its_beginning() {
    let (broker, place) = (Broker::start("other", 1).await, Place::new());
    let first = client(&broker).await;
    let builder = |client: &Client| place.builder(client).from(ConsumeFrom::Last);
    let consumer = builder(&first).build().await.unwrap();
    let mut events = first.events();
    broker.add_topic("t", 1);
    broker.store("t", 0, "A", numbers(0..3));
    let taken_on =
        async { while !matches!(events.next().await, Some(Event::Rebalanced { .. })) {} };
    within(taken_on).await;
    drop(consumer);
    drop(first);
    let second = client(&broker).await;
    eat(&builder(&second).build().await.unwrap(), 0..3).await;
}

/// Topics and queues that appear later are read from their beginning, also by a group that begins last: it was there when they were filled.
#[tokio::test]
async fn queues_that_appear_are_read_from_their_beginning() {
    let (broker, place) = (Broker::start("t", 2).await, Place::new());
    broker.store("t", 0, "A", numbers(0..3));
    let first = client(&broker).await;
    let builder = |client| place.builder(client).from(ConsumeFrom::Last);
    let consumer = builder(&first).subscribe("later", "*");
    let consumer = consumer.build().await.unwrap();
    nothing_comes(&consumer).await;
    broker.add_topic("t", 3);
    broker.store("t", 2, "A", numbers(0..2));
    broker.store("later", 0, "A", numbers(0..2));
    first.shared().routes.refresh_soon("t");
    for _ in 0..4 {
        let delivery = next(&consumer).await;
        assert!(delivery.queue() == 2 || delivery.topic() == "later");
        delivery.ack().await.unwrap();
    }
    within(consumer.close()).await;
    // And while it was away.
    broker.add_topic("t", 4);
    broker.store("t", 3, "A", numbers(0..1));
    let second = client(&broker).await;
    let consumer = builder(&second).build().await.unwrap();
    let delivery = next(&consumer).await;
    assert_eq!((delivery.queue(), delivery.offset()), (3, 0));
}

#[tokio::test]
async fn what_fails_is_delivered_again_here_and_holds_the_offset() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..6));
    let set = |builder: ConsumerBuilder| {
        let builder = builder.broadcast(place.0.path());
        let builder = builder.retry_delay(Duration::from_secs(1));
        builder.settle_timeout(Duration::from_secs(3))
    };
    let consumer = consumer(&broker, set).await;
    let begun = SystemClock.now();
    next(&consumer).await.nack().await.unwrap();
    drop(next(&consumer).await);
    let held = next(&consumer).await;
    next(&consumer)
        .await
        .nack_after(Duration::from_secs(4))
        .await
        .unwrap();
    eat(&consumer, 4..6).await;
    let mut held = Some(held);
    let mut again = Vec::new();
    for _ in 0..4 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.attempt(), 2);
        let took = SystemClock.now().saturating_duration_since(begun);
        assert!(took >= Duration::from_secs(1), "{took:?}");
        assert!(place.offset(0) <= Some(3), "3 is not settled");
        if delivery.offset() == 2 {
            // Whoever still has the first delivery of it settles nothing by that.
            let late = held.take().unwrap().ack().await.unwrap_err();
            assert_eq!(late.kind(), ErrorKind::Stale);
        }
        again.push(delivery.offset());
        delivery.ack().await.unwrap();
    }
    assert_eq!(again.pop(), Some(3), "4 s is rounded up to 5 s");
    again.sort_unstable();
    assert_eq!(again, [0, 1, 2]);
    within(consumer.close()).await;
    assert_eq!(place.offset(0), Some(6));
    asked_for_nothing::<SendBack>(&broker);
    asked_for_nothing::<SendMessage>(&broker);
}

#[tokio::test]
async fn what_failed_often_enough_and_what_is_dead_is_skipped_and_told() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..3));
    let client = client(&broker).await;
    let mut events = client.events();
    let builder = place.builder(&client).max_redeliveries(1);
    let builder = builder.retry_delay(Duration::from_secs(1));
    let consumer = builder.build().await.unwrap();
    next(&consumer).await.dead_letter().await.unwrap();
    assert_eq!(skipped(&mut events).await, (0, 1));
    next(&consumer).await.nack().await.unwrap();
    eat(&consumer, 2..3).await;
    next(&consumer).await.nack().await.unwrap();
    assert_eq!(skipped(&mut events).await, (1, 2));
    nothing_comes(&consumer).await;
    within(consumer.close()).await;
    assert_eq!(place.offset(0), Some(3));
    asked_for_nothing::<SendBack>(&broker);
}

/// What waits for its next delivery is not lost by closing, which does not wait for it; the attempts are counted anew.
#[tokio::test]
async fn what_waits_when_it_closes_comes_after_a_restart() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = place.consumer(&broker).await;
    next(&consumer).await.nack().await.unwrap();
    eat(&consumer, 1..3).await;
    let closing = tokio::time::timeout(Duration::from_secs(2), consumer.close());
    closing.await.expect("sooner than the 5 s of what is held");
    assert_eq!(place.offset(0), Some(0));
    eat(&place.consumer(&broker).await, 0..3).await;
}

#[tokio::test]
async fn a_release_is_the_next_to_come() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..2));
    let consumer = place.consumer(&broker).await;
    next(&consumer).await.release().await.unwrap();
    eat(&consumer, 0..2).await;
}

#[tokio::test]
async fn a_queue_holds_its_room_for_what_waits() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..8));
    let set = |builder: ConsumerBuilder| {
        let builder = builder.broadcast(place.0.path());
        builder.prefetch_count(4).pull_batch(2)
    };
    let consumer = consumer(&broker, set).await;
    for _ in 0..4 {
        next(&consumer).await.nack().await.unwrap();
    }
    nothing_comes(&consumer).await;
    let pulls = broker.requests::<PullMessage>();
    assert!(pulls.iter().all(|pull| pull.queue_offset < 4), "{pulls:?}");
}

#[tokio::test]
async fn seeking_pausing_and_an_operators_order_are_followed_and_kept() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..10));
    let consumer = place.consumer(&broker).await;
    eat(&consumer, 0..2).await;
    let queue = QueueRef::new("t", "b", 0);
    let failed = next(&consumer).await.nack();
    consumer.seek(&queue, SeekTo::Offset(8)).await.unwrap();
    place.says(0, 8).await;
    // Of the epoch that has ended, like everything that was held.
    drop(failed);
    eat(&consumer, 8..10).await;
    let key = QueueKey {
        broker_name: "b".to_owned(),
        queue_id: 0,
        topic: "t".to_owned(),
    };
    let held = seek_to_the_first(&consumer, &queue).await;
    broker.tell(&ResetOffset {
        topic: "t".into(),
        group: "g".into(),
        timestamp_ms: 1,
        is_force: Some(true),
        offsets: vec![(key, 5)],
    });
    place.says(0, 5).await;
    assert_eq!(held.ack().await.unwrap_err().kind(), ErrorKind::Stale);
    consumer.pause();
    nothing_comes(&consumer).await;
    consumer.resume();
    eat(&consumer, 5..6).await;
    // Closed before it has gone there.
    consumer.seek(&queue, SeekTo::Offset(1)).await.unwrap();
    within(consumer.close()).await;
    assert_eq!(place.offset(0), Some(1));
    asked_for_nothing::<UpdateOffset>(&broker);
}

async fn seek_to_the_first(consumer: &Consumer, queue: &QueueRef) -> crate::Delivery {
    consumer.seek(queue, SeekTo::First).await.unwrap();
    let held = next(consumer).await;
    assert_eq!(held.offset(), 0);
    held
}

#[tokio::test]
async fn an_offset_whose_messages_are_deleted_goes_on_at_the_beginning() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.state().begins = 4;
    broker.store("t", 0, "A", numbers(4..6));
    let text = r#"{"version": 1, "group": "g", "offsets": {"t": {"b": {"0": 1}}}}"#;
    std::fs::write(place.file(), text).unwrap();
    let consumer = place.consumer(&broker).await;
    eat(&consumer, 4..6).await;
    within(consumer.close()).await;
    assert_eq!(place.offset(0), Some(6));
}

#[tokio::test]
async fn a_file_that_is_in_use_or_damaged_fails_the_start_and_is_left_alone() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    let (ours, other) = (client(&broker).await, client(&broker).await);
    let first = place.builder(&ours).build().await.unwrap();
    let path = place.file().display().to_string();
    let refused = place.builder(&other).build().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let text = refused.to_string();
    assert!(
        text.contains("another consumer uses") && text.contains(&path),
        "{text}"
    );
    within(first.close()).await;
    std::fs::write(place.file(), "not what it was").unwrap();
    let refused = place.builder(&other).build().await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.retry()),
        (ErrorKind::Invalid, Retry::Never)
    );
    let text = refused.to_string();
    assert!(text.contains("damaged") && text.contains(&path), "{text}");
    assert_eq!(
        std::fs::read_to_string(place.file()).unwrap(),
        "not what it was"
    );
    // As it says.
    std::fs::remove_file(place.file()).unwrap();
    drop(place.builder(&other).build().await.unwrap());
    drop(
        place
            .builder(&other)
            .build()
            .await
            .expect("a dropped one has let it go"),
    );
}

#[tokio::test]
async fn a_file_that_can_not_be_written_is_told_and_tried_again_while_messages_go_on() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..10));
    let client = client(&broker).await;
    let mut events = client.events();
    let consumer = place.builder(&client).build().await.unwrap();
    place.obstruct(true);
    eat(&consumer, 0..3).await;
    let reason = hear(&mut events, |event| match event {
        Event::OffsetsNotStored { reason, .. } => Some(reason),
        _ => None,
    });
    let reason = reason.await;
    assert!(
        reason.contains("offsets-g.json") && reason.contains("irectory"),
        "{reason}"
    );
    eat(&consumer, 3..5).await;
    place.obstruct(false);
    place.says(0, 5).await;

    eat(&consumer, 5..6).await;
    place.obstruct(true);
    within(consumer.close()).await;
    let failed = consumer.closed().await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.retry()),
        (ErrorKind::Invalid, Retry::Later)
    );
    consumer.closed().await.expect("told once");
    assert_eq!(place.offset(0), Some(5));
}

#[tokio::test]
async fn what_can_not_be_written_fails_the_start_and_the_end_of_a_client() {
    let (broker, place) = (Broker::start("t", 1).await, Place::new());
    broker.store("t", 0, "A", numbers(0..3));
    let client = client(&broker).await;
    place.obstruct(true);
    let refused = place.builder(&client).build().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    place.obstruct(false);
    let consumer = place.builder(&client).build().await.unwrap();
    eat(&consumer, 0..3).await;
    place.obstruct(true);
    let failed: Result<()> = within(client.close()).await;
    assert!(failed.unwrap_err().to_string().contains("offsets-g.json"));
}
