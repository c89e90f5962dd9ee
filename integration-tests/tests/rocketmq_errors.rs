//! What can go wrong before there is a broker: addresses, arguments, and secrets in texts. No broker is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::harness::{Behaviour, Capture, Listener, now, within};
use mq_rocketmq::{
    Client, Credentials, Error, ErrorKind, Message, Outcome, Producer, Retry, Settle,
};

/// Connects with a time-out of one second, which has to be kept.
async fn refused(url: &str) -> Error {
    let started = now();
    let connecting = Client::from_url(url)
        .unwrap()
        .connect_timeout(Duration::from_secs(1))
        .connect();
    let error = within(Duration::from_secs(3), "an error", connecting)
        .await
        .unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(1500), "{error}");
    error
}

#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let text = format!("{error:#}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    assert!(!text.contains('\n'), "{text}");
}

#[tokio::test]
async fn one_dead_nameserver_is_named_with_reason_and_advice() {
    let dead = Listener::nobody();
    let error = refused(&format!("rocketmq://{dead}")).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(
        (error.outcome(), error.retry()),
        (Outcome::NotSent, Retry::Later)
    );
    says(
        &error,
        &[&dead.to_string(), "refused", "check host and port"],
    );
}

#[tokio::test]
async fn all_dead_nameservers_are_named_each_with_its_reason() {
    let (dead, silent) = (Listener::nobody(), Listener::start(Behaviour::Silent));
    let http = Listener::start(Behaviour::Http);
    let hangup = Listener::start(Behaviour::Hangup);
    let all = [
        dead.to_string(),
        silent.addr().to_string(),
        http.addr().to_string(),
        hangup.addr().to_string(),
        "nameserver.invalid:9876".to_owned(),
    ];
    let error = refused(&format!("rocketmq://{}", all.join(";"))).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.retry(), Retry::Later);
    for address in &all {
        says(&error, &[address]);
    }
    says(
        &error,
        &["refused", "does not resolve", "not a frame", "check host"],
    );
}

#[tokio::test]
async fn a_silent_port_ends_by_the_connect_timeout() {
    let silent = Listener::start(Behaviour::Silent);
    let address = silent.addr().to_string();
    let error = refused(&format!("rocketmq://{address}")).await;
    assert!(
        matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Connect),
        "{error}"
    );
    assert_eq!(error.retry(), Retry::Later);
    says(&error, &[&address, "check host and port"]);
}

#[tokio::test]
async fn a_web_server_is_recognised() {
    let http = Listener::start(Behaviour::Http);
    let address = http.addr().to_string();
    let error = refused(&format!("rocketmq://{address}")).await;
    says(&error, &[&address, "HTTP", "check host and port"]);
    assert_eq!(http.connections(), 1, "no retry loop");
}

#[tokio::test]
async fn a_port_that_hangs_up_is_named() {
    let hangup = Listener::start(Behaviour::Hangup);
    let address = hangup.addr().to_string();
    let error = refused(&format!("rocketmq://{address}")).await;
    says(&error, &[&address, "check host and port"]);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let error = refused("rocketmq://nameserver.invalid:9876").await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.outcome(), Outcome::NotSent);
    says(
        &error,
        &[
            "nameserver.invalid:9876",
            "does not resolve",
            "check host and port",
        ],
    );
}

#[test]
fn a_full_width_bar_is_recognised_before_anything_is_connected() {
    let error = Client::from_url("rocketmq://127.0.0.1:9876/rocketmq-x｜ns").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    says(&error, &["full-width bar", "|"]);
}

#[tokio::test]
async fn a_full_width_bar_by_the_builder_is_recognised_before_any_byte_leaves() {
    let listener = Listener::start(Behaviour::Silent);
    let error = Client::builder()
        .nameserver(listener.addr().to_string())
        .namespace("rocketmq-x｜ns")
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    says(&error, &["full-width bar"]);
    assert_eq!((listener.connections(), listener.bytes()), (0, 0));
}

/// A client of a nameserver that answers the first question and counts what comes after it.
async fn counted() -> (Client, Listener) {
    let listener = Listener::start(Behaviour::Nameserver);
    let client = Client::from_url(&format!("rocketmq://{}", listener.addr()))
        .unwrap()
        .connect()
        .await
        .unwrap();
    (client, listener)
}

