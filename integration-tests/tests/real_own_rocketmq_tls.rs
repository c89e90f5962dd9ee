//! TLS on brokers of 5.5.0 and 4.9.7: who is trusted is spoken to, each way of not being is an error of its own with its remedy, nobody
//! is asked again and again, and access control works below it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::error::Error as _;
use std::time::Duration;

use integration_tests::brokers::{Certificates, Cluster, Profile, User};
use integration_tests::conformance::{Record, Tier};
use integration_tests::foreign::{Call, Foreign};
use integration_tests::harness::{
    connect_to, from_first, next, now, producer, unique, until, within,
};
use mq_dev::proxy::Proxy;
use mq_rocketmq::{
    Client, ClientBuilder, Credentials, Error, ErrorKind, Event, Message, Outcome, Retry, Tls,
    TlsError, TlsFault,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_tls_permissive_takes_both_and_names_what_is_wrong() {
    let test = "real_own_rocketmq_tls_permissive_takes_both_and_names_what_is_wrong";
    let promise = "TLS: both ways with the Java client";
    let record = Record::begin(test, "mq-rocketmq", "send, receive", promise)
        .tier(Tier::Foreign)
        .version("Java 5.5.0 on 5.5.0");
    let mut cluster = Cluster::start(Profile::RocketmqTls).unwrap();
    let topic = unique("tls");
    let plain = connect_to(&format!("rocketmq://{}", cluster.namesrv())).await;
    passes(&plain, &topic).await;
    let secured = connect_to(cluster.url()).await;
    passes(&secured, &topic).await;
    with_java(&secured, &cluster).await;
    record.passed();
    wrong_server(&cluster).await;
    expired(&cluster).await;

    cluster
        .nameserver_mut()
        .unwrap()
        .restart_without_tls()
        .unwrap();
    let error = refused(builder(&cluster)).await;
    assert_eq!(fault(&error), TlsFault::NotTls, "{error}");
    assert!(error.to_string().contains("port"), "{error}");
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Connect, Retry::Later)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_tls_enforcing_with_acl_2() {
    let cluster = Cluster::start(Profile::RocketmqTlsEnforcing).unwrap();
    enforcing(&cluster).await;
    keys_of_a_provider(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_tls_enforcing_with_acl_1_whose_keys_change() {
    let cluster = Cluster::start(Profile::Rocketmq4Tls).unwrap();
    enforcing(&cluster).await;
    keys_change(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven; starts its own broker"]
async fn real_own_rocketmq_tls_mutual_wants_a_certificate() {
    let cluster = Cluster::start(Profile::RocketmqTlsMutual).unwrap();
    let client = connect_to(cluster.url()).await;
    passes(&client, &unique("mutual")).await;
    for round in 0..3 {
        let error = refused(builder(&cluster)).await;
        assert_eq!(
            fault(&error),
            TlsFault::ClientCertificateMissing,
            "{round}: {error}"
        );
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Auth, Retry::Never)
        );
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
        assert!(error.to_string().contains("tls_cert"), "{error}");
    }
}

/// Send and receive, large and small.
async fn passes(client: &Client, topic: &str) {
    let producer = producer(client).await;
    let bodies = ["small".to_owned(), "large ".repeat(200_000)];
    for body in &bodies {
        producer
            .send(Message::new(topic, body.clone()))
            .await
            .unwrap();
    }
    let many = (0..200).map(|number| {
        producer
            .send(Message::new(topic, format!("n{number}")))
            .into_future()
    });
    for sent in futures_util::future::join_all(many).await {
        sent.unwrap();
    }
    let group = unique("passes");
    let consumer = from_first(client, &group, topic).build().await.unwrap();
    let mut missing: std::collections::BTreeSet<_> =
        (0..200).map(|number| format!("n{number}")).collect();
    missing.extend(bodies);
    while !missing.is_empty() {
        let delivery = next(&consumer).await;
        missing.remove(std::str::from_utf8(delivery.body()).unwrap());
        delivery.ack().await.unwrap();
    }
    consumer.close().await;
}

/// Java connects by TLS too, and verifies.
async fn with_java(client: &Client, cluster: &Cluster) {
    let (topic, group) = (unique("java"), unique("java"));
    let properties = cluster
        .nameserver()
        .unwrap()
        .home()
        .join("tls/tls.properties");
    let java = || -> Call {
        let call = Foreign::Java.call(cluster.namesrv(), &topic, &group);
        call.jvm("tls.enable=true")
            .jvm(&format!("tls.config.file={}", properties.display()))
    };
    let sent = java().prefix("java").send().await.unwrap();
    let consumer = from_first(client, &unique("ours"), &topic)
        .build()
        .await
        .unwrap();
    let delivery = next(&consumer).await;
    assert_eq!(delivery.unique_id(), Some(sent[0].id.as_str()));
    delivery.ack().await.unwrap();
    consumer.close().await;
    producer(client)
        .await
        .send(Message::new(&topic, "ours"))
        .await
        .unwrap();
    let received = java().count(2).recv().await.unwrap();
    assert!(received.iter().any(|message| message.text() == "ours"));
}

async fn wrong_server(cluster: &Cluster) {
    let certificates = Certificates::made().unwrap();
    let other = Tls::new().ca_file(certificates.other_ca()).unwrap();
    let strange = trusting().server_name("mq.example").unwrap();
    let pin = format!("sha256/{}=", "A".repeat(43));
    for (tls, expected, remedy) in [
        (other, TlsFault::UnknownIssuer, "tls_ca"),
        (Tls::new(), TlsFault::UnknownIssuer, "tls_ca"),
        (strange, TlsFault::WrongName, "tls_name"),
        (trusting().pin(&pin).unwrap(), TlsFault::WrongKey, "tls_pin"),
    ] {
        let proxy = Proxy::builder(cluster.namesrv()).start().await.unwrap();
        let error = refused(
            Client::builder()
                .nameserver(proxy.addr().to_string())
                .tls(tls),
        )
        .await;
        assert_eq!(fault(&error), expected, "{error}");
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Connect, Retry::Never)
        );
        assert_eq!(error.outcome(), Outcome::NotSent);
        assert!(error.to_string().contains(remedy), "{error}");
        assert_eq!(proxy.accepted_for(cluster.namesrv()), 1, "tried again");
    }
}

/// The broker's certificate expires, and is renewed, while a client uses it.
async fn expired(cluster: &Cluster) {
    let broker = cluster.broker("broker-a").unwrap();
    broker.certificate_expired(true).unwrap();
    let topic = unique("expired");
    let send = async |client: &Client| {
        let producer = client.producer(&unique("expired")).build().await.unwrap();
        producer
            .send(Message::new(&topic, "x"))
            .await
            .map_err(Error::from)
    };
    // The broker looks at the files twice a second.
    until(
        LIMIT,
        "the broker shows the other certificate",
        async || send(&connect_to(cluster.url()).await).await.is_err(),
    )
    .await;
    let client = connect_to(cluster.url()).await;
    let (mut events, begun) = (client.events(), now());
    let mut sends = 0;
    while now() - begun < Duration::from_secs(2) {
        let error = send(&client).await.unwrap_err();
        assert_eq!(fault(&error), TlsFault::Expired, "{error}");
        assert!(error.to_string().contains("renew"), "{error}");
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
        sends += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut attempts = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        attempts += u32::from(matches!(event, Event::ConnectFailed { .. }));
    }
    assert!(
        sends > 50 && (1..=4).contains(&attempts),
        "{attempts} attempts for {sends} sends"
    );
    broker.certificate_expired(false).unwrap();
    until(LIMIT, "the good certificate is seen", async || {
        send(&client).await.is_ok()
    })
    .await;
}

/// Plain clients are sent away, right keys work, wrong ones are refused.
async fn enforcing(cluster: &Cluster) {
    let proxy = Proxy::builder(cluster.namesrv()).start().await.unwrap();
    let plain = Client::builder().nameserver(proxy.addr().to_string());
    let error = refused(plain.credentials(keys(User::ADMIN.secret))).await;
    assert_eq!(fault(&error), TlsFault::TlsRequired, "{error}");
    assert!(error.to_string().contains("tls=true"), "{error}");
    assert_eq!(proxy.accepted_for(cluster.namesrv()), 1, "tried again");

    let client = connect_to(cluster.url()).await;
    passes(&client, &unique("enforcing")).await;
    let client = builder(cluster)
        .credentials(keys("wrong-secret"))
        .connect()
        .await
        .unwrap();
    let producer = client.producer(&unique("wrong")).build().await.unwrap();
    let error = producer
        .send(Message::new("alice_t", "x"))
        .await
        .unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::Auth, "{error}");
    client.close().await.unwrap();
}

