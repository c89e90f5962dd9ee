//! One ordered group of ours and of an official client: a queue is one member's at a time, and its order holds across them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::{Failure, Foreign, Received};
use integration_tests::harness::{
    broker_version, connect, from_first, nameserver, producer, topic, unique, until,
};
use mq_rocketmq::{Consumer, Error, Message, Producer, Settle};
use tokio::task::JoinHandle;

const QUEUES: usize = 4;
/// Sent for 25 s: a queue that theirs finds locked is asked for again after 20 s.
const COUNT: usize = 1600;

/// Queue and offset, in the order in which a member received them.
type Seen = Arc<Mutex<Vec<(usize, i64)>>>;

fn work(consumer: Arc<Consumer>) -> (Seen, JoinHandle<()>) {
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let running = tokio::spawn(async move {
        let handler = move |message: mq_rocketmq::Received| {
            let queue = usize::try_from(message.queue()).unwrap();
            told.lock().unwrap().push((queue, message.offset()));
            async { Ok::<_, Error>(Settle::Ack) }
        };
        consumer.run(handler).await.unwrap();
    });
    (seen, running)
}

async fn send(producer: Producer, topic: String) {
    for number in 0..COUNT {
        let message = Message::new(&topic, "x").ordering_key(number.to_string());
        producer.send(message).await.unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// Ours has all queues, theirs joins and gets half, ours goes: each message once, each member's in order.
async fn shares_with(test: &str, theirs: Foreign, version: &str) {
    theirs.build().await.unwrap();
    let record = Record::begin(
        test,
        "mq-rocketmq",
        "ordered",
        "one ordered group of ours and theirs",
    )
    .tier(Tier::Foreign)
    .version(version);
    let (client, topic, group) = (
        connect().await,
        topic("share", u32::try_from(QUEUES).unwrap()).await,
        unique("share"),
    );
    let sending = tokio::spawn(send(producer(&client).await, topic.clone()));
    let consumer = Arc::new(
        from_first(&client, &group, &topic)
            .ordered()
            .build()
            .await
            .unwrap(),
    );
    let (ours, running) = work(Arc::clone(&consumer));
    until(WAIT, "ours works", async || ours.lock().unwrap().len() > 20).await;
    let call = theirs.call(&nameserver(), &topic, &group).orderly();
    let call = call.count(1_000_000).deadline(Duration::from_secs(34));
    let receiving = call.start_recv().await.unwrap();
    sending.await.unwrap();
    // It leaves by itself; the rest is ours again.
    let theirs = match receiving.finish().await {
        Err(Failure::TimedOut { lines, .. }) => lines,
        other => panic!("{other:?}"),
    };
    let theirs: Vec<Received> = theirs
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let all = async || {
        let count = ours.lock().unwrap().len() + theirs.len();
        count >= COUNT
    };
    until(WAIT, "all are received", all).await;
    consumer.close().await;
    running.await.unwrap();
    let theirs: Vec<_> = theirs
        .iter()
        .map(|one| (one.queue as usize, i64::try_from(one.offset).unwrap()))
        .collect();
    let ours = ours.lock().unwrap().clone();
    assert!(theirs.len() > 20, "{}", theirs.len());
    in_order_and_once(&[ours, theirs]);
    client.close().await.unwrap();
    record.passed();
}

fn in_order_and_once(members: &[Vec<(usize, i64)>]) {
    let mut owners: BTreeMap<(usize, i64), usize> = BTreeMap::new();
    for (member, seen) in members.iter().enumerate() {
        for queue in 0..QUEUES {
            let of_queue: Vec<i64> = seen
                .iter()
                .filter(|one| one.0 == queue)
                .map(|one| one.1)
                .collect();
            assert!(
                of_queue.is_sorted(),
                "member {member}, queue {queue}: {of_queue:?}"
            );
        }
        for one in seen {
            let before = owners.insert(*one, member);
            assert_eq!(before, None, "{one:?} was given to two, or twice");
        }
    }
    assert_eq!(owners.len(), COUNT, "none is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17 and Maven"]
async fn real_rocketmq_ordered_group_with_java() {
    let test = "real_rocketmq_ordered_group_with_java";
    shares_with(test, Foreign::Java, &foreign("Java 5.5.0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL) and Go"]
async fn real_rocketmq_ordered_group_with_go() {
    let test = "real_rocketmq_ordered_group_with_go";
    shares_with(test, Foreign::Go, &foreign("Go v2.1.2")).await;
}

fn foreign(client: &str) -> String {
    format!("{client} on {}", broker_version())
}

const WAIT: Duration = Duration::from_secs(60);
