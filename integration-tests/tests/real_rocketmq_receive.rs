//! Receiving from real brokers: failures of handlers, messages that can't be read, filters, offsets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, poll};
use integration_tests::harness::{
    Child, Meter, Wire, bomb, committed, connect, drain, from_first, nameserver, next, now,
    producer, role, size, text, topic, unique, until, within,
};
use mq_core::decompress::Compression;
use mq_rocketmq::proto::command::SendMessage;
use mq_rocketmq::proto::message::SysFlag;
use mq_rocketmq::{Client, ConsumeFrom, Consumer, ErrorKind, Message, Settle};

const WAIT: Duration = Duration::from_secs(60);

async fn send(client: &Client, topic: &str, bodies: impl IntoIterator<Item = String>) {
    let producer = producer(client).await;
    for body in bodies {
        producer.send(Message::new(topic, body)).await.unwrap();
    }
}

fn numbers(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| number.to_string())
}

/// How many messages lie in the group's dead-letter queue, on all brokers.
async fn dead_letters(group: &str) -> i64 {
    let mut count = 0;
    for (_, mut broker) in Wire::brokers(&nameserver()).await {
        count += broker.max_offset(&format!("%DLQ%{group}"), 0).await;
    }
    count
}

/// A message whose handler fails, one whose handler panics, one whose handler hangs: three deliveries each, then the dead-letter queue; the
/// fine ones before and behind them are handled once, and the consumer goes on. CI: 3 failing messages. Full: 300.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_failing_handlers_retry_then_dead_letter() {
    let (client, topic, group) = (connect().await, topic("handler", 2).await, unique("group"));
    let consumer = from_first(&client, &group, &topic)
        .max_redeliveries(2)
        .concurrency(400)
        .settle_timeout(Duration::from_secs(1))
        .build()
        .await
        .unwrap();
    let handle = consumer.handle();
    let seen = Arc::default();
    let running = tokio::spawn(run_failing(consumer, Arc::clone(&seen)));
    let each = size(1, 100);
    let kinds = ["fine", "fail", "panic", "hang", "fine too"];
    let bodies = (0..each).flat_map(|number| kinds.map(|kind| format!("{kind} {number}")));
    send(&client, &topic, bodies).await;
    until(WAIT, "all failing ones are dead letters", async || {
        dead_letters(&group).await == 3 * each
    })
    .await;
    // The consumer is alive.
    send(&client, &topic, ["after".to_owned()]).await;
    until(WAIT, "the message after", async || {
        seen.lock().unwrap().contains_key("after")
    })
    .await;
    handle.close().await;
    running.await.unwrap().unwrap();

    let seen = seen.lock().unwrap().clone();
    assert_eq!(i64::try_from(seen.len()).unwrap(), 5 * each + 1);
    for (body, attempts) in seen {
        let fine = body.starts_with("fine") || body == "after";
        let expected: &[u32] = if fine { &[1] } else { &[1, 2, 3] };
        assert_eq!(attempts, expected, "{body}");
    }
    let dead = drain(
        &client,
        &format!("%DLQ%{group}"),
        usize::try_from(3 * each).unwrap(),
    )
    .await;
    let dead: BTreeSet<String> = dead.iter().map(text).collect();
    assert_eq!(i64::try_from(dead.len()).unwrap(), 3 * each);
    client.close().await.unwrap();
}

/// Attempts, by body.
type Attempts = Arc<Mutex<BTreeMap<String, Vec<u32>>>>;

