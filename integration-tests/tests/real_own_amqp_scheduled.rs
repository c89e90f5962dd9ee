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
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use integration_tests::brokers::rabbitmq::Node;
use integration_tests::harness::amqp::{connect_to, control_by, on, own_node};
use integration_tests::harness::{now, size, unique, wall, within};
use mq_amqp::{Cancel, Client, Consumer, ErrorKind, Message, Queue};

const WAIT: Duration = Duration::from_secs(120);

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
    let node = own_node().await;
    let client = connect_to(node.url()).await;
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
    let node = own_node().await;
    let client = connect_to(node.url()).await;
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

/// What somebody deleted of the ladder is made again by who finds it gone: a queue of it, which is another answer than an exchange, and the exchange that leads
/// to targets, where the target may be what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_on_a_ladder_of_which_a_part_was_deleted() {
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let queue = unique("parts");
    let declared = client.declare_queue(Queue::classic(queue.clone()));
    declared.await.unwrap();
    let scheduler = client.scheduler().build().await.unwrap();
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    let delay = Duration::from_millis(400);
    let send = async |body: &'static str| {
        let message = Message::new(queue.clone(), body);
        scheduler.deliver_after(message, delay).await.unwrap();
        assert!(receive(&consumer, 1).await.contains(body));
    };
    send("whole").await;
    client.delete_queue("mq.delay.v1.l02").await.unwrap();
    send("without a queue").await;
    client.delete_exchange("mq.delay.v1.l02").await.unwrap();
    send("without an exchange").await;
    client.delete_exchange("mq.delay.v1.out").await.unwrap();
    // Bound for the first time by another one, so that its binding is what fails.
    let fresh = client.scheduler().build().await.unwrap();
    let missing = Message::new(unique("no queue"), "x");
    let failed = fresh.deliver_after(missing, delay).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::NotFound, "{failed}");
    let there = client.delete_queue("mq.delay.v1.undelivered").await;
    there.unwrap();
    let message = Message::new(queue.clone(), "without the last exchange");
    fresh.deliver_after(message, delay).await.unwrap();
    receive(&consumer, 1).await;
    client.close().await;
}

/// What is in the ladder, by the broker's count. A quorum queue tells clients nothing of what it hands on: what has found no way, while the node started, waits there for
/// three minutes.
// rabbitmq-server 3.10: rabbit_fifo_dlx_worker.erl, dead_letter_worker_publisher_confirm_timeout
async fn waiting(node: &Node, client: &Client) -> u32 {
    let mut all = 0;
    for level in 0..8 {
        let queue = client.queue(&format!("mq.delay.v1.l{level:02}")).await;
        all += queue.unwrap().messages;
    }
    // One that does not answer may have any.
    let of_quorum = "lists:sum([case ra:local_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1) of \
        {ok, {_, N}, _} -> N; _ -> 1 end || Q <- rabbit_amqqueue:list(), amqqueue:is_quorum(Q)]).";
    let told = control_by(node.control(), &["eval", of_quorum]).await;
    all + told.trim().parse::<u32>().unwrap()
}

/// Kills the node while messages pass from queue to queue, and counts what came: how many are lost, and how many came more than once. None is early.
async fn killed_on_the_ladder(quorum: bool) -> (usize, usize) {
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let (queue, count) = (unique("killed"), size(500, 5_000));
    let declared = client.declare_queue(Queue::quorum(queue.clone()));
    declared.await.unwrap();
    let builder = client.scheduler();
    let builder = if quorum { builder.quorum() } else { builder };
    let scheduler = builder.build().await.unwrap();
    on(&node, |node| node.write_down_quorum_queues().unwrap()).await;
    let begun = now();
    let send = |number: usize| {
        // Five queues each or more, down to the shortest.
        let delay = Duration::from_millis(6_300 + (number as u64 * 7919) % 6_400);
        let message = Message::new(queue.clone(), number.to_string());
        let deliver = scheduler.deliver_after(message, delay);
        async move { deliver.await.unwrap() }
    };
    let sent = iter(0..count).map(send).buffer_unordered(256).count();
    assert_eq!(within(WAIT, "all are sent", sent).await, count);
    println!("{count} sent in {:?}", now() - begun);
    tokio::time::sleep_until((begun + Duration::from_secs(7)).into()).await;
    on(&node, |node| {
        node.kill9().unwrap();
        node.restart().unwrap();
    })
    .await;
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    let mut times = vec![0; count];
    loop {
        let next = tokio::time::timeout(Duration::from_secs(2), consumer.recv());
        let Ok(delivery) = next.await else {
            let left = waiting(&node, &client).await;
            if left == 0 && client.queue(&queue).await.unwrap().messages == 0 {
                break;
            }
            assert!(now() - begun < 3 * WAIT, "the ladder is not empty");
            continue;
        };
        let delivery = delivery.unwrap().unwrap();
        assert!(wall() >= delivery.scheduled_for().unwrap(), "early");
        times[delivery.text().unwrap().parse::<usize>().unwrap()] += 1;
        delivery.ack().await.unwrap();
    }
    let aside = client.queue("mq.delay.v1.undelivered").await.unwrap();
    client.close().await;
    let lost = times.iter().filter(|times| **times == 0).count();
    let repeated = times.iter().filter(|times| **times > 1).count();
    println!(
        "{:?}; of {count}: {lost} did not come, {} are undelivered, {repeated} came more than once",
        now() - begun,
        aside.messages
    );
    (lost, repeated)
}

/// A ladder of classic queues promises nothing of what passes in that moment, but that it is not early. CI: 500; full: 5 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_a_kill_under_way_makes_nothing_early() {
    killed_on_the_ladder(false).await;
}

/// One of quorum queues loses nothing, and may repeat. CI: 500; full: 5 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_scheduled_a_kill_under_way_loses_nothing_of_quorum_queues() {
    let (lost, _) = killed_on_the_ladder(true).await;
    assert_eq!(lost, 0);
}