/// Keys that the broker refuses are asked for again, once for all who were refused.
async fn keys_of_a_provider(cluster: &Cluster) {
    let secrets = std::sync::Arc::new(std::sync::Mutex::new((0, "stale-secret")));
    let read = std::sync::Arc::clone(&secrets);
    let provider = move || {
        let mut state = read.lock().unwrap();
        state.0 += 1;
        std::future::ready(Ok::<_, Error>(keys(state.1)))
    };
    let client = builder(cluster)
        .credentials_provider(provider)
        .connect()
        .await
        .unwrap();
    let topic = unique("provider");
    let producer = client.producer(&unique("provider")).build().await.unwrap();
    let error = producer.send(Message::new(&topic, "x")).await.unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::Auth, "{error}");
    let asked = secrets.lock().unwrap().0;
    assert_eq!(asked, 2, "at connect, and when they were refused");

    // The provider had nothing new, so that it is left alone for a while.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    secrets.lock().unwrap().1 = User::ADMIN.secret;
    let many = (0..50).map(|_| producer.send(Message::new(&topic, "x")).into_future());
    for sent in futures_util::future::join_all(many).await {
        sent.unwrap();
    }
    assert_eq!(secrets.lock().unwrap().0, asked + 1, "once for all");
    client.close().await.unwrap();
}