async fn run_failing(consumer: Consumer, seen: Attempts) -> mq_rocketmq::Result<()> {
    let run = consumer.run(move |received| {
        let body = text(&received);
        let mut seen = seen.lock().unwrap();
        seen.entry(body.clone())
            .or_default()
            .push(received.attempt());
        async move {
            match body.split(' ').next().unwrap() {
                "fail" => Err("failed on purpose"),
                "panic" => panic!("on purpose"),
                "hang" => std::future::pending().await,
                _ => Ok(Settle::Ack),
            }
        }
    });
    run.await
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_dropped_delivery_comes_again() {
    let (client, topic, group) = (connect().await, topic("dropped", 1).await, unique("group"));
    let consumer = from_first(&client, &group, &topic)
        .max_redeliveries(1)
        .build()
        .await
        .unwrap();
    send(&client, &topic, ["dropped".to_owned(), "kept".to_owned()]).await;
    let first = next(&consumer).await;
    let id = first.unique_id().unwrap().to_owned();
    assert_eq!((text(&first), first.attempt()), ("dropped".into(), 1));
    drop(first);
    let kept = next(&consumer).await;
    assert_eq!(text(&kept), "kept");
    kept.ack().await.unwrap();
    let again = next(&consumer).await;
    assert_eq!((text(&again), again.attempt()), ("dropped".into(), 2));
    assert_eq!(again.unique_id(), Some(id.as_str()));
    assert_eq!(again.topic(), topic);
    // Dropped as a part, the same: it was the last attempt, so that it is a dead letter now.
    let (received, acker) = again.into_parts();
    drop(acker);
    until(WAIT, "a dead letter", async || {
        dead_letters(&group).await == 1
    })
    .await;
    assert_eq!(text(&received), "dropped");
    consumer.close().await;
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_settling_decides_what_becomes_of_a_message() {
    let (client, topic, group) = (connect().await, topic("settle", 1).await, unique("group"));
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    let names = ["nack", "after", "dead", "release"];
    send(&client, &topic, names.map(str::to_owned)).await;
    next(&consumer).await.nack().await.unwrap();
    let later = now();
    let wait = Duration::from_secs(30);
    next(&consumer).await.nack_after(wait).await.unwrap();
    next(&consumer).await.dead_letter().await.unwrap();
    // apache/rocketmq: ReputMessageService indexes what is stored a moment after the answer
    until(WAIT, "a dead letter", async || {
        dead_letters(&group).await == 1
    })
    .await;
    let released = next(&consumer).await;
    assert_eq!((text(&released), released.attempt()), ("release".into(), 1));
    released.release().await.unwrap();
    // In front of everything else, and not counted.
    let released = next(&consumer).await;
    assert_eq!((text(&released), released.attempt()), ("release".into(), 1));
    released.ack().await.unwrap();
    let mut again = BTreeMap::new();
    for _ in 0..2 {
        let delivery = next(&consumer).await;
        again.insert(text(&delivery), (delivery.attempt(), later.elapsed()));
        delivery.ack().await.unwrap();
    }
    assert_eq!(again["nack"].0, 2);
    assert_eq!(again["after"].0, 2);
    // 30 s is level 4, which the test broker's fast timers make 2 s.
    assert!(again["after"].1 >= Duration::from_millis(1900), "{again:?}");
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(4));
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_settle_timeout_takes_back_and_a_late_ack_is_stale() {
    let (client, topic, group) = (connect().await, topic("late", 1).await, unique("group"));
    let consumer = from_first(&client, &group, &topic)
        .settle_timeout(Duration::from_millis(500))
        .build()
        .await
        .unwrap();
    send(&client, &topic, ["late".to_owned()]).await;
    let held = next(&consumer).await;
    let again = next(&consumer).await;
    assert_eq!((text(&again), again.attempt()), ("late".into(), 2));
    again.ack().await.unwrap();
    let error = held.ack().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(1));
    client.close().await.unwrap();
}

/// Messages that only a wire can send: three bombs, a body that is not what it claims to be, and fine ones between them.
///
/// The receiving side is a process of its own, so that its memory is its own.
#[test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
fn real_rocketmq_what_can_not_be_decoded_comes_raw_with_the_reason() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(argument) = role("receiver") {
        return runtime.block_on(receive_bombs(&argument));
    }
    let (topic, group) = (runtime.block_on(topic("bombs", 1)), unique("group"));
    let bodies = runtime.block_on(send_bombs(&topic));
    let this = "real_rocketmq_what_can_not_be_decoded_comes_raw_with_the_reason";
    let mut child = Child::start(this, "receiver", &format!("{topic} {group}"));
    let grown: u64 = child.hear("grown").parse().unwrap();
    assert!(child.wait().success());
    // What lies here compressed (8.5 MiB), twice while a pull is read, and one output of 16 MiB that grew by doubling.
    assert!(grown < 96 << 20, "{} MiB", grown >> 20);
    // Every one was acknowledged, none was jumped over.
    let offset = runtime.block_on(committed(&group, &topic, 0));
    assert_eq!(offset, Some(bodies));
}

/// 1 GiB of lz4 is larger than the 4 MiB that a broker takes (its best ratio is 255): as much as goes in is sent.
const LZ4: u64 = 1000 << 20;

