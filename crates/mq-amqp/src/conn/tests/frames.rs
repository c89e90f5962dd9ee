//! Bytes that no broker sends: the connection is given up with the reason, another one is made, and it goes on there.

use bytes::{BufMut as _, BytesMut};

use super::peer::{CONSUMER, Peer, Then, ack, content, frame, lost, nack, tune, until, within};
use crate::proto::*;
use crate::{Client, Consumer, ErrorKind, Message, Publisher, Retry};

/// A client with a consumer (channel 1 of the first connection) and a publisher (channel 1 of the second).
struct Bench {
    client: Client,
    consumer: Consumer,
    publisher: Publisher,
}

impl Bench {
    async fn on(peer: &Peer) -> Self {
        let client = peer.connect().await;
        let consumer = client.consumer("q").prefetch(10).build().await.unwrap();
        let publisher = client.publisher("").build().await.unwrap();
        Self {
            client,
            consumer,
            publisher,
        }
    }

    /// Both directions, on whatever connections there are now.
    async fn works(&self, peer: &Peer) {
        let sent = self.publisher.send(Message::new("q", "x"));
        within(sent.into_future()).await.unwrap();
        let delivery = peer.receive(&self.consumer).await.unwrap().unwrap();
        delivery.ack().await.unwrap();
    }
}

fn raw(kind: u8, channel: u16, length: u32, payload: &[u8], end: u8) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(kind);
    out.put_u16(channel);
    out.put_u32(length);
    out.put_slice(payload);
    out.put_u8(end);
    out
}

fn method(channel: u16, payload: &[u8]) -> BytesMut {
    let length = u32::try_from(payload.len()).unwrap();
    raw(1, channel, length, payload, 0xce)
}

/// What is said, and a word of what is told of it.
type Garbage = Vec<(&'static str, BytesMut, &'static str)>;

fn garbage() -> Garbage {
    [no_frames(), no_sequences()].concat()
}

/// What can't be read.
fn no_frames() -> Garbage {
    let of = |bytes: &[u8]| BytesMut::from(bytes);
    vec![
        ("text", of(b"HTTP/1.1 400 Bad Request\r\n"), "frame type"),
        ("a protocol", of(b"AMQP\x00\x01\x00\x00"), "version"),
        ("a kind", raw(4, 1, 0, b"", 0xce), "frame type"),
        ("an end", raw(1, 1, 4, &[0, 60, 0, 80], 0xcd), "frame end"),
        ("4 GiB", raw(3, 1, u32::MAX, b"", 0xce), "frame length"),
        (
            "a byte too many",
            raw(3, 1, 131_065, b"", 0xce),
            "frame length",
        ),
        ("a class", method(1, &[0, 61, 0, 80]), "61.80"),
        ("a method", method(1, &[0, 60, 0, 99]), "60.99"),
        ("no method", method(1, &[0]), "class id"),
        (
            "half a method",
            method(1, &[0, 60, 0, 80, 0, 0]),
            "delivery_tag",
        ),
        (
            "a long text",
            method(1, &[0, 60, 0, 60, 200, b'x']),
            "consumer_tag",
        ),
        ("of the connection", method(0, &[0, 10, 0, 99]), "10.99"),
    ]
}

/// What can be read, and can't come there.
fn no_sequences() -> Garbage {
    let no = Properties::default();
    let told = || BasicDeliver {
        consumer_tag: CONSUMER.into(),
        delivery_tag: 1,
        redelivered: false,
        exchange: "".into(),
        routing_key: "q".into(),
    };
    let mut longer = content(1, told(), &no, 3, b"ab");
    longer.extend_from_slice(&raw(3, 1, 2, b"cd", 0xce));
    let mut shorter = content(1, told(), &no, 3, b"ab");
    shorter.extend_from_slice(&frame(1, told()));
    let mut twice = frame(1, told());
    twice.extend_from_slice(&frame(1, told()));
    let header = [&[0, 60, 0, 0][..], &[0; 8], &[0, 0]].concat();
    vec![
        ("a channel", frame(7, BasicQosOk {}), "7 is not open"),
        (
            "a body of a channel",
            raw(3, 65_535, 1, b"x", 0xce),
            "65535 is not open",
        ),
        (
            "a header alone",
            raw(2, 1, 14, &header, 0xce),
            "content header",
        ),
        ("a body alone", raw(3, 1, 1, b"x", 0xce), "content body"),
        (
            "half a header",
            {
                let mut out = frame(1, told());
                out.extend_from_slice(&raw(2, 1, 3, &[0, 60, 0], 0xce));
                out
            },
            "weight",
        ),
        ("more body", longer, "more than was announced"),
        ("less body", shorter, "under way"),
        ("no header", twice, "under way"),
        (
            "an answer",
            frame(1, QueuePurgeOk { message_count: 1 }),
            "nobody waits",
        ),
        ("a request", frame(1, TxSelect {}), "nobody waits"),
        ("an end unasked", frame(1, ChannelCloseOk {}), "nobody"),
        (
            "another end unasked",
            frame(0, ConnectionCloseOk {}),
            "nobody",
        ),
        ("a beginning", frame(0, tune(1, 1, 1)), "nobody"),
    ]
}

