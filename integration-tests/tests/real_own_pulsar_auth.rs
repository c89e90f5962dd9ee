//! Tokens that expire while messages are sent: a broker of the test's own, which asks each second whether it is time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::brokers::pulsar::{ADMIN, Node, token};
use integration_tests::harness::now;
use integration_tests::harness::pulsar::Manage;
use mq_core::{Clock as _, SystemClock};
use mq_pulsar::{Auth, Client, Message, Secret};

const LIFE: Duration = Duration::from_secs(4);

#[tokio::test]
#[ignore = "needs Pulsar; starts its own broker"]
async fn real_own_pulsar_auth_tokens_expire_while_messages_are_sent_and_none_is_lost() {
    let refresh = &["authenticationRefreshCheckSeconds=1"];
    let node = tokio::task::spawn_blocking(|| Node::start_secured(refresh));
    let node = node.await.unwrap().unwrap();
    let topic = Manage::of(&node).topic("expire").await;
    let key = fs::read(node.tokens().unwrap().key()).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let supplied = Auth::token_supplier(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let token = token(&key, ADMIN, Some(SystemClock.wall() + LIFE));
        async move { Ok(Secret::new(token)) }
    });
    let client = Client::from_url(&node.url()).unwrap().auth(supplied);
    let client = client.connect().await.unwrap();
    let producer = client.producer(topic).build().await.unwrap();
    let began = now();
    let mut sent = 0;
    while now() - began < 4 * LIFE {
        let receipt = producer.send(Message::new("x")).await.unwrap();
        // The connection stood: nothing was written twice.
        assert_eq!(receipt.attempts(), 1, "after {sent}");
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(asked.load(Ordering::Relaxed) >= 3, "it was not asked anew");
    assert!(sent > 100);
}
