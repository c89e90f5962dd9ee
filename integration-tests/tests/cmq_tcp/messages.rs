//! Messages, and consumers that go on by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mq_cmq::ordered::OrderedMessage;
use mq_cmq::{ErrorCode, ErrorKind, Settle};
use mq_dev::cmq::{Fault, QueueSpec, SubscriptionSpec, TopicSpec};

use crate::world::{client, server, until};

#[tokio::test]
async fn cmq_tcp_sends_receives_publishes_and_deletes() {
    let dead = QueueSpec::new("dead");
    let dying = QueueSpec::new("q").dead_letter("dead", 1);
    let server = server([dead, dying]).await;
    server.create_topic(TopicSpec::new("topic")).unwrap();
    server
        .subscribe(SubscriptionSpec::to_queue("topic", "s", "q"))
        .unwrap();
    let client = client(&server);
    let queue = client.queue("q").unwrap();
    let bodies: Vec<String> = (0..20).map(|at| format!("消息 {at}")).collect();
    let results = queue.send_batch(bodies.clone()).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    client
        .topic("topic")
        .unwrap()
        .publish("published")
        .await
        .unwrap();
    let mut came = Vec::new();
    while came.len() < 21 {
        let messages = queue
            .receive_batch(16, Duration::from_secs(1))
            .await
            .unwrap();
        let handles: Vec<_> = messages.iter().map(|it| it.handle().clone()).collect();
        came.extend(messages.into_iter().map(mq_cmq::Received::into_body));
        for result in queue.delete_batch(&handles).await {
            result.unwrap();
        }
    }
    assert_eq!(came[..20], bodies);
    assert_eq!(queue.receive(Duration::ZERO).await.unwrap(), None);
    // Held for a second, by this handle alone; then it is a dead letter, which says where it was.
    queue.send("dies").await.unwrap();
    let brief = queue.clone().visibility(Duration::from_secs(1)).unwrap();
    let held = brief.receive(Duration::ZERO).await.unwrap().unwrap();
    let dead = client.queue("dead").unwrap();
    let letter = dead.receive(Duration::from_secs(5)).await.unwrap().unwrap();
    assert_eq!(
        (letter.body(), letter.origin().unwrap().attempts),
        ("dies", 1)
    );
    let error = queue.delete(held.handle()).await.unwrap_err();
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
    let error = client.queue("none").unwrap().send("x").await.unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::NotFound);
    // Management goes over HTTP.
    let attributes = queue.attributes().await.unwrap();
    assert_eq!(attributes.visibility, Duration::from_secs(30));
}

#[tokio::test]
async fn cmq_tcp_a_consumer_goes_on_through_restarts_and_forgotten_logins() {
    let server = server([QueueSpec::new("q").visibility(Duration::from_secs(2))]).await;
    let client = client(&server);
    let queue = client.queue("q").unwrap();
    let consumer = queue.consumer().concurrency(8).build().unwrap();
    let seen = Arc::<Mutex<BTreeSet<String>>>::default();
    let (handle, log) = (consumer.handle(), Arc::clone(&seen));
    let running = tokio::spawn(async move {
        consumer
            .run(move |held| {
                log.lock().unwrap().insert(held.body().to_owned());
                async { Ok::<_, &str>(Settle::Ack) }
            })
            .await
    });
    for round in 0..4 {
        for at in 0..10 {
            queue.send(format!("{round}/{at}")).await.unwrap();
        }
        until("a round", || seen.lock().unwrap().len() >= (round + 1) * 10).await;
        match round {
            0 => server.restart(),
            1 => server.expire_logins(),
            _ => drop(server.inject(Fault::cut().on("send").nth(1))),
        }
        // What is cut is unknown: it is sent again here.
        while queue.send("between").await.is_err() {}
    }
    let left = || server.counts("q").unwrap();
    until("all are deleted", || left().active + left().held == 0).await;
    handle.close().await;
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn cmq_tcp_order_is_kept() {
    let server =
        server((0..2).map(|at| QueueSpec::new(format!("o-{at}")).visibility(VISIBLE))).await;
    server.inject(Fault::shuffle());
    let ordered = client(&server).ordered("o", 2).unwrap();
    let producer = ordered.producer();
    for at in 0..60 {
        let message = OrderedMessage::new(format!("k{}", at % 3), at.to_string());
        producer.send(message).await.unwrap();
    }
    let consumer = ordered.consumer().window(64).build().unwrap();
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..60 {
        let delivery = consumer.recv().await.unwrap().unwrap();
        let number: usize = delivery.body().parse().unwrap();
        let before = last.insert(delivery.key().unwrap().to_owned(), number);
        assert!(
            before.is_none_or(|before| before + 3 == number),
            "{before:?} {number}"
        );
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
}

const VISIBLE: Duration = Duration::from_secs(2);
