//! Access control of 5.5.0 (ACL 2.0) and 4.9.7 (ACL 1.0): right keys work, wrong ones fail at once, and no secret is shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use integration_tests::brokers::{Cluster, Profile, User};
use integration_tests::harness::{Capture, next, now, unique, within};
use mq_dev::proxy::Proxy;
use mq_rocketmq::{
    Client, ConsumeFrom, Credentials, Error, ErrorKind, Message, Outcome, Retry, TopicOptions,
};

/// Part of every wrong secret: looked for in all that is said.
const CANARY: &str = "canary-4711";
/// What the user of the profiles named alice may use.
const HER_TOPIC: &str = "alice_t";
const HER_GROUP: &str = "CGalice";
/// Codes of requests: send, pull, heartbeat.
const ASKING: [i32; 3] = [310, 11, 34];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_acl_2_refuses_at_once() {
    refuses_at_once(Profile::RocketmqAcl).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_acl_1_refuses_at_once() {
    refuses_at_once(Profile::Rocketmq4Acl).await;
}

async fn refuses_at_once(profile: Profile) {
    static LOG: OnceLock<Capture> = OnceLock::new();
    let log = LOG.get_or_init(Capture::install);
    let cluster = Cluster::start(profile).unwrap();
    right_keys_work(&cluster).await;
    let topic = admins_topic(&cluster).await;
    let mut said = String::new();
    for (name, user, secret) in [
        ("wrong secret", User::ADMIN.name, CANARY),
        ("unknown access key", "nobody_knows", CANARY),
        ("no permission", User::ALICE.name, User::ALICE.secret),
    ] {
        let credentials = || Credentials::new(user, secret);
        for error in [
            refused_producer(&cluster, &topic, credentials()).await,
            refused_consumer(&cluster, &topic, credentials()).await,
            refused_change(&cluster, credentials(), Change::Create).await,
            refused_change(&cluster, credentials(), Change::Delete(&topic)).await,
        ] {
            assert_eq!(error.kind(), ErrorKind::Auth, "{name}: {error}");
            assert_eq!(error.outcome(), Outcome::Rejected, "{name}: {error}");
            assert_eq!(error.retry(), Retry::Never, "{name}: {error}");
            writeln!(said, "{error} {error:#} {error:?}").unwrap();
        }
        for output in refused_commands(&cluster, &topic, user, secret) {
            said.push_str(&String::from_utf8_lossy(&output.stdout));
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(4), "{name}: {said}");
        }
    }
    said.push_str(&log.text());
    for secret in [CANARY, User::ALICE.secret, User::ADMIN.secret] {
        let shown = said.lines().find(|line| line.contains(secret));
        assert_eq!(shown, None, "a secret is shown");
    }
}

async fn right_keys_work(cluster: &Cluster) {
    let credentials = Credentials::new(User::ALICE.name, User::ALICE.secret);
    let client = connect(cluster.namesrv(), credentials).await;
    let consumer = client
        .consumer(HER_GROUP)
        .subscribe(HER_TOPIC, "*")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    // A topic that is made by sending to it: its first messages are received too.
    let producer = client.producer("CGalice").build().await.unwrap();
    let message = || {
        Message::new(HER_TOPIC, "hello")
            .tag("T")
            .key("键")
            .property("p", "城市")
    };
    producer.send(message()).await.unwrap();
    let mut batch = producer.send_batch([message(), message()]).await;
    batch.drain(..).for_each(|result| drop(result.unwrap()));
    producer.send_oneway(message()).await.unwrap();
    for _ in 0..4 {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.body(), "hello");
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
    client.close().await.unwrap();
}

/// A topic that exists, and that only the super user may use.
async fn admins_topic(cluster: &Cluster) -> String {
    let credentials = Credentials::new(User::ADMIN.name, User::ADMIN.secret);
    let client = connect(cluster.namesrv(), credentials).await;
    let (topic, admin) = (unique("secret"), client.admin());
    let created = admin.create_topic(&topic, TopicOptions::new()).await;
    assert_eq!(created.unwrap().brokers.len(), 1);
    admin.create_group(&topic).await.unwrap();
    assert!(admin.groups().await.unwrap().contains(&topic));
    admin.delete_group(&topic).await.unwrap();
    let producer = client.producer(&unique("admin")).build().await.unwrap();
    producer.send(Message::new(&topic, "x")).await.unwrap();
    client.close().await.unwrap();
    topic
}

