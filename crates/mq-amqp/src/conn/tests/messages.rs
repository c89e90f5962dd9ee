//! Confirms, returns and deliveries in orders that a broker rarely has, and such as it never has.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::BytesMut;

use super::peer::{
    CONSUMER, Peer, Said, Then, ack, channel_close, content, deliver, lost, nack, until, within,
};
use crate::proto::{BasicReturn, Incoming, Method, Properties};
use crate::{Client, Confirm, ErrorKind, Message, Outcome, Publisher, Settle};

/// Confirms nothing by itself.
pub(super) async fn silent() -> Peer {
    Peer::start(|said| match said.name {
        "basic.BasicPublish" => Then::Nothing,
        _ => Then::Usual,
    })
    .await
}

pub(super) async fn publisher(client: &Client) -> Publisher {
    client.publisher("").build().await.unwrap()
}

/// Publishes numbers from 1 on, which are their tags, and waits until the server has them.
pub(super) async fn under_way(peer: &Peer, publisher: &Publisher, count: usize) -> Vec<Confirm> {
    let before = peer.count("basic.BasicPublish");
    let mut confirms = Vec::new();
    for tag in 1..=count {
        let message = Message::new(format!("key {tag}"), tag.to_string());
        confirms.push(publisher.enqueue(message).await.unwrap());
    }
    until("everything under way", || {
        peer.count("basic.BasicPublish") == before + count
    })
    .await;
    confirms
}

/// Gives a message back as a server does that can't route it.
pub(super) fn returned(said: &Said) -> BytesMut {
    let Some(Incoming::Content(Method::BasicPublish(publish), content_)) = &said.incoming else {
        panic!("it is no message");
    };
    let method = BasicReturn {
        reply_code: 312,
        reply_text: "NO_ROUTE".into(),
        exchange: publish.exchange.clone(),
        routing_key: publish.routing_key.clone(),
    };
    let properties = Properties::decode(content_.properties.clone()).unwrap();
    let body = &content_.body;
    content(said.channel, method, &properties, body.len() as u64, body)
}

pub(super) fn published(peer: &Peer) -> Vec<Said> {
    let mut said = peer.said();
    said.retain(|said| said.name == "basic.BasicPublish");
    said
}

/// In any order, one at a time or many, taken or refused: each sender hears what the server said of his message, and nobody hears before.
#[tokio::test]
async fn confirms_in_any_order_reach_their_senders() {
    const COUNT: u64 = 30;
    let mut dice = fastrand::Rng::with_seed(8);
    for _ in 0..40 {
        let peer = silent().await;
        let client = peer.connect().await;
        let publisher = publisher(&client).await;
        let confirms = under_way(&peer, &publisher, 30).await;
        let mut open: BTreeSet<u64> = (1..=COUNT).collect();
        let mut refused = BTreeSet::new();
        let mut said = BytesMut::new();
        while !open.is_empty() {
            let tag = *open.iter().nth(dice.usize(..open.len())).unwrap();
            let (multiple, no) = (dice.u8(..5) == 0, dice.u8(..3) == 0);
            let covered: Vec<u64> = if multiple {
                open.range(..=tag).copied().collect()
            } else {
                vec![tag]
            };
            for tag in covered {
                open.remove(&tag);
                if no {
                    refused.insert(tag);
                }
            }
            let word = if no { nack } else { ack };
            said.extend_from_slice(&word(1, tag, multiple));
        }
        peer.tell(1, &said).await;
        for (tag, confirm) in (1..).zip(confirms) {
            match within(confirm).await {
                Ok(receipt) => {
                    assert!(!refused.contains(&tag), "{tag} was refused");
                    assert_eq!(receipt.attempts(), 1);
                }
                Err(failed) => {
                    assert!(refused.contains(&tag), "{tag}: {failed}");
                    assert_eq!(failed.kind(), ErrorKind::Rejected);
                    assert_eq!(failed.message.body(), tag.to_string().as_bytes());
                }
            }
        }
        client.close().await;
    }
}

/// The last one's confirm says nothing of those before: `flush` waits for them all, and tells what was refused.
#[tokio::test]
async fn flush_waits_for_all_and_tells_of_the_refused() {
    let peer = silent().await;
    let client = peer.connect().await;
    let publisher = publisher(&client).await;
    drop(under_way(&peer, &publisher, 3).await);
    peer.tell(1, &ack(1, 3, false)).await;
    let early = tokio::time::timeout(Duration::from_millis(100), publisher.flush()).await;
    assert!(early.is_err(), "two are not confirmed");
    let mut said = nack(1, 1, false);
    said.extend_from_slice(&ack(1, 2, false));
    peer.tell(1, &said).await;
    let unheard = within(publisher.flush()).await.unwrap_err();
    assert_eq!(unheard.count, 1);
    assert_eq!(unheard.last[0].message.body(), "1");
}

