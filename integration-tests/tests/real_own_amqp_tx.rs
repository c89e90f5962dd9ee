//! Transactions on a node that cuts connections, is killed, or is short of memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use integration_tests::brokers::rabbitmq::VHOST;
use integration_tests::harness::amqp::{connect_to, on, own_node};
use integration_tests::harness::{size, unique, until, within};
use mq_amqp::{Client, CommitError, ErrorKind, Event, Message, Outcome, Queue, TxChannel};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

const WAIT: Duration = Duration::from_secs(120);

/// For all of them; the full size is 25 times as many.
fn moving() -> Duration {
    WAIT * size(1, 10)
}
/// So many messages a transaction.
const BATCH: usize = 10;

async fn declare(client: &Client, quorum: bool) -> (String, String) {
    let (source, target) = (unique("source"), unique("target"));
    for name in [&source, &target] {
        let queue = if quorum {
            Queue::quorum(name.clone())
        } else {
            Queue::classic(name.clone())
        };
        client.declare_queue(queue).await.unwrap();
    }
    (source, target)
}

async fn fill(client: &Client, queue: &str, count: usize) {
    let publisher = client.publisher("").timeout(WAIT).build().await.unwrap();
    for at in 0..count {
        let message = Message::new(queue.to_owned(), at.to_string());
        drop(publisher.enqueue(message).await.unwrap());
    }
    publisher.flush().await.unwrap();
}

/// What became of transactions.
#[derive(Debug, Default)]
struct Ends {
    committed: usize,
    /// How many messages were in these.
    moved: usize,
    unknown: usize,
    not_applied: usize,
}

/// Moves what is in one queue to another, a batch a transaction; gives how many, and `None` when nothing came for a while.
async fn shovel(channel: &mut TxChannel, target: &str) -> Option<Result<usize, CommitError>> {
    let mut tx = match channel.begin().await {
        Ok(tx) => tx,
        Err(error) => return Some(Err(error.into())),
    };
    let mut moved = 0;
    loop {
        match tokio::time::timeout(Duration::from_secs(2), tx.recv()).await {
            Ok(Ok(Some(delivery))) => {
                let message = Message::new(target.to_owned(), delivery.body().clone());
                if let Err(failed) = tx.publish("", message).await {
                    return Some(Err(failed.error.into()));
                }
                if let Err(error) = tx.ack(&delivery) {
                    return Some(Err(error.into()));
                }
                moved += 1;
            }
            Ok(Err(error)) => return Some(Err(error.into())),
            Err(_) if moved == 0 => return None,
            Ok(Ok(None)) | Err(_) => break,
        }
    }
    Some(tx.commit().await.map(|()| moved))
}

/// Until nothing is left; tells when it goes.
async fn shovel_all(client: &Client, source: &str, target: &str, goes: &Notify) -> Ends {
    let prefetch = u16::try_from(BATCH).unwrap();
    let channel = client
        .tx_channel()
        .consume(source.to_owned())
        .prefetch(prefetch);
    let mut channel = channel.timeout(WAIT).build().await.unwrap();
    let mut ends = Ends::default();
    while let Some(told) = shovel(&mut channel, target).await {
        match told {
            Ok(moved) => {
                ends.committed += 1;
                ends.moved += moved;
                goes.notify_one();
            }
            Err(failed) if failed.outcome() == Outcome::Unknown => ends.unknown += 1,
            Err(_) => ends.not_applied += 1,
        }
    }
    ends
}

