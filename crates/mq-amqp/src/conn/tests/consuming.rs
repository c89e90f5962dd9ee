//! Who receives, when and in which order.

use std::time::Duration;

use bytes::BufMut as _;
use futures_util::StreamExt as _;
use tokio_test::{assert_pending, task};

use super::peer::{CONSUMER, Peer, Said, Then, channel_close, content, frame, nack, until, within};
use crate::conn::now;
use crate::proto::{BasicDeliver, Incoming, Kind, Method, Properties, put_frame};
use crate::{Consumer, Error, ErrorKind, RetryPolicy, Settle, Value};

/// A consumer that somebody has polled as a stream, once.
async fn left_alone(peer: &Peer) -> Consumer {
    let client = peer.connect().await;
    let mut consumer = client.consumer("q").prefetch(1).build().await.unwrap();
    assert_pending!(task::spawn(consumer.next()).poll());
    consumer
}

#[tokio::test]
async fn who_polled_the_stream_once_and_left_it_alone_keeps_nothing() {
    let peer = Peer::usual().await;
    let consumer = left_alone(&peer).await;
    let mut receiving = task::spawn(consumer.recv());
    assert_pending!(receiving.poll());
    peer.deliver(1, "x").await;
    let delivery = within(receiving).await.unwrap().unwrap();
    assert_eq!(delivery.text(), Some("x"));
}

#[tokio::test]
async fn who_polled_the_stream_once_and_left_it_alone_keeps_nothing_from_run() {
    let peer = Peer::usual().await;
    let consumer = left_alone(&peer).await;
    let handle = consumer.handle();
    let mut running = task::spawn(consumer.run(move |_| {
        let handle = handle.clone();
        async move {
            assert_pending!(task::spawn(handle.close()).poll());
            Ok::<_, Error>(Settle::Ack)
        }
    }));
    assert_pending!(running.poll());
    peer.deliver(1, "x").await;
    within(running).await.unwrap();
}

#[tokio::test]
async fn retries_in_place_come_in_the_order_in_which_they_were_settled() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").prefetch(10).build().await.unwrap();
    let mut held = Vec::new();
    for tag in 1..=5 {
        peer.deliver(tag, &tag.to_string()).await;
        held.push(within(consumer.recv()).await.unwrap().unwrap());
    }
    for delivery in held {
        let pause = Settle::RetryAfter(Duration::from_millis(100));
        delivery.settle(pause).await.unwrap();
    }
    for tag in 1..=5 {
        let delivery = within(consumer.recv()).await.unwrap().unwrap();
        assert_eq!(delivery.text(), Some(&*tag.to_string()));
        assert_eq!(delivery.attempt(), 2);
        delivery.ack().await.unwrap();
    }
}

/// By a thread that knows no runtime: each decision, those too that publish and pause.
#[tokio::test]
async fn deliveries_are_settled_by_any_thread() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let wait = Duration::from_millis(10);
    let plain = RetryPolicy::default();
    for (policy, decision) in [
        (plain, Settle::Ack),
        (plain, Settle::Release),
        (plain, Settle::Retry),
        (plain, Settle::DeadLetter),
        (plain.attempts(1), Settle::Retry),
        (RetryPolicy::delayed(wait, wait), Settle::RetryAfter(wait)),
    ] {
        let options = client.consumer("q").parking_queue("parked").retry(policy);
        let consumer = options.build().await.unwrap();
        let delivery = peer.receive(&consumer).await.unwrap().unwrap();
        let settling = std::thread::spawn(move || delivery.settle(decision));
        within(settling.join().unwrap()).await.unwrap();
    }
    assert_eq!(peer.count("basic.BasicPublish"), 3);
}

