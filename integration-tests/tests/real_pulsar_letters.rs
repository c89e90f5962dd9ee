//! Pulsar's dead letter and retry letter topics: what can't be handled goes there with where it came from, and is never lost on its way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use integration_tests::foreign::pulsar::Session;
use integration_tests::harness::pulsar::{Manage, url};
use integration_tests::harness::{now, unique, until, within};
use mq_pulsar::{
    Client, Consumer, ConsumerBuilder, DeadLetter, Delivery, ErrorKind, Message, RetryLetter,
};
use serde_json::json;

const WAIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(100);

async fn connect() -> Client {
    let builder = Client::from_url(&url()).unwrap();
    builder.connect().await.unwrap()
}

async fn next(consumer: &Consumer) -> Delivery {
    let next = within(WAIT, "a message", consumer.recv()).await;
    next.unwrap().unwrap()
}

async fn send(client: &Client, topic: &str, message: Message) {
    let producer = client.producer(topic).build().await.unwrap();
    producer.send(message).await.unwrap();
    producer.close().await.unwrap();
}

/// A topic, a consumer of it by this subscription's options, and the topics of its letters.
async fn consumer(
    client: &Client,
    topic: &str,
    options: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
) -> Consumer {
    let builder = client.consumer("s").topic(topic).shared().from_earliest();
    let builder = options(builder.nack_delay(SOON));
    builder.build().await.unwrap()
}

async fn reader(client: &Client, topic: &str) -> Consumer {
    let builder = client.consumer("reader").topic(topic).from_earliest();
    builder.build().await.unwrap()
}

async fn acked(manage: &Manage, topic: &str, subscription: &str) {
    until(WAIT, "an empty backlog", async || {
        manage.backlog(topic, subscription).await == 0
    })
    .await;
}

fn letter() -> Message {
    let message = Message::new("poison").key("k").ordering_key("o");
    let message = message.property("own", "1");
    message.event_time(UNIX_EPOCH + Duration::from_secs(1_000_000_000))
}

/// That it is `letter`, and came from there.
fn assert_origin(letter: &Delivery, topic: &str, id: &str) {
    let properties: BTreeMap<_, _> = letter.properties().collect();
    for (name, value) in [
        ("own", "1"),
        ("REAL_TOPIC", topic),
        ("REAL_SUBSCRIPTION", "s"),
        ("ORIGIN_MESSAGE_ID", id),
        ("ORIGIN_MESSAGE_IDY_TIME", id),
    ] {
        assert_eq!(
            properties.get(name),
            Some(&value),
            "{name} in {properties:?}"
        );
    }
    assert_eq!(
        (letter.text(), letter.key_text()),
        (Some("poison"), Some("k"))
    );
    assert_eq!(letter.ordering_key().unwrap(), "o");
    let event = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    assert_eq!(letter.event_time(), Some(event));
}

/// In a batch: the others are handled, and only the one goes.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_letters_what_is_in_vain_too_often_is_a_dead_letter_with_its_origin() {
    for kind in [ConsumerBuilder::shared, ConsumerBuilder::key_shared] {
        let (client, manage) = (connect().await, Manage::shared());
        let topic = manage.topic("dead").await;
        let dead = DeadLetter::after(2).initial_subscription("reader");
        let consumer = consumer(&client, &topic, |it| kind(it).dead_letter(dead)).await;
        let producer = client.producer(&topic).linger(Duration::from_secs(1));
        let producer = producer.build().await.unwrap();
        for text in ["first", "a", "poison", "b"] {
            let message = if text == "poison" {
                letter()
            } else {
                Message::new(text).key("k")
            };
            drop(producer.enqueue(message).await.unwrap());
        }
        producer.flush().await.unwrap();
        let (mut attempts, mut others, mut id) = (Vec::new(), Vec::new(), String::new());
        while attempts.len() < 3 || others.len() < 3 {
            let delivery = next(&consumer).await;
            if delivery.text() == Some("poison") {
                attempts.push(delivery.attempt());
                id = delivery.id().to_string();
                delivery.nack().await.unwrap();
            } else {
                others.push(delivery.text().unwrap().to_owned());
                delivery.ack().await.unwrap();
            }
        }
        assert_eq!(
            (attempts, others),
            (vec![1, 2, 3], ["first", "a", "b"].map(Into::into).to_vec())
        );
        let reader = reader(&client, &format!("{topic}-s-DLQ")).await;
        let letter = next(&reader).await;
        assert_origin(&letter, &topic, &id);
        letter.ack().await.unwrap();
        acked(&manage, &topic, "s").await;
        let counts = consumer.counts();
        assert_eq!(
            (counts.dead_lettered, counts.received),
            (1, 6),
            "{counts:?}"
        );
        assert_eq!(manage.backlog(&format!("{topic}-s-DLQ"), "reader").await, 0);
    }
}

