//! Nameservers and brokers that move to other addresses under load: the client follows, nothing is lost, and nothing is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::harness::{
    Eater, Stored, connect_to, nameserver, send_numbers, topic, unique, until,
};
use mq_dev::proxy::Proxy;
use mq_rocketmq::ErrorKind;

const COUNT: usize = 3000;
const WAIT: Duration = Duration::from_secs(60);

/// Two proxies stand before one cluster, and each names itself for the nameserver and for every broker: who changes from one to the other sees
/// all of them move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_nameservers_and_brokers_move_under_load() {
    let old = Proxy::builder(nameserver()).start().await.unwrap();
    let new = Proxy::builder(nameserver()).start().await.unwrap();
    let topic = topic("moving", 4).await;
    let client = connect_to(&format!("rocketmq://{}", old.addr())).await;
    let producer = client.producer(&unique("producer")).build().await.unwrap();
    let eater = Eater::start(&client, &unique("group"), &topic, Duration::ZERO).await;
    let ended = Arc::new(AtomicUsize::new(0));
    let sending = tokio::spawn(send_numbers(
        producer,
        topic.clone(),
        0..COUNT,
        (16, Duration::from_millis(1)),
        Arc::clone(&ended),
    ));
    until(WAIT, "some are sent", async || {
        ended.load(Ordering::Acquire) > COUNT / 4
    })
    .await;
    assert!(old.connections() >= 2 && new.connections() == 0);

    for (addresses, part) in [(vec![], "no nameserver given"), (vec!["a b:1"], "address")] {
        let error = client.set_nameservers(addresses).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{error}");
    }
    client.set_nameservers([new.addr().to_string()]).unwrap();
    // A long poll is under way for 15 s, and routes are looked through every 20 s.
    until(WAIT, "nobody is at the old addresses", async || {
        old.connections() == 0
    })
    .await;
    let names = new.upstreams();
    let told: Vec<_> = client.health().peers;
    assert!(told.iter().all(|peer| peer.failure.is_none()), "{told:?}");
    assert_eq!(told.len(), names.len(), "{told:?} {names:?}");

    let all = sending.await.unwrap();
    assert!(all.iter().all(|sent| sent.result.is_ok()), "{all:?}");
    old.close().await;
    let stored = Stored::read(&client, &topic).await;
    stored.agrees_with(&all);
    assert_eq!((stored.count(), stored.copies()), (COUNT, 0));
    let numbers: BTreeSet<_> = (0..COUNT).map(|number| number.to_string()).collect();
    eater.has_seen(&numbers).await;
    assert_eq!(eater.count(), COUNT, "none came twice");
    client.close().await.unwrap();
}
