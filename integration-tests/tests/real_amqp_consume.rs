//! What is consumed from RabbitMQ: settled once, by whom it was handed to, or delivered again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use integration_tests::harness::amqp::{connect, queue};
use integration_tests::harness::{now, unique, until, within};
use mq_amqp::{
    Client, Consumer, Delivery, Error, ErrorKind, Message, Queue, RetryPolicy, Settle, Value,
};

const WAIT: Duration = Duration::from_secs(60);

async fn fill(client: &Client, queue: &str, count: usize) {
    let publisher = client.publisher("").build().await.unwrap();
    for at in 0..count {
        drop(
            publisher
                .enqueue(Message::new(queue.to_owned(), at.to_string()))
                .await
                .unwrap(),
        );
    }
    publisher.flush().await.unwrap();
}

async fn next(consumer: &Consumer) -> Delivery {
    within(WAIT, "a message", consumer.recv())
        .await
        .unwrap()
        .unwrap()
}

async fn is_empty(client: &Client, queue: &str) {
    until(WAIT, "an empty queue", async || {
        client.queue(queue).await.unwrap().messages == 0
    })
    .await;
}

/// `recv` answers `None` while the consumer still takes its leave.
async fn is_left(client: &Client, queue: &str) {
    until(WAIT, "nothing and nobody left", async || {
        let left = client.queue(queue).await.unwrap();
        (left.messages, left.consumers) == (0, 0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_every_way_of_receiving_gets_every_message() {
    let client = connect().await;
    for way in ["recv", "stream", "run", "run_batch"] {
        receive_all(&client, way).await;
    }
    client.close().await;
}

async fn receive_all(client: &Client, way: &str) {
    let queue = queue(client, way).await;
    fill(client, &queue, 500).await;
    let consumer = client
        .consumer(queue.clone())
        .prefetch(20)
        .build()
        .await
        .unwrap();
    let seen = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let note = {
        let (seen, handle) = (Arc::clone(&seen), consumer.handle());
        move |text: Option<&str>| {
            let mut seen = seen.lock().unwrap();
            assert!(seen.insert(text.unwrap().to_owned()), "twice");
            if seen.len() == 500 {
                let handle = handle.clone();
                drop(tokio::spawn(async move { handle.close().await }));
            }
        }
    };
    let all = async {
        match way {
            "recv" => {
                while let Some(delivery) = consumer.recv().await.unwrap() {
                    note(delivery.text());
                    delivery.ack().await.unwrap();
                }
            }
            "stream" => {
                let mut stream = consumer;
                while let Some(delivery) = stream.next().await {
                    let delivery = delivery.unwrap();
                    note(delivery.text());
                    delivery.ack().await.unwrap();
                }
            }
            "run" => consumer
                .run(move |message| {
                    note(message.text());
                    async { Ok::<_, Error>(Settle::Ack) }
                })
                .await
                .unwrap(),
            _ => consumer
                .run_batch(7, Duration::from_millis(20), move |batch| {
                    for message in &batch {
                        note(message.text());
                    }
                    async { Ok::<_, Error>(Settle::Ack) }
                })
                .await
                .unwrap(),
        }
    };
    within(WAIT, way, all).await;
    assert_eq!(seen.lock().unwrap().len(), 500, "{way}");
    is_left(client, &queue).await;
}

/// Dropped, released, refused, retried: what each does, on a queue that counts deliveries and has dead letters.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_what_is_not_acknowledged() {
    let client = connect().await;
    let dead = queue(&client, "dead").await;
    let name = unique("quorum");
    let quorum = Queue::quorum(name.clone())
        .dead_letter_exchange("")
        .dead_letter_routing_key(dead.clone())
        .expires(Duration::from_secs(600));
    client.declare_queue(quorum).await.unwrap();
    fill(&client, &name, 1).await;
    let consumer = client.consumer(name.clone()).build().await.unwrap();
    let dropped = next(&consumer).await;
    assert_eq!((dropped.attempt(), dropped.redelivered()), (1, false));
    drop(dropped);
    let released = next(&consumer).await;
    assert_eq!((released.attempt(), released.redelivered()), (2, true));
    released.settle(Settle::Release).await.unwrap();
    let begun = now();
    let retried = next(&consumer).await;
    assert_eq!(retried.attempt(), 3);
    retried
        .settle(Settle::RetryAfter(Duration::from_millis(300)))
        .await
        .unwrap();
    let refused = next(&consumer).await;
    assert!(
        now() - begun >= Duration::from_millis(300),
        "in place, after its pause"
    );
    assert_eq!(refused.attempt(), 4);
    refused.settle(Settle::DeadLetter).await.unwrap();
    let dead_letters = client.consumer(dead).build().await.unwrap();
    let letter = next(&dead_letters).await;
    assert_eq!(letter.text(), Some("0"));
    assert!(letter.header("x-death").is_some());
    letter.ack().await.unwrap();
    assert_eq!(consumer.counts().dropped, 1);
    client.close().await;
}

/// Attempts used up: to the parking queue with the reason, and the next ones are handled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_what_nobody_can_handle_is_parked() {
    let client = connect().await;
    let (name, parking) = (
        queue(&client, "work").await,
        queue(&client, "parking").await,
    );
    fill(&client, &name, 3).await;
    let consumer = client
        .consumer(name.clone())
        .retry(
            RetryPolicy::in_place(Duration::from_millis(10), Duration::from_millis(50)).attempts(3),
        )
        .parking_queue(parking.clone())
        .build()
        .await
        .unwrap();
    let handle = consumer.handle();
    let calls = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&calls);
    let running = tokio::spawn(async move {
        consumer
            .run(move |message| {
                counting.fetch_add(1, Ordering::Relaxed);
                let number = message.text().unwrap().to_owned();
                async move {
                    match &*number {
                        "0" => Err("this one always fails"),
                        "1" => panic!("this one panics"),
                        _ => Ok(Settle::Ack),
                    }
                }
            })
            .await
    });
    let parked = client.consumer(parking).build().await.unwrap();
    let mut found = BTreeSet::new();
    for _ in 0..2 {
        let letter = next(&parked).await;
        assert_eq!(
            letter.header("x-mq-reason").and_then(Value::as_str),
            Some("3 attempts failed")
        );
        assert_eq!(
            letter.header("x-mq-routing-key").and_then(Value::as_str),
            Some(&*name)
        );
        assert_eq!(
            letter.header("x-mq-attempts").and_then(Value::as_i64),
            Some(3)
        );
        found.insert(letter.text().unwrap().to_owned());
        letter.ack().await.unwrap();
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["0", "1"]);
    assert_eq!(calls.load(Ordering::Relaxed), 7);
    handle.close().await;
    running.await.unwrap().unwrap();
    is_empty(&client, &name).await;
    client.close().await;
}

/// The queue goes away: its consumer hears it, once; others of the client live.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_queue_that_is_deleted_ends_its_consumer_and_no_other() {
    let client = connect().await;
    let (gone, stays) = (queue(&client, "gone").await, queue(&client, "stays").await);
    let ends = client.consumer(gone.clone()).build().await.unwrap();
    let lives = client.consumer(stays.clone()).build().await.unwrap();
    client.delete_queue(&gone).await.unwrap();
    let error = within(WAIT, "the end", ends.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&gone), "{error}");
    assert!(ends.recv().await.unwrap().is_none(), "once");
    fill(&client, &stays, 1).await;
    next(&lives).await.ack().await.unwrap();
    let missing = client
        .consumer("there is no such queue")
        .build()
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_queue_that_somebody_has_for_himself() {
    let client = connect().await;
    let queue = queue(&client, "exclusive").await;
    let first = client
        .consumer(queue.clone())
        .exclusive()
        .build()
        .await
        .unwrap();
    let second = client
        .consumer(queue.clone())
        .exclusive()
        .build()
        .await
        .unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Rejected);
    assert!(second.to_string().contains("exclusive"), "{second}");
    first.close().await;
    client.consumer(queue).exclusive().build().await.unwrap();
    client.close().await;
}

