//! What is published to RabbitMQ: it arrives as it was, or its own sender hears why not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use integration_tests::harness::amqp::{builder, connect, queue};
use integration_tests::harness::{unique, within};
use mq_amqp::{
    Client, Delivery, ErrorKind, Exchange, Message, Outcome, Queue, ReplyCode, Table, Value,
};

const WAIT: Duration = Duration::from_secs(60);

async fn one(client: &Client, queue: &str) -> Delivery {
    let consumer = client.consumer(queue.to_owned()).prefetch(1).build();
    let consumer = consumer.await.unwrap();
    let delivery = within(WAIT, "a message", consumer.recv()).await;
    delivery.unwrap().unwrap()
}

/// Every type that a field table can hold, in one table, nested.
fn every_value() -> Table {
    let mut inner = Table::new();
    inner.insert("nothing", Value::Void);
    inner.insert("truth", true);
    inner.insert("i8", -8_i8);
    inner.insert("u8", 200_u8);
    inner.insert("i16", i16::MIN);
    inner.insert("u16", u16::MAX);
    inner.insert("i32", i32::MIN);
    inner.insert("u32", u32::MAX);
    inner.insert("i64", i64::MIN);
    inner.insert("f32", 1.5_f32);
    inner.insert("f64", -2.25_f64);
    inner.insert(
        "decimal",
        Value::Decimal {
            scale: 2,
            value: 12_345,
        },
    );
    inner.insert("text", "grüße, 你好");
    inner.insert("no text", Value::LongString(vec![0xff, 0x00, 0xfe].into()));
    inner.insert("bytes", Value::Bytes(vec![0, 1, 2, 255].into()));
    inner.insert("time", Value::Timestamp(1_700_000_000));
    let mut outer = Table::new();
    outer.insert("row", vec![Value::Bool(false), Value::Table(inner.clone())]);
    outer.insert("table", inner);
    outer
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_everything_on_a_message_arrives() {
    let client = connect().await;
    let queue = queue(&client, "everything").await;
    let publisher = client.publisher("").build().await.unwrap();
    let sent = Message::new(queue.clone(), vec![0, 159, 146, 150])
        .id("the id")
        .headers(every_value())
        .content_type("application/octet-stream")
        .content_encoding("identity")
        .correlation_id("correlation")
        .reply_to("answers")
        .expires_after(Duration::from_secs(600))
        .priority(3)
        .timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        .kind("kind")
        .app_id("app")
        .user_id(integration_tests::brokers::rabbitmq::ROLE.name);
    let receipt = publisher.send(sent.clone()).await.unwrap();
    assert_eq!((receipt.unique_id(), receipt.attempts()), ("the id", 1));
    let delivery = one(&client, &queue).await;
    assert_eq!(delivery.message(), &sent);
    assert_eq!((delivery.exchange(), delivery.attempt()), ("", 1));
    delivery.ack().await.unwrap();
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_bodies_of_every_size_arrive() {
    for frame_max in [4096, 131_072] {
        let client = builder().frame_max(frame_max).connect().await.unwrap();
        let queue = queue(&client, "sizes").await;
        let publisher = client.publisher("").build().await.unwrap();
        let part = frame_max as usize - 8;
        for size in [0, 1, part - 1, part, part + 1, 3 * part, 5_000_000] {
            let body: Vec<u8> = (0..size)
                .map(|at| u8::try_from(at % 251).unwrap())
                .collect();
            publisher
                .send(Message::new(queue.clone(), body.clone()))
                .await
                .unwrap();
            let delivery = one(&client, &queue).await;
            assert!(
                *delivery.body() == body,
                "{size} bytes, frames of {frame_max}"
            );
            delivery.ack().await.unwrap();
        }
        client.close().await;
    }
}

/// RabbitMQ refuses more than 128 MiB by closing the channel: the sender hears it, and the publisher goes on.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_body_that_is_too_large_is_refused_alone() {
    let client = connect().await;
    let queue = queue(&client, "large").await;
    let publisher = client.publisher("").build().await.unwrap();
    let body = vec![0; 200 * 1024 * 1024];
    let failed = publisher.send(Message::new(queue.clone(), body));
    let failed = failed.timeout(WAIT).await.unwrap_err();
    assert_eq!(failed.error.code(), Some(&ReplyCode::PRECONDITION_FAILED));
    assert_eq!(failed.outcome(), Outcome::Rejected);
    assert!(failed.to_string().contains("max size"), "{failed}");
    assert_eq!(
        failed.message.body().len(),
        200 * 1024 * 1024,
        "it comes back"
    );
    publisher.send(Message::new(queue, "small")).await.unwrap();
    client.close().await;
}

/// Among a thousand in flight, those that no queue takes are told to their own senders, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_unroutable_is_told_to_the_right_sender() {
    let client = connect().await;
    let queue = queue(&client, "routable").await;
    let publisher = client.publisher("").build().await.unwrap();
    let messages = (0..2000).map(|at| {
        let key = if at % 7 == 3 {
            "there is no such queue"
        } else {
            &*queue
        };
        Message::new(key.to_owned(), at.to_string())
    });
    let messages: Vec<_> = messages.collect();
    let results: Vec<_> = publisher
        .send_all(futures_util::stream::iter(messages))
        .collect()
        .await;
    for (at, result) in results.into_iter().enumerate() {
        match result {
            Ok(_) => assert_ne!(at % 7, 3, "{at} was confirmed"),
            Err(failed) => {
                assert_eq!(at % 7, 3, "{at}: {failed}");
                assert_eq!(failed.message.body(), at.to_string().as_bytes());
                assert_eq!(failed.error.code(), Some(&ReplyCode::NO_ROUTE));
                assert_eq!(
                    (failed.kind(), failed.outcome()),
                    (ErrorKind::NotFound, Outcome::Rejected)
                );
            }
        }
    }
    let quiet = Message::new("there is no such queue", "quiet");
    publisher.send(quiet).mandatory(false).await.unwrap();
    client.close().await;
}

