//! Ordered topics on RabbitMQ: each key in its order, whoever handles it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::harness::amqp::connect;
use integration_tests::harness::{unique, until, within};
use mq_amqp::{
    Client, Error, ErrorKind, Message, OrderedConsumer, OrderedDelivery, OrderedTopic, Outcome,
    Queue, Retry, RetryPolicy, Settle,
};

const WAIT: Duration = Duration::from_secs(60);
const KEYS: usize = 8;

async fn topic(client: &Client, partitions: u16) -> OrderedTopic {
    let name = unique("ordered");
    let topic = client.ordered_topic(name).partitions(partitions);
    topic.declare().await.unwrap()
}

async fn delete(client: &Client, topic: OrderedTopic) {
    for partition in 0..topic.partitions() {
        client.delete_queue(&topic.queue(partition)).await.unwrap();
    }
    client.delete_queue(&topic.parking_queue()).await.unwrap();
    client.delete_exchange(topic.name()).await.unwrap();
}

/// So many numbers of each key, all under way at once.
async fn send(topic: &OrderedTopic, numbers: std::ops::Range<usize>) {
    let publisher = topic.publisher().build().await.unwrap();
    for number in numbers {
        for key in 0..KEYS {
            let message = Message::new(format!("key-{key}"), number.to_string());
            drop(publisher.enqueue(message).await.unwrap());
        }
    }
    publisher.close().await.unwrap();
}

async fn next(consumer: &OrderedConsumer) -> OrderedDelivery {
    let delivery = within(WAIT, "a message", consumer.recv()).await;
    delivery.unwrap().unwrap()
}

/// A key that this partition has.
fn key_of(topic: &OrderedTopic, partition: u16) -> String {
    let mut keys = (0..).map(|at| format!("key-{at}"));
    keys.find(|key| topic.partition_of(key) == partition)
        .unwrap()
}

/// What was handled, in order: who handled it, key, number.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(u32, String, usize)>>>);

impl Log {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Each key's numbers count up, each once.
    fn is_complete(&self, count: usize) {
        let mut keys: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (_, key, number) in &*self.0.lock().unwrap() {
            keys.entry(key.clone()).or_default().push(*number);
        }
        assert_eq!(keys.len(), KEYS);
        for (key, numbers) in keys {
            assert!(numbers.iter().copied().eq(0..count), "{key}: {numbers:?}");
        }
    }

    fn of(&self, member: u32) -> usize {
        let log = self.0.lock().unwrap();
        log.iter().filter(|(by, ..)| *by == member).count()
    }
}

/// Handles on tasks of its own until it is closed.
async fn member(topic: &OrderedTopic, name: u32, log: &Log) -> Arc<OrderedConsumer> {
    let consumer = Arc::new(topic.consumer().build().await.unwrap());
    let (running, log) = (Arc::clone(&consumer), log.clone());
    tokio::spawn(async move {
        let handled = running.run(move |message| {
            let log = log.clone();
            async move {
                tokio::time::sleep(Duration::from_micros(300)).await;
                let number = message.text().unwrap().parse().unwrap();
                let key = message.routing_key().to_owned();
                log.0.lock().unwrap().push((name, key, number));
                Ok::<_, Error>(Settle::Ack)
            }
        });
        handled.await.unwrap();
    });
    consumer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_ordered_two_consumers_share_and_each_key_is_in_order() {
    let client = connect().await;
    let other = connect().await;
    let ours = topic(&client, 8).await;
    let theirs = other.ordered_topic(ours.name().to_owned());
    let theirs = theirs.declare().await.unwrap();
    let log = Log::default();
    let (first, second) = tokio::join!(member(&ours, 1, &log), member(&theirs, 2, &log));
    // Keys enough that every partition has some.
    let publisher = ours.publisher().build().await.unwrap();
    for partition in 0..8 {
        let message = Message::new(key_of(&ours, partition), "0");
        publisher.send(message).await.unwrap();
    }
    until(WAIT, "all are handled", async || log.len() == 8).await;
    assert!(log.of(1) > 0 && log.of(2) > 0, "nothing is shared");
    log.0.lock().unwrap().clear();
    send(&ours, 0..100).await;
    until(WAIT, "all are handled", async || log.len() >= KEYS * 100).await;
    log.is_complete(100);
    first.close().await;
    second.close().await;
    delete(&client, ours).await;
    client.close().await;
    other.close().await;
}

/// One joins while messages come, the one that has them leaves, and comes back: no key is out of order, and nobody handles what another still holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_ordered_members_join_and_leave() {
    let client = connect().await;
    for quorum in [false, true] {
        let topic = client.ordered_topic(unique("members"));
        let topic = if quorum { topic.quorum() } else { topic };
        let topic = topic.partitions(4).declare().await.unwrap();
        let log = Log::default();
        let sending = {
            let topic = topic.clone();
            tokio::spawn(async move { send(&topic, 0..150).await })
        };
        let first = member(&topic, 1, &log).await;
        until(WAIT, "the first handles", async || log.of(1) > 100).await;
        let second = member(&topic, 2, &log).await;
        first.close().await;
        let left = log.of(1);
        until(WAIT, "the second handles", async || log.of(2) > 100).await;
        let third = member(&topic, 3, &log).await;
        second.close().await;
        sending.await.unwrap();
        send(&topic, 150..200).await;
        until(WAIT, "all are handled", async || log.len() >= KEYS * 200).await;
        log.is_complete(200);
        assert_eq!(log.of(1), left, "closed, it goes on");
        assert!(log.of(3) > 0);
        third.close().await;
        delete(&client, topic).await;
    }
    client.close().await;
}