/// A message that can't be put aside is handed out again after pauses that grow, and is lost nowhere.
#[tokio::test]
async fn what_cannot_be_put_aside_does_not_go_round_at_once() {
    let mut refused = 0;
    let peer = Peer::start(move |said| match said.name {
        "basic.BasicPublish" if refused < 3 => {
            refused += 1;
            Then::Say(nack(said.channel, said.tag, false))
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let first = Duration::from_millis(50);
    let options = client.consumer("q").parking_queue("parked");
    let options = options.retry(RetryPolicy::in_place(first, first * 8));
    let consumer = options.build().await.unwrap();
    peer.deliver(1, "x").await;
    let begun = now();
    for attempt in 1..=4 {
        let delivery = within(consumer.recv()).await.unwrap().unwrap();
        assert_eq!(delivery.attempt(), attempt);
        let settled = within(delivery.settle(Settle::DeadLetter)).await;
        assert_eq!(settled.is_ok(), attempt == 4, "{settled:?}");
    }
    // 50, 100, 200
    assert!(now() - begun >= first * 7, "{:?}", now() - begun);
    until("the acknowledgement", || peer.count("basic.BasicAck") == 1).await;
    assert_eq!(peer.count("basic.BasicNack"), 0);
}

/// Before anything is consumed that would have to go there.
#[tokio::test]
async fn a_parking_queue_that_is_missing_is_told_at_once() {
    let peer = Peer::start(|said| match &said.incoming {
        Some(Incoming::Method(Method::QueueDeclare(declare))) if declare.passive => {
            Then::Say(channel_close(said.channel, 404))
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let options = client.consumer("q").parking_queue("parked");
    let error = within(options.build()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(peer.count("basic.BasicConsume"), 0);
}

/// A copy goes to its queue alone, whatever more keys its publisher gave it; who handles it sees them as they were.
#[tokio::test]
async fn a_copy_goes_to_its_own_queue_alone() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let wait = Duration::from_millis(100);
    let options = client.consumer("q").parking_queue("parked");
    let options = options.retry(RetryPolicy::delayed(wait, wait));
    let consumer = options.build().await.unwrap();
    let keys = || Value::from(vec![Value::from("other")]);
    let headers = [("CC", keys()), ("BCC", keys())].into_iter().collect();
    let mut properties = Properties {
        headers: Some(headers),
        ..Properties::default()
    };
    for (tag, decision) in (1..).zip([Settle::Retry, Settle::Retry, Settle::DeadLetter]) {
        let (connection, channel) = peer.consuming();
        let message = content(channel, delivered(tag), &properties, 1, b"x");
        peer.tell(connection, &message).await;
        let delivery = within(consumer.recv()).await.unwrap().unwrap();
        for (theirs, ours) in [("CC", "x-mq-cc"), ("BCC", "x-mq-bcc")] {
            assert_eq!(delivery.header(theirs), Some(&keys()), "{tag}");
            assert_eq!(delivery.header(ours), None, "{tag}");
        }
        within(delivery.settle(decision)).await.unwrap();
        properties = peer.said().iter().rev().find_map(copied).unwrap();
        let headers = properties.headers.as_ref().unwrap();
        assert_eq!((headers.get("CC"), headers.get("BCC")), (None, None));
        assert_eq!(headers.get("x-mq-cc"), Some(&keys()));
        assert_eq!(headers.get("x-mq-bcc"), Some(&keys()));
    }
    assert_eq!(peer.count("basic.BasicPublish"), 3);
}

fn delivered(tag: u64) -> BasicDeliver {
    BasicDeliver {
        consumer_tag: CONSUMER.into(),
        delivery_tag: tag,
        redelivered: false,
        exchange: "".into(),
        routing_key: "q".into(),
    }
}

/// What was published.
fn copied(said: &Said) -> Option<Properties> {
    match &said.incoming {
        Some(Incoming::Content(_, content)) => {
            Some(Properties::decode(content.properties.clone()).unwrap())
        }
        _ => None,
    }
}

/// A copy would be without id and headers: it is retried here, and refused in the end.
#[tokio::test]
async fn what_cannot_be_read_is_not_copied() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let wait = Duration::from_millis(100);
    let options = client.consumer("q").parking_queue("parked");
    let options = options.retry(RetryPolicy::delayed(wait, wait));
    let consumer = options.build().await.unwrap();
    let (connection, channel) = peer.consuming();
    let mut message = frame(channel, delivered(1));
    put_frame(&mut message, Kind::Header, channel, |out| {
        out.put_u16(60);
        out.put_u16(0);
        out.put_u64(0);
        // Headers that are longer than what follows.
        out.put_slice(&[0x20, 0, 0, 0, 0, 9, 1]);
    });
    peer.tell(connection, &message).await;
    for (attempt, decision) in (1..).zip([Settle::Retry, Settle::DeadLetter]) {
        let delivery = within(consumer.recv()).await.unwrap().unwrap();
        assert!(delivery.undecoded().is_some());
        assert_eq!(delivery.attempt(), attempt);
        within(delivery.settle(decision)).await.unwrap();
    }
    until("the refusal", || peer.count("basic.BasicNack") == 1).await;
    let said = peer.said();
    let refused = said.iter().any(|said| matches!(&said.incoming, Some(Incoming::Method(Method::BasicNack(nack))) if !nack.requeue && nack.delivery_tag == 1));
    assert!(refused, "it was refused, for the queue's own dead letters");
    assert_eq!(peer.count("basic.BasicPublish"), 0);
    assert_eq!(peer.count("basic.BasicAck"), 0);
}

/// At most 5 s for what is held and 1 s for the server, whatever that leaves unanswered and however long calls may take.
#[tokio::test]
async fn closing_waits_for_no_server_that_keeps_silent() {
    for silent in ["basic.BasicCancel", "channel.ChannelClose"] {
        let peer = Peer::start(move |said| match said.name {
            name if name == silent => Then::Nothing,
            _ => Then::Usual,
        })
        .await;
        let client = peer.connect().await;
        let consumer = client.consumer("q").build().await.unwrap();
        let begun = now();
        within(consumer.close()).await;
        let took = now() - begun;
        assert!(took < Duration::from_secs(8), "{silent}: {took:?}");
    }
}

/// A consumer that is about to begin again does not finish that first.
#[tokio::test]
async fn closing_waits_for_no_consumer_that_begins_again() {
    for silent in [
        "channel.ChannelOpen",
        "basic.BasicQos",
        "basic.BasicConsume",
    ] {
        let mut times = 0;
        let peer = Peer::start(move |said| {
            times += usize::from(said.name == silent);
            if said.name == silent && times > 1 {
                Then::Nothing
            } else {
                Then::Usual
            }
        })
        .await;
        let client = peer.connect().await;
        let consumer = client.consumer("q").build().await.unwrap();
        let (connection, channel) = peer.consuming();
        peer.tell(connection, &channel_close(channel, 541)).await;
        until("the second beginning", || peer.count(silent) == 2).await;
        let begun = now();
        within(consumer.close()).await;
        let took = now() - begun;
        assert!(took < Duration::from_secs(3), "{silent}: {took:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_closed_ends_its_consumers_without_an_error() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    let mut receiving = task::spawn(consumer.recv());
    assert_pending!(receiving.poll());
    within(client.close()).await;
    assert!(within(receiving).await.unwrap().is_none());
    assert!(within(consumer.recv()).await.unwrap().is_none());
}