async fn send_bombs(topic: &str) -> i64 {
    let flag = |compression| SysFlag::default().compressed(compression).0;
    let bodies = [
        (0, Bytes::from_static(b"fine 0")),
        (flag(Compression::Zstd), bomb::zstd(10 << 30)),
        (flag(Compression::Zlib), bomb::zlib(4 << 30)),
        (0, Bytes::from_static(b"fine 1")),
        (flag(Compression::Lz4), bomb::lz4(LZ4)),
        (flag(Compression::Zlib), Bytes::from_static(b"not zlib")),
        // Compressed in a way that nobody has defined.
        (1 | 7 << 8, Bytes::from_static(b"unknown")),
        (0, Bytes::from_static(b"fine 2")),
    ];
    let mut brokers = Wire::brokers(&nameserver()).await;
    brokers.sort_by(|a, b| a.0.cmp(&b.0));
    for (sys_flag, body) in &bodies {
        let message = SendMessage {
            producer_group: "wire".into(),
            topic: topic.into(),
            default_topic: "TBW102".into(),
            default_queue_count: 4,
            queue_id: 0,
            sys_flag: *sys_flag,
            born_at_ms: 1,
            properties: Some("UNIQ_KEY\u{1}WIRE\u{2}".to_owned()),
            body: body.clone(),
            ..SendMessage::default()
        };
        brokers[0].1.send(&message).await.expect_ok();
    }
    i64::try_from(bodies.len()).unwrap()
}

async fn receive_bombs(argument: &str) {
    let (topic, group) = argument.split_once(' ').unwrap();
    let client = connect().await;
    let before = Meter::read().resident;
    let consumer = from_first(&client, group, topic).build().await.unwrap();
    let mut all = Vec::new();
    for offset in 0..8 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.offset(), offset);
        let reason = delivery.undecoded().map(ToString::to_string);
        all.push((delivery.body().len(), delivery.body().slice(..6), reason));
        delivery.ack().await.unwrap();
    }
    for (index, number) in [(0, 0), (3, 1), (7, 2)] {
        assert_eq!(all[index].1, format!("fine {number}"));
        assert_eq!(all[index].2, None);
    }
    for (index, part) in [
        (1, "more than"),
        (2, "more than"),
        (4, "more than"),
        (5, "not valid zlib"),
        (6, "not defined"),
    ] {
        let reason = all[index].2.as_deref().unwrap();
        assert!(reason.contains(part), "{index}: {reason}");
    }
    // As it came: compressed.
    assert_eq!(all[1].0, bomb::zstd(10 << 30).len());
    assert_eq!(all[5].1, "not zl");
    consumer.close().await;
    Child::say("grown", Meter::read().peak.saturating_sub(before));
    client.close().await.unwrap();
}

/// `Aa` and `BB` have the same Java hash: the broker lets both through, the client tells them apart.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_tags_of_equal_hash_are_told_apart() {
    let (client, topic, group) = (connect().await, topic("tags", 1).await, unique("group"));
    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "Aa || C")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    let producer = producer(&client).await;
    for tag in ["BB", "Aa", "BB", "D", "C", "BB", "D"] {
        let message = Message::new(&topic, tag).tag(tag);
        producer.send(message).await.unwrap();
    }
    for tag in ["Aa", "C"] {
        let delivery = next(&consumer).await;
        assert_eq!(
            (text(&delivery).as_str(), delivery.tag_text()),
            (tag, Some(tag))
        );
        delivery.ack().await.unwrap();
    }
    // The ones behind the last that is wanted are passed too: while it is open, within the 5 s of persisting.
    until(WAIT, "the offset is past all", async || {
        committed(&group, &topic, 0).await == Some(7)
    })
    .await;
    let mut more = Box::pin(consumer.recv());
    assert!(poll!(&mut more).is_pending());
    drop(more);
    consumer.close().await;
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_a_group_goes_on_where_it_closed() {
    let (client, topic, group) = (connect().await, topic("close", 1).await, unique("group"));
    send(&client, &topic, numbers(20)).await;
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    let mut held = Vec::new();
    for number in 0..10 {
        let delivery = next(&consumer).await;
        assert_eq!(text(&delivery), number.to_string());
        if number == 7 {
            held.push(delivery);
        } else {
            delivery.ack().await.unwrap();
        }
    }
    let handle = consumer.handle();
    let closing = tokio::spawn(async move { handle.close().await });
    within(WAIT, "none after close", async {
        while let Some(buffered) = consumer.recv().await.unwrap() {
            drop(buffered);
        }
    })
    .await;
    // Held while it closes and dropped then: released, not sent back.
    held.clear();
    within(WAIT, "closed", closing).await.unwrap();
    assert!(consumer.handle().is_closed());
    assert_eq!(committed(&group, &topic, 0).await, Some(7));

    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "*")
        .build()
        .await
        .unwrap();
    for number in 7..20 {
        let delivery = next(&consumer).await;
        assert_eq!(
            (text(&delivery), delivery.attempt()),
            (number.to_string(), 1)
        );
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(20));
    assert!(consumer.recv().await.unwrap().is_none());
    client.close().await.unwrap();
}

