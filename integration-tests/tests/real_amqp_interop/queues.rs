//! Classic and quorum queues and streams that either side has declared, and the other uses.

use std::time::Duration;

use integration_tests::foreign::amqp::{Peer, Seen};
use integration_tests::harness::unique;
use mq_amqp::Queue;
use serde_json::{Value, json};

use crate::world::{Promise, World, next};

/// The same queue as theirs declare it, by its arguments, and as ours does.
struct Kind {
    arguments: Value,
    queue: fn(String) -> Queue,
}

fn kinds() -> [Kind; 3] {
    const HOUR: Duration = Duration::from_secs(3600);
    let hour = json!(["x-expires", {"I": 3_600_000}]);
    let quorum = json!(["x-queue-type", {"S": "quorum"}]);
    let stream = json!(["x-queue-type", {"S": "stream"}]);
    [
        Kind {
            arguments: json!([hour]),
            queue: |name| Queue::classic(name).expires(HOUR),
        },
        Kind {
            arguments: json!([quorum, hour, ["x-delivery-limit", {"I": 5}]]),
            queue: |name| Queue::quorum(name).expires(HOUR).delivery_limit(5),
        },
        Kind {
            arguments: json!([stream, ["x-max-age", {"S": "1h"}]]),
            queue: |name| Queue::stream(name).max_age("1h"),
        },
    ]
}

async fn each_uses_what_the_other_declared(world: &mut World) {
    for Kind { arguments, queue } in kinds() {
        let (by_them, by_us) = (unique("theirs"), unique("ours"));
        let declare = |name: &str| json!({"queue": name, "durable": true, "arguments": arguments});
        world.ask("DeclareQueue", declare(&by_them)).await;
        // Again by the other: a difference in an argument, or in its type, would be refused.
        world
            .ours
            .declare_queue(queue(by_them.clone()))
            .await
            .unwrap();
        world
            .ours
            .declare_queue(queue(by_us.clone()))
            .await
            .unwrap();
        world.ask("DeclareQueue", declare(&by_us)).await;
        for name in [&by_them, &by_us] {
            world.they_send("", name, "theirs").await;
            world.we_send("", name, "ours").await;
            if arguments.to_string().contains("stream") {
                both_read_the_stream(world, name).await;
            } else {
                assert_eq!(world.we_receive(name, 1).await, ["theirs"]);
                let rest = world.they_receive(name, 1).await;
                assert_eq!(rest[0].text(), "ours");
            }
            world.ours.delete_queue(name).await.unwrap();
        }
    }
}

/// A stream keeps what was read, so that both get all of it, with its offsets.
async fn both_read_the_stream(world: &mut World, name: &str) {
    let first = json!([["x-stream-offset", {"S": "first"}]]);
    let given = json!({"queue": name, "count": 2, "prefetch": 10, "arguments": first});
    let theirs = Seen::read_all(&world.ask("Receive", given).await).unwrap();
    let consumer = world.ours.consumer(name.to_owned()).stream_offset("first");
    let consumer = consumer.build().await.unwrap();
    for (offset, seen) in (0..).zip(theirs) {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.text(), Some(&*seen.text()));
        let by_us = delivery.header("x-stream-offset").unwrap().as_i64();
        let by_them = seen.properties.headers.as_ref().unwrap();
        let by_them = by_them.get("x-stream-offset").unwrap().as_i64();
        assert_eq!((by_us, by_them), (Some(offset), Some(offset)));
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), JDK 17 and Maven"]
async fn real_amqp_interop_queues_of_each_kind_with_java() {
    let promise = Promise {
        test: "real_amqp_interop_queues_of_each_kind_with_java",
        flow: "send, receive",
        text: "classic and quorum queues and streams that one side has declared are the other's too",
    };
    promise
        .kept(Peer::Java, each_uses_what_the_other_declared)
        .await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_queues_of_each_kind_with_pika() {
    let promise = Promise {
        test: "real_amqp_interop_queues_of_each_kind_with_pika",
        flow: "send, receive",
        text: "classic and quorum queues and streams that one side has declared are the other's too",
    };
    promise
        .kept(Peer::Pika, each_uses_what_the_other_declared)
        .await;
}
