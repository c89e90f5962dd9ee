//! Transactions across languages: the half message is one client's, the answer to the check-back another's, in one producer group.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::{Call, Foreign, Received, Transacted};
use integration_tests::harness::{
    broker_version, connect, from_first, nameserver, next, text, topic, unique, within,
};
use mq_rocketmq::{Consumer, Message, TransactionalProducer, Verdict};

const WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL), JDK 17 and Maven"]
async fn real_rocketmq_interop_transaction_java_and_ours_answer_for_each_other() {
    let test = "real_rocketmq_interop_transaction_java_and_ours_answer_for_each_other";
    let record = record(test, "Java 5.5.0");
    answer_for_each_other(Foreign::Java).await;
    record.passed();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL) and Go 1.24"]
async fn real_rocketmq_interop_transaction_go_and_ours_answer_for_each_other() {
    let test = "real_rocketmq_interop_transaction_go_and_ours_answer_for_each_other";
    let record = record(test, "Go v2.1.2");
    answer_for_each_other(Foreign::Go).await;
    record.passed();
}

/// For `docs/flows.md`.
fn record(test: &str, client: &str) -> Record {
    let promise =
        "half messages of one client, answered for by the other; committed ones received by both";
    let version = broker_version();
    Record::begin(test, "mq-rocketmq", "transactional", promise)
        .tier(Tier::Foreign)
        .version(&format!("{client} on {version}"))
}

async fn answer_for_each_other(foreign: Foreign) {
    let (topic, group) = (topic("tx-interop", 4).await, unique("producer"));
    let call = |prefix: &str, count| -> Call {
        let call = foreign.call(&nameserver(), &topic, &group);
        call.prefix(prefix).count(count)
    };
    let client = connect().await;
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();

    let sent = call("theirs", 2).undecided().transact().await.unwrap();
    assert_eq!(sent.len(), 2, "{sent:?}");
    let (first, mut checked) = ours(&group, &topic).await;
    // The even one is committed, the other one rolled back.
    assert_eq!(body(&consumer).await, "theirs-0");
    let mut asked = Vec::new();
    while asked.len() < 2 {
        let checked = within(WAIT, "a question", checked.recv()).await.unwrap();
        asked.push(checked);
    }
    asked.sort_unstable();
    let theirs = sent.iter().map(|sent| (sent.text().1, sent.id.clone()));
    assert_eq!(asked, theirs.collect::<Vec<_>>());

    let mut begun = Vec::new();
    for number in 0..2 {
        let message = Message::new(&topic, format!("ours-{number}"));
        begun.push(first.begin(message).await.unwrap());
    }
    // Its client goes with the last of them, without a goodbye.
    drop(begun);
    drop(first);
    let told = call("own", 2).checks(2).transact().await.unwrap();
    let mut told: Vec<_> = told.iter().map(Transacted::text).collect();
    told.sort_unstable();
    let expected = [
        ("checked", "ours-0"),
        ("checked", "ours-1"),
        ("sent", "own-0"),
        ("sent", "own-1"),
    ];
    assert_eq!(told, expected.map(|(what, body)| (what, body.to_owned())));
    let mut seen = [body(&consumer).await, body(&consumer).await];
    seen.sort_unstable();
    assert_eq!(seen, ["ours-0", "own-0"]);

    let received = foreign
        .call(&nameserver(), &topic, &unique("group"))
        .count(3);
    let received = received
        .linger(Duration::from_secs(2))
        .recv()
        .await
        .unwrap();
    let mut seen: Vec<_> = received.iter().map(Received::text).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["ours-0", "own-0", "theirs-0"]);
    let more = tokio::time::timeout(Duration::from_millis(100), consumer.recv()).await;
    assert!(more.is_err(), "{more:?}");
    client.close().await.unwrap();
}

/// A producer of ours that decides as theirs do, and what it was asked: body and id.
async fn ours(
    group: &str,
    topic: &str,
) -> (
    TransactionalProducer,
    tokio::sync::mpsc::Receiver<(String, String)>,
) {
    let (told, asked) = tokio::sync::mpsc::channel(16);
    let building = connect().await.producer(group).checker(move |message| {
        let body = String::from_utf8(message.body().to_vec()).unwrap();
        let even = body.as_bytes().last().unwrap().is_multiple_of(2);
        told.try_send((body, message.id().to_owned())).unwrap();
        async move {
            if even {
                Verdict::Commit
            } else {
                Verdict::Rollback
            }
        }
    });
    (building.topic(topic).build().await.unwrap(), asked)
}

async fn body(consumer: &Consumer) -> String {
    let delivery = within(WAIT, "a message", next(consumer)).await;
    let body = text(&delivery);
    delivery.ack().await.unwrap();
    body
}
