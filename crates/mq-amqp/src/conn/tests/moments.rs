//! What a server may say at any moment: the end of a channel or of the connection, a block, a pause.

use std::time::Duration;

use super::peer::{
    CONSUMER, Peer, Then, ack, blocked, channel_close, connection_close, deliver, frame, lost,
    until, within,
};
use crate::proto::{ChannelFlow, ReplyCode};
use crate::{
    Binding, Client, Error, ErrorKind, Event, Exchange, Message, Outcome, Queue, Retry, Settle,
};

/// Everything that a client does, each once.
const MOMENTS: [&str; 18] = [
    "connection.ConnectionOpen",
    "channel.ChannelOpen",
    "exchange.ExchangeDeclare",
    "queue.QueueDeclare",
    "queue.QueueBind",
    "queue.QueueUnbind",
    "queue.QueueDelete",
    "basic.BasicQos",
    "basic.BasicConsume",
    "basic.BasicAck",
    "confirm.ConfirmSelect",
    "basic.BasicPublish",
    "basic.BasicCancel",
    "tx.TxSelect",
    "tx.TxCommit",
    "tx.TxRollback",
    "channel.ChannelClose",
    "connection.ConnectionClose",
];

async fn everything(peer: &Peer, client: &Client) -> Result<(), Error> {
    client.declare_exchange(Exchange::direct("x")).await?;
    client.declare_queue(Queue::classic("q")).await?;
    client.bind(Binding::queue("q").to("x")).await?;
    client.unbind(Binding::queue("q").to("x")).await?;
    client.delete_queue("other").await?;
    let publisher = client.publisher("").build().await?;
    publisher.send(Message::new("q", "x")).await?;
    let consumer = client.consumer("q").build().await?;
    if let Some(delivery) = peer.receive(&consumer).await? {
        // Stale is an answer too.
        let _ = delivery.settle(Settle::Ack).await;
    }
    within(consumer.close()).await;
    within(publisher.close()).await.map_err(|_| closed())?;
    let mut channel = client.tx_channel().build().await?;
    for commits in [true, false] {
        let tx = channel.begin().await?;
        tx.publish("", Message::new("q", "x")).await?;
        if commits {
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
    }
    Ok(())
}

fn closed() -> Error {
    Error::builder(ErrorKind::Closed, "flushing failed").build()
}

/// Says something once, at the first moment of its name, in the place of the answer or with it.
async fn once(
    moment: &'static str,
    instead: bool,
    what: impl Fn(u16) -> bytes::BytesMut + Send + 'static,
) -> Peer {
    let mut before = true;
    Peer::start(move |said| {
        if said.name != moment || !std::mem::take(&mut before) {
            return Then::Usual;
        }
        let what = what(said.channel);
        if instead {
            Then::Say(what)
        } else {
            Then::Add(what)
        }
    })
    .await
}

/// Whoever waits hears the server's code or goes on by himself; the next time everything works.
#[tokio::test]
async fn the_connection_is_closed_at_any_moment() {
    for moment in MOMENTS {
        for instead in [true, false] {
            let peer = once(moment, instead, |_| connection_close(320)).await;
            let client = match peer.client().connect().await {
                Ok(client) => client,
                Err(error) => {
                    assert_eq!(moment, "connection.ConnectionOpen", "{error}");
                    assert_eq!(error.code(), Some(&ReplyCode::CONNECTION_FORCED));
                    peer.connect().await
                }
            };
            let mut done = within(everything(&peer, &client)).await;
            let mut failures = 0;
            while let Err(error) = done {
                assert_eq!(error.retry(), Retry::Later, "{moment}: {error}");
                assert_eq!(error.kind(), ErrorKind::Disconnected, "{moment}: {error}");
                failures += 1;
                assert!(failures < 5, "{moment}: {error}");
                done = within(everything(&peer, &client)).await;
            }
            within(client.close()).await;
            until("the end of the sockets", || peer.stand() == 0).await;
        }
    }
}

/// A channel that is closed takes its call along and nothing else; what publishes and consumes opens another one.
#[tokio::test]
async fn a_channel_is_closed_at_any_moment() {
    for moment in &MOMENTS[1..16] {
        for instead in [true, false] {
            let peer = once(moment, instead, |channel| channel_close(channel, 541)).await;
            let client = peer.connect().await;
            let mut done = within(everything(&peer, &client)).await;
            let mut failures = 0;
            while let Err(error) = done {
                let gone = error.kind() == ErrorKind::Disconnected;
                let told = error.code() == Some(&ReplyCode::INTERNAL_ERROR);
                assert!(gone || told, "{moment}: {error}");
                failures += 1;
                assert!(failures < 3, "{moment}: {error}");
                done = within(everything(&peer, &client)).await;
            }
            assert_eq!(peer.made(), 2, "{moment}: the connections stand");
            within(client.close()).await;
        }
    }
}

/// The channel of a publisher is closed in the same breath in which it becomes one that confirms.
#[tokio::test]
async fn a_publisher_whose_channel_is_closed_as_it_opens_gets_another_one() {
    let peer = once("confirm.ConfirmSelect", false, |channel| {
        channel_close(channel, 541)
    })
    .await;
    let client = peer.connect().await;
    let publisher = loop {
        if let Ok(publisher) = within(client.publisher("").build()).await {
            break publisher;
        }
    };
    within(publisher.send(Message::new("q", "x")).into_future())
        .await
        .unwrap();
}

/// As it is reopened: what waits is sent on the next one.
#[tokio::test]
async fn a_publisher_whose_channel_is_closed_as_it_reopens_gets_another_one() {
    let mut selects = 0;
    let peer = Peer::start(move |said| match said.name {
        "confirm.ConfirmSelect" => {
            selects += 1;
            if selects == 2 {
                return Then::Add(channel_close(said.channel, 541));
            }
            Then::Usual
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let publisher = client.publisher("").build().await.unwrap();
    peer.tell(1, &channel_close(1, 541)).await;
    until("a channel again", || {
        peer.count("confirm.ConfirmSelect") >= 2
    })
    .await;
    within(publisher.send(Message::new("q", "x")).into_future())
        .await
        .unwrap();
}

/// Blocked at any moment: nothing else stops, no publish leaves, a close comes to its end.
#[tokio::test]
async fn the_connection_is_blocked_at_any_moment() {
    for moment in MOMENTS {
        let peer = once(moment, false, |_| blocked(true)).await;
        let client = peer.connect().await;
        let mut events = client.events();
        let doing = everything(&peer, &client);
        tokio::pin!(doing);
        let helping = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                // No server says it in a handshake.
                for said in peer.said() {
                    if said.name == "connection.ConnectionOpen" {
                        peer.tell(said.connection, &blocked(false)).await;
                    }
                }
            }
        };
        tokio::select! {
            done = within(doing) => done.unwrap(),
            () = helping => {}
        }
        peer.say(&blocked(true)).await;
        within(client.close()).await;
        until("the end of the sockets", || peer.stand() == 0).await;
        if !["connection.ConnectionOpen", "connection.ConnectionClose"].contains(&moment) {
            let event = within(events.next()).await.unwrap();
            assert!(
                !matches!(event, Event::Disconnected { .. }),
                "{moment}: {event:?}"
            );
        }
    }
}

/// Blocked, a send waits to its time and was not sent; unblocked, it leaves.
#[tokio::test]
async fn a_blocked_publisher_sends_nothing_until_it_is_unblocked() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let publisher = client.publisher("").build().await.unwrap();
    let mut events = client.events();
    // The publishing connection alone: what is told of the other one says nothing of this one.
    peer.tell(1, &blocked(true)).await;
    let event = within(events.next()).await.unwrap();
    assert!(matches!(event, Event::Blocked { .. }), "{event:?}");
    let late = publisher.send(Message::new("q", "late"));
    let late = within(late.timeout(Duration::from_millis(200)).into_future()).await;
    let late = late.unwrap_err();
    assert_eq!(
        (late.kind(), late.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    assert!(late.to_string().contains("blocked"), "{late}");
    let waits = publisher.enqueue(Message::new("q", "waits")).await.unwrap();
    assert_eq!(peer.count("basic.BasicPublish"), 0);
    peer.say(&blocked(false)).await;
    within(waits).await.unwrap();
    assert_eq!(peer.count("basic.BasicPublish"), 1);
}

/// `channel.flow`: answered, and no message leaves until it is taken back.
#[tokio::test]
async fn a_pause_that_the_server_asks_for_is_kept() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let publisher = client.publisher("").build().await.unwrap();
    peer.tell(1, &frame(1, ChannelFlow { active: false })).await;
    until("its answer", || peer.count("channel.ChannelFlowOk") >= 1).await;
    let late = publisher.send(Message::new("q", "late"));
    let late = within(late.timeout(Duration::from_millis(200)).into_future()).await;
    let late = late.unwrap_err();
    assert_eq!(late.outcome(), Outcome::NotSent, "{late}");
    let waits = publisher.enqueue(Message::new("q", "waits")).await.unwrap();
    peer.tell(1, &frame(1, ChannelFlow { active: true })).await;
    within(waits).await.unwrap();
    assert_eq!(peer.count("basic.BasicPublish"), 1);
    // Another channel has no pause of the former one.
    peer.tell(1, &frame(1, ChannelFlow { active: false })).await;
    peer.tell(1, &channel_close(1, 541)).await;
    until("another channel", || {
        peer.count("confirm.ConfirmSelect") == 2
    })
    .await;
    within(publisher.send(Message::new("q", "next")).into_future())
        .await
        .unwrap();
}

/// While we close, the server closes too, or goes on speaking.
#[tokio::test]
async fn what_comes_during_a_close_is_heard_to_the_end() {
    for what in [
        connection_close(320),
        blocked(true),
        ack(1, 1, false),
        deliver(1, CONSUMER, 1, "x"),
        channel_close(1, 541),
        frame(1, ChannelFlow { active: false }),
    ] {
        let said = what.clone();
        let peer = Peer::start(move |it| match it.name {
            "connection.ConnectionClose" => Then::Say(said.clone()),
            _ => Then::Usual,
        })
        .await;
        let client = peer.connect().await;
        let publisher = client.publisher("").build().await.unwrap();
        let consumer = client.consumer("q").build().await.unwrap();
        within(client.close()).await;
        assert!(within(consumer.recv()).await.unwrap().is_none());
        let failed = within(publisher.send(Message::new("q", "x")).into_future()).await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Closed);
        until("the end of the sockets", || peer.stand() == 0).await;
    }
}

/// The code and the words of the server are told to those who watch.
#[tokio::test]
async fn the_reason_of_an_end_is_told() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let mut events = client.events();
    peer.say(&connection_close(320)).await;
    let error = lost(&mut events).await;
    assert_eq!(error.code(), Some(&ReplyCode::CONNECTION_FORCED));
    assert!(error.to_string().contains("a test"), "{error}");
}
