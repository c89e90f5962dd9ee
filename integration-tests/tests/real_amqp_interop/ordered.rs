//! Ordered topics: theirs publish to a partition by its number, and read its queue.

use std::time::Duration;

use integration_tests::foreign::amqp::Peer;
use integration_tests::harness::{unique, within};
use mq_amqp::Message;

use crate::world::{Promise, WAIT, World};

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
        let delivery = within(WAIT, "a message", consumer.recv()).await;
        let delivery = delivery.unwrap().unwrap();
        assert_eq!(delivery.text(), Some(&*number.to_string()));
        // What has no key shows what theirs published it by.
        let digits = partition.to_string();
        let shown = if number % 2 == 0 { key } else { &digits };
        assert_eq!(delivery.routing_key(), shown);
        delivery.ack().await.unwrap();
    }
    let more = tokio::time::timeout(Duration::from_millis(200), consumer.recv());
    assert!(more.await.is_err());
    consumer.close().await;
    for partition in 0..topic.partitions() {
        let queue = topic.queue(partition);
        assert_eq!(world.ours.delete_queue(&queue).await.unwrap(), 0);
    }
    let parking = topic.parking_queue();
    world.ours.delete_queue(&parking).await.unwrap();
    world.ours.delete_exchange(topic.name()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_ordered_topics_with_pika() {
    let promise = Promise {
        test: "real_amqp_interop_ordered_topics_with_pika",
        flow: "ordered",
        text: "they publish to a partition by its number and receive from its queue, in order with ours",
    };
    promise
        .kept(Peer::Pika, a_partition_is_a_queue_to_them)
        .await;
}