/// The administrator gives other keys while messages are sent and received: nothing is lost, no connection is made anew.
async fn keys_change(cluster: &Cluster) {
    let file = cluster
        .broker("broker-a")
        .unwrap()
        .home()
        .join("conf/plain_acl.yml");
    let secret = std::sync::Arc::new(std::sync::Mutex::new(User::ADMIN.secret));
    let read = std::sync::Arc::clone(&secret);
    let provider = move || {
        let keys = keys(*read.lock().unwrap());
        std::future::ready(Ok::<_, Error>(keys))
    };
    let client = builder(cluster)
        .credentials_provider(provider)
        .connect()
        .await
        .unwrap();
    let (topic, group) = (unique("rotated"), unique("rotated"));
    let producer = client.producer(&group).build().await.unwrap();
    producer.send(Message::new(&topic, "0")).await.unwrap();
    let consumer = from_first(&client, &group, &topic).build().await.unwrap();
    next(&consumer).await.ack().await.unwrap();
    let mut events = client.events();

    let text = std::fs::read_to_string(&file).unwrap();
    *secret.lock().unwrap() = ROTATED;
    std::fs::write(&file, text.replace(User::ADMIN.secret, ROTATED)).unwrap();
    let old = builder(cluster)
        .credentials(keys(User::ADMIN.secret))
        .connect()
        .await
        .unwrap();
    until(LIMIT, "the broker refuses the old keys", async || {
        let producer = old.producer(&unique("old")).build().await.unwrap();
        producer.send(Message::new(&topic, "old")).await.is_err()
    })
    .await;
    for number in 1..20 {
        producer
            .send(Message::new(&topic, number.to_string()))
            .await
            .unwrap();
    }
    let mut missing: Vec<_> = (1..20).map(|number| number.to_string()).collect();
    while !missing.is_empty() {
        let delivery = next(&consumer).await;
        missing.retain(|body| body.as_bytes() != delivery.body());
        delivery.ack().await.unwrap();
    }
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        let other = matches!(
            event,
            Event::Disconnected { .. } | Event::ConsumerFailed { .. }
        );
        assert!(!other, "{event:?}");
    }
    consumer.close().await;
}

fn keys(secret: &str) -> Credentials {
    Credentials::new(User::ADMIN.name, secret)
}

/// Trusts the brokers' CA, and has no certificate of its own.
fn trusting() -> Tls {
    let ca = Certificates::made().unwrap().ca();
    Tls::new().ca_file(ca).unwrap()
}

fn builder(cluster: &Cluster) -> ClientBuilder {
    Client::builder()
        .nameserver(cluster.namesrv())
        .tls(trusting())
}

async fn refused(builder: ClientBuilder) -> Error {
    let connecting = within(Duration::from_secs(5), "an error", builder.connect());
    connecting.await.expect_err("it is not refused")
}

fn fault(error: &Error) -> TlsFault {
    let tls = error
        .source()
        .and_then(|cause| cause.downcast_ref::<TlsError>());
    tls.unwrap_or_else(|| panic!("no TlsError: {error:#?}"))
        .fault()
}

const LIMIT: Duration = Duration::from_secs(20);
const ROTATED: &str = "another-secret";