/// Returns come at once, confirms late and many at a time: a return is told to the sender of that message.
#[tokio::test]
async fn a_return_before_a_coalesced_confirm_is_told_to_its_sender() {
    let peer = silent().await;
    let client = peer.connect().await;
    let publisher = publisher(&client).await;
    let confirms = under_way(&peer, &publisher, 10).await;
    let sent = published(&peer);
    let mut said = returned(&sent[6]);
    said.extend_from_slice(&returned(&sent[2]));
    said.extend_from_slice(&ack(1, 10, true));
    peer.tell(1, &said).await;
    for (tag, confirm) in (1..).zip(confirms) {
        match within(confirm).await {
            Ok(_) => assert!(tag != 3 && tag != 7, "{tag} was returned"),
            Err(failed) => {
                assert!(tag == 3 || tag == 7, "{tag}: {failed}");
                assert_eq!(failed.kind(), ErrorKind::NotFound);
                assert!(
                    failed.to_string().contains(&format!("key {tag}")),
                    "{failed}"
                );
            }
        }
    }
    // One that nobody has under way any more is passed over.
    peer.tell(1, &returned(&sent[0])).await;
    let next = under_way(&peer, &publisher, 1).await;
    peer.tell(1, &ack(1, 11, false)).await;
    for confirm in next {
        within(confirm).await.unwrap();
    }
    assert_eq!(peer.made(), 2);
}

/// Confirms of what was never published: nobody takes them for his, and what is under way is sent again on another connection.
#[tokio::test]
async fn confirms_of_what_was_not_published_confirm_nothing() {
    for (tag, multiple) in [(3, false), (3, true), (u64::MAX, true), (u64::MAX, false)] {
        let peer = Peer::start(|said| match said.name {
            "basic.BasicPublish" if said.connection == 1 => Then::Nothing,
            _ => Then::Usual,
        })
        .await;
        let client = peer.connect().await;
        let mut events = client.events();
        let publisher = publisher(&client).await;
        let confirms = under_way(&peer, &publisher, 2).await;
        peer.tell(1, &ack(1, tag, multiple)).await;
        let error = lost(&mut events).await;
        assert!(error.to_string().contains("delivery tag"), "{error}");
        for confirm in confirms {
            let receipt = within(confirm).await.unwrap();
            assert_eq!(receipt.attempts(), 2, "{tag}, {multiple}");
        }
    }
}

