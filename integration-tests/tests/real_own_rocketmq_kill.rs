//! What dies: a consumer in the middle of its work, a broker under a producer. Nothing is lost, nothing piles up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::brokers::{Cluster, Profile};
use integration_tests::harness::{
    Child, Meter, committed, connect, next, role, size, topic, topic_at, unique, until, within,
};
use mq_rocketmq::{Client, ConsumeFrom, Delivery, Message, Outcome, Producer};
use tokio::runtime::Runtime;

const WAIT: Duration = Duration::from_secs(60);

/// Ten messages, all acknowledged but the fifth, then kill -9: it comes back, and none is skipped.
///
/// CI: once after the offset was persisted and once without waiting for that. Full: twenty times each.
#[test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
fn real_rocketmq_killed_consumer_gets_the_unsettled_message_back() {
    let runtime = Runtime::new().unwrap();
    if let Some(argument) = role("consumer") {
        return runtime.block_on(receive_ten(&argument));
    }
    for round in 0..size(2, 40) {
        runtime.block_on(kill_consumer(round % 2 == 0));
    }
}

async fn kill_consumer(persisted: bool) {
    let (client, topic, group) = (connect().await, topic("killed", 1).await, unique("group"));
    let producer = client.producer(&unique("producer")).build().await.unwrap();
    for number in 0..10 {
        producer
            .send(Message::new(&topic, format!("{number}")))
            .await
            .unwrap();
    }
    let this = "real_rocketmq_killed_consumer_gets_the_unsettled_message_back";
    let argument = format!("{topic} {group}");
    let mut child = tokio::task::spawn_blocking(move || {
        let mut child = Child::start(this, "consumer", &argument);
        assert_eq!(child.hear("acknowledged"), "9");
        child
    })
    .await
    .unwrap();
    if persisted {
        // Persisted every 5 s: below the message that is unsettled, whatever is settled behind it.
        until(WAIT, "the offset of the unsettled one", async || {
            committed(&group, &topic, 0).await == Some(UNSETTLED)
        })
        .await;
    }
    child.kill9();
    for number in 10..13 {
        producer
            .send(Message::new(&topic, format!("{number}")))
            .await
            .unwrap();
    }
    let consumer = client
        .consumer(&group)
        .subscribe(&topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    let mut back = Vec::new();
    while back.last() != Some(&12) {
        let delivery = next(&consumer).await;
        back.push(number_of(&delivery));
        assert_eq!(delivery.attempt(), 1, "a death is no failed attempt");
        delivery.ack().await.unwrap();
    }
    // What was settled below it may come twice when its offset was not persisted in time; nothing is left out.
    let first = back[0];
    assert!(
        first == UNSETTLED || (!persisted && first < UNSETTLED),
        "{back:?}"
    );
    assert!(back.iter().copied().eq(first..13), "{back:?}");
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(13));
    client.close().await.unwrap();
}

const UNSETTLED: i64 = 4;

async fn receive_ten(argument: &str) {
    let (topic, group) = argument.split_once(' ').unwrap();
    let client = connect().await;
    let consumer = client
        .consumer(group)
        .subscribe(topic, "*")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    let mut held = Vec::new();
    let mut seen = BTreeSet::new();
    while seen.len() < 10 {
        let delivery = next(&consumer).await;
        seen.insert(number_of(&delivery));
        if number_of(&delivery) == UNSETTLED {
            held.push(delivery);
        } else {
            delivery.ack().await.unwrap();
        }
    }
    Child::say("acknowledged", 10 - held.len());
    // Until it is killed.
    tokio::time::sleep(Duration::from_secs(300)).await;
}

fn number_of(delivery: &Delivery) -> i64 {
    std::str::from_utf8(delivery.body())
        .unwrap()
        .parse()
        .unwrap()
}

/// What became of sends.
#[derive(Default)]
struct Tally {
    acked: AtomicUsize,
    not_sent: AtomicUsize,
    unknown: AtomicUsize,
    rejected: AtomicUsize,
}

