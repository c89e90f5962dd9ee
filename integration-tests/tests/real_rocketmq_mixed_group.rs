//! One group of Java, Go and ours over eight queues, while members come and are killed: whatever the language, all come to the same split.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use integration_tests::foreign::{Foreign, Receiving};
use integration_tests::harness::{
    connect, from_first, nameserver, now, producer, size, soak, text, topic, unique,
};
use mq_rocketmq::{Client, Message};
use tokio::task::JoinHandle;

const QUEUES: u32 = 8;
/// Between two changes.
const STEP: Duration = Duration::from_secs(5);
/// After the last change.
const SETTLING: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(10);

/// What a member received: what, and from which queue.
type Seen = Vec<(usize, u32)>;

/// A member of the group.
enum Member {
    Ours {
        client: Client,
        seen: Arc<Mutex<Seen>>,
        eating: JoinHandle<()>,
    },
    Theirs(Box<Receiving>),
}

impl Member {
    async fn ours(topic: &str, group: &str) -> Self {
        let client = connect().await;
        let consumer = from_first(&client, group, topic).build().await.unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let told = Arc::clone(&seen);
        let eating = tokio::spawn(async move {
            while let Some(delivery) = consumer.recv().await.unwrap() {
                let what = text(&delivery).parse().unwrap();
                let queue = u32::try_from(delivery.queue()).unwrap();
                told.lock().unwrap().push((what, queue));
                // Of a queue that moved in the meantime it comes again elsewhere.
                let _ = delivery.ack().await;
            }
        });
        Self::Ours {
            client,
            seen,
            eating,
        }
    }

    async fn theirs(client: Foreign, topic: &str, group: &str) -> Self {
        let call = client.call(&nameserver(), topic, group).count(10_000_000);
        let call = call.deadline(Duration::from_secs(3600));
        Self::Theirs(Box::new(call.start_recv().await.unwrap()))
    }

    /// Ends it without a word to anybody, and tells what it had received.
    async fn kill(self) -> Seen {
        match self {
            Self::Ours {
                client,
                seen,
                eating,
            } => {
                let seen = seen.lock().unwrap().clone();
                eating.abort();
                let _ = eating.await;
                drop(client);
                seen
            }
            Self::Theirs(receiving) => {
                let lines = receiving.kill().await.unwrap();
                let seen = lines
                    .iter()
                    .map(|line| (line.text().parse().unwrap(), line.queue));
                seen.collect()
            }
        }
    }
}

/// Two of Java, two of ours, one of Go; every 5 s one comes or is killed. CI: once. Full: ten times over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17, Maven and Go"]
async fn real_rocketmq_mixed_group_shares_out_and_loses_nothing() {
    for client in [Foreign::Java, Foreign::Go] {
        client.build().await.unwrap();
    }
    let (topic, group) = (topic("mixed", QUEUES).await, unique("mixed"));
    let (running, sending) = send(&topic).await;
    let begun = now();
    let mut seen: Seen = Vec::new();
    let mut members = vec![
        Member::theirs(Foreign::Java, &topic, &group).await,
        Member::ours(&topic, &group).await,
    ];
    let (mut changes, mut killed) = (2, 0);
    for _ in 0..size(1, 10) {
        for step in 0..6 {
            tokio::time::sleep(STEP).await;
            match step {
                0 | 5 => members.push(Member::theirs(Foreign::Java, &topic, &group).await),
                1 => members.push(Member::ours(&topic, &group).await),
                3 => members.push(Member::theirs(Foreign::Go, &topic, &group).await),
                // The oldest of Java, then the oldest of ours; in the next round whoever is the oldest.
                _ => {
                    seen.extend(members.remove(0).kill().await);
                    killed += 1;
                }
            }
            changes += 1;
        }
        if soak() {
            while members.len() > 2 {
                seen.extend(members.remove(0).kill().await);
                (changes, killed) = (changes + 1, killed + 1);
            }
        }
    }
    tokio::time::sleep(SETTLING).await;
    running.store(false, Ordering::Release);
    let count = sending.await.unwrap();
    let last = finale(&topic, count).await;
    println!("{count} sent in {:?}, {changes} changes", begun.elapsed());

    seen.extend(check_owners(members, count).await);
    let whole: BTreeSet<usize> = seen.iter().map(|(what, _)| *what).collect();
    let lost: Vec<usize> = (0..last).filter(|number| !whole.contains(number)).collect();
    assert_eq!(lost, [0_usize; 0], "lost");
    let copies = seen.len() - whole.len();
    // A member that is killed takes at most 5 s of everything to the grave; a queue that is handed over takes what is on its way.
    let limit = (killed * 5 + changes) * 100;
    println!("{copies} copies, at most {limit}");
    assert!(copies <= limit, "{copies} copies");
}

/// By the messages from `first` on: each queue has one owner, and the owners have as many as each other, or one more. Tells what all received.
async fn check_owners(members: Vec<Member>, first: usize) -> Seen {
    let mut seen = Seen::new();
    let mut owners: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    let mut shares = BTreeMap::new();
    // All at a time: one that is left takes over what the others had, and receives some of it again.
    let killed = join_all(members.into_iter().map(Member::kill)).await;
    for (number, received) in killed.into_iter().enumerate() {
        for (what, queue) in &received {
            if *what >= first {
                owners.entry(*queue).or_default().insert(number);
                shares
                    .entry(number)
                    .or_insert_with(BTreeSet::new)
                    .insert(*queue);
            }
        }
        seen.extend(received);
    }
    assert_eq!(owners.len(), QUEUES as usize, "{owners:?}");
    assert!(
        owners.values().all(|of| of.len() == 1),
        "each queue has one owner: {owners:?}"
    );
    let sizes: Vec<usize> = shares.values().map(BTreeSet::len).collect();
    let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    assert!(most - least <= 1, "balance: {shares:?}");
    seen
}

/// Sends a number every 10 ms until told to stop; tells how many.
async fn send(topic: &str) -> (Arc<AtomicBool>, JoinHandle<usize>) {
    let client = connect().await;
    let producer = producer(&client).await;
    let running = Arc::new(AtomicBool::new(true));
    let (go_on, topic) = (Arc::clone(&running), topic.to_owned());
    let sending = tokio::spawn(async move {
        let mut number = 0;
        while go_on.load(Ordering::Acquire) {
            let message = Message::new(&topic, number.to_string());
            producer.send(message).await.unwrap();
            number += 1;
            tokio::time::sleep(PACE).await;
        }
        number
    });
    (running, sending)
}

/// Ten messages to each queue, by which the owners are known; tells the number after the last.
async fn finale(topic: &str, first: usize) -> usize {
    let client = connect().await;
    let producer = producer(&client).await;
    let last = first + 10 * QUEUES as usize;
    for number in first..last {
        let message = Message::new(topic, number.to_string());
        producer.send(message).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    last
}