/// The dead letter topic can't be written to: the message stays, is not handed out again, and becomes a letter when it can.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_letters_a_message_whose_dead_letter_is_not_stored_stays() {
    let builder = Client::from_url(&url()).unwrap();
    let builder = builder.operation_timeout(Duration::from_secs(2));
    let (client, manage) = (builder.connect().await.unwrap(), Manage::shared());
    let topic = manage.topic("stays").await;
    let namespace = format!("public/{}", unique("later"));
    let dead = DeadLetter::after(1).topic(format!("{namespace}/dead"));
    let dead = dead.initial_subscription("reader");
    let consumer = consumer(&client, &topic, |it| it.dead_letter(dead)).await;
    send(&client, &topic, letter()).await;
    let mut id = String::new();
    for attempt in [1, 2] {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.attempt(), attempt);
        id = delivery.id().to_string();
        // Dropped is as good as given back.
        drop(delivery);
    }
    let redelivered = async || {
        let stats = manage.stats(&topic).await;
        stats["subscriptions"]["s"]["consumers"][0]["msgOutCounter"].as_u64()
    };
    // It was tried twice at least: it went to the broker and came back.
    until(WAIT, "a second try", async || {
        redelivered().await >= Some(4)
    })
    .await;
    assert_eq!(
        manage.backlog(&topic, "s").await,
        1,
        "it is acknowledged, and no letter is there"
    );
    let counts = consumer.counts();
    assert_eq!(
        (counts.received, counts.dead_lettered),
        (2, 0),
        "{counts:?}"
    );

    manage
        .ask(
            "PUT",
            &format!("namespaces/{namespace}"),
            serde_json::json!({}),
        )
        .await
        .unwrap();
    let more = tokio::time::timeout(WAIT, consumer.recv());
    let done = acked(&manage, &topic, "s");
    tokio::select! {
        got = more => panic!("{got:?} was handed out again"),
        () = done => {}
    }
    let reader = reader(&client, &format!("{namespace}/dead")).await;
    let letter = next(&reader).await;
    assert_origin(&letter, &topic, &id);
    assert_eq!(consumer.counts().dead_lettered, 1);
}

/// Others have been given the message as often as it may be: it is not handed out here.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_letters_what_was_delivered_once_too_often_is_not_handed_out() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("beyond").await;
    let without = consumer(&client, &topic, |it| it).await;
    send(&client, &topic, letter()).await;
    for attempt in 1..=3 {
        let delivery = next(&without).await;
        assert_eq!(delivery.attempt(), attempt);
        drop(delivery.release().await);
    }
    let held = next(&without).await;
    let name = unique("beyond-letters");
    let dead = DeadLetter::after(2).topic(&name);
    let consumer = consumer(&client, &topic, |it| it.dead_letter(dead)).await;
    let reader = reader(&client, &name).await;
    drop(held.release().await);
    without.close().await;
    let (letter, nothing) = (next(&reader), consumer.recv());
    tokio::select! {
        letter = letter => assert_eq!(letter.text(), Some("poison")),
        got = nothing => panic!("{got:?} was handed out"),
    }
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_letters_what_is_tried_later_comes_at_its_time_and_in_the_end_dies() {
    let delay = Duration::from_secs(2);
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.partitioned("later", 2).await;
    let dead = DeadLetter::after(2).initial_subscription("reader");
    let options = |it: ConsumerBuilder| it.dead_letter(dead).retry_letter(RetryLetter::new());
    let consumer = consumer(&client, &topic, options).await;
    send(&client, &topic, letter()).await;
    let (mut begun, mut id) = (now(), String::new());
    for times in [None, Some("1"), Some("2")] {
        let delivery = next(&consumer).await;
        assert_eq!(delivery.property_text("RECONSUMETIMES"), times);
        if times.is_some() {
            assert!(now() - begun >= delay, "before its time");
            assert_eq!(delivery.topic(), format!("{topic}-s-RETRY"));
            assert_eq!(delivery.property_text("DELAY_TIME"), Some("2000"));
            assert_origin(&delivery, &topic, &id);
        } else {
            id = delivery.id().to_string();
        }
        begun = now();
        delivery.retry_later(delay).await.unwrap();
    }
    let reader = reader(&client, &format!("{topic}-s-DLQ")).await;
    let letter = next(&reader).await;
    assert_origin(&letter, &topic, &id);
    assert_eq!(letter.property_text("RECONSUMETIMES"), Some("3"));
    acked(&manage, &format!("{topic}-s-RETRY"), "s").await;
    for partition in 0..2 {
        acked(&manage, &format!("{topic}-partition-{partition}"), "s").await;
    }
    let counts = consumer.counts();
    assert_eq!(
        (counts.retried_later, counts.dead_lettered),
        (2, 1),
        "{counts:?}"
    );
}

