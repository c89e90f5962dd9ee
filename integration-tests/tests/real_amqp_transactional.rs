//! Transactions with check-back on RabbitMQ: a message is there if, and only if, its local work succeeded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::harness::amqp::{builder, connect, control, cut, queue};
use integration_tests::harness::{unique, until, within};
use mq_amqp::{
    Binding, CheckedMessage, Client, Consumer, Delivery, ErrorKind, Exchange, Message, Outcome,
    Properties, ReplyCode, TransactError, TransactionalPublisher, TransactionalPublisherBuilder,
    Verdict,
};
use tokio::time::timeout;

const WAIT: Duration = Duration::from_secs(60);
/// Nothing more comes: what is on its way here takes milliseconds.
const QUIET: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_millis(300);

/// What a checker has been asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<(String, u32)>>>);

impl Asked {
    fn note(&self, message: &CheckedMessage) {
        let body = String::from_utf8(message.body().to_vec()).unwrap();
        self.0.lock().unwrap().push((body, message.attempt()));
    }

    fn attempts(&self, body: &str) -> Vec<u32> {
        let all = self.0.lock().unwrap();
        let of_it = all.iter().filter(|(asked, _)| asked == body);
        of_it.map(|(_, attempt)| *attempt).collect()
    }
}

/// Options with times of a test, and a checker that says this of everything.
fn saying(
    client: &Client,
    group: &str,
    verdict: Verdict,
    asked: &Asked,
) -> TransactionalPublisherBuilder {
    let asked = asked.clone();
    let checker = move |message: CheckedMessage| {
        asked.note(&message);
        async move { verdict }
    };
    client
        .publisher("")
        .checker(group, checker)
        .first_check_after(SOON)
        .check_interval(SOON)
        .takeover_after(SOON)
}

async fn publisher(client: &Client, group: &str, verdict: Verdict) -> TransactionalPublisher {
    let building = saying(client, group, verdict, &Asked::default()).build();
    building.await.unwrap()
}

async fn next(consumer: &Consumer) -> Delivery {
    let delivery = within(WAIT, "a message", consumer.recv()).await;
    delivery.unwrap().unwrap()
}

async fn nothing(consumer: &Consumer) {
    let more = timeout(QUIET, consumer.recv()).await;
    assert!(more.is_err(), "{more:?}");
}

/// Not before it is committed, then once and as it was given, with what would have led it elsewhere or ended it half; never if it is rolled back.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_what_is_committed_comes_once_and_as_it_was() {
    let client = connect().await;
    let (target, copy) = (queue(&client, "paid").await, queue(&client, "copy").await);
    let group = unique("group");
    let consumer = client.consumer(target.clone()).build().await.unwrap();
    let copies = client.consumer(copy.clone()).build().await.unwrap();
    let publisher = publisher(&client, &group, Verdict::Unknown).await;
    let message = Message::new(target.clone(), "order 7")
        .id("7")
        .content_type("text/plain")
        .header("tenant", "acme")
        .header("BCC", vec![copy.into()])
        .expires_after(WAIT);
    let given = message.clone();
    let committed = publisher.begin(message).await.unwrap();
    assert_eq!(committed.message(), &given);
    let forgotten = Message::new(target.clone(), "order 8");
    let forgotten = publisher.begin(forgotten).await.unwrap();
    assert_ne!(committed.id(), forgotten.id());
    nothing(&consumer).await;
    nothing(&copies).await;
    committed.commit().await.unwrap();
    forgotten.rollback().await.unwrap();
    let delivery = next(&consumer).await;
    assert_eq!(delivery.body(), given.body());
    let properties = Properties {
        headers: Some([("tenant", "acme")].into_iter().collect()),
        ..given.properties().clone()
    };
    // The broker takes BCC off.
    assert_eq!(delivery.message().properties(), &properties);
    assert_eq!(delivery.attempt(), 1);
    delivery.ack().await.unwrap();
    let delivery = next(&copies).await;
    assert_eq!(delivery.message().message_id(), Some("7"));
    delivery.ack().await.unwrap();
    nothing(&consumer).await;
    let slot = format!("mq.tx.{group}.0");
    publisher.close().await;
    assert_eq!(client.queue(&slot).await.unwrap().messages, 0);
    client.close().await;
}