/// A message that makes the broker close the channel fails alone; what was in flight with it is confirmed, in its order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_message_that_closes_the_channel_fails_alone() {
    let client = connect().await;
    let queue = queue(&client, "poison").await;
    let publisher = client.publisher("").build().await.unwrap();
    let messages: Vec<_> = (0..200)
        .map(|at| match at % 50 {
            25 => Message::new(queue.clone(), at.to_string()).user_id("somebody else"),
            _ => Message::new(queue.clone(), at.to_string()),
        })
        .collect();
    let results: Vec<_> = publisher
        .send_all(futures_util::stream::iter(messages))
        .collect()
        .await;
    for (at, result) in results.iter().enumerate() {
        match result {
            Ok(_) => assert_ne!(at % 50, 25),
            Err(failed) => {
                assert_eq!(at % 50, 25, "{at}: {failed}");
                assert_eq!(failed.error.code(), Some(&ReplyCode::PRECONDITION_FAILED));
                assert_eq!(failed.outcome(), Outcome::Rejected);
            }
        }
    }
    let consumer = client.consumer(queue).prefetch(500).build().await.unwrap();
    let mut seen: Vec<u32> = Vec::new();
    while seen.last() != Some(&199) {
        let delivery = within(WAIT, "the next one", consumer.recv()).await;
        let delivery = delivery.unwrap().unwrap();
        let number = delivery.text().unwrap().parse().unwrap();
        if !seen.contains(&number) {
            seen.push(number);
        }
        delivery.ack().await.unwrap();
    }
    let wanted: Vec<u32> = (0..200).filter(|at| at % 50 != 25).collect();
    assert_eq!(seen, wanted);
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_an_exchange_that_is_missing_is_told_and_may_come_later() {
    let client = connect().await;
    let (exchange, queue) = (unique("exchange"), queue(&client, "bound").await);
    let publisher = client.publisher(exchange.clone()).build().await.unwrap();
    for _ in 0..2 {
        let failed = publisher.send(Message::new("key", "x")).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::NotFound);
        assert_eq!(failed.error.code(), Some(&ReplyCode::NOT_FOUND));
        assert!(failed.to_string().contains(&exchange), "{failed}");
    }
    client
        .declare_exchange(Exchange::direct(exchange.clone()))
        .await
        .unwrap();
    client
        .bind(
            mq_amqp::Binding::queue(queue.clone())
                .to(exchange.clone())
                .key("key"),
        )
        .await
        .unwrap();
    publisher.send(Message::new("key", "x")).await.unwrap();
    assert_eq!(one(&client, &queue).await.exchange(), exchange);
    client.delete_exchange(&exchange).await.unwrap();
    client.close().await;
}

