//! What one client has acknowledged inside of a batch, the other one does not get.

use integration_tests::foreign::pulsar::{Content, Peer};

use crate::world::{World, content, some};

/// Of a batch of ten; more than one, and not the first ones.
const DONE: [usize; 3] = [1, 4, 9];

fn ten() -> Vec<Content> {
    (0..10)
        .map(|number| Content::new(number.to_string()))
        .collect()
}

fn rest() -> Vec<Content> {
    let mut rest = ten();
    for number in DONE.iter().rev() {
        rest.remove(*number);
    }
    rest
}

async fn a_batch_of_theirs(world: &World, what: &str) -> String {
    let topic = world.manage.topic(what).await;
    world.manage.subscribe(&topic, "s").await;
    let places = world.theirs(&topic).batch(10).send(&ten()).await.unwrap();
    assert!(places.iter().all(|place| place.entry == places[0].entry));
    topic
}

async fn ours_then_theirs(world: &World) {
    let topic = a_batch_of_theirs(world, "ours-first").await;
    let ours = world.consumer(&topic, "s").await;
    for (at, delivery) in some(&ours, 10).await.into_iter().enumerate() {
        assert_eq!(delivery.text(), Some(at.to_string().as_str()));
        if DONE.contains(&at) {
            delivery.ack().await.unwrap();
        } else {
            delivery.release().await.unwrap();
        }
    }
    ours.close().await;
    assert_eq!(world.manage.backlog(&topic, "s").await, 1);
    let theirs = world.theirs(&topic).batch_index();
    // One more than there is would not come: they wait for it.
    let theirs = theirs.recv("s", 7).await.unwrap();
    let seen: Vec<_> = theirs.into_iter().map(|seen| seen.content).collect();
    assert_eq!(seen, rest());
    // Both together have acknowledged all of it.
    world.acked(&topic, "s").await;
}

async fn theirs_then_ours(world: &World) {
    let topic = a_batch_of_theirs(world, "theirs-first").await;
    let theirs = world.theirs(&topic).batch_index().ack(&DONE);
    let seen = theirs.recv("s", 10).await.unwrap();
    assert_eq!(seen.len(), 10);
    assert_eq!(world.manage.backlog(&topic, "s").await, 1);
    let ours = world.consumer(&topic, "s").await;
    let mut seen = Vec::new();
    for delivery in some(&ours, 7).await {
        seen.push(content(&delivery));
        delivery.ack().await.unwrap();
    }
    assert_eq!(seen, rest());
    world.acked(&topic, "s").await;
    ours.close().await;
}

async fn both_ways(peer: Peer) {
    let world = World::start(peer).await;
    ours_then_theirs(&world).await;
    theirs_then_ours(&world).await;
    world.ours.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), JDK 17 and Maven"]
async fn real_pulsar_interop_acknowledged_inside_of_a_batch_with_java() {
    both_ways(Peer::Java).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Python 3 with venv"]
async fn real_pulsar_interop_acknowledged_inside_of_a_batch_with_python() {
    both_ways(Peer::Python).await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL), Go"]
async fn real_pulsar_interop_acknowledged_inside_of_a_batch_with_go() {
    both_ways(Peer::Go).await;
}
