//! Messages that come back, among others that are nearly the same.

use bytes::BytesMut;

use super::messages::{published, publisher, returned, silent};
use super::peer::{Peer, Said, ack, content, until, within};
use crate::proto::{BasicReturn, Incoming, Method, Properties};
use crate::{Client, Confirm, ErrorKind, Message, Publisher, Receipt, SendError};

/// Publishes what the server is silent about, in this order.
async fn all(messages: Vec<(Message, bool)>) -> (Peer, Client, Publisher, Vec<Confirm>) {
    let peer = silent().await;
    let client = peer.connect().await;
    let publisher = publisher(&client).await;
    let (count, mut confirms) = (messages.len(), Vec::new());
    for (message, mandatory) in messages {
        let send = publisher.enqueue(message).mandatory(mandatory);
        confirms.push(send.await.unwrap());
    }
    until("everything under way", || published(&peer).len() == count).await;
    (peer, client, publisher, confirms)
}

/// The server says this, and then confirms everything.
async fn told(
    peer: &Peer,
    mut said: BytesMut,
    confirms: Vec<Confirm>,
) -> Vec<Result<Receipt, SendError>> {
    said.extend_from_slice(&ack(1, confirms.len() as u64, true));
    peer.tell(1, &said).await;
    let mut results = Vec::new();
    for confirm in confirms {
        results.push(within(confirm).await);
    }
    results
}

fn twin(body: &'static str, tenant: &'static str) -> Message {
    Message::new("key", body)
        .id("twin")
        .header("tenant", tenant)
}

/// The same id and the same key: a body or a header tells whose message came back.
#[tokio::test]
async fn twins_of_one_id_are_told_apart() {
    let messages = || {
        vec![
            (twin("routed", "a"), true),
            (twin("routed", "b"), true),
            (twin("other", "b"), true),
        ]
    };
    for back in 0..3 {
        let (peer, _client, _publisher, confirms) = all(messages()).await;
        let said = returned(&published(&peer)[back]);
        let results = told(&peer, said, confirms).await;
        for (at, result) in results.into_iter().enumerate() {
            let failed = result.err().map(|failed| failed.kind());
            assert_eq!(failed, (at == back).then_some(ErrorKind::NotFound), "{at}");
        }
    }
}

/// What need not be routed does not come back: its twin, alike to the last byte, does.
#[tokio::test]
async fn a_message_that_is_not_mandatory_is_not_the_one_that_came_back() {
    let (peer, _client, _publisher, confirms) =
        all(vec![(twin("x", "a"), false), (twin("x", "a"), true)]).await;
    let said = returned(&published(&peer)[1]);
    let results = told(&peer, said, confirms).await;
    let kinds: Vec<_> = results
        .into_iter()
        .map(|result| result.err().map(|failed| failed.kind()))
        .collect();
    assert_eq!(kinds, [None, Some(ErrorKind::NotFound)]);
}

/// The content of what was published, with properties as a server's plugin leaves them.
fn changed(said: &Said) -> BytesMut {
    let Some(Incoming::Content(Method::BasicPublish(publish), sent)) = &said.incoming else {
        panic!("it is no message");
    };
    let method = BasicReturn {
        reply_code: 312,
        reply_text: "NO_ROUTE".into(),
        exchange: publish.exchange.clone(),
        routing_key: publish.routing_key.clone(),
    };
    let mut properties = Properties::decode(sent.properties.clone()).unwrap();
    properties.timestamp = Some(1);
    let headers = properties.headers.get_or_insert_default();
    headers.insert("timestamp_in_ms", 1);
    content(
        said.channel,
        method,
        &properties,
        sent.body.len() as u64,
        &sent.body,
    )
}

/// A server that stamps messages gives them back stamped: none of them counts as routed for that.
#[tokio::test]
async fn a_message_that_the_server_has_changed_came_back_all_the_same() {
    let (peer, _client, _publisher, confirms) = all(vec![
        (twin("routed", "a"), true),
        (twin("other", "a"), true),
    ])
    .await;
    let said = changed(&published(&peer)[1]);
    let results = told(&peer, said, confirms).await;
    let kinds: Vec<_> = results
        .into_iter()
        .map(|result| result.err().map(|failed| failed.kind()))
        .collect();
    assert_eq!(kinds, [None, Some(ErrorKind::NotFound)]);
}

/// It is said of another exchange: no message of this publisher's is meant.
#[tokio::test]
async fn what_came_back_from_another_exchange_is_nobodys() {
    let (peer, _client, _publisher, confirms) = all(vec![(twin("x", "a"), true)]).await;
    let method = BasicReturn {
        reply_code: 312,
        reply_text: "NO_ROUTE".into(),
        exchange: "another".into(),
        routing_key: "key".into(),
    };
    let sent = &published(&peer)[0];
    let Some(Incoming::Content(_, sent)) = &sent.incoming else {
        panic!("it is a message");
    };
    let properties = Properties::decode(sent.properties.clone()).unwrap();
    let said = content(1, method, &properties, 1, b"x");
    for result in told(&peer, said, confirms).await {
        result.unwrap();
    }
}
