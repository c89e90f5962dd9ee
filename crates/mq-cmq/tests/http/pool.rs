//! Connections: kept, replaced, and never shared with the answer to another request.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mq_cmq::ErrorKind;
use tokio::sync::Barrier;

use crate::server::{Reply, Server};

#[tokio::test]
async fn a_connection_is_kept() {
    let server = Server::start((0..5).map(|at| Reply::stored(&at.to_string()))).await;
    let queue = server.queue();
    for _ in 0..5 {
        queue.send("x").await.unwrap();
    }
    assert!(server.seen().iter().all(|it| it.connection == 0));
}

#[tokio::test]
async fn one_that_the_server_closed_is_replaced_unheard() {
    let closing = |id: &str| Reply::Last(format!(r#"{{"code":0,"msgId":"{id}"}}"#));
    let server = Server::start([closing("0"), closing("1"), closing("2")]).await;
    let queue = server.queue();
    for at in 0..3 {
        let receipt = queue.send("x").await.unwrap();
        assert_eq!(receipt.message_id(), at.to_string());
    }
    let connections: Vec<_> = server.seen().iter().map(|it| it.connection).collect();
    assert_eq!(connections, [0, 1, 2]);
}

#[tokio::test]
async fn requests_at_a_time_have_connections_of_their_own() {
    let barrier = Arc::new(Barrier::new(8));
    let late = |id: usize| {
        let text = format!(r#"{{"code":0,"msgId":"{id}"}}"#);
        Reply::Together(Arc::clone(&barrier), text)
    };
    let server = Server::start((0..8).map(late)).await;
    let queue = server.queue();
    let sends: Vec<_> = (0..8)
        .map(|_| tokio::spawn(queue.send("x").into_future()))
        .collect();
    let mut ids = HashSet::new();
    for send in sends {
        ids.insert(send.await.unwrap().unwrap().message_id().to_owned());
    }
    assert_eq!(ids.len(), 8);
    let connections: HashSet<_> = server.seen().iter().map(|it| it.connection).collect();
    assert_eq!(connections.len(), 8);
}

#[tokio::test]
async fn a_call_that_was_dropped_leaves_no_answer_to_the_next() {
    let late = r#"{"code":0,"msgId":"of the first"}"#;
    let late = Reply::After(Duration::from_millis(200), late.into());
    let server = Server::start([late, Reply::stored("of the second")]).await;
    let queue = server.queue();
    tokio::select! {
        _ = queue.send("x").into_future() => panic!("it is late"),
        () = server.saw(1) => {}
    }
    let receipt = queue.send("y").await.unwrap();
    assert_eq!(receipt.message_id(), "of the second");
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let server = Server::start([Reply::stored("1"), Reply::stored("2")]).await;
    let client = server.builder().build().unwrap();
    let queue = client.queue("q").unwrap();
    queue.send("x").await.unwrap();
    client.close();
    let error = queue.send("x").await.unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert_eq!(server.seen().len(), 1);
}