/// A letter that is too large, since it says where it came from: whoever asked is told, and the message is not acknowledged.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_letters_a_message_whose_retry_letter_is_not_stored_stays() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("large").await;
    let options = |it: ConsumerBuilder| it.retry_letter(RetryLetter::new());
    let first = consumer(&client, &topic, options).await;
    let largest = 5 * 1024 * 1024 - 200;
    send(&client, &topic, Message::new(vec![b'x'; largest])).await;
    let told = next(&first).await.retry_later(SOON).await.unwrap_err();
    assert_eq!(
        (told.kind(), told.operation()),
        (ErrorKind::Invalid, "retry_later"),
        "{told}"
    );
    first.close().await;
    assert_eq!(manage.backlog(&topic, "s").await, 1);
    let second = consumer(&client, &topic, options).await;
    let again = next(&second).await;
    assert_eq!(again.body().len(), largest);
    again.ack().await.unwrap();
    acked(&manage, &topic, "s").await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_letters_without_a_retry_letter_topic_a_message_comes_again() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.topic("without").await;
    let consumer = consumer(&client, &topic, |it| it).await;
    send(&client, &topic, letter()).await;
    let told = next(&consumer).await.retry_later(SOON).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Invalid, "{told}");
    let again = next(&consumer).await;
    assert_eq!(again.attempt(), 2);
    again.ack().await.unwrap();
    for kind in [ConsumerBuilder::exclusive, ConsumerBuilder::failover] {
        let builder = kind(client.consumer("s").topic(&topic));
        let told = builder.dead_letter(DeadLetter::after(1)).build().await;
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

/// Of the same message, with the same options, Java's letter and ours have the same topic and say the same.
#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_letters_are_where_java_puts_them_and_say_what_javas_say() {
    let (client, manage) = (connect().await, Manage::shared());
    let topic = manage.partitioned("java", 1).await;
    let mut theirs = Session::start(&url(), &[]).await.unwrap();
    let subscribe = json!({
        "consumer": "theirs", "subscription": "theirs", "topics": [&topic], "type": "Shared",
        "from": "Earliest", "nack_ms": 100, "dead_letter_after": 1,
    });
    theirs.call("Subscribe", subscribe).await.unwrap();
    let ours = consumer(&client, &topic, |it| it.dead_letter(DeadLetter::after(1))).await;
    let dead = |subscription: &str| format!("{topic}-partition-0-{subscription}-DLQ");
    let readers = [
        reader(&client, &dead("s")).await,
        reader(&client, &dead("theirs")).await,
    ];
    send(&client, &topic, letter()).await;
    for _ in 0..2 {
        drop(next(&ours).await.nack().await);
        let receive = json!({ "consumer": "theirs", "count": 1, "timeout_ms": 60_000 });
        let got = theirs.call("Receive", receive).await.unwrap();
        let nack = json!({ "consumer": "theirs", "ids": [got["messages"][0]["id"]] });
        theirs.call("Nack", nack).await.unwrap();
    }
    let mut letters = Vec::new();
    for reader in &readers {
        let letter = next(reader).await;
        let all: BTreeMap<_, _> = letter.properties().collect();
        let mut all: BTreeMap<_, _> = all
            .iter()
            .map(|it| (it.0.to_string(), it.1.to_string()))
            .collect();
        let of = all.remove("REAL_SUBSCRIPTION");
        assert!(
            of == Some("s".to_owned()) || of == Some("theirs".to_owned()),
            "{of:?}"
        );
        let key = (
            letter.key_text().map(str::to_owned),
            letter.ordering_key().cloned(),
        );
        letters.push((all, key, letter.event_time(), letter.body().clone()));
    }
    assert_eq!(letters[0], letters[1]);
    theirs.call("Close", json!({})).await.unwrap();
}
