//! Ways of receiving, and the end of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use mq_core::ErrorKind;

use super::broker::Broker;
use super::support::{RETRY, client, consumer, next, numbers, text, until, within};
use crate::proto::Request as _;
use crate::proto::command::{GetConsumerList, Unregister};
use crate::{ConsumeFrom, Error, Settle};

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
    // The group is free again, and what the first one had still to tell the broker does not hit the second.
    broker
        .state()
        .delay
        .insert(Unregister::CODE.0, Duration::from_millis(200));
    let consumer = build().await.unwrap();
    assert_eq!(next(&consumer).await.offset(), 0);
    assert_eq!(broker.requests::<Unregister>().len(), 1);
    assert_eq!(broker.state().members("g").len(), 1);
    drop(consumer);
    until("it has left", || broker.state().members("g").is_empty()).await;
}

#[tokio::test]
async fn a_build_that_is_dropped_takes_its_leave() {
    let broker = Broker::start("t", 1).await;
    let client = client(&broker).await;
    // It is known to the broker, which does not say which clients are in the group.
    let slow = Duration::from_secs(60);
    broker.state().delay.insert(GetConsumerList::CODE.0, slow);
    let building = client.consumer("g").subscribe("t", "*").build();
    let known = until("a member", || broker.state().members("g").len() == 1);
    tokio::select! {
        _ = building => panic!("built without a list"),
        () = known => {}
    }
    until("it has left", || broker.state().members("g").is_empty()).await;
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
