//! The rate limit: as many messages as it says, whoever receives, and what it does not let through comes later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mq_core::{ErrorKind, RateLimit};

use super::broker::Broker;
use super::support::{RETRY, Stopwatch, consumer, next, nothing_comes, numbers, until, within};
use crate::proto::command::SendBack;
use crate::{Consumer, ConsumerBuilder, Error, Settle};

async fn full(
    count: usize,
    set: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
) -> (Broker, Consumer) {
    let broker = Broker::start("t", 1).await;
    broker.add_topic(RETRY, 1);
    broker.store("t", 0, "A", numbers(0..count));
    let consumer = consumer(&broker, set).await;
    (broker, consumer)
}

#[tokio::test]
async fn a_receiver_gets_as_many_as_the_limit_says_and_a_burst_after_a_pause() {
    let limit = RateLimit::per_second(100);
    let (_broker, consumer) = full(600, |builder| builder.rate_limit(limit)).await;
    let begun = Stopwatch::start();
    for _ in 0..500 {
        next(&consumer).await.ack().await.unwrap();
    }
    let took = begun.elapsed().as_secs_f64();
    // The first ten at once.
    assert!((4.85..5.0).contains(&took), "{took}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begun = Stopwatch::start();
    for _ in 0..11 {
        next(&consumer).await.ack().await.unwrap();
    }
    assert!(
        (9..=20).contains(&begun.elapsed().as_millis()),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn handlers_are_limited_and_so_are_lanes_and_batches() {
    for ordered in [false, true] {
        let set = |builder: ConsumerBuilder| {
            let builder = builder.rate_limit(RateLimit::per_second(100));
            if ordered { builder.ordered() } else { builder }
        };
        let (_broker, consumer) = full(160, set).await;
        let count = Arc::new(AtomicUsize::new(0));
        let (one, batch) = (Arc::clone(&count), Arc::clone(&count));
        let begun = Stopwatch::start();
        let running = async {
            let first = consumer.run(move |_| {
                one.fetch_add(1, Ordering::AcqRel);
                async { Ok::<_, Error>(Settle::Ack) }
            });
            let _ = tokio::time::timeout(Duration::from_millis(800), first).await;
            consumer
                .run_batch(8, Duration::from_millis(1), move |messages| {
                    batch.fetch_add(messages.len(), Ordering::AcqRel);
                    async { Ok::<_, Error>(Settle::Ack) }
                })
                .await
        };
        let handle = consumer.handle();
        let watch = async {
            until("all", || count.load(Ordering::Acquire) >= 160).await;
            let took = begun.elapsed().as_secs_f64();
            handle.close().await;
            took
        };
        let (ran, took) = tokio::join!(running, watch);
        ran.unwrap();
        assert!(took >= 1.48, "{took}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_left_alone_holds_nothing() {
    let limit = RateLimit::per_second(20).burst(1);
    let (_broker, consumer) = full(4, |builder| builder.rate_limit(limit)).await;
    next(&consumer).await.ack().await.unwrap();
    let mut left: Vec<_> = (0..10).map(|_| Box::pin(consumer.recv())).collect();
    for alone in &mut left {
        assert!(futures_util::poll!(alone).is_pending());
    }
    for _ in 0..3 {
        next(&consumer).await.ack().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_asked_for_too_long_goes_back_and_no_more_than_that() {
    let limit = RateLimit::per_second(1).wait(Duration::from_millis(250));
    let set = |builder: ConsumerBuilder| builder.rate_limit(limit).concurrency(5);
    let (broker, consumer) = full(200, set).await;
    let handled = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&handled);
    let running = consumer.run(move |_| {
        told.fetch_add(1, Ordering::AcqRel);
        async { Ok::<_, Error>(Settle::Ack) }
    });
    let handle = consumer.handle();
    let watch = async {
        // One is let through at once; then five are asked for at a time, four times a second.
        until("some go back", || broker.requests::<SendBack>().len() >= 10).await;
        handle.close().await;
    };
    let begun = Stopwatch::start();
    let (ran, ()) = within(async { tokio::join!(running, watch) }).await;
    ran.unwrap();
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(450), "{took:?}");
    let back = broker.requests::<SendBack>();
    assert!(
        back.iter().all(|asked| asked.delay_level == 0),
        "the broker's delay for the attempt"
    );
    let handled = handled.load(Ordering::Acquire);
    // What is neither handled nor sent back is still to come; retries came in between.
    let offset = usize::try_from(broker.offset("t", 0).unwrap()).unwrap();
    assert!(
        offset <= handled + back.len() && offset >= 10,
        "{offset} {handled} {}",
        back.len()
    );
}

#[tokio::test]
async fn slow_handlers_send_nothing_back() {
    let limit = RateLimit::per_second(1000).wait(Duration::from_millis(50));
    let set = |builder: ConsumerBuilder| builder.rate_limit(limit).concurrency(2);
    let (broker, consumer) = full(20, set).await;
    let handled = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&handled);
    let running = consumer.run(move |_| {
        let told = Arc::clone(&told);
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            told.fetch_add(1, Ordering::AcqRel);
            Ok::<_, Error>(Settle::Ack)
        }
    });
    let handle = consumer.handle();
    let watch = async {
        until("all", || handled.load(Ordering::Acquire) == 20).await;
        handle.close().await;
    };
    let (ran, ()) = within(async { tokio::join!(running, watch) }).await;
    ran.unwrap();
    assert!(broker.requests::<SendBack>().is_empty());
    assert_eq!(broker.offset("t", 0), Some(20));
}

#[tokio::test]
async fn of_an_ordered_consumer_the_queue_is_suspended_uncounted() {
    let limit = RateLimit::per_second(2)
        .burst(1)
        .wait(Duration::from_millis(100));
    let set = |builder: ConsumerBuilder| {
        builder
            .rate_limit(limit)
            .ordered()
            .suspend(Duration::from_millis(600))
    };
    let (broker, consumer) = full(3, set).await;
    let begun = Stopwatch::start();
    for offset in 0..3 {
        let delivery = next(&consumer).await;
        assert_eq!((delivery.offset(), delivery.attempt()), (offset, 1));
        delivery.ack().await.unwrap();
    }
    // Asked for 100 ms, then suspended for 600, by when the gate is open: twice.
    assert!(
        begun.elapsed() > Duration::from_millis(1300),
        "{:?}",
        begun.elapsed()
    );
    assert!(broker.requests::<SendBack>().is_empty());
    nothing_comes(&consumer).await;
}

#[tokio::test]
async fn in_broadcasting_it_goes_on_waiting() {
    let limit = RateLimit::per_second(4)
        .burst(1)
        .wait(Duration::from_millis(20));
    let dir = tempfile::tempdir().unwrap();
    let set = |builder: ConsumerBuilder| builder.rate_limit(limit).broadcast(dir.path());
    let (_broker, consumer) = full(3, set).await;
    for offset in 0..3 {
        let delivery = next(&consumer).await;
        assert_eq!((delivery.offset(), delivery.attempt()), (offset, 1));
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn no_messages_a_second_are_refused() {
    let broker = Broker::start("t", 1).await;
    for limit in [RateLimit::per_second(0), RateLimit::per_second(5).burst(0)] {
        let builder = super::support::client(&broker)
            .await
            .consumer("g")
            .subscribe("t", "*");
        let error = builder.rate_limit(limit).build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
