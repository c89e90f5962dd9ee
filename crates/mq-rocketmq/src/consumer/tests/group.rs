//! Which queues are whose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mq_core::ErrorKind;

use super::broker::Broker;
use super::support::{client, consumer, next, nothing_comes, numbers, until, within};
use crate::proto::Request as _;
use crate::proto::command::{
    GetConsumerList, Heartbeat, NotifyConsumersChanged, PullMessage, Unregister,
};
use crate::{Allocation, ConsumeFrom};

#[tokio::test]
async fn a_queue_that_moves_to_another_member_is_given_up_with_its_offset() {
    let broker = Broker::start("t", 1).await;
    broker.store("t", 0, "A", numbers(0..3));
    let consumer = consumer(&broker, |builder| builder).await;
    next(&consumer).await.ack().await.unwrap();
    let held = next(&consumer).await;
    // It sorts in front, and takes the only queue.
    broker.state().others.push("0.0.0.0@1".to_owned());
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    until("offset 1", || broker.offset("t", 0) == Some(1)).await;
    assert_eq!(
        within(held.ack()).await.unwrap_err().kind(),
        ErrorKind::Stale
    );
    nothing_comes(&consumer).await;
    let pulls = || {
        broker
            .requests::<PullMessage>()
            .iter()
            .filter(|pull| &*pull.topic == "t")
            .count()
    };
    let before = pulls();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(pulls(), before, "a revoked epoch pulls no more");
    assert_eq!(broker.offset("t", 0), Some(1));
    // And it comes back.
    broker.state().others.clear();
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    assert_eq!(next(&consumer).await.offset(), 1);
}

#[tokio::test]
async fn a_list_without_this_consumer_changes_nothing() {
    let broker = Broker::start("t", 1).await;
    let consumer = consumer(&broker, |builder| builder).await;
    // As after a restart of the broker, before the next heartbeat.
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    broker.store("t", 0, "A", numbers(0..1));
    assert_eq!(next(&consumer).await.offset(), 0);
}

#[tokio::test]
async fn a_consumer_that_leaves_is_not_brought_back_by_a_heartbeat_under_way() {
    let broker = Broker::start("t", 1).await;
    let client = client(&broker).await;
    let join = async |group| {
        let builder = client.consumer(group).subscribe("t", "*");
        builder.build().await.unwrap()
    };
    let leaving = join("g").await;
    assert_eq!(broker.state().members("g").len(), 1);
    // The broker is slow to read the one that tells of "h", and still of "g".
    let slow = Duration::from_millis(300);
    broker.state().delay.insert(Heartbeat::CODE.0, slow);
    let told_of_both = || {
        let heartbeats = broker.requests::<Heartbeat>();
        heartbeats.iter().any(|one| one.consumers.len() == 2)
    };
    let leave = async {
        until("a heartbeat of both", told_of_both).await;
        within(leaving.close()).await;
    };
    let (staying, ()) = tokio::join!(join("h"), leave);
    assert_eq!(broker.state().members("g"), [""; 0]);
    assert_eq!(broker.state().members("h").len(), 1);
    within(staying.close()).await;
    assert_eq!(broker.state().members("h"), [""; 0]);
}

#[tokio::test]
async fn a_heartbeat_beside_a_leave_does_not_name_who_leaves() {
    let broker = Broker::start("t", 1).await;
    let client = client(&broker).await;
    let builder = client.consumer("g").subscribe("t", "*");
    let leaving = builder.build().await.unwrap();
    let slow = Duration::from_millis(300);
    broker.state().delay.insert(Unregister::CODE.0, slow);
    let join = async {
        let asked = || !broker.requests::<Unregister>().is_empty();
        until("the leave", asked).await;
        let builder = client.consumer("h").subscribe("t", "*");
        builder.build().await.unwrap()
    };
    let (_staying, ()) = tokio::join!(join, within(leaving.close()));
    let last = broker.requests::<Heartbeat>().pop().unwrap();
    let named: Vec<_> = last.consumers.iter().map(|one| &*one.group_name).collect();
    assert_eq!(named, ["h"]);
    assert_eq!(broker.state().members("g"), [""; 0]);
}

#[tokio::test]
async fn the_allocation_that_is_set_decides_which_queues_are_read() {
    let broker = Broker::start("t", 4).await;
    for queue in 0..4 {
        broker.store("t", queue, "A", [queue.to_string()]);
    }
    // It sorts in front, and has queues 0 and 2.
    broker.state().others.push("0.0.0.0@1".to_owned());
    let consumer = consumer(&broker, |builder| builder.allocation(Allocation::circle())).await;
    let mut queues = [next(&consumer).await.queue(), next(&consumer).await.queue()];
    queues.sort_unstable();
    assert_eq!(queues, [1, 3]);
    nothing_comes(&consumer).await;
}

#[tokio::test]
async fn an_allocation_that_cannot_decide_fails_the_start_and_later_changes_nothing() {
    let broker = Broker::start("t", 1).await;
    let known = Arc::new(AtomicBool::new(false));
    let copy = Arc::clone(&known);
    let room = move |_: &str| copy.load(Ordering::Relaxed).then(|| "here".to_owned());
    let here = |_: &str| Some("here".to_owned());
    let nearby = Allocation::nearby(Allocation::averagely(), here, room);
    let builder = client(&broker).await.consumer("g").subscribe("t", "*");
    let builder = builder.from(ConsumeFrom::First).allocation(nearby);
    let error = within(builder.clone().build()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("no machine room"), "{error}");

    known.store(true, Ordering::Relaxed);
    let consumer = within(builder.build()).await.unwrap();
    known.store(false, Ordering::Relaxed);
    // It sorts in front, and would have the only queue.
    broker.state().others.push("0.0.0.0@1".to_owned());
    let asked = || broker.requests::<GetConsumerList>().len();
    let before = asked();
    broker.tell(&NotifyConsumersChanged {
        consumer_group: "g".into(),
    });
    until("it is rebalanced", || asked() > before + 1).await;
    broker.store("t", 0, "A", numbers(0..1));
    assert_eq!(next(&consumer).await.offset(), 0);
}