impl Tally {
    fn count(&self, result: Result<Outcome, ()>) {
        let counter = match result {
            Err(()) => &self.acked,
            Ok(Outcome::NotSent) => &self.not_sent,
            Ok(Outcome::Unknown) => &self.unknown,
            Ok(_) => &self.rejected,
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }

    fn read(&self) -> [usize; 4] {
        [&self.acked, &self.not_sent, &self.unknown, &self.rejected]
            .map(|counter| counter.load(Ordering::SeqCst))
    }
}

/// The broker is frozen (SIGSTOP), then killed (-9), under a producer with a window of 32 MiB that enqueues one message of 64 KiB after
/// the other. CI: 10 000 messages each. Full: 100 000.
#[test]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
fn real_own_rocketmq_lost_broker_bounds_memory_and_ends_every_send() {
    if let Some(argument) = role("sender") {
        return Runtime::new().unwrap().block_on(fill(&argument));
    }
    let cluster = Cluster::start(Profile::Rocketmq).unwrap();
    let runtime = Runtime::new().unwrap();
    let broker = cluster.broker("broker-a").unwrap();
    for fault in ["stop", "kill"] {
        let topic = runtime.block_on(topic_at(cluster.namesrv(), "lost", 4));
        let this = "real_own_rocketmq_lost_broker_bounds_memory_and_ends_every_send";
        let argument = format!("{} {topic}", cluster.url());
        let mut child = Child::start(this, "sender", &argument);
        child.hear("running");
        if fault == "stop" {
            broker.stop().unwrap();
        } else {
            broker.kill9().unwrap();
        }
        let said = child.hear("ended");
        let numbers: Vec<u64> = said.split(' ').map(|n| n.parse().unwrap()).collect();
        let [acked, not_sent, unknown, rejected, grown] = numbers[..] else {
            panic!("{said}");
        };
        let count = size(10_000, 100_000);
        assert_eq!(acked + not_sent + unknown, count, "{fault}: {said}");
        assert_eq!(rejected, 0, "{fault}: {said}");
        assert!(
            not_sent + unknown > count / 2,
            "{fault}: it was lost early: {said}"
        );
        let limit = u64::try_from(WINDOW).unwrap() + (16 << 20);
        assert!(
            grown <= limit,
            "{fault}: {} MiB of {} MiB",
            grown >> 20,
            limit >> 20
        );
        assert!(child.wait().success());
        if fault == "stop" {
            broker.cont().unwrap();
        }
    }
}

const WINDOW: usize = 32 << 20;

async fn fill(argument: &str) {
    let (url, topic) = argument.split_once(' ').unwrap();
    let client = Client::from_url(url).unwrap().connect().await.unwrap();
    let producer = client
        .producer(&unique("producer"))
        .max_in_flight_bytes(WINDOW)
        .timeout(Duration::from_millis(500))
        .build()
        .await
        .unwrap();
    producer
        .send(Message::new(topic, "warm"))
        .timeout(WAIT)
        .await
        .unwrap();
    let before = Meter::read().resident;
    let tally = Arc::new(Tally::default());
    for number in 0..size(10_000, 100_000) {
        if number == 100 {
            Child::say("running", 1);
        }
        enqueue(&producer, topic, &tally).await;
    }
    within(WAIT, "the end of every send", producer.flush())
        .await
        .unwrap();
    until(WAIT, "every confirm", async || {
        tally.read().iter().sum::<usize>() == size(10_000, 100_000)
    })
    .await;
    let [acked, not_sent, unknown, rejected] = tally.read();
    let grown = Meter::read().peak.saturating_sub(before);
    Child::say(
        "ended",
        format!("{acked} {not_sent} {unknown} {rejected} {grown}"),
    );
}

/// Enqueues one message; a task waits for its confirm.
async fn enqueue(producer: &Producer, topic: &str, tally: &Arc<Tally>) {
    let message = Message::new(topic, vec![b'x'; 64 << 10]);
    match producer.enqueue(message).await {
        Ok(confirm) => {
            let tally = Arc::clone(tally);
            tokio::spawn(async move {
                tally.count(match confirm.await {
                    Ok(_) => Err(()),
                    Err(failed) => Ok(failed.outcome()),
                });
            });
        }
        Err(failed) => tally.count(Ok(failed.outcome())),
    }
}

/// 64 sends begun together go out in fewer than 64 write calls, with the broker frozen and with the broker awake; each ends as it must.
///
/// Counted by the kernel (`syscw`), on a runtime of one thread: one of several wakes its threads by write calls as well, as many as an
/// answer has on a quick machine.
#[test]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
fn real_own_rocketmq_sends_in_flight_share_write_calls() {
    if let Some(argument) = role("sender") {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(burst(&argument));
    }
    let cluster = Cluster::start(Profile::Rocketmq).unwrap();
    let runtime = Runtime::new().unwrap();
    let broker = cluster.broker("broker-a").unwrap();
    let topic = runtime.block_on(topic_at(cluster.namesrv(), "burst", 1));
    for frozen in [false, true] {
        let this = "real_own_rocketmq_sends_in_flight_share_write_calls";
        let argument = format!("{} {topic}", cluster.url());
        let mut child = Child::start(this, "sender", &argument);
        child.hear("ready");
        if frozen {
            broker.stop().unwrap();
        }
        child.go();
        let said = child.hear("ended");
        if frozen {
            broker.cont().unwrap();
        }
        let numbers: Vec<u64> = said.split(' ').map(|n| n.parse().unwrap()).collect();
        let [acked, not_sent, unknown, writes] = numbers[..] else {
            panic!("{said}");
        };
        assert!(writes < 64, "{writes} write calls");
        if frozen {
            assert_eq!((acked, not_sent + unknown), (0, 64), "{said}");
            assert_eq!(unknown, 64, "all were written: {said}");
        } else {
            assert_eq!(acked, 64, "{said}");
        }
        assert!(child.wait().success());
    }
}

async fn burst(argument: &str) {
    let (url, topic) = argument.split_once(' ').unwrap();
    let client = Client::from_url(url).unwrap().connect().await.unwrap();
    let producer = client
        .producer(&unique("producer"))
        .max_in_flight(64)
        .timeout(Duration::from_secs(2))
        .build()
        .await
        .unwrap();
    producer
        .send(Message::new(topic, "warm"))
        .timeout(WAIT)
        .await
        .unwrap();
    Child::say("ready", 1);
    tokio::task::spawn_blocking(Child::wait_for_go)
        .await
        .unwrap();
    let before = Meter::read().writes;
    let sends = (0..64).map(|number| {
        IntoFuture::into_future(producer.send(Message::new(topic, format!("burst {number}"))))
    });
    let results = futures_util::future::join_all(sends).await;
    let writes = Meter::read().writes - before;
    let tally = Tally::default();
    for result in results {
        tally.count(result.map_or_else(|failed| Ok(failed.outcome()), |_| Err(())));
    }
    let [acked, not_sent, unknown, _] = tally.read();
    Child::say("ended", format!("{acked} {not_sent} {unknown} {writes}"));
}
