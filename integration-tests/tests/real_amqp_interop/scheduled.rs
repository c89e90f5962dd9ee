//! pika and the ladder of scheduled messages: it needs no code of ours to put a message in, or to get one out.

use std::time::Duration;

use integration_tests::foreign::amqp::Peer;
use integration_tests::harness::amqp::queue;
use integration_tests::harness::{now, wall};
use mq_amqp::Message;

use crate::world::{Promise, World, next};

/// 0.7 s: units of 100, 200 and 400 ms, below 25 that are not passed.
fn key(target: &str) -> String {
    format!("{}1.1.1.{target}", "0.".repeat(25))
}

async fn both_ways(world: &mut World) {
    let delay = Duration::from_millis(700);
    let name = queue(&world.ours, "ladder").await;
    let scheduler = world.ours.scheduler().build().await.unwrap();
    // What theirs have to do themselves, once for a queue: our side has bound it here by scheduling for it.
    let ours = scheduler.deliver_after(Message::new(name.clone(), "ours"), delay);
    let receipt = ours.await.unwrap();
    let due = receipt.scheduled().unwrap().due();
    let seen = world.they_receive(&name, 1).await;
    assert!(wall() >= due, "ours is early");
    assert_eq!(seen[0].text(), "ours");
    let consumer = world.consumer(&name).await;
    for entry in ["mq.delay.v1.l27", "mq.delay.v1.l02"] {
        let sent = now();
        world.they_send(entry, &key(&name), entry).await;
        let delivery = next(&consumer).await;
        assert!(now() - sent >= delay, "theirs is early");
        assert_eq!(delivery.text(), Some(entry));
        assert_eq!(delivery.routing_key(), name);
        assert_eq!((delivery.exchange(), delivery.scheduled_for()), ("", None));
        assert_eq!(delivery.message().properties().headers, None);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_pika_schedules_and_receives_what_was_scheduled() {
    let promise = Promise {
        test: "real_amqp_interop_pika_schedules_and_receives_what_was_scheduled",
        flow: "scheduled",
        text: "pika puts messages into the ladder and gets them from it, none early",
    };
    promise.kept(Peer::Pika, both_ways).await;
}
