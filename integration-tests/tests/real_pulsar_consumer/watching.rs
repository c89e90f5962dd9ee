//! Who of several consumers has a topic, and whose a key is.

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::harness::pulsar::{Manage, WAIT, acked, connect, fill, next, numbers, some};
use integration_tests::harness::within;
use mq_pulsar::{Client, Consumer, ConsumerEvent, ConsumerEvents, Delivery, ErrorKind, Message};

async fn event(events: &mut ConsumerEvents) -> ConsumerEvent {
    within(WAIT, "an event", events.next()).await.unwrap()
}

/// Waits until a topic is this consumer's, or no longer.
async fn is(events: &mut ConsumerEvents, wanted: &ConsumerEvent) {
    while event(events).await != *wanted {}
}

fn active(topic: &str) -> ConsumerEvent {
    let topic = topic.to_owned();
    ConsumerEvent::Active { topic }
}

fn inactive(topic: &str) -> ConsumerEvent {
    let topic = topic.to_owned();
    ConsumerEvent::Inactive { topic }
}

/// One has the topic; the other one is told when it follows, and goes on behind what was acknowledged.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_of_a_failover_subscription_is_told_when_it_is_the_active_one() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("failover").await;
    manage.subscribe(&topic, "s").await;
    let consumer = |level| {
        let consumer = client.consumer("s").topic(&topic).failover();
        consumer.priority(level).build()
    };
    let first = consumer(0).await.unwrap();
    let mut of_first = first.events();
    is(&mut of_first, &active(&topic)).await;
    let second = consumer(1).await.unwrap();
    let mut of_second = second.events();
    assert_eq!(event(&mut of_second).await, inactive(&topic));
    assert_eq!(
        event(&mut first.events()).await,
        active(&topic),
        "as it is now"
    );

    fill(&client, &topic, 20).await;
    let mut all = some(&first, 20).await;
    let rest = all.split_off(10);
    for delivery in all {
        delivery.ack().await.unwrap();
    }
    manage.unload(&topic).await;
    is(&mut of_first, &inactive(&topic)).await;
    is(&mut of_first, &active(&topic)).await;
    drop(rest);
    first.close().await;
    is(&mut of_second, &active(&topic)).await;
    let again = some(&second, 10).await;
    assert_eq!(numbers(&again), (10..20).collect::<Vec<_>>());
    for delivery in again {
        delivery.ack().await.unwrap();
    }
    acked(&manage, &topic, "s").await;
    drop(second);
    while let Some(event) = within(WAIT, "the end", of_second.next()).await {
        assert_eq!(event, inactive(&topic));
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_is_told_of_the_end_of_a_topic() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("ended").await;
    manage.subscribe(&topic, "s").await;
    fill(&client, &topic, 10).await;
    let consumer = client.consumer("s").topic(&topic).build().await.unwrap();
    let mut events = consumer.events();
    manage.terminate(&topic).await;
    for delivery in some(&consumer, 10).await {
        delivery.ack().await.unwrap();
    }
    let topic = topic.clone();
    is(&mut events, &ConsumerEvent::EndOfTopic { topic }).await;
}

/// Sends `0`, `1` and so on, each by itself, in turn to these keys.
async fn send(client: &Client, topic: &str, numbers: std::ops::Range<usize>) {
    let producer = client.producer(topic).batch_messages(1);
    let producer = producer.build().await.unwrap();
    for number in numbers {
        let message = Message::new(number.to_string()).key(format!("key-{}", number % KEYS));
        drop(producer.enqueue(message).await.unwrap());
    }
    producer.close().await.unwrap();
}

const KEYS: usize = 20;

fn number(delivery: &Delivery) -> usize {
    delivery.text().unwrap().parse().unwrap()
}

/// Takes so many from any of them, in the order in which they come.
async fn from_any(consumers: &[Consumer; 2], count: usize) -> Vec<(usize, Delivery)> {
    let mut all = Vec::new();
    while all.len() < count {
        let [first, second] = consumers;
        let next = async {
            tokio::select! {
                one = next(first) => (0, one),
                one = next(second) => (1, one),
            }
        };
        all.push(within(WAIT, "a message", next).await);
    }
    all
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_with_sticky_ranges_has_their_keys_and_no_others() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("sticky").await;
    manage.subscribe(&topic, "s").await;
    let consumer = || client.consumer("s").topic(&topic);
    let consumers = [
        consumer()
            .sticky([0..=9_999, 30_000..=39_999])
            .build()
            .await
            .unwrap(),
        consumer()
            .sticky([10_000..=29_999, 40_000..=u16::MAX])
            .build()
            .await
            .unwrap(),
    ];
    let taken = consumer()
        .sticky([9_999..=10_000])
        .build()
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Rejected, "{taken}");
    let wrong = consumer().sticky([0..=5, 5..=6]).build().await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Invalid);
    let stats = manage.stats(&topic).await;
    assert_eq!(stats["subscriptions"]["s"]["keySharedMode"], "STICKY");

    send(&client, &topic, 0..400).await;
    let mut keys = [BTreeSet::new(), BTreeSet::new()];
    let mut last = BTreeMap::new();
    for (whose, delivery) in from_any(&consumers, 400).await {
        let number = number(&delivery);
        keys[whose].insert(number % KEYS);
        assert!(
            last.insert(number % KEYS, number)
                .is_none_or(|last| last < number)
        );
        delivery.ack().await.unwrap();
    }
    assert!(keys[0].is_disjoint(&keys[1]) && keys.iter().all(|keys| !keys.is_empty()));
    assert_eq!(keys[0].len() + keys[1].len(), KEYS);
    acked(&manage, &topic, "s").await;
}

/// A consumer joins while messages are held: none of a key is given to it before those of the key that the other one holds are acknowledged.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_consumer_of_a_shared_key_keeps_its_order_when_another_one_joins() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("keys").await;
    manage.subscribe(&topic, "s").await;
    let consumer = || client.consumer("s").topic(&topic).key_shared();
    let first = consumer().receiver_queue(50).build().await.unwrap();
    send(&client, &topic, 0..200).await;
    let held = some(&first, 100).await;
    let consumers = [first, consumer().receiver_queue(50).build().await.unwrap()];
    send(&client, &topic, 200..400).await;
    let mut last: BTreeMap<_, _> = BTreeMap::new();
    let mut came = |delivery: &Delivery| {
        let number = number(delivery);
        let last = last.insert(number % KEYS, number);
        assert!(
            last.is_none_or(|last| last < number),
            "{number} behind {last:?}"
        );
    };
    for delivery in held {
        came(&delivery);
        delivery.ack().await.unwrap();
    }
    let mut second = 0;
    for _ in 0..300 {
        let (whose, delivery) = from_any(&consumers, 1).await.remove(0);
        came(&delivery);
        second += whose;
        delivery.ack().await.unwrap();
    }
    assert!(second > 0, "the second has none");
    acked(&manage, &topic, "s").await;
    let loose = manage.topic("loose").await;
    let consumer = client.consumer("s").topic(&loose).out_of_order();
    let consumer = consumer.build().await.unwrap();
    let stats = manage.stats(&loose).await;
    assert_eq!(stats["subscriptions"]["s"]["allowOutOfOrderDelivery"], true);
    consumer.close().await;
}
