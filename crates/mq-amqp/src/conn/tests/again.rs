//! Consuming again, where the server refuses it: what passes ends no consumer, and what ends one lets go of what it had.

use super::peer::{Peer, Said, Then, connection_close, frame, until, within};
use crate::proto::{ChannelClose, Incoming, Method};
use crate::{Consumer, Delivery, ErrorKind, Event};

fn not_found(said: &Said, text: &'static str) -> Then {
    let close = ChannelClose {
        reply_code: 404,
        reply_text: text.into(),
        class_id: 60,
        method_id: 20,
    };
    Then::Say(frame(said.channel, close))
}

/// Its consumer begins for the fourth time, and has a message.
async fn at_the_fourth_time(peer: &Peer, consumer: &Consumer) -> Delivery {
    until("a consumer again", || peer.count("basic.BasicConsume") == 4).await;
    let delivery = peer.receive(consumer).await.unwrap().unwrap();
    assert_eq!(delivery.text(), Some("x"));
    delivery
}

/// The words of a RabbitMQ that has the queue, and no process of it yet.
#[tokio::test]
async fn a_queue_that_is_starting_ends_no_consumer() {
    let mut begun = 0;
    let peer = Peer::start(move |said| {
        if said.name != "basic.BasicConsume" {
            return Then::Usual;
        }
        begun += 1;
        match begun {
            2 => not_found(
                said,
                "NOT_FOUND - failed to perform operation on queue 'q' in vhost '/' due to timeout",
            ),
            3 => not_found(
                said,
                "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor",
            ),
            _ => Then::Usual,
        }
    })
    .await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    peer.hang_up().await;
    let _delivery = at_the_fourth_time(&peer, &consumer).await;
}

/// A server that answers nothing to one consumer: it is told once, and the consumer goes on when there is an answer.
#[tokio::test]
async fn a_consumer_that_does_not_come_back_is_told_once() {
    let mut begun = 0;
    let peer = Peer::start(move |said| {
        if said.name != "basic.BasicConsume" {
            return Then::Usual;
        }
        begun += 1;
        match begun {
            2 | 3 => Then::Nothing,
            _ => Then::Usual,
        }
    })
    .await;
    let client = peer.hasty().await;
    let mut events = client.events();
    let consumer = client.consumer("q").build().await.unwrap();
    peer.hang_up().await;
    let delivery = at_the_fourth_time(&peer, &consumer).await;
    within(client.close()).await;
    drop((delivery, consumer, client));
    let mut told = Vec::new();
    while let Some(event) = within(events.next()).await {
        if let Event::NotRestored { what, error } = event {
            told.push((what, error.kind()));
        }
    }
    let what = "consumer of queue \"q\"".to_owned();
    assert_eq!(told, [(what, ErrorKind::Timeout)]);
}

/// A connection that the server ends, for whatever it was, ends no consumer that was about to begin on it.
#[tokio::test]
async fn what_ends_the_connection_ends_no_consumer() {
    let mut begun = 0;
    let peer = Peer::start(move |said| {
        if said.name != "basic.BasicConsume" {
            return Then::Usual;
        }
        begun += 1;
        match begun {
            // Another declared an exchange of a type that is not there.
            2 => Then::Say(connection_close(503)),
            3 => Then::Say(connection_close(504)),
            _ => Then::Usual,
        }
    })
    .await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    peer.hang_up().await;
    let _delivery = at_the_fourth_time(&peer, &consumer).await;
}

/// A partition's queue is gone for good: it is told once, and the other partitions are for other consumers, also while this one is kept.
#[tokio::test]
async fn an_ordered_consumer_that_ends_keeps_no_partition() {
    let peer = Peer::start(move |said| match &said.incoming {
        Some(Incoming::Method(Method::BasicConsume(consume)))
            if said.connection > 0 && consume.queue == "topic.p001" =>
        {
            not_found(said, "NOT_FOUND - no queue 'topic.p001' in vhost '/'")
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let topic = client.ordered_topic("topic").partitions(3).declare();
    let topic = within(topic).await.unwrap();
    let consumer = topic.consumer().build().await.unwrap();
    peer.hang_up().await;
    let ended = within(consumer.recv()).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::NotFound, "{ended}");
    // That of what was declared again is one more.
    let closed = |said: &Said| said.connection == 1 && said.name == "channel.ChannelClose";
    until("the end of the others", || {
        peer.said().into_iter().filter(closed).count() == 3
    })
    .await;
    assert!(within(consumer.recv()).await.unwrap().is_none());
}