/// A receive that is dropped after any number of polls loses nothing and takes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_receive_that_is_dropped_loses_nothing() {
    let client = connect().await;
    let queue = queue(&client, "cancelled").await;
    let consumer = client
        .consumer(queue.clone())
        .prefetch(1)
        .build()
        .await
        .unwrap();
    for round in 0..20 {
        let mut receive = Box::pin(consumer.recv());
        assert!(futures_util::poll!(&mut receive).is_pending());
        fill(&client, &queue, 1).await;
        if round % 2 == 0 {
            until(WAIT, "the message", async || {
                consumer.counts().received > round
            })
            .await;
            // Either it hands the message out, or it has not taken it.
            if let Poll::Ready(delivery) = futures_util::poll!(&mut receive) {
                delivery.unwrap().unwrap().ack().await.unwrap();
                continue;
            }
        }
        drop(receive);
        // Sooner than the broker's time-out of acknowledgements, which brings back what was lost here.
        let delivery = within(Duration::from_secs(5), "it", consumer.recv()).await;
        delivery.unwrap().unwrap().ack().await.unwrap();
    }
    is_empty(&client, &queue).await;
    client.close().await;
}

/// Acks from another task and after the consumer is gone; two at a time; handles that outlive the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_acks_from_elsewhere() {
    let client = connect().await;
    let queue = queue(&client, "elsewhere").await;
    fill(&client, &queue, 200).await;
    let consumer = client
        .consumer(queue.clone())
        .prefetch(50)
        .build()
        .await
        .unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..200 {
        let (received, acker) = next(&consumer).await.into_parts();
        tasks.spawn(async move {
            if at % 3 == 0 {
                tokio::time::sleep(Duration::from_millis(at % 17)).await;
            }
            drop(received);
            acker.ack().await
        });
    }
    while let Some(acked) = tasks.join_next().await {
        acked.unwrap().unwrap();
    }
    is_empty(&client, &queue).await;
    fill(&client, &queue, 1).await;
    let held = next(&consumer).await;
    let handle = consumer.handle();
    let closing = tokio::spawn(async move { handle.close().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    held.ack().await.unwrap();
    within(
        Duration::from_secs(2),
        "it waits for what is held, and no longer",
        closing,
    )
    .await
    .unwrap();
    is_empty(&client, &queue).await;
    fill(&client, &queue, 1).await;
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    let held = next(&consumer).await;
    client.close().await;
    let late = held.ack().await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Stale);
}

