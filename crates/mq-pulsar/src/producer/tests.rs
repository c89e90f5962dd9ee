//! What a producer holds, gives up, writes again and answers, against a broker that answers as the test says.

use std::future::IntoFuture as _;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use mq_core::{ErrorKind, Outcome};

use self::broker::{Broker, Came};
use super::{Confirm, Producer, ProducerBuilder};
use crate::proto::api::ServerError;
use crate::{Client, Message};

mod broker;

const WAIT: Duration = Duration::from_secs(20);

async fn client(broker: &Broker) -> Client {
    Client::from_url(&broker.url)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// One message at a time, unless the test says something else.
async fn made(broker: &Broker, with: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Producer {
    let builder = client(broker).await.producer("t").batch_messages(1);
    with(builder).build().await.unwrap()
}

async fn enqueued(producer: &Producer, count: usize) -> Vec<Confirm> {
    let mut confirms = Vec::new();
    for number in 0..count {
        confirms.push(
            producer
                .enqueue(Message::new(number.to_string()))
                .await
                .unwrap(),
        );
    }
    confirms
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, work)
        .await
        .expect("it takes too long")
}

#[tokio::test]
async fn what_was_not_answered_is_written_again_in_its_order_and_under_its_numbers() {
    let mut broker = Broker::start().await;
    let producer = made(&broker, |builder| builder).await;
    let confirms = enqueued(&producer, 5).await;
    let mut first = Vec::new();
    for _ in 0..5 {
        first.push(broker.came().await);
    }
    broker.stored(&first[0]).await;
    broker.stored(&first[1]).await;
    let mut confirms = confirms.into_iter();
    for _ in 0..2 {
        assert_eq!(
            within(confirms.next().unwrap()).await.unwrap().attempts(),
            1
        );
    }
    broker.opens(false);
    broker.cut().await;
    while producer.handle.parts()[0].standing().unwrap() {
        tokio::task::yield_now().await;
    }
    let later = producer.enqueue(Message::new("later")).await.unwrap();
    broker.opens(true);
    for number in 2..6 {
        let came = broker.came().await;
        assert_eq!((came.head.sequence_id, came.link), (number, 1));
        broker.stored(&came).await;
    }
    for confirm in confirms {
        assert_eq!(within(confirm).await.unwrap().attempts(), 2);
    }
    assert_eq!(within(later).await.unwrap().sequence_id(), 5);
    assert_eq!(producer.last_sequence_id(), Some(5));
}

#[tokio::test]
async fn a_batch_is_written_again_as_it_was() {
    let mut broker = Broker::start().await;
    let producer = made(&broker, |builder| builder.batch_messages(3)).await;
    let confirms = enqueued(&producer, 7).await;
    let shape = |came: &Came| {
        let head = &came.head;
        (
            head.sequence_id,
            head.highest_sequence_id,
            head.num_messages,
        )
    };
    // The first goes at once; the others fill batches behind it.
    let mut first = Vec::new();
    while first.iter().map(|(_, _, count)| count).sum::<i32>() < 7 {
        first.push(shape(&broker.came().await));
    }
    broker.cut().await;
    let mut again = Vec::new();
    for _ in 0..first.len() {
        let came = broker.came().await;
        again.push(shape(&came));
        broker.stored(&came).await;
    }
    assert_eq!(again, first);
    let receipts = within(join_all(confirms)).await;
    let numbers: Vec<_> = receipts
        .iter()
        .map(|told| told.as_ref().unwrap().sequence_id())
        .collect();
    assert_eq!(numbers, (0..7).collect::<Vec<_>>());
    let ids = receipts
        .iter()
        .map(|told| told.as_ref().unwrap().id().unwrap());
    assert!(ids.is_sorted(), "ids are in the order of the messages");
}

#[tokio::test]
async fn a_full_window_waits_or_fails_and_who_is_not_polled_holds_nobody_up() {
    let mut broker = Broker::start().await;
    let producer = made(&broker, |builder| builder.window(2)).await;
    let mut confirms = enqueued(&producer, 2).await.into_iter();
    let mut unpolled = producer.enqueue(Message::new("left alone")).into_future();
    let mut next = producer.enqueue(Message::new("next")).into_future();
    let mut dropped = producer.enqueue(Message::new("dropped")).into_future();
    assert!(unpolled.as_mut().now_or_never().is_none());
    assert!(dropped.as_mut().now_or_never().is_none());
    assert!(next.as_mut().now_or_never().is_none());
    drop(dropped);
    let (a, b) = (broker.came().await, broker.came().await);
    broker.stored(&a).await;
    broker.stored(&b).await;
    assert!(within(confirms.next().unwrap()).await.is_ok());
    // Nobody polled the one before it, and it went.
    let next = within(next).await.unwrap();
    let (c, d) = (broker.came().await, broker.came().await);
    assert_eq!((c.head.sequence_id, d.head.sequence_id), (2, 3));
    broker.stored(&c).await;
    broker.stored(&d).await;
    assert!(within(next).await.is_ok());
    assert!(within(within(unpolled).await.unwrap()).await.is_ok());
    assert!(
        broker.has_nothing(),
        "what was dropped before there was room was sent"
    );

    let failing = made(&broker, |builder| builder.window(1).fail_when_full()).await;
    let _held = enqueued(&failing, 1).await;
    let failed = failing.send(Message::new("no room")).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Busy, Outcome::NotSent)
    );
    assert_eq!(&failed.message.body()[..], b"no room");
}

