//! Sending to real brokers: the line and the window, batches, compression, order, and what becomes of failures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, poll, stream};
use integration_tests::harness::{
    Listener, Wire, connect, drain, first_broker, nameserver, now, producer, size, topic, unique,
    until, url, within,
};
use mq_dev::proxy::{Action, Direction, Observed, Proxy};
use mq_rocketmq::{
    Client, Compression, ErrorKind, HeaderCodec, Message, Outcome, Producer, Receipt,
};

/// A producer with a window of 64 and a topic whose route it knows.
async fn small_window() -> (Client, Producer, String) {
    let (client, topic) = (connect().await, topic("window", 8).await);
    let producer = client
        .producer(&unique("producer"))
        .max_in_flight(64)
        .timeout(Duration::from_secs(60))
        .build()
        .await
        .unwrap();
    producer.send(Message::new(&topic, "first")).await.unwrap();
    (client, producer, topic)
}

/// One more send, awaited directly behind all that are left alone.
async fn one_more(producer: &Producer, topic: &str) {
    let started = now();
    producer
        .send(Message::new(topic, "one more"))
        .timeout(Duration::from_secs(5))
        .await
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// A topic of eight queues holds as many messages, and no more. A broker makes a message countable a moment after it has confirmed it.
async fn are_stored(topic: &str, count: i64) {
    let mut broker = first_broker().await;
    let mut stored = async || {
        let mut stored = 0;
        for queue in 0..8 {
            stored += broker.max_offset(topic, queue).await;
        }
        stored
    };
    until(Duration::from_secs(30), "all are countable", async || {
        stored().await >= count
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(stored().await, count);
}

/// CI: 10 000 futures. Full (`MQ_SOAK=1`): 10 000, thirty times.
fn rounds() -> (usize, usize) {
    (10_000, size(1, 30))
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_sends_polled_once_hold_nobody_up() {
    let (client, producer, topic) = small_window().await;
    let (count, rounds) = rounds();
    for _ in 0..rounds {
        let mut left_alone = Vec::new();
        for number in 0..count {
            let message = Message::new(&topic, format!("left alone {number}"));
            let mut send = producer.send(message).into_future();
            assert!(poll!(&mut send).is_pending());
            left_alone.push(send);
        }
        one_more(&producer, &topic).await;
        for send in left_alone {
            within(Duration::from_secs(60), "a receipt", send)
                .await
                .unwrap();
        }
    }
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_sends_polled_once_and_dropped_hold_nobody_up() {
    let (client, producer, topic) = small_window().await;
    let (count, rounds) = rounds();
    let mut sent = 1;
    for _ in 0..rounds {
        let mut held = Vec::new();
        for number in 0..count {
            let message = Message::new(&topic, format!("dropped {number}"));
            let mut send = producer.send(message).into_future();
            assert!(poll!(&mut send).is_pending());
            held.push(send);
        }
        drop(held);
        one_more(&producer, &topic).await;
        producer.flush().await.unwrap();
        sent += 64 + 1;
        // Those for which there was room are not called back; the others were never sent.
        are_stored(&topic, sent).await;
    }
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_enqueues_polled_once_hold_nobody_up() {
    let (client, producer, topic) = small_window().await;
    let (count, rounds) = rounds();
    for _ in 0..rounds {
        let (mut left_alone, mut confirms) = (Vec::new(), Vec::new());
        for number in 0..count {
            let message = Message::new(&topic, format!("left alone {number}"));
            let mut enqueue = producer.enqueue(message).into_future();
            match poll!(&mut enqueue) {
                std::task::Poll::Ready(confirm) => confirms.push(confirm.unwrap()),
                std::task::Poll::Pending => left_alone.push(enqueue),
            }
        }
        assert!(confirms.len() <= 64 && left_alone.len() >= count - 64);
        one_more(&producer, &topic).await;
        for enqueue in left_alone {
            confirms.push(
                within(Duration::from_secs(60), "room", enqueue)
                    .await
                    .unwrap(),
            );
        }
        for confirm in confirms {
            within(Duration::from_secs(60), "a receipt", confirm)
                .await
                .unwrap();
        }
    }
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_enqueues_polled_once_and_dropped_hold_nobody_up() {
    let (client, producer, topic) = small_window().await;
    let (count, rounds) = rounds();
    let mut sent = 1;
    for _ in 0..rounds {
        let mut held = Vec::new();
        for number in 0..count {
            let mut enqueue = producer
                .enqueue(Message::new(&topic, format!("dropped {number}")))
                .into_future();
            drop(poll!(&mut enqueue));
            held.push(enqueue);
        }
        drop(held);
        one_more(&producer, &topic).await;
        producer.flush().await.unwrap();
        sent += 64 + 1;
        are_stored(&topic, sent).await;
    }
    client.close().await.unwrap();
}

/// The route isn't known yet: the futures left alone wait for it, and hold neither it nor the line.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_sends_polled_once_without_a_route_hold_nobody_up() {
    let (client, topic) = (connect().await, topic("cold", 4).await);
    let producer = client
        .producer(&unique("producer"))
        .max_in_flight(64)
        .timeout(Duration::from_secs(60))
        .build()
        .await
        .unwrap();
    let mut left_alone = Vec::new();
    for number in 0..1000 {
        let message = Message::new(&topic, format!("left alone {number}"));
        let mut send = producer.send(message).into_future();
        assert!(poll!(&mut send).is_pending());
        left_alone.push(send);
    }
    one_more(&producer, &topic).await;
    for send in left_alone {
        within(Duration::from_secs(60), "a receipt", send)
            .await
            .unwrap();
    }
    client.close().await.unwrap();
}

/// 10 MiB in one call: three requests at the least, one queue and consecutive offsets each.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_batches_are_split_by_size() {
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let client = through(&proxy).await;
    let topic = topic("batch", 4).await;
    let producer = producer(&client).await;
    let messages = (0..100).map(|number| {
        let body = format!("{number} {}", "x".repeat(100 << 10));
        Message::new(&topic, body)
            .tag("T")
            .key(format!("k{number}"))
            .property("p", "v")
    });
    let results = producer
        .send_batch(messages)
        .timeout(Duration::from_secs(20))
        .await;
    let receipts: Vec<Receipt> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(proxy.requests(320), 3, "requests of at most 4 MiB");
    assert_eq!(receipts.len(), 100);

    let all = drain(&client, &topic, 100).await;
    let mut by_place = BTreeMap::new();
    for received in all {
        by_place.insert((received.queue(), received.offset()), received);
    }
    for (number, receipt) in receipts.iter().enumerate() {
        let received = &by_place[&(receipt.queue(), receipt.offset())];
        assert!(received.body().starts_with(format!("{number} ").as_bytes()));
        assert_eq!(received.unique_id(), Some(receipt.unique_id()));
        assert_eq!(received.message_id().as_deref(), Some(receipt.message_id()));
        assert_eq!(received.tag_text(), Some("T"));
        assert_eq!(received.keys(), [format!("k{number}")]);
        assert_eq!(received.properties().get("p"), Some("v"));
    }
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_batch_of_small_messages_is_one_request() {
    let proxy = Proxy::builder(nameserver()).start().await.unwrap();
    let client = through(&proxy).await;
    let topic = topic("batch", 4).await;
    let messages = (0..100).map(|number| Message::new(&topic, format!("{number}")));
    let results = producer(&client).await.send_batch(messages).await;
    let receipts: Vec<Receipt> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!((proxy.requests(320), proxy.requests(310)), (1, 0));
    let queue = receipts[0].queue();
    assert!(receipts.iter().all(|receipt| receipt.queue() == queue));
    assert!(
        receipts
            .windows(2)
            .all(|pair| pair[0].offset() + 1 == pair[1].offset())
    );
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_oneway_arrives() {
    let (client, topic) = (connect().await, topic("oneway", 4).await);
    let producer = producer(&client).await;
    for number in 0..100 {
        let message = Message::new(&topic, format!("{number}"));
        producer.send_oneway(message).await.unwrap();
    }
    let mut numbers: Vec<u32> = drain(&client, &topic, 100)
        .await
        .iter()
        .map(|received| {
            std::str::from_utf8(received.body())
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..100));
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_everything_on_a_message_arrives() {
    for codec in [HeaderCodec::Json, HeaderCodec::Binary] {
        let client = Client::from_url(&url())
            .unwrap()
            .header_codec(codec)
            .connect()
            .await
            .unwrap();
        let topic = topic("message", 1).await;
        let producer = producer(&client).await;
        let body = "{\"城市\":\"深圳\"}\u{0}\u{1}\u{2}\u{10FFFF}";
        let message = Message::new(&topic, body)
            .tag("标签-A")
            .key("键1")
            .key("k2")
            .property("城市", "深圳 🚀")
            .property("quote", "a\"b\\c\n\t{}")
            .flag(-7);
        let receipt = producer.send(message).await.unwrap();
        assert_eq!((receipt.queue(), receipt.offset()), (0, 0));
        assert_eq!(receipt.topic(), topic);

        let received = drain(&client, &topic, 1).await.pop().unwrap();
        assert_eq!(received.topic(), topic);
        assert_eq!(received.body(), body.as_bytes());
        assert_eq!(received.tag_text(), Some("标签-A"));
        assert_eq!(received.keys(), ["键1", "k2"]);
        assert_eq!(received.properties().get("城市"), Some("深圳 🚀"));
        assert_eq!(received.properties().get("quote"), Some("a\"b\\c\n\t{}"));
        assert_eq!(received.properties().len(), 2);
        assert_eq!(received.flag_value(), -7);
        assert_eq!(received.unique_id(), Some(receipt.unique_id()));
        assert_eq!(received.message_id().as_deref(), Some(receipt.message_id()));
        assert_eq!(received.attempt(), 1);
        client.close().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_compressed_bodies_arrive() {
    let client = connect().await;
    let forms = [
        ("none", None),
        ("zlib", Some(Compression::zlib())),
        ("lz4", Some(Compression::lz4())),
        ("zstd", Some(Compression::zstd())),
    ];
    for (name, compression) in forms {
        // On the wire it is small where it is compressed: the proxy's record says so.
        let proxy = Proxy::builder(nameserver())
            .record(true)
            .start()
            .await
            .unwrap();
        let sender = through(&proxy).await;
        let topic = topic(name, 1).await;
        let mut builder = sender.producer(&unique("producer"));
        if let Some(compression) = compression {
            builder = builder.compression(compression);
        }
        let producer = builder.build().await.unwrap();
        let body = "all work and no play makes jack a dull boy. ".repeat(20_000);
        producer
            .send(Message::new(&topic, body.clone()))
            .await
            .unwrap();
        producer.send(Message::new(&topic, "short")).await.unwrap();
        let sent = proxy.transcript();
        let on_wire = sent
            .iter()
            .find(|frame| frame.direction == Direction::ToServer && frame.request == Some(310))
            .unwrap();
        assert_eq!(
            on_wire.body.len() < body.len() / 10,
            compression.is_some(),
            "{name}"
        );
        let received = drain(&client, &topic, 2).await;
        assert_eq!(received[0].body(), body.as_bytes(), "{name}");
        assert_eq!(received[1].body(), "short", "{name}");
        assert!(
            received
                .iter()
                .all(|received| received.undecoded().is_none())
        );
        sender.close().await.unwrap();
    }
    client.close().await.unwrap();
}

/// Answers to sends get lost. Nobody waits for the confirms; the next flush tells, once.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_flush_reports_each_unheard_failure_once() {
    let proxy = Proxy::builder(nameserver())
        .policy(|frame: &Observed<'_>| {
            let lost = frame.direction == Direction::ToClient && frame.request == Some(310);
            if lost { Action::Drop } else { Action::Forward }
        })
        .start()
        .await
        .unwrap();
    let client = through(&proxy).await;
    let topic = topic("unheard", 1).await;
    let producer = client
        .producer(&unique("producer"))
        .timeout(Duration::from_millis(500))
        .build()
        .await
        .unwrap();
    for number in 0..100 {
        let confirm = producer
            .enqueue(Message::new(&topic, format!("{number}")))
            .await;
        drop(confirm.unwrap());
    }
    let heard = producer
        .send(Message::new(&topic, "heard"))
        .await
        .unwrap_err();
    assert_eq!(
        (heard.error.kind(), heard.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    let unheard = within(Duration::from_secs(10), "flush", producer.flush())
        .await
        .unwrap_err();
    assert_eq!((unheard.count, unheard.last.len()), (100, 64));
    for (failed, number) in unheard.last.iter().zip(36..) {
        assert_eq!(failed.outcome(), Outcome::Unknown);
        assert_eq!(failed.message.body(), format!("{number}").as_bytes());
        assert!(failed.message.unique_id().is_some());
    }
    producer.flush().await.unwrap();
    client.close().await.unwrap();
}

/// Each is awaited before the next begins, so that in the one queue they lie in that order. CI: 500. Full: 20 000.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_sends_awaited_in_turn_are_stored_in_turn() {
    let (client, topic) = (connect().await, topic("turn", 1).await);
    let producer = producer(&client).await;
    for number in 0..size(500, 20_000) {
        let receipt = producer.send(Message::new(&topic, "x")).await.unwrap();
        assert_eq!(receipt.offset(), number);
    }
    client.close().await.unwrap();
}

/// Enqueued in turn means written in turn: seen on the wire. (The stored order is the broker's affair.)
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_enqueued_in_turn_are_written_in_turn() {
    let proxy = Proxy::builder(nameserver())
        .record(true)
        .start()
        .await
        .unwrap();
    let client = through(&proxy).await;
    let topic = topic("written", 4).await;
    let producer = client
        .producer(&unique("producer"))
        .max_in_flight(16)
        .build()
        .await
        .unwrap();
    let mut confirms = Vec::new();
    for number in 0..1000 {
        let message = Message::new(&topic, format!("{number}"));
        confirms.push(producer.enqueue(message).await.unwrap());
    }
    for confirm in confirms {
        confirm.await.unwrap();
    }
    let written: Vec<u32> = proxy
        .transcript()
        .iter()
        .filter(|frame| frame.direction == Direction::ToServer && frame.request == Some(310))
        .map(|frame| std::str::from_utf8(&frame.body).unwrap().parse().unwrap())
        .collect();
    assert!(written.into_iter().eq(0..1000));
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_send_all_keeps_the_order_and_goes_on_after_an_error() {
    let (client, topic) = (connect().await, topic("all", 4).await);
    let producer = client
        .producer(&unique("producer"))
        .max_in_flight(8)
        .build()
        .await
        .unwrap();
    let count = size(1000, 100_000);
    let messages = stream::iter(0..count).map(|number| {
        // Every tenth can't be sent.
        let body = if number % 10 == 3 {
            String::new()
        } else {
            number.to_string()
        };
        Message::new(&topic, body).key(format!("k{number}"))
    });
    let results: Vec<_> = producer.send_all(messages).collect().await;
    assert_eq!(results.len(), count);
    let mut ids = Vec::new();
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(receipt) => ids.push((receipt.unique_id().to_owned(), number)),
            Err(failed) => {
                assert_eq!(number % 10, 3, "{failed}");
                assert_eq!(failed.error.kind(), ErrorKind::Invalid);
                assert_eq!(failed.message.keys(), [format!("k{number}")]);
            }
        }
    }
    assert_eq!(ids.len(), count - count / 10);
    // The receipt in a place is that of the message in that place.
    let sent: BTreeMap<String, usize> = ids.into_iter().collect();
    for received in drain(&client, &topic, sent.len()).await {
        let number: usize = std::str::from_utf8(received.body())
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(sent[received.unique_id().unwrap()], number);
    }
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_topics_are_created_by_sending() {
    let client = connect().await;
    let topic = unique("auto");
    let producer = producer(&client).await;
    let mut queues = std::collections::BTreeSet::new();
    for number in 0..32 {
        let receipt = producer
            .send(Message::new(&topic, format!("{number}")))
            .await
            .unwrap();
        queues.insert((receipt.broker().to_owned(), receipt.queue()));
    }
    // Four queues at each broker, as Java's client asks for.
    assert!(
        queues.iter().all(|(_, queue)| (0..4).contains(queue)),
        "{queues:?}"
    );
    assert!(queues.len() >= 4, "{queues:?}");
    assert_eq!(drain(&client, &topic, 32).await.len(), 32);
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_a_dead_nameserver_in_the_list_is_passed_over() {
    let silent = Listener::start(integration_tests::harness::Behaviour::Silent);
    let topic = topic("failover", 1).await;
    for dead in [Listener::nobody(), silent.addr()] {
        let started = now();
        let client = Client::from_url(&format!("rocketmq://{dead};{}", nameserver()))
            .unwrap()
            .connect()
            .await
            .unwrap();
        producer(&client)
            .await
            .send(Message::new(&topic, "x"))
            .await
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(3));
        client.close().await.unwrap();
    }
}

/// The commonest wrong port: the broker's own.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_a_broker_taken_for_a_nameserver_is_recognised() {
    let mut wire = Wire::connect(&nameserver()).await.unwrap();
    let route = wire.route("TBW102").await;
    let broker = &route.brokers[0].broker_addrs[&0];
    let connecting = Client::from_url(&format!("rocketmq://{broker}"))
        .unwrap()
        .connect();
    let error = within(Duration::from_secs(20), "an error", connecting)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains(broker), "{text}");
    assert!(text.contains("this looks like a broker"), "{text}");
}

/// Messages of 64 KiB with a window of 1 MiB: no more than 16 are ever without an answer.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_the_window_counts_bytes() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    let (under_way, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (count, peak) = (Arc::clone(&under_way), Arc::clone(&most));
    let proxy = Proxy::builder(nameserver())
        .policy(move |frame: &Observed<'_>| {
            if frame.request != Some(310) {
                return Action::Forward;
            }
            if frame.direction == Direction::ToServer {
                let now = count.fetch_add(1, Ordering::SeqCst) + 1;
                peak.fetch_max(now, Ordering::SeqCst);
                return Action::Delay(Duration::from_millis(5));
            }
            count.fetch_sub(1, Ordering::SeqCst);
            Action::Forward
        })
        .start()
        .await
        .unwrap();
    let client = through(&proxy).await;
    let topic = topic("bytes", 4).await;
    let producer = client
        .producer(&unique("producer"))
        .max_in_flight_bytes(1 << 20)
        .timeout(Duration::from_secs(30))
        .build()
        .await
        .unwrap();
    let messages =
        stream::iter(0..size(200, 5000)).map(|_| Message::new(&topic, vec![b'x'; 64 << 10]));
    let sent = producer
        .send_all(messages)
        .all(async |result| result.is_ok())
        .await;
    assert!(sent);
    // An answer can be seen by the proxy after the client's next request has been admitted, but not many.
    let most = most.load(Ordering::SeqCst);
    assert!((2..=16).contains(&most), "{most} under way at once");
    client.close().await.unwrap();
}

async fn through(proxy: &Proxy) -> Client {
    Client::from_url(&format!("rocketmq://{}", proxy.addr()))
        .unwrap()
        .connect()
        .await
        .unwrap()
}
