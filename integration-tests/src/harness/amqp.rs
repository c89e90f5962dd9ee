//! RabbitMQ as this run shares it.

use mq_amqp::{Client, ClientBuilder, Queue};

use super::unique;
use crate::brokers::rabbitmq::shared;

/// Options of a client of the node that this run shares. A missing variable fails the test and is named.
pub fn builder() -> ClientBuilder {
    let shared = shared().unwrap_or_else(|why| panic!("{why}"));
    Client::from_url(shared.url()).unwrap()
}

/// A client of the node that this run shares.
pub async fn connect() -> Client {
    builder().connect().await.unwrap()
}

/// A classic queue that no other test and no other run uses.
pub async fn queue(client: &Client, what: &str) -> String {
    let name = unique(what);
    let queue = Queue::classic(name.clone()).expires(std::time::Duration::from_secs(600));
    client.declare_queue(queue).await.unwrap();
    name
}

/// Has the node close the connections whose name begins so.
pub async fn cut(name: &str) {
    let name = name.to_owned();
    let cutting = tokio::task::spawn_blocking(move || {
        let control =
            crate::brokers::rabbitmq::variable("CTL").unwrap_or_else(|why| panic!("{why}"));
        let ctl = |args: &[&str]| {
            let said = std::process::Command::new(&control)
                .arg("-q")
                .args(args)
                .output()
                .unwrap();
            assert!(said.status.success(), "rabbitmqctl {args:?} failed");
            String::from_utf8(said.stdout).unwrap()
        };
        let mut cut = 0;
        for line in ctl(&["list_connections", "pid", "client_properties"]).lines() {
            let pid = line.split('\t').next().unwrap_or_default();
            if line.contains(&name) {
                ctl(&["close_connection", pid, "a test"]);
                cut += 1;
            }
        }
        assert!(cut > 0, "no connection has the name {name}");
    });
    cutting.await.unwrap();
}
