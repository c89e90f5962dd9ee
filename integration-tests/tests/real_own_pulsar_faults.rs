//! Sending and receiving on a broker that is killed, whose topics are unloaded and whose connections are cut: nothing that was confirmed is lost,
//! each key keeps its order, and with deduplication on nothing is stored twice.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::brokers::pulsar::Node;
use integration_tests::harness::pulsar::{Manage, on, own_node};
use integration_tests::harness::{now, size, until, within};
use mq_dev::proxy::{Ending, Proxy};
use mq_pulsar::{Client, Consumer, Message, MessageId, Producer, Receipt};

const WAIT: Duration = Duration::from_secs(300);
const KEYS: usize = 8;

/// What was received, by body: under which ids.
type Seen = Arc<Mutex<BTreeMap<String, Vec<MessageId>>>>;
/// Per key, the numbers in the order of their first coming.
type Orders = Arc<Mutex<BTreeMap<String, Vec<usize>>>>;

struct Run {
    client: Client,
    manage: Manage,
    topic: String,
    count: usize,
}

impl Run {
    async fn begin(node: &Node, url: &str, count: usize) -> Self {
        let manage = Manage::of(node);
        let namespace = manage.namespace("faults").await;
        manage.deduplicate(&namespace, true).await;
        let topic = format!("persistent://{namespace}/orders");
        manage.partition(&topic, 4).await;
        let client = Client::from_url(url).unwrap().connect().await.unwrap();
        Self {
            client,
            manage,
            topic,
            count,
        }
    }

    async fn producer(&self) -> Producer {
        let options = self.client.producer(&self.topic).timeout(WAIT).window(200);
        options.batch_messages(20).build().await.unwrap()
    }

    async fn consumer(&self) -> Consumer {
        let options = self.client.consumer("sub").topic(&self.topic);
        options.from_earliest().build().await.unwrap()
    }
}

/// Sends all, a few at a time, for about `time`.
async fn send(producer: Producer, count: usize, time: Duration) -> Vec<Receipt> {
    let step = 20;
    let pause = time / u32::try_from(count / step).unwrap();
    let mut confirms = Vec::new();
    for at in 0..count {
        let message = Message::new(at.to_string()).key(format!("key-{}", at % KEYS));
        confirms.push(producer.enqueue(message).await.unwrap());
        if at % step == 0 {
            tokio::time::sleep(pause).await;
        }
    }
    let mut receipts = Vec::new();
    for confirm in confirms {
        receipts.push(confirm.await.unwrap());
    }
    receipts
}

fn note(seen: &Seen, orders: &Orders, text: String, id: MessageId, key: String) {
    let number = text.parse().unwrap();
    let mut seen = seen.lock().unwrap();
    let ids = seen.entry(text).or_default();
    if ids.is_empty() {
        let mut orders = orders.lock().unwrap();
        orders.entry(key).or_default().push(number);
    }
    if !ids.contains(&id) {
        ids.push(id);
    }
}

async fn receive(consumer: Consumer, seen: Seen, orders: Orders) {
    while let Some(delivery) = consumer.recv().await.unwrap() {
        let text = delivery.text().unwrap().to_owned();
        let (id, key) = (delivery.id(), delivery.key_text().unwrap().to_owned());
        note(&seen, &orders, text, id, key);
        // Stale after a cut: then it comes again.
        let _ = delivery.ack().await;
    }
}

/// Sends and receives while `trouble` lasts, and judges what came.
async fn through(run: &Run, time: Duration, trouble: impl Future<Output = ()>) {
    let (producer, consumer) = (run.producer().await, run.consumer().await);
    let (seen, orders) = (Seen::default(), Orders::default());
    let handle = consumer.handle();
    let receiving = tokio::spawn(receive(consumer, Arc::clone(&seen), Arc::clone(&orders)));
    let sending = tokio::spawn(send(producer, run.count, time));
    trouble.await;
    let receipts = within(WAIT, "all receipts", sending).await.unwrap();
    assert_eq!(receipts.len(), run.count);
    let again = receipts
        .iter()
        .filter(|receipt| receipt.attempts() > 1)
        .count();
    let dropped = receipts
        .iter()
        .filter(|receipt| receipt.is_duplicate())
        .count();
    println!(
        "{again} of {} were written again, {dropped} of them were there already",
        run.count
    );
    until(WAIT, "all have come", async || {
        seen.lock().unwrap().len() == run.count
    })
    .await;
    handle.close().await;
    within(WAIT, "the consumer's end", receiving).await.unwrap();
    for (body, ids) in &*seen.lock().unwrap() {
        assert_eq!(ids.len(), 1, "{body} is stored as {ids:?}");
    }
    for (key, numbers) in &*orders.lock().unwrap() {
        assert!(numbers.is_sorted(), "{key} came as {numbers:?}");
    }
    run.client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_nothing_is_lost_or_twice_where_the_broker_is_killed() {
    let node = own_node().await;
    let run = Run::begin(&node, &node.url(), size(10_000, 200_000)).await;
    through(&run, Duration::from_secs(20), async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(4)).await;
            on(&node, |node| node.kill9().unwrap()).await;
            on(&node, |node| node.restart().unwrap()).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_nothing_is_lost_or_twice_where_connections_are_cut() {
    let node = own_node().await;
    let proxy = Proxy::builder(node.addr().to_string()).pulsar();
    let proxy = proxy.start().await.unwrap();
    let url = format!("pulsar://{}", proxy.addr());
    let run = Run::begin(&node, &url, size(10_000, 200_000)).await;
    through(&run, Duration::from_secs(10), async {
        for at in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let ending = if at % 2 == 0 {
                Ending::Reset
            } else {
                Ending::Close
            };
            assert!(proxy.cut(ending) > 0);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_nothing_is_lost_or_twice_where_topics_are_unloaded() {
    let node = own_node().await;
    let run = Run::begin(&node, &node.url(), size(10_000, 200_000)).await;
    through(&run, Duration::from_secs(10), async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for number in 0..4 {
                run.manage
                    .unload(&format!("{}-partition-{number}", run.topic))
                    .await;
            }
        }
    })
    .await;
}

/// A producer goes on within 3 s after the broker is back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_sending_goes_on_soon_after_the_broker_is_back() {
    let node = own_node().await;
    let run = Run::begin(&node, &node.url(), 0).await;
    let producer = run.producer().await;
    producer.send(Message::new("before")).await.unwrap();
    on(&node, |node| node.kill9().unwrap()).await;
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(Message::new("meanwhile")).await }
    });
    on(&node, |node| node.restart().unwrap()).await;
    let back = now();
    within(WAIT, "a receipt", waiting).await.unwrap().unwrap();
    let after = now() - back;
    println!("{after:?} after the broker's health was told");
    assert!(after < Duration::from_secs(3), "{after:?}");
    run.client.close().await;
}
