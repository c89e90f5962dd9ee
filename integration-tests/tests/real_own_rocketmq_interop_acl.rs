//! Access control with the official clients on the same broker: signatures of each are right for 5.5.0 (ACL 2.0) and 4.9.7
//! (ACL 1.0), and wrong keys are refused to all of them alike.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::brokers::{Cluster, Profile, User};
use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::{Call, Failure, Foreign};
use integration_tests::harness::{next, unique, within};
use mq_rocketmq::{Client, ConsumeFrom, Credentials, Error, ErrorKind, Message};

const PROPERTY: (&str, &str) = ("from", "München 東京");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17, Maven and Go; starts its own broker"]
async fn real_own_rocketmq_interop_acl_2() {
    interop("real_own_rocketmq_interop_acl_2", Profile::RocketmqAcl).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17, Maven and Go; starts its own broker"]
async fn real_own_rocketmq_interop_acl_1() {
    interop("real_own_rocketmq_interop_acl_1", Profile::Rocketmq4Acl).await;
}

async fn interop(test: &str, profile: Profile) {
    let promise = "access control: right keys both ways, wrong ones refused to both";
    let version = format!("Java 5.5.0, Go v2.1.2 on {}", profile.version());
    let record = Record::begin(test, "mq-rocketmq", "send, receive", promise)
        .tier(Tier::Foreign)
        .version(&version);
    let cluster = Cluster::start(profile).unwrap();
    // What the user of the profiles named alice may use, and what only the super user may.
    let hers = Place::new(&cluster, "alice_t", "CGalice", User::ALICE);
    let (topic, group) = (unique("secret"), unique("group"));
    let admins = Place::new(&cluster, &topic, &group, User::ADMIN);
    tokio::join!(
        both_ways(Foreign::Java, &hers),
        both_ways(Foreign::Go, &admins)
    );
    tokio::join!(
        refused(Foreign::Java, &admins),
        refused(Foreign::Go, &admins),
        refused_ours(&admins),
    );
    record.passed();
}

/// A topic, a group, and who asks.
#[derive(Debug, Clone)]
struct Place {
    nameserver: String,
    topic: String,
    group: String,
    key: &'static str,
    secret: &'static str,
}

impl Place {
    fn new(cluster: &Cluster, topic: &str, group: &str, user: User) -> Self {
        Self {
            nameserver: cluster.namesrv().to_owned(),
            topic: topic.to_owned(),
            group: group.to_owned(),
            key: user.name,
            secret: user.secret,
        }
    }

    fn call(&self, client: Foreign) -> Call {
        client
            .call(&self.nameserver, &self.topic, &self.group)
            .credentials(self.key, self.secret)
            .tag("A")
            .key("key-{i}")
            .property(PROPERTY.0, PROPERTY.1)
    }

    async fn connect(&self) -> Client {
        Client::builder()
            .nameserver(&self.nameserver)
            .credentials(Credentials::new(self.key, self.secret))
            .connect()
            .await
            .unwrap()
    }

    /// The same place, asked by those who may not: a wrong secret, an unknown key, a user without permission.
    fn intruders(&self) -> [Self; 3] {
        let intruder = |key, secret| Self {
            key,
            secret,
            ..self.clone()
        };
        [
            intruder(self.key, "wrong-secret"),
            intruder("nobody_knows", self.secret),
            intruder(User::ALICE.name, User::ALICE.secret),
        ]
    }
}

async fn both_ways(with: Foreign, place: &Place) {
    let client = place.connect().await;
    ours_to_theirs(&client, with, place).await;
    theirs_to_ours(&client, with, place).await;
    client.close().await.unwrap();
}

/// Single and batched, so that every command of sending is signed.
async fn ours_to_theirs(client: &Client, with: Foreign, place: &Place) {
    let producer = client.producer(&place.group).build().await.unwrap();
    let message = |number: usize| {
        Message::new(&place.topic, format!("ours-{number}"))
            .tag("A")
            .key(format!("key-{number}"))
            .property(PROPERTY.0, PROPERTY.1)
    };
    let receipt = producer.send(message(0)).await.unwrap();
    for batched in producer.send_batch([message(1), message(2)]).await {
        batched.unwrap();
    }
    // The first is given back: the send-back and the pull of the retry topic are signed too.
    let fail = usize::from(with == Foreign::Java);
    let receiving = place.call(with).count(3).fail_first(fail).recv().await;
    let received = receiving.unwrap_or_else(|failure| panic!("{with:?}: {failure}"));
    for message in &received {
        let number = message.text().strip_prefix("ours-").unwrap().to_owned();
        if number == "0" {
            assert_eq!(message.id, receipt.unique_id());
        }
        assert_eq!(message.tag.as_deref(), Some("A"));
        assert_eq!(message.key, Some(format!("key-{number}")));
        assert_eq!(message.properties[PROPERTY.0], PROPERTY.1);
    }
    let taken = received.iter().filter(|message| message.acked).count();
    assert_eq!((taken, received.len()), (3, 3 + fail), "{with:?}");
}

async fn theirs_to_ours(client: &Client, with: Foreign, place: &Place) {
    let (plain, batch) = (
        place.call(with).prefix("plain"),
        place.call(with).prefix("batch"),
    );
    let (plain, batch) = tokio::join!(plain.send(), batch.count(2).batch().send());
    let sent: Vec<_> = [plain.unwrap(), batch.unwrap()].concat();
    let consumer = client
        .consumer(&place.group)
        .subscribe(&place.topic, "A")
        .from(ConsumeFrom::First)
        .build()
        .await
        .unwrap();
    let mut places = Vec::new();
    while places.len() < sent.len() {
        let delivery = next(&consumer).await;
        // At least once: they may have gone before the offset was committed.
        if !delivery.body().starts_with(b"ours-") {
            let (queue, offset) = (delivery.queue(), delivery.offset());
            places.push((
                u32::try_from(queue).unwrap(),
                u64::try_from(offset).unwrap(),
            ));
            assert_eq!(delivery.tag_text(), Some("A"));
            assert_eq!(delivery.properties().get(PROPERTY.0), Some(PROPERTY.1));
        }
        delivery.ack().await.unwrap();
    }
    places.sort_unstable();
    let mut expected: Vec<_> = sent.iter().map(|sent| (sent.queue, sent.offset)).collect();
    expected.sort_unstable();
    assert_eq!(places, expected, "{with:?}");
    consumer.close().await;
}

/// They say so when they send. When they receive they are silent, or say so; they get nothing of what is there.
async fn refused(client: Foreign, place: &Place) {
    for intruder in place.intruders() {
        let waiting = intruder.call(client).deadline(SILENCE);
        let (sent, received) = tokio::join!(intruder.call(client).send(), waiting.recv());
        let failure = sent.unwrap_err();
        assert!(
            matches!(failure, Failure::Refused { .. }),
            "{client:?} as {}: {failure}",
            intruder.key
        );
        match received.unwrap_err() {
            Failure::TimedOut { lines, .. } => assert_eq!(lines, [""; 0]),
            Failure::Refused { .. } | Failure::Failed { .. } => {}
            other => panic!("{client:?} as {}: {other}", intruder.key),
        }
    }
}

/// Ours says so both times.
async fn refused_ours(place: &Place) {
    for intruder in place.intruders() {
        let client = intruder.connect().await;
        let producer = client.producer(&intruder.group).build().await.unwrap();
        let sent = producer.send(Message::new(&intruder.topic, "body")).await;
        let error: Error = sent.unwrap_err().into();
        assert_eq!(
            error.kind(),
            ErrorKind::Auth,
            "as {}: {error}",
            intruder.key
        );

        let building = client
            .consumer(&intruder.group)
            .subscribe(&intruder.topic, "*")
            .build();
        let received = async { building.await?.recv().await };
        let error = within(SILENCE, "an error", received).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Auth,
            "as {}: {error}",
            intruder.key
        );
        drop(client.close().await);
    }
}

/// How long those wait who may not receive.
const SILENCE: Duration = Duration::from_secs(6);
