//! A node of RabbitMQ that is cut off, killed, short of memory, frozen: under publishers and consumers that have no code for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use integration_tests::harness::amqp::{connect_to, on, own_node};
use integration_tests::harness::{now, size, unique, until, within};
use mq_amqp::{Client, ErrorKind, Event, Message, Outcome, Publisher, Queue, Receipt, Settle};

const WAIT: Duration = Duration::from_secs(120);

/// Everything that is in a queue, by id, with how often.
async fn drain(client: &Client, queue: &str, count: usize) -> BTreeMap<String, u32> {
    let consumer = client.consumer(queue).prefetch(1000).build().await.unwrap();
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    while found.len() < count {
        let delivery = within(WAIT, "the next message", consumer.recv()).await;
        let delivery = delivery.unwrap().unwrap();
        *found
            .entry(delivery.text().unwrap().to_owned())
            .or_default() += 1;
        delivery.ack().await.unwrap();
    }
    // Copies may follow.
    while let Ok(Ok(Some(delivery))) =
        tokio::time::timeout(Duration::from_millis(500), consumer.recv()).await
    {
        *found
            .entry(delivery.text().unwrap().to_owned())
            .or_default() += 1;
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
    found
}

/// Publishes numbers through the window; every one has to be confirmed.
async fn publish(publisher: &Publisher, queue: &str, count: usize) -> Vec<Receipt> {
    let queue = queue.to_owned();
    let numbers = futures_util::stream::iter(0..count);
    let messages = numbers.map(move |at| Message::new(queue.clone(), at.to_string()));
    let results: Vec<_> = publisher.send_all(messages).collect().await;
    results.into_iter().map(Result::unwrap).collect()
}

/// Publishes numbers, some thousand a second, until there are so many and it is told to stop.
async fn publish_until(
    publisher: &Publisher,
    queue: &str,
    least: usize,
    stop: &AtomicBool,
) -> Vec<Receipt> {
    let mut under_way = Vec::new();
    while under_way.len() < least || !stop.load(Ordering::Relaxed) {
        for _ in 0..20 {
            let message = Message::new(queue.to_owned(), under_way.len().to_string());
            under_way.push(publisher.enqueue(message).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    let mut receipts = Vec::new();
    for confirm in under_way {
        receipts.push(confirm.await.unwrap());
    }
    receipts
}

/// All connections closed three times, the node killed twice, while messages are published: what was confirmed is there, copies have the same
/// id and are no more than the window, and the caller has no code for any of it. CI: 5 000 messages; full: 100 000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_what_was_confirmed_is_there_after_cuts_and_kills() {
    const WINDOW: usize = 100;
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let (queue, count) = (unique("confirmed"), size(5_000, 100_000));
    client
        .declare_queue(Queue::classic(queue.clone()))
        .await
        .unwrap();
    let publisher = client
        .publisher("")
        .window(WINDOW)
        .timeout(WAIT)
        .build()
        .await
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = {
        let (publisher, queue, stop) = (publisher.clone(), queue.clone(), Arc::clone(&stop));
        tokio::spawn(async move { publish_until(&publisher, &queue, count, &stop).await })
    };
    let mut back = Vec::new();
    for round in 0..5 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        if round % 2 == 0 {
            on(&node, |node| node.close_all_connections("a test").unwrap()).await;
        } else {
            on(&node, |node| {
                node.kill9().unwrap();
                node.restart().unwrap();
            })
            .await;
            let begun = now();
            publisher
                .send(Message::new(queue.clone(), format!("after {round}")))
                .await
                .unwrap();
            back.push(now() - begun);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let receipts = within(WAIT, "everything is confirmed", publishing);
    let receipts = receipts.await.unwrap();
    let count = receipts.len();
    let again: u32 = receipts.iter().map(|receipt| receipt.attempts() - 1).sum();
    println!("sent again: {again}; first confirm after the node is back: {back:?}");
    assert!(again > 0, "no cut struck while messages were under way");
    assert!(
        back.iter().all(|took| *took <= Duration::from_millis(1500)),
        "{back:?}"
    );
    let found = drain(&client, &queue, count + 2).await;
    let copies: u32 = found.values().map(|times| times - 1).sum();
    println!("copies: {copies}");
    for at in 0..count {
        assert!(found.contains_key(&at.to_string()), "{at} was confirmed");
    }
    assert!(copies <= u32::try_from(5 * WINDOW).unwrap(), "{copies}");
    client.close().await;
}

/// Short of memory: publishes wait to their deadline, consumers go on, it is told, and it ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_a_memory_alarm_holds_publishers_and_nobody_else() {
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let queue = unique("blocked");
    client
        .declare_queue(Queue::classic(queue.clone()))
        .await
        .unwrap();
    let publisher = client.publisher("").build().await.unwrap();
    publish(&publisher, &queue, 10).await;
    let mut events = client.events();
    on(&node, |node| node.short_of_memory(true).unwrap()).await;
    // A server tells it to who publishes.
    let first = publisher.enqueue(Message::new(queue.clone(), "waits"));
    let first = first.timeout(WAIT).await.unwrap();
    let blocked = async {
        loop {
            if let Event::Blocked { reason } = events.next().await.unwrap() {
                return reason;
            }
        }
    };
    let reason = within(WAIT, "the event", blocked).await;
    assert!(reason.contains("memory"), "{reason}");
    let late = publisher.send(Message::new(queue.clone(), "late"));
    let failed = late.timeout(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Timeout);
    assert_eq!(failed.outcome(), Outcome::NotSent, "{failed}");
    assert!(failed.to_string().contains("blocked"), "{failed}");
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    for _ in 0..10 {
        let delivery = within(WAIT, "a message", consumer.recv()).await;
        delivery.unwrap().unwrap().ack().await.unwrap();
    }
    on(&node, |node| node.short_of_memory(false).unwrap()).await;
    within(WAIT, "what waited is confirmed", first)
        .await
        .unwrap();
    let delivery = within(WAIT, "what waited", consumer.recv()).await;
    assert_eq!(delivery.unwrap().unwrap().text(), Some("waits"));
    client.close().await;
}

/// Consumers go on through cuts and kills: everything is handled, and what is settled late is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_consumers_go_on_and_late_settlements_are_stale() {
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let (queue, count) = (unique("consumed"), size(2_000, 50_000));
    client
        .declare_queue(Queue::classic(queue.clone()))
        .await
        .unwrap();
    let publisher = client.publisher("").timeout(WAIT).build().await.unwrap();
    publish(&publisher, &queue, count).await;
    let consumer = client.consumer(queue.clone()).prefetch(50).build();
    let consumer = consumer.await.unwrap();
    let held = consumer.recv().await.unwrap().unwrap();
    let number = held.text().unwrap().to_owned();
    on(&node, |node| node.close_all_connections("a test").unwrap()).await;
    let mut seen = BTreeSet::new();
    let first = within(WAIT, "the next one", consumer.recv()).await;
    let first = first.unwrap().unwrap();
    assert_eq!(first.text(), Some(&*number), "it comes again, and first");
    assert!(first.redelivered() && first.attempt() == 2);
    seen.insert(first.text().unwrap().to_owned());
    // Both have the tag 1, each on its channel.
    let stale = held.ack().await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale, "{stale}");
    first.ack().await.unwrap();
    let mut kill = count / 6;
    while seen.len() < count {
        let delivery = within(WAIT, "the next one", consumer.recv()).await;
        let delivery = delivery.unwrap().unwrap();
        seen.insert(delivery.text().unwrap().to_owned());
        let at = seen.len();
        // Settling what a cut has made stale is no failure of the test.
        let _ = delivery.settle(Settle::Ack).await;
        if at >= kill {
            kill += count / 3;
            on(&node, |node| {
                node.kill9().unwrap();
                node.restart().unwrap();
            })
            .await;
        }
    }
    consumer.close().await;
    until(WAIT, "an empty queue", async || {
        let info = client.queue(&queue).await;
        info.is_ok_and(|info| info.messages == 0)
    })
    .await;
    client.close().await;
}

/// Slower than the node's time-out of acknowledgements (10 s here): the channel is made anew, the message comes again, the late ack is stale.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_slower_than_the_ack_timeout() {
    let node = own_node().await;
    let client = connect_to(node.url()).await;
    let queue = unique("slow");
    client
        .declare_queue(Queue::classic(queue.clone()))
        .await
        .unwrap();
    let publisher = client.publisher("").build().await.unwrap();
    publish(&publisher, &queue, 1).await;
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    let other = client.consumer(queue.clone()).prefetch(1).build();
    let held = consumer.recv().await.unwrap().unwrap();
    let other = other.await.unwrap();
    let again = within(WAIT, "it comes again", async {
        tokio::select! {
            again = consumer.recv() => again,
            again = other.recv() => again,
        }
    });
    let again = again.await.unwrap().unwrap();
    assert!(again.redelivered());
    // The node may tell the other channel before it closes this one.
    until(WAIT, "both consume", async || {
        let info = client.queue(&queue).await;
        info.is_ok_and(|info| info.consumers == 2)
    })
    .await;
    let stale = held.ack().await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
    again.ack().await.unwrap();
    // Both consumers live.
    publish(&publisher, &queue, 20).await;
    for _ in 0..20 {
        let delivery = within(WAIT, "a message", async {
            tokio::select! {
                one = consumer.recv() => one,
                one = other.recv() => one,
            }
        });
        delivery.await.unwrap().unwrap().ack().await.unwrap();
    }
    client.close().await;
}

