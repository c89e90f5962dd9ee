//! What other clients are known to do wrong when a connection is lost, and around it: each as a promise of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::peer::{CONSUMER, Peer, Said, Then, blocked, channel_close, frame, tune, until, within};
use crate::conn::now;
use crate::proto::{BasicCancel, Incoming, Method};
use crate::{Binding, Error, ErrorKind, Event, Exchange, Message, Outcome, Queue, Settle};

fn names(peer: &Peer, connection: usize) -> Vec<&'static str> {
    let mut said = peer.said();
    said.retain(|said| said.connection == connection && said.name != "heartbeat");
    said.iter().map(|said| said.name).collect()
}

fn method(said: &Said) -> &Method {
    match &said.incoming {
        Some(Incoming::Method(method) | Incoming::Content(method, _)) => method,
        None => panic!("{} is no method", said.name),
    }
}

/// What was declared comes again in its order and before anything else; what is refused is told, and keeps nothing else away.
#[tokio::test]
async fn topology_comes_back_in_its_order_before_consumers_and_past_refusals() {
    let peer = Peer::start(|said| {
        if said.connection > 0
            && let "exchange.ExchangeDeclare" = said.name
            && let Method::ExchangeDeclare(declare) = method(said)
            && declare.exchange == "refused"
        {
            return Then::Say(channel_close(said.channel, 406));
        }
        Then::Usual
    })
    .await;
    let client = peer.connect().await;
    client
        .declare_exchange(Exchange::direct("first"))
        .await
        .unwrap();
    client
        .declare_exchange(Exchange::direct("refused"))
        .await
        .unwrap();
    let queue = client.declare_queue(Queue::temporary()).await.unwrap();
    client
        .bind(Binding::queue(queue.name.clone()).to("first"))
        .await
        .unwrap();
    let _consumer = client.consumer(queue.name.clone()).build().await.unwrap();
    let mut events = client.events();
    peer.hang_up().await;
    until("a consumer again", || peer.count("basic.BasicConsume") == 2).await;
    came_again(&peer);
    let told = within(async {
        loop {
            if let Event::NotRestored { what, error } = events.next().await.unwrap() {
                return (what, error);
            }
        }
    });
    let (what, error) = told.await;
    assert!(
        what.contains("refused") && error.kind() == ErrorKind::Rejected,
        "{what}: {error}"
    );
}

fn came_again(peer: &Peer) {
    let mut again = names(peer, 1);
    again.retain(|name| !name.starts_with('c'));
    assert_eq!(
        again,
        [
            "header",
            "exchange.ExchangeDeclare",
            "exchange.ExchangeDeclare",
            "queue.QueueDeclare",
            "queue.QueueBind",
            "basic.BasicQos",
            "basic.BasicConsume"
        ]
    );
    let said = peer.said();
    let of = |name| {
        said.iter()
            .rfind(|said| said.name == name)
            .map(method)
            .unwrap()
    };
    // A name of the broker's own can't be declared: it is asked for a name again, and the new one is used.
    let Method::QueueDeclare(declare) = of("queue.QueueDeclare") else {
        panic!()
    };
    assert_eq!(declare.queue, "");
    let Method::QueueBind(bind) = of("queue.QueueBind") else {
        panic!()
    };
    assert_eq!(bind.queue, "amq.gen-1");
    let Method::BasicConsume(consume) = of("basic.BasicConsume") else {
        panic!()
    };
    assert_eq!(consume.queue, "amq.gen-1");
}

