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
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::harness::lives::{Begins, Cache, Life, decided};
use integration_tests::harness::{
    connect, from_first, next, now, role, size, text, topic, unique, within,
};
use mq_rocketmq::{Consumer, Message, Transaction, TransactionalProducer, Verdict};
use tokio::runtime::Runtime;

/// The broker's `transactionTimeOut`, two of its `transactionCheckInterval`, and what a loaded machine takes.
const CONVERGED: Duration = Duration::from_secs(2 + 2 + 4);
/// Longer than the time to the first check.
const QUIET: Duration = Duration::from_secs(4);
const WAIT: Duration = Duration::from_secs(60);

fn place(life: &Life) -> (&str, &str) {
    (&life.words[0], &life.words[1])
}

/// A producer whose checker looks into the database. What is not there of a life that has ended will never be.
async fn producer(
    life: &Life,
    ended: impl Fn(usize) -> bool + Send + Sync + 'static,
    asked: Arc<AtomicUsize>,
) -> TransactionalProducer {
    let database = life.database.clone();
    let (client, cache) = (connect().await, Cache::default());
    let (topic, group) = place(life);
    let building = client.producer(group).checker(move |message| {
        asked.fetch_add(1, Ordering::Relaxed);
        let body = String::from_utf8(message.body().to_vec()).unwrap();
        let of_life = Life::of(&body);
        // In this order: what a life that has ended wrote is there.
        let has_ended = ended(of_life);
        let verdict = match cache.get(&database, &body) {
            Some(true) => Verdict::Commit,
            Some(false) => Verdict::Rollback,
            None if has_ended => Verdict::Rollback,
            None => Verdict::Unknown,
        };
        async move { verdict }
    });
    building.topic(topic).build().await.unwrap()
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
    let (topic, group) = (topic("tx-kill", 4).await, unique("producer"));
    let mut life = Life::first(size(10, 167), &[&topic, &group], dir.path());
    let (dead, asked) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let killed = Arc::clone(&dead);
    let ended = move |of_life| of_life < killed.load(Ordering::Acquire);
    let answering = producer(&life, ended, Arc::clone(&asked)).await;
    let client = connect().await;
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    for number in 0..size(6, 60) {
        life.number = number;
        life.run_and_kill("real_rocketmq_transaction_killed_producers_lose_and_invent_nothing")
            .await;
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
    assert_eq!(decided.len(), life.decide(life.number + 1));
    let commits = decided.into_iter().filter(|decision| decision.commits);
    let expected: BTreeSet<_> = commits.map(|decision| decision.body).collect();
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
    let topic = place(life).0.to_owned();
    life.live(Of { producer, topic }).await;
}

struct Of {
    producer: TransactionalProducer,
    topic: String,
}

impl Begins for Of {
    type Open = Transaction;

    async fn begin(&self, body: String) -> Transaction {
        let begin = self.producer.begin(Message::new(&self.topic, body));
        begin.await.unwrap()
    }

    fn id(open: &Transaction) -> String {
        open.id().to_owned()
    }

    async fn end(open: Transaction, commits: bool) -> bool {
        let ended = if commits {
            open.commit().await
        } else {
            open.rollback().await
        };
        ended.is_ok()
    }
}
