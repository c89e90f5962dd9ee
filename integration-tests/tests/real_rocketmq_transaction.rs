//! Transactions on real brokers: what is committed is delivered once, what is rolled back never, and the checker decides about the rest.
//!
//! The brokers of these tests ask for the first time after 2 s, then every second, five times at most.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::harness::{
    connect, first_broker, from_first, next, now, text, topic, unique, until, within,
};
use mq_rocketmq::{
    CheckedMessage, Client, Consumer, Message, TransactError, TransactionalProducer, Verdict,
};

const WAIT: Duration = Duration::from_secs(60);
/// Longer than the first check takes, and one more.
const QUIET: Duration = Duration::from_secs(4);

/// What a checker was asked.
type Asked = Arc<Mutex<Vec<(String, u32)>>>;

/// A producer of `group` whose checker answers as `decide` says, and what it was asked.
async fn transactional(
    client: &Client,
    group: &str,
    topic: &str,
    decide: impl Fn(&CheckedMessage) -> Verdict + Send + Sync + 'static,
) -> (TransactionalProducer, Asked) {
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    let building = client
        .producer(group)
        .checker(move |message| {
            let body = String::from_utf8(message.body().to_vec()).unwrap();
            told.lock().unwrap().push((body, message.attempt()));
            let verdict = decide(&message);
            async move { verdict }
        })
        .topic(topic)
        .build();
    (building.await.unwrap(), asked)
}

fn asked(asked: &Asked) -> Vec<(String, u32)> {
    asked.lock().unwrap().clone()
}

/// Acknowledges one message and tells its body.
async fn body(consumer: &Consumer) -> String {
    let delivery = within(WAIT, "a message", next(consumer)).await;
    let body = text(&delivery);
    delivery.ack().await.unwrap();
    body
}

async fn nothing_comes(consumer: &Consumer, time: Duration) {
    let next = tokio::time::timeout(time, consumer.recv()).await;
    assert!(next.is_err(), "{next:?}");
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_committed_is_delivered_once_and_not_before() {
    let (client, topic) = (connect().await, topic("tx-commit", 4).await);
    let (producer, checks) = transactional(&client, &unique("producer"), &topic, |_| {
        panic!("what is ended is not asked about")
    })
    .await;
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    let message = Message::new(&topic, "paid")
        .tag("A")
        .key("order-7")
        .property("城市", "深圳");
    let transaction = producer.begin(message.clone()).await.unwrap();
    let (id, queue) = (transaction.id().to_owned(), transaction.queue());
    assert_eq!(transaction.message().unique_id(), Some(id.as_str()));
    nothing_comes(&consumer, Duration::from_millis(1500)).await;
    transaction.commit().await.unwrap();
    let delivery = within(WAIT, "the message", next(&consumer)).await;
    assert_eq!(delivery.unique_id(), Some(id.as_str()));
    assert_eq!((delivery.queue(), text(&delivery)), (queue, "paid".into()));
    assert_eq!(delivery.tag_text(), Some("A"));
    assert_eq!(delivery.keys(), message.keys());
    assert_eq!(delivery.properties(), message.properties());
    delivery.ack().await.unwrap();
    nothing_comes(&consumer, QUIET).await;
    assert_eq!(asked(&checks), []);
    client.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_rolled_back_is_never_delivered() {
    let (client, topic) = (connect().await, topic("tx-rollback", 4).await);
    let (producer, checks) =
        transactional(&client, &unique("producer"), &topic, |_| Verdict::Commit).await;
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    let transaction = producer.begin(Message::new(&topic, "cancelled")).await;
    transaction.unwrap().rollback().await.unwrap();
    nothing_comes(&consumer, QUIET).await;
    assert_eq!(asked(&checks), []);
    client.close().await.unwrap();
}

/// The checker answers "unknown" twice, then decides.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_unknown_is_asked_about_again_and_delivered_once() {
    let (client, topic) = (connect().await, topic("tx-unknown", 4).await);
    let (producer, checks) =
        transactional(&client, &unique("producer"), &topic, |message| {
            match (message.attempt(), message.topic()) {
                (3.., _) => Verdict::Commit,
                _ => Verdict::Unknown,
            }
        })
        .await;
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    // Dropped at once.
    drop(producer.begin(Message::new(&topic, "late")).await.unwrap());
    assert_eq!(body(&consumer).await, "late");
    nothing_comes(&consumer, Duration::from_secs(3)).await;
    let told: Vec<_> = (1..=3)
        .map(|attempt| ("late".to_owned(), attempt))
        .collect();
    assert_eq!(asked(&checks), told);
    client.close().await.unwrap();
}

/// A guard that is dropped, local work that fails, that panics and that does not know: the checker decides about each.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_dropped_failed_or_panicked_is_the_checkers() {
    let (client, topic) = (connect().await, topic("tx-dropped", 4).await);
    let (producer, checks) = transactional(&client, &unique("producer"), &topic, |message| {
        if message.body().starts_with(b"yes") {
            Verdict::Commit
        } else {
            Verdict::Rollback
        }
    })
    .await;
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    for answer in ["yes", "no"] {
        let message = |what: &str| Message::new(&topic, format!("{answer} {what}"));
        drop(producer.begin(message("dropped")).await.unwrap());
        let failing = producer.transact(message("failed"), |_| async { Err("no money") });
        let failed = failing.await.unwrap_err();
        assert!(
            matches!(failed, TransactError::Local("no money")),
            "{failed}"
        );
        let not_known = |_| async { Ok::<_, String>(Verdict::Unknown) };
        let ended = producer.transact(message("not known"), not_known).await;
        assert_eq!(ended.unwrap(), Verdict::Unknown);
        let (panicking, message) = (producer.clone(), message("panicked"));
        let task = tokio::spawn(async move {
            let local = |_| async { panic!("the local work panics, as this test wants") };
            let ended = panicking.transact::<_, _, String>(message, local).await;
            drop(ended);
        });
        assert!(task.await.unwrap_err().is_panic());
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(body(&consumer).await);
    }
    seen.sort_unstable();
    assert_eq!(
        seen,
        ["yes dropped", "yes failed", "yes not known", "yes panicked"]
    );
    nothing_comes(&consumer, QUIET).await;
    assert_eq!(asked(&checks).len(), 8, "{:?}", asked(&checks));
    client.close().await.unwrap();
}

