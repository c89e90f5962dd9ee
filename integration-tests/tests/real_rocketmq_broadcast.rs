//! Broadcasting: every member gets every message, whatever its language, and goes on where its own file says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::foreign::{self, Foreign};
use integration_tests::harness::{
    Child, Wire, committed, connect, first_broker, from_first, nameserver, next, now, producer,
    role, text, topic, unique, until, within,
};
use mq_rocketmq::{
    Client, ConsumeFrom, Consumer, ConsumerBuilder, ErrorKind, Event, Message, Producer, Settle,
};
use tokio::runtime::Runtime;

const WAIT: Duration = Duration::from_secs(60);

async fn send(producer: &Producer, topic: &str, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let message = Message::new(topic, number.to_string());
        producer.send(message).await.unwrap();
    }
}

/// A member that begins with the first message.
fn member(client: &Client, group: &str, topic: &str, dir: &Path) -> ConsumerBuilder {
    from_first(client, group, topic).broadcast(dir)
}

async fn eat(consumer: &Consumer, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        let delivery = next(consumer).await;
        assert_eq!((delivery.offset(), delivery.attempt()), (offset, 1));
        delivery.ack().await.unwrap();
    }
}

/// Receives so many messages, and nothing behind them.
async fn eat_all(consumer: &Consumer, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let delivery = next(consumer).await;
        seen.push(text(&delivery));
        delivery.ack().await.unwrap();
    }
    let more = tokio::time::timeout(Duration::from_secs(1), consumer.recv()).await;
    assert!(more.is_err(), "{more:?}");
    seen.sort_unstable();
    seen
}

/// What the file says of a topic's first queue.
fn kept(dir: &Path, group: &str, topic: &str) -> Option<i64> {
    let text = std::fs::read(dir.join(format!("offsets-{group}.json"))).ok()?;
    let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let brokers = file["offsets"][topic].as_object()?;
    brokers.values().next()?["0"].as_i64()
}

async fn is_kept(dir: &Path, group: &str, topic: &str, offset: i64) {
    let what = format!("the file says {offset}");
    until(WAIT, &what, async || {
        kept(dir, group, topic) == Some(offset)
    })
    .await;
}

/// 4.x brokers say 0 of a young queue when they have nothing stored.
async fn broker_has_none(group: &str, topic: &str, queue: i32) -> bool {
    committed(group, topic, queue).await.unwrap_or(0) == 0
}

/// Two of ours and one of Java in one group: each gets each message once, and the broker has no offset of the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17 and Maven"]
async fn real_rocketmq_broadcast_every_member_gets_every_message() {
    const COUNT: usize = 200;
    let (topic, group) = (topic("every", 4).await, unique("group"));
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // A group in one client has one consumer.
    let clients = [connect().await, connect().await];
    let [one, two] = [0, 1].map(|at| member(&clients[at], &group, &topic, dirs[at].path()));
    let (one, two) = (one.build().await.unwrap(), two.build().await.unwrap());
    let java = Foreign::Java.call(&nameserver(), &topic, &group);
    let java = java.broadcast().count(COUNT).linger(Duration::from_secs(2));
    let java = java.start_recv().await.unwrap();
    let producer = producer(&clients[0]).await;
    send(&producer, &topic, 0..i64::try_from(COUNT).unwrap()).await;
    let mut wanted: Vec<_> = (0..COUNT).map(|number| number.to_string()).collect();
    wanted.sort_unstable();
    let (ours, others) = tokio::join!(eat_all(&one, COUNT), eat_all(&two, COUNT));
    assert_eq!(ours, wanted);
    assert_eq!(others, wanted);
    let theirs = java.finish().await.unwrap();
    let mut theirs: Vec<_> = theirs.iter().map(foreign::Received::text).collect();
    theirs.sort_unstable();
    assert_eq!(theirs, wanted);
    for (consumer, dir) in [one, two].into_iter().zip(&dirs) {
        consumer.close().await;
        consumer.closed().await.unwrap();
        assert!(kept(dir.path(), &group, &topic) > Some(0));
    }
    for queue in 0..4 {
        assert!(broker_has_none(&group, &topic, queue).await);
    }
    for client in clients {
        client.close().await.unwrap();
    }
}

