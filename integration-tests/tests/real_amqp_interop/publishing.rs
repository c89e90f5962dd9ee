//! Confirms, what no queue takes, and what a full queue refuses: the same to both.

use integration_tests::foreign::amqp::{Peer, Seen};
use integration_tests::harness::amqp::queue;
use integration_tests::harness::unique;
use mq_amqp::{ErrorKind, Message, Outcome, Overflow, Queue, ReplyCode};
use serde_json::json;

use crate::world::{Promise, World, call_to_publish};

async fn both_hear_what_became_of_it(world: &mut World) {
    let taken = queue(&world.ours, "interop").await;
    world.they_send("", &taken, "theirs").await;
    world.we_send("", &taken, "ours").await;
    assert_eq!(world.we_receive(&taken, 2).await, ["theirs", "ours"]);

    let nowhere = unique("nowhere");
    let call = call_to_publish("", &nowhere, &json!({"message_id": "lost"}), b"theirs");
    let said = world.ask("Publish", call).await;
    assert_eq!(said["outcome"], "returned", "{said}");
    assert_eq!(said["reply_code"], 312);
    let back = Seen::read(&said["message"]).unwrap();
    assert_eq!((back.text(), back.key), ("theirs".into(), nowhere.clone()));
    assert_eq!(back.properties.message_id.as_deref(), Some("lost"));
    let publisher = world.publisher("").await;
    let failed = publisher.send(Message::new(nowhere.clone(), "ours").id("lost"));
    let failed = failed.await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::NotFound, Outcome::Rejected)
    );
    assert_eq!(failed.error.code(), Some(&ReplyCode::NO_ROUTE));
    assert_eq!(failed.message.message_id(), Some("lost"));

    let full = unique("full");
    let bounded = Queue::classic(full.clone())
        .max_length(1)
        .overflow(Overflow::RejectPublish);
    world
        .ours
        .declare_queue(bounded.auto_delete())
        .await
        .unwrap();
    world.they_send("", &full, "there is room for one").await;
    let call = call_to_publish("", &full, &json!({}), b"theirs");
    assert_eq!(world.ask("Publish", call).await["outcome"], "nack");
    let refused = publisher.send(Message::new(full.clone(), "ours")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Rejected);
    // Both go on after that.
    assert_eq!(world.they_receive(&full, 1).await.len(), 1);
    world.they_send("", &taken, "theirs").await;
    publisher
        .send(Message::new(taken.clone(), "ours"))
        .await
        .unwrap();
    assert_eq!(world.we_receive(&taken, 2).await, ["theirs", "ours"]);
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_confirms_and_returns_with_pika() {
    let promise = Promise {
        test: "real_amqp_interop_confirms_and_returns_with_pika",
        flow: "send",
        text: "confirmed, unroutable and refused are the same to ours and to theirs",
    };
    promise.kept(Peer::Pika, both_hear_what_became_of_it).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), JDK 17 and Maven"]
async fn real_amqp_interop_confirms_and_returns_with_java() {
    let promise = Promise {
        test: "real_amqp_interop_confirms_and_returns_with_java",
        flow: "send",
        text: "confirmed, unroutable and refused are the same to ours and to theirs",
    };
    promise.kept(Peer::Java, both_hear_what_became_of_it).await;
}
