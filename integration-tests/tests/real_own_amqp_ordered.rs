//! Ordered topics on a node that is cut off and killed, with a consumer that is killed: each key stays in its order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::harness::amqp::{connect_to, on, own_node};
use integration_tests::harness::{Child, role, size, unique, until, within};
use mq_amqp::{Client, Error, Message, OrderedConsumer, OrderedPublisher, OrderedTopic, Settle};
use tokio::task::{JoinHandle, spawn_blocking};

const WAIT: Duration = Duration::from_secs(600);
const KEYS: usize = 8;

async fn topic(client: &Client, name: &str) -> OrderedTopic {
    topic_of(client, name, false).await
}

async fn topic_of(client: &Client, name: &str, quorum: bool) -> OrderedTopic {
    let topic = client.ordered_topic(name.to_owned()).partitions(4);
    let topic = if quorum { topic.quorum() } else { topic };
    topic.declare().await.unwrap()
}

/// What was handled: the next number of each key, and what came before its turn.
#[derive(Default)]
struct Seen {
    keys: Mutex<[usize; KEYS]>,
    violations: Mutex<Vec<String>>,
    copies: Mutex<BTreeSet<(usize, usize)>>,
}

impl Seen {
    fn note(&self, key: usize, number: usize) {
        let mut keys = self.keys.lock().unwrap();
        if number > keys[key] {
            let what = format!("key {key}: {number} before {}", keys[key]);
            self.violations.lock().unwrap().push(what);
        }
        if number < keys[key] {
            self.copies.lock().unwrap().insert((key, number));
        }
        keys[key] = keys[key].max(number + 1);
    }

    fn note_text(&self, text: &str) {
        let (key, number) = text.split_once(' ').unwrap();
        self.note(key.parse().unwrap(), number.parse().unwrap());
    }

    fn count(&self) -> usize {
        self.keys.lock().unwrap().iter().sum()
    }

    fn is_in_order(&self) {
        let violations = self.violations.lock().unwrap();
        assert!(violations.is_empty(), "{violations:?}");
    }
}

/// Sends the numbers of each key; with a pace not far ahead of what is handled, so that faults strike here too. The caller has no code for them.
fn send_all(publisher: OrderedPublisher, each: usize, pace: Option<Arc<Seen>>) -> JoinHandle<u32> {
    tokio::spawn(async move {
        let mut under_way = std::collections::VecDeque::new();
        let mut again = 0;
        for number in 0..each {
            while pace
                .as_ref()
                .is_some_and(|seen| number * KEYS > seen.count() + 400)
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for key in 0..KEYS {
                let message = Message::new(format!("key-{key}"), format!("{key} {number}"));
                under_way.push_back(publisher.enqueue(message).await.unwrap());
            }
            while under_way.len() > 500 {
                let receipt = under_way.pop_front().unwrap().await.unwrap();
                again += receipt.attempts() - 1;
            }
        }
        for confirm in under_way {
            again += confirm.await.unwrap().attempts() - 1;
        }
        again
    })
}

fn handle(consumer: &Arc<OrderedConsumer>, seen: &Arc<Seen>) -> JoinHandle<()> {
    let (consumer, seen) = (Arc::clone(consumer), Arc::clone(seen));
    tokio::spawn(async move {
        let handled = consumer.run(move |message| {
            let seen = Arc::clone(&seen);
            async move {
                // Long enough that faults strike while handlers run.
                tokio::time::sleep(Duration::from_millis(1)).await;
                seen.note_text(message.text().unwrap());
                Ok::<_, Error>(Settle::Ack)
            }
        });
        handled.await.unwrap();
    })
}

