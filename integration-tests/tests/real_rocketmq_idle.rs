//! A consumer with nothing to do: how rarely it asks, and how fast it answers. The only test of its binary, since it measures latency, and
//! cargo runs test binaries one after another.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use integration_tests::harness::{
    from_first, nameserver, next, now, producer, size, text, topic, unique, until,
};
use mq_dev::proxy::{Direction, Proxy};
use mq_rocketmq::{Client, Message};

/// Eight queues, nothing in them: at most one pull a queue in 15 s, counted on the wire; and out of that state a message takes at most
/// 50 ms (p99). CI: 15 s and 200 messages. Full: 150 s and 5000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_idle_queues_are_asked_rarely_and_answer_at_once() {
    let proxy = Proxy::builder(nameserver()).record(true).start();
    let proxy = proxy.await.unwrap();
    let client = Client::from_url(&format!("rocketmq://{}", proxy.addr()))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let (topic, group) = (topic("idle", 8).await, unique("group"));
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    // Each queue has its pull at the broker; that of the retry topic too, if the broker has made one by now.
    until(Duration::from_secs(60), "a pull a queue", async || {
        let pulled = pulls(&proxy);
        (0..8).all(|queue| pulled.contains_key(&format!("{topic}/{queue}")))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = pulls(&proxy);
    let rounds = size(1, 10);
    tokio::time::sleep(Duration::from_secs(15) * rounds).await;
    assert!(proxy.is_complete());
    for (queue, count) in pulls(&proxy) {
        let count = count - before.get(&queue).copied().unwrap_or_default();
        assert!(count <= rounds, "{count} pulls of {queue}");
        // apache/rocketmq: PullRequestHoldService looks every 5 s whose time is over, so that a pull takes up to 20 s
        assert!(count >= rounds * 2 / 3, "only {count} pulls of {queue}");
    }

    let producer = producer(&client).await;
    producer.send(Message::new(&topic, "warm")).await.unwrap();
    next(&consumer).await.ack().await.unwrap();
    let mut times = Vec::new();
    for number in 0..size(200, 5000) {
        let started = now();
        let sending = producer.send(Message::new(&topic, format!("{number}")));
        let (sent, delivery) = tokio::join!(sending.into_future(), next(&consumer));
        times.push(started.elapsed());
        sent.unwrap();
        assert_eq!(text(&delivery), format!("{number}"));
        delivery.ack().await.unwrap();
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    assert!(
        p99 <= Duration::from_millis(50),
        "p99 {p99:?}, median {:?}",
        times[times.len() / 2]
    );
    consumer.close().await;
    client.close().await.unwrap();
}

/// How often each queue was asked, by its topic and number.
fn pulls(proxy: &Proxy) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for frame in proxy.transcript() {
        let field = |name| frame.header.ext.text(name).unwrap().to_owned();
        if frame.direction == Direction::ToServer && frame.request == Some(11) {
            let queue = format!("{}/{}", field("topic"), field("queueId"));
            *counts.entry(queue).or_default() += 1;
        }
    }
    counts
}
