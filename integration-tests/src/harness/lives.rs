//! Processes that begin transactions and are killed at one point after the other.
//!
//! ```text
//!   child, one life after the other: begin ─► local work: a line in a file, synced ─► commit      kill -9 at one of six points
//!   parent: starts and kills them, and has the file
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Child;

/// Where a life ends, all of its transactions having come so far.
pub const POINTS: [&str; 6] = [
    "before begin",
    "half message on its way",
    "half message stored",
    "local work done",
    "commit on its way",
    "commit confirmed",
];

/// What a life is told.
#[derive(Debug, Clone)]
pub struct Life {
    /// Which one it is, from 0 on.
    pub number: usize,
    /// How many transactions it begins.
    pub count: usize,
    /// What the test needs to find its broker's parts: words without a space.
    pub words: Vec<String>,
    /// Where the local work is written.
    pub database: PathBuf,
}

/// What somebody decided in his local work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The transaction's id.
    pub id: String,
    /// The message's body.
    pub body: String,
    /// Whether it commits.
    pub commits: bool,
}

/// How a client's transactions are begun and ended.
pub trait Begins: Send + Sync + 'static {
    /// A transaction under way.
    type Open: Send + 'static;
    /// Stores a half message.
    fn begin(&self, body: String) -> impl Future<Output = Self::Open> + Send;
    /// Its id.
    fn id(open: &Self::Open) -> String;
    /// Commits or rolls back; says whether that succeeded.
    fn end(open: Self::Open, commits: bool) -> impl Future<Output = bool> + Send;
}

impl Life {
    /// The first of them, with an empty database in this directory.
    pub fn first(count: usize, words: &[&str], directory: &Path) -> Self {
        let database = directory.join("database");
        File::create(&database).unwrap();
        Self {
            number: 0,
            count,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            database,
        }
    }

    fn to_text(&self) -> String {
        let (words, database) = (self.words.join(" "), self.database.display());
        format!("{} {} {words} {database}", self.number, self.count)
    }

    /// What a child was started with.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split(' ');
        let mut number = || parts.next().unwrap().parse().unwrap();
        let (number, count) = (number(), number());
        let mut words: Vec<_> = parts.map(str::to_owned).collect();
        let database = words.pop().unwrap().into();
        Self {
            number,
            count,
            words,
            database,
        }
    }

    /// The life that a body is of.
    pub fn of(body: &str) -> usize {
        body.split_once('-').unwrap().0.parse().unwrap()
    }

    fn body(&self, number: usize) -> String {
        format!("{}-{number}", self.number)
    }

    /// Starts this life in a process of its own, and kills it when it has come to its point. `test` is the one that calls, and has the role `life`.
    pub async fn run_and_kill(&self, test: &'static str) {
        let text = self.to_text();
        let killing = tokio::task::spawn_blocking(move || {
            let mut child = Child::start(test, "life", &text);
            child.hear("here");
            child.kill9();
        });
        killing.await.unwrap();
    }

    /// Lives until it is killed.
    pub async fn live<B: Begins>(&self, begins: B) {
        let begins = std::sync::Arc::new(begins);
        let (point, name) = POINTS
            .into_iter()
            .enumerate()
            .cycle()
            .nth(self.number)
            .unwrap();
        let mut held = Vec::new();
        for number in 0..self.count {
            let (begins, body) = (std::sync::Arc::clone(&begins), self.body(number));
            match point {
                0 => {}
                // Held, not dropped, until the end.
                1 => drop(tokio::spawn(async move {
                    std::mem::forget(begins.begin(body).await);
                })),
                _ => held.push(begins.begin(body).await),
            }
        }
        if point >= 3 {
            self.work::<B>(&held);
        }
        if point >= 4 {
            let end =
                |(number, open): (usize, B::Open)| tokio::spawn(B::end(open, number % 2 == 0));
            let ends: Vec<_> = held.into_iter().enumerate().map(end).collect();
            if point == 5 {
                for end in ends {
                    assert!(end.await.unwrap());
                }
            }
        } else {
            std::mem::forget(held);
        }
        Child::say("here", name);
        tokio::time::sleep(Duration::from_secs(300)).await;
    }

    /// The local work: every other one succeeds, which is written down for good.
    fn work<B: Begins>(&self, held: &[B::Open]) {
        let database = OpenOptions::new().append(true).open(&self.database);
        let mut database = database.unwrap();
        for (number, open) in held.iter().enumerate() {
            let (id, body) = (B::id(open), self.body(number));
            let decision = if number.is_multiple_of(2) {
                "commit"
            } else {
                "rollback"
            };
            writeln!(database, "{id} {body} {decision}").unwrap();
        }
        database.sync_data().unwrap();
    }

    /// How many transactions so many lives decide: three of the six points are behind the local work.
    pub const fn decide(&self, lives: usize) -> usize {
        self.count * lives / 2
    }
}

/// What is in a database.
pub fn decided(database: &Path) -> Vec<Decision> {
    let text = std::fs::read_to_string(database).unwrap();
    // The last line may be cut off.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().map(|line| {
        let (id, rest) = line.split_once(' ').unwrap();
        let (body, decision) = rest.split_once(' ').unwrap();
        Decision {
            id: id.to_owned(),
            body: body.to_owned(),
            commits: decision == "commit",
        }
    });
    lines.collect()
}

/// The database by bodies, as last read: a checker may be asked thousands of times at once.
#[derive(Debug, Default)]
pub struct Cache(std::sync::Mutex<(u64, BTreeMap<String, bool>)>);

impl Cache {
    /// Whether the transaction of this body commits, if that is decided.
    pub fn get(&self, database: &Path, body: &str) -> Option<bool> {
        let mut cached = self.0.lock().unwrap();
        let length = std::fs::metadata(database).unwrap().len();
        if cached.0 != length {
            let by_body = decided(database).into_iter();
            *cached = (length, by_body.map(|it| (it.body, it.commits)).collect());
        }
        cached.1.get(body).copied()
    }
}
