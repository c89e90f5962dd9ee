//! Servers and clients, and how to wait.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mq_cmq::{Settle, TcpClient};
use mq_dev::cmq::{DevServer, QueueSpec};
use tokio::task::JoinHandle;

/// The bodies that came.
pub(crate) type Seen = Arc<Mutex<BTreeSet<String>>>;

pub(crate) async fn server(queues: impl IntoIterator<Item = QueueSpec>) -> DevServer {
    let server = DevServer::builder()
        .gateway("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    for queue in queues {
        server.create_queue(queue).unwrap();
    }
    server
}

pub(crate) fn client(server: &DevServer) -> TcpClient {
    TcpClient::from_url(&server.tcp_url())
        .unwrap()
        .build()
        .unwrap()
}

pub(crate) fn transactional() -> QueueSpec {
    QueueSpec::new("t").transactional(Duration::from_secs(1), 15)
}

pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    ended.unwrap_or_else(|_| panic!("{what}"));
}

/// A client that waits a second for an answer.
pub(crate) fn impatient(url: &str) -> TcpClient {
    let builder = TcpClient::from_url(url).unwrap();
    builder.timeout(Duration::from_secs(1)).build().unwrap()
}

/// Takes and acknowledges, until the client closes.
pub(crate) fn consume(client: &TcpClient, queue: &str, seen: &Seen) -> JoinHandle<()> {
    let queue = client.queue(queue).unwrap();
    let consumer = queue
        .consumer()
        .wait(Duration::from_secs(1))
        .build()
        .unwrap();
    let seen = Arc::clone(seen);
    tokio::spawn(async move {
        let handled = consumer.run(move |held| {
            seen.lock().unwrap().insert(held.body().to_owned());
            async { Ok::<_, &str>(Settle::Ack) }
        });
        // It ends with the client.
        let _ = handled.await;
    })
}