/// Closed and started again it goes on where the file says; what was sent meanwhile comes, and nothing twice. Another member is not
/// moved by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_broadcast_a_restart_goes_on_where_the_file_says() {
    let (client, topic, group) = (connect().await, topic("restart", 1).await, unique("group"));
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let producer = producer(&client).await;
    send(&producer, &topic, 0..10).await;
    let consumer = member(&client, &group, &topic, dir.path());
    let consumer = consumer.build().await.unwrap();
    eat(&consumer, 0..6).await;
    consumer.close().await;
    consumer.closed().await.unwrap();
    assert_eq!(kept(dir.path(), &group, &topic), Some(6));
    send(&producer, &topic, 10..15).await;
    // Where it begins is the file's to say, not the option's.
    let consumer = member(&client, &group, &topic, dir.path()).from(ConsumeFrom::Last);
    let consumer = consumer.build().await.unwrap();
    eat(&consumer, 6..15).await;
    consumer.close().await;
    let consumer = member(&client, &group, &topic, other.path());
    eat(&consumer.build().await.unwrap(), 0..15).await;
    client.close().await.unwrap();
}

/// Killed (-9), the process lets go of its file, and what was settled since the last write comes again: no more, and nothing is skipped.
#[test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
fn real_rocketmq_broadcast_killed_brings_what_was_since_the_last_write() {
    let runtime = Runtime::new().unwrap();
    match role("member") {
        Some(argument) => runtime.block_on(eat_until_killed(&argument)),
        None => runtime.block_on(kill_member()),
    }
}

async fn kill_member() {
    let (client, topic, group) = (connect().await, topic("killed", 1).await, unique("group"));
    let dir = tempfile::tempdir().unwrap();
    let producer = producer(&client).await;
    send(&producer, &topic, 0..10).await;
    let this = "real_rocketmq_broadcast_killed_brings_what_was_since_the_last_write";
    let argument = format!("{topic} {group} {}", dir.path().display());
    let hearing = tokio::task::spawn_blocking(move || {
        let mut child = Child::start(this, "member", &argument);
        child.hear("written");
        child
    });
    let mut child = hearing.await.unwrap();
    assert_eq!(kept(dir.path(), &group, &topic), Some(6));
    let refused = member(&client, &group, &topic, dir.path()).build().await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid, "in use");
    let mut child = tokio::task::spawn_blocking(move || {
        child.go();
        child.hear("settled");
        child
    })
    .await
    .unwrap();
    child.kill9();
    let at = kept(dir.path(), &group, &topic).unwrap();
    assert!((6..=9).contains(&at), "{at}");
    let consumer = member(&client, &group, &topic, dir.path());
    let consumer = consumer.build().await.unwrap();
    eat(&consumer, at..10).await;
    consumer.close().await;
    assert_eq!(kept(dir.path(), &group, &topic), Some(10));
    client.close().await.unwrap();
}

async fn eat_until_killed(argument: &str) {
    let mut words = argument.splitn(3, ' ');
    let [topic, group, dir] = [(); 3].map(|()| words.next().unwrap());
    let client = connect().await;
    let consumer = member(&client, group, topic, Path::new(dir));
    let consumer = consumer.build().await.unwrap();
    eat(&consumer, 0..6).await;
    is_kept(Path::new(dir), group, topic, 6).await;
    Child::say("written", 6);
    tokio::task::spawn_blocking(Child::wait_for_go)
        .await
        .unwrap();
    eat(&consumer, 6..9).await;
    Child::say("settled", 9);
    // Until it is killed.
    tokio::time::sleep(Duration::from_secs(300)).await;
}