/// A message that fails holds its partition, and no other; used up, it is parked as it was, and its partition goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_ordered_what_fails_is_tried_in_place_and_then_parked() {
    let client = connect().await;
    let topic = topic(&client, 2).await;
    let (bad, good) = (key_of(&topic, 0), key_of(&topic, 1));
    let publisher = topic.publisher().build().await.unwrap();
    for (key, text) in [
        (&bad, "fails"),
        (&bad, "follows"),
        (&bad, "last"),
        (&good, "other"),
    ] {
        let message = Message::new(key.clone(), text);
        publisher.send(message).await.unwrap();
    }
    let pause = Duration::from_millis(20);
    let policy = RetryPolicy::in_place(pause, pause).attempts(3);
    let consumer = topic.consumer().retry(policy).build().await.unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let panics = AtomicU32::new(0);
    let handle = {
        let log = Arc::clone(&log);
        move |message: mq_amqp::Received| {
            let text = message.text().unwrap().to_owned();
            let panics = text == "last" && panics.fetch_add(1, Ordering::Relaxed) == 0;
            log.lock().unwrap().push((text.clone(), message.attempt()));
            async move {
                assert!(!panics, "once");
                match &*text {
                    "fails" => Err("can't"),
                    _ => Ok(Settle::Ack),
                }
            }
        }
    };
    tokio::select! {
        ended = consumer.run(handle) => panic!("{ended:?}"),
        () = until(WAIT, "all are tried", async || log.lock().unwrap().len() == 7) => {}
    }
    let handled = log.lock().unwrap().clone();
    let of_bad: Vec<_> = handled.iter().filter(|(text, _)| text != "other").collect();
    let of_bad: Vec<_> = of_bad.iter().map(|(text, at)| (&**text, *at)).collect();
    let wanted = [("fails", 1), ("fails", 2), ("fails", 3), ("follows", 1)];
    assert_eq!(of_bad[..4], wanted, "{handled:?}");
    assert_eq!(of_bad[4..], [("last", 1), ("last", 2)], "{handled:?}");
    consumer.close().await;
    let parked = client.consumer(topic.parking_queue()).build();
    let parked = parked.await.unwrap();
    let one = within(WAIT, "what was parked", parked.recv()).await;
    let one = one.unwrap().unwrap();
    assert_eq!(one.text(), Some("fails"));
    assert_eq!(one.header("x-mq-key").unwrap().as_str(), Some(&*bad));
    let reason = one.header("x-mq-reason").unwrap();
    assert_eq!(reason.as_str(), Some("3 attempts failed"));
    one.ack().await.unwrap();
    delete(&client, topic).await;
    client.close().await;
}

