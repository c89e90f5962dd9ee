//! Dead letters.

use integration_tests::foreign::cmq::Sdk;
use serde_json::json;

use super::world::{DEFAULT, NOW, Promise, QUEUE, VISIBILITY, World, next, take};

const DEAD: &str = "what one does not delete in three receives is a dead letter of the other";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_dead_letter_python() {
    dead_letters("real_cmq_interop_dead_letter_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_dead_letter_java() {
    dead_letters("real_cmq_interop_dead_letter_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_dead_letter_node() {
    dead_letters("real_cmq_interop_dead_letter_node", Sdk::Node).await;
}

async fn dead_letters(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: DEAD,
    };
    promise.kept(sdk, DEFAULT, dead_lettered).await;
}

/// The SDKs for Python and Java have no parameters for it: there the rule is made by ours.
async fn dead_lettered(world: &mut World) {
    let dead = world.queue("dead");
    if world.sdk == Sdk::Node {
        let given = json!({
            "queueName": QUEUE, "visibilityTimeout": 30,
            "deadLetterPolicy": r#"{"deadLetterQueue": "dead", "policy": 0, "maxReceiveCount": 3}"#,
        });
        world.they("CreateQueue", given).await;
    } else {
        let made = world.ours.create_queue(QUEUE).visibility(VISIBILITY);
        made.dead_letter(mq_cmq::DeadLetter::after_receives("dead", 3))
            .await
            .unwrap();
    }
    let queue = world.ours.queue(QUEUE).unwrap();
    let rule = queue.attributes().await.unwrap().dead_letter.unwrap();
    assert_eq!((rule.queue(), rule.receives()), ("dead", Some(3)));

    let given = json!({"queueName": QUEUE, "msgBody": "theirs"});
    world.they("SendMessage", given).await;
    for attempt in 1..=3 {
        assert_eq!(next(&queue).await.attempt(), attempt);
        world.clock().advance(VISIBILITY);
    }
    world.they_find_nothing(QUEUE).await;
    assert_eq!(world.they_take("dead").await, "theirs");

    queue.send("ours").await.unwrap();
    for _ in 0..3 {
        let (body, _) = world.they_receive(QUEUE).await;
        assert_eq!(body, "ours");
        world.clock().advance(VISIBILITY);
    }
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
    assert_eq!(take(&dead).await, "ours");
}