/// Recv, `Stream`, `run` and `run_batch` get every message once. CI: 500 messages each. Full: 50 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_every_way_of_receiving_gets_every_message() {
    let (client, topic, count) = (connect().await, topic("ways", 4).await, size(500, 50_000));
    send(&client, &topic, numbers(count)).await;
    let expected: BTreeSet<String> = numbers(count).collect();

    let consumer = from_first(&client, &unique("recv"), &topic)
        .build()
        .await
        .unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let delivery = next(&consumer).await;
        assert!(seen.insert(text(&delivery)), "twice");
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen, expected);
    consumer.close().await;

    let mut consumer = from_first(&client, &unique("stream"), &topic)
        .build()
        .await
        .unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let delivery = within(WAIT, "an item", consumer.next())
            .await
            .unwrap()
            .unwrap();
        assert!(seen.insert(text(&delivery)), "twice");
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen, expected);
    consumer.close().await;

    for batched in [false, true] {
        let consumer = from_first(&client, &unique("run"), &topic)
            .build()
            .await
            .unwrap();
        let handle = consumer.handle();
        let (seen, largest): (Arc<Mutex<Vec<String>>>, _) = (Arc::default(), Arc::default());
        let run = run_all(consumer, batched, Arc::clone(&seen), Arc::clone(&largest));
        let running = tokio::spawn(run);
        until(WAIT, "all messages", async || {
            seen.lock().unwrap().len() >= count
        })
        .await;
        handle.close().await;
        running.await.unwrap().unwrap();
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.len(), count);
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
        assert!(!batched || (2..=32).contains(&largest.load(Ordering::SeqCst)));
    }
    client.close().await.unwrap();
}

async fn run_all(
    consumer: Consumer,
    batched: bool,
    seen: Arc<Mutex<Vec<String>>>,
    largest: Arc<AtomicUsize>,
) -> mq_rocketmq::Result<()> {
    if !batched {
        let run = consumer.run(move |received| {
            seen.lock().unwrap().push(text(&received));
            std::future::ready(Ok::<_, String>(Settle::Ack))
        });
        return run.await;
    }
    let run = consumer.run_batch(32, Duration::from_millis(50), move |batch| {
        largest.fetch_max(batch.len(), Ordering::SeqCst);
        seen.lock().unwrap().extend(batch.iter().map(text));
        std::future::ready(Ok::<_, String>(Settle::Ack))
    });
    run.await
}

/// A `recv` that is dropped after any poll loses nothing. CI: 300 messages. Full: 30 000.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_recv_dropped_half_way_loses_nothing() {
    let (client, topic, count) = (connect().await, topic("cancel", 2).await, size(300, 30_000));
    let consumer = from_first(&client, &unique("group"), &topic)
        .build()
        .await
        .unwrap();
    let sending = tokio::spawn({
        let (client, topic) = (client.clone(), topic.clone());
        async move { send(&client, &topic, numbers(count)).await }
    });
    // One that is polled once and left alone while others receive.
    let mut left_alone = Box::pin(consumer.recv());
    let early = match poll!(&mut left_alone) {
        std::task::Poll::Ready(delivery) => delivery.unwrap(),
        std::task::Poll::Pending => None,
    };
    let (mut seen, mut dropped) = (BTreeSet::new(), 0);
    if let Some(delivery) = early {
        seen.insert(text(&delivery));
        delivery.ack().await.unwrap();
    }
    let deadline = now() + WAIT;
    while seen.len() < count {
        assert!(
            now() < deadline,
            "{} of {count} after {dropped} drops",
            seen.len()
        );
        let patience = Duration::from_micros(fastrand::u64(..500));
        match tokio::time::timeout(patience, consumer.recv()).await {
            Ok(delivery) => {
                let delivery = delivery.unwrap().unwrap();
                assert!(seen.insert(text(&delivery)), "twice");
                delivery.ack().await.unwrap();
            }
            Err(_) => dropped += 1,
        }
    }
    assert!(dropped > 0);
    drop(left_alone);
    sending.await.unwrap();
    consumer.close().await;
    client.close().await.unwrap();
}

