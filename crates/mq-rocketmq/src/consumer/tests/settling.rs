//! What becomes of a message: acknowledged, given back, dropped, held too long.

use std::time::Duration;

use mq_core::ErrorKind;

use super::broker::Broker;
use super::support::{RETRY, consumer, next, nothing_comes, numbers, text, until, within};
use crate::proto::ResponseCode;
use crate::proto::command::{SendBack, SendMessage, UpdateOffset};

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
