//! Long polls.

use std::time::Duration;

use integration_tests::foreign::Failure;
use integration_tests::foreign::cmq::Sdk;
use mq_cmq::ReceiptHandle;
use mq_dev::cmq::QueueSpec;
use serde_json::{Value, json};

use super::world::{DEFAULT, Promise, QUEUE, World, text};

const POLLED: &str = "a long poll of one ends when the other sends";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_long_poll_python() {
    long_polls("real_cmq_interop_long_poll_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_long_poll_java() {
    long_polls("real_cmq_interop_long_poll_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_long_poll_node() {
    long_polls("real_cmq_interop_long_poll_node", Sdk::Node).await;
}

async fn long_polls(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: POLLED,
    };
    promise.kept(sdk, DEFAULT, polled).await;
}

/// Nobody moves the clock: no wait ends by itself, but for the last two.
async fn polled(world: &mut World) {
    let waits = QueueSpec::new(QUEUE).wait(Duration::from_secs(20));
    world.server.create_queue(waits).unwrap();
    let queue = world.ours.queue(QUEUE).unwrap();
    // Told by the request, and by the queue's attribute.
    for given in [
        json!({"queueName": QUEUE, "pollingWaitSeconds": 20}),
        json!({"queueName": QUEUE}),
        json!({"queueName": QUEUE, "pollingWaitSeconds": 20, "numOfMsg": 16}),
    ] {
        let action = if given.get("numOfMsg").is_some() {
            "BatchReceiveMessage"
        } else {
            "ReceiveMessage"
        };
        let polling = world.theirs.call(action, given);
        let sending = async {
            waiting(&world.server).await;
            queue.send("woken").await.unwrap();
        };
        let (got, ()) = tokio::join!(polling, sending);
        let got: Value = got.unwrap();
        let one = got["msgInfoList"].get(0).unwrap_or(&got);
        assert_eq!(text(one, "msgBody"), "woken");
        queue
            .delete(&ReceiptHandle::new(text(one, "receiptHandle")))
            .await
            .unwrap();
    }

    let polling = queue.receive(Duration::from_secs(20));
    let sending = async {
        waiting(&world.server).await;
        let given = json!({"queueName": QUEUE, "msgBody": "woken by theirs"});
        world.theirs.call("SendMessage", given).await.unwrap();
    };
    let (got, ()) = tokio::join!(polling, sending);
    let got = got.unwrap().expect("a message");
    assert_eq!(got.body(), "woken by theirs");
    queue.delete(got.handle()).await.unwrap();

    // One that ends empty.
    let clock = world.clock();
    let given = json!({"queueName": QUEUE, "pollingWaitSeconds": 20});
    let polling = world.theirs.call("ReceiveMessage", given);
    let passing = async {
        waiting(&world.server).await;
        clock.advance(Duration::from_secs(20));
    };
    let (got, ()) = tokio::join!(polling, passing);
    assert!(
        matches!(got, Err(Failure::Failed { code: 7000, .. })),
        "{got:?}"
    );
}

/// Until a receive is in the line.
async fn waiting(server: &mq_dev::cmq::DevServer) {
    while server.counts(QUEUE).unwrap().waiting == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