async fn producer(client: &Client) -> Producer {
    client
        .producer("group")
        .max_message_size(1000)
        .build()
        .await
        .unwrap()
}

fn bad_messages() -> Vec<(Message, &'static str)> {
    let good = || Message::new("topic", "body");
    vec![
        (Message::new("topic", vec![b'x'; 1001]), "limit is 1000"),
        (Message::new("topic", ""), "empty"),
        (Message::new("", "body"), "topic"),
        (Message::new("a topic", "body"), "topic"),
        (Message::new("topic/a", "body"), "topic"),
        (Message::new("话题", "body"), "topic"),
        (Message::new("t".repeat(128), "body"), "topic"),
        (
            Message::new("SCHEDULE_TOPIC_XXXX", "body"),
            "belongs to the broker",
        ),
        (good().property("name", "a\u{1}b"), "U+0001"),
        (good().property("name\u{2}", "b"), "U+0002"),
        (good().property("TAGS", "b"), "protocol's own"),
        (good().property("name", "x".repeat(40_000)), "properties"),
        (good().tag("A|B"), "|"),
        (good().tag("A || B"), "|"),
        (good().tag("A\u{1}"), "U+0001"),
        (good().key("a b"), "key"),
        (good().key("a\u{1}"), "U+0001"),
    ]
}

#[tokio::test]
async fn a_message_that_can_not_travel_comes_back_before_any_byte_leaves() {
    let (client, listener) = counted().await;
    let producer = producer(&client).await;
    let before = listener.bytes();
    for (message, part) in bad_messages() {
        let mut failures = vec![
            producer.send(message.clone()).await.unwrap_err(),
            producer.enqueue(message.clone()).await.unwrap_err(),
            producer.send_oneway(message.clone()).await.unwrap_err(),
        ];
        let mut batch = producer.send_batch([message.clone()]).await;
        failures.push(batch.pop().unwrap().unwrap_err());
        for failed in failures {
            assert_eq!(failed.error.kind(), ErrorKind::Invalid, "{part}: {failed}");
            assert_eq!(failed.outcome(), Outcome::NotSent);
            assert_eq!(failed.error.retry(), Retry::Never);
            says(&failed.error, &[part]);
            assert_eq!(failed.message.topic(), message.topic());
            assert_eq!(failed.message.body(), message.body());
            assert_eq!(failed.message.properties(), message.properties());
            assert_eq!(failed.message.keys(), message.keys());
        }
    }
    producer.flush().await.unwrap();
    assert_eq!(listener.bytes(), before, "bytes left");
}

#[tokio::test]
async fn one_bad_message_keeps_its_whole_batch_here() {
    let (client, listener) = counted().await;
    let producer = producer(&client).await;
    let before = listener.bytes();
    let bad = [Message::new("topic", "fine"), Message::new("topic", "")];
    let mixed = [Message::new("topic", "fine"), Message::new("other", "fine")];
    for batch in [bad, mixed] {
        let results = producer.send_batch(batch.clone()).await;
        assert_eq!(results.len(), 2);
        for (result, message) in results.into_iter().zip(batch) {
            let failed = result.unwrap_err();
            assert_eq!(failed.error.kind(), ErrorKind::Invalid);
            assert_eq!(
                (failed.message.topic(), failed.message.body()),
                (message.topic(), message.body())
            );
        }
    }
    assert_eq!(listener.bytes(), before, "bytes left");
}