/// Received one by one: dropped it comes again, before what follows; parked where there is no queue, its partition waits until there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_ordered_nothing_overtakes_what_is_not_settled() {
    let client = connect().await;
    let topic = topic(&client, 1).await;
    let publisher = topic.publisher().build().await.unwrap();
    for number in 0..4 {
        let message = Message::new("key", number.to_string());
        publisher.send(message).await.unwrap();
    }
    let consumer = topic.consumer().build().await.unwrap();
    let held = next(&consumer).await;
    assert_eq!(held.text(), Some("0"));
    let more = tokio::time::timeout(Duration::from_millis(200), consumer.recv());
    assert!(more.await.is_err(), "one at a time");
    drop(held);
    let again = next(&consumer).await;
    assert_eq!((again.text(), again.attempt()), (Some("0"), 1));
    again.settle(Settle::Release).await.unwrap();
    let again = next(&consumer).await;
    let soon = Settle::RetryAfter(Duration::from_millis(10));
    again.settle(soon).await.unwrap();
    let again = next(&consumer).await;
    assert_eq!((again.text(), again.attempt()), (Some("0"), 2));
    again.ack().await.unwrap();
    client.delete_queue(&topic.parking_queue()).await.unwrap();
    let one = next(&consumer).await;
    let failed = one.settle(Settle::DeadLetter).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::NotFound, "{failed}");
    let more = tokio::time::timeout(Duration::from_millis(200), consumer.recv());
    assert!(more.await.is_err(), "it is not parked yet");
    let parking = Queue::classic(topic.parking_queue());
    client.declare_queue(parking).await.unwrap();
    let two = next(&consumer).await;
    assert_eq!(two.text(), Some("2"));
    let info = client.queue(&topic.parking_queue()).await.unwrap();
    assert_eq!(info.messages, 1, "parked before anything follows");
    two.ack().await.unwrap();
    let held = next(&consumer).await;
    // Who closes waits for it.
    let (settled, ()) = tokio::join!(held.ack(), consumer.close());
    settled.unwrap();
    assert!(consumer.recv().await.unwrap().is_none());
    assert_eq!(client.queue(&topic.queue(0)).await.unwrap().messages, 0);
    delete(&client, topic).await;
    client.close().await;
}

/// A message that fails takes those of its key along that were begun behind it, and those of no other key.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_ordered_a_failed_send_takes_along_what_is_behind_it() {
    let client = connect().await;
    let topic = topic(&client, 2).await;
    let (bad, good) = (key_of(&topic, 0), key_of(&topic, 1));
    client.delete_queue(&topic.queue(0)).await.unwrap();
    let publisher = topic.publisher().build().await.unwrap();
    let mut under_way = Vec::new();
    for key in [&bad, &bad, &bad, &good] {
        let message = Message::new(key.clone(), "x");
        under_way.push(publisher.enqueue(message).await.unwrap());
    }
    let mut results = futures_util::future::join_all(under_way).await.into_iter();
    let first = results.next().unwrap().unwrap_err();
    assert_eq!(
        (first.kind(), first.outcome()),
        (ErrorKind::NotFound, Outcome::Rejected)
    );
    assert_eq!(
        first.message.routing_key(),
        bad,
        "it is given back as it was"
    );
    for behind in results.by_ref().take(2) {
        let behind = behind.unwrap_err();
        assert_eq!(behind.outcome(), Outcome::NotSent, "{behind}");
        assert_eq!(behind.error.retry(), Retry::Later);
        assert!(std::error::Error::source(&behind).is_some());
    }
    results.next().unwrap().unwrap();
    drop(
        publisher
            .enqueue(Message::new(bad, "nobody hears"))
            .await
            .unwrap(),
    );
    assert_eq!(publisher.flush().await.unwrap_err().count, 1);
    let other = publisher.clone();
    publisher.close().await.unwrap();
    let late = other.send(Message::new(good, "late")).await.unwrap_err();
    assert_eq!(
        (late.kind(), late.outcome()),
        (ErrorKind::Closed, Outcome::NotSent)
    );
    delete(&client, topic).await;
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_ordered_another_number_of_partitions_is_refused_with_both() {
    let client = connect().await;
    let topic = topic(&client, 3).await;
    let name = topic.name().to_owned();
    for partitions in [2, 4] {
        let other = client.ordered_topic(name.clone()).partitions(partitions);
        let refused = other.declare().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Rejected, "{refused}");
        assert_eq!(refused.retry(), Retry::Never);
        let both = format!("has 3 partitions, and {partitions} were asked for");
        assert!(refused.message().contains(&both), "{refused}");
    }
    let same = client.ordered_topic(name).partitions(3).declare().await;
    assert_eq!(same.unwrap().partitions(), 3);
    for (name, partitions) in [("", 1), ("none", 0), ("many", 1001)] {
        let topic = client.ordered_topic(name).partitions(partitions);
        let refused = topic.declare().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }
    let requeued = topic.consumer().retry(RetryPolicy::requeue()).build();
    assert_eq!(requeued.await.unwrap_err().kind(), ErrorKind::Invalid);
    delete(&client, topic).await;
    client.close().await;
}