/// The one who began is gone without a word; another client of the group, which has sent nothing, is asked.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_is_answered_by_another_producer_of_the_group() {
    let (group, topic) = (unique("producer"), topic("tx-another", 4).await);
    let first = connect().await;
    let (producer, _) = transactional(&first, &group, &topic, |_| Verdict::Unknown).await;
    let begun = producer.begin(Message::new(&topic, "orphan")).await;
    let begun = begun.unwrap();
    let second = connect().await;
    // With a topic, and without: then it is told to all brokers.
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let other = second.producer(&group).checker(move |message| {
        count.fetch_add(1, Ordering::Relaxed);
        let found = message.body() == "orphan";
        async move {
            if found {
                Verdict::Commit
            } else {
                Verdict::Rollback
            }
        }
    });
    let other = other.build().await.unwrap();
    drop(begun);
    drop(producer);
    drop(first);
    let consumer = from_first(&second, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    let began = now();
    assert_eq!(body(&consumer).await, "orphan");
    // The first check, and the one after it.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    nothing_comes(&consumer, Duration::from_secs(3)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    drop(other);
    second.close().await.unwrap();
}

/// Local work that takes longer than the first checks: this producer says "not yet" by itself, and the commit still counts, once.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_outlives_checks_and_is_delivered_once() {
    let (client, topic) = (connect().await, topic("tx-long", 4).await);
    let (producer, checks) = transactional(&client, &unique("producer"), &topic, |_| {
        // As a checker that does not find the local work yet, and takes it for failed.
        Verdict::Rollback
    })
    .await;
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    let slow = producer.begin(Message::new(&topic, "slow")).await.unwrap();
    // Of those whose first check is their own, 5.x refuses a commit that comes later without having been asked for.
    let own = producer.begin(Message::new(&topic, "own"));
    let own = own.first_check_after(Duration::from_secs(2)).await.unwrap();
    let cancelled = producer.begin(Message::new(&topic, "cancelled"));
    let cancelled = cancelled.await.unwrap();
    nothing_comes(&consumer, Duration::from_millis(4500)).await;
    slow.commit().await.unwrap();
    own.commit().await.unwrap();
    cancelled.rollback().await.unwrap();
    let mut seen = [body(&consumer).await, body(&consumer).await];
    seen.sort_unstable();
    assert_eq!(seen, ["own", "slow"]);
    nothing_comes(&consumer, QUIET).await;
    assert_eq!(asked(&checks), []);
    client.close().await.unwrap();
}

