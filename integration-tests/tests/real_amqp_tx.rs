//! Transactions on RabbitMQ: seen whole after the commit and not before it, taken back by rollback and drop, and told as they ended.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::harness::amqp::{
    Kind, builder, connect, cut, queue, queue_of, ready_and_unacked,
};
use integration_tests::harness::{unique, until, within};
use mq_amqp::{
    Client, CommitError, Error, ErrorKind, Exchange, Message, Outcome, Overflow, Queue, ReplyCode,
    Tx, TxChannel, TxDelivery,
};

const WAIT: Duration = Duration::from_secs(60);
const KINDS: [Kind; 2] = [Kind::Classic, Kind::Quorum];

async fn fill(client: &Client, queue: &str, texts: &[&str]) {
    let publisher = client.publisher("").build().await.unwrap();
    for text in texts {
        let message = Message::new(queue.to_owned(), (*text).to_owned());
        publisher.send(message).await.unwrap();
    }
}

async fn channel(client: &Client, queue: &str) -> TxChannel {
    let channel = client.tx_channel().consume(queue.to_owned());
    channel.build().await.unwrap()
}

async fn next(tx: &mut Tx<'_>) -> TxDelivery {
    let delivery = within(WAIT, "a message", tx.recv()).await;
    delivery.unwrap().unwrap()
}

/// So many messages that nobody has are in a queue; a moment passes until the counts are right.
async fn has(client: &Client, queue: &str, count: u32) {
    until(WAIT, "so many messages", async || {
        client.queue(queue).await.unwrap().messages == count
    })
    .await;
}

async fn is_settled(queue: &str, ready: u64, unacked: u64) {
    until(WAIT, "these counts", async || {
        ready_and_unacked(queue).await == (ready, unacked)
    })
    .await;
}

/// Publishes to two queues, acknowledges two of three: other clients see nothing of it before the commit, and all of it after.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_is_seen_whole_after_the_commit_and_not_before() {
    let (client, other) = (connect().await, connect().await);
    for kind in KINDS {
        let source = queue_of(kind, "source").await;
        let targets = [queue_of(kind, "one").await, queue_of(kind, "two").await];
        fill(&client, &source, &["1", "2", "3"]).await;
        let mut channel = channel(&client, &source).await;
        let mut tx = channel.begin().await.unwrap();
        for _ in 0..2 {
            let delivery = next(&mut tx).await;
            assert!(!delivery.redelivered());
            for target in &targets {
                let message = Message::new(target.clone(), delivery.body().clone());
                tx.publish("", message).await.unwrap();
            }
            tx.ack(&delivery).unwrap();
        }
        let left = next(&mut tx).await;
        // What was written is there by now: a call on the same connection comes back behind it.
        other.queue(&source).await.unwrap();
        is_settled(&source, 0, 3).await;
        for target in &targets {
            assert_eq!(other.queue(target).await.unwrap().messages, 0);
        }
        tx.commit().await.unwrap();
        for target in &targets {
            has(&other, target, 2).await;
        }
        is_settled(&source, 0, 1).await;
        // What was left undecided is the next one's.
        let mut tx = channel.begin().await.unwrap();
        let again = next(&mut tx).await;
        assert_eq!((again.text(), again.attempt()), (left.text(), 2));
        drop(tx);
        drop(channel);
        is_settled(&source, 1, 0).await;
    }
}

