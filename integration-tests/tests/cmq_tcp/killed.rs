//! Producers that are killed in the middle of transactions: a message is visible once if its local work was done, and else never.
//!
//! ```text
//!   child, one life after the other: begin ─► local work: a line in a file, synced ─► commit      kill -9 at one of six points
//!   parent: the server; behind the last life another producer, which has the file
//! ```
//!
//! The lives answer for those before them, as far as they know: what is not in the file may be of a life that goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::harness::lives::{Begins, Life, decided};
use integration_tests::harness::{now, role, size};
use mq_cmq::{Client, Prepared, TcpClient, TransactionalProducer, Verdict};
use mq_dev::cmq::DevServer;
use tokio::runtime::Runtime;

use crate::world::{server, transactional, until};

/// A producer that answers out of the database, as it is now.
fn producer(
    client: &TcpClient,
    database: &Path,
    unknown: Verdict,
    asked: Arc<AtomicUsize>,
) -> TransactionalProducer {
    let known = decided(database).into_iter();
    let known: BTreeMap<_, _> = known.map(|it| (it.id, it.commits)).collect();
    let checker = move |pending: mq_cmq::Pending| {
        asked.fetch_add(1, Ordering::Relaxed);
        let verdict = match known.get(pending.id()) {
            Some(true) => Verdict::Commit,
            Some(false) => Verdict::Rollback,
            None => unknown,
        };
        async move { verdict }
    };
    client.transactional("t", checker).unwrap()
}

fn connect(url: &str) -> TcpClient {
    TcpClient::from_url(url).unwrap().build().unwrap()
}

/// CI: six lives of 10 transactions. Full (`MQ_SOAK=1`): 60 lives of 167.
#[test]
fn cmq_tcp_killed_producers_lose_and_invent_nothing() {
    let runtime = Runtime::new().unwrap();
    if let Some(text) = role("life") {
        return runtime.block_on(live(&Life::parse(&text)));
    }
    runtime.block_on(kill_all());
}

async fn kill_all() {
    let (began, server) = (now(), server([transactional()]).await);
    let dir = tempfile::tempdir().unwrap();
    let mut life = Life::first(size(10, 167), &[&server.tcp_url()], dir.path());
    let lives = size(6, 60);
    for number in 0..lives {
        life.number = number;
        life.run_and_kill("killed::cmq_tcp_killed_producers_lose_and_invent_nothing")
            .await;
    }
    let (client, asked) = (connect(&life.words[0]), Arc::<AtomicUsize>::default());
    // None lives any more: what is not there will never be.
    let _orders = producer(
        &client,
        &life.database,
        Verdict::Rollback,
        Arc::clone(&asked),
    );
    until("all are ended", || server.counts("t").unwrap().half == 0).await;
    let decided = decided(&life.database);
    assert_eq!(decided.len(), life.decide(lives));
    let commits = decided.into_iter().filter(|decision| decision.commits);
    let expected: BTreeSet<String> = commits.map(|decision| decision.body).collect();
    let came = drain(&server).await;
    let seen: BTreeSet<String> = came.iter().cloned().collect();
    assert_eq!(seen, expected);
    assert_eq!(came.len(), seen.len(), "one came twice");
    let (asked, took) = (asked.load(Ordering::Relaxed), began.elapsed());
    assert!(asked > 0, "nobody was asked");
    println!(
        "{lives} lives of {} transactions: {} delivered, the last producer was asked {asked} times, {took:?}",
        life.count,
        came.len()
    );
}

/// Everything that is there, over HTTP.
async fn drain(server: &DevServer) -> Vec<String> {
    let http = Client::from_url(&server.url()).unwrap().build().unwrap();
    let (queue, mut came) = (http.queue("t").unwrap(), Vec::new());
    loop {
        let messages = queue.receive_batch(16, Duration::ZERO).await.unwrap();
        if messages.is_empty() {
            return came;
        }
        for message in messages {
            queue.delete(message.handle()).await.unwrap();
            came.push(message.into_body());
        }
    }
}

async fn live(life: &Life) {
    let client = connect(&life.words[0]);
    let orders = producer(&client, &life.database, Verdict::Unknown, Arc::default());
    life.live(Of(orders)).await;
}

struct Of(TransactionalProducer);

impl Begins for Of {
    type Open = Prepared;

    async fn begin(&self, body: String) -> Prepared {
        self.0.begin(body).await.unwrap()
    }

    fn id(open: &Prepared) -> String {
        open.id().to_owned()
    }

    async fn end(open: Prepared, commits: bool) -> bool {
        let ended = if commits {
            open.commit().await
        } else {
            open.rollback().await
        };
        ended.is_ok()
    }
}