/// Two members share the queues; when one closes, the other takes over; every message is handled, and none twice.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_members_of_a_group_share_and_take_over() {
    let (topic, group) = (topic("members", 4).await, unique("group"));
    let (one, two) = (connect().await, connect().await);
    let first = from_first(&one, &group, &topic).build().await.unwrap();
    let second = from_first(&two, &group, &topic).build().await.unwrap();
    let mut by_second = 0;
    let mut seen = BTreeSet::new();
    // The first gives queues up when the broker tells it of the second: until then it gets all.
    let deadline = now() + WAIT;
    let mut number = 0;
    while by_second < 10 {
        assert!(now() < deadline, "the second gets nothing");
        send(&one, &topic, [number.to_string()]).await;
        number += 1;
        let mut got = tokio::select! {
            delivery = next(&first) => delivery,
            delivery = next(&second) => { by_second += 1; delivery }
        };
        loop {
            let fresh = seen.insert(text(&got));
            // A queue that moves may bring what its old owner had in hand.
            let settled = got.ack().await;
            assert!(fresh || settled.is_ok());
            match tokio::time::timeout(Duration::from_millis(20), first.recv()).await {
                Ok(delivery) => got = delivery.unwrap().unwrap(),
                Err(_) => break,
            }
        }
    }
    first.close().await;
    let rest: Vec<String> = (number..number + 40)
        .map(|number| number.to_string())
        .collect();
    send(&two, &topic, rest.clone()).await;
    let all: BTreeSet<String> = (0..number + 40).map(|number| number.to_string()).collect();
    while seen.len() < all.len() {
        let delivery = next(&second).await;
        seen.insert(text(&delivery));
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen, all);
    second.close().await;
    let mut total = 0;
    for queue in 0..4 {
        total += committed(&group, &topic, queue).await.unwrap_or_default();
    }
    assert_eq!(total, i64::from(number) + 40);
    one.close().await.unwrap();
    two.close().await.unwrap();
}

/// The topic is created by sending to it, after the consumer was built: found within seconds, and nothing of it is missed.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_a_topic_that_comes_later_is_found_soon() {
    let (client, topic) = (connect().await, unique("later"));
    let consumer = from_first(&client, &unique("group"), &topic)
        .build()
        .await
        .unwrap();
    send(&client, &topic, numbers(20)).await;
    let started = now();
    for _ in 0..20 {
        next(&consumer).await.ack().await.unwrap();
    }
    // Looked for after 1, 2, 4 s; heard of by its brokers with the next heartbeat, which does not wait for the 30 s either.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    consumer.close().await;
    client.close().await.unwrap();
}

/// A second consumer of the group in one client would be one to the broker.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_a_second_consumer_of_a_group_in_one_client_is_refused() {
    let (client, topic, group) = (connect().await, topic("twice", 1).await, unique("group"));
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    let error = from_first(&client, &group, &topic)
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    consumer.close().await;
    // Once it is closed, there is room for another.
    from_first(&client, &group, &topic)
        .build()
        .await
        .unwrap()
        .close()
        .await;
    client.close().await.unwrap();
}

/// A group that may not consume: code 16 like a refused login, and yet another thing.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_a_forbidden_group_is_rejected_and_no_auth_error() {
    let (client, topic, group) = (
        connect().await,
        topic("forbidden", 1).await,
        unique("group"),
    );
    for (_, mut broker) in Wire::brokers(&nameserver()).await {
        broker.create_group(&group, false).await;
    }
    let building = from_first(&client, &group, &topic).build();
    let error = match within(WAIT, "build", building).await {
        Err(error) => error,
        Ok(consumer) => {
            let error = within(WAIT, "an error", consumer.recv()).await.unwrap_err();
            assert!(consumer.recv().await.unwrap().is_none());
            error
        }
    };
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    assert_eq!(error.code().map(|code| code.0), Some(16), "{error}");
    client.close().await.unwrap();
}

/// What is sent after `build` has returned is received, wherever the group begins.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_a_built_consumer_receives_what_is_sent_from_then_on() {
    let client = connect().await;
    for from in [ConsumeFrom::First, ConsumeFrom::Last] {
        let topic = topic("from", 4).await;
        send(&client, &topic, (0..8).map(|n| format!("before {n}"))).await;
        let consumer = client
            .consumer(&unique("group"))
            .subscribe(&topic, "*")
            .from(from)
            .build()
            .await
            .unwrap();
        send(&client, &topic, (0..8).map(|n| format!("after {n}"))).await;
        let mut after = 0;
        while after < 8 {
            let delivery = next(&consumer).await;
            after += usize::from(text(&delivery).starts_with("after"));
            delivery.ack().await.unwrap();
        }
        consumer.close().await;
    }
    client.close().await.unwrap();
}