/// Rolled back or dropped: what was published is gone, what was received comes again, in its order, marked, and nothing stays unacknowledged.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_what_is_taken_back_comes_again() {
    let client = connect().await;
    for (kind, drops) in KINDS.into_iter().flat_map(|it| [(it, true), (it, false)]) {
        let (source, target) = (
            queue_of(kind, "source").await,
            queue_of(kind, "target").await,
        );
        fill(&client, &source, &["1", "2", "3", "4"]).await;
        let mut channel = channel(&client, &source).await;
        for round in 0..3 {
            let mut tx = channel.begin().await.unwrap();
            let first = next(&mut tx).await;
            assert_eq!(first.redelivered(), round > 0, "{kind:?}");
            let second = next(&mut tx).await;
            let third = next(&mut tx).await;
            let texts = [first.text(), second.text(), third.text()];
            assert_eq!(texts, [Some("1"), Some("2"), Some("3")], "{kind:?}");
            tx.ack(&first).unwrap();
            tx.reject(&second).unwrap();
            tx.publish("", Message::new(target.clone(), "x"))
                .await
                .unwrap();
            if drops {
                drop(tx);
            } else {
                tx.rollback().await.unwrap();
            }
        }
        let mut tx = channel.begin().await.unwrap();
        for text in ["1", "2", "3", "4"] {
            let delivery = next(&mut tx).await;
            assert!(delivery.redelivered());
            assert_eq!(delivery.text(), Some(text));
            tx.ack(&delivery).unwrap();
        }
        tx.commit().await.unwrap();
        is_settled(&source, 0, 0).await;
        assert_eq!(client.queue(&target).await.unwrap().messages, 0);
        assert_eq!(client.queue(&source).await.unwrap().consumers, 1);
    }
}

/// The channel stays where nothing has to end it: a queue that goes with its last consumer is still there after a rollback.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_a_rollback_keeps_the_consumer() {
    let client = connect().await;
    let name = unique("auto");
    let auto = Queue::classic(name.clone()).auto_delete();
    client.declare_queue(auto).await.unwrap();
    let mut channel = channel(&client, &name).await;
    fill(&client, &name, &["1"]).await;
    for _ in 0..3 {
        let mut tx = channel.begin().await.unwrap();
        assert_eq!(next(&mut tx).await.text(), Some("1"));
        tx.rollback().await.unwrap();
    }
    is_settled(&name, 0, 1).await;
}

/// One transaction receives as many as the prefetch, and then says that no more can come.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_receives_as_many_as_the_prefetch() {
    let client = connect().await;
    for kind in KINDS {
        let source = queue_of(kind, "prefetch").await;
        fill(&client, &source, &["1", "2", "3", "4", "5"]).await;
        let channel = client.tx_channel().consume(source.clone()).prefetch(2);
        let mut channel = channel.build().await.unwrap();
        let mut received = Vec::new();
        for _ in 0..2 {
            let mut tx = channel.begin().await.unwrap();
            while let Some(delivery) = within(WAIT, "a message", tx.recv()).await.unwrap() {
                received.push(delivery.text().unwrap().to_owned());
                tx.ack(&delivery).unwrap();
            }
            tx.commit().await.unwrap();
        }
        assert_eq!(received, ["1", "2", "3", "4"]);
        let mut tx = channel.begin().await.unwrap();
        let last = next(&mut tx).await;
        tx.release(&last).unwrap();
        tx.commit().await.unwrap();
        let mut tx = channel.begin().await.unwrap();
        let last = next(&mut tx).await;
        assert!(last.redelivered());
        tx.reject(&last).unwrap();
        tx.commit().await.unwrap();
        is_settled(&source, 0, 0).await;
    }
}