/// A node that is frozen is given up after two heartbeats, and what was not confirmed is sent when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (Debian's packages)"]
async fn real_own_amqp_a_frozen_node_is_noticed_and_found_again() {
    let node = own_node().await;
    let client = Client::from_url(node.url()).unwrap();
    let client = client.heartbeat(Duration::from_secs(2)).connect().await;
    let client = client.unwrap();
    let queue = unique("frozen");
    client
        .declare_queue(Queue::classic(queue.clone()))
        .await
        .unwrap();
    let publisher = client.publisher("").timeout(WAIT).build().await.unwrap();
    publish(&publisher, &queue, 1).await;
    let mut events = client.events();
    on(&node, |node| node.stop().unwrap()).await;
    let begun = now();
    let sent = publisher.enqueue(Message::new(queue.clone(), "through the frost"));
    let sent = sent.await.unwrap();
    let lost = async {
        loop {
            if let Event::Disconnected { error, .. } = events.next().await.unwrap() {
                return error;
            }
        }
    };
    let error = within(WAIT, "the loss", lost).await;
    assert!(error.to_string().contains("nothing heard"), "{error}");
    assert!(
        now() - begun < Duration::from_secs(15),
        "{:?}",
        now() - begun
    );
    on(&node, |node| node.cont().unwrap()).await;
    within(WAIT, "it is confirmed", sent).await.unwrap();
    client.close().await;
}
