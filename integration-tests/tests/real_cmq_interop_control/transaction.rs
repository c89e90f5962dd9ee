//! Transactional queues: made by one, used by ours over TCP.

use std::time::Duration;

use integration_tests::foreign::cmq::control::Sdk;
use integration_tests::harness::until;
use mq_cmq::{ErrorCode, Verdict};
use serde_json::json;

use super::world::{Promise, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_control_transaction_python() {
    transaction("real_cmq_interop_control_transaction_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_control_transaction_node() {
    transaction("real_cmq_interop_control_transaction_node", Sdk::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go 1.24"]
async fn real_cmq_interop_control_transaction_go() {
    transaction("real_cmq_interop_control_transaction_go", Sdk::Go).await;
}

async fn transaction(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "transactional",
        text: "in a transactional queue that theirs made, what ours commits over TCP is received over HTTP, and what it rolls back is not",
    };
    let scenario = async |world: &mut World| {
        let given = json!({"QueueName": "paid", "Transaction": 1, "FirstQueryInterval": 7, "MaxQueryCount": 1});
        world.they("CreateCmqQueue", given).await;
        asks(world, "paid", 7, 1).await;
        committed_and_rolled_back(world).await;
        asked_as_it_was_told(world).await;
        changed(world).await;
    };
    promise.kept(sdk, scenario).await;
}

/// That both see how the server asks.
async fn asks(world: &mut World, queue: &str, first: u64, most: u64) {
    let seen = world.queue_as_both_see_it(queue).await.transactions;
    let seen = seen.unwrap();
    assert_eq!(seen.first_query, Duration::from_secs(first));
    assert_eq!(seen.max_queries, most);
}

async fn committed_and_rolled_back(world: &mut World) {
    let knows_nothing = |_| async { Verdict::Unknown };
    let orders = world.tcp.transactional("paid", knows_nothing).unwrap();
    let prepared = orders.begin("commit 中").await.unwrap();
    let id = prepared.id().to_owned();
    world.nothing("paid").await;
    prepared.commit().await.unwrap();
    let message = world.take("paid").await;
    assert_eq!(
        (message.body(), message.message_id()),
        ("commit 中", id.as_str())
    );
    orders.begin("x").await.unwrap().rollback().await.unwrap();
    world.nothing("paid").await;

    // A queue that theirs makes without saying so is none.
    let plain = json!({"QueueName": "plain", "Transaction": 0});
    world.they("CreateCmqQueue", plain).await;
    assert_eq!(world.queue_as_both_see_it("plain").await.transactions, None);
    let knows_nothing = |_| async { Verdict::Unknown };
    let none = world.tcp.transactional("plain", knows_nothing).unwrap();
    let error = none.begin("x").await.unwrap_err().error;
    assert_eq!(error.code(), Some(&ErrorCode::NOT_TRANSACTIONAL));
}

/// After 7 s, once, and rolled back as long after it.
async fn asked_as_it_was_told(world: &mut World) {
    let knows_nothing = |_| async { Verdict::Unknown };
    let orders = world.tcp.transactional("paid", knows_nothing).unwrap();
    drop(orders.begin("left alone").await.unwrap());
    world.clock().advance(Duration::from_secs(13));
    assert_eq!(world.server.counts("paid").unwrap().half, 1);
    world.clock().advance(Duration::from_secs(1));
    let gone = async || world.server.counts("paid").unwrap().half == 0;
    until(Duration::from_secs(60), "the end of the half message", gone).await;
    assert_eq!(world.server.counts("paid").unwrap().unanswered, 1);
    world.nothing("paid").await;
}

async fn changed(world: &mut World) {
    let given = json!({"QueueName": "paid", "MaxQueryCount": 3});
    world.they("ModifyCmqQueueAttribute", given).await;
    asks(world, "paid", 7, 3).await;
    let given = json!({"QueueName": "paid", "Transaction": 0});
    let no = world.refused("ModifyCmqQueueAttribute", given).await;
    assert_eq!(no.code, "UnsupportedOperation");

    let made = world.control.create_queue("ours").transactional(true);
    made.first_query(Duration::from_secs(9)).await.unwrap();
    asks(world, "ours", 9, 15).await;
    let change = world.control.change_queue("ours").max_queries(2);
    change.await.unwrap();
    asks(world, "ours", 9, 2).await;
}
