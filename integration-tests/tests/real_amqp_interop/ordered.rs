//! Ordered topics: theirs publish to a partition by its number, and read its queue.

use std::time::Duration;

use integration_tests::foreign::amqp::Peer;
use integration_tests::harness::{unique, within};
use mq_amqp::{Message, OrderedConsumer, OrderedTopic};
use serde_json::json;

use crate::world::{Promise, WAIT, World, call_to_publish};

async fn next(consumer: &OrderedConsumer) -> (String, String) {
    let delivery = within(WAIT, "a message", consumer.recv()).await;
    let delivery = delivery.unwrap().unwrap();
    let (text, key) = (delivery.text().unwrap(), delivery.routing_key());
    let seen = (text.to_owned(), key.to_owned());
    delivery.ack().await.unwrap();
    seen
}

async fn none_is_left(consumer: OrderedConsumer) {
    let more = tokio::time::timeout(Duration::from_millis(200), consumer.recv());
    assert!(more.await.is_err());
    consumer.close().await;
}

async fn delete(world: &World, topic: OrderedTopic) {
    for partition in 0..topic.partitions() {
        let queue = topic.queue(partition);
        assert_eq!(world.ours.delete_queue(&queue).await.unwrap(), 0);
    }
    let parking = topic.parking_queue();
    world.ours.delete_queue(&parking).await.unwrap();
    world.ours.delete_exchange(topic.name()).await.unwrap();
}

async fn a_partition_is_a_queue_to_them(world: &mut World) {
    let topic = world.ours.ordered_topic(unique("ordered")).partitions(4);
    let topic = topic.declare().await.unwrap();
    let publisher = topic.publisher().build().await.unwrap();
    let (key, partition) = ("order-42", topic.partition_of("order-42"));
    for number in 0..20 {
        if number % 2 == 0 {
            let message = Message::new(key, number.to_string());
            publisher.send(message).await.unwrap();
        } else {
            let to = partition.to_string();
            let text = number.to_string();
            world.they_send(topic.name(), &to, &text).await;
        }
    }
    let queue = topic.queue(partition);
    let theirs = world.they_receive(&queue, 10).await;
    for (number, seen) in theirs.iter().enumerate() {
        assert_eq!(seen.text(), number.to_string());
        assert_eq!(seen.key, partition.to_string());
        let headers = seen.properties.headers.as_ref();
        let named = headers.and_then(|headers| headers.get("x-mq-key")?.as_str());
        assert_eq!(named, (number % 2 == 0).then_some(key));
    }
    let consumer = topic.consumer().build().await.unwrap();
    for number in 10..20 {
        let (text, shown) = next(&consumer).await;
        assert_eq!(text, number.to_string());
        // What has no key shows what theirs published it by.
        let digits = partition.to_string();
        assert_eq!(shown, if number % 2 == 0 { key } else { &digits });
    }
    none_is_left(consumer).await;
    delete(world, topic).await;
}

/// With the hash and the headers of docs/amqp/ordered.md a message of theirs is as one of ours: its key, its partition, and its copies.
async fn their_keys_are_ours(world: &mut World) {
    let topic = world.ours.ordered_topic(unique("keys")).partitions(3);
    let topic = topic.declare().await.unwrap();
    let consumer = topic.consumer().build().await.unwrap();
    for at in 0..30 {
        let key = format!("订单 {at}");
        let given = json!({"key": key, "partitions": topic.partitions()});
        let said = world.ask("Partition", given).await;
        let partition = topic.partition_of(&key);
        assert_eq!(said["partition"], partition, "{key}");
        let headers = json!([
            ["x-mq-key", {"S": key}],
            ["x-mq-producer", {"S": "theirs"}],
            ["x-mq-seq", {"l": at + 1}],
        ]);
        let properties = json!({"delivery_mode": 2, "headers": headers});
        // A copy, as one that is sent again after a lost confirm.
        for _ in 0..2 {
            let to = partition.to_string();
            let given = call_to_publish(topic.name(), &to, &properties, key.as_bytes());
            let said = world.ask("Publish", given).await;
            assert_eq!(said["outcome"], "ack", "{said}");
        }
        assert_eq!(next(&consumer).await, (key.clone(), key));
    }
    none_is_left(consumer).await;
    delete(world, topic).await;
}

async fn both(world: &mut World) {
    a_partition_is_a_queue_to_them(world).await;
    their_keys_are_ours(world).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_ordered_topics_with_pika() {
    let promise = Promise {
        test: "real_amqp_interop_ordered_topics_with_pika",
        flow: "ordered",
        text: TEXT,
    };
    promise.kept(Peer::Pika, both).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), JDK 17 and Maven"]
async fn real_amqp_interop_ordered_topics_with_java() {
    let promise = Promise {
        test: "real_amqp_interop_ordered_topics_with_java",
        flow: "ordered",
        text: TEXT,
    };
    promise.kept(Peer::Java, both).await;
}

const TEXT: &str = "they publish to a partition by its number and receive from its queue, in order with ours; their hash and headers are ours";
