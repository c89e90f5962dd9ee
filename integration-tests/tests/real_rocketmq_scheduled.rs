//! Scheduled messages: never early by the broker's clock, and what can't be kept is an error, never a delivery at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::harness::{
    connect, first_broker, from_first, is_4, nameserver, next, producer, text, topic, unique, wall,
};
use mq_dev::proxy::Proxy;
use mq_rocketmq::{Client, Dialect, ErrorKind, Message, Outcome, ResponseCode};

/// What a test of one version says on the other, where it can't look at anything.
const ONLY_5: &str =
    "this broker has no timers: real_rocketmq_scheduled_exact_times_are_an_error_on_4x is its test";

fn ms(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Messages at mixed times, as a time and as a length of time: stored for delivery when the broker's clock shows the time or later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_scheduled_are_never_early_and_hardly_late() {
    if is_4() {
        println!("{ONLY_5}");
        return;
    }
    let (client, topic) = (connect().await, topic("scheduled", 4).await);
    let building = from_first(&client, &unique("group"), &topic).build();
    let consumer = building.await.unwrap();
    let producer = producer(&client).await;
    let mut due = Vec::new();
    for number in 0..24_u64 {
        let delay = Duration::from_millis(700 + number * 137 % 3000);
        let message = Message::new(&topic, number.to_string());
        let message = if number % 2 == 0 {
            message.deliver_at(wall() + delay)
        } else {
            message.deliver_after(delay)
        };
        let asked = wall();
        let receipt = producer.send(message).await.unwrap();
        let handle = receipt.scheduled().unwrap();
        assert!(!handle.is_past());
        let told = handle.due().unwrap();
        assert!(
            told >= asked + delay - Duration::from_millis(1),
            "{handle:?}"
        );
        due.push(ms(told));
    }
    let (mut stored, mut received) = (Vec::new(), Vec::new());
    for _ in 0..24 {
        let delivery = next(&consumer).await;
        let number: usize = text(&delivery).parse().unwrap();
        received.push(ms(wall()) - due[number]);
        let late = ms(delivery.stored_at()) - due[number];
        assert!(late >= 0, "message {number} was {} ms early", -late);
        stored.push(late);
        delivery.ack().await.unwrap();
    }
    println!("late by the broker's clock: {}", figures(&mut stored));
    println!("late at the consumer:       {}", figures(&mut received));
    // Its precision is 100 ms; this bound is for a machine that does other things too.
    assert!(stored.iter().all(|late| *late < 2000), "{stored:?}");
    client.close().await.unwrap();
}

fn figures(late: &mut [i64]) -> String {
    late.sort_unstable();
    let mean = late.iter().sum::<i64>() / i64::try_from(late.len()).unwrap();
    format!(
        "{} to {} ms, median {}, mean {mean}",
        late[0],
        late[late.len() - 1],
        late[late.len() / 2]
    )
}

/// The test brokers' levels 1 and 3 are 1 s and 2 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_scheduled_levels_work_everywhere() {
    let (client, topic) = (connect().await, topic("levels", 1).await);
    let building = from_first(&client, &unique("group"), &topic).build();
    let consumer = building.await.unwrap();
    let producer = producer(&client).await;
    let mut sent = Vec::new();
    for level in [3, 1] {
        let message = Message::new(&topic, level.to_string()).delay_level(level);
        let asked = ms(wall());
        let receipt = producer.send(message).await.unwrap();
        let handle = receipt.scheduled().unwrap();
        assert_eq!((handle.level(), handle.due()), (Some(level), None));
        let error = producer.cancel(handle).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        sent.push((level, asked));
    }
    for (level, seconds) in [("1", 1), ("3", 2)] {
        let delivery = next(&consumer).await;
        assert_eq!(text(&delivery), level);
        let from = sent
            .iter()
            .find(|(known, _)| known.to_string() == level)
            .unwrap()
            .1;
        let took = ms(delivery.stored_at()) - from;
        assert!(took >= seconds * 1000, "level {level} after {took} ms");
        delivery.ack().await.unwrap();
    }
    client.close().await.unwrap();
}

/// The past is at once, and told; by the broker itself, since our clock may be wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_scheduled_in_the_past_is_at_once_and_said() {
    if is_4() {
        println!("{ONLY_5}");
        return;
    }
    let (client, topic) = (connect().await, topic("past", 1).await);
    let producer = producer(&client).await;
    for time in [wall() - Duration::from_secs(9), UNIX_EPOCH, wall()] {
        let message = Message::new(&topic, "past").deliver_at(time);
        let receipt = producer.send(message).await.unwrap();
        let handle = receipt.scheduled().unwrap();
        assert!(handle.is_past(), "{handle:?}");
        let cancelled = producer.cancel(handle).await.unwrap();
        assert_eq!(cancelled, mq_rocketmq::Cancel::TooLate);
    }
    let after = Message::new(&topic, "past").deliver_after(Duration::ZERO);
    let receipt = producer.send(after).await.unwrap();
    assert!(receipt.scheduled().unwrap().is_past());
    // In the topic already, not in the wheel.
    assert_eq!(first_broker().await.max_offset(&topic, 0).await, 4);
    let plain = producer.send(Message::new(&topic, "plain")).await.unwrap();
    assert!(plain.scheduled().is_none());
    client.close().await.unwrap();
}

