//! One message: sent, received, deleted, refused.

use integration_tests::foreign::cmq::Sdk;
use mq_cmq::{ErrorCode, ErrorKind, ReceiptHandle};
use serde_json::json;

use super::world::{NOW, Promise, QUEUE, VISIBILITY, World, next, text};

/// What signatures and forms get wrong.
const BODIES: [&str; 6] = [
    "plain",
    "a b&c=d+e/f%41?g#h~",
    "中文 München 🦀",
    "@begins with what the SDK for Python leaves out of its signature",
    "\n two lines \r\n and blanks ",
    "{\"json\": [1, null, \"\\u00e9\"]}",
];

const BOTH_WAYS: &str =
    "one sends, the other receives and deletes; empty, stale and unknown are told, not lost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_queue_python() {
    both_ways("real_cmq_interop_queue_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_queue_java() {
    both_ways("real_cmq_interop_queue_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_queue_node() {
    both_ways("real_cmq_interop_queue_node", Sdk::Node).await;
}

async fn both_ways(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: BOTH_WAYS,
    };
    let scenario = async |world: &mut World| {
        theirs_to_ours(world).await;
        ours_to_theirs(world).await;
        what_is_refused(world).await;
    };
    promise.kept(sdk, sdk.ways(), scenario).await;
}

async fn theirs_to_ours(world: &mut World) {
    let queue = world.queue(QUEUE);
    for body in BODIES {
        let given = json!({"queueName": QUEUE, "msgBody": body});
        let sent = world.they("SendMessage", given).await;
        let message = next(&queue).await;
        assert_eq!(message.body(), body);
        assert_eq!(message.message_id(), text(&sent, "msgId"));
        assert_eq!(message.attempt(), 1);
        queue.delete(message.handle()).await.unwrap();
    }
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
}

async fn ours_to_theirs(world: &mut World) {
    let queue = world.ours.queue(QUEUE).unwrap();
    for body in BODIES {
        let receipt = queue.send(body).await.unwrap();
        let given = json!({"queueName": QUEUE, "pollingWaitSeconds": 0});
        let got = world.they("ReceiveMessage", given).await;
        assert_eq!(text(&got, "msgBody"), body);
        assert_eq!(text(&got, "msgId"), receipt.message_id());
        assert_eq!(got["dequeueCount"], 1);
        let visible = got["nextVisibleTime"].as_u64().unwrap();
        let first = got["firstDequeueTime"].as_u64().unwrap();
        assert_eq!(visible - first, VISIBILITY.as_secs());
        // A handle of theirs is one of ours.
        let handle = text(&got, "receiptHandle");
        queue.delete(&ReceiptHandle::new(&handle)).await.unwrap();
        let stale = json!({"queueName": QUEUE, "receiptHandle": handle});
        assert_eq!(world.refused("DeleteMessage", stale).await, 4430);
    }
    world.they_find_nothing(QUEUE).await;
}

/// The same codes for both, and nothing is done.
async fn what_is_refused(world: &mut World) {
    let missing = json!({"queueName": "nobody", "msgBody": "x"});
    assert_eq!(world.refused("SendMessage", missing).await, 4440);
    let queue = world.ours.queue("nobody").unwrap();
    let error = queue.send("x").await.unwrap_err().error;
    assert_eq!(error.code(), Some(&ErrorCode::QUEUE_NOT_FOUND));

    // What theirs holds too long is ours to receive, and the old handle is worth nothing.
    let queue = world.ours.queue(QUEUE).unwrap();
    queue.send("again").await.unwrap();
    let (_, handle) = world.they_receive(QUEUE).await;
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
    world.clock().advance(VISIBILITY);
    let again = next(&queue).await;
    assert_eq!(again.attempt(), 2);
    let stale = json!({"queueName": QUEUE, "receiptHandle": handle});
    assert_eq!(world.refused("DeleteMessage", stale).await, 4430);
    queue.delete(again.handle()).await.unwrap();

    // And the other way around.
    queue.send("and again").await.unwrap();
    let held = next(&queue).await;
    world.clock().advance(VISIBILITY);
    assert_eq!(world.they_take(QUEUE).await, "and again");
    let error = queue.delete(held.handle()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert_eq!(
        world.server.counts(QUEUE).unwrap(),
        mq_dev::cmq::QueueCounts::default()
    );
}