/// A checker that panics and one that hangs answer "unknown"; what nobody decides ends in the broker's topic for that.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_nobody_decides_is_put_aside() {
    let (client, topic) = (connect().await, topic("tx-undecided", 1).await);
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let producer = client
        .producer(&unique("producer"))
        .checker(move |message| {
            count.fetch_max(message.attempt(), Ordering::Relaxed);
            async move {
                let even = message.attempt().is_multiple_of(2);
                assert!(even, "the checker panics, as this test wants");
                std::future::pending().await
            }
        });
    let producer = producer.check_timeout(Duration::from_millis(200));
    let producer = producer.topic(&topic).build().await.unwrap();
    let mut wire = first_broker().await;
    let before = wire.max_offset(DISCARDED, 0).await;
    let begun = producer.begin(Message::new(&topic, "undecided")).await;
    drop(begun.unwrap());
    let mut found = None;
    until(WAIT, "the message is put aside", async || {
        found = discarded(&client, before, "undecided").await;
        found.is_some()
    })
    .await;
    until(WAIT, "all checks", async || {
        asked.load(Ordering::Relaxed) == CHECKS
    })
    .await;
    assert_eq!(wire.max_offset(&topic, 0).await, 0, "it is delivered");
    client.close().await.unwrap();
}

/// The id of the message of this body that was put aside at `from` or later.
async fn discarded(client: &Client, from: i64, body: &str) -> Option<String> {
    let mut wire = first_broker().await;
    let count = wire.max_offset(DISCARDED, 0).await;
    if count <= from {
        return None;
    }
    let consumer = from_first(client, &unique("group"), DISCARDED).build();
    let consumer = consumer.await.unwrap();
    let mut found = None;
    for _ in 0..count {
        let delivery = within(WAIT, "a message that was put aside", next(&consumer)).await;
        if text(&delivery) == body {
            found = delivery.unique_id().map(str::to_owned);
        }
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
    found
}

/// As the brokers are configured.
const CHECKS: u32 = 5;
const DISCARDED: &str = "TRANS_CHECK_MAX_TIME_TOPIC";

/// The time to the first check is a message's own, in whole seconds, rounded up.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_first_check_is_when_it_was_asked_for() {
    let (client, topic) = (connect().await, topic("tx-first", 4).await);
    let (producer, checks) =
        transactional(&client, &unique("producer"), &topic, |_| Verdict::Commit).await;
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    let began = now();
    let begin = producer.begin(Message::new(&topic, "patient"));
    let begun = begin.first_check_after(Duration::from_millis(2100)).await;
    drop(begun.unwrap());
    assert_eq!(body(&consumer).await, "patient");
    assert!(began.elapsed() >= Duration::from_secs(3), "not before 3 s");
    let asked = asked(&checks);
    // Which attempt it is depends on the broker: each of its rounds counts, those in which it does not ask yet included.
    assert_eq!(asked.len(), 1, "{asked:?}");
    client.close().await.unwrap();
}

/// The checker sees what was sent, compressed or not, and without the namespace.
#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_transaction_checker_sees_the_message() {
    let client = Client::from_url(&format!("{}/ns-tx", integration_tests::harness::url()));
    let client = client.unwrap().connect().await.unwrap();
    let topic = unique("tx-seen");
    let seen: Arc<Mutex<Vec<CheckedMessage>>> = Arc::default();
    let told = Arc::clone(&seen);
    let producer = client
        .producer(&unique("producer"))
        .compression(mq_rocketmq::Compression::zstd().threshold(1000))
        .checker(move |message| {
            told.lock().unwrap().push(message);
            async { Verdict::Commit }
        });
    let producer = producer.topic(&topic).build().await.unwrap();
    let consumer = from_first(&client, &unique("group"), &topic).build();
    let consumer = consumer.await.unwrap();
    for size in [10, 100_000] {
        let message = Message::new(&topic, "x".repeat(size)).tag("A").key("k");
        let begun = producer.begin(message.property("p", "v").flag(7)).await;
        let (id, sent) = {
            let begun = begun.unwrap();
            (begun.id().to_owned(), begun.message().clone())
        };
        assert_eq!(body(&consumer).await.len(), size);
        let checked = seen.lock().unwrap().pop().unwrap();
        assert_eq!((checked.id(), checked.attempt()), (id.as_str(), 1));
        assert_eq!(checked.undecoded(), None);
        assert!(checked.broker().starts_with("broker-"), "{checked:?}");
        assert!(*checked == sent, "{checked:?}\n{sent:?}");
        assert_eq!(checked.topic(), topic);
    }
    client.close().await.unwrap();
}