/// All connections closed three times, the node killed twice, under two consumers of one topic. CI: 8 keys × 500; full: 1 000 000 messages.
async fn cuts_and_restarts(quorum: bool) {
    let node = own_node().await;
    let (client, other) = (connect_to(node.url()).await, connect_to(node.url()).await);
    let (name, each) = (unique("ordered"), size(500, 125_000));
    let first = topic_of(&client, &name, quorum).await;
    let second = topic_of(&other, &name, quorum).await;
    if quorum {
        // What it has not written down of a quorum queue that is younger than 3 s, a kill takes along with its messages.
        on(&node, |node| node.write_down_quorum_queues().unwrap()).await;
    }
    let publisher = first.publisher().timeout(WAIT).build().await.unwrap();
    let seen = Arc::new(Seen::default());
    let (ours, theirs) = tokio::join!(first.consumer().build(), second.consumer().build());
    let members = [Arc::new(ours.unwrap()), Arc::new(theirs.unwrap())];
    let running: Vec<_> = members.iter().map(|one| handle(one, &seen)).collect();
    let sending = send_all(publisher, each, Some(Arc::clone(&seen)));
    let all = each * KEYS;
    for round in 1..=5 {
        until(WAIT, "the next fault is due", async || {
            assert!(!running.iter().any(JoinHandle::is_finished), "one ended");
            seen.count() >= all * round / 7
        })
        .await;
        if round % 2 == 1 {
            on(&node, |node| node.close_all_connections("a test").unwrap()).await;
        } else {
            on(&node, |node| {
                node.kill9().unwrap();
                node.restart().unwrap();
            })
            .await;
        }
    }
    let again = within(WAIT, "all are sent", sending).await.unwrap();
    until(WAIT, "all are handled", async || {
        assert!(!running.iter().any(JoinHandle::is_finished), "one ended");
        seen.count() == all
    })
    .await;
    seen.is_in_order();
    let dropped: u64 = members.iter().map(|one| one.copies_dropped()).sum();
    let handled = seen.copies.lock().unwrap().len();
    println!("sent again: {again}; copies dropped: {dropped}, handled twice: {handled}");
    for (consumer, running) in members.iter().zip(running) {
        consumer.close().await;
        running.await.unwrap();
    }
    for partition in 0..first.partitions() {
        let info = client.queue(&first.queue(partition)).await.unwrap();
        assert_eq!(info.messages, 0);
    }
    client.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_ordered_keys_stay_in_order_through_cuts_and_restarts() {
    cuts_and_restarts(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_ordered_quorum_keys_stay_in_order_through_cuts_and_restarts() {
    cuts_and_restarts(true).await;
}

/// What this consumer has handled and could not acknowledge, since its connection was cut, comes again and is not handled again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_ordered_a_copy_of_what_was_settled_is_dropped() {
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let topic = topic(&client, &unique("copies")).await;
    let publisher = topic.publisher().build().await.unwrap();
    for number in 0..3 {
        let message = Message::new("key", number.to_string());
        publisher.send(message).await.unwrap();
    }
    let consumer = topic.consumer().build().await.unwrap();
    let held = within(WAIT, "a message", consumer.recv()).await;
    let held = held.unwrap().unwrap();
    assert_eq!(held.text(), Some("0"));
    on(&node, |node| node.close_all_connections("a test").unwrap()).await;
    let queue = topic.queue(topic.partition_of("key"));
    until(WAIT, "it consumes again", async || {
        let info = client.queue(&queue).await;
        info.is_ok_and(|info| info.consumers == 1 && info.messages == 0)
    })
    .await;
    assert!(held.ack().await.is_err(), "stale");
    let next = within(WAIT, "the next one", consumer.recv()).await;
    let next = next.unwrap().unwrap();
    assert_eq!(next.text(), Some("1"));
    assert_eq!(consumer.copies_dropped(), 1);
    // One that is not settled comes again.
    on(&node, |node| node.close_all_connections("a test").unwrap()).await;
    drop(next);
    for number in ["1", "2"] {
        let next = within(WAIT, "the next one", consumer.recv()).await;
        let next = next.unwrap().unwrap();
        assert_eq!(next.text(), Some(number));
        next.ack().await.unwrap();
    }
    client.close().await;
}

/// The child says what it handles, before it acknowledges it.
async fn child(argument: &str) {
    let (url, name) = argument.split_once(' ').unwrap();
    let client = connect_to(url).await;
    let topic = topic(&client, name).await;
    let consumer = topic.consumer().build().await.unwrap();
    Child::say("ready", "");
    let handling = consumer.run(|message| async move {
        Child::say("handled", message.text().unwrap());
        Ok::<_, Error>(Settle::Ack)
    });
    handling.await.unwrap();
}

/// The process of the consumer that has every partition is killed: another goes on, from what was not settled. CI: 8 keys × 500; full: 1 000 000 messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_ordered_another_takes_over_from_a_consumer_that_is_killed() {
    if let Some(argument) = role("consumer") {
        return child(&argument).await;
    }
    let this = "real_own_amqp_ordered_another_takes_over_from_a_consumer_that_is_killed";
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let (name, each) = (unique("killed"), size(500, 125_000));
    let topic = topic(&client, &name).await;
    let argument = format!("{} {name}", node.url());
    let seen = Arc::new(Seen::default());
    let mut active = Child::start(this, "consumer", &argument);
    let mut active = spawn_blocking(move || {
        active.hear("ready");
        active
    })
    .await
    .unwrap();
    let next = Arc::new(topic.consumer().build().await.unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    let running = {
        let (consumer, log) = (Arc::clone(&next), Arc::clone(&log));
        tokio::spawn(async move {
            let handled = consumer.run(move |message| {
                log.lock().unwrap().push(message.text().unwrap().to_owned());
                async { Ok::<_, Error>(Settle::Ack) }
            });
            handled.await.unwrap();
        })
    };
    let publisher = topic.publisher().timeout(WAIT).build().await.unwrap();
    let sending = send_all(publisher, each, None);
    let (waiting, told) = (Arc::clone(&log), Arc::clone(&seen));
    let before = spawn_blocking(move || {
        while told.count() < each * KEYS / 3 {
            told.note_text(&active.hear("handled"));
        }
        let early = waiting.lock().unwrap().len();
        active.kill9();
        while let Some(text) = active.hear_or_end("handled") {
            told.note_text(&text);
        }
        early
    });
    assert_eq!(before.await.unwrap(), 0, "two were active");
    let taken_over = seen.count();
    within(WAIT, "all are sent", sending).await.unwrap();
    let last = |text: &String| text.ends_with(&format!(" {}", each - 1));
    until(WAIT, "all are handled", async || {
        log.lock().unwrap().iter().filter(|text| last(text)).count() == KEYS
    })
    .await;
    for text in &*log.lock().unwrap() {
        seen.note_text(text);
    }
    seen.is_in_order();
    assert_eq!(seen.count(), each * KEYS);
    println!("handled by the first: {taken_over}");
    next.close().await;
    running.await.unwrap();
    client.close().await;
}