/// The broker's own maximum is three days, and nobody else's business.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_scheduled_beyond_the_maximum_is_an_error() {
    if is_4() {
        println!("{ONLY_5}");
        return;
    }
    let (client, topic) = (connect().await, topic("maximum", 1).await);
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let watched = Client::from_url(&format!("rocketmq://{}", proxy.addr())).unwrap();
    let watched = watched.connect().await.unwrap();
    let sender = producer(&watched).await;
    let day = Duration::from_secs(24 * 3600);
    let at = Message::new(&topic, "late").deliver_at(wall() + 4 * day);
    let after = Message::new(&topic, "late").deliver_after(4 * day);
    for message in [at, after] {
        let failed = sender.send(message).await.unwrap_err();
        let error = &failed.error;
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert_eq!(error.code(), Some(&ResponseCode::MESSAGE_ILLEGAL));
        assert_eq!(error.outcome(), Outcome::Rejected);
        assert!(error.hint().unwrap().contains("timerMaxDelaySec"));
        assert!(failed.message.schedule().is_some(), "given back as it was");
    }
    // Not tried again: it would fail again.
    assert_eq!(proxy.requests(310), 2);
    let message = Message::new(&topic, "in time").deliver_at(wall() + 2 * day);
    let receipt = producer(&client).await.send(message).await.unwrap();
    assert!(!receipt.scheduled().unwrap().is_past());
    watched.close().await.unwrap();
    client.close().await.unwrap();
}

/// 4.x would deliver at once without a word: nothing leaves, whatever the form of the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_scheduled_exact_times_are_an_error_on_4x() {
    let topic = topic("exact", 1).await;
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let through = format!("rocketmq://{}", proxy.addr());
    // 5.x is one that says so itself, or that is said to be 4.x.
    let dialect = if is_4() {
        Dialect::Auto
    } else {
        Dialect::Apache4
    };
    let client = Client::from_url(&through).unwrap().dialect(dialect);
    let client = client.connect().await.unwrap();
    let producer = producer(&client).await;
    let second = Duration::from_secs(1);
    for message in [
        Message::new(&topic, "x").deliver_at(wall() + second),
        Message::new(&topic, "x").deliver_after(second),
        Message::new(&topic, "x").deliver_at(wall() - second),
    ] {
        let failed = producer.send(message).await.unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::Unsupported, "{failed}");
        assert_eq!(failed.outcome(), Outcome::NotSent);
        let hint = failed.error.hint().unwrap();
        assert!(hint.contains("delay_level"), "{hint}");
    }
    assert_eq!(proxy.requests(310), 0, "something left");
    assert_eq!(first_broker().await.max_offset(&topic, 0).await, 0);
    client.close().await.unwrap();
}

/// One question a broker, before its first scheduled message; none for levels, none where the dialect is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_scheduled_asks_a_broker_once() {
    if is_4() {
        println!("{ONLY_5}");
        return;
    }
    let topic = topic("asks", 4).await;
    for (dialect, questions) in [("auto", 1), ("apache5", 0)] {
        let proxy = Proxy::builder(nameserver()).start().await.unwrap();
        let through = format!("rocketmq://{}?dialect={dialect}", proxy.addr());
        let client = Client::from_url(&through).unwrap().connect().await.unwrap();
        let producer = producer(&client).await;
        let level = Message::new(&topic, "level").delay_level(1);
        producer.send(level).await.unwrap();
        assert_eq!(proxy.requests(34), 0, "{dialect}");
        let sends = (0..50).map(|_| {
            let message = Message::new(&topic, "x").deliver_after(Duration::from_millis(500));
            producer.send(message).into_future()
        });
        for sent in futures_util::future::join_all(sends).await {
            sent.unwrap();
        }
        assert_eq!(proxy.requests(34), questions, "{dialect}");
        assert_eq!(proxy.requests(310), 51, "{dialect}");
        client.close().await.unwrap();
    }
}

/// A batch has no times: a broker would look at none of those inside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_scheduled_messages_of_a_batch_are_refused() {
    let (client, topic) = (connect().await, topic("batch", 1).await);
    let producer = producer(&client).await;
    let plain = Message::new(&topic, "plain");
    let results = producer
        .send_batch([plain.clone(), plain.delay_level(1)])
        .await;
    for result in results {
        let failed = result.unwrap_err();
        assert_eq!(failed.error.kind(), ErrorKind::Invalid, "{failed}");
        assert_eq!(failed.outcome(), Outcome::NotSent);
    }
    assert_eq!(first_broker().await.max_offset(&topic, 0).await, 0);
    client.close().await.unwrap();
}