#[tokio::test]
async fn bad_groups_topics_and_expressions_are_refused_before_any_byte_leaves() {
    let (client, listener) = counted().await;
    let before = listener.bytes();
    for group in ["", "a group", "组", "a/b", &"g".repeat(256)] {
        let error = client.producer(group).build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{group}");
        let building = client.consumer(group).subscribe("topic", "*").build();
        assert_eq!(building.await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    for topic in ["", "a topic", "话题", "a/b"] {
        let building = client.consumer("group").subscribe(topic, "*").build();
        assert_eq!(building.await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    for expression in ["", "||", "A ||", "A || || B", "A &&", "A && B"] {
        let building = client.consumer("group").subscribe("topic", expression);
        let error = building.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{expression}");
    }
    let error = client.consumer("group").build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(listener.bytes(), before, "bytes left");
}

/// Connects and sends in every way that fails, with keys, and looks for them in everything that can be shown.
///
/// The only test that installs a subscriber in this process.
#[tokio::test]
async fn no_secret_is_in_any_log_debug_or_error() {
    let log = Capture::install();
    let mut texts = vec![format!("{0:?} {0:#?}", keys())];
    texts.extend(refused_connections().await);
    texts.extend(sends_without_route().await);
    let logged = log.text();
    assert!(logged.len() > 100, "something is logged: {logged}");
    texts.push(logged);
    for text in &texts {
        // The access key is no secret; the signature made from the secret is not shown either.
        for word in [
            "canary-secret",
            "canary-token",
            "canary-body",
            "Signature\":\"",
        ] {
            assert!(!text.contains(word), "{word} in: {text}");
        }
    }
}

fn keys() -> Credentials {
    Credentials::new("CANARYACCESS", "canary-secret").security_token("canary-token")
}

/// What is said of connections and URLs that come to nothing.
async fn refused_connections() -> Vec<String> {
    let mut texts = Vec::new();
    let listeners = [
        Listener::start(Behaviour::Silent),
        Listener::start(Behaviour::Http),
        Listener::start(Behaviour::Hangup),
        Listener::start(Behaviour::Refuses),
    ];
    for listener in &listeners {
        let url = format!(
            "rocketmq://CANARYACCESS:canary-secret@{}/ns",
            listener.addr()
        );
        for builder in [
            Client::from_url(&url).unwrap(),
            Client::builder()
                .nameserver(listener.addr().to_string())
                .credentials(keys()),
        ] {
            let builder = builder.connect_timeout(Duration::from_millis(300));
            texts.push(format!("{builder:?} {builder:#?}"));
            texts.push(told(&builder.connect().await.unwrap_err()));
        }
    }
    for bad in [
        "rocketmq://k:canary-secret@host:1/a｜b",
        "rocketmq://k:canary-secret@host:port",
        "rocketmq://k:canary-secret@",
        "rocketmq://k:canary-secret@host:1?password=canary-secret",
        "pulsar://k:canary-secret@host:1",
        "rocketmq://k:canary-secret",
        "k:canary-secret@host:1",
    ] {
        texts.push(told(&Client::from_url(bad).unwrap_err()));
    }
    texts
}

/// With a connection: what is said of sends that wait for a route which nobody tells, and what the objects show of themselves.
async fn sends_without_route() -> Vec<String> {
    let mut texts = Vec::new();
    let nameserver = Listener::start(Behaviour::Nameserver);
    let client = Client::builder()
        .nameserver(nameserver.addr().to_string())
        .credentials(keys())
        .request_timeout(Duration::from_millis(300))
        .connect_timeout(Duration::from_millis(300))
        .connect()
        .await
        .unwrap();
    let producer = client.producer("group").build().await.unwrap();
    let send = producer.send(Message::new("topic", "canary-body"));
    texts.push(format!("{client:?} {producer:?} {send:?}"));
    let failed = send.timeout(Duration::from_millis(300)).await.unwrap_err();
    texts.push(format!("{failed:?} {failed:#?} {failed} {failed:#}"));
    texts.push(told(&failed.into()));
    texts.push(format!("{:?}", Settle::Ack));
    drop(client.close().await);
    texts
}

/// The security token of temporary keys travels with each request, and is part of what is signed.
#[tokio::test]
async fn the_security_token_travels_and_is_signed() {
    let mut signatures = Vec::new();
    for token in [None, Some("token-1"), Some("token-2"), Some("token-1")] {
        let listener = Listener::start(Behaviour::Nameserver);
        let mut credentials = Credentials::new("access", "secret");
        if let Some(token) = token {
            credentials = credentials.security_token(token);
        }
        let client = Client::builder()
            .nameserver(listener.addr().to_string())
            .credentials(credentials)
            .connect()
            .await
            .unwrap();
        drop(client);
        let request = listener.requests().swap_remove(0);
        assert_eq!(request.ext.text("AccessKey"), Some("access"));
        assert_eq!(request.ext.text("SecurityToken"), token);
        signatures.push(request.ext.text("Signature").unwrap().to_owned());
    }
    assert_eq!(signatures[1], signatures[3]);
    let different: std::collections::BTreeSet<_> = signatures.into_iter().collect();
    assert_eq!(different.len(), 3);
}

fn told(error: &Error) -> String {
    format!("{error:?} {error:#?} {error} {error:#}")
}
