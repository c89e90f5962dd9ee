//! Producers that are killed in the middle of transactions: a message is visible once if its local work was done, and else never.
//!
//! ```text
//!   child, one life after the other: begin ─► local work: a line in a file, synced ─► commit      kill -9 at one of six points
//!   parent: the server; behind the last life another producer, which has the file
//! ```
//!
//! The lives answer for those before them, as far as they know: what is not in the file may be of a life that goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::harness::{Child, now, role, size};
use mq_cmq::{Client, Prepared, TcpClient, TransactionalProducer, Verdict};
use mq_dev::cmq::DevServer;
use tokio::runtime::Runtime;

use crate::world::{server, transactional, until};

/// Where a life ends, all of its transactions having come so far.
const POINTS: [&str; 6] = [
    "before begin",
    "half message on its way",
    "half message stored",
    "local work done",
    "commit on its way",
    "commit confirmed",
];

/// What a life is told.
#[derive(Debug, Clone)]
struct Life {
    number: usize,
    count: usize,
    url: String,
    database: PathBuf,
}

impl Life {
    fn to_text(&self) -> String {
        let database = self.database.display();
        format!("{} {} {} {database}", self.number, self.count, self.url)
    }

    fn parse(text: &str) -> Self {
        let parts: Vec<_> = text.splitn(4, ' ').collect();
        Self {
            number: parts[0].parse().unwrap(),
            count: parts[1].parse().unwrap(),
            url: parts[2].to_owned(),
            database: parts[3].into(),
        }
    }

    fn point(&self) -> usize {
        self.number % POINTS.len()
    }

    fn body(&self, number: usize) -> String {
        format!("{}-{number}", self.number)
    }

    /// The local work: by the id, since that is all that a checker is told.
    fn work(&self, file: &mut File, number: usize, prepared: &Prepared) {
        let (id, body) = (prepared.id(), self.body(number));
        let decision = if number.is_multiple_of(2) {
            "commit"
        } else {
            "rollback"
        };
        writeln!(file, "{id} {body} {decision}").unwrap();
    }
}

/// What was decided: body and whether it commits, by id.
fn decided(database: &Path) -> BTreeMap<String, (String, bool)> {
    let text = std::fs::read_to_string(database).unwrap();
    // The last line may be cut off.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().map(|line| {
        let parts: Vec<&str> = line.split(' ').collect();
        let commits = parts[2] == "commit";
        (parts[0].to_owned(), (parts[1].to_owned(), commits))
    });
    lines.collect()
}

/// A producer that answers out of the database, as it is now.
fn producer(
    client: &TcpClient,
    database: &Path,
    unknown: Verdict,
    asked: Arc<AtomicUsize>,
) -> TransactionalProducer {
    let known = decided(database);
    let checker = move |pending: mq_cmq::Pending| {
        asked.fetch_add(1, Ordering::Relaxed);
        let verdict = match known.get(pending.id()) {
            Some((_, true)) => Verdict::Commit,
            Some((_, false)) => Verdict::Rollback,
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
    let mut life = Life {
        number: 0,
        count: size(10, 167),
        url: server.tcp_url(),
        database: dir.path().join("database"),
    };
    File::create(&life.database).unwrap();
    let lives = size(6, 60);
    for number in 0..lives {
        life.number = number;
        let text = life.to_text();
        let killing = tokio::task::spawn_blocking(move || {
            let this = "killed::cmq_tcp_killed_producers_lose_and_invent_nothing";
            let mut child = Child::start(this, "life", &text);
            child.hear("here");
            child.kill9();
        });
        killing.await.unwrap();
    }
    let (client, asked) = (connect(&life.url), Arc::<AtomicUsize>::default());
    // None lives any more: what is not there will never be.
    let _orders = producer(
        &client,
        &life.database,
        Verdict::Rollback,
        Arc::clone(&asked),
    );
    until("all are ended", || server.counts("t").unwrap().half == 0).await;
    let decided = decided(&life.database);
    // Three of the six points are behind the local work.
    assert_eq!(decided.len(), life.count * lives / 2);
    let commits = decided.values().filter(|(_, commits)| *commits);
    let expected: BTreeSet<String> = commits.map(|(body, _)| body.clone()).collect();
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
    let client = connect(&life.url);
    let orders = producer(&client, &life.database, Verdict::Unknown, Arc::default());
    let database = OpenOptions::new().append(true).open(&life.database);
    let mut database = database.unwrap();
    let (mut held, point) = (Vec::new(), life.point());
    for number in 0..life.count {
        match point {
            0 => {}
            1 => drop(tokio::spawn({
                let begin = orders.begin(life.body(number)).into_future();
                // Held, not dropped, until the end.
                async move { std::mem::forget(begin.await) }
            })),
            _ => held.push(orders.begin(life.body(number)).await.unwrap()),
        }
    }
    if point >= 3 {
        for (number, held) in held.iter().enumerate() {
            life.work(&mut database, number, held);
        }
        database.sync_data().unwrap();
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
