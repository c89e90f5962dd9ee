//! Delays, to the millisecond.

use std::time::Duration;

use integration_tests::foreign::cmq::Sdk;
use mq_cmq::Message;
use serde_json::json;

use super::world::{DEFAULT, NOW, Promise, QUEUE, World, take};

const DELAYED: &str = "delayed by one, received by the other, not before its time";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_delay_python() {
    delays("real_cmq_interop_delay_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_delay_java() {
    delays("real_cmq_interop_delay_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_delay_node() {
    delays("real_cmq_interop_delay_node", Sdk::Node).await;
}

async fn delays(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "scheduled",
        text: DELAYED,
    };
    promise.kept(sdk, DEFAULT, delayed).await;
}

/// The server's clock stands still but where it is moved: "not before" is exact.
async fn delayed(world: &mut World) {
    let queue = world.queue(QUEUE);
    let almost = Duration::from_millis(4_999);
    let rest = Duration::from_millis(1);

    let given = json!({"queueName": QUEUE, "msgBody": "theirs", "delaySeconds": 5});
    world.they("SendMessage", given).await;
    world.clock().advance(almost);
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
    world.clock().advance(rest);
    assert_eq!(take(&queue).await, "theirs");

    let given = json!({"queueName": QUEUE, "msgBody": ["a", "b"], "delaySeconds": 5});
    world.they("BatchSendMessage", given).await;
    world.clock().advance(almost);
    assert_eq!(world.server.counts(QUEUE).unwrap().delayed, 2);
    world.clock().advance(rest);
    assert_eq!([take(&queue).await, take(&queue).await], ["a", "b"]);

    let delay = Duration::from_secs(5);
    queue
        .send(Message::new("ours").deliver_after(delay))
        .await
        .unwrap();
    world.clock().advance(almost);
    world.they_find_nothing(QUEUE).await;
    world.clock().advance(rest);
    assert_eq!(world.they_take(QUEUE).await, "ours");
}
