//! Producers that are killed in the middle of transactions: the message is delivered exactly if the local work was done.
//!
//! ```text
//!   child, one life after the other: begin ─► local work: a line in a file, synced ─► commit      kill -9 at one of six points
//!   parent: a producer of the same group that sends nothing, and a consumer
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::harness::{
    Child, connect, from_first, next, now, role, size, text, topic, unique, within,
};
use mq_rocketmq::{Consumer, Message, TransactionalProducer, Verdict};
use tokio::runtime::Runtime;

/// Where a life ends, all of its transactions having come so far.
const POINTS: [&str; 6] = [
    "before begin",
    "half message on its way",
    "half message stored",
    "local work done",
    "commit on its way",
    "commit confirmed",
];

/// The broker's `transactionTimeOut`, two of its `transactionCheckInterval`, and what a loaded machine takes.
const CONVERGED: Duration = Duration::from_secs(2 + 2 + 4);
/// Longer than the time to the first check.
const QUIET: Duration = Duration::from_secs(4);
const WAIT: Duration = Duration::from_secs(60);

/// What a life is told.
#[derive(Debug, Clone)]
struct Life {
    number: usize,
    count: usize,
    topic: String,
    group: String,
    database: PathBuf,
}

impl Life {
    fn to_text(&self) -> String {
        let (topic, group) = (&self.topic, &self.group);
        let database = self.database.display();
        format!("{} {} {topic} {group} {database}", self.number, self.count)
    }

    fn parse(text: &str) -> Self {
        let parts: Vec<_> = text.splitn(5, ' ').collect();
        Self {
            number: parts[0].parse().unwrap(),
            count: parts[1].parse().unwrap(),
            topic: parts[2].to_owned(),
            group: parts[3].to_owned(),
            database: parts[4].into(),
        }
    }

    fn point(&self) -> usize {
        self.number % POINTS.len()
    }

    fn message(&self, number: usize) -> Message {
        Message::new(&self.topic, format!("{}-{number}", self.number))
    }

    /// The local work: whether it succeeds is written down for good.
    fn work(&self, file: &mut File, number: usize) {
        let decision = if number.is_multiple_of(2) {
            "commit"
        } else {
            "rollback"
        };
        writeln!(file, "{}-{number} {decision}", self.number).unwrap();
        file.sync_data().unwrap();
    }
}

/// What was decided, by message.
fn decided(database: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(database).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(body, decision)| (body.to_owned(), decision.to_owned()))
        .collect()
}

/// The database as last read: a checker may be asked thousands of times at once.
#[derive(Default)]
struct Cache(Mutex<(u64, BTreeMap<String, String>)>);

impl Cache {
    fn get(&self, database: &Path, body: &str) -> Option<String> {
        let mut cached = self.0.lock().unwrap();
        let length = std::fs::metadata(database).unwrap().len();
        if cached.0 != length {
            *cached = (length, decided(database));
        }
        cached.1.get(body).cloned()
    }
}

/// A producer whose checker looks into the database. What is not there of a life that has ended will never be.
async fn producer(
    life: &Life,
    ended: impl Fn(usize) -> bool + Send + Sync + 'static,
    asked: Arc<AtomicUsize>,
) -> TransactionalProducer {
    let database = life.database.clone();
    let (client, cache) = (connect().await, Cache::default());
    let building = client.producer(&life.group).checker(move |message| {
        asked.fetch_add(1, Ordering::Relaxed);
        let body = String::from_utf8(message.body().to_vec()).unwrap();
        let of_life: usize = body.split_once('-').unwrap().0.parse().unwrap();
        // In this order: what a life that has ended wrote is there.
        let has_ended = ended(of_life);
        let verdict = match cache.get(&database, &body).as_deref() {
            Some("commit") => Verdict::Commit,
            Some(_) => Verdict::Rollback,
            None if has_ended => Verdict::Rollback,
            None => Verdict::Unknown,
        };
        async move { verdict }
    });
    building.topic(&life.topic).build().await.unwrap()
}

