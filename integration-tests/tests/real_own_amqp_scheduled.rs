//! Scheduled messages on nodes that are killed while they wait, and on a ladder of quorum queues.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use integration_tests::brokers::rabbitmq::Node;
use integration_tests::harness::{now, size, unique, wall, within};
use mq_amqp::{Cancel, Client, Consumer, ErrorKind, Message, Queue};
use tokio::task::spawn_blocking;

const WAIT: Duration = Duration::from_secs(120);

async fn node() -> Arc<Node> {
    let started = spawn_blocking(Node::start).await.unwrap();
    Arc::new(started.unwrap())
}

async fn on(node: &Arc<Node>, act: impl FnOnce(&Node) + Send + 'static) {
    let node = Arc::clone(node);
    spawn_blocking(move || act(&node)).await.unwrap();
}

async fn connect(node: &Node) -> Client {
    let client = Client::from_url(node.url()).unwrap();
    client.connect().await.unwrap()
}

async fn receive(consumer: &Consumer, count: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    while found.len() < count {
        let delivery = within(WAIT, "the next message", consumer.recv()).await;
        let delivery = delivery.unwrap().unwrap();
        assert!(wall() >= delivery.scheduled_for().unwrap(), "early");
        let text = delivery.text().unwrap().to_owned();
        assert!(found.insert(text), "twice: {:?}", delivery.text());
        delivery.ack().await.unwrap();
    }
    found
}

/// Messages that wait in both ways, through an end of the node: each comes, once, and none early; what was taken back stays away, and what
/// waits can still be taken back.
async fn through(least: u64, stop: impl FnOnce(&Node) + Send + 'static) {
    let node = node().await;
    let client = connect(&node).await;
    let (queue, count) = (unique("survive"), size(100, 2_000));
    let declared = client.declare_queue(Queue::classic(queue.clone()));
    declared.await.unwrap();
    let scheduler = client.scheduler().build().await.unwrap();
    let send = |number: usize| {
        let delay = Duration::from_millis(least + (number as u64 * 7919) % 7_000);
        let message = Message::new(queue.clone(), number.to_string());
        let deliver = scheduler.deliver_after(message, delay);
        async move {
            if number.is_multiple_of(2) {
                deliver.await.unwrap();
            } else {
                deliver.cancellable().await.unwrap();
            }
        }
    };
    let sent = iter(0..count).map(send).buffer_unordered(32).count();
    assert_eq!(within(WAIT, "all are sent", sent).await, count);
    let mut handles = Vec::new();
    for body in ["before", "after"] {
        let message = Message::new(queue.clone(), body);
        let deliver = scheduler.deliver_after(message, Duration::from_secs(3600));
        let receipt = deliver.cancellable().await.unwrap();
        handles.push(receipt.scheduled().unwrap().clone());
    }
    let cancelled = scheduler.cancel(&handles[0]).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled);
    on(&node, move |node| {
        stop(node);
        node.restart().unwrap();
    })
    .await;
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    let found = receive(&consumer, count).await;
    let wanted: BTreeSet<_> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(found, wanted);
    let cancelled = scheduler.cancel(&handles[1]).await.unwrap();
    assert_eq!(cancelled, Cancel::Cancelled, "it waits still");
    let cancelled = scheduler.cancel(&handles[0]).await.unwrap();
    assert_eq!(cancelled, Cancel::TooLate);
    client.close().await;
}

/// Stopped well while messages go down the ladder, and some become due. CI: 100; full: 2 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_messages_survive_a_restart() {
    through(1_000, |node| node.shutdown().unwrap()).await;
}

/// Killed while all of them wait: those of 13 s and more have not left the ladder's queue of 12.8 s yet. CI: 100; full: 2 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_messages_that_wait_survive_a_kill() {
    through(13_000, |node| node.kill9().unwrap()).await;
}

/// A ladder of quorum queues keeps its times too; one of the other kind beside it is refused; a ladder that somebody deleted is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_on_quorum_queues_and_on_a_ladder_that_was_deleted() {
    let node = node().await;
    let client = connect(&node).await;
    let queue = unique("quorum");
    let declared = client.declare_queue(Queue::quorum(queue.clone()));
    declared.await.unwrap();
    let scheduler = client.scheduler().quorum().build().await.unwrap();
    let refused = client.scheduler().build().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Rejected, "{refused}");
    client.scheduler().quorum().build().await.unwrap();
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    for number in 0..10 {
        let message = Message::new(queue.clone(), number.to_string());
        let delay = Duration::from_millis(300 + number * 300);
        scheduler.deliver_after(message, delay).await.unwrap();
    }
    assert_eq!(receive(&consumer, 10).await.len(), 10);
    for exchange in ["l00", "l01", "l02", "l03", "out"] {
        let name = format!("mq.delay.v1.{exchange}");
        client.delete_exchange(&name).await.unwrap();
    }
    for millis in [400, 500] {
        let message = Message::new(queue.clone(), millis.to_string());
        let deliver = scheduler.deliver_after(message, Duration::from_millis(millis));
        deliver.await.unwrap();
    }
    assert_eq!(receive(&consumer, 2).await.len(), 2);
    client.close().await;
}

/// What timer queues cost, on a node that may have 4 GB of memory. CI: 200; full: 10 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_thousands_of_timers_are_kept_and_taken_back() {
    let node = node().await;
    control(&node, &["set_vm_memory_high_watermark", "absolute", "4GB"]).await;
    let client = connect(&node).await;
    let queue = unique("timers");
    let declared = client.declare_queue(Queue::classic(queue.clone()));
    declared.await.unwrap();
    let scheduler = client.scheduler().build().await.unwrap();
    let count = size(200, 10_000);
    let before = memory(&node).await;
    let begun = now();
    let send = |number: usize| {
        let message = Message::new(queue.clone(), number.to_string());
        let deliver = scheduler.deliver_after(message, Duration::from_secs(3600));
        let deliver = deliver.cancellable();
        async move { deliver.await.unwrap().scheduled().unwrap().clone() }
    };
    let sending = iter(0..count).map(send).buffer_unordered(32);
    let handles: Vec<_> = sending.collect().await;
    println!("{count} timers made in {:?}", now() - begun);
    let each = memory(&node).await.saturating_sub(before) / count;
    println!("memory of each: {each} B");
    let begun = now();
    let cancelled = iter(&handles)
        .map(async |handle| scheduler.cancel(handle).await.unwrap())
        .buffer_unordered(32)
        .filter(|cancel| std::future::ready(*cancel == Cancel::Cancelled));
    assert_eq!(cancelled.count().await, count);
    println!("{count} timers taken back in {:?}", now() - begun);
    assert_eq!(client.queue(&queue).await.unwrap().messages, 0);
    client.close().await;
}

async fn control(node: &Node, args: &'static [&'static str]) -> String {
    let control = node.control();
    let asking = spawn_blocking(move || {
        let mut command = std::process::Command::new(control);
        let said = command.arg("-q").args(args).output().unwrap();
        assert!(said.status.success(), "rabbitmqctl {args:?} failed");
        String::from_utf8(said.stdout).unwrap()
    });
    asking.await.unwrap()
}

async fn memory(node: &Node) -> usize {
    let said = control(node, &["eval", "erlang:memory(total)."]).await;
    said.trim().parse().unwrap()
}
