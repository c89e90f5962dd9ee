//! Starting and stopping, many times and in every way: tasks, sockets and memory stay what they were. The only tests of their binary, one
//! after another, since they look at the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::time::Duration;

use integration_tests::harness::{Meter, connect, from_first, next, size, topic, unique, until};
use mq_rocketmq::{Message, Producer};
use tokio::runtime::{Handle, Runtime};

const WAIT: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
fn real_rocketmq_starting_and_stopping_leaves_nothing_behind() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (topic, group) = (topic("cycles", 1).await, unique("group"));
        cycles(&topic, &group, 200).await;
        let before = At::rest(0).await;
        let count = size(400, 1000);
        cycles(&topic, &group, count).await;
        let after = At::rest(before.tasks).await;
        println!("{count} cycles: {before:?}, then {after:?}");
        assert_eq!((after.tasks, after.files), (before.tasks, before.files));
        let grown = after.resident.saturating_sub(before.resident);
        assert!(grown < 8 << 20, "{} KiB more memory", grown >> 10);

        many_producers(&topic).await;
    });
    shut_down(runtime);
}

/// A client, a producer and a consumer each; closed, closed in part, or dropped.
async fn cycles(topic: &str, group: &str, count: usize) {
    for round in 0..count {
        let client = connect().await;
        let producer = client.producer("cycles").build().await.unwrap();
        let sent = producer.send(Message::new(topic, round.to_string())).await;
        sent.unwrap();
        let consumer = from_first(&client, group, topic).build().await.unwrap();
        next(&consumer).await.ack().await.unwrap();
        match round % 4 {
            0 => client.close().await.unwrap(),
            1 => {
                consumer.close().await;
                client.close().await.unwrap();
            }
            2 => consumer.close().await,
            _ => {}
        }
    }
}

/// What this process has.
#[derive(Debug)]
struct At {
    tasks: usize,
    files: usize,
    resident: u64,
}

impl At {
    /// Waits for what ends by itself, until there are so few tasks or nothing changes any more.
    async fn rest(tasks: usize) -> Self {
        let mut last = usize::MAX;
        until(WAIT, "tasks end", async || {
            let now = Handle::current().metrics().num_alive_tasks();
            let before = std::mem::replace(&mut last, now);
            tokio::time::sleep(Duration::from_millis(200)).await;
            now <= tasks || now == before
        })
        .await;
        let meter = Meter::read();
        Self {
            tasks: last,
            files: meter.files,
            resident: meter.resident,
        }
    }
}

/// 10 000 producers of one client share its connections, and go without a trace.
async fn many_producers(topic: &str) {
    let client = connect().await;
    let first = client.producer("many").build().await.unwrap();
    first.send(Message::new(topic, "first")).await.unwrap();
    let before = At::rest(0).await;
    let mut all: Vec<Producer> = Vec::new();
    for number in 0..10_000 {
        let group = format!("many-{}", number % 100);
        all.push(client.producer(&group).build().await.unwrap());
    }
    let sends = all.iter().map(|producer| {
        let sending = producer.send(Message::new(topic, "one")).timeout(WAIT);
        sending.into_future()
    });
    for sent in futures_util::future::join_all(sends).await {
        sent.unwrap();
    }
    let with = Meter::read();
    assert_eq!(with.files, before.files, "connections are shared");
    let each = with.resident.saturating_sub(before.resident) / 10_000;
    println!("{each} bytes a producer");
    assert!(each < 16 << 10, "{each} bytes a producer");
    drop(all);
    let after = At::rest(before.tasks).await;
    assert_eq!((after.tasks, after.files), (before.tasks, before.files));
    client.close().await.unwrap();
}

/// The runtime goes while a client is at work, and its handles after that.
fn shut_down(runtime: Runtime) {
    let (client, producer, consumer, delivery) = runtime.block_on(async {
        let (client, topic) = (connect().await, topic("shut", 1).await);
        let producer = client.producer("shut").build().await.unwrap();
        producer.send(Message::new(&topic, "held")).await.unwrap();
        let consumer = from_first(&client, &unique("group"), &topic)
            .build()
            .await
            .unwrap();
        let delivery = next(&consumer).await;
        (client, producer, consumer, delivery)
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(delivery);
    drop(producer);
    drop(consumer);
    drop(client);
}
