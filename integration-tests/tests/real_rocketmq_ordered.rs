//! An ordered consumer on real brokers: lanes, suspension, dead letters, and locks that are given back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use integration_tests::harness::{
    Child, committed, connect, first_broker, from_first, next, now, producer, role, text, topic,
    unique, until, within,
};
use mq_rocketmq::proto::command::{
    ConsumerList, GetConsumerList, LockQueues, QueueKey, UnlockQueues,
};
use mq_rocketmq::{Client, Consumer, Event, Message, Settle};
use tokio::runtime::Runtime;

const WAIT: Duration = Duration::from_secs(60);

async fn send(client: &Client, topic: &str, numbers: std::ops::Range<usize>) {
    let producer = producer(client).await;
    for number in numbers {
        // One key a number: they spread over the queues.
        let message = Message::new(topic, number.to_string()).ordering_key(number.to_string());
        producer.send(message).await.unwrap();
    }
}

async fn ordered(client: &Client, group: &str, topic: &str) -> Consumer {
    let builder = from_first(client, group, topic).ordered();
    builder.suspend(SUSPEND).build().await.unwrap()
}

const SUSPEND: Duration = Duration::from_millis(300);

/// One message always fails: its queue waits for it, suspended each time, the others go on; past the maximum it is in the dead-letter queue.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_ordered_poison_holds_its_queue_only_and_is_parked() {
    let (client, topic, group) = (connect().await, topic("poison", 2).await, unique("poison"));
    send(&client, &topic, 0..40).await;
    let mut events = client.events();
    let builder = from_first(&client, &group, &topic).ordered();
    let consumer = builder
        .suspend(SUSPEND)
        .max_redeliveries(3)
        .build()
        .await
        .unwrap();
    let (mut failures, mut before, mut last): (Vec<Instant>, [Vec<i64>; 2], _) = Default::default();
    let mut poisoned = None;
    while before[0].len() + before[1].len() < 39 {
        let delivery = next(&consumer).await;
        let queue = usize::try_from(delivery.queue()).unwrap();
        if *poisoned.get_or_insert(queue) == queue && delivery.offset() == 0 {
            failures.push(now());
            assert_eq!(delivery.attempt() as usize, failures.len());
            last = Some(delivery.unique_id().unwrap().to_owned());
            delivery.nack().await.unwrap();
            continue;
        }
        if queue == poisoned.unwrap() {
            assert_eq!(failures.len(), 4, "nothing passes it");
        }
        before[queue].push(delivery.offset());
        delivery.ack().await.unwrap();
    }
    for pair in failures.windows(2) {
        let suspended = pair[1] - pair[0];
        assert!(
            suspended >= SUSPEND && suspended < SUSPEND * 4,
            "{suspended:?}"
        );
    }
    for offsets in &before {
        assert!(offsets.is_sorted());
    }
    let parked = async {
        while let Some(event) = events.next().await {
            if let Event::MessageParked { attempts, .. } = event {
                return attempts;
            }
        }
        0
    };
    assert_eq!(within(WAIT, "an event", parked).await, 4);
    consumer.close().await;
    let letters = from_first(&client, &unique("letters"), &format!("%DLQ%{group}"));
    let letters = letters.build().await.unwrap();
    let letter = next(&letters).await;
    assert_eq!(letter.unique_id().map(str::to_owned), last);
    letter.ack().await.unwrap();
    client.close().await.unwrap();
}

/// Two ordered members of a group: what one holds the other does not get, and close lets it have it at once, in order.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_ordered_close_unlocks_at_once() {
    let (topic, group) = (topic("unlock", 1).await, unique("unlock"));
    let (one, two) = (connect().await, connect().await);
    send(&one, &topic, 0..20).await;
    let first = ordered(&one, &group, &topic).await;
    for number in 0..10 {
        let delivery = next(&first).await;
        assert_eq!(text(&delivery), number.to_string());
        delivery.ack().await.unwrap();
    }
    let second = ordered(&two, &group, &topic).await;
    // Whose the only queue is by the members' names is left to chance; while it moves it is nobody's.
    let mut members = [first, second];
    let has = |member: &Consumer| {
        let queues = member.assignment();
        // The retry topic's is another.
        queues.iter().any(|queue| queue.topic() == topic)
    };
    until(WAIT, "one has it", async || members.iter().any(has)).await;
    if !has(&members[0]) {
        members.reverse();
    }
    let [owner, second] = members;
    owner.close().await;
    let closed = now();
    let delivery = next(&second).await;
    assert!(
        closed.elapsed() < Duration::from_secs(20),
        "{:?}",
        closed.elapsed()
    );
    assert_eq!(text(&delivery), "10");
    delivery.ack().await.unwrap();
    for number in 11..20 {
        let delivery = next(&second).await;
        assert_eq!(text(&delivery), number.to_string());
        delivery.ack().await.unwrap();
    }
    second.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(20));
    one.close().await.unwrap();
    two.close().await.unwrap();
}