/// No queue takes some of it: told with the commit, the messages come back, and the rest is applied.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_what_no_queue_takes_comes_back_and_the_rest_is_applied() {
    let client = connect().await;
    for kind in KINDS {
        let (source, target) = (
            queue_of(kind, "source").await,
            queue_of(kind, "target").await,
        );
        let exchange = unique("nowhere");
        let nowhere = Exchange::fanout(exchange.clone()).auto_delete();
        client.declare_exchange(nowhere).await.unwrap();
        fill(&client, &source, &["1"]).await;
        let mut channel = channel(&client, &source).await;
        let mut tx = channel.begin().await.unwrap();
        let delivery = next(&mut tx).await;
        tx.ack(&delivery).unwrap();
        let lost = Message::new("there is no such queue", "lost").header("h", 1);
        tx.publish("", lost.clone()).await.unwrap();
        tx.publish("", Message::new(target.clone(), "1"))
            .await
            .unwrap();
        tx.publish(exchange.clone(), lost.clone().id("mine"))
            .await
            .unwrap();
        let quiet = tx.publish("", lost.clone()).mandatory(false);
        quiet.await.unwrap();
        tx.publish("", Message::new(target.clone(), "2"))
            .await
            .unwrap();
        let failed: CommitError = tx.commit().await.unwrap_err();
        assert_eq!(
            (failed.kind(), failed.outcome()),
            (ErrorKind::NotFound, Outcome::Unknown)
        );
        assert_eq!(failed.error.code(), Some(&ReplyCode::NO_ROUTE));
        assert!(failed.to_string().contains("1 more"), "{failed}");
        assert!(
            failed
                .to_string()
                .contains("rest of the transaction is applied")
        );
        let [first, second] = &failed.unroutable[..] else {
            panic!("{failed:?}");
        };
        let id = first.message.message_id().unwrap().to_owned();
        assert_eq!(first.message, lost.clone().id(id));
        assert_eq!((&*first.exchange, &*second.exchange), ("", &*exchange));
        assert_eq!(second.message, lost.id("mine"));
        has(&client, &target, 2).await;
        is_settled(&source, 0, 0).await;
        // The channel goes on.
        let tx = channel.begin().await.unwrap();
        tx.publish("", Message::new(target.clone(), "3"))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        has(&client, &target, 3).await;
    }
}

