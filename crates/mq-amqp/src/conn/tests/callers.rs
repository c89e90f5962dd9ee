//! What callers can do wrong, and what the compiler is to let them.

use super::peer::Peer;
use crate::{
    Binding, Client, Consumer, Error, ErrorKind, Exchange, Message, Outcome, Publisher, Queue,
};

/// Names that the wire can't carry are refused before anything leaves: nothing panics, and nothing is cut.
#[tokio::test]
async fn names_that_are_too_long_are_refused_here() {
    let peer = Peer::usual().await;
    let client = peer.connect().await;
    let long = || "n".repeat(256);
    let nested: crate::Table = [(
        "outer",
        crate::Value::from(vec![crate::Value::Table(
            [(long(), 1)].into_iter().collect(),
        )]),
    )]
    .into_iter()
    .collect();
    let argued = Queue::classic("q").argument(long(), 1);
    let publisher = client.publisher("").build().await.unwrap();
    let mut failures = vec![
        client.declare_queue(Queue::classic(long())).await.map(drop),
        client.declare_queue(argued).await.map(drop),
        client.declare_exchange(Exchange::direct(long())).await,
        client
            .declare_exchange(Exchange::of_kind("x", long()))
            .await,
        client
            .declare_exchange(Exchange::direct("x").argument(long(), 1))
            .await,
        client.bind(Binding::queue("q").to("x").key(long())).await,
        client
            .bind(Binding::queue("q").to("x").header(long(), 1))
            .await,
        client.consumer(long()).build().await.map(drop),
        client.consumer("q").tag(long()).build().await.map(drop),
        client
            .consumer("q")
            .argument(long(), 1)
            .build()
            .await
            .map(drop),
        client.publisher(long()).build().await.map(drop),
        client.rpc(long()).await.map(drop),
        Client::builder().vhost(long()).connect().await.map(drop),
        publisher
            .send(Message::new(long(), "x"))
            .await
            .map(drop)
            .map_err(Error::from),
        publisher
            .send(Message::new("q", "x").headers(nested))
            .await
            .map(drop)
            .map_err(Error::from),
    ];
    failures.extend(looked_for(&client, &long()).await);
    for (at, failure) in failures.into_iter().enumerate() {
        let error = failure.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Invalid, Outcome::NotSent),
            "{at}: {error}"
        );
    }
    assert_eq!(peer.made(), 2);
}

async fn looked_for(client: &Client, name: &str) -> [Result<(), Error>; 4] {
    [
        client.queue(name).await.map(drop),
        client.delete_queue(name).await.map(drop),
        client.delete_exchange(name).await,
        client.purge_queue(name).await.map(drop),
    ]
}

/// Handles may be used and dropped by any task.
#[test]
fn handles_are_of_any_thread() {
    fn any<T: Send + Sync + 'static>() {}
    any::<Client>();
    any::<Publisher>();
    any::<Consumer>();
    any::<crate::ConsumerHandle>();
    any::<crate::Delivery>();
    any::<crate::Acker>();
    any::<crate::RpcClient>();
    any::<crate::SendError>();
}