/// A stream is read from its beginning, as often as one likes.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_streams_are_read_from_any_offset() {
    let client = connect().await;
    let stream = unique("stream");
    client
        .declare_queue(Queue::stream(stream.clone()))
        .await
        .unwrap();
    fill(&client, &stream, 50).await;
    for (from, first) in [(Value::from("first"), 0), (Value::from(40_i64), 40)] {
        let consumer = client
            .consumer(stream.clone())
            .stream_offset(from)
            .prefetch(10)
            .build()
            .await
            .unwrap();
        let mut at = first;
        while at < 50 {
            let delivery = next(&consumer).await;
            let offset = delivery
                .header("x-stream-offset")
                .and_then(Value::as_i64)
                .unwrap();
            // A broker begins at the chunk that holds the offset.
            if offset >= first {
                assert_eq!(delivery.text(), Some(&*at.to_string()));
                at += 1;
            }
            delivery.ack().await.unwrap();
        }
        consumer.close().await;
    }
    client.delete_queue(&stream).await.unwrap();
    client.close().await;
}

/// A broker sends a stream's messages by chunks, whole ones, however small the prefetch: that is no reason to give the connection up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_stream_beyond_the_prefetch_is_taken_as_it_comes() {
    let client = connect().await;
    let stream = unique("chunks");
    client
        .declare_queue(Queue::stream(stream.clone()))
        .await
        .unwrap();
    fill(&client, &stream, 5000).await;
    let mut events = client.events();
    let consumer = client.consumer(stream.clone()).prefetch(1);
    let consumer = consumer.stream_offset("first").build().await.unwrap();
    let mut most = 0;
    for at in 0..5000 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.text(), Some(&*at.to_string()));
        most = most.max(consumer.counts().received - at);
        delivery.ack().await.unwrap();
    }
    println!("{most} at a time");
    let told = tokio::time::timeout(Duration::from_millis(10), events.next()).await;
    assert!(told.is_err(), "{told:?}");
    client.delete_queue(&stream).await.unwrap();
    client.close().await;
}