#[tokio::test]
async fn garbage_ends_the_connection_with_the_reason_and_another_is_made() {
    for (what, bytes, word) in garbage() {
        let peer = Peer::usual().await;
        let bench = Bench::on(&peer).await;
        let mut events = bench.client.events();
        peer.say(&bytes).await;
        for _ in 0..2 {
            let error = lost(&mut events).await;
            let told = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Disconnected, "{what}: {told}");
            assert!(told.contains(word), "{what}: {told}");
        }
        until("both connections", || peer.made() == 4 && peer.stand() == 2).await;
        bench.works(&peer).await;
        within(bench.client.close()).await;
    }
}

/// What is odd and harmless disturbs nobody.
#[tokio::test]
async fn what_is_odd_and_harmless_is_passed_over() {
    let peer = Peer::usual().await;
    let bench = Bench::on(&peer).await;
    for bytes in [
        raw(3, 0, 1, b"x", 0xce),
        raw(2, 0, 0, b"", 0xce),
        raw(8, 0, 3, b"abc", 0xce),
        raw(8, 1, 0, b"", 0xce),
        frame(
            1,
            ChannelOpenOk {
                reserved_1: LongStr::default(),
            },
        ),
        ack(1, 0, false),
        nack(1, 0, true),
    ] {
        peer.say(&bytes).await;
    }
    bench.works(&peer).await;
    assert_eq!(peer.made(), 2, "the same connections");
}

/// Half a frame and then nothing is silence; half a frame and the end is the end.
#[tokio::test]
async fn frames_that_are_cut_off() {
    for hang_up in [false, true] {
        let peer = Peer::start(move |said| match said.name {
            "connection.ConnectionStartOk" => Then::Say(frame(0, tune(0, 0, 1))),
            "heartbeat" if hang_up => Then::HangUp,
            _ => Then::Usual,
        })
        .await;
        let client = peer.connect().await;
        let mut events = client.events();
        peer.say(&raw(1, 1, 100, b"half", 0xce)).await;
        let error = lost(&mut events).await.to_string();
        let word = if hang_up {
            "closed the connection"
        } else {
            "nothing heard"
        };
        assert!(error.contains(word), "{error}");
        until("another connection", || peer.made() == 2).await;
    }
}

/// In the handshake there is nobody to go on: the caller hears it.
#[tokio::test]
async fn garbage_in_the_handshake_is_told_to_who_connects() {
    for step in [
        "header",
        "connection.ConnectionStartOk",
        "connection.ConnectionOpen",
    ] {
        for (what, bytes, _) in garbage() {
            if what == "a beginning" {
                continue;
            }
            let said = bytes.clone();
            let peer = Peer::start(move |it| match it.name {
                name if name == step => Then::Say(said.clone()),
                _ => Then::Usual,
            })
            .await;
            let error = within(peer.client().connect()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{step}, {what}: {error}");
        }
    }
}

/// One answer for another: nobody takes it for his own.
#[tokio::test]
async fn an_answer_to_something_else_is_none() {
    let peer = Peer::start(|said| match said.name {
        "queue.QueueDeclare" if said.connection == 0 => {
            Then::Say(frame(said.channel, ExchangeDeclareOk {}))
        }
        "exchange.ExchangeDeclare" if said.connection == 1 => {
            Then::Say(frame(said.channel, QueuePurgeOk { message_count: 0 }))
        }
        "confirm.ConfirmSelect" if said.connection == 2 => {
            Then::Say(frame(said.channel, TxSelectOk {}))
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let error = client.queue("q").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Disconnected, Retry::Later),
        "{error}"
    );
    until("another connection", || peer.made() == 2).await;
    let error = client.declare_exchange(crate::Exchange::direct("x")).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Disconnected);
    let error = client.publisher("").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    within(client.close()).await;
}
