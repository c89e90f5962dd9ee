//! Transactions whose connection is lost at each of their moments, and what they may hold.

use super::messages::published;
use super::peer::{HASTE, Peer, Then, content, until, within};
use crate::proto::{BasicDeliver, Properties, Table};
use crate::{Client, ErrorKind, Message, Outcome, TxChannel};

/// Cut at the first method of this name.
async fn cut_at(name: &'static str) -> Peer {
    let mut before = true;
    Peer::start(move |said| {
        if said.name == name && std::mem::take(&mut before) {
            Then::HangUp
        } else {
            Then::Usual
        }
    })
    .await
}

async fn channel(client: &Client) -> TxChannel {
    within(client.tx_channel().build()).await.unwrap()
}

/// Lost before the commit was written nothing is applied; lost after it nobody knows. Nothing is written again by itself.
#[tokio::test]
async fn what_is_lost_is_told_with_what_is_known_and_not_repeated() {
    for (name, outcome, written) in [
        ("basic.BasicPublish", Outcome::NotSent, 1),
        ("tx.TxCommit", Outcome::Unknown, 1),
    ] {
        let peer = cut_at(name).await;
        let client = peer.connect().await;
        let mut channel = channel(&client).await;
        let tx = channel.begin().await.unwrap();
        tx.publish("x", Message::new("key", "1")).await.unwrap();
        if outcome == Outcome::NotSent {
            // Until it is heard of here, a publish is taken in, and a commit would be written.
            while tx.publish("x", Message::new("key", "2")).await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        let failed = within(tx.commit()).await.unwrap_err();
        assert_eq!(
            (failed.kind(), failed.outcome()),
            (ErrorKind::Disconnected, outcome),
            "{name}: {failed}"
        );
        let tx = within(channel.begin()).await.unwrap();
        assert_eq!(published(&peer).len(), written, "{name}");
        within(tx.commit()).await.unwrap();
        assert_eq!(published(&peer).len(), written, "{name}");
    }
}

/// The rollback of a connection that is lost is its end.
#[tokio::test]
async fn a_rollback_that_is_lost_is_one() {
    let peer = cut_at("tx.TxRollback").await;
    let client = peer.connect().await;
    let mut channel = channel(&client).await;
    let tx = channel.begin().await.unwrap();
    tx.publish("x", Message::new("key", "1")).await.unwrap();
    until("the first", || published(&peer).len() == 1).await;
    within(tx.rollback()).await.unwrap();
    let tx = within(channel.begin()).await.unwrap();
    tx.publish("x", Message::new("key", "2")).await.unwrap();
    within(tx.commit()).await.unwrap();
    assert_eq!(published(&peer).len(), 2);
}

#[tokio::test]
async fn a_client_that_is_closed_ends_its_transaction() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let mut channel = channel(&client).await;
    let tx = channel.begin().await.unwrap();
    tx.publish("x", Message::new("key", "1")).await.unwrap();
    within(client.close()).await;
    let failed = within(tx.commit()).await.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Closed, Outcome::NotSent)
    );
    let error = within(channel.begin()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

/// More than a transaction may hold is refused, the message comes back, and what was taken is committed.
#[tokio::test]
async fn what_is_too_much_is_refused_and_the_rest_goes_on() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let limited = client.tx_channel().limit(2).limit_bytes(1000);
    let mut channel = limited.timeout(HASTE).build().await.unwrap();
    let tx = channel.begin().await.unwrap();
    let large = Message::new("key", vec![0; 1001]).id("large");
    let named = Message::new("k".repeat(256), "");
    tx.publish("x", Message::new("key", "1")).await.unwrap();
    for (exchange, message) in [
        ("x".to_owned(), large),
        ("x".to_owned(), named),
        ("x".repeat(256), Message::new("key", "")),
        (
            "x".to_owned(),
            Message::new("key", "").header("h", "v".repeat(200_000)),
        ),
    ] {
        let sent = message.clone();
        let failed = tx.publish(exchange, message.id("mine")).await.unwrap_err();
        assert_eq!(
            (failed.kind(), failed.outcome()),
            (ErrorKind::Invalid, Outcome::NotSent),
            "{failed}"
        );
        assert_eq!(*failed.message, sent.id("mine"));
    }
    tx.publish("x", Message::new("key", "2")).await.unwrap();
    let failed = tx.publish("x", Message::new("key", "3")).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Invalid);
    within(tx.commit()).await.unwrap();
    // The next one may hold as much.
    let tx = channel.begin().await.unwrap();
    tx.publish("x", Message::new("key", "3")).await.unwrap();
    within(tx.commit()).await.unwrap();
    assert_eq!(published(&peer).len(), 3);
    for nothing in [
        client.tx_channel().limit(0),
        client.tx_channel().limit_bytes(0),
        client.tx_channel().consume("q").prefetch(0),
        client.tx_channel().consume("q".repeat(256)),
    ] {
        let error = within(nothing.build()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

/// A message of a stream takes nothing back, and one that is too large is refused with the transaction.
#[tokio::test]
async fn what_is_of_a_stream_or_too_large() {
    let peer = Peer::usual().await;
    let client = peer.client().max_message_size(5).connect().await.unwrap();
    let mut channel = client.tx_channel().consume("q").build().await.unwrap();
    let (connection, number) = peer.consuming();
    let told = |tag, stream: bool, body: &str| {
        let deliver = BasicDeliver {
            consumer_tag: "consumer".into(),
            delivery_tag: tag,
            redelivered: false,
            exchange: "".into(),
            routing_key: "q".into(),
        };
        let mut headers = Table::new();
        headers.insert("x-stream-offset", 1_i64);
        let properties = Properties {
            headers: stream.then_some(headers),
            ..Properties::default()
        };
        let size = body.len() as u64;
        content(number, deliver, &properties, size, body.as_bytes())
    };
    peer.tell(connection, &told(1, false, "too large")).await;
    peer.tell(connection, &told(2, false, "small")).await;
    let mut tx = channel.begin().await.unwrap();
    let small = within(tx.recv()).await.unwrap().unwrap();
    assert_eq!(small.text(), Some("small"));
    tx.ack(&small).unwrap();
    within(tx.commit()).await.unwrap();
    assert_eq!(peer.count("basic.BasicReject"), 1);
    peer.tell(connection, &told(3, true, "of a stream")).await;
    peer.tell(connection, &told(4, true, "one")).await;
    let mut tx = channel.begin().await.unwrap();
    let one = within(tx.recv()).await.unwrap().unwrap();
    for refused in [tx.reject(&one), tx.release(&one)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    tx.ack(&one).unwrap();
    // It goes back with the channel.
    within(tx.rollback()).await.unwrap();
    drop(within(channel.begin()).await.unwrap());
    assert_eq!(
        (
            peer.count("basic.BasicReject"),
            peer.count("basic.BasicRecover")
        ),
        (1, 0)
    );
    assert_eq!(peer.count("basic.BasicConsume"), 2);
}