/// Sends that are made while there is no connection wait for one; as often as it is lost, everything is confirmed in the end.
#[tokio::test]
async fn publishing_goes_on_across_any_number_of_losses() {
    let mut published = 0;
    let peer = Peer::start(move |said| {
        if said.name == "basic.BasicPublish" {
            published += 1;
            if published % 7 == 0 {
                return Then::HangUp;
            }
        }
        Then::Usual
    })
    .await;
    let client = peer.connect().await;
    let publisher = client.publisher("").window(4).build().await.unwrap();
    let sends = (0..60).map(|at| {
        publisher
            .send(Message::new("q", at.to_string()))
            .into_future()
    });
    for receipt in within(futures_util::future::join_all(sends)).await {
        receipt.unwrap();
    }
    assert!(peer.made() > 5, "{}", peer.made());
    peer.hang_up().await;
    within(
        publisher
            .send(Message::new("q", "while there is none"))
            .into_future(),
    )
    .await
    .unwrap();
}

/// No number of attempts is the last one, and the pauses stay short: sixteen is where another client gives up.
#[tokio::test]
async fn a_server_that_is_away_for_twenty_attempts_is_found_again() {
    let peer = Peer::start(|said| match said.name {
        "header" if (1..=20).contains(&said.connection) => Then::HangUp,
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    peer.hang_up().await;
    let begun = now();
    let back = async {
        while client.queue("q").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), back)
        .await
        .unwrap();
    assert_eq!(peer.made(), 22);
    assert!(
        now() - begun < Duration::from_secs(40),
        "{:?}",
        now() - begun
    );
}

/// What is queued leaves before the channel and the connection are closed.
#[tokio::test]
async fn a_close_overtakes_nothing_that_was_sent() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let publisher = client.publisher("").build().await.unwrap();
    for _ in 0..500 {
        let message = Message::new("q", vec![7; 10_000]);
        drop(publisher.enqueue(message).await.unwrap());
    }
    within(publisher.close()).await.unwrap();
    within(client.close()).await;
    let said = names(&peer, 1);
    let last = said.iter().rposition(|name| *name == "basic.BasicPublish");
    let close = said.iter().position(|name| *name == "channel.ChannelClose");
    assert_eq!(peer.count("basic.BasicPublish"), 500);
    assert!(close.is_none_or(|close| last.unwrap() < close), "{close:?}");
    assert_eq!(said.last(), Some(&"connection.ConnectionClose"));
}

/// Unless asked otherwise, every message is mandatory, persistent, has an id, and is published on a channel that confirms.
#[tokio::test]
async fn confirms_and_mandatory_are_on() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let publisher = client.publisher("").build().await.unwrap();
    publisher.send(Message::new("q", "x")).await.unwrap();
    let said = names(&peer, 1);
    let at = |name| said.iter().position(|it| *it == name).unwrap();
    assert!(at("confirm.ConfirmSelect") < at("basic.BasicPublish"));
    let said = peer.said();
    let said = said
        .iter()
        .find(|said| said.name == "basic.BasicPublish")
        .unwrap();
    let Some(Incoming::Content(Method::BasicPublish(publish), content)) = &said.incoming else {
        panic!("it is no message");
    };
    let properties = crate::Properties::decode(content.properties.clone()).unwrap();
    assert!(publish.mandatory && !publish.immediate);
    assert_eq!(properties.delivery_mode, Some(2));
    assert!(properties.message_id.is_some());
}

/// No more than the window is under way, by count and by bytes; who is beyond waits, and was not sent when his time is over.
#[tokio::test]
async fn what_is_under_way_is_bounded_by_the_window() {
    for (window, bytes, sent) in [(5, 1 << 30, 5), (1000, 3500, 3)] {
        let peer = Peer::start(|said| match said.name {
            "basic.BasicPublish" => Then::Nothing,
            _ => Then::Usual,
        })
        .await;
        let client = peer.connect().await;
        let publisher = client.publisher("").window(window).window_bytes(bytes);
        let publisher = publisher.build().await.unwrap();
        let mut kept = Vec::new();
        for _ in 0..sent {
            let message = Message::new("q", vec![7; 1000]);
            kept.push(publisher.enqueue(message).await.unwrap());
        }
        let more = publisher.enqueue(Message::new("q", vec![7; 1000]));
        let more = more.timeout(Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(
            (more.kind(), more.outcome()),
            (ErrorKind::Timeout, Outcome::NotSent)
        );
        assert_eq!(peer.count("basic.BasicPublish"), sent);
    }
}

/// Nobody has to read events: the connection goes on however many there are.
#[tokio::test]
async fn events_that_nobody_reads_hold_nothing_up() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let events = client.events();
    let publisher = client.publisher("").build().await.unwrap();
    for _ in 0..1000 {
        peer.tell(1, &blocked(true)).await;
        peer.tell(1, &blocked(false)).await;
    }
    within(publisher.send(Message::new("q", "x")).into_future())
        .await
        .unwrap();
    drop(events);
    assert_eq!(peer.made(), 2);
}