/// A handler that fails gets the message again, from this process and with the next attempt; the offset waits for it; one that fails for ever is
/// skipped and told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_broadcast_what_fails_comes_again_in_place() {
    let (client, topic, group) = (connect().await, topic("fails", 1).await, unique("group"));
    let dir = tempfile::tempdir().unwrap();
    let mut events = client.events();
    let producer = producer(&client).await;
    send(&producer, &topic, 0..10).await;
    let consumer = member(&client, &group, &topic, dir.path());
    let consumer = consumer.retry_delay(Duration::from_secs(10));
    let consumer = consumer.max_redeliveries(2).build().await.unwrap();
    let handle = consumer.handle();
    let seen: Arc<Mutex<BTreeMap<i64, Vec<u32>>>> = Arc::default();
    let told = Arc::clone(&seen);
    let running = tokio::spawn(async move {
        let handler = move |message: mq_rocketmq::Received| {
            let (offset, attempt) = (message.offset(), message.attempt());
            told.lock()
                .unwrap()
                .entry(offset)
                .or_default()
                .push(attempt);
            async move {
                match offset {
                    3 if attempt < 3 => Err("not yet"),
                    7 => Ok(Settle::RetryAfter(Duration::from_secs(1))),
                    _ => Ok(Settle::Ack),
                }
            }
        };
        consumer.run(handler).await
    });
    // Below the one that waits, whatever is settled behind it.
    is_kept(dir.path(), &group, &topic, 3).await;
    let skipped = async {
        loop {
            if let Some(Event::MessageSkipped {
                offset, attempts, ..
            }) = events.next().await
            {
                return (offset, attempts);
            }
        }
    };
    assert_eq!(within(WAIT, "an event", skipped).await, (7, 3));
    is_kept(dir.path(), &group, &topic, 10).await;
    handle.close().await;
    handle.closed().await.unwrap();
    running.await.unwrap().unwrap();
    let wanted = (0..10).map(|offset| (offset, vec![1]));
    let mut wanted: BTreeMap<_, _> = wanted.collect();
    wanted.extend([3, 7].map(|offset| (offset, vec![1, 2, 3])));
    assert_eq!(*seen.lock().unwrap(), wanted);
    assert!(broker_has_none(&group, &topic, 0).await);
    client.close().await.unwrap();
}

/// A topic grows from four queues to eight: within 30 s a member that began last reads all of them, from their beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_broadcast_new_queues_are_read_within_30_seconds() {
    let (client, topic, group) = (connect().await, topic("grows", 4).await, unique("group"));
    let dir = tempfile::tempdir().unwrap();
    let producer = producer(&client).await;
    let consumer = member(&client, &group, &topic, dir.path()).from(ConsumeFrom::Last);
    let consumer = consumer.build().await.unwrap();
    assert_eq!(consumer.assignment().len(), 4);
    let begun = now();
    let mut broker = first_broker().await;
    broker.create_topic(&topic, 8, false).await;
    let mut wire = Wire::connect(&nameserver()).await.unwrap();
    until(WAIT, "the nameserver knows", async || {
        let route = wire.route(&topic).await;
        route.queues.iter().any(|share| share.read_queue_nums == 8)
    })
    .await;
    // Another client sees all eight at once, before the consumer does.
    let other = connect().await;
    let early = self::producer(&other).await;
    let mut queues = BTreeSet::new();
    for number in 0..32 {
        let message = Message::new(&topic, number.to_string());
        queues.insert(early.send(message).await.unwrap().queue());
    }
    assert_eq!(queues.len(), 8);
    send(&producer, &topic, 32..40).await;
    let mut left: BTreeSet<_> = (0..40).map(|number| number.to_string()).collect();
    while !left.is_empty() {
        let delivery = next(&consumer).await;
        assert!(left.remove(&text(&delivery)), "once each");
        delivery.ack().await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "read");
    assert_eq!(consumer.assignment().len(), 8);
    consumer.close().await;
    consumer.closed().await.unwrap();
    for client in [client, other] {
        client.close().await.unwrap();
    }
}