/// Each verdict of the closure, and what leaves the decision to the checker: `Unknown`, an error, a panic.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_the_closure_decides_or_leaves_it_to_the_checker() {
    let client = connect().await;
    let target = queue(&client, "paid").await;
    let (group, asked) = (unique("group"), Asked::default());
    let building = saying(&client, &group, Verdict::Commit, &asked).build();
    let publisher = building.await.unwrap();
    let message = |body: &'static str| Message::new(target.clone(), body);
    let says = |verdict| move |_| async move { Ok::<_, io::Error>(verdict) };
    let commits = publisher.transact(message("commits"), says(Verdict::Commit));
    assert_eq!(commits.await.unwrap(), Verdict::Commit);
    let forgets = publisher.transact(message("forgets"), says(Verdict::Rollback));
    assert_eq!(forgets.await.unwrap(), Verdict::Rollback);
    let unknown = publisher.transact(message("unknown"), says(Verdict::Unknown));
    assert_eq!(unknown.await.unwrap(), Verdict::Unknown);
    let fails = |_| async { Err(io::Error::other("no money")) };
    let failed = publisher.transact(message("fails"), fails).await;
    let failed = failed.unwrap_err();
    assert!(matches!(&failed, TransactError::Local(_)), "{failed}");
    let panicking = tokio::spawn({
        let (publisher, message) = (publisher.clone(), message("panics"));
        let panics = |_| async { panic!("in the middle") };
        async move { publisher.transact::<_, _, io::Error>(message, panics).await }
    });
    assert!(panicking.await.unwrap_err().is_panic());
    let consumer = client.consumer(target.clone()).build().await.unwrap();
    let mut came = BTreeSet::new();
    for _ in 0..4 {
        let delivery = next(&consumer).await;
        assert!(came.insert(delivery.text().unwrap().to_owned()));
        delivery.ack().await.unwrap();
    }
    let wanted = ["commits", "fails", "panics", "unknown"].map(str::to_owned);
    assert_eq!(came, wanted.into());
    nothing(&consumer).await;
    assert_eq!(asked.attempts("commits"), [0; 0]);
    assert_eq!(asked.attempts("forgets"), [0; 0]);
    assert_eq!(asked.attempts("fails"), [1]);
    publisher.close().await;
    client.close().await;
}

/// While a transaction lives nobody is asked; dropped, the checker is asked until it knows, and no more than so often.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_a_checker_is_asked_so_often_and_then_the_message_is_put_aside() {
    let client = connect().await;
    let target = queue(&client, "paid").await;
    let (group, asked) = (unique("group"), Asked::default());
    let building = saying(&client, &group, Verdict::Unknown, &asked);
    let publisher = building.max_checks(3).build().await.unwrap();
    let begin = publisher.begin(Message::new(target.clone(), "lost"));
    let transaction = begin.await.unwrap();
    tokio::time::sleep(3 * SOON).await;
    assert_eq!(asked.attempts("lost"), [0; 0], "it lives");
    drop(transaction);
    let discard = format!("mq.tx.{group}.discard");
    until(WAIT, "it is put aside", async || {
        let discard = client.queue(&discard).await;
        discard.is_ok_and(|info| info.messages == 1)
    })
    .await;
    assert_eq!(asked.attempts("lost"), [1, 2, 3]);
    let consumer = client.consumer(discard).build().await.unwrap();
    let delivery = next(&consumer).await;
    let headers = delivery.message().properties().headers.clone().unwrap();
    let text = |name| headers.get(name).unwrap().as_str().unwrap().to_owned();
    assert_eq!(text("x-mq-tx-routing-key"), target);
    assert!(text("x-mq-reason").contains("3 checks"));
    delivery.ack().await.unwrap();
    publisher.close().await;
    let slot = client.queue(&format!("mq.tx.{group}.0")).await.unwrap();
    assert_eq!((slot.messages, slot.consumers), (0, 0));
    client.close().await;
}

