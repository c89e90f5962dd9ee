//! Topics and groups made, listed and deleted by the client itself, looked at from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use integration_tests::harness::{
    Wire, committed, connect, connect_to, drain, from_first, nameserver, next, producer, unique,
    until, url,
};
use mq_dev::proxy::{Action, Observed, Proxy};
use mq_rocketmq::{
    Client, ErrorKind, Message, Outcome, Retry, TopicDescription, TopicOptions, TopicType,
};

const WAIT: Duration = Duration::from_secs(60);

/// Names of the brokers, sorted.
async fn brokers() -> Vec<String> {
    let all = Wire::brokers(&nameserver()).await.into_iter();
    let mut names: Vec<_> = all.map(|(name, _)| name).collect();
    names.sort();
    names
}

/// How many queues each broker has, where all are read and written.
fn queues(description: &TopicDescription) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::new();
    for queue in &description.queues {
        assert!(queue.readable && queue.writable, "{queue:?}");
        *counts.entry(queue.broker.clone()).or_default() += 1;
    }
    counts.into_iter().collect()
}

async fn queues_each(client: &Client, topic: &str, count: usize) {
    let described = client.admin().describe(topic).await.unwrap();
    let each = brokers().await.into_iter().map(|broker| (broker, count));
    assert_eq!(queues(&described), each.collect::<Vec<_>>());
}

/// On every broker; 8 queues unless others are asked for; those that exist stay; a send right after it is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_admin_a_created_topic_takes_a_send_at_once() {
    let (client, topic, other) = (connect().await, unique("made"), unique("made"));
    let (admin, producer) = (client.admin(), producer(&client).await);
    let options = TopicOptions::new().queues(3);
    let made = admin.create_topic(&topic, options).await.unwrap();
    assert_eq!((made.name, made.brokers), (topic.clone(), brokers().await));
    // Made by the send itself it would have four.
    let receipt = producer.send(Message::new(&topic, "x")).await.unwrap();
    assert!(receipt.queue() < 3);
    queues_each(&client, &topic, 3).await;
    admin
        .create_topic(&topic, TopicOptions::new())
        .await
        .unwrap();
    queues_each(&client, &topic, 3).await;
    let more = TopicOptions::new().queues(5);
    admin.create_topic(&topic, more).await.unwrap();
    queues_each(&client, &topic, 5).await;
    drain(&client, &topic, 1).await;
    admin
        .create_topic(&other, TopicOptions::new())
        .await
        .unwrap();
    queues_each(&client, &other, 8).await;
    let listed = admin.topics().await.unwrap();
    assert!(listed.contains(&topic) && listed.contains(&other));
    client.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_admin_a_topic_is_made_where_it_was_asked_for() {
    let (client, topic) = (connect().await, unique("made"));
    let (admin, all) = (client.admin(), brokers().await);
    let one = TopicOptions::new().broker(&all[0]).queues(2);
    // 4.x knows no types, and must not mind.
    let one = one.cluster("DefaultCluster").message_type(TopicType::Fifo);
    let made = admin.create_topic(&topic, one).await.unwrap();
    assert_eq!(made.brokers, all[..1]);
    let described = admin.describe(&topic).await.unwrap();
    assert_eq!(queues(&described), [(all[0].clone(), 2)]);
    for options in [
        TopicOptions::new().broker("nosuch-broker"),
        TopicOptions::new().cluster("nosuch-cluster"),
    ] {
        let error = admin.create_topic(&topic, options).await.unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("nosuch"), "{error}");
    }
    let full = format!("{}/rocketmq-admin|ns", url());
    let inside = connect_to(&full).await;
    let name = unique("inside");
    let inner = inside.admin();
    let made = inner.create_topic(&name, TopicOptions::new()).await;
    assert_eq!(made.unwrap().name, name);
    assert!(inner.topics().await.unwrap().contains(&name));
    let outside = admin.topics().await.unwrap();
    assert!(outside.contains(&format!("rocketmq-admin|ns%{name}")));
    inner.delete_topic(&name).await.unwrap();
    inside.close().await.unwrap();
    client.close().await.unwrap();
}

/// From brokers and nameserver; what comes under the name again is empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_admin_a_deleted_topic_is_nowhere() {
    let (client, topic) = (connect().await, unique("deleted"));
    let (admin, producer) = (client.admin(), producer(&client).await);
    let two = || TopicOptions::new().queues(2);
    admin.create_topic(&topic, two()).await.unwrap();
    for _ in 0..8 {
        producer.send(Message::new(&topic, "x")).await.unwrap();
    }
    // A broker that has not sorted a message into its queue yet does so after the deletion, and the next topic of the name has it.
    let limit = Duration::from_secs(10);
    until(limit, "all are in their queues", async || {
        let queues = admin.describe(&topic).await.unwrap().queues;
        queues.iter().map(|queue| queue.next).sum::<i64>() == 8
    })
    .await;
    let deleted = admin.delete_topic(&topic).await.unwrap();
    assert_eq!(
        (&deleted.name, &deleted.brokers),
        (&topic, &brokers().await)
    );
    let mut wire = Wire::connect(&nameserver()).await.unwrap();
    assert!(!wire.has_route(&topic).await);
    assert!(!admin.topics().await.unwrap().contains(&topic));
    let error = admin.describe(&topic).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let failed = admin.delete_topic(&topic).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::NotFound, "{failed}");
    assert!(!failed.is_partial() && failed.to_string().contains(&topic));
    admin.create_topic(&topic, two()).await.unwrap();
    for queue in admin.describe(&topic).await.unwrap().queues {
        assert_eq!(queue.first, queue.next, "{queue:?}");
    }
    client.close().await.unwrap();
}