/// A queue that a rebalance gives to another is the other's when what is held of it is settled, and not before.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_ordered_queue_moves_when_what_is_held_is_settled() {
    let (topic, group) = (topic("moves", 2).await, unique("moves"));
    let (one, two) = (connect().await, connect().await);
    send(&one, &topic, 0..40).await;
    let first = ordered(&one, &group, &topic).await;
    let held = [next(&first).await, next(&first).await];
    let second = ordered(&two, &group, &topic).await;
    let early = tokio::time::timeout(Duration::from_secs(2), second.recv()).await;
    assert!(early.is_err(), "it is the first one's still");
    let places = held
        .each_ref()
        .map(|delivery| (delivery.queue(), delivery.offset()));
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    let delivery = next(&second).await;
    let before = places
        .iter()
        .find(|(queue, _)| *queue == delivery.queue())
        .unwrap();
    assert_eq!(delivery.offset(), before.1 + 1);
    delivery.ack().await.unwrap();
    first.close().await;
    second.close().await;
}

/// Killed, a member keeps its queues from the others until the broker's lock lapses; the next begins where it had persisted. The 60 s that
/// takes are cut short: the test gives the dead one's lock back.
#[test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
fn real_rocketmq_ordered_killed_member_is_followed_in_order() {
    let runtime = Runtime::new().unwrap();
    if let Some(argument) = role("member") {
        return runtime.block_on(receive(&argument));
    }
    runtime.block_on(kill_member());
}

async fn kill_member() {
    let (client, topic, group) = (connect().await, topic("killed", 1).await, unique("killed"));
    send(&client, &topic, 0..30).await;
    let argument = format!("{topic} {group}");
    let this = "real_rocketmq_ordered_killed_member_is_followed_in_order";
    let mut child = tokio::task::spawn_blocking(move || {
        let mut child = Child::start(this, "member", &argument);
        assert_eq!(child.hear("settled"), "10");
        child
    })
    .await
    .unwrap();
    until(WAIT, "its offset", async || {
        committed(&group, &topic, 0).await == Some(10)
    })
    .await;
    let mut broker = first_broker().await;
    let members = GetConsumerList {
        consumer_group: group.as_str().into(),
        ..GetConsumerList::default()
    };
    let dead = broker
        .ask(&members)
        .await
        .reply::<ConsumerList>()
        .client_ids;
    child.kill9();
    let consumer = ordered(&client, &group, &topic).await;
    let early = tokio::time::timeout(Duration::from_secs(2), consumer.recv()).await;
    assert!(early.is_err(), "the dead one has the lock");
    let route = client.admin().describe(&topic).await.unwrap();
    let lock = LockQueues {
        client_id: dead[0].clone(),
        consumer_group: group.clone(),
        queues: vec![QueueKey {
            broker_name: route.queues[0].broker.clone(),
            queue_id: 0,
            topic: topic.clone(),
        }],
        only_this_broker: false,
    };
    broker.ask(&UnlockQueues(lock)).await;
    for number in 10..30 {
        let delivery = next(&consumer).await;
        assert_eq!(
            (text(&delivery), delivery.attempt()),
            (number.to_string(), 1)
        );
        delivery.ack().await.unwrap();
    }
    client.close().await.unwrap();
}

async fn receive(argument: &str) {
    let (topic, group) = argument.split_once(' ').unwrap();
    let client = connect().await;
    let consumer = ordered(&client, group, topic).await;
    for _ in 0..10 {
        next(&consumer).await.ack().await.unwrap();
    }
    let held = next(&consumer).await;
    Child::say("settled", held.offset());
    // Until it is killed.
    tokio::time::sleep(Duration::from_secs(300)).await;
    drop(held);
}

/// What is not committed by hand comes again to the next, and what is does not.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_ordered_manual_commit_and_rollback() {
    let (client, topic, group) = (connect().await, topic("manual", 1).await, unique("manual"));
    send(&client, &topic, 0..10).await;
    let build = async || {
        let builder = from_first(&client, &group, &topic).ordered();
        builder
            .suspend(SUSPEND)
            .manual_commit()
            .build()
            .await
            .unwrap()
    };
    let consumer = build().await;
    let plan = [
        (0, Settle::Ack),
        (1, Settle::Ack),
        (2, Settle::Rollback),
        (0, Settle::Ack),
        (1, Settle::Commit),
        (2, Settle::Ack),
        (3, Settle::Ack),
    ];
    for (offset, decision) in plan {
        let delivery = next(&consumer).await;
        assert_eq!((delivery.offset(), delivery.attempt()), (offset, 1));
        let settling = match decision {
            Settle::Rollback => delivery.rollback(),
            Settle::Commit => delivery.commit(),
            _ => delivery.ack(),
        };
        settling.await.unwrap();
    }
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(2));
    let consumer = build().await;
    assert_eq!(next(&consumer).await.offset(), 2);
    consumer.close().await;
    client.close().await.unwrap();
}
