//! What brokers and builders refuse.

use std::time::Duration;

use mq_core::ErrorKind;

use super::broker::Broker;
use super::support::{client, consumer, next, numbers, within};
use crate::proto::ResponseCode;
use crate::proto::command::{Heartbeat, PullMessage, QueryOffset};
use crate::{Allocation, Error};

#[tokio::test]
async fn a_broker_in_trouble_is_asked_again_and_receivers_hear_nothing_of_it() {
    let broker = Broker::start("t", 1).await;
    broker.refuse::<PullMessage>(3, ResponseCode::SYSTEM_ERROR, "store is busy");
    broker.store("t", 0, "A", numbers(0..1));
    let consumer = consumer(&broker, |builder| builder).await;
    assert_eq!(next(&consumer).await.offset(), 0);
}

#[tokio::test]
async fn a_refused_login_fails_the_start_and_ends_a_running_consumer() {
    let broker = Broker::start("t", 1).await;
    let refused = "User:mallory no permission to access topic t";
    broker.refuse::<Heartbeat>(1, ResponseCode::NO_PERMISSION, refused);
    let client = client(&broker).await;
    let build = || client.consumer("g").subscribe("t", "*").build();
    assert_eq!(within(build()).await.unwrap_err().kind(), ErrorKind::Auth);
    broker.refuse::<QueryOffset>(2, ResponseCode::NO_PERMISSION, refused);
    assert_eq!(within(build()).await.unwrap_err().kind(), ErrorKind::Auth);
    broker.refuse::<QueryOffset>(0, ResponseCode::SUCCESS, "");

    let consumer = within(build()).await.unwrap();
    broker.refuse::<PullMessage>(usize::MAX, ResponseCode::NO_PERMISSION, refused);
    assert_eq!(
        within(consumer.recv()).await.unwrap_err().kind(),
        ErrorKind::Auth
    );
    assert!(consumer.recv().await.unwrap().is_none());
    within(consumer.close()).await;
    let asked = broker.requests::<PullMessage>().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        broker.requests::<PullMessage>().len(),
        asked,
        "no retry loop"
    );
}

#[tokio::test]
async fn a_missing_group_is_a_typed_error() {
    let broker = Broker::start("t", 1).await;
    let consumer = consumer(&broker, |builder| builder).await;
    broker.refuse::<PullMessage>(
        1,
        ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
        "subscription group not exist",
    );
    let error: Error = within(consumer.recv()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.code(),
        Some(&ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST)
    );
}

#[tokio::test]
async fn bad_options_say_why() {
    let broker = Broker::start("t", 1).await;
    let client = client(&broker).await;
    let group = || client.consumer("g");
    for (builder, part) in [
        (group(), "no topic"),
        (
            client.consumer("").subscribe("t", "*"),
            "group name is empty",
        ),
        (group().subscribe("a b", "*"), "' '"),
        (group().subscribe("t", "A ||"), "an empty part"),
        (group().subscribe("t", "*").subscribe("t", "A"), "twice"),
        (
            group().subscribe("t", "*").prefetch_count(0),
            "prefetch_count is 0",
        ),
        (
            group().subscribe("t", "*").prefetch_topic_bytes(0),
            "prefetch_topic_bytes is 0",
        ),
        (
            group()
                .subscribe("t", "*")
                .allocation(Allocation::consistent_hash(0)),
            "virtual_nodes is 0",
        ),
    ] {
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    // None of them was left behind.
    group()
        .subscribe("t", "*")
        .build()
        .await
        .unwrap()
        .close()
        .await;
}

#[tokio::test]
async fn a_refusal_as_old_brokers_say_it_ends_the_consumer_too() {
    let broker = Broker::start("t", 1).await;
    let consumer = consumer(&broker, |builder| builder).await;
    let refused = "org.apache.rocketmq.acl.common.AclException: No default permission for t";
    broker.refuse::<PullMessage>(usize::MAX, ResponseCode::SYSTEM_ERROR, refused);
    assert_eq!(
        within(consumer.recv()).await.unwrap_err().kind(),
        ErrorKind::Auth
    );
}
