//! Requests whose answers are odd, or whose connection breaks.

use bytes::BytesMut;

use super::peer::{CONSUMER, Peer, Said, Then, content, within};
use crate::proto::{BasicDeliver, Incoming, Properties};
use crate::{ErrorKind, Message, Outcome, Retry};

/// An answer to a request that was published.
fn answer(said: &Said, body: &[u8]) -> BytesMut {
    let Some(Incoming::Content(_, request)) = &said.incoming else {
        panic!("it is no request");
    };
    let asked = Properties::decode(request.properties.clone()).unwrap();
    let properties = Properties {
        correlation_id: asked.correlation_id,
        ..Properties::default()
    };
    let method = BasicDeliver {
        consumer_tag: CONSUMER.into(),
        delivery_tag: 1,
        redelivered: false,
        exchange: "".into(),
        routing_key: "amq.rabbitmq.reply-to.x".into(),
    };
    content(said.channel, method, &properties, body.len() as u64, body)
}

/// What a request says.
fn asks(said: &Said) -> &[u8] {
    match &said.incoming {
        Some(Incoming::Content(_, request)) => &request.body,
        _ => b"",
    }
}

/// An answer larger than may be is an error, and no answer that is empty.
#[tokio::test]
async fn an_answer_that_is_too_large_is_told_to_who_asked() {
    let peer = Peer::start(|said| match (said.name, asks(said)) {
        ("basic.BasicPublish", b"much") => Then::Add(answer(said, &[7; 101])),
        ("basic.BasicPublish", _) => Then::Add(answer(said, &[7; 100])),
        _ => Then::Usual,
    })
    .await;
    let client = peer.client().max_message_size(100).connect();
    let client = within(client).await.unwrap();
    let rpc = client.rpc("").await.unwrap();
    let much = within(rpc.call(Message::new("q", "much")).into_future()).await;
    let error = much.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome(), error.retry()),
        (ErrorKind::Rejected, Outcome::Unknown, Retry::Never)
    );
    assert!(error.to_string().contains("101 bytes"), "{error}");
    let fits = within(rpc.call(Message::new("q", "little")).into_future()).await;
    assert_eq!(fits.unwrap().body().len(), 100);
    assert_eq!(peer.made(), 2);
}
