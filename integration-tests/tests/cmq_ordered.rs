//! Order by convention on the dev server: shuffled, redelivered, cut, restarted.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::harness::size;
use mq_cmq::ordered::{
    Continuity, GapDecision, Ordered, OrderedConsumer, OrderedMessage, OrderedProducer, SequenceGap,
};
use mq_cmq::{Client, ErrorKind, Outcome, Settle};
use mq_dev::cmq::{DevServer, Fault, QueueSpec};

async fn server(shards: usize, visibility: Duration) -> (DevServer, Client, Ordered) {
    let server = DevServer::builder().start().await.unwrap();
    for at in 0..shards {
        let spec = QueueSpec::new(format!("o-{at}")).visibility(visibility);
        server.create_queue(spec).unwrap();
    }
    let client = Client::from_url(&server.url()).unwrap().build().unwrap();
    let ordered = client.ordered("o", shards).unwrap();
    (server, client, ordered)
}

/// Sends until the service has it; what is unknown keeps its number.
async fn produce(producer: &OrderedProducer, key: &str, count: usize) {
    for at in 0..count {
        let mut message = OrderedMessage::new(key, at.to_string());
        while let Err(failed) = producer.send(message).await {
            message = *failed.message;
        }
    }
}

/// What came, by key, in its order.
type Log = Arc<Mutex<HashMap<String, Vec<usize>>>>;

async fn collect(consumer: &OrderedConsumer, log: &Log, all: usize) {
    let done = Arc::new(tokio::sync::Notify::new());
    let (log, told) = (Arc::clone(log), Arc::clone(&done));
    let running = consumer.run(move |held| {
        let (log, told) = (Arc::clone(&log), Arc::clone(&told));
        async move {
            let mut log = log.lock().unwrap();
            let key = held.key().unwrap().to_owned();
            log.entry(key)
                .or_default()
                .push(held.body().parse().unwrap());
            if log.values().map(Vec::len).sum::<usize>() == all {
                told.notify_one();
            }
            Ok::<_, &str>(Settle::Ack)
        }
    });
    let limit = Duration::from_secs(if size(0, 1) == 0 { 90 } else { 3600 });
    tokio::select! {
        ended = running => panic!("it ended: {ended:?}"),
        () = done.notified() => {}
        () = tokio::time::sleep(limit) => panic!("not all came"),
    }
}