async fn refused_producer(cluster: &Cluster, topic: &str, credentials: Credentials) -> Error {
    let proxy = Proxy::builder(cluster.namesrv()).start().await.unwrap();
    let client = connect(&proxy.addr().to_string(), credentials).await;
    let producer = client
        .producer(HER_GROUP)
        .max_attempts(10)
        .timeout(Duration::from_secs(20))
        .build()
        .await
        .unwrap();
    let started = now();
    let failed = producer
        .send(Message::new(topic, "body"))
        .await
        .unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(3), "{failed}");
    assert_eq!(failed.message.body(), "body");
    assert_eq!(proxy.requests(310), 1, "tried again: {failed}");
    drop(client.close().await);
    failed.into()
}

enum Change<'a> {
    Create,
    Delete(&'a str),
}

/// What only an administrator may do.
async fn refused_change(cluster: &Cluster, credentials: Credentials, change: Change<'_>) -> Error {
    let client = connect(cluster.namesrv(), credentials).await;
    let admin = client.admin();
    let refused = match change {
        Change::Create => {
            let (name, options) = (unique("hers"), TopicOptions::new());
            admin.create_topic(&name, options).await.unwrap_err()
        }
        Change::Delete(topic) => admin.delete_topic(topic).await.unwrap_err(),
    };
    assert!(refused.done.is_empty() && refused.failed == ["broker-a"]);
    assert!(!refused.is_partial(), "{refused:?}");
    client.close().await.unwrap();
    refused.into()
}

/// `build` says so, or the first `recv`: never silence.
async fn refused_consumer(cluster: &Cluster, topic: &str, credentials: Credentials) -> Error {
    let proxy = Proxy::builder(cluster.namesrv()).start().await.unwrap();
    let client = connect(&proxy.addr().to_string(), credentials).await;
    let started = now();
    let building = client.consumer(HER_GROUP).subscribe(topic, "*").build();
    let error = match within(Duration::from_secs(5), "build", building).await {
        Err(error) => error,
        Ok(consumer) => {
            let recv = consumer.recv();
            let error = within(Duration::from_secs(5), "an error", recv)
                .await
                .unwrap_err();
            assert!(
                consumer.recv().await.unwrap().is_none(),
                "after the error comes the end"
            );
            error
        }
    };
    assert!(started.elapsed() < Duration::from_secs(5), "{error}");
    // It has given up: two seconds later nothing more has been asked.
    let asked = || ASKING.map(|code| proxy.requests(code));
    let before = asked();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(asked(), before, "{ASKING:?} go on after: {error}");
    assert!(before.iter().sum::<u64>() <= 12, "{before:?} of {ASKING:?}");
    drop(client.close().await);
    error
}

fn refused_commands(cluster: &Cluster, topic: &str, user: &str, secret: &str) -> [Output; 2] {
    let url = format!("rocketmq://{user}:{secret}@{}", cluster.namesrv());
    let run = |arguments: &[&str]| {
        let started = now();
        let output = Command::new(mq())
            .arg("rocketmq")
            .args(arguments)
            .args(["--topic", topic])
            .env("MQ_ROCKETMQ_URL", &url)
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(10));
        output
    };
    [
        run(&["send", "body"]),
        run(&[
            "recv",
            "--group",
            HER_GROUP,
            "--count",
            "1",
            "--timeout",
            "20s",
        ]),
    ]
}

/// The command, which lies beside the directory of the tests.
fn mq() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("mq");
    assert!(
        path.exists(),
        "no {}: run `cargo build -p mq-cli` first",
        path.display()
    );
    path
}

async fn connect(nameserver: &str, credentials: Credentials) -> Client {
    Client::builder()
        .nameserver(nameserver)
        .credentials(credentials)
        .connect()
        .await
        .unwrap()
}
