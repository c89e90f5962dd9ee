//! Servers and clients, and how to wait.

use std::time::Duration;

use mq_cmq::TcpClient;
use mq_dev::cmq::{DevServer, QueueSpec};

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
