//! One queue that both consume, and what comes again when one of them is cut off.

use std::collections::BTreeSet;

use integration_tests::brokers::rabbitmq::shared;
use integration_tests::foreign::Tap;
use integration_tests::foreign::amqp::{Peer, Seen};
use integration_tests::harness::amqp::{builder, cut, queue};
use integration_tests::harness::until;
use mq_amqp::{Endpoint, ErrorKind, Message};
use serde_json::json;

use crate::world::{Promise, WAIT, World, ask, next};

const MESSAGES: usize = 100;
/// Theirs take so many and leave; the rest is for us.
const THEIRS: usize = 20;

/// Each message is somebody's, and nobody else's.
async fn share_a_queue(world: &mut World) {
    let queue = queue(&world.ours, "shared").await;
    let consumer = world
        .ours
        .consumer(queue.clone())
        .prefetch(5)
        .build()
        .await
        .unwrap();
    let publisher = world.publisher("").await;
    let theirs = async {
        let given = json!({"queue": queue, "count": THEIRS, "prefetch": 5});
        Seen::read_all(&ask(&mut world.theirs, "Receive", given).await).unwrap()
    };
    let ours = async {
        let both = async || world.ours.queue(&queue).await.unwrap().consumers == 2;
        until(WAIT, "both consumers", both).await;
        for number in 0..MESSAGES {
            publisher
                .send(Message::new(queue.clone(), number.to_string()))
                .await
                .unwrap();
        }
        let mut texts = Vec::new();
        while texts.len() < MESSAGES - THEIRS {
            let delivery = next(&consumer).await;
            texts.push(delivery.text().unwrap().to_owned());
            delivery.ack().await.unwrap();
        }
        texts
    };
    let (theirs, ours) = tokio::join!(theirs, ours);
    let all: BTreeSet<String> = theirs.iter().map(Seen::text).chain(ours).collect();
    assert_eq!(
        all,
        (0..MESSAGES).map(|number| number.to_string()).collect()
    );
    consumer.close().await;
    assert_eq!(world.ours.queue(&queue).await.unwrap().messages, 0);
}

/// The broker has noticed, and put back what was held: who asks before gets the third one first.
async fn all_are_back(world: &World, queue: &str) {
    until(WAIT, "what was held is back", async || {
        world.ours.queue(queue).await.unwrap().messages == 3
    })
    .await;
}

/// Theirs hold two and are cut off: both come to us, marked, in their order, and before what was never delivered.
async fn theirs_are_cut_off(world: &mut World) {
    let queue = queue(&world.ours, "cut").await;
    for body in ["0", "1", "2"] {
        world.we_send("", &queue, body).await;
    }
    let held = world.ask("Hold", json!({"queue": queue, "count": 2})).await;
    let held = Seen::read_all(&held).unwrap();
    assert!(held.iter().all(|seen| !seen.redelivered));
    cut(&world.name).await;
    all_are_back(world, &queue).await;
    let consumer = world.consumer(&queue).await;
    for (body, redelivered) in [("0", true), ("1", true), ("2", false)] {
        let delivery = next(&consumer).await;
        assert_eq!(
            (delivery.text(), delivery.redelivered()),
            (Some(body), redelivered)
        );
        let attempt = if redelivered { 2 } else { 1 };
        assert_eq!(delivery.attempt(), attempt);
        delivery.ack().await.unwrap();
    }
    let failed = world
        .theirs
        .call("Settle", json!({"how": "ack", "tag": 1}))
        .await;
    failed.unwrap_err();
}

/// The other way round. Our client would come back by itself, so its way to the node is cut, and stays so.
async fn we_are_cut_off(world: &mut World) {
    let queue = queue(&world.ours, "cut").await;
    for body in ["0", "1", "2"] {
        world.they_send("", &queue, body).await;
    }
    let node = shared().unwrap().address().to_owned();
    let way = Tap::start(node.parse().unwrap()).await.unwrap();
    let here = Endpoint::new("127.0.0.1", way.address().port());
    let other = builder().hosts([here]).connect().await.unwrap();
    let consumer = other
        .consumer(queue.clone())
        .prefetch(2)
        .build()
        .await
        .unwrap();
    let held = [next(&consumer).await, next(&consumer).await];
    assert!(held.iter().all(|delivery| !delivery.redelivered()));
    drop(way);
    all_are_back(world, &queue).await;
    let seen = world.they_receive(&queue, 3).await;
    let seen: Vec<_> = seen
        .iter()
        .map(|seen| (seen.text(), seen.redelivered))
        .collect();
    let wanted = [("0", true), ("1", true), ("2", false)];
    assert_eq!(seen, wanted.map(|(body, again)| (body.to_owned(), again)));
    for delivery in held {
        assert_eq!(delivery.ack().await.unwrap_err().kind(), ErrorKind::Stale);
    }
}

async fn consume_beside_each_other(world: &mut World) {
    share_a_queue(world).await;
    we_are_cut_off(world).await;
    theirs_are_cut_off(world).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), JDK 17 and Maven"]
async fn real_amqp_interop_one_queue_for_ours_and_java() {
    let promise = Promise {
        test: "real_amqp_interop_one_queue_for_ours_and_java",
        flow: "receive",
        text: "consumers of both kinds share a queue; what one held when it was cut off comes to the other, marked",
    };
    promise.kept(Peer::Java, consume_beside_each_other).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_one_queue_for_ours_and_pika() {
    let promise = Promise {
        test: "real_amqp_interop_one_queue_for_ours_and_pika",
        flow: "receive",
        text: "consumers of both kinds share a queue; what one held when it was cut off comes to the other, marked",
    };
    promise.kept(Peer::Pika, consume_beside_each_other).await;
}
