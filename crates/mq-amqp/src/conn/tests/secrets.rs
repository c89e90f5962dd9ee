//! Passwords and tokens that are renewed, and such as the server does not take.

use mq_core::Secret;

use super::peer::{Peer, Said, Then, connection_close, frame, until, within};
use crate::proto::{ConnectionClose, Incoming, Method, ReplyCode};
use crate::{ErrorKind, Event, Message, Queue};

/// Whether a connection is asked for with this secret.
fn logs_in_with(said: &Said, secret: &str) -> bool {
    match &said.incoming {
        Some(Incoming::Method(Method::ConnectionStartOk(start))) => {
            let response = format!("\0guest\0{secret}");
            start.response.0 == response.as_bytes()
        }
        _ => false,
    }
}

/// As RabbitMQ does with whom it does not let in.
fn not_let_in() -> Then {
    Then::Say(frame(
        0,
        ConnectionClose {
            reply_code: 403,
            reply_text: "ACCESS_REFUSED - Login was refused".into(),
            class_id: 0,
            method_id: 0,
        },
    ))
}

/// The server closes the connection over it, and the next one is made with the old secret, with which the client lives on.
#[tokio::test]
async fn a_secret_that_is_refused_is_not_kept() {
    let peer = Peer::start(|said| match said.name {
        "connection.ConnectionUpdateSecret" => Then::Say(connection_close(530)),
        _ if logs_in_with(said, "new") => not_let_in(),
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let publisher = client.publisher("").build().await.unwrap();
    let mut events = client.events();
    let refused = within(client.update_secret(Secret::new("new"))).await;
    let error = refused.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, Some(&ReplyCode::NOT_ALLOWED))
    );
    loop {
        match within(events.next()).await.unwrap() {
            Event::Connected { .. } => break,
            Event::Ended { error, .. } => panic!("there is no other connection: {error}"),
            _ => {}
        }
    }
    within(client.declare_queue(Queue::classic("q")))
        .await
        .unwrap();
    within(publisher.send(Message::new("q", "x")).into_future())
        .await
        .unwrap();
    assert_eq!(peer.count("connection.ConnectionUpdateSecret"), 1);
}

/// What the server has taken is what the next connections are made with, and both connections have given it.
#[tokio::test]
async fn a_secret_that_was_taken_is_used_by_the_next_connections() {
    let mut renewed = false;
    let peer = Peer::start(move |said| match said.name {
        "connection.ConnectionUpdateSecret" => {
            renewed = true;
            Then::Usual
        }
        "connection.ConnectionStartOk" if renewed && !logs_in_with(said, "new") => not_let_in(),
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let publisher = client.publisher("").build().await.unwrap();
    within(client.update_secret(Secret::new("new")))
        .await
        .unwrap();
    assert_eq!(peer.count("connection.ConnectionUpdateSecret"), 2);
    peer.hang_up().await;
    until("both again", || peer.made() == 4).await;
    within(publisher.send(Message::new("q", "x")).into_future())
        .await
        .unwrap();
    within(client.declare_queue(Queue::classic("q")))
        .await
        .unwrap();
    assert_eq!(peer.made(), 4, "each was let in at once");
}
