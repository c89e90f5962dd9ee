//! Many numbered messages: sent, eaten, and compared with what the broker has stored.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use mq_rocketmq::{Client, Message, Outcome, Producer, Receipt, Received, SendError};

use super::{drain, from_first, now, text, until};

/// A message of which the end is known.
#[derive(Debug)]
pub struct Sent {
    /// What it is, and what its body says.
    pub number: usize,
    /// When it was begun.
    pub begun: Instant,
    /// When it ended.
    pub ended: Instant,
    /// How.
    pub result: Result<Receipt, SendError>,
}

impl Sent {
    /// Why it failed: what may have become of it.
    pub fn outcome(&self) -> Option<Outcome> {
        self.result.as_ref().err().map(SendError::outcome)
    }
}

/// Sends the numbers, `window` at a time and each `every` so often (as fast as it goes if zero); counts those that have ended.
pub async fn send_numbers(
    producer: Producer,
    topic: String,
    numbers: Range<usize>,
    (window, every): (usize, Duration),
    ended: Arc<AtomicUsize>,
) -> Vec<Sent> {
    let sends = stream::iter(numbers).then(|number| async move {
        if !every.is_zero() {
            tokio::time::sleep(every).await;
        }
        number
    });
    sends
        .map(|number| {
            let sending = producer.send(Message::new(&topic, number.to_string()));
            let ended = Arc::clone(&ended);
            async move {
                let begun = now();
                let result = sending.await;
                ended.fetch_add(1, Ordering::AcqRel);
                Sent {
                    number,
                    begun,
                    ended: now(),
                    result,
                }
            }
        })
        .buffer_unordered(window)
        .collect()
        .await
}

/// Everything a topic holds, which is at least one message.
#[derive(Debug)]
pub struct Stored(Vec<Received>);

impl Stored {
    /// Reads until the end that two looks, half a second apart, agree about.
    pub async fn read(client: &Client, topic: &str) -> Self {
        let mut last = -1;
        until(END, "an end of what is stored", async || {
            // A broker that has just come back does not answer yet, or goes on with what had reached its kernel.
            let count = match client.admin().describe(topic).await {
                Ok(found) => {
                    let queues = found.queues.iter();
                    queues.map(|queue| queue.next - queue.first).sum()
                }
                Err(_) => 0_i64,
            };
            let before = std::mem::replace(&mut last, count);
            tokio::time::sleep(Duration::from_millis(500)).await;
            count > 0 && before == count
        })
        .await;
        let count = usize::try_from(last).expect("a count");
        Self(drain(client, topic, count).await)
    }

    /// How many messages, copies included.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The messages, copies included.
    pub fn messages(&self) -> &[Received] {
        &self.0
    }

    /// The bodies.
    pub fn bodies(&self) -> Vec<String> {
        self.0.iter().map(text).collect()
    }

    /// How many are copies of others.
    pub fn copies(&self) -> usize {
        let ids: BTreeSet<_> = self.0.iter().map(|received| received.unique_id()).collect();
        self.0.len() - ids.len()
    }

    /// Nothing acknowledged is lost, and at the place that its receipt names; nothing is stored that is said not to be; each copy is
    /// recognisable by its unique id.
    #[track_caller]
    pub fn agrees_with(&self, all: &[Sent]) {
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut places = BTreeMap::new();
        for received in &self.0 {
            let id = received.unique_id().expect("a unique id").to_owned();
            places.insert(
                (
                    received.broker().to_owned(),
                    received.queue(),
                    received.offset(),
                ),
                id.clone(),
            );
            ids.entry(text(received)).or_default().insert(id);
        }
        for (number, ids) in &ids {
            assert_eq!(ids.len(), 1, "copies of {number} have one id");
        }
        for sent in all {
            let stored = ids.contains_key(&sent.number.to_string());
            match &sent.result {
                Ok(receipt) => {
                    let place = (
                        receipt.broker().to_owned(),
                        receipt.queue(),
                        receipt.offset(),
                    );
                    let there = places.get(&place).map(String::as_str);
                    assert_eq!(
                        there,
                        Some(receipt.unique_id()),
                        "{} at {place:?}",
                        sent.number
                    );
                }
                Err(failed) => assert!(
                    !stored || failed.outcome() == Outcome::Unknown,
                    "{} is stored: {failed}",
                    sent.number
                ),
            }
        }
    }
}

/// A consumer that acknowledges each message after a while and remembers it.
#[derive(Debug)]
pub struct Eater {
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Eater {
    /// Receives from the beginning, one message after the other.
    pub async fn start(client: &Client, group: &str, topic: &str, each: Duration) -> Self {
        let builder = from_first(client, group, topic).prefetch_count(PREFETCH);
        let consumer = builder.build().await.expect("a consumer");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Some(delivery) = consumer.recv().await.expect("it lives") {
                let body = text(&delivery);
                tokio::time::sleep(each).await;
                told.lock().expect("no panic").push(body);
                // Taken away in the meantime, it comes again.
                let _ = delivery.ack().await;
            }
        });
        Self { seen, task }
    }

    /// Waits until it has seen all of them.
    pub async fn has_seen(&self, wanted: &BTreeSet<String>) {
        until(LIMIT, "everything was received", async || {
            let seen = self.seen.lock().expect("no panic");
            let seen: BTreeSet<_> = seen.iter().collect();
            wanted.iter().all(|one| seen.contains(one))
        })
        .await;
    }

    /// How many messages it has received, copies included.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("no panic").len()
    }
}

impl Drop for Eater {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What an [`Eater`] has in its buffer at most.
pub const PREFETCH: usize = 256;
const LIMIT: Duration = Duration::from_secs(120);
/// For a broker that may just be coming back.
const END: Duration = Duration::from_secs(60);
