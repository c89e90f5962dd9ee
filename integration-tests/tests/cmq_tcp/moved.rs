//! A gateway that has moved: whoever used it goes over by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::harness::{size, within};
use mq_cmq::{Client, TcpClient, Verdict};
use mq_dev::cmq::{DevServer, QueueSpec};
use mq_dev::proxy::{Ending, Proxy, Toxic};

use crate::world::{Seen, consume, impatient, server, transactional, until};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What is at the old address.
#[derive(Debug, Clone, Copy)]
enum Old {
    /// Nobody.
    Closed,
    /// Somebody who accepts and says nothing.
    Silent,
    /// Somebody who hangs up.
    Rude,
}

impl Old {
    fn begin(self, old: &Proxy) {
        match self {
            Self::Closed => drop(old.toxics().add(Toxic::refuse())),
            Self::Silent => drop(old.toxics().add(Toxic::blackhole())),
            Self::Rude => drop(old.toxics().add(Toxic::limit_data(0))),
        }
        if !matches!(self, Self::Silent) {
            old.cut(Ending::Close);
        }
    }
}

async fn before(server: &DevServer) -> Proxy {
    let gateway = server.gateway_addr().unwrap().to_string();
    Proxy::builder(gateway).raw(true).start().await.unwrap()
}

fn accepted(proxy: &Proxy, server: &DevServer) -> u64 {
    proxy.accepted_for(&server.gateway_addr().unwrap().to_string())
}

#[tokio::test]
async fn cmq_tcp_a_gateway_that_was_closed_is_followed() {
    let followed = Box::pin(is_followed(Old::Closed));
    within(MINUTE, "it goes over", followed).await;
}

#[tokio::test]
async fn cmq_tcp_a_gateway_that_fell_silent_is_followed() {
    let followed = Box::pin(is_followed(Old::Silent));
    within(MINUTE, "it goes over", followed).await;
}

#[tokio::test]
async fn cmq_tcp_a_gateway_that_hangs_up_is_followed() {
    let followed = Box::pin(is_followed(Old::Rude));
    within(MINUTE, "it goes over", followed).await;
}

/// A producer, a consumer and transactions, before and behind the move.
async fn is_followed(what: Old) {
    let server = server([QueueSpec::new("q").visibility(2 * SECOND), transactional()]).await;
    let (old, new) = (before(&server).await, before(&server).await);
    server.advertise(old.addr().to_string());
    let client = impatient(&server.tcp_url());
    let seen = Seen::default();
    let running = consume(&client, "q", &seen);
    let orders = client
        .transactional("t", |_| async { Verdict::Commit })
        .unwrap();
    let count = size(20, 500);
    send(&client, 0..count).await;
    until("the first", || seen.lock().unwrap().len() == count).await;
    // Left to the checker: it is asked where the gateway is then.
    drop(orders.begin("left").await.unwrap());

    server.advertise(new.addr().to_string());
    what.begin(&old);
    let (attempts, asked) = (accepted(&old, &server), server.requests("QueryQueueRoute"));
    send(&client, count..2 * count).await;
    until("the others", || seen.lock().unwrap().len() == 2 * count).await;
    while orders.begin("new").await.is_err() {}
    let http = Client::from_url(&server.url()).unwrap().build().unwrap();
    let (queue, mut committed) = (http.queue("t").unwrap(), BTreeSet::new());
    while committed.len() < 2 {
        let message = queue.receive(20 * SECOND).await.unwrap().unwrap();
        queue.delete(message.handle()).await.unwrap();
        committed.insert(message.into_body());
    }
    assert_eq!(committed, ["left", "new"].map(String::from).into());
    let attempts = accepted(&old, &server) - attempts;
    let asked = server.requests("QueryQueueRoute") - asked;
    assert!(attempts <= 10, "{attempts} attempts at the old address");
    assert!(asked <= 20, "{asked} questions for the way");
    assert!(new.connections() >= 1);
    client.close();
    running.await.unwrap();
}

/// Sends each until it is stored.
async fn send(client: &TcpClient, numbers: std::ops::Range<usize>) {
    let queue = client.queue("q").unwrap();
    for at in numbers {
        while queue.send(at.to_string()).await.is_err() {}
    }
}