/// What a publisher has begun that is gone is decided by another one's checker, and what a former life has left by the next one's.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_another_publisher_takes_over() {
    let (first, second) = (connect().await, connect().await);
    let target = queue(&second, "paid").await;
    let consumer = second.consumer(target.clone()).build().await.unwrap();
    let (group, asked) = (unique("group"), Asked::default());
    let dead = publisher(&first, &group, Verdict::Rollback).await;
    let building = saying(&second, &group, Verdict::Commit, &asked).build();
    let living = building.await.unwrap();
    let begin = |publisher: &TransactionalPublisher, body: &'static str| {
        publisher
            .begin(Message::new(target.clone(), body))
            .into_future()
    };
    let theirs = begin(&dead, "theirs").await.unwrap();
    let ours = begin(&living, "ours").await.unwrap();
    assert_eq!(asked.attempts("theirs"), [0; 0]);
    first.close().await;
    let delivery = next(&consumer).await;
    assert_eq!(delivery.text(), Some("theirs"));
    delivery.ack().await.unwrap();
    assert_eq!(asked.attempts("theirs"), [1]);
    // Its client is closed: it is told so at once.
    let error = timeout(SOON, theirs.commit()).await.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    let slot = format!("mq.tx.{group}.0");
    until(WAIT, "the slot is given back", async || {
        let info = second.queue(&slot).await.unwrap();
        (info.messages, info.consumers) == (0, 0)
    })
    .await;
    // Whose transaction lives is not asked about its slot, which is the second.
    assert_eq!(asked.attempts("ours"), [0; 0]);
    drop((ours, living));
    second.close().await;
    let third = connect().await;
    let next_life = saying(&third, &group, Verdict::Commit, &asked).build();
    let _next_life = next_life.await.unwrap();
    let consumer = third.consumer(target).build().await.unwrap();
    let delivery = next(&consumer).await;
    assert_eq!(delivery.text(), Some("ours"));
    delivery.ack().await.unwrap();
    nothing(&consumer).await;
    third.close().await;
}

/// Publishers that come at the same time find the same slot free: one gets it, and nobody shares.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_each_publisher_has_a_slot_of_its_own() {
    const COUNT: usize = 8;
    let (client, group) = (connect().await, unique("group"));
    let building = (0..COUNT).map(|_| {
        let (client, group) = (client.clone(), group.clone());
        tokio::spawn(async move { publisher(&client, &group, Verdict::Unknown).await })
    });
    let building: Vec<_> = building.collect();
    let mut publishers = Vec::new();
    for built in building {
        publishers.push(within(WAIT, "a publisher", built).await.unwrap());
    }
    for number in 0..COUNT {
        let slot = client.queue(&format!("mq.tx.{group}.{number}")).await;
        assert_eq!(slot.unwrap().consumers, 1, "slot {number}");
    }
    for publisher in publishers {
        publisher.close().await;
    }
    client.close().await;
}

/// The publishing connection is cut between begin and commit, and again while many commits are under way: each is there, and none of what was rolled back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_commits_go_on_through_cuts() {
    const COUNT: usize = 200;
    let watch = connect().await;
    let target = queue(&watch, "paid").await;
    let (group, name) = (unique("group"), unique("client"));
    let client = builder()
        .connection_name(name.clone())
        .connect()
        .await
        .unwrap();
    let asked = Asked::default();
    let building = saying(&client, &group, Verdict::Unknown, &asked);
    let publisher = building.first_check_after(WAIT).build().await.unwrap();
    let mut open = Vec::new();
    for number in 0..COUNT {
        let message = Message::new(target.clone(), number.to_string());
        open.push(publisher.begin(message).await.unwrap());
    }
    cut(&name).await;
    let ends = open.into_iter().enumerate().map(|(number, open)| {
        tokio::spawn(async move {
            match number % 2 {
                0 => open.commit().await,
                _ => open.rollback().await,
            }
        })
    });
    let ends: Vec<_> = ends.collect();
    cut(&name).await;
    for end in ends {
        within(WAIT, "an end", end).await.unwrap().unwrap();
    }
    let consumer = watch.consumer(target).build().await.unwrap();
    let mut came = BTreeSet::new();
    while came.len() < COUNT / 2 {
        let delivery = next(&consumer).await;
        let number: usize = delivery.text().unwrap().parse().unwrap();
        assert!(number.is_multiple_of(2), "{number} was rolled back");
        came.insert(number);
        delivery.ack().await.unwrap();
    }
    publisher.close().await;
    let slot = watch.queue(&format!("mq.tx.{group}.0")).await.unwrap();
    assert_eq!(slot.messages, 0);
    client.close().await;
    watch.close().await;
}