#[tokio::test]
async fn what_is_late_is_told_with_its_outcome_and_not_written_again() {
    let mut broker = Broker::start().await;
    let short = Duration::from_millis(300);
    let producer = made(&broker, |builder| builder.window(1).timeout(short)).await;
    let written = producer.enqueue(Message::new("written")).await.unwrap();
    let waiting = producer.send(Message::new("waiting")).into_future();
    let (written, waiting) = within(async { tokio::join!(written, waiting) }).await;
    let (written, waiting) = (written.unwrap_err(), waiting.unwrap_err());
    assert_eq!(
        (written.kind(), written.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    assert_eq!(
        (waiting.kind(), waiting.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    assert_eq!(&waiting.message.body()[..], b"waiting");
    let came = broker.came().await;
    assert_eq!(came.head.sequence_id, 0);
    // Its room is free when the connection is lost, and it is not written again; the number is used up.
    broker.cut().await;
    let next = producer
        .send(Message::new("next"))
        .timeout(WAIT)
        .into_future();
    let next = tokio::spawn(next);
    let came = broker.came().await;
    assert_eq!(came.head.sequence_id, 1);
    broker.stored(&came).await;
    assert!(within(next).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_refusal_that_is_a_messages_own_is_its_own_and_others_go_again() {
    let mut broker = Broker::start().await;
    let producer = made(&broker, |builder| builder).await;
    let mut confirms = enqueued(&producer, 3).await.into_iter();
    let (a, b, c) = (
        broker.came().await,
        broker.came().await,
        broker.came().await,
    );
    broker.refused(&a, ServerError::NotAllowedError).await;
    let failed = within(confirms.next().unwrap()).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Rejected, Outcome::Rejected)
    );
    assert_eq!(&failed.message.body()[..], b"0");
    broker.stored(&b).await;
    assert!(within(confirms.next().unwrap()).await.is_ok());
    // What the broker could not store is written again, by the producer that is opened anew.
    broker.refused(&c, ServerError::PersistenceError).await;
    let again = broker.came().await;
    assert_eq!(again.head.sequence_id, 2);
    broker.stored(&again).await;
    assert_eq!(
        within(confirms.next().unwrap()).await.unwrap().attempts(),
        2
    );
}

#[tokio::test]
async fn a_receipt_of_what_was_written_before_is_left_out() {
    let mut broker = Broker::start().await;
    let producer = made(&broker, |builder| builder).await;
    let mut confirms = enqueued(&producer, 2).await.into_iter();
    let (a, b) = (broker.came().await, broker.came().await);
    broker.stored(&a).await;
    assert!(within(confirms.next().unwrap()).await.is_ok());
    // The broker has a copy of it, and answers that too.
    broker.stored(&a).await;
    broker.refused(&b, ServerError::NotAllowedError).await;
    let failed = within(confirms.next().unwrap()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn the_memory_of_a_client_is_shared_by_its_producers() {
    let mut broker = Broker::start().await;
    let client = Client::from_url(&broker.url).unwrap().memory_limit(1000);
    let client = client.connect().await.unwrap();
    let one = client
        .producer("a")
        .batch_messages(1)
        .build()
        .await
        .unwrap();
    let other = client
        .producer("b")
        .batch_messages(1)
        .build()
        .await
        .unwrap();
    let large = one.enqueue(Message::new(vec![0; 900])).await.unwrap();
    let mut waiting = other.enqueue(Message::new(vec![0; 900])).into_future();
    assert!(waiting.as_mut().now_or_never().is_none());
    let came = broker.came().await;
    assert!(broker.has_nothing());
    broker.stored(&came).await;
    assert!(within(large).await.is_ok());
    let confirm = within(waiting).await.unwrap();
    let came = broker.came().await;
    broker.stored(&came).await;
    assert!(within(confirm).await.is_ok());
}

#[tokio::test]
async fn what_nobody_awaited_is_told_by_flush_and_by_close() {
    let mut broker = Broker::start().await;
    let producer = made(&broker, |builder| builder.linger(WAIT).batch_messages(10)).await;
    drop(enqueued(&producer, 1).await);
    let first = broker.came().await;
    drop(enqueued(&producer, 2).await);
    let flushing = tokio::spawn({
        let producer = producer.clone();
        async move { producer.flush().await }
    });
    // The rest does not wait for its time.
    let rest = broker.came().await;
    assert_eq!(rest.head.num_messages, 2);
    broker.stored(&first).await;
    broker.refused(&rest, ServerError::NotAllowedError).await;
    let unheard = within(flushing).await.unwrap().unwrap_err();
    assert_eq!(u64::try_from(unheard.last.len()).unwrap(), unheard.count);
    assert_eq!(unheard.count, 2, "{unheard}");
    assert!(within(producer.flush()).await.is_ok(), "it was told twice");
    let other = producer.clone();
    within(producer.close()).await.unwrap();
    let failed = other.send(Message::new("late")).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Closed);
}