/// CI: six lives of 10 transactions. Full (`MQ_SOAK=1`): 60 lives of 167.
#[test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
fn real_rocketmq_transaction_killed_producers_lose_and_invent_nothing() {
    let runtime = Runtime::new().unwrap();
    if let Some(text) = role("life") {
        return runtime.block_on(live(&Life::parse(&text)));
    }
    runtime.block_on(kill_all());
}

async fn kill_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut life = Life {
        number: 0,
        count: size(10, 167),
        topic: topic("tx-kill", 4).await,
        group: unique("producer"),
        database: dir.path().join("database"),
    };
    File::create(&life.database).unwrap();
    let (dead, asked) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let killed = Arc::clone(&dead);
    let ended = move |of_life| of_life < killed.load(Ordering::Acquire);
    let answering = producer(&life, ended, Arc::clone(&asked)).await;
    let client = connect().await;
    let consumer = from_first(&client, &unique("group"), &life.topic).build();
    let consumer = consumer.await.unwrap();
    for number in 0..size(6, 60) {
        life.number = number;
        let text = life.to_text();
        let killing = tokio::task::spawn_blocking(move || {
            let this = "real_rocketmq_transaction_killed_producers_lose_and_invent_nothing";
            let mut child = Child::start(this, "life", &text);
            child.hear("here");
            child.kill9();
        });
        killing.await.unwrap();
        dead.store(number + 1, Ordering::Release);
    }
    converges(&life, &consumer).await;
    // Nothing is asked about any more, either.
    let before = asked.load(Ordering::Relaxed);
    let more = tokio::time::timeout(QUIET, consumer.recv()).await;
    assert!(more.is_err(), "{more:?}");
    assert_eq!(asked.load(Ordering::Relaxed), before);
    assert!(before > 0, "nobody was asked");
    drop(answering);
    client.close().await.unwrap();
}

/// What was committed comes, and nothing else.
async fn converges(life: &Life, consumer: &Consumer) {
    let decided = decided(&life.database);
    let expected: BTreeSet<_> = decided
        .iter()
        .filter(|(_, decision)| *decision == "commit")
        .map(|(body, _)| body.clone())
        .collect();
    // Three of the six points are behind the local work.
    assert_eq!(decided.len(), life.count * (life.number + 1) / 2);
    let (began, mut seen) = (now(), BTreeMap::new());
    while seen.len() < expected.len() {
        let delivery = within(WAIT, "a committed message", next(consumer)).await;
        let body = text(&delivery);
        assert!(expected.contains(&body), "{body} was never committed");
        *seen.entry(body).or_insert(0) += 1;
        delivery.ack().await.unwrap();
    }
    let took = began.elapsed();
    assert!(took <= CONVERGED, "converged after {took:?}");
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
}

async fn live(life: &Life) {
    let number = life.number;
    let producer = producer(life, move |of_life| of_life < number, Arc::default()).await;
    let mut database = OpenOptions::new()
        .append(true)
        .open(&life.database)
        .unwrap();
    let (mut held, point) = (Vec::new(), life.point());
    for number in 0..life.count {
        match point {
            0 => {}
            1 => drop(tokio::spawn({
                let begin = producer.begin(life.message(number)).into_future();
                // Held, not dropped, until the end.
                async move { std::mem::forget(begin.await) }
            })),
            _ => held.push(producer.begin(life.message(number)).await.unwrap()),
        }
    }
    if point >= 3 {
        (0..held.len()).for_each(|number| life.work(&mut database, number));
    }
    if point >= 4 {
        let ends = held.into_iter().enumerate().map(|(number, held)| {
            tokio::spawn(async move {
                match number % 2 {
                    0 => held.commit().await,
                    _ => held.rollback().await,
                }
            })
        });
        let ends: Vec<_> = ends.collect();
        if point == 5 {
            for end in ends {
                end.await.unwrap().unwrap();
            }
        }
    } else {
        std::mem::forget(held);
    }
    Child::say("here", POINTS[point]);
    // Until it is killed.
    tokio::time::sleep(Duration::from_secs(300)).await;
}