/// A full queue that refuses: its sender hears it, and that it may be tried again.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_a_full_queue_refuses() {
    let client = connect().await;
    let name = unique("full");
    let full = Queue::classic(name.clone())
        .max_length(3)
        .overflow(mq_amqp::Overflow::RejectPublish)
        .expires(Duration::from_secs(600));
    client.declare_queue(full).await.unwrap();
    let publisher = client.publisher("").build().await.unwrap();
    let mut refused = 0;
    for at in 0..10 {
        if let Err(failed) = publisher
            .send(Message::new(name.clone(), at.to_string()))
            .await
        {
            assert_eq!(
                (failed.kind(), failed.outcome()),
                (ErrorKind::Rejected, Outcome::Rejected)
            );
            assert_eq!(failed.error.retry(), mq_amqp::Retry::Later);
            refused += 1;
        }
    }
    assert!(refused >= 6, "{refused}");
    client.close().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_what_the_wire_cannot_carry_is_refused_here() {
    let client = builder().frame_max(4096).connect().await.unwrap();
    let queue = queue(&client, "limits").await;
    let publisher = client.publisher("").build().await.unwrap();
    let long = "k".repeat(256);
    let failures = [
        (Message::new(long.clone(), "x"), "routing key"),
        (
            Message::new(queue.clone(), "x").correlation_id(long.clone()),
            "correlation id",
        ),
        (Message::new(queue.clone(), "x").header(long, 1), "header"),
        (
            Message::new(queue.clone(), "x").header("large", "v".repeat(5000)),
            "4096",
        ),
    ];
    for (message, word) in failures {
        let failed = publisher.send(message).await.unwrap_err();
        assert_eq!(
            (failed.kind(), failed.outcome()),
            (ErrorKind::Invalid, Outcome::NotSent),
            "{failed}"
        );
        assert!(failed.to_string().contains(word), "{failed}");
    }
    publisher.send(Message::new(queue, "x")).await.unwrap();
    client.close().await;
}

/// Dropped before there is room: withdrawn. Dropped later: it goes on, and a failure is told by `flush`.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_sends_that_are_dropped() {
    let client = connect().await;
    let queue = queue(&client, "dropped").await;
    let publisher = client.publisher("").window(1).build().await.unwrap();
    let confirm = publisher
        .enqueue(Message::new(queue.clone(), "first"))
        .await
        .unwrap();
    let mut waiting = Box::pin(IntoFuture::into_future(
        publisher.send(Message::new(queue.clone(), "withdrawn")),
    ));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(waiting);
    confirm.await.unwrap();
    drop(
        publisher
            .enqueue(Message::new("there is no such queue", "lost"))
            .await
            .unwrap(),
    );
    let unheard = publisher.flush().await.unwrap_err();
    assert_eq!((unheard.count, unheard.last.len()), (1, 1));
    assert_eq!(unheard.last[0].kind(), ErrorKind::NotFound);
    publisher.flush().await.unwrap();
    drop(
        publisher
            .enqueue(Message::new(queue.clone(), "second"))
            .await
            .unwrap(),
    );
    let closed = publisher.clone();
    publisher.close().await.unwrap();
    let failed = closed
        .send(Message::new(queue.clone(), "third"))
        .await
        .unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Closed, Outcome::NotSent)
    );
    assert_eq!(client.queue(&queue).await.unwrap().messages, 2);
    client.close().await;
}