/// A stream takes nothing back, and refusing one of its messages costs the connection: that of everybody else, too. So nothing is refused.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_stream_that_takes_nothing_back_costs_nobody_the_connection() {
    let client = connect().await;
    let (other, stream) = (queue(&client, "other").await, unique("stream"));
    client
        .declare_queue(Queue::stream(stream.clone()))
        .await
        .unwrap();
    fill(&client, &other, 1).await;
    fill(&client, &stream, 50).await;
    let beside = client.consumer(other).build().await.unwrap();
    let held = next(&beside).await;
    let consuming = client.consumer(stream.clone()).prefetch(10);
    let consumer = consuming.stream_offset("first").build().await.unwrap();
    let mut meanwhile = Vec::new();
    for (attempt, decision) in [
        (1, None),
        (2, Some(Settle::Release)),
        (3, Some(Settle::RetryAfter(Duration::from_millis(10)))),
        (4, Some(Settle::DeadLetter)),
    ] {
        // What comes again comes before what came later, but not before what was handed out meanwhile.
        let delivery = loop {
            let delivery = next(&consumer).await;
            if delivery.text() == Some("0") {
                break delivery;
            }
            meanwhile.push(delivery);
        };
        assert_eq!(delivery.attempt(), attempt);
        match decision {
            Some(decision) => delivery.settle(decision).await.unwrap(),
            None => drop(delivery),
        }
    }
    drop(meanwhile);
    let passed = next(&consumer).await;
    assert_ne!(passed.text(), Some("0"), "it was passed over");
    drop(passed);
    // Some are here that nobody was given.
    consumer.close().await;
    // Where to begin is not said: it is known by what comes.
    let consumer = client.consumer(stream.clone()).prefetch(10);
    let consumer = consumer.build().await.unwrap();
    fill(&client, &stream, 50).await;
    drop(next(&consumer).await);
    drop(next(&consumer).await);
    consumer.close().await;
    client.queue(&stream).await.unwrap();
    held.ack().await.unwrap();
    client.delete_queue(&stream).await.unwrap();
    client.close().await;
}

/// Paused, nothing is handed out; the stream of messages goes on where it was.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_consumer_that_is_paused() {
    let client = connect().await;
    let queue = queue(&client, "paused").await;
    let consumer = client.consumer(queue.clone()).build().await.unwrap();
    consumer.handle().pause();
    fill(&client, &queue, 2).await;
    tokio::time::timeout(Duration::from_millis(200), consumer.recv())
        .await
        .unwrap_err();
    consumer.handle().resume();
    for number in ["0", "1"] {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.text(), Some(number));
        delivery.ack().await.unwrap();
    }
    client.close().await;
}

