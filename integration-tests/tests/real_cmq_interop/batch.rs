//! Batches, their results one by one.

use integration_tests::foreign::cmq::Sdk;
use mq_cmq::{ErrorKind, ReceiptHandle};
use serde_json::json;

use super::world::{DEFAULT, NOW, Promise, QUEUE, World, text};

const BATCHES: &str = "batches of 16, one handle of which has expired: the others are deleted";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_batch_python() {
    batches("real_cmq_interop_batch_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_batch_java() {
    batches("real_cmq_interop_batch_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_batch_node() {
    batches("real_cmq_interop_batch_node", Sdk::Node).await;
}

async fn batches(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: BATCHES,
    };
    let scenario = async |world: &mut World| {
        batch_of_theirs(world).await;
        batch_of_ours(world).await;
    };
    promise.kept(sdk, DEFAULT, scenario).await;
}

/// Sixteen: `msgBody.10` sorts before `msgBody.2` in what is signed, and nowhere else.
fn sixteen() -> Vec<String> {
    (0..16).map(|number| format!("number {number}")).collect()
}

async fn batch_of_theirs(world: &mut World) {
    let queue = world.queue(QUEUE);
    let given = json!({"queueName": QUEUE, "msgBody": sixteen()});
    let sent = world.they("BatchSendMessage", given).await;
    let got = queue.receive_batch(16, NOW).await.unwrap();
    let bodies: Vec<&str> = got.iter().map(mq_cmq::Received::body).collect();
    assert_eq!(bodies, sixteen());
    let ids: Vec<String> = sent["msgList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(it, "msgId"))
        .collect();
    let received: Vec<&str> = got.iter().map(mq_cmq::Received::message_id).collect();
    assert_eq!(received, ids);

    // The first one is gone: one result says so, and the other fifteen are deleted.
    queue.delete(got[0].handle()).await.unwrap();
    let handles: Vec<ReceiptHandle> = got.iter().map(|it| it.handle().clone()).collect();
    let results = queue.delete_batch(&handles).await;
    let failed: Vec<usize> = (0..16).filter(|at| results[*at].is_err()).collect();
    assert_eq!(failed, [0]);
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(world.server.counts(QUEUE).unwrap().held, 0);
}

async fn batch_of_ours(world: &mut World) {
    let queue = world.ours.queue(QUEUE).unwrap();
    for result in queue.send_batch(sixteen()).await {
        result.unwrap();
    }
    let given = json!({"queueName": QUEUE, "numOfMsg": 16, "pollingWaitSeconds": 0});
    let got = world.they("BatchReceiveMessage", given).await;
    let got = got["msgInfoList"].as_array().unwrap();
    let bodies: Vec<String> = got.iter().map(|it| text(it, "msgBody")).collect();
    assert_eq!(bodies, sixteen());

    let handles: Vec<String> = got.iter().map(|it| text(it, "receiptHandle")).collect();
    queue
        .delete(&ReceiptHandle::new(&handles[3]))
        .await
        .unwrap();
    let given = json!({"queueName": QUEUE, "receiptHandle": handles});
    let partly = world
        .theirs
        .ask("BatchDeleteMessage", given.clone())
        .await
        .unwrap();
    assert_eq!(partly["code"], 6010, "{partly}");
    if world.sdk == Sdk::Node {
        // The others do not show it.
        let errors = partly["errorList"].as_array().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0]["receiptHandle"], handles[3]);
        assert_eq!(errors[0]["code"], 4430);
    }
    assert_eq!(world.server.counts(QUEUE).unwrap().held, 0);
    // Now none of them is there.
    assert_eq!(world.refused("BatchDeleteMessage", given).await, 6020);
    let given = json!({"queueName": QUEUE, "numOfMsg": 16, "pollingWaitSeconds": 0});
    assert_eq!(world.refused("BatchReceiveMessage", given).await, 7000);
}