/// One broker never hears of it: who has it is told, and the same call again completes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_admin_a_part_that_is_done_is_told_and_can_be_completed() {
    let all = brokers().await;
    assert_eq!(all.len(), 2);
    let mut wire = Wire::connect(&nameserver()).await.unwrap();
    let route = wire.route("TBW102").await;
    let mut shares = route.brokers.iter();
    let second = shares.find(|broker| broker.broker_name == all[1]).unwrap();
    let second = second.broker_addrs[&0].clone();
    let lose = move |frame: &Observed<'_>| {
        let is_change = [17, 215].contains(&frame.header.code);
        if is_change && frame.upstream == second && !frame.header.flags.is_response() {
            Action::Drop
        } else {
            Action::Forward
        }
    };
    let proxy = Proxy::builder(nameserver())
        .policy(lose)
        .start()
        .await
        .unwrap();
    let lame = connect_to(&format!("rocketmq://{}", proxy.addr())).await;
    let (client, topic) = (connect().await, unique("part"));
    let options = || TopicOptions::new().queues(1);
    let failed = lame.admin().create_topic(&topic, options()).await;
    let failed = failed.unwrap_err();
    assert_eq!(failed.done, all[..1], "{failed}");
    assert_eq!(failed.failed, all[1..], "{failed}");
    assert_eq!(failed.error.kind(), ErrorKind::Timeout);
    assert_eq!(failed.error.outcome(), Outcome::Unknown);
    assert_eq!(failed.error.retry(), Retry::Later);
    assert!(failed.to_string().contains(&all[1]), "{failed}");
    let made = client.admin().create_topic(&topic, options()).await;
    assert_eq!(made.unwrap().brokers, all);
    let failed = lame.admin().delete_topic(&topic).await.unwrap_err();
    assert_eq!(
        (&failed.done[..], &failed.failed[..]),
        (&all[..1], &all[1..])
    );
    let deleted = client.admin().delete_topic(&topic).await.unwrap();
    assert_eq!(deleted.brokers, all);
    lame.close().await.unwrap();
    client.close().await.unwrap();
}

/// Those that were made and those that came by consuming; without the brokers' own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_admin_groups_are_listed_without_the_brokers_own() {
    let client = connect().await;
    let (made, joined, topic) = (unique("made"), unique("joined"), unique("topic"));
    let admin = client.admin();
    let created = admin.create_group(&made).await.unwrap();
    assert_eq!((&created.name, &created.brokers), (&made, &brokers().await));
    admin.create_group(&made).await.unwrap();
    admin
        .create_topic(&topic, TopicOptions::new())
        .await
        .unwrap();
    let consumer = from_first(&client, &joined, &topic).build().await.unwrap();
    until(WAIT, "both groups are listed", async || {
        let groups = admin.groups().await.unwrap();
        groups.contains(&made) && groups.contains(&joined)
    })
    .await;
    consumer.close().await;
    let groups = admin.groups().await.unwrap();
    assert!(groups.is_sorted());
    for own in ["TOOLS_CONSUMER", "SELF_TEST_C_GROUP", "CID_RMQ_SYS_TRANS"] {
        assert!(!groups.iter().any(|group| group == own), "{own}");
    }
    let inside = connect_to(&format!("{}/rocketmq-admin|ns", url())).await;
    let own = unique("inside");
    inside.admin().create_group(&own).await.unwrap();
    let within = inside.admin().groups().await.unwrap();
    assert!(within.contains(&own) && !within.contains(&made));
    let outside = admin.groups().await.unwrap();
    assert!(outside.contains(&format!("rocketmq-admin|ns%{own}")));
    inside.admin().delete_group(&own).await.unwrap();
    inside.close().await.unwrap();
    client.close().await.unwrap();
}

/// With its offsets, its retry topic and what it has read: a group of the same name begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_admin_a_deleted_group_is_forgotten() {
    let (client, topic, group) = (connect().await, unique("topic"), unique("forgotten"));
    let (admin, producer) = (client.admin(), producer(&client).await);
    let one = TopicOptions::new().queues(1).broker(&brokers().await[0]);
    admin.create_topic(&topic, one).await.unwrap();
    producer.send(Message::new(&topic, "x")).await.unwrap();
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    next(&consumer).await.ack().await.unwrap();
    consumer.close().await;
    assert_eq!(committed(&group, &topic, 0).await, Some(1));
    assert!(admin.lag(&group).await.is_ok());
    let deleted = admin.delete_group(&group).await.unwrap();
    assert_eq!(deleted.name, group);
    assert!(!admin.groups().await.unwrap().contains(&group));
    // Of a young queue 4.x says 0 where it has stored nothing.
    assert_eq!(committed(&group, &topic, 0).await.unwrap_or(0), 0);
    let error = admin.lag(&group).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let failed = admin.delete_group(&group).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::NotFound, "{failed}");
    client.close().await.unwrap();
}
