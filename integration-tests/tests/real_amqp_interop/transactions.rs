//! pika and what is committed by ours: it gets that, and nothing else.

use std::time::Duration;

use integration_tests::foreign::amqp::Peer;
use integration_tests::harness::amqp::queue;
use integration_tests::harness::{unique, within};
use mq_amqp::{Message, Verdict};

use crate::world::{Promise, WAIT, World};

async fn committed(world: &mut World) {
    let client = &world.ours;
    let (source, target) = (queue(client, "source").await, queue(client, "target").await);
    let channel = client.tx_channel().consume(source.clone());
    let mut channel = channel.build().await.unwrap();
    for (body, commits) in [("1", true), ("2", false), ("3", true)] {
        world.they_send("", &source, body).await;
        let mut tx = channel.begin().await.unwrap();
        let delivery = within(WAIT, "a message", tx.recv()).await;
        let delivery = delivery.unwrap().unwrap();
        let message = Message::new(target.clone(), format!("{body} of ours"));
        tx.publish("", message.id(body)).await.unwrap();
        if commits {
            tx.ack(&delivery).unwrap();
            tx.commit().await.unwrap();
        } else {
            drop(tx);
            // Theirs is the next one's.
            let mut tx = channel.begin().await.unwrap();
            let again = within(WAIT, "it again", tx.recv()).await.unwrap();
            let again = again.unwrap();
            assert_eq!((again.text(), again.redelivered()), (Some(body), true));
            tx.ack(&again).unwrap();
            tx.commit().await.unwrap();
        }
    }
    let seen = world.they_receive(&target, 2).await;
    let texts: Vec<_> = seen.iter().map(|seen| seen.text().clone()).collect();
    assert_eq!(texts, ["1 of ours", "3 of ours"]);
    assert_eq!(world.ours.queue(&target).await.unwrap().messages, 0);
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_pika_receives_what_a_transaction_committed() {
    let promise = Promise {
        test: "real_amqp_interop_pika_receives_what_a_transaction_committed",
        flow: "transactional",
        text: "pika receives what was committed, and nothing of what was taken back",
    };
    promise.kept(Peer::Pika, committed).await;
}

async fn checked_back(world: &mut World) {
    let client = &world.ours;
    let target = queue(client, "paid").await;
    let publisher = client
        .publisher("")
        .checker(unique("group"), |_| async { Verdict::Commit })
        .first_check_after(Duration::ZERO)
        .build();
    let publisher = publisher.await.unwrap();
    for (body, commits) in [("1", Some(true)), ("2", Some(false)), ("3", None)] {
        let message = Message::new(target.clone(), body).header("tenant", "acme");
        let transaction = publisher.begin(message).await.unwrap();
        match commits {
            Some(true) => transaction.commit().await.unwrap(),
            Some(false) => transaction.rollback().await.unwrap(),
            None => drop(transaction),
        }
    }
    let seen = world.they_receive(&target, 2).await;
    let texts: Vec<_> = seen.iter().map(|seen| seen.text().clone()).collect();
    assert_eq!(texts, ["1", "3"]);
    assert_eq!(world.ours.queue(&target).await.unwrap().messages, 0);
    publisher.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_pika_receives_what_was_checked_back() {
    let promise = Promise {
        test: "real_amqp_interop_pika_receives_what_was_checked_back",
        flow: "transactional",
        text: "pika receives what was committed, by its transaction or by a checker, and nothing of what was rolled back",
    };
    promise.kept(Peer::Pika, checked_back).await;
}
