//! Ours and the official clients on one broker, both ways.
//!
//! First of all the official clients among themselves: where that fails, the fault is not ours.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test: clippy knows only functions marked as such"
)]

use std::collections::BTreeSet;

use integration_tests::foreign::{Call, Failure, Foreign, Received};

/// The nameserver of the broker that is under test.
fn nameserver() -> String {
    let url = std::env::var("MQ_ROCKETMQ_URL").expect("MQ_ROCKETMQ_URL is not set");
    let hosts = url
        .rsplit('@')
        .next()
        .unwrap()
        .trim_start_matches("rocketmq://");
    let host = hosts.split([',', ';', '/', '?']).next().unwrap();
    assert!(
        host.starts_with("127.0.0.1:") || host.starts_with("localhost:"),
        "{host} is not loopback"
    );
    host.to_owned()
}

/// A topic and group that no other test and no earlier run uses.
fn call(client: Foreign, name: &str) -> Call {
    client.call(
        &nameserver(),
        &format!("interop_{name}"),
        &format!("interop_group_{name}"),
    )
}

fn unique(name: &str) -> String {
    format!("{name}_{:08x}", fastrand::u32(..))
}

fn bodies(received: &[Received]) -> BTreeSet<String> {
    received
        .iter()
        .filter(|message| message.acked)
        .map(Received::text)
        .collect()
}

fn expected(prefix: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|i| format!("{prefix}-{i}")).collect()
}

#[tokio::test]
#[ignore = "needs a real RocketMQ, JDK 17, Maven and Go"]
async fn real_rocketmq_foreign_clients_understand_each_other() {
    for (from, to) in [(Foreign::Java, Foreign::Go), (Foreign::Go, Foreign::Java)] {
        let name = unique("foreign");
        let sending = || {
            call(from, &name)
                .tag("A")
                .key("key-{i}")
                .property("from", "München 東京")
        };
        sending().prefix("plain").count(3).send().await.unwrap();
        sending()
            .prefix("batch")
            .count(3)
            .batch()
            .send()
            .await
            .unwrap();
        sending()
            .prefix("zlib")
            .compress("zlib")
            .count(2)
            .send()
            .await
            .unwrap();

        let received = call(to, &name).count(8).recv().await.unwrap();
        let mut wanted = expected("plain", 3);
        wanted.extend(expected("batch", 3));
        wanted.extend(expected("zlib", 2));
        assert_eq!(bodies(&received), wanted, "{from:?} to {to:?}");
        for message in &received {
            assert_eq!(message.tag.as_deref(), Some("A"));
            assert!(
                message
                    .key
                    .as_deref()
                    .is_some_and(|key| key.starts_with("key-"))
            );
            assert_eq!(message.properties.get("from").unwrap(), "München 東京");
        }
    }
}

#[tokio::test]
#[ignore = "needs a real RocketMQ, JDK 17 and Maven"]
async fn real_rocketmq_foreign_java_compresses_redelivers_and_times_out() {
    let name = unique("foreign_java");
    for compression in ["lz4", "zstd"] {
        let sending = call(Foreign::Java, &name)
            .prefix(compression)
            .compress(compression);
        sending.size(200).send().await.unwrap();
    }
    let received = call(Foreign::Java, &name)
        .count(2)
        .fail_first(1)
        .recv()
        .await
        .unwrap();
    assert_eq!(received.iter().filter(|message| !message.acked).count(), 1);
    assert_eq!(
        received.iter().map(|message| message.reconsume).max(),
        Some(1)
    );
    assert!(received.iter().all(|message| message.body.len() == 200));

    let waiting = call(Foreign::Java, &name).deadline(std::time::Duration::from_secs(3));
    assert!(matches!(
        waiting.recv().await,
        Err(Failure::TimedOut { .. })
    ));
}

#[tokio::test]
#[ignore = "needs JDK 17, Maven and Go"]
async fn real_rocketmq_foreign_failures_are_failures() {
    for client in [Foreign::Java, Foreign::Go] {
        let failure = client
            .call("127.0.0.1:1", "topic", "group")
            .send()
            .await
            .unwrap_err();
        assert!(
            matches!(failure, Failure::Failed { code: -1, .. }),
            "{failure}"
        );
    }
}
