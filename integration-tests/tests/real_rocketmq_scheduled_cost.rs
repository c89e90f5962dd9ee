//! What a scheduled send costs beside a plain one. A process of its own, with one test and one thread: it counts the CPU time of the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use integration_tests::harness::{connect, is_4, producer, topic};
use mq_rocketmq::{Message, Producer};

const ROUNDS: usize = 9;
const SENDS: u64 = 2000;

/// Taking turns, and the cheapest round of each kind counts: what else the machine does can only make a round dearer. The goal is 1.1 of a release build, which
/// `just bench-rocketmq-flows` measures; the limit here is a debug build's.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_scheduled_sends_cost_little_more() {
    let (client, topic) = (connect().await, topic("cost", 4).await);
    let producer = producer(&client).await;
    let (mut plain, mut scheduled) = (u64::MAX, u64::MAX);
    // The first round makes connections, and asks for the version.
    round(&producer, |number| later(&topic, number)).await;
    for _ in 0..ROUNDS {
        plain = plain.min(round(&producer, |number| message(&topic, number)).await);
        scheduled = scheduled.min(round(&producer, |number| later(&topic, number)).await);
    }
    println!("{SENDS} sends each: plain {plain} us, scheduled {scheduled} us of CPU");
    assert!(
        scheduled * 3 <= plain * 4,
        "plain {plain}, scheduled {scheduled}"
    );
    client.close().await.unwrap();
}

fn message(topic: &str, number: u64) -> Message {
    Message::new(topic, format!("{number:01024}"))
}

/// In about an hour; 4.x knows only levels.
fn later(topic: &str, number: u64) -> Message {
    let message = message(topic, number);
    if is_4() {
        message.delay_level(18)
    } else {
        message.deliver_after(Duration::from_secs(3600 + number % 60))
    }
}

/// The microseconds of CPU that so many sends take.
async fn round(producer: &Producer, message: impl Fn(u64) -> Message) -> u64 {
    let before = cpu_us();
    let mut results = pin!(producer.send_all(stream::iter((0..SENDS).map(message))));
    while let Some(result) = results.next().await {
        result.unwrap();
    }
    cpu_us() - before
}

/// What this process's threads have used until now, in microseconds.
fn cpu_us() -> u64 {
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        let ns: u64 = stat.split(' ').next().unwrap().parse().unwrap();
        ns / 1000
    };
    std::fs::read_dir("/proc/self/task").unwrap().map(of).sum()
}
