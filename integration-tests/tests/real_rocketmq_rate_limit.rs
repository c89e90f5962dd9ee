//! The rate limit on real brokers: as many as it says, nothing lost, and the member stays a member.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use integration_tests::harness::{
    connect, connect_to, first_broker, from_first, nameserver, next, now, producer, text, topic,
    unique, until,
};
use mq_dev::proxy::Proxy;
use mq_rocketmq::proto::command::{ConsumerList, GetConsumerList};
use mq_rocketmq::{Client, Error, Message, RateLimit, Settle};
use tokio::sync::watch;

async fn send(client: &Client, topic: &str, count: usize) {
    let producer = producer(client).await;
    let topic = topic.to_owned();
    let messages = (0..count).map(move |number| Message::new(&topic, number.to_string()));
    let results = producer.send_all(stream::iter(messages));
    results.for_each(async |result| drop(result.unwrap())).await;
}

/// As the sample of Huawei's guide: 200 a second, wait 3 s. Over 5 s, by handlers, within 3 %.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_rate_limit_holds_and_loses_nothing() {
    let (client, topic) = (connect().await, topic("rate", 4).await);
    send(&client, &topic, 1200).await;
    let limit = RateLimit::per_second(200).wait(Duration::from_secs(3));
    let builder = from_first(&client, &unique("rate"), &topic).rate_limit(limit);
    let consumer = builder.build().await.unwrap();
    let handle = consumer.handle();
    let seen: Arc<Mutex<Vec<(String, Instant)>>> = Arc::default();
    let told = Arc::clone(&seen);
    let running = tokio::spawn(async move {
        let handler = move |message: mq_rocketmq::Received| {
            assert_eq!(message.attempt(), 1, "none was sent back");
            told.lock().unwrap().push((text(&message), now()));
            async { Ok::<_, Error>(Settle::Ack) }
        };
        consumer.run(handler).await.unwrap();
    });
    until(WAIT, "all", async || seen.lock().unwrap().len() == 1200).await;
    handle.close().await;
    running.await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let first = seen.first().unwrap().1;
    let within_five = seen
        .iter()
        .filter(|one| one.1 - first <= Duration::from_secs(5))
        .count();
    println!("{within_five} in 5 s");
    // 1000, and a burst of 20 at the beginning.
    assert!((950..=1050).contains(&within_five), "{within_five}");
    let whole: BTreeSet<_> = seen.iter().map(|one| &one.0).collect();
    assert_eq!(whole.len(), 1200);
    client.close().await.unwrap();
}

/// What is not let through in time comes again by the broker's delay, counted, and nothing is lost.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_rate_limit_exceeded_is_reconsumed_later() {
    let (client, topic) = (connect().await, topic("exceeded", 1).await);
    send(&client, &topic, 12).await;
    let limit = RateLimit::per_second(2)
        .burst(1)
        .wait(Duration::from_millis(700));
    let builder = from_first(&client, &unique("exceeded"), &topic).rate_limit(limit);
    let consumer = builder
        .retry_delay(Duration::from_secs(1))
        .concurrency(4)
        .build()
        .await
        .unwrap();
    let handle = consumer.handle();
    let seen: Arc<Mutex<Vec<(String, u32)>>> = Arc::default();
    let told = Arc::clone(&seen);
    let running = tokio::spawn(async move {
        let handler = move |message: mq_rocketmq::Received| {
            told.lock()
                .unwrap()
                .push((text(&message), message.attempt()));
            async { Ok::<_, Error>(Settle::Ack) }
        };
        consumer.run(handler).await.unwrap();
    });
    until(WAIT, "all", async || seen.lock().unwrap().len() == 12).await;
    handle.close().await;
    running.await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let whole: BTreeSet<_> = seen.iter().map(|one| &one.0).collect();
    assert_eq!(whole.len(), 12, "none lost, none twice: {seen:?}");
    assert!(
        seen.iter().any(|one| one.1 > 1),
        "some came later: {seen:?}"
    );
    client.close().await.unwrap();
}

/// One who receives by `recv` waits for the limit as handlers do.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_rate_limit_waits_in_recv_too() {
    let (client, topic) = (connect().await, topic("waits", 1).await);
    send(&client, &topic, 5).await;
    let limit = RateLimit::per_second(2).burst(1);
    let builder = from_first(&client, &unique("waits"), &topic).rate_limit(limit);
    let consumer = builder.build().await.unwrap();
    next(&consumer).await.ack().await.unwrap();
    let begun = now();
    for _ in 1..5 {
        next(&consumer).await.ack().await.unwrap();
    }
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(1950) && took < Duration::from_secs(10),
        "{took:?}"
    );
    client.close().await.unwrap();
}

/// Handlers that take longer than the limit allows for and than a heartbeat's period: the member stays one, and all that was held back comes.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_rate_limit_and_slow_handlers_keep_the_member_alive() {
    let (sender, topic) = (connect().await, topic("slow", 2).await);
    send(&sender, &topic, 40).await;
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let client = connect_to(&format!("rocketmq://{}", proxy.addr())).await;
    let limit = RateLimit::per_second(20).wait(Duration::from_secs(1));
    let group = unique("slow");
    let builder = from_first(&client, &group, &topic).rate_limit(limit);
    let building = builder.concurrency(2).retry_delay(Duration::from_secs(1));
    let consumer = building.build().await.unwrap();
    let handle = consumer.handle();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&seen);
    let (hurry, slow) = watch::channel(false);
    let running = tokio::spawn(async move {
        let handler = move |message: mq_rocketmq::Received| {
            let (mut slow, told) = (slow.clone(), Arc::clone(&told));
            async move {
                // The first two hold everything up.
                let _ = slow.wait_for(|hurry| *hurry).await;
                told.lock().unwrap().push(text(&message));
                Ok::<_, Error>(Settle::Ack)
            }
        };
        consumer.run(handler).await.unwrap();
    });
    // Joining sends some too. Brokers take a member for lost that sends none for 120 s; every 20 s there is one.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let at_first = proxy.requests(HEARTBEAT);
    until(WAIT, "a heartbeat", async || {
        proxy.requests(HEARTBEAT) > at_first
    })
    .await;
    let members = GetConsumerList {
        consumer_group: group.as_str().into(),
        broker_name: None,
    };
    let listed: ConsumerList = first_broker().await.ask(&members).await.reply();
    assert_eq!(listed.client_ids.len(), 1, "{listed:?}");
    hurry.send_replace(true);
    until(WAIT, "all", async || seen.lock().unwrap().len() >= 40).await;
    handle.close().await;
    running.await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let whole: BTreeSet<_> = seen.iter().collect();
    assert_eq!((whole.len(), seen.len()), (40, 40), "none lost, none twice");
    client.close().await.unwrap();
    sender.close().await.unwrap();
}

const HEARTBEAT: i32 = 34;
const WAIT: Duration = Duration::from_secs(60);