fn check(log: &Log, keys: usize, each: usize) {
    let log = log.lock().unwrap();
    assert_eq!(log.len(), keys);
    for (key, numbers) in log.iter() {
        let expected: Vec<_> = (0..each).collect();
        assert_eq!(numbers, &expected, "{key}: each once, and in order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cmq_order_is_kept_under_shuffle_and_redelivery() {
    let (server, _client, ordered) = server(4, Duration::from_secs(2)).await;
    server.inject(Fault::shuffle());
    server.inject(Fault::redeliver().percent(10));
    let producer = ordered.producer();
    let mut sends = tokio::task::JoinSet::new();
    for key in 0..10 {
        let producer = producer.clone();
        sends.spawn(async move { produce(&producer, &format!("k{key}"), 100).await });
    }
    sends.join_all().await;
    let consumer = ordered.consumer().window(64).build().unwrap();
    let log = Log::default();
    collect(&consumer, &log, 1_000).await;
    check(&log, 10, 100);
    assert!(consumer.counts().duplicates > 0, "nothing came twice");
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cmq_sixteen_ordered_producers_and_consumers_keep_order_under_faults() {
    // To sort thousands, thousands have to be held at a time, and long enough.
    let (visibility, window) = [(1, 64), (10, 4096)][size(0, 1)];
    let visibility = Duration::from_secs(visibility);
    let (server, _client, ordered) = server(16, visibility).await;
    for fault in [
        Fault::drop_reply().on("send").percent(2),
        Fault::drop_reply().on("receive").percent(1),
        Fault::drop_reply().on("delete").percent(1),
        Fault::status_500().percent(1),
        Fault::cut().percent(1),
        Fault::shuffle(),
        Fault::redeliver().percent(10),
    ] {
        server.inject(fault);
    }
    let each = size(5_000, 100_000) / 64 + 1;
    let log = Log::default();
    let mut sends = tokio::task::JoinSet::new();
    for at in 0..16 {
        for key in 0..4 {
            let producer = ordered.producer();
            sends.spawn(async move { produce(&producer, &format!("{at}/{key}"), each).await });
        }
    }
    let consumers: Vec<_> = (0..16)
        .map(|shard| {
            let consumer = ordered.consumer().shards([shard]).window(window);
            consumer.wait(Duration::from_secs(1)).build().unwrap()
        })
        .collect();
    let mut running = tokio::task::JoinSet::new();
    for consumer in consumers {
        let log = Arc::clone(&log);
        running.spawn(async move {
            consumer
                .run(move |held| {
                    let log = Arc::clone(&log);
                    async move {
                        let key = held.key().unwrap().to_owned();
                        let number = held.body().parse().unwrap();
                        log.lock().unwrap().entry(key).or_default().push(number);
                        Ok::<_, &str>(Settle::Ack)
                    }
                })
                .await
        });
    }
    sends.join_all().await;
    let all = async {
        while log.lock().unwrap().values().map(Vec::len).sum::<usize>() < each * 64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(if size(0, 1) == 0 { 90 } else { 3600 });
    tokio::select! {
        Some(ended) = running.join_next() => panic!("one ended: {ended:?}"),
        result = tokio::time::timeout(limit, all) => result.unwrap(),
    }
    check(&log, 64, each);
}

#[tokio::test]
async fn cmq_a_lost_number_is_told_and_passed_only_on_demand() {
    for decision in [GapDecision::End, GapDecision::Skip] {
        let (server, _client, ordered) = server(1, Duration::from_secs(1)).await;
        let producer = ordered.producer();
        server.inject(Fault::lose_one().on("send").nth(2));
        produce(&producer, "k", 4).await;
        let gap_after = Duration::from_secs(2);
        let consumer = ordered.consumer().gap_after(gap_after);
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        // Its producer began before it: that it has seen number 1 makes the gap one.
        let consumer = consumer.on_gap(move |gap| {
            seen.lock().unwrap().push((gap.expected, gap.found));
            decision
        });
        let consumer = consumer.build().unwrap();
        let first = consumer.recv().await.unwrap().unwrap();
        assert_eq!((first.seq(), first.body()), (Some(1), "0"));
        first.ack().await.unwrap();
        let next = consumer.recv().await;
        assert_eq!(*told.lock().unwrap(), [(2, 3)]);
        if decision == GapDecision::End {
            let error = next.unwrap_err();
            let gap = SequenceGap::of(&error).unwrap();
            assert_eq!((gap.key.as_str(), gap.expected, gap.found), ("k", 2, 3));
            assert!(consumer.recv().await.unwrap().is_none());
        } else {
            let next = next.unwrap().unwrap();
            assert_eq!((next.seq(), next.body()), (Some(3), "2"));
        }
    }
}

#[tokio::test]
async fn cmq_an_unknown_number_holds_its_key_until_it_is_resolved() {
    let (server, _client, ordered) = server(1, Duration::from_secs(30)).await;
    let producer = ordered.producer();
    let send = |body: &str| producer.send(OrderedMessage::new("k", body));
    send("0").await.unwrap();
    // Within its time-out it is sent again by itself, with the same number.
    let cut = server.inject(Fault::drop_reply().on("send").nth(1));
    assert_eq!(send("1").await.unwrap().seq, 2);
    assert!(cut.fired());
    let cuts = server.inject(Fault::drop_reply().on("send"));
    let short = Duration::from_millis(300);
    let failed = send("2").timeout(short).await.unwrap_err();
    assert_eq!(failed.outcome(), Outcome::Unknown);
    cuts.disarm();
    let behind = send("3").await.unwrap_err();
    assert_eq!(
        (behind.outcome(), behind.error.kind()),
        (Outcome::NotSent, ErrorKind::Stale)
    );
    let other = producer.send(OrderedMessage::new("other", "0"));
    assert_eq!(other.await.unwrap().seq, 1, "other keys go on");
    let receipt = producer.send(*failed.message).await.unwrap();
    assert_eq!(receipt.seq, 3);
    assert_eq!(producer.send(*behind.message).await.unwrap().seq, 4);
    let consumer = ordered.consumer().build().unwrap();
    let log = Log::default();
    collect(&consumer, &log, 5).await;
    assert_eq!(log.lock().unwrap()["k"], [0, 1, 2, 3]);
    consumer.close().await;
    assert!(consumer.counts().duplicates >= 2, "{:?}", consumer.counts());
}

#[tokio::test]
async fn cmq_a_consumer_that_starts_anew_resumes_and_says_so() {
    let (_server, _client, ordered) = server(1, Duration::from_secs(1)).await;
    let producer = ordered.producer();
    produce(&producer, "k", 6).await;
    let first = ordered.consumer().window(1).build().unwrap();
    for _ in 0..3 {
        let delivery = first.recv().await.unwrap().unwrap();
        assert_eq!(delivery.continuity(), Continuity::InOrder);
        delivery.ack().await.unwrap();
    }
    first.close().await;
    let gap_after = Duration::from_secs(2);
    let second = ordered.consumer().gap_after(gap_after).build().unwrap();
    let mut all = Vec::new();
    for _ in 0..3 {
        let delivery = second.recv().await.unwrap().unwrap();
        all.push((delivery.seq().unwrap(), delivery.continuity()));
        delivery.ack().await.unwrap();
    }
    let expected = [
        (4, Continuity::Resumed),
        (5, Continuity::InOrder),
        (6, Continuity::InOrder),
    ];
    assert_eq!(all, expected);
}

#[tokio::test]
async fn cmq_what_a_predecessor_handled_is_no_gap() {
    let (_server, _client, ordered) = server(1, Duration::from_secs(1)).await;
    produce(&ordered.producer(), "k", 6).await;
    // It handled five, and was killed before all of its deletes were carried out.
    let queue = &ordered.shards()[0];
    let handled = queue.receive_batch(5, Duration::ZERO).await.unwrap();
    for at in [0, 2, 4] {
        queue.delete(handled[at].handle()).await.unwrap();
    }
    let gap_after = Duration::from_millis(1_500);
    let consumer = ordered.consumer().gap_after(gap_after).build().unwrap();
    let mut came = Vec::new();
    while came.len() < 3 {
        let delivery = consumer.recv().await.unwrap().unwrap();
        came.push((delivery.seq().unwrap(), delivery.continuity()));
        delivery.ack().await.unwrap();
    }
    let resumed = |seq| (seq, Continuity::Resumed);
    assert_eq!(came, [resumed(2), resumed(4), resumed(6)]);
    assert_eq!(consumer.counts().gaps, 0);
    consumer.close().await;
}

#[tokio::test]
async fn cmq_a_failed_handler_keeps_its_stream_waiting_and_foreign_messages_are_told() {
    let (_server, client, ordered) = server(1, Duration::from_secs(1)).await;
    let producer = ordered.producer();
    produce(&producer, "k", 2).await;
    client.queue("o-0").unwrap().send("plain").await.unwrap();
    let consumer = ordered.consumer().build().unwrap();
    let first = consumer.recv().await.unwrap().unwrap();
    assert_eq!(first.seq(), Some(1));
    drop(first);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let delivery = consumer.recv().await.unwrap().unwrap();
        seen.push((delivery.body().to_owned(), delivery.continuity()));
        delivery.ack().await.unwrap();
    }
    let foreign = ("plain".to_owned(), Continuity::Foreign);
    assert_eq!(seen[0], foreign);
    assert_eq!((seen[1].0.as_str(), seen[2].0.as_str()), ("0", "1"));
    consumer.close().await;
}

/// On a client that is closed nobody waits for ever.
#[tokio::test]
async fn cmq_a_key_that_nobody_would_remember_is_not_sent() {
    let (server, _client, ordered) = server(1, Duration::from_secs(30)).await;
    let producer = ordered.producer();
    let send = |length| producer.send(OrderedMessage::new("k".repeat(length), "body"));
    send(256).await.unwrap();
    let failed = send(257).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Invalid);
    assert_eq!(failed.error.outcome(), Outcome::NotSent);
    assert_eq!(failed.message.body(), "body");
    assert_eq!(server.counts("o-0").unwrap().active, 1);
}

#[tokio::test]
async fn cmq_a_closed_client_ends_ordered_sends_and_receives() {
    let server = DevServer::builder().start().await.unwrap();
    server.create_queue(QueueSpec::new("o-0")).unwrap();
    let client = Client::from_url(&server.url()).unwrap();
    let client = client.build().unwrap();
    let ordered = client.ordered("o", 1).unwrap();
    let (producer, consumer) = (ordered.producer(), ordered.consumer().build().unwrap());
    client.close();
    let soon = Duration::from_secs(10);
    let send = producer.send(OrderedMessage::new("k", "x")).into_future();
    let error = tokio::time::timeout(soon, send).await.unwrap().unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::Closed);
    let received = tokio::time::timeout(soon, consumer.recv()).await.unwrap();
    assert!(received.is_err() || received.unwrap().is_none());
    tokio::time::timeout(soon, consumer.close()).await.unwrap();
    let late = ordered.consumer().build().unwrap();
    let received = tokio::time::timeout(soon, late.recv()).await.unwrap();
    assert!(received.is_err() || received.unwrap().is_none());
}
