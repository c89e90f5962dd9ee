//! A subscription that ours and theirs consume together.

use std::time::Duration;

use integration_tests::foreign::pulsar::{Content, Peer};

use crate::world::World;

const COUNT: usize = 600;

async fn together(peer: Peer) {
    let world = World::start(peer).await;
    let topic = world.manage.topic("together").await;
    world.manage.subscribe(&topic, "s").await;
    let theirs = world.theirs(&topic).shared().queue(10);
    // They don't know how many are theirs: they go when nothing more comes.
    let theirs = theirs.idle(Duration::from_secs(4));
    let theirs = theirs.start_recv("s", COUNT).await.unwrap();
    let ours = world.ours.consumer("s").topic(&topic).shared();
    let ours = ours.receiver_queue(10).build().await.unwrap();
    let handle = ours.handle();
    let receiving = tokio::spawn(async move {
        let mut numbers = Vec::new();
        while let Some(delivery) = ours.recv().await.unwrap() {
            numbers.push(delivery.text().unwrap().parse::<usize>().unwrap());
            delivery.ack().await.unwrap();
        }
        numbers
    });

    let numbers = (0..COUNT).map(|number| Content::new(number.to_string()));
    let numbers: Vec<_> = numbers.collect();
    let options = world.ours.producer(&topic).batch_messages(1);
    world.we_send(options, &numbers).await;
    let theirs = theirs.finish().await.unwrap();
    world.acked(&topic, "s").await;
    handle.close().await;
    let ours = receiving.await.unwrap();

    let theirs = theirs
        .iter()
        .map(|seen| seen.content.text().parse().unwrap());
    let theirs: Vec<usize> = theirs.collect();
    let (few, many) = (theirs.len().min(ours.len()), theirs.len().max(ours.len()));
    assert!(few >= 10, "{few} and {many}: both have a share");
    let mut all = [ours, theirs].concat();
    all.sort_unstable();
    assert_eq!(all, (0..COUNT).collect::<Vec<_>>(), "each of them once");
    world.ours.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), JDK 17 and Maven"]
async fn real_pulsar_interop_a_subscription_shared_with_java() {
    together(Peer::Java).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Python 3 with venv"]
async fn real_pulsar_interop_a_subscription_shared_with_python() {
    together(Peer::Python).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Go"]
async fn real_pulsar_interop_a_subscription_shared_with_go() {
    together(Peer::Go).await;
}
