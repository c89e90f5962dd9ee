//! Scheduled by one client, received by another: Java 5.5.0 (which has setters) and Go v2.1.2 (whose users set the raw property), both ways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::try_join;
use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::Foreign;
use integration_tests::harness::{
    connect, from_first, is_4, nameserver, next, producer, text, topic, unique, wall,
};
use mq_rocketmq::Message;

const BOTH: [(Foreign, &str); 2] = [(Foreign::Java, "Java 5.5.0"), (Foreign::Go, "Go v2.1.2")];
const COUNT: usize = 4;

fn record(test: &str, promise: &str) -> Record {
    let version = std::env::var("MQ_ROCKETMQ_VERSION").unwrap();
    Record::begin(test, "mq-rocketmq", "scheduled", promise)
        .tier(Tier::Foreign)
        .version(&format!("Java 5.5.0 and Go v2.1.2 on {version}"))
}

fn ms(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// On 4.x by level 1, which is 1 s there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17, Maven and Go"]
async fn real_rocketmq_interop_scheduled_theirs_reach_us_on_time() {
    let record = record(
        "real_rocketmq_interop_scheduled_theirs_reach_us_on_time",
        "scheduled by theirs, received by ours on time",
    );
    let (client, topic) = (connect().await, topic("theirs", 4).await);
    let building = from_first(&client, &unique("group"), &topic).build();
    let consumer = building.await.unwrap();
    for (foreign, name) in BOTH {
        let call = foreign.call(&nameserver(), &topic, &unique("producer"));
        let call = call.prefix(name).count(COUNT);
        let asked = ms(wall());
        let call = if is_4() {
            call.delay_level(1)
        } else {
            call.deliver_in(Duration::from_secs(2), Duration::from_millis(137))
        };
        let sent = call.send().await.unwrap();
        let due: BTreeMap<&str, i64> = sent
            .iter()
            .map(|sent| (&*sent.id, sent.due_ms.unwrap_or(asked + 1000)))
            .collect();
        for _ in 0..COUNT {
            let delivery = next(&consumer).await;
            let late = ms(delivery.stored_at()) - due[delivery.unique_id().unwrap()];
            assert!(late >= 0, "{name}: {} ms early", -late);
            assert!(text(&delivery).starts_with(name));
            delivery.ack().await.unwrap();
        }
    }
    client.close().await.unwrap();
    record.passed();
}

/// Ours to a consumer of each, and to one of ours in a third group: nobody gets them early, and ours is no later than Java's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17, Maven and Go"]
async fn real_rocketmq_interop_scheduled_ours_reach_them_on_time() {
    let record = record(
        "real_rocketmq_interop_scheduled_ours_reach_them_on_time",
        "scheduled by ours, received by theirs on time",
    );
    let (client, topic) = (connect().await, topic("ours", 4).await);
    let receiving = BOTH.map(|(foreign, _)| {
        let call = foreign.call(&nameserver(), &topic, &unique("group"));
        call.count(COUNT * 5).start_recv()
    });
    let [java, go] = receiving;
    let (java, go) = try_join(java, go).await.unwrap();
    let building = from_first(&client, &unique("group"), &topic).build();
    let consumer = building.await.unwrap();
    let producer = producer(&client).await;
    let mut due = BTreeMap::new();
    for number in 0..COUNT * 5 {
        let delay = Duration::from_millis(3000 + 137 * u64::try_from(number).unwrap());
        let message = Message::new(&topic, number.to_string());
        let (message, until) = match (is_4(), number % 2) {
            (true, _) => (message.delay_level(1), Duration::from_secs(1)),
            (_, 0) => (message.deliver_at(wall() + delay), delay),
            _ => (message.deliver_after(delay), delay),
        };
        let asked = wall();
        let receipt = producer.send(message).await.unwrap();
        let told = receipt.scheduled().unwrap().due();
        let told = told.unwrap_or(asked + until);
        due.insert(receipt.unique_id().to_owned(), ms(told));
    }
    let mut ours = Vec::new();
    while ours.len() < COUNT * 5 {
        let delivery = next(&consumer).await;
        ours.push(ms(wall()) - due[delivery.unique_id().unwrap()]);
        delivery.ack().await.unwrap();
    }
    let (java, go) = try_join(java.finish(), go.finish()).await.unwrap();
    let late = |received: &[integration_tests::foreign::Received]| -> Vec<i64> {
        let early = received.iter().map(|it| it.stored_ms - due[&it.id]);
        assert!(early.min().unwrap() >= 0, "early by the broker's clock");
        received.iter().map(|it| it.at_ms - due[&it.id]).collect()
    };
    let (java, go) = (figures("Java", &late(&java)), figures("Go", &late(&go)));
    let ours = figures("ours", &ours);
    println!("{ours:?} {java:?} {go:?}");
    // The same messages at the same time on the same machine; what is left to a client is a few ms.
    assert!(ours.1 <= java.1 + 20, "ours {ours:?}, Java's {java:?}");
    client.close().await.unwrap();
    record.passed();
}

/// Least, mean and most.
fn figures(who: &str, late: &[i64]) -> (i64, i64, i64) {
    let count = i64::try_from(late.len()).unwrap();
    let mean = late.iter().sum::<i64>() / count;
    let (least, most) = (*late.iter().min().unwrap(), *late.iter().max().unwrap());
    println!("{who}: late by {least} to {most} ms, mean {mean} ms");
    assert!(least >= 0, "{who}: early");
    (least, mean, most)
}