/// A handler that holds its thread for three heartbeats: they are sent all the same, and its message is acknowledged on the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn handlers_hold_no_heartbeat_up() {
    let peer = Peer::start(|said| match said.name {
        "connection.ConnectionStartOk" => Then::Say(frame(0, tune(0, 0, 1))),
        "heartbeat" => Then::Say(b"\x08\0\0\0\0\0\0\xce"[..].into()),
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    let handle = consumer.handle();
    let running = consumer.run(|_| async {
        std::thread::sleep(Duration::from_secs(3));
        Ok::<_, Error>(Settle::Ack)
    });
    let watching = async {
        peer.deliver(1, "x").await;
        until("its ack", || peer.count("basic.BasicAck") == 1).await;
        handle.close().await;
    };
    let (run, ()) = tokio::join!(running, watching);
    run.unwrap();
    assert_eq!(peer.made(), 1);
    assert!(peer.count("heartbeat") >= 3, "{}", peer.count("heartbeat"));
}

/// After a channel's end nothing is an item or an end to who receives: the next message comes on the next channel.
#[tokio::test]
async fn a_consumer_whose_channel_is_closed_goes_on_without_a_word() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    for code in [406, 541, 405, 506] {
        let (connection, channel) = peer.consuming();
        let begun = peer.count("basic.BasicConsume");
        peer.tell(connection, &channel_close(channel, code)).await;
        until("a consumer again", || {
            peer.count("basic.BasicConsume") > begun
        })
        .await;
        let delivery = peer.receive(&consumer).await.unwrap().unwrap();
        drop(delivery.ack());
    }
    assert_eq!(peer.made(), 1);
}

/// The server ends the consumer: it begins again, without a word to who receives.
#[tokio::test]
async fn a_consumer_that_the_server_cancels_begins_again() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    for round in 2..5 {
        let cancel = BasicCancel {
            consumer_tag: CONSUMER.into(),
            nowait: true,
        };
        let (connection, channel) = peer.consuming();
        peer.tell(connection, &frame(channel, cancel)).await;
        until("a consumer again", || {
            peer.count("basic.BasicConsume") == round
        })
        .await;
        peer.deliver(1, "x").await;
        let delivery = within(consumer.recv()).await.unwrap().unwrap();
        drop(delivery.into_parts().1.settle(Settle::Ack));
        until("its ack", || peer.count("basic.BasicAck") + 1 == round).await;
    }
}

/// Dropped without a close, in any state, a client leaves no socket.
#[tokio::test]
async fn a_client_that_is_dropped_leaves_no_socket() {
    let mute = Arc::new(AtomicBool::new(false));
    let silent = Arc::clone(&mute);
    let peer = Peer::start(move |_| {
        if silent.load(Ordering::Relaxed) {
            Then::Nothing
        } else {
            Then::Usual
        }
    })
    .await;
    for quiet in [false, true] {
        mute.store(false, Ordering::Relaxed);
        let client = peer.connect().await;
        let publisher = client.publisher("").build().await.unwrap();
        let consumer = client.consumer("q").build().await.unwrap();
        mute.store(quiet, Ordering::Relaxed);
        drop(publisher.enqueue(Message::new("q", "x")).await.unwrap());
        drop((client, publisher, consumer));
        until("the end of the sockets", || peer.stand() == 0).await;
    }
}
