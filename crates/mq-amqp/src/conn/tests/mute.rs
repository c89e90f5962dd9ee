//! A server that never answers one thing: whoever waits hears so at his time, and no later.

use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mq_core::Secret;

use super::peer::{HASTE, Peer, Then, until, within};
use crate::conn::now;
use crate::{Binding, Client, Error, ErrorKind, Exchange, Message, Outcome, Queue, Settle};

/// Answers everything but what is called so.
async fn mute(name: &'static str) -> Peer {
    Peer::start(move |said| {
        if said.name == name {
            Then::Nothing
        } else {
            Then::Usual
        }
    })
    .await
}

/// How long a future took, which has to end.
async fn timed<T>(future: impl Future<Output = T>) -> (Duration, T) {
    let begun = now();
    let result = within(future).await;
    (now() - begun, result)
}

const LATE: Duration = Duration::from_millis(450);
/// Of a call that may take half a second, on a machine that does much else.
const LATEST: Duration = Duration::from_secs(3);

#[tokio::test]
async fn connecting_to_a_server_that_says_nothing_ends_at_its_time() {
    for step in [
        "header",
        "connection.ConnectionStartOk",
        "connection.ConnectionOpen",
    ] {
        let peer = mute(step).await;
        let connecting = peer.client().connect_timeout(HASTE);
        let (took, error) = timed(connecting.connect()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{step}: {error}");
        assert!(took >= LATE && took < LATEST, "{step}: {took:?}");
        until("the end of it", || peer.stand() == 0).await;
    }
}

type Called = BoxFuture<'static, Result<(), Error>>;
type Calls = Vec<(&'static str, fn(Client) -> Called)>;

/// Each call of the client that waits for an answer, and for which.
fn calls() -> Calls {
    fn to<T: Send + 'static>(
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Called {
        call.map(|result| result.map(drop)).boxed()
    }
    vec![
        ("channel.ChannelOpen", |client| {
            to(async move { client.queue("q").await })
        }),
        ("exchange.ExchangeDeclare", |client| {
            to(async move { client.declare_exchange(Exchange::direct("x")).await })
        }),
        ("exchange.ExchangeDelete", |client| {
            to(async move { client.delete_exchange("x").await })
        }),
        ("exchange.ExchangeBind", |client| {
            to(async move { client.bind(Binding::exchange("y").to("x")).await })
        }),
        ("exchange.ExchangeUnbind", |client| {
            to(async move { client.unbind(Binding::exchange("y").to("x")).await })
        }),
        ("queue.QueueDeclare", |client| {
            to(async move { client.declare_queue(Queue::classic("q")).await })
        }),
        ("queue.QueueBind", |client| {
            to(async move { client.bind(Binding::queue("q").to("x")).await })
        }),
        ("queue.QueueUnbind", |client| {
            to(async move { client.unbind(Binding::queue("q").to("x")).await })
        }),
        ("queue.QueuePurge", |client| {
            to(async move { client.purge_queue("q").await })
        }),
        ("queue.QueueDelete", |client| {
            to(async move { client.delete_queue("q").await })
        }),
        ("confirm.ConfirmSelect", |client| {
            to(async move { client.publisher("").build().await })
        }),
        ("tx.TxSelect", |client| {
            to(async move { client.tx_channel().build().await })
        }),
        ("basic.BasicQos", |client| {
            to(async move { client.consumer("q").build().await })
        }),
        ("basic.BasicConsume", |client| {
            to(async move { client.consumer("q").build().await })
        }),
        ("basic.BasicConsume", |client| {
            to(async move { client.rpc("").await })
        }),
        ("connection.ConnectionUpdateSecret", |client| {
            to(async move { client.update_secret(Secret::new("new")).await })
        }),
    ]
}

#[tokio::test]
async fn each_call_ends_at_its_time_when_it_is_not_answered() {
    for (name, call) in calls() {
        let peer = mute(name).await;
        let client = peer.hasty().await;
        let (took, result) = timed(call(client.clone())).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{name}: {error}");
        assert_eq!(error.outcome(), Outcome::Unknown, "{name}: {error}");
        assert!(took >= LATE && took < LATEST, "{name}: {took:?}");
        assert_eq!(peer.count(name), 1, "{name}: asked once");
        within(client.close()).await;
    }
}

/// The connection is lost and there is no other: no call waits for one for ever.
#[tokio::test]
async fn each_call_ends_at_its_time_when_there_is_no_connection() {
    for (name, call) in calls() {
        let peer = Peer::start(|said| match said.name {
            "header" if said.connection > 0 => Then::Nothing,
            _ => Then::Usual,
        })
        .await;
        let client = peer.hasty().await;
        peer.hang_up().await;
        until("another attempt", || peer.made() == 2).await;
        let (took, result) = timed(call(client.clone())).await;
        let error = result.unwrap_err();
        // A publisher dials a connection of its own.
        let wanted = match name {
            "confirm.ConfirmSelect" | "tx.TxSelect" => ErrorKind::Connect,
            _ => ErrorKind::Timeout,
        };
        let dials = error.kind() == ErrorKind::Connect && wanted == ErrorKind::Timeout;
        assert!(
            error.kind() == wanted || dials && name == "basic.BasicConsume",
            "{name}: {error}"
        );
        assert!(took >= LATE && took < LATEST, "{name}: {took:?}");
        within(client.close()).await;
    }
}

/// Sends: awaited, enqueued, and dropped; the last one is told by `flush`, which comes to its end.
#[tokio::test]
async fn each_send_ends_at_its_time_when_it_is_not_confirmed() {
    let peer = mute("basic.BasicPublish").await;
    let client = peer.hasty().await;
    let publisher = client.publisher("").timeout(HASTE);
    let publisher = publisher.window(3).build().await.unwrap();
    let (took, failed) = timed(publisher.send(Message::new("q", "1")).into_future()).await;
    let failed = failed.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    assert!(took >= LATE && took < LATEST, "{took:?}");
    let confirm = publisher.enqueue(Message::new("q", "2")).await.unwrap();
    drop(publisher.enqueue(Message::new("q", "3")).await.unwrap());
    let (took, unheard) = timed(publisher.flush()).await;
    let unheard = unheard.unwrap_err();
    assert!(took < LATEST, "{took:?}");
    assert_eq!((unheard.count, unheard.last.len()), (1, 1), "{unheard}");
    assert_eq!(unheard.last[0].kind(), ErrorKind::Timeout);
    assert_eq!(unheard.last[0].outcome(), Outcome::Unknown);
    assert_eq!(unheard.last[0].message.body(), "3");
    let failed = within(confirm).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Timeout);
    // What was given up holds its place until the broker says what became of it.
    let failed = within(publisher.send(Message::new("q", "4")).into_future()).await;
    let failed = failed.unwrap_err();
    assert_eq!(
        (failed.kind(), failed.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    let (took, closed) = timed(publisher.close()).await;
    closed.unwrap();
    assert!(took < LATEST, "{took:?}");
    within(client.close()).await;
}

/// What was given up holds its place in the window, and not who flushes.
#[tokio::test]
async fn flush_ends_with_the_last_that_anybody_waits_for() {
    let mut first = true;
    let peer = Peer::start(move |said| match said.name {
        "basic.BasicPublish" if std::mem::take(&mut first) => Then::Nothing,
        "basic.BasicPublish" => Then::Deaf(HASTE),
        _ => Then::Usual,
    })
    .await;
    let client = peer.hasty().await;
    let publisher = client.publisher("").build().await.unwrap();
    let given_up = publisher.send(Message::new("q", "1")).timeout(HASTE);
    within(given_up.into_future()).await.unwrap_err();
    drop(publisher.enqueue(Message::new("q", "2")).await.unwrap());
    let (took, flushed) = timed(publisher.flush()).await;
    flushed.unwrap();
    assert!(took < LATEST, "{took:?}");
}

#[tokio::test]
async fn a_request_ends_at_its_time_when_it_is_not_answered() {
    let peer = Peer::usual().await;
    let client = peer.hasty().await;
    let rpc = client.rpc("").await.unwrap();
    let call = rpc.call(Message::new("q", "?"));
    let call = call.timeout(HASTE);
    let (took, error) = timed(call.into_future()).await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    assert!(took >= LATE && took < LATEST, "{took:?}");
}

/// Closing: a consumer whose cancel or whose channel's end is not answered, a client whose goodbye is not.
#[tokio::test]
async fn closing_ends_at_its_time_when_it_is_not_answered() {
    for name in [
        "basic.BasicCancel",
        "channel.ChannelClose",
        "connection.ConnectionClose",
    ] {
        for heartbeat in [0, 10] {
            let peer = mute(name).await;
            let client = peer.client().call_timeout(HASTE);
            let client = client.heartbeat(Duration::from_secs(heartbeat));
            let client = client.connect().await.unwrap();
            let publisher = client.publisher("").build().await.unwrap();
            let consumer = client.consumer("q").build().await.unwrap();
            peer.deliver(1, "x").await;
            let delivery = within(consumer.recv()).await.unwrap().unwrap();
            delivery.settle(Settle::Ack).await.unwrap();
            let (took, ()) = timed(consumer.close()).await;
            assert!(took < LATEST, "{name}: the consumer took {took:?}");
            publisher.close().await.unwrap();
            let (took, ()) = timed(client.close()).await;
            assert!(took < LATEST, "{name}: the client took {took:?}");
            until("the end of the sockets", || peer.stand() == 0).await;
        }
    }
}

/// What is held may still be settled for five seconds; then it is the broker's again.
#[tokio::test]
async fn a_close_waits_for_what_is_held_and_not_for_ever() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let consumer = client.consumer("q").build().await.unwrap();
    peer.deliver(1, "held").await;
    let held = within(consumer.recv()).await.unwrap().unwrap();
    let (took, ()) = timed(consumer.close()).await;
    let five = Duration::from_secs(5);
    assert!(took >= five && took < five + LATEST, "{took:?}");
    assert_eq!(held.ack().await.unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(peer.count("basic.BasicAck"), 0);
}

/// A client that is closed while a connection is being made again leaves none behind.
#[tokio::test]
async fn a_client_that_is_closed_while_it_declares_again_leaves_no_connection() {
    let peer = Peer::start(|said| match said.name {
        "queue.QueueDeclare" if said.connection > 0 => Then::Nothing,
        _ => Then::Usual,
    })
    .await;
    let client = peer.client().call_timeout(Duration::from_secs(60));
    let client = client.connect().await.unwrap();
    client.declare_queue(Queue::classic("q")).await.unwrap();
    peer.hang_up().await;
    until("a queue declared again", || {
        peer.count("queue.QueueDeclare") == 2
    })
    .await;
    let (took, ()) = timed(client.close()).await;
    assert!(took < LATEST, "{took:?}");
    until("the end of the sockets", || peer.stand() == 0).await;
    drop(client);
}
