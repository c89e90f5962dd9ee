//! A long backlog and slow handlers: what is not asked for yet stays at the broker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use integration_tests::harness::{
    Child, Meter, connect, from_first, producer, role, size, topic, unique,
};
use mq_rocketmq::{ConsumerBuilder, Message, RateLimit, Settle};
use tokio::runtime::Runtime;

const BODY: usize = 1024;
const MOST: u64 = 48 << 20;

/// CI: 100 000 messages of 1 KiB, 15 s. Full: a million, a minute.
#[test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
fn real_rocketmq_a_backlog_and_a_slow_handler_take_little_memory() {
    let runtime = Runtime::new().unwrap();
    if let Some(topic) = role("handler") {
        return runtime.block_on(handle(&topic, |builder| builder.concurrency(1)));
    }
    if let Some(topic) = role("limited") {
        // The limit of Huawei's guide; what it holds back for 3 s goes back to the broker.
        let limit = RateLimit::per_second(2).wait(Duration::from_secs(3));
        return runtime.block_on(handle(&topic, |builder| {
            builder.concurrency(16).rate_limit(limit)
        }));
    }
    let count = size(100_000, 1_000_000);
    let topic = runtime.block_on(fill(count));
    let this = "real_rocketmq_a_backlog_and_a_slow_handler_take_little_memory";
    let children = ["handler", "limited"].map(|role| (role, Child::start(this, role, &topic)));
    for (role, mut child) in children {
        let peak: u64 = child.hear("peak").parse().unwrap();
        let handled: u64 = child.hear("handled").parse().unwrap();
        println!(
            "{count} messages of {BODY} bytes, {role}, {handled} handled: {} KiB",
            peak >> 10
        );
        assert!(handled >= size(10, 50), "{role}: {handled} handled");
        assert!(peak <= MOST, "{role}: {} KiB", peak >> 10);
        assert!(child.wait().success());
    }
}

async fn fill(count: usize) -> String {
    let (client, topic) = (connect().await, topic("backlog", 8).await);
    let producer = producer(&client).await;
    let sends = stream::iter(0..count).map(|_| {
        let message = Message::new(&topic, vec![b'x'; BODY]);
        producer.send(message).into_future()
    });
    let failed = sends
        .buffer_unordered(256)
        .filter(|sent| std::future::ready(sent.is_err()))
        .count()
        .await;
    assert_eq!(failed, 0);
    client.close().await.unwrap();
    topic
}

/// Each message takes a second. Every option that is not set is as it is by default, but where the group begins.
async fn handle(topic: &str, set: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder) {
    let client = connect().await;
    let builder = set(from_first(&client, &unique("group"), topic));
    let consumer = builder.build().await.unwrap();
    let handle = consumer.handle();
    let handled = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&handled);
    let running = tokio::spawn(async move {
        let eat = move |_| {
            let counted = Arc::clone(&counted);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                counted.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Settle::Ack)
            }
        };
        consumer.run(eat).await
    });
    tokio::time::sleep(Duration::from_secs(size(15, 60))).await;
    Child::say("peak", Meter::read().peak);
    Child::say("handled", handled.load(Ordering::Relaxed));
    handle.close().await;
    running.await.unwrap().unwrap();
    client.close().await.unwrap();
}