/// Typed, with the outcome; what is beside it on the channel is committed, and the checker is asked about what was not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_a_commit_that_goes_nowhere_says_so_and_harms_no_other() {
    let client = connect().await;
    let target = queue(&client, "paid").await;
    let group = unique("group");
    let exchange = unique("exchange");
    let gone = Exchange::direct(exchange.clone());
    client.declare_exchange(gone).await.unwrap();
    let bound = Binding::queue(target.clone())
        .to(exchange.clone())
        .key("paid");
    client.bind(bound).await.unwrap();
    let checks = Arc::new(AtomicUsize::new(0));
    // Either may come to ask: a slot that was left is taken over, not so soon that it is while its publisher only comes back to it.
    let asking = async |exchange: &str| {
        let count = Arc::clone(&checks);
        let building = client.publisher(exchange.to_owned());
        let building = building.checker(group.clone(), move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Verdict::Rollback }
        });
        let building = building.first_check_after(SOON).build();
        building.await.unwrap()
    };
    let (good, bad) = (asking("").await, asking(&exchange).await);
    let unroutable = bad.begin(Message::new("nobody", "1")).await.unwrap();
    let error = unroutable.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(error.outcome(), Outcome::Rejected);
    let ok = bad.begin(Message::new("paid", "routed")).await.unwrap();
    ok.commit().await.unwrap();
    let mut missing = Vec::new();
    for number in 0..5 {
        let begin = bad.begin(Message::new("paid", number.to_string()));
        missing.push(begin.await.unwrap());
    }
    client.delete_exchange(&exchange).await.unwrap();
    let ends: Vec<_> = missing
        .into_iter()
        .map(|missing| tokio::spawn(missing.commit()))
        .collect();
    for end in ends {
        let error = within(WAIT, "a commit", end).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert_eq!(error.code(), Some(&ReplyCode::NOT_FOUND));
        assert_ne!(error.outcome(), Outcome::NotSent);
    }
    let beside = good.begin(Message::new(target.clone(), "beside")).await;
    beside.unwrap().commit().await.unwrap();
    until(WAIT, "all were asked about", async || {
        checks.load(Ordering::Relaxed) >= 6
    })
    .await;
    let consumer = client.consumer(target).build().await.unwrap();
    for wanted in ["routed", "beside"] {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.text(), Some(wanted));
        delivery.ack().await.unwrap();
    }
    good.close().await;
    bad.close().await;
    client.close().await;
}

/// A checker that commits what costs the channel is asked as often as any, and no faster, and then the message is put aside.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_what_can_never_be_sent_is_put_aside() {
    let client = connect().await;
    let (group, asked) = (unique("group"), Asked::default());
    let missing = unique("missing");
    let note = asked.clone();
    let checker = move |message: CheckedMessage| {
        note.note(&message);
        async { Verdict::Commit }
    };
    let building = client.publisher(missing).checker(group.clone(), checker);
    let building = building.first_check_after(SOON).check_interval(SOON);
    let publisher = building.max_checks(3).build().await.unwrap();
    drop(publisher.begin(Message::new("key", "lost")).await.unwrap());
    let discard = format!("mq.tx.{group}.discard");
    until(WAIT, "it is put aside", async || {
        client.queue(&discard).await.unwrap().messages == 1
    })
    .await;
    assert_eq!(asked.attempts("lost"), [1, 2, 3]);
    let long = publisher.begin(Message::new("k".repeat(256), "x")).await;
    assert_eq!(long.unwrap_err().kind(), ErrorKind::Invalid);
    publisher.close().await;
    client.close().await;
}

