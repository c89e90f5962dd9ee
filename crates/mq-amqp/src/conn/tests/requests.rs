//! Requests whose answers are odd, or whose connection breaks.

use std::task::Poll;

use bytes::BytesMut;

use super::peer::{CONSUMER, Peer, Said, Then, channel_close, content, frame, until, within};
use crate::proto::{BasicDeliver, ChannelFlow, Incoming, Properties};
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

/// The connection breaks: who asked on it hears so, and who had not been written yet gets an answer on the next one, and not an error for a
/// request that is handled.
#[tokio::test]
async fn a_request_that_was_not_written_outlives_the_connection() {
    let peer = Peer::start(|said| match (said.name, asks(said)) {
        ("basic.BasicPublish", b"flight") => Then::Nothing,
        ("basic.BasicPublish", b"queued") => Then::Add(answer(said, b"heard")),
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let rpc = client.rpc("").await.unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for what in ["confirmed", "flight"] {
        asked.spawn(rpc.call(Message::new("q", what)).into_future());
    }
    until("two requests", || peer.count("basic.BasicPublish") == 2).await;
    peer.tell(1, &frame(1, ChannelFlow { active: false })).await;
    until("the pause", || peer.count("channel.ChannelFlowOk") == 1).await;
    let mut queued = rpc.call(Message::new("q", "queued")).into_future();
    let waits = std::future::poll_fn(|cx| Poll::Ready(queued.as_mut().poll(cx).is_pending()));
    assert!(waits.await, "it waits in the line");
    peer.hang_up().await;
    while let Some(result) = within(asked.join_next()).await {
        let error = result.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Disconnected, Outcome::Unknown)
        );
    }
    assert_eq!(within(queued).await.unwrap().text(), Some("heard"));
    assert_eq!(
        peer.count("basic.BasicPublish"),
        3,
        "nothing is asked twice"
    );
}

/// Requests that a closed channel took along are not sent again: those that come after them need not go one at a time.
#[tokio::test]
async fn requests_after_a_channel_that_was_closed_go_together() {
    let peer = Peer::start(|said| match said.name {
        "basic.BasicPublish" => Then::Nothing,
        _ => Then::Usual,
    })
    .await;
    let client = peer.connect().await;
    let rpc = client.rpc("").await.unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for wanted in [2, 4] {
        asked.spawn(rpc.call(Message::new("q", "x")).into_future());
        asked.spawn(rpc.call(Message::new("q", "y")).into_future());
        until("two more", || peer.count("basic.BasicPublish") == wanted).await;
        peer.tell(1, &channel_close(1, 406)).await;
        for _ in 0..2 {
            let error = within(asked.join_next()).await.unwrap().unwrap();
            assert_eq!(error.unwrap_err().outcome(), Outcome::Unknown);
        }
    }
}
