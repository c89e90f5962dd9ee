//! Check-back on a server that has what a script says: slots that are missing or away, and channels that it closes.

use std::task::Poll;
use std::time::Duration;

use super::messages::published;
use super::peer::{
    CONSUMER, HASTE, Peer, SOON, Said, Then, channel_close_for, content, frame, until, within,
};
use crate::proto::{
    BasicDeliver, ChannelClose, Content, Incoming, Method, Properties, QueueDeclareOk,
};
use crate::{
    Client, ErrorKind, Message, Outcome, TransactionalPublisher, TransactionalPublisherBuilder,
    Verdict,
};

/// Publishers of a group that decides nothing.
fn group(client: &Client, window: usize) -> TransactionalPublisherBuilder {
    let publisher = client.publisher("orders").window(window);
    publisher.checker("g", |_| async { Verdict::Unknown })
}

async fn publisher(client: &Client, window: usize) -> TransactionalPublisher {
    within(group(client, window).build()).await.unwrap()
}

/// The name of a queue that is declared, and whether it is only looked at.
fn asked(said: &Said) -> Option<(&str, bool)> {
    match &said.incoming {
        Some(Incoming::Method(Method::QueueDeclare(declare))) => {
            Some((&declare.queue, declare.passive))
        }
        _ => None,
    }
}

fn has(said: &Said, name: &str, message_count: u32, consumer_count: u32) -> Then {
    let queue = name.to_owned().into();
    Then::Say(frame(
        said.channel,
        QueueDeclareOk {
            queue,
            message_count,
            consumer_count,
        },
    ))
}

fn refused(said: &Said, text: &'static str) -> Then {
    let close = ChannelClose {
        reply_code: 404,
        reply_text: text.into(),
        class_id: 50,
        method_id: 10,
    };
    Then::Say(frame(said.channel, close))
}

/// Before its half is stored, and the local work done.
#[tokio::test]
async fn begin_refuses_what_a_commit_could_not_send() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let publisher = publisher(&client, 1).await;
    let message = |key: &str| Message::new(key.to_owned(), "x");
    let mut odd = message("key");
    odd.properties_mut().expiration = Some("soon".into());
    for (what, message) in [
        ("a long key", message(&"k".repeat(256))),
        ("no number", odd),
        ("a long time", message("key").expires_after(11 * YEAR)),
        ("CC", message("key").header("CC", "copy")),
        ("BCC", message("key").header("BCC", "copy")),
        ("a user", message("key").user_id("guest")),
        ("headers", message("key").header("h", "v".repeat(200_000))),
    ] {
        let failed = within(publisher.begin(message).into_future()).await;
        let failed = failed.unwrap_err();
        assert_eq!(
            (failed.kind(), failed.outcome()),
            (ErrorKind::Invalid, Outcome::NotSent),
            "{what}: {failed}"
        );
    }
    assert_eq!(published(&peer).len(), 0);
}

/// By its kind, whatever the virtual host has for queues that do not say; and the queue of what is put aside before any message can be.
#[tokio::test]
async fn the_discard_queue_is_made_with_the_slot() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let _publisher = publisher(&client, 1).await;
    let said = peer.said();
    let made = said.iter().filter_map(|said| match &said.incoming {
        Some(Incoming::Method(Method::QueueDeclare(declare))) if !declare.passive => {
            let kind = declare.arguments.get("x-queue-type");
            Some((&*declare.queue, kind.and_then(|kind| kind.as_str())))
        }
        _ => None,
    });
    let made: Vec<_> = made.collect();
    let classic = Some("classic");
    assert_eq!(made, [("mq.tx.g.discard", classic), ("mq.tx.g.0", classic)]);
}

