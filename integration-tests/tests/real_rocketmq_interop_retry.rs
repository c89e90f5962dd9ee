//! Retries and dead letters across languages: what one client gives back or gives up, the other one gets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::{Foreign, Received};
use integration_tests::harness::{
    Wire, broker_version, connect, from_first, nameserver, next, producer, text, topic, unique,
    until,
};
use mq_rocketmq::{Client, Message};

const WAIT: Duration = Duration::from_secs(60);
const STAY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17 and Maven"]
async fn real_rocketmq_interop_retries_and_dead_letters_of_java_and_ours() {
    let test = "real_rocketmq_interop_retries_and_dead_letters_of_java_and_ours";
    give_up_for_each_other(test, "Java 5.5.0", Foreign::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL) and Go 1.24"]
async fn real_rocketmq_interop_retries_and_dead_letters_of_go_and_ours() {
    let test = "real_rocketmq_interop_retries_and_dead_letters_of_go_and_ours";
    give_up_for_each_other(test, "Go v2.1.2", Foreign::Go).await;
}

async fn give_up_for_each_other(test: &str, name: &str, theirs: Foreign) {
    theirs.build().await.unwrap();
    let promise = "what one client gives back or gives up, the other one gets";
    let record = Record::begin(test, "mq-rocketmq", "send, receive", promise)
        .tier(Tier::Foreign)
        .version(&format!("{name} on {}", broker_version()));
    let client = connect().await;
    tokio::join!(
        theirs_gives_back(&client, theirs),
        theirs_gives_up(&client, theirs),
        ours_gives_back(&client, theirs),
        ours_gives_up(&client, theirs),
    );
    client.close().await.unwrap();
    record.passed();
}

/// A topic with one message of ours, and a group.
async fn one_message(client: &Client, what: &'static str) -> (String, String, String) {
    let (topic, group) = (topic(what, 1).await, unique(what));
    let message = Message::new(&topic, what).tag("T").key("K");
    let sent = producer(client).await.send(message).await.unwrap();
    (topic, group, sent.unique_id().to_owned())
}

/// It fails the first one, takes another, and has gone when the broker delivers again.
async fn theirs_gives_back(client: &Client, theirs: Foreign) {
    let (topic, group, _) = one_message(client, "theirs-back").await;
    let another = Message::new(&topic, "another");
    producer(client).await.send(another).await.unwrap();
    // Go's shutdown does not wait until what failed is given back, and who takes another at the same time may be done before.
    let call = theirs.call(&nameserver(), &topic, &group).linger(STAY);
    let received = call.fail_first(1).recv().await.unwrap();
    let failed: Vec<_> = received.iter().filter(|one| !one.acked).collect();
    assert_eq!((received.len(), failed.len()), (2, 1), "{received:?}");
    let building = from_first(client, &group, &topic).build();
    let consumer = building.await.unwrap();
    // Its offset may be stored too late, so that what it had comes once more; what it gave back is counted.
    let again = loop {
        let delivery = next(&consumer).await;
        let (received, acker) = delivery.into_parts();
        acker.ack().await.unwrap();
        if received.attempt() > 1 {
            break received;
        }
    };
    assert_eq!(again.unique_id(), Some(&*failed[0].id));
    assert_eq!((again.attempt(), again.topic()), (2, &*topic));
    consumer.close().await;
}

/// It fails as often as it may.
async fn theirs_gives_up(client: &Client, theirs: Foreign) {
    let (topic, group, id) = one_message(client, "theirs-up").await;
    let call = theirs.call(&nameserver(), &topic, &group).max_reconsume(1);
    let receiving = call.fail_first(9).count(9).start_recv().await.unwrap();
    let letters = format!("%DLQ%{group}");
    // Go looks for the route of a new retry topic every 30 s.
    until(2 * WAIT, "their dead letter", async || {
        exists(&letters).await
    })
    .await;
    let received = receiving.kill().await.unwrap();
    let counts: Vec<_> = received.iter().map(|one| one.reconsume).collect();
    assert_eq!(counts, [0, 1]);
    let building = from_first(client, &unique("letters"), &letters).build();
    let consumer = building.await.unwrap();
    let letter = next(&consumer).await;
    assert_eq!(text(&letter), "theirs-up");
    assert_eq!(letter.unique_id(), Some(&*id));
    letter.ack().await.unwrap();
    consumer.close().await;
}

async fn ours_gives_back(client: &Client, theirs: Foreign) {
    let (topic, group, id) = one_message(client, "ours-back").await;
    let building = from_first(client, &group, &topic).build();
    let consumer = building.await.unwrap();
    next(&consumer).await.nack().await.unwrap();
    consumer.close().await;
    let call = theirs.call(&nameserver(), &topic, &group);
    let received = call.recv().await.unwrap();
    is_ours(&received, &id);
    assert_eq!(received[0].reconsume, 1);
}

async fn ours_gives_up(client: &Client, theirs: Foreign) {
    let (topic, group, id) = one_message(client, "ours-up").await;
    let builder = from_first(client, &group, &topic).max_redeliveries(1);
    let building = builder.retry_delay(Duration::from_secs(1)).build();
    let consumer = building.await.unwrap();
    for attempt in 1..=2 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.attempt(), attempt);
        delivery.nack().await.unwrap();
    }
    consumer.close().await;
    let letters = format!("%DLQ%{group}");
    until(WAIT, "a dead letter", async || exists(&letters).await).await;
    let call = theirs.call(&nameserver(), &letters, &unique("letters"));
    let received = call.recv().await.unwrap();
    is_ours(&received, &id);
}

fn is_ours(received: &[Received], id: &str) {
    let [one] = received else {
        panic!("{received:?}");
    };
    assert_eq!((&*one.id, one.acked), (id, true));
    assert_eq!(
        (one.tag.as_deref(), one.key.as_deref()),
        (Some("T"), Some("K"))
    );
}

async fn exists(topic: &str) -> bool {
    let mut wire = Wire::connect(&nameserver()).await.unwrap();
    wire.has_route(topic).await
}