/// Before anything else was put aside.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_what_is_no_half_message_is_put_aside() {
    let client = connect().await;
    let group = unique("group");
    let publisher = publisher(&client, &group, Verdict::Unknown).await;
    let slot = format!("mq.tx.{group}.0");
    let stray = Message::new(slot.clone(), "what is this");
    publisher.plain().send(stray).await.unwrap();
    let discard = client.consumer(format!("mq.tx.{group}.discard"));
    let discard = discard.build().await.unwrap();
    let delivery = next(&discard).await;
    assert_eq!(delivery.text(), Some("what is this"));
    let headers = delivery.message().properties().headers.clone().unwrap();
    let key = headers.get("x-mq-tx-routing-key").unwrap();
    assert_eq!(key.as_str(), Some(&*slot));
    delivery.ack().await.unwrap();
    publisher.close().await;
    assert_eq!(client.queue(&slot).await.unwrap().messages, 0);
    client.close().await;
}

/// As many as the window allows; a group has as many publishers as slots; what a broker would refuse is refused here.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_has_its_limits_and_says_them() {
    let client = connect().await;
    let target = queue(&client, "paid").await;
    let (group, asked) = (unique("group"), Asked::default());
    let small = client.publisher("").window(2);
    let small = small.checker(group.clone(), |_| async { Verdict::Rollback });
    let small = small.slots(1).build().await.unwrap();
    let begin = || small.begin(Message::new(target.clone(), "x"));
    let first = begin().await.unwrap();
    let _second = begin().await.unwrap();
    let full = begin().timeout(QUIET).await.unwrap_err();
    assert_eq!(
        (full.kind(), full.outcome()),
        (ErrorKind::Timeout, Outcome::NotSent)
    );
    first.rollback().await.unwrap();
    let third = begin().await.unwrap();
    let taken = saying(&client, &group, Verdict::Unknown, &asked).slots(1);
    let taken = taken.build().await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Busy, "{taken}");
    let user = small.begin(Message::new(target.clone(), "x").user_id("guest"));
    let user = user.await.unwrap_err();
    assert_eq!(user.kind(), ErrorKind::Invalid, "{user}");
    let nameless = saying(&client, "", Verdict::Unknown, &asked).build().await;
    assert_eq!(nameless.unwrap_err().kind(), ErrorKind::Invalid);
    let again = small.clone();
    let ((), committed) = futures_util::join!(small.close(), third.commit());
    committed.unwrap();
    let closed = again.begin(Message::new(target.clone(), "x")).await;
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
    client.close().await;
}

/// How many messages channels that are open have published into a queue.
async fn published(queue: &str) -> usize {
    let rows = format!("{{{{_, {{{{resource, _, queue, <<\"{queue}\">>}}, _}}}}, N, _}}");
    let sum = format!("lists:sum([N || {rows} <- ets:tab2list(channel_queue_exchange_metrics)]).");
    control(&["eval", &sum]).await.trim().parse().unwrap()
}

/// What is held for long is written again before the broker takes the channel for one that hangs, and is still decided once.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL)"]
async fn real_amqp_transactional_what_lasts_is_held_anew() {
    let client = connect().await;
    let target = queue(&client, "paid").await;
    let (group, asked) = (unique("group"), Asked::default());
    let building = saying(&client, &group, Verdict::Commit, &asked);
    let building = building.first_check_after(10 * SOON);
    let publisher = building.renew_after(SOON).build().await.unwrap();
    let begin = |body: &'static str| publisher.begin(Message::new(target.clone(), body));
    let lasting = begin("lasting").await.unwrap();
    drop(begin("dropped").await.unwrap());
    let slot = format!("mq.tx.{group}.0");
    // Two were begun.
    until(WAIT, "both are written again", async || {
        published(&slot).await >= 4
    })
    .await;
    lasting.commit().await.unwrap();
    let consumer = client.consumer(target).build().await.unwrap();
    for wanted in ["lasting", "dropped"] {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.text(), Some(wanted));
        delivery.ack().await.unwrap();
    }
    nothing(&consumer).await;
    assert_eq!(asked.attempts("dropped"), [1]);
    publisher.close().await;
    let slot = client.queue(&format!("mq.tx.{group}.0")).await.unwrap();
    assert_eq!(slot.messages, 0);
    client.close().await;
}
