//! Transactions of theirs: committed, rolled back, unknown and asked about.

use std::time::Duration;

use integration_tests::foreign::cmq::Sdk;
use integration_tests::harness::until;
use serde_json::{Value, json};

use super::world::{Promise, World, text};

const PAID: &str = "paid";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_tcp_transactions() {
    let promise = Promise {
        test: "real_cmq_interop_tcp_transactions",
        flow: "transactional",
        text: "theirs commits, rolls back, or does not know and is asked: ours sees what was committed, once",
    };
    let scenario = async |world: &mut World| {
        committed_and_rolled_back(world).await;
        asked(world, "commit").await;
        asked(world, "rollback").await;
        never_answered(world).await;
    };
    promise.kept(Sdk::JavaTcp.ways(), scenario).await;
}

/// Until no half message is left: theirs confirms without awaiting an answer.
async fn decided(world: &World) {
    let none = async || world.server.counts(PAID).unwrap().half == 0;
    until(Duration::from_secs(60), "a decision", none).await;
}

async fn committed_and_rolled_back(world: &mut World) {
    for (outcome, body) in [("commit", Some("中 commit")), ("rollback", None)] {
        let given =
            json!({"queueName": PAID, "msgBody": format!("中 {outcome}"), "outcome": outcome});
        let sent = world.they("SendTransaction", given).await;
        decided(world).await;
        if let Some(body) = body {
            let message = world.take(PAID).await;
            assert_eq!(message.body(), body);
            assert_eq!(message.message_id(), text(&sent, "msgId"));
        }
        world.nothing(PAID).await;
    }
    let given = json!({
        "queueName": PAID, "msgBody": ["a", "b", "c"], "outcome": ["commit", "rollback", "commit"],
    });
    world.they("BatchSendTransaction", given).await;
    decided(world).await;
    for body in ["a", "c"] {
        assert_eq!(world.they_take(PAID).await, body);
    }
    world.they_find_nothing(PAID).await;
    let plain = json!({"queueName": "orders_1", "msgBody": "x", "outcome": "commit"});
    assert_eq!(world.refused("SendTransaction", plain).await.0, 10_790);
}

async fn questions(world: &mut World) -> Vec<String> {
    let said = world
        .they("ListQuestions", json!({"queueName": PAID}))
        .await;
    let ids = said["msgIds"].as_array().unwrap().iter();
    ids.map(|id| Value::as_str(id).unwrap().to_owned())
        .collect()
}

async fn was_asked(world: &mut World, times: usize) {
    let there = async || questions(world).await.len() == times;
    until(Duration::from_secs(60), "the question", there).await;
}

/// It does not know, is asked in vain, and knows the second time.
async fn asked(world: &mut World, verdict: &str) {
    let before = questions(world).await.len();
    let given = json!({"queueName": PAID, "outcome": "unknown"});
    world.they("SetVerdict", given).await;
    // Its sample says 5, which are seconds; its default 5000, which are milliseconds.
    let given = json!({
        "queueName": PAID, "msgBody": "later", "outcome": "unknown", "firstCheckInterval": 5000,
    });
    let sent = world.they("SendTransaction", given).await;
    world.clock().advance(Duration::from_secs(5));
    was_asked(world, before + 1).await;
    assert_eq!(world.server.counts(PAID).unwrap().half, 1);
    world.nothing(PAID).await;

    let given = json!({"queueName": PAID, "outcome": verdict});
    world.they("SetVerdict", given).await;
    world.clock().advance(Duration::from_secs(5));
    was_asked(world, before + 2).await;
    decided(world).await;
    if verdict == "commit" {
        assert_eq!(world.take(PAID).await.body(), "later");
    }
    world.nothing(PAID).await;
    let asked = questions(world).await;
    assert_eq!(asked.last(), Some(&text(&sent, "msgId")));
    world.clock().advance(Duration::from_secs(60));
    assert_eq!(questions(world).await.len(), before + 2);
}

async fn never_answered(world: &mut World) {
    let before = questions(world).await.len();
    let given = json!({"queueName": PAID, "outcome": "unknown"});
    world.they("SetVerdict", given).await;
    let given = json!({"queueName": PAID, "msgBody": "never", "outcome": "unknown"});
    world.they("SendTransaction", given).await;
    for times in 1..=3 {
        world.clock().advance(Duration::from_secs(5));
        was_asked(world, before + times).await;
    }
    assert_eq!(world.server.counts(PAID).unwrap().half, 1);
    world.clock().advance(Duration::from_secs(5));
    let counts = world.server.counts(PAID).unwrap();
    assert_eq!((counts.half, counts.unanswered), (0, 1));
    world.nothing(PAID).await;
}
