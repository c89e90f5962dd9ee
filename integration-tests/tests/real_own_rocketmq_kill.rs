//! What dies: a consumer in the middle of its work, a broker under a producer. Nothing is lost, nothing piles up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::brokers::{Cluster, Profile};
use integration_tests::harness::{
    Child, Meter, Stored, committed, connect, connect_to, next, role, size, topic, topic_at,
    unique, until, within,
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

/// What became of sends: a letter each, in their order.
struct Tally(Mutex<Vec<u8>>);

impl Tally {
    fn new(sends: usize) -> Self {
        Self(Mutex::new(vec![b'.'; sends]))
    }

    fn count(&self, number: usize, result: Result<(), Outcome>) {
        self.0.lock().unwrap()[number] = match result {
            Ok(()) => b'a',
            Err(Outcome::NotSent) => b'n',
            Err(Outcome::Unknown) => b'u',
            Err(_) => b'r',
        };
    }

    fn read(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn count(letters: &str, letter: char) -> usize {
    letters.chars().filter(|one| *one == letter).count()
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
        let (ended, grown) = said.split_once(' ').unwrap();
        let grown: u64 = grown.parse().unwrap();
        let lost = count(ended, 'n') + count(ended, 'u');
        assert_eq!(
            count(ended, 'a') + lost,
            size(10_000, 100_000),
            "{fault}: {ended}"
        );
        assert!(lost > ended.len() / 2, "{fault}: it was lost early");
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
        } else {
            broker.restart().unwrap();
        }
        runtime.block_on(as_stored(&cluster, &topic, ended));
    }
}

/// What was acknowledged is stored, what was not sent is not.
async fn as_stored(cluster: &Cluster, topic: &str, ended: &str) {
    let client = connect_to(cluster.url()).await;
    let all = Stored::read(&client, topic).await;
    let found: BTreeSet<usize> = all
        .messages()
        .iter()
        .filter_map(|received| received.body().first_chunk())
        .map(|number| usize::from_le_bytes(*number))
        .collect();
    for (number, letter) in ended.chars().enumerate() {
        match letter {
            'a' => assert!(found.contains(&number), "{number} is acknowledged and lost"),
            'n' => assert!(!found.contains(&number), "{number} was sent"),
            _ => {}
        }
    }
    client.close().await.unwrap();
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
    let sends = size(10_000, 100_000);
    let tally = Arc::new(Tally::new(sends));
    for number in 0..sends {
        if number == 100 {
            Child::say("running", 1);
        }
        enqueue(&producer, topic, &tally, number).await;
    }
    within(WAIT, "the end of every send", producer.flush())
        .await
        .unwrap();
    until(WAIT, "every confirm", async || {
        count(&tally.read(), '.') == 0
    })
    .await;
    let grown = Meter::read().peak.saturating_sub(before);
    Child::say("ended", format!("{} {grown}", tally.read()));
}

/// Enqueues one message; a task waits for its confirm.
async fn enqueue(producer: &Producer, topic: &str, tally: &Arc<Tally>, number: usize) {
    let mut body = vec![b'x'; 64 << 10];
    body[..8].copy_from_slice(&number.to_le_bytes());
    match producer.enqueue(Message::new(topic, body)).await {
        Ok(confirm) => {
            let tally = Arc::clone(tally);
            tokio::spawn(async move {
                let ended = confirm.await;
                tally.count(number, ended.map(drop).map_err(|failed| failed.outcome()));
            });
        }
        Err(failed) => tally.count(number, Err(failed.outcome())),
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
        let (ended, writes) = said.split_once(' ').unwrap();
        let writes: u64 = writes.parse().unwrap();
        assert!(writes < 64, "{writes} write calls");
        // With the broker frozen, all were written and none was answered.
        let every = if frozen { 'u' } else { 'a' };
        assert_eq!(count(ended, every), 64, "{said}");
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
    let tally = Tally::new(results.len());
    for (number, result) in results.into_iter().enumerate() {
        tally.count(number, result.map(drop).map_err(|failed| failed.outcome()));
    }
    Child::say("ended", format!("{} {writes}", tally.read()));
}