/// Every text of a queue, with how often it is there.
async fn drain(client: &Client, queue: &str) -> BTreeMap<String, usize> {
    let consumer = client.consumer(queue).prefetch(1000).build().await.unwrap();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    while let Ok(next) = tokio::time::timeout(Duration::from_secs(2), consumer.recv()).await {
        let delivery = next.unwrap().unwrap();
        let text = delivery.text().unwrap().to_owned();
        *found.entry(text).or_default() += 1;
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
    found
}

/// Nothing is lost, and nothing stays behind; gives how many are there twice.
async fn judge(client: &Client, source: &str, target: &str, count: usize) -> usize {
    let found = drain(client, target).await;
    let there: BTreeSet<usize> = found.keys().map(|text| text.parse().unwrap()).collect();
    assert!(there.into_iter().eq(0..count), "all of them and no others");
    assert_eq!(client.queue(source).await.unwrap().messages, 0);
    found.values().map(|times| times - 1).sum()
}

/// Received, published and acknowledged in one transaction, while connections are cut: everything is moved, and what is there twice was in a transaction
/// whose outcome was told as unknown. CI: 2 000 messages; full: 50 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_tx_moves_everything_through_cuts() {
    let node = own_node().await;
    for quorum in [false, true] {
        let client = connect_to(node.url()).await;
        let (source, target) = declare(&client, quorum).await;
        let count = size(2_000, 50_000);
        fill(&client, &source, count).await;
        let goes = Arc::new(Notify::new());
        let cutting = {
            let (node, goes) = (Arc::clone(&node), Arc::clone(&goes));
            tokio::spawn(async move {
                goes.notified().await;
                for _ in 0..3 {
                    on(&node, |node| node.close_all_connections("a test").unwrap()).await;
                }
            })
        };
        let ends = within(
            moving(),
            "an empty queue",
            shovel_all(&client, &source, &target, &goes),
        )
        .await;
        cutting.await.unwrap();
        let twice = judge(&client, &source, &target, count).await;
        println!("quorum {quorum}: {ends:?}, {twice} twice");
        assert!(ends.unknown + ends.not_applied > 0, "no cut struck");
        assert!(twice <= ends.unknown * BATCH, "{twice} of {ends:?}");
        // Of a transaction that was told as not applied nothing is there.
        let by_others = (count + twice).checked_sub(ends.moved);
        let explained = by_others.is_some_and(|it| it <= ends.unknown * BATCH);
        assert!(explained, "{twice} twice, {ends:?}");
        client.close().await;
    }
}

/// The node is killed meanwhile: nothing that was committed is missing. What is there twice may be more than what was unknown, since a commit does
/// not promise that its acknowledgements are stored. Classic queues: the only member of a quorum queue may stay a follower after a kill for minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_tx_loses_nothing_when_the_node_is_killed() {
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let (source, target) = declare(&client, false).await;
    let count = size(2_000, 50_000);
    fill(&client, &source, count).await;
    let goes = Arc::new(Notify::new());
    let killing = {
        let (node, goes) = (Arc::clone(&node), Arc::clone(&goes));
        tokio::spawn(async move {
            goes.notified().await;
            on(&node, |node| {
                node.kill9().unwrap();
                node.restart().unwrap();
            })
            .await;
        })
    };
    let all = shovel_all(&client, &source, &target, &goes);
    let ends = within(moving(), "an empty queue", all).await;
    killing.await.unwrap();
    let twice = judge(&client, &source, &target, count).await;
    println!("{ends:?}, {twice} twice");
    assert!(ends.unknown + ends.not_applied > 0, "the kill struck none");
    client.close().await;
}

/// Short of memory: the commit is not written, its time-out says that nothing is applied, and it is so when there is memory again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_tx_that_is_blocked_is_not_applied_later() {
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let (source, target) = declare(&client, false).await;
    fill(&client, &source, 1).await;
    let channel = client.tx_channel().consume(source.clone());
    let channel = channel.timeout(Duration::from_millis(500));
    let mut channel = channel.build().await.unwrap();
    let mut events = client.events();
    on(&node, |node| node.short_of_memory(true).unwrap()).await;
    let mut tx = channel.begin().await.unwrap();
    let delivery = within(WAIT, "a message", tx.recv()).await;
    tx.ack(&delivery.unwrap().unwrap()).unwrap();
    tx.publish("", Message::new(target.clone(), "x"))
        .await
        .unwrap();
    // A server tells it to who publishes.
    let blocked = async { while !matches!(events.next().await, Some(Event::Blocked { .. })) {} };
    within(WAIT, "the block", blocked).await;
    let failed = tx.commit().await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    assert!(failed.to_string().contains("blocked"), "{failed}");
    on(&node, |node| node.short_of_memory(false).unwrap()).await;
    let mut tx = within(WAIT, "the next one", channel.begin()).await.unwrap();
    let again = within(WAIT, "the message", tx.recv()).await;
    let again = again.unwrap().unwrap();
    assert!(again.redelivered());
    tx.ack(&again).unwrap();
    tx.commit().await.unwrap();
    until(WAIT, "nothing left", async || {
        let queues = {
            let node = Arc::clone(&node);
            let listed = spawn_blocking(move || node.queues(VHOST)).await;
            listed.unwrap().unwrap()
        };
        let empty = |name: &str| {
            let found = queues.iter().find(|queue| queue.name == name);
            found.is_some_and(|queue| (queue.ready, queue.unacked) == (0, 0))
        };
        empty(&source) && empty(&target)
    })
    .await;
    client.close().await;
}