/// Requests are answered, to those who asked, also many at a time; who asks nobody hears it, who is not answered too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_requests_are_answered() {
    let client = connect().await;
    let (doubles, silent) = (
        queue(&client, "doubles").await,
        queue(&client, "silent").await,
    );
    let server = client.consumer(doubles.clone()).build().await.unwrap();
    let answers = client.publisher("").mandatory(false).build().await.unwrap();
    let serving = tokio::spawn(async move {
        server
            .run(move |request| {
                let answers = answers.clone();
                async move {
                    let number: u64 = request.text().unwrap().parse().unwrap();
                    let answer = request.reply((number * 2).to_string()).unwrap();
                    answers.send(answer).await?;
                    Ok::<_, mq_amqp::SendError>(Settle::Ack)
                }
            })
            .await
    });
    let rpc = client.rpc("").await.unwrap();
    let calls = (0..200_u64).map(|at| {
        let (rpc, queue) = (rpc.clone(), doubles.clone());
        async move {
            let answer = rpc.call(Message::new(queue, at.to_string())).await.unwrap();
            assert_eq!(answer.text(), Some(&*(at * 2).to_string()));
        }
    });
    within(WAIT, "the answers", futures_util::future::join_all(calls)).await;
    let nobody = rpc
        .call(Message::new("there is no such queue", "1"))
        .await
        .unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
    let late = rpc
        .call(Message::new(silent, "1"))
        .timeout(Duration::from_millis(200));
    let late = late.await.unwrap_err();
    assert_eq!(
        (late.kind(), late.outcome()),
        (ErrorKind::Timeout, mq_amqp::Outcome::Unknown)
    );
    client.close().await;
    serving.await.unwrap().unwrap();
}

/// Retried by delay: it waits in a queue of the broker's, holds no place of the prefetch, and comes back as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_retries_by_delay_wait_in_the_broker() {
    let client = connect().await;
    let (name, parking) = (
        queue(&client, "later").await,
        queue(&client, "given-up").await,
    );
    let exchange = unique("origin");
    client
        .declare_exchange(mq_amqp::Exchange::fanout(exchange.clone()))
        .await
        .unwrap();
    let binding = mq_amqp::Binding::queue(name.clone()).to(exchange.clone());
    client.bind(binding).await.unwrap();
    let publisher = client.publisher(exchange.clone()).build().await.unwrap();
    let message = Message::new("the key", "again")
        .id("the id")
        .header("mine", 1);
    publisher.send(message).await.unwrap();
    let policy = RetryPolicy::delayed(Duration::from_millis(150), Duration::from_millis(300));
    let consumer = client
        .consumer(name.clone())
        .prefetch(1)
        .retry(policy.attempts(3))
        .parking_queue(parking.clone())
        .build()
        .await
        .unwrap();
    let mut begun = now();
    for (attempt, pause) in [(1, 0), (2, 200), (3, 300)] {
        let delivery = next(&consumer).await;
        let waited = now() - begun;
        assert!(
            waited >= Duration::from_millis(pause),
            "{attempt}: {waited:?}"
        );
        assert_eq!(
            (delivery.attempt(), delivery.exchange()),
            (attempt, &*exchange)
        );
        assert_eq!(
            (delivery.routing_key(), delivery.unique_id()),
            ("the key", Some("the id"))
        );
        assert_eq!(delivery.header("mine").and_then(Value::as_i64), Some(1));
        begun = now();
        delivery.settle(Settle::Retry).await.unwrap();
        assert_eq!(client.queue(&name).await.unwrap().messages, 0);
    }
    let parked = client.consumer(parking).build().await.unwrap();
    let letter = next(&parked).await;
    assert_eq!(
        letter.header("x-mq-reason").and_then(Value::as_str),
        Some("3 attempts failed")
    );
    assert_eq!(
        letter.header("x-mq-exchange").and_then(Value::as_str),
        Some(&*exchange)
    );
    letter.ack().await.unwrap();
    client.delete_exchange(&exchange).await.unwrap();
    client.close().await;
}

/// A client that is closed right behind acknowledgements writes them first, and comes to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_client_that_is_closed_has_said_what_was_acknowledged() {
    let watcher = connect().await;
    let queue = queue(&watcher, "closing").await;
    for _ in 0..20 {
        fill(&watcher, &queue, 10).await;
        let client = connect().await;
        let consumer = client.consumer(queue.clone()).build().await.unwrap();
        for _ in 0..10 {
            next(&consumer).await.ack().await.unwrap();
        }
        within(WAIT, "the client's end", client.close()).await;
        assert!(consumer.recv().await.unwrap().is_none());
        is_empty(&watcher, &queue).await;
    }
    watcher.close().await;
}