/// A confirm on a channel that does not confirm yet, and twice the same one.
#[tokio::test]
async fn confirms_at_the_wrong_time_are_passed_over() {
    let peer = Peer::start(|said| match said.name {
        "channel.ChannelOpen" => {
            let mut early = ack(said.channel, u64::MAX, true);
            early.extend_from_slice(&ack(said.channel, u64::MAX, false));
            Then::Add(early)
        }
        "basic.BasicPublish" => Then::Add(ack(said.channel, said.tag, true)),
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let publisher = publisher(&client).await;
    for _ in 0..3 {
        let sent = publisher.send(Message::new("q", "x"));
        assert_eq!(within(sent.into_future()).await.unwrap().attempts(), 1);
    }
    assert_eq!(peer.made(), 2);
}

/// A channel that was not put into confirm mode in time gets no message, and none of those that wait is mistaken for another one later.
#[tokio::test]
async fn nothing_is_published_on_a_channel_that_does_not_confirm() {
    let mut selects = 0;
    let peer = Peer::start(move |said| match said.name {
        "confirm.ConfirmSelect" => {
            selects += 1;
            if selects == 2 {
                Then::Nothing
            } else {
                Then::Usual
            }
        }
        "basic.BasicPublish" => Then::Nothing,
        _ => Then::Usual,
    })
    .await;
    let client = peer.hasty().await;
    let publisher = publisher(&client).await;
    peer.tell(1, &channel_close(1, 541)).await;
    until("the channel that is not answered", || {
        peer.count("confirm.ConfirmSelect") == 2
    })
    .await;
    let mut confirms = under_way(&peer, &publisher, 3).await;
    assert_eq!(
        peer.count("confirm.ConfirmSelect"),
        3,
        "they waited for a channel that confirms"
    );
    let channel = published(&peer)[0].channel;
    peer.tell(1, &ack(channel, 3, false)).await;
    within(confirms.pop().unwrap()).await.unwrap();
    for confirm in confirms {
        let open = tokio::time::timeout(Duration::from_millis(50), confirm);
        assert!(open.await.is_err(), "it was confirmed by another's confirm");
    }
}

/// Many tasks share a publisher: tags are counted in the order of the bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tags_are_those_of_the_wire_when_many_tasks_send() {
    let peer = Peer::start(|said| match &said.incoming {
        Some(Incoming::Content(Method::BasicPublish(_), content)) => {
            if content.body.ends_with(b"no") {
                Then::Say(nack(said.channel, said.tag, false))
            } else {
                Then::Usual
            }
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let publisher = publisher(&client).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let publisher = publisher.clone();
        tasks.spawn(async move {
            for at in 0..200 {
                let no = (at + task) % 3 == 0;
                let body = format!("{task} {at} {}", if no { "no" } else { "yes" });
                let result = publisher.send(Message::new("q", body)).await;
                assert_eq!(result.is_err(), no, "{task}, {at}: {result:?}");
            }
        });
    }
    while let Some(done) = within(tasks.join_next()).await {
        done.unwrap();
    }
}

/// Tags that are left out or come twice: the channel can't be trusted, and the consumer goes on with another one.
#[tokio::test]
async fn deliveries_that_are_counted_wrongly_cost_the_channel_and_no_message() {
    for tag in [0, 1, 3, u64::MAX] {
        let peer = Peer::usual().await;
        let client = peer.connect().await;
        let consumer = client.consumer("q").build().await.unwrap();
        peer.deliver(1, "first").await;
        let first = within(consumer.recv()).await.unwrap().unwrap();
        peer.deliver(tag, "odd").await;
        until("another channel", || peer.count("basic.BasicConsume") == 2).await;
        let stale = first.ack().await.unwrap_err();
        assert_eq!(
            (stale.kind(), stale.outcome()),
            (ErrorKind::Stale, Outcome::NotSent)
        );
        peer.deliver(1, "next").await;
        let next = within(consumer.recv()).await.unwrap().unwrap();
        assert_eq!(next.text(), Some("next"), "tag {tag}");
        next.ack().await.unwrap();
        until("its ack, and no other", || {
            peer.count("basic.BasicAck") == 1
        })
        .await;
    }
}

/// The next channel counts from 1 again: what was held of the one before settles nothing there.
#[tokio::test]
async fn what_was_held_of_a_lost_channel_settles_nothing_on_the_next() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    peer.deliver(1, "first").await;
    let lost = within(consumer.recv()).await.unwrap().unwrap();
    let (connection, channel) = peer.consuming();
    peer.tell(connection, &channel_close(channel, 406)).await;
    let next = peer.receive(&consumer).await.unwrap().unwrap();
    let stale = lost.ack().await.unwrap_err();
    assert_eq!(
        (stale.kind(), stale.outcome()),
        (ErrorKind::Stale, Outcome::NotSent)
    );
    next.ack().await.unwrap();
    until("its ack", || peer.count("basic.BasicAck") == 1).await;
    client.close().await;
    assert_eq!(peer.count("basic.BasicAck"), 1, "and no other");
}

/// More than was asked for: it is not kept, and the connection goes with it. Of a stream, which comes by chunks, a chunk more is.
#[tokio::test]
async fn a_server_that_does_not_keep_to_the_prefetch_fills_no_memory() {
    for (stream, rounds, most) in [(false, 20, 100), (true, 80, 66_000)] {
        let peer = Peer::usual().await;
        let client = peer.connect().await;
        let mut consuming = client.consumer("q").prefetch(3);
        if stream {
            consuming = consuming.stream_offset("first");
        }
        let consumer = consuming.build().await.unwrap();
        for round in 0..rounds {
            let mut flood = BytesMut::new();
            for tag in 1..=1000 {
                flood.extend_from_slice(&deliver(1, CONSUMER, round * 1000 + tag, "more"));
            }
            peer.tell(0, &flood).await;
        }
        until("another channel", || peer.count("basic.BasicConsume") >= 2).await;
        let received = consumer.counts().received;
        assert!(received <= most, "{received} were taken");
        assert!(!stream || received > 65_000, "{received} were taken");
    }
    let client = Peer::usual().await.connect().await;
    let none = client.consumer("q").prefetch(0).build().await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Invalid);
}

/// To a channel there is one consumer: what comes under another name is its message too. What comes where nobody consumes is passed over.
#[tokio::test]
async fn deliveries_for_a_consumer_that_is_not_known() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let publisher = publisher(&client).await;
    peer.tell(1, &deliver(1, "nobody", 1, "x")).await;
    let consumer = client.consumer("q").build().await.unwrap();
    let (connection, channel) = peer.consuming();
    peer.tell(connection, &deliver(channel, "nobody", 1, "x"))
        .await;
    let delivery = within(consumer.recv()).await.unwrap().unwrap();
    delivery.settle(Settle::Ack).await.unwrap();
    within(publisher.send(Message::new("q", "x")).into_future())
        .await
        .unwrap();
    until("its ack", || peer.count("basic.BasicAck") == 1).await;
    assert_eq!(peer.made(), 2);
}
