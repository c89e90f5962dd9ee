//! Limits that no broker proposes, and servers that fall silent.

use std::time::Duration;

use super::peer::{
    Peer, Said, Then, connection_close, frame, lost, lost_at_any_time, tune, until, within,
};
use crate::conn::now;
use crate::proto::{ConnectionTuneOk, Incoming, Method};
use crate::{ErrorKind, Message};

/// Proposes limits; the rest is usual.
async fn proposing(channel_max: u16, frame_max: u32, heartbeat: u16) -> Peer {
    Peer::start(move |said| match said.name {
        "connection.ConnectionStartOk" => {
            Then::Say(frame(0, tune(channel_max, frame_max, heartbeat)))
        }
        _ => Then::Usual,
    })
    .await
}

fn settled(peer: &Peer) -> ConnectionTuneOk {
    let tuned = |said: &Said| match &said.incoming {
        Some(Incoming::Method(Method::ConnectionTuneOk(ok))) => Some(ok.clone()),
        _ => None,
    };
    peer.said().iter().find_map(tuned).unwrap()
}

#[tokio::test]
async fn a_servers_0_is_no_limit_and_ours_count() {
    for (channels, frames) in [(0, 0), (u16::MAX, u32::MAX), (2048, 131_073)] {
        let peer = proposing(channels, frames, 0).await;
        let client = peer.connect().await;
        let wanted = ConnectionTuneOk {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 10,
        };
        assert_eq!(settled(&peer), wanted);
        let publisher = client.publisher("").build().await.unwrap();
        let large = Message::new("q", vec![7; 1_000_000]);
        within(publisher.send(large).into_future()).await.unwrap();
        client.close().await;
    }
}

/// What is less than every peer has to take is not gone below: a server that insists says so itself.
#[tokio::test]
async fn frames_below_the_least_are_the_least() {
    let peer = proposing(5, 1000, 0).await;
    let client = peer.connect().await;
    let settled = settled(&peer);
    assert_eq!((settled.frame_max, settled.channel_max), (4096, 5));
    let publisher = client.publisher("").build().await.unwrap();
    within(
        publisher
            .send(Message::new("q", vec![7; 20_000]))
            .into_future(),
    )
    .await
    .unwrap();
    let strict = Peer::start(|said| match said.name {
        "connection.ConnectionStartOk" => Then::Say(frame(0, tune(0, 1000, 0))),
        "connection.ConnectionTuneOk" => Then::Say(connection_close(530)),
        "connection.ConnectionOpen" => Then::Nothing,
        _ => Then::Usual,
    })
    .await;
    let error = strict.client().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
}

/// The shorter one counts, whoever wants none has none, and a part of a second is not none.
#[tokio::test]
async fn heartbeats_are_settled() {
    let of = Duration::from_millis;
    for (ours, theirs, wanted) in [
        (of(10_000), 60, 10),
        (of(60_000), 5, 5),
        (of(10_000), 0, 10),
        (of(0), 60, 0),
        (of(300), 60, 1),
        (of(1500), 60, 2),
    ] {
        let peer = proposing(0, 0, theirs).await;
        let client = peer.client().heartbeat(ours).connect().await.unwrap();
        assert_eq!(settled(&peer).heartbeat, wanted, "{ours:?} and {theirs} s");
        client.close().await;
    }
}

/// A connection on which nothing is heard is given up after two heartbeats, and one on which only heartbeats are is not.
#[tokio::test]
async fn a_silent_server_is_given_up_after_two_heartbeats() {
    let peer = proposing(0, 0, 1).await;
    let client = peer.connect().await;
    let mut events = client.events();
    let begun = now();
    let error = lost(&mut events).await;
    let took = now() - begun;
    assert!(error.to_string().contains("nothing heard"), "{error}");
    assert!(
        took > Duration::from_millis(1500) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert!(peer.count("heartbeat") >= 1, "ours were sent");
    until("another connection", || peer.made() == 2).await;
    let answering = Peer::start(|said| match said.name {
        "connection.ConnectionStartOk" => Then::Say(frame(0, tune(0, 0, 1))),
        "heartbeat" => Then::Say(b"\x08\0\0\0\0\0\0\xce"[..].into()),
        _ => Then::Usual,
    })
    .await;
    let client = answering.connect().await;
    until("five seconds of heartbeats", || {
        answering.count("heartbeat") >= 5
    })
    .await;
    assert_eq!(answering.made(), 1);
    client.close().await;
}

/// As many channels as the server has; the next one is told so, and it takes no memory to ask for one again and again.
#[tokio::test]
async fn one_channel_is_enough_to_say_that_there_is_none() {
    let peer = proposing(1, 0, 0).await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    let error = client.queue("q").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    consumer.close().await;
    client.queue("q").await.unwrap();
    client.close().await;
}

/// `amqp://[::1]:port`: the address is not taken for a name, and is told as it was written.
#[tokio::test]
async fn an_address_of_ip_version_6() {
    let peer = Peer::at("[::1]:0", |_| Then::Usual).await;
    let builder = peer.client();
    assert!(format!("{builder:?}").contains("::1"), "{builder:?}");
    let client = builder.connect().await.unwrap();
    let publisher = client.publisher("").build().await.unwrap();
    within(publisher.send(Message::new("q", "x")).into_future())
        .await
        .unwrap();
    client.close().await;
    let url = format!("amqp://[::1]:{}", peer.port());
    drop(peer);
    let error = crate::Client::from_url(&url).unwrap().connect();
    let error = error.await.unwrap_err();
    assert!(error.to_string().contains("[::1]:"), "{error}");
}

/// Short of memory, a broker says so and reads nothing more from who publishes, for as long as that takes; it is alive, and so is the connection.
#[tokio::test]
async fn a_server_that_is_blocked_for_long_keeps_its_connection() {
    let mut deaf = false;
    let peer = Peer::start(move |said| match said.name {
        "basic.BasicPublish" if !std::mem::replace(&mut deaf, true) => {
            Then::Deaf(Duration::from_secs(23))
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.client().heartbeat(Duration::from_secs(2)).connect();
    let client = client.await.unwrap();
    let mut events = client.events();
    let publisher = client.publisher("").timeout(Duration::from_secs(60));
    let publisher = publisher.build().await.unwrap();
    let mut confirms = Vec::new();
    for _ in 0..900 {
        let message = Message::new("q", vec![7; 20_000]);
        confirms.push(publisher.enqueue(message).await.unwrap());
    }
    let beating = async {
        loop {
            peer.say(b"\x08\0\0\0\0\0\0\xce").await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let confirmed = futures_util::future::join_all(confirms);
    tokio::select! {
        all = confirmed => for one in all {
            assert_eq!(one.unwrap().attempts(), 1);
        },
        () = beating => {}
        error = lost_at_any_time(&mut events) => panic!("{error}"),
    }
    assert_eq!(peer.made(), 2);
}

/// A call that is dropped when its channel has been opened, and before it has seen that, gives the channel back.
#[tokio::test]
async fn a_call_that_is_dropped_keeps_no_channel() {
    let peer = proposing(3, 0, 0).await;
    let client = peer.connect().await;
    for round in 0..6 {
        let mut call = Box::pin(client.queue("q"));
        assert!(futures_util::poll!(call.as_mut()).is_pending());
        until("its channel", || peer.count("channel.ChannelOpen") > round).await;
        // The answer to it is read, and nobody looks.
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(call);
    }
    within(client.queue("q")).await.unwrap();
}
