//! Order per key while members of the group come and go and the broker is killed and restarted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use integration_tests::brokers::{Cluster, Profile};
use integration_tests::harness::{
    connect_to, from_first, now, size, soak, topic_at, unique, until,
};
use mq_rocketmq::{Client, Consumer, Error, Message, Producer, Received, Settle};
use tokio::task::JoinHandle;

const KEYS: usize = 64;
const QUEUES: u32 = 8;

/// What was received of each key, whoever received it.
#[derive(Default)]
struct Seen {
    /// How many of each key have had their first delivery.
    keys: Mutex<Vec<usize>>,
    violations: Mutex<Vec<String>>,
    deliveries: AtomicUsize,
}

impl Seen {
    fn new() -> Arc<Self> {
        let seen = Self::default();
        seen.keys.lock().unwrap().resize(KEYS, 0);
        Arc::new(seen)
    }

    fn note(&self, message: &Received) {
        let text = integration_tests::harness::text(message);
        let (key, number) = text.split_once(' ').unwrap();
        let (key, number): (usize, usize) = (key.parse().unwrap(), number.parse().unwrap());
        self.deliveries.fetch_add(1, Ordering::AcqRel);
        let mut keys = self.keys.lock().unwrap();
        let next = keys[key];
        // What came before comes again, after a member or a broker was lost.
        if number > next {
            let what = format!("key {key}: {number} before {next}");
            self.violations.lock().unwrap().push(what);
        }
        keys[key] = next.max(number + 1);
    }

    fn count(&self) -> usize {
        self.keys.lock().unwrap().iter().sum()
    }
}

struct Member {
    client: Client,
    consumer: Arc<Consumer>,
    running: JoinHandle<()>,
}

impl Member {
    async fn join(url: &str, group: &str, topic: &str, seen: &Arc<Seen>) -> Self {
        let client = connect_to(url).await;
        let mut tries = 0;
        let consumer = loop {
            // The broker may just be away.
            match from_first(&client, group, topic).ordered().build().await {
                Ok(consumer) => break Arc::new(consumer),
                Err(error) => {
                    tries += 1;
                    assert!(tries < 10, "{error:#}");
                }
            }
        };
        let (told, working) = (Arc::clone(seen), Arc::clone(&consumer));
        let running = tokio::spawn(async move {
            let handler = move |message: Received| {
                told.note(&message);
                async { Ok::<_, Error>(Settle::Ack) }
            };
            working.run(handler).await.unwrap();
        });
        Self {
            client,
            consumer,
            running,
        }
    }

    async fn leave(self) {
        self.consumer.close().await;
        self.running.await.unwrap();
        self.client.close().await.unwrap();
    }
}

/// Sends the numbers of one key, one after the other, each until it is stored.
async fn send(producer: Producer, topic: String, key: usize, count: usize, pace: Duration) {
    for number in 0..count {
        let body = format!("{key} {number}");
        let mut message = Message::new(&topic, body).ordering_key(key.to_string());
        while let Err(failed) = producer.send(message).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
            message = *failed.message;
        }
        tokio::time::sleep(pace).await;
    }
}

/// CI: 20 000 messages, one restart, a member joins or leaves every 2 s. Full: 1 000 000, 50 restarts, every 5 s.
async fn churn(profile: Profile) {
    let cluster = Cluster::start(profile).unwrap();
    let topic = topic_at(cluster.namesrv(), "churn", QUEUES).await;
    let (group, seen) = (unique("churn"), Seen::new());
    let each = size(20_000, 1_000_000) / KEYS;
    let client = connect_to(cluster.url()).await;
    let producer = client.producer(&unique("producer")).build().await.unwrap();
    let pace = Duration::from_millis(30);
    let begun = now();
    let sending: Vec<_> = (0..KEYS)
        .map(|key| tokio::spawn(send(producer.clone(), topic.clone(), key, each, pace)))
        .collect();
    let mut members = vec![
        Member::join(cluster.url(), &group, &topic, &seen).await,
        Member::join(cluster.url(), &group, &topic, &seen).await,
    ];
    let step = if soak() {
        Duration::from_secs(5)
    } else {
        Duration::from_secs(2)
    };
    let mut restarts = 0;
    for change in 0.. {
        tokio::time::sleep(step).await;
        if sending.iter().all(JoinHandle::is_finished) && restarts >= size(1, 50) {
            break;
        }
        match change % 5 {
            0 | 3 => members.push(Member::join(cluster.url(), &group, &topic, &seen).await),
            2 if restarts < size(1, 50) => {
                let broker = cluster.broker("broker-a").unwrap();
                broker.kill9().unwrap();
                broker.restart().unwrap();
                restarts += 1;
            }
            _ if members.len() > 1 => members.remove(0).leave().await,
            _ => {}
        }
    }
    for sent in join_all(sending).await {
        sent.unwrap();
    }
    until(WAIT, "none is lost", async || seen.count() >= each * KEYS).await;
    let copies = seen.deliveries.load(Ordering::Acquire) - seen.count();
    println!(
        "{profile}: {} in {:?}, {copies} copies, {restarts} restarts",
        seen.count(),
        begun.elapsed()
    );
    join_all(members.into_iter().map(Member::leave)).await;
    assert_eq!(*seen.violations.lock().unwrap(), [""; 0]);
    assert_eq!(seen.count(), each * KEYS);
    client.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_ordered_keeps_order_while_members_and_the_broker_come_and_go() {
    churn(Profile::Rocketmq).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_4_ordered_keeps_order_while_members_and_the_broker_come_and_go() {
    churn(Profile::Rocketmq4).await;
}

const WAIT: Duration = Duration::from_secs(120);