/// An exchange that is missing costs the channel: whatever is called next says so, also a commit that was sent along, and nothing is applied.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_on_a_channel_that_died_applies_nothing() {
    let client = connect().await;
    let (source, target) = (queue(&client, "source").await, queue(&client, "t").await);
    fill(&client, &source, &["1"]).await;
    let mut channel = channel(&client, &source).await;
    for at_once in [true, false] {
        let mut tx = channel.begin().await.unwrap();
        let delivery = next(&mut tx).await;
        assert_eq!(delivery.redelivered(), !at_once);
        tx.ack(&delivery).unwrap();
        tx.publish("", Message::new(target.clone(), "before"))
            .await
            .unwrap();
        let missing = Message::new("key", "x");
        tx.publish("there is no such exchange", missing)
            .await
            .unwrap();
        if !at_once {
            let error = loop {
                // It is told a moment later.
                let message = Message::new(target.clone(), "behind");
                if let Err(failed) = tx.publish("", message).await {
                    break failed.error;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            is_missing(&error);
            is_missing(&tx.recv().await.unwrap_err());
            is_missing(&tx.ack(&delivery).unwrap_err());
        }
        let failed = tx.commit().await.unwrap_err();
        is_missing(&failed.error);
        assert_eq!(failed.outcome(), Outcome::Rejected);
        assert!(failed.to_string().contains("nothing of the transaction"));
    }
    let mut tx = channel.begin().await.unwrap();
    let delivery = next(&mut tx).await;
    tx.ack(&delivery).unwrap();
    tx.commit().await.unwrap();
    is_settled(&source, 0, 0).await;
    assert_eq!(client.queue(&target).await.unwrap().messages, 0);
}

fn is_missing(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(error.code(), Some(&ReplyCode::NOT_FOUND));
    assert!(error.to_string().contains("no such exchange"), "{error}");
}

/// A queue that is full and refuses. A classic one: told, with the rest applied. A quorum queue refuses in silence in a transaction, as the documentation says.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_a_queue_that_refuses() {
    let client = connect().await;
    for kind in KINDS {
        let (source, target) = (queue_of(kind, "s").await, queue_of(kind, "t").await);
        let name = unique("full");
        let full = match kind {
            Kind::Classic => Queue::classic(name.clone()),
            _ => Queue::quorum(name.clone()),
        };
        let full = full.max_length(1).overflow(Overflow::RejectPublish);
        let full = full.expires(Duration::from_secs(600));
        client.declare_queue(full).await.unwrap();
        // A quorum queue takes one more than it may before it says so.
        let publisher = client.publisher("").build().await.unwrap();
        while publisher
            .send(Message::new(name.clone(), "x"))
            .await
            .is_ok()
        {}
        let before = client.queue(&name).await.unwrap().messages;
        fill(&client, &source, &["1"]).await;
        let mut channel = channel(&client, &source).await;
        let mut tx = channel.begin().await.unwrap();
        let delivery = next(&mut tx).await;
        tx.ack(&delivery).unwrap();
        tx.publish("", Message::new(name.clone(), "refused"))
            .await
            .unwrap();
        tx.publish("", Message::new(target.clone(), "taken"))
            .await
            .unwrap();
        let told = tx.commit().await;
        if kind == Kind::Classic {
            let failed = told.unwrap_err();
            assert_eq!(
                (failed.kind(), failed.outcome()),
                (ErrorKind::Rejected, Outcome::Unknown)
            );
            assert_eq!(failed.error.code(), Some(&ReplyCode::PRECONDITION_FAILED));
            assert!(failed.to_string().contains("partial"), "{failed}");
        } else {
            told.unwrap();
        }
        has(&client, &target, 1).await;
        is_settled(&source, 0, 0).await;
        has(&client, &name, before).await;
        let tx = channel.begin().await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// The connection is cut before the commit: nothing is applied, it is not said again, and the next transaction has another connection.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_that_is_cut_off_applies_nothing_and_the_next_one_goes_on() {
    let (name, other) = (unique("cut"), connect().await);
    let client = builder().connection_name(name.clone());
    let client = client.connect().await.unwrap();
    for kind in KINDS {
        let (source, target) = (queue_of(kind, "s").await, queue_of(kind, "t").await);
        fill(&other, &source, &["1"]).await;
        let mut channel = channel(&client, &source).await;
        let mut tx = channel.begin().await.unwrap();
        let delivery = next(&mut tx).await;
        tx.ack(&delivery).unwrap();
        tx.publish("", Message::new(target.clone(), "x"))
            .await
            .unwrap();
        cut(&name).await;
        let error = within(WAIT, "the loss", async {
            while let Ok(Some(_)) = tx.recv().await {}
            tx.recv().await.unwrap_err()
        })
        .await;
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        let failed = tx.commit().await.unwrap_err();
        assert_eq!(
            (failed.kind(), failed.outcome()),
            (ErrorKind::Disconnected, Outcome::NotSent)
        );
        is_settled(&source, 1, 0).await;
        let mut tx = within(WAIT, "another one", channel.begin()).await.unwrap();
        let again = next(&mut tx).await;
        assert!(again.redelivered());
        assert_eq!(tx.ack(&delivery).unwrap_err().kind(), ErrorKind::Stale);
        tx.ack(&again).unwrap();
        tx.commit().await.unwrap();
        is_settled(&source, 0, 0).await;
        assert_eq!(other.queue(&target).await.unwrap().messages, 0);
    }
}

/// What can't be opened is told as what it is.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_tx_a_queue_that_is_missing_or_somebody_else_s() {
    let client = connect().await;
    let missing = client.tx_channel().consume("there is no such queue");
    let error = missing.build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let name = queue(&client, "taken").await;
    let first = client.consumer(name.clone()).exclusive().build().await;
    let error = client.tx_channel().consume(name.clone()).build().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Rejected);
    first.unwrap().close().await;
    // It is deleted under a transaction: told, and so is its absence.
    let mut channel = channel(&client, &name).await;
    let mut tx = channel.begin().await.unwrap();
    client.delete_queue(&name).await.unwrap();
    let error = within(WAIT, "the cancel", tx.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    tx.commit().await.unwrap();
    let error = channel.begin().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
