//! Publishers that are killed in the middle of transactions on RabbitMQ: the message is sent exactly if the local work was done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::harness::amqp::{connect, queue};
use integration_tests::harness::lives::{Begins, Cache, Life, decided};
use integration_tests::harness::{now, role, size, unique, within};
use mq_amqp::{Message, Transaction, TransactionalPublisher, Verdict};
use tokio::runtime::Runtime;

const WAIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(500);
/// Longer than it takes to take over and to ask.
const QUIET: Duration = Duration::from_secs(3);

/// A publisher whose checker looks into the database. What is not there of a life that has ended will never be.
async fn publisher(
    life: &Life,
    ended: impl Fn(usize) -> bool + Send + Sync + 'static,
    asked: Arc<AtomicUsize>,
) -> TransactionalPublisher {
    let database = life.database.clone();
    let (client, cache) = (connect().await, Cache::default());
    let building =
        client
            .publisher("")
            .window(10_000)
            .checker(life.words[1].clone(), move |message| {
                asked.fetch_add(1, Ordering::Relaxed);
                let body = String::from_utf8(message.body().to_vec()).unwrap();
                // In this order: what a life that has ended wrote is there.
                let has_ended = ended(Life::of(&body));
                let verdict = match cache.get(&database, &body) {
                    Some(true) => Verdict::Commit,
                    Some(false) => Verdict::Rollback,
                    None if has_ended => Verdict::Rollback,
                    None => Verdict::Unknown,
                };
                async move { verdict }
            });
    let building = building.first_check_after(SOON).check_interval(SOON);
    let building = building.takeover_after(SOON).max_checks(1000);
    building.build().await.unwrap()
}

/// CI: six lives of 10 transactions. Full (`MQ_SOAK=1`): 60 lives of 167.
#[test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
fn real_amqp_transactional_killed_publishers_lose_and_invent_nothing() {
    let runtime = Runtime::new().unwrap();
    if let Some(text) = role("life") {
        return runtime.block_on(live(&Life::parse(&text)));
    }
    runtime.block_on(kill_all());
}

async fn kill_all() {
    let (began, dir) = (now(), tempfile::tempdir().unwrap());
    let client = connect().await;
    let (target, group) = (queue(&client, "paid").await, unique("group"));
    let mut life = Life::first(size(10, 167), &[&target, &group], dir.path());
    let (dead, asked) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let killed = Arc::clone(&dead);
    let ended = move |of_life| of_life < killed.load(Ordering::Acquire);
    let answering = publisher(&life, ended, Arc::clone(&asked)).await;
    let lives = size(6, 60);
    for number in 0..lives {
        life.number = number;
        life.run_and_kill("real_amqp_transactional_killed_publishers_lose_and_invent_nothing")
            .await;
        dead.store(number + 1, Ordering::Release);
    }
    let decided = decided(&life.database);
    assert_eq!(decided.len(), life.decide(lives));
    let commits = decided.into_iter().filter(|decision| decision.commits);
    let expected: BTreeSet<_> = commits.map(|decision| decision.body).collect();
    let consumer = client.consumer(target).build().await.unwrap();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut copies = 0;
    while seen.len() < expected.len() {
        let delivery = within(WAIT, "a committed message", consumer.recv()).await;
        let delivery = delivery.unwrap().unwrap();
        let body = delivery.text().unwrap().to_owned();
        assert!(expected.contains(&body), "{body} was never committed");
        let id = delivery.message().message_id().unwrap().to_owned();
        copies += usize::from(!seen.entry(body).or_default().insert(id));
        delivery.ack().await.unwrap();
    }
    // Nothing is asked about any more, and nothing more is sent but what was on its way when a life was killed.
    tokio::time::sleep(QUIET).await;
    let before = asked.load(Ordering::Relaxed);
    while let Ok(more) = tokio::time::timeout(QUIET, consumer.recv()).await {
        let more = more.unwrap().unwrap();
        assert!(seen.contains_key(more.text().unwrap()), "{more:?}");
        copies += 1;
        more.ack().await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), before);
    assert!(before > 0, "nobody was asked");
    assert!(
        seen.values().all(|ids| ids.len() == 1),
        "one has two ids: {seen:?}"
    );
    // A commit that was confirmed before its half was acknowledged: in one of six points, at most.
    assert!(copies <= life.count * lives / 6, "{copies} copies");
    println!(
        "{lives} lives of {} transactions: {} sent, {copies} copies, {before} questions, {:?}",
        life.count,
        seen.len(),
        began.elapsed()
    );
    answering.close().await;
    client.close().await;
}

async fn live(life: &Life) {
    let number = life.number;
    let publisher = publisher(life, move |of_life| of_life < number, Arc::default()).await;
    let target = life.words[0].clone();
    life.live(Of { publisher, target }).await;
}

struct Of {
    publisher: TransactionalPublisher,
    target: String,
}

impl Begins for Of {
    type Open = Transaction;

    async fn begin(&self, body: String) -> Transaction {
        let begin = self
            .publisher
            .begin(Message::new(self.target.clone(), body));
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