/// Of a slot whose publisher is gone the messages are decided about, also where others before it were deleted, or their node is away.
#[tokio::test]
async fn a_slot_that_is_missing_or_away_hides_none_behind_it() {
    let peer = Peer::start(|said| match asked(said) {
        Some((name @ "mq.tx.g.0", true)) => has(said, name, 0, 1),
        Some(("mq.tx.g.1", true)) => refused(
            said,
            "NOT_FOUND - home node 'rabbit@b' of durable queue 'mq.tx.g.1' in vhost '/' is down or inaccessible",
        ),
        Some((name @ "mq.tx.g.6", true)) => has(said, name, 3, 0),
        Some((_, true)) => refused(said, "NOT_FOUND - no queue 'slot' in vhost '/'"),
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let takeover = Duration::from_millis(100);
    let publisher = group(&client, 1).takeover_after(takeover).build();
    let _publisher = within(publisher).await.unwrap();
    let consumed = || {
        let said = peer.said();
        let names = said.into_iter().filter_map(|said| match said.incoming {
            Some(Incoming::Method(Method::BasicConsume(consume))) => Some(consume.queue),
            _ => None,
        });
        names.collect::<Vec<_>>()
    };
    until("the last slot taken over", || consumed().len() > 1).await;
    assert_eq!(consumed()[..2], ["mq.tx.g.2", "mq.tx.g.6"]);
}

/// What was published, as a queue delivers it first.
fn delivered(said: &Said, published: &Content) -> Then {
    let method = BasicDeliver {
        consumer_tag: CONSUMER.into(),
        delivery_tag: 1,
        redelivered: false,
        exchange: "".into(),
        routing_key: "mq.tx.g.0".into(),
    };
    let properties = Properties::decode(published.properties.clone()).unwrap();
    let body = &published.body;
    let size = body.len() as u64;
    Then::Add(content(said.channel, method, &properties, size, body))
}

/// The connection breaks before the message is confirmed: it is published again, under the same id, when its half is back, and that is acknowledged once.
#[tokio::test]
async fn a_commit_that_was_lost_is_sent_again_when_its_half_is_back() {
    let (mut half, mut whole) = (None, true);
    let peer = Peer::start(move |said| match &said.incoming {
        Some(Incoming::Content(Method::BasicPublish(publish), content))
            if publish.exchange.is_empty() =>
        {
            half = Some(content.clone());
            delivered(said, content)
        }
        Some(Incoming::Content(..)) if std::mem::take(&mut whole) => Then::HangUp,
        Some(Incoming::Method(Method::BasicConsume(_))) => {
            let again = half.as_ref().map(|half| delivered(said, half));
            again.unwrap_or(Then::Usual)
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let publisher = publisher(&client, 1).await;
    let transaction = within(publisher.begin(Message::new("key", "x")).into_future()).await;
    within(transaction.unwrap().commit()).await.unwrap();
    let ids: Vec<_> = published(&peer)
        .into_iter()
        .filter_map(|said| match said.incoming {
            Some(Incoming::Content(Method::BasicPublish(publish), content))
                if publish.exchange == "orders" =>
            {
                Properties::decode(content.properties).unwrap().message_id
            }
            _ => None,
        })
        .collect();
    assert_eq!((ids.len(), ids.first()), (2, ids.last()));
    until("the half acknowledged", || {
        peer.count("basic.BasicAck") == 1
    })
    .await;
}

/// Who waits for room does not wait for its time-out.
#[tokio::test]
async fn who_waits_for_room_is_told_of_the_close() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let publisher = publisher(&client, 2).await;
    let begin = |body: &'static str| publisher.begin(Message::new("key", body)).into_future();
    let _both = (
        within(begin("1")).await.unwrap(),
        within(begin("2")).await.unwrap(),
    );
    let mut third = begin("3");
    let waits = std::future::poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    let mut close = Box::pin(publisher.clone().close());
    let waits = std::future::poll_fn(|cx| Poll::Ready(close.as_mut().poll(cx).is_pending()));
    assert!(waits.await, "two are under way");
    let refused = within(third).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.outcome()),
        (ErrorKind::Closed, Outcome::NotSent)
    );
    assert_eq!(published(&peer).len(), 2);
}

/// After a channel that was closed for one of two messages, each goes alone: who waits for its turn behind one that is not confirmed times out.
#[tokio::test]
async fn a_turn_that_does_not_come_ends_with_the_time_out() {
    let mut count = 0;
    let peer = Peer::start(move |said| {
        if said.name != "basic.BasicPublish" {
            return Then::Usual;
        }
        count += 1;
        match count {
            2 => Then::Say(channel_close_for(said.channel, 404, (60, 40))),
            _ => Then::Nothing,
        }
    })
    .await;
    let client = peer.connect().await;
    let publisher = publisher(&client, 3).await;
    let begin = |body: &'static str| publisher.begin(Message::new("key", body));
    let first = tokio::spawn(begin("1").timeout(2 * SOON).into_future());
    let second = tokio::spawn(begin("2").timeout(2 * SOON).into_future());
    until("one of them again", || published(&peer).len() == 3).await;
    let late = within(begin("3").timeout(HASTE).into_future()).await;
    let late = late.unwrap_err();
    assert_eq!(
        (late.kind(), late.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    assert_eq!(published(&peer).len(), 3, "one at a time");
    first.abort();
    second.abort();
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
