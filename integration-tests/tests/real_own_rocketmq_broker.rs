//! What depends on how the broker is set: durability, a broker that may not be written, where a new group begins.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::brokers::{Cluster, Profile};
use integration_tests::harness::{
    Wire, drain, next, ordered_topic_at, topic_at, unique, wall, within,
};
use mq_dev::proxy::Proxy;
use mq_rocketmq::{Client, ConsumeFrom, Durability, ErrorKind, Message, Outcome};

const BOTH: [Profile; 2] = [Profile::Rocketmq, Profile::Rocketmq4];

async fn configure(cluster: &Cluster, settings: &str) {
    for (_, mut broker) in Wire::brokers(cluster.namesrv()).await {
        broker.configure(settings).await;
    }
}

/// A broker that is to wait for a replica which it has not: stored, and said to be less durable than configured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_require_durable_makes_an_error_with_the_receipt() {
    for profile in BOTH {
        let cluster = Cluster::start(profile).unwrap();
        let topic = topic_at(cluster.namesrv(), "durable", 1).await;
        configure(
            &cluster,
            "brokerRole=SYNC_MASTER\ninSyncReplicas=2\nslaveTimeout=300\n",
        )
        .await;
        let proxy = Proxy::builder(cluster.namesrv()).start().await.unwrap();
        let url = format!("rocketmq://{}", proxy.addr());
        let client = Client::from_url(&url).unwrap().connect().await.unwrap();

        let lax = client.producer(&unique("lax")).build().await.unwrap();
        let receipt = lax.send(Message::new(&topic, "lax")).await.unwrap();
        assert_ne!(receipt.durability(), Durability::AsConfigured, "{profile}");

        let strict = client
            .producer(&unique("strict"))
            .require_durable()
            .build()
            .await
            .unwrap();
        let failed = strict
            .send(Message::new(&topic, "strict"))
            .await
            .unwrap_err();
        assert_eq!(failed.outcome(), Outcome::Unknown, "{profile}: {failed}");
        let receipt = failed.receipt.as_deref().unwrap();
        assert_ne!(receipt.durability(), Durability::AsConfigured);
        assert_eq!(Some(receipt.unique_id()), failed.message.unique_id());
        assert_eq!(proxy.requests(310), 2, "{profile}: stored twice");
        let stored = drain(&client, &topic, 2).await;
        assert_eq!(stored[1].offset(), receipt.offset());
        client.close().await.unwrap();
    }
}

/// A broker that may be read only, one that may be written only: code 16 like a refused login, and yet `Rejected`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_a_forbidding_broker_rejects_and_is_no_auth_error() {
    for profile in BOTH {
        let cluster = Cluster::start(profile).unwrap();
        let topic = ordered_topic_at(cluster.namesrv(), "permission", 1).await;
        let client = Client::from_url(cluster.url())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let producer = client.producer(&unique("producer")).build().await.unwrap();
        let message = |body: &'static str| Message::new(&topic, body);
        producer.send(message("before")).await.unwrap();

        configure(&cluster, "brokerPermission=4\n").await;
        let failed = producer.send(message("forbidden")).await.unwrap_err();
        assert_eq!(
            failed.error.kind(),
            ErrorKind::Rejected,
            "{profile}: {failed}"
        );
        assert_eq!(failed.error.code().map(|code| code.0), Some(16), "{failed}");
        assert_eq!(failed.outcome(), Outcome::Rejected, "{failed}");
        configure(&cluster, "brokerPermission=6\n").await;

        let consumer = client
            .consumer(&unique("group"))
            .subscribe(&topic, "*")
            .from(ConsumeFrom::First)
            .build()
            .await
            .unwrap();
        next(&consumer).await.ack().await.unwrap();
        configure(&cluster, "brokerPermission=2\n").await;
        // It wakes the pull that waits at the broker.
        producer.send(message("after")).await.unwrap();
        let error = within(Duration::from_secs(40), "an error", consumer.recv())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{profile}: {error}");
        assert_eq!(error.code().map(|code| code.0), Some(16), "{error}");
        client.close().await.unwrap();
    }
}

/// Where a new group begins. Brokers answer "0" to every group for a queue that is still in their memory, whatever the group wants: 4.9.7
/// is told here to take no queue for that, 5.5.0 looks for itself, so that `Last` begins there at the beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_new_groups_begin_where_they_are_to() {
    for profile in BOTH {
        let cluster = Cluster::start(profile).unwrap();
        configure(&cluster, "accessMessageInMemoryMaxRatio=0\n").await;
        let topic = topic_at(cluster.namesrv(), "begin", 1).await;
        let client = Client::from_url(cluster.url())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let producer = client.producer(&unique("producer")).build().await.unwrap();
        let send = async |body: &str| {
            let message = Message::new(&topic, body.to_owned());
            producer.send(message).await.unwrap();
        };
        send("early").await;
        // Stored in different milliseconds, beyond doubt.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let between = wall();
        tokio::time::sleep(Duration::from_millis(100)).await;
        send("late").await;
        let last: &[&str] = if profile == Profile::Rocketmq {
            &["early", "late"]
        } else {
            &[]
        };
        for (from, expected) in [
            (ConsumeFrom::First, ["early", "late"].as_slice()),
            (ConsumeFrom::Timestamp(between), &["late"]),
            (ConsumeFrom::Last, last),
        ] {
            let consumer = client
                .consumer(&unique("group"))
                .subscribe(&topic, "*")
                .from(from)
                .build()
                .await
                .unwrap();
            send("after").await;
            let mut seen = Vec::new();
            while seen.last().is_none_or(|body| body != "after") {
                let delivery = next(&consumer).await;
                seen.push(String::from_utf8(delivery.body().to_vec()).unwrap());
                delivery.ack().await.unwrap();
            }
            consumer.close().await;
            seen.pop();
            assert_eq!(seen, expected, "{profile} {from:?}");
        }
        client.close().await.unwrap();
    }
}
