//! Connecting again, where the server dies meanwhile: nothing of that is the end.

use super::peer::{Peer, Said, Then, channel_close, connection_close, frame, start, within};
use crate::proto::{Method, Table, Value};
use crate::{ErrorKind, Exchange, Retry};

/// As a server greets that says when it refuses a login.
fn telling(said: &Said) -> Then {
    let capabilities: Table = [("authentication_failure_close", true)]
        .into_iter()
        .collect();
    let mut greeting = start("PLAIN");
    if let Method::ConnectionStart(start) = &mut greeting {
        let properties = &mut start.server_properties;
        properties.insert("capabilities", Value::Table(capabilities));
    }
    Then::Say(frame(said.channel, greeting))
}

/// A server that is killed while it looks at user and password has not refused them: neither one that would have said so, nor one that never does.
#[tokio::test]
async fn a_server_that_dies_during_the_login_is_tried_again() {
    for tells in [true, false] {
        let peer = Peer::start(move |said| match said.name {
            "header" if tells => telling(said),
            "connection.ConnectionStartOk" if (1..4).contains(&said.connection) => Then::HangUp,
            _ => Then::Usual,
        })
        .await;
        let client = peer.connect().await;
        let consumer = client.consumer("q").build().await.unwrap();
        peer.hang_up().await;
        let delivery = peer.receive(&consumer).await.unwrap().unwrap();
        assert_eq!(delivery.text(), Some("x"));
        assert_eq!(peer.made(), 5, "{tells}");
    }
}

/// A connection that is lost as something is refused that was to be declared again: the refusal is no reason to make no other.
#[tokio::test]
async fn a_refusal_on_a_connection_that_is_lost_is_not_the_end() {
    let peer = Peer::start(|said| match said.name {
        "exchange.ExchangeDeclare" if said.connection == 1 => {
            let mut both = channel_close(said.channel, 404);
            both.extend_from_slice(&connection_close(320));
            Then::Say(both)
        }
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let declared = client.declare_exchange(Exchange::direct("x")).await;
    declared.unwrap();
    let consumer = client.consumer("q").build().await.unwrap();
    peer.hang_up().await;
    let delivery = peer.receive(&consumer).await.unwrap().unwrap();
    assert_eq!(delivery.text(), Some("x"));
}

/// At the first connection a likely reason is told, where the server leaves it at that.
#[tokio::test]
async fn a_login_that_ends_in_silence_is_told_as_what_it_is() {
    for (tells, kind) in [(true, ErrorKind::Disconnected), (false, ErrorKind::Auth)] {
        let peer = Peer::start(move |said| match said.name {
            "header" if tells => telling(said),
            "connection.ConnectionStartOk" => Then::HangUp,
            _ => Then::Usual,
        })
        .await;
        let error = within(peer.client().connect()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, Retry::Later));
        assert_eq!(
            error.to_string().contains("check user and password"),
            !tells
        );
    }
}
