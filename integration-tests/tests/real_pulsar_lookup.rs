//! Where topics are looked up: at brokers, at addresses of consoles, by the name of a listener.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use integration_tests::brokers::pulsar::LISTENER;
use integration_tests::harness::pulsar::{Manage, told, url};
use integration_tests::harness::{now, unique};
use mq_pulsar::{Client, ErrorCode, ErrorKind, Message};

async fn goes_through(client: &Client, topic: &str, partitions: usize) {
    let producer = client.producer(topic).build().await.unwrap();
    assert_eq!(producer.partitions(), partitions);
    let consumer = client.consumer("s").topic(topic).from_earliest();
    let consumer = consumer.build().await.unwrap();
    producer.send(Message::new("hello")).await.unwrap();
    let delivery = consumer.recv().await.unwrap().unwrap();
    assert_eq!(delivery.text().unwrap(), "hello");
    delivery.ack().await.unwrap();
    producer.close().await.unwrap();
    consumer.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_lookup_over_http_finds_topics_and_partitions() {
    let manage = Manage::shared();
    // A host that is not there is left out, and the next one asked.
    let url = told("ADMIN_URL").replace("://", "://127.0.0.1:1,");
    let client = Client::from_url(&url).unwrap().connect().await.unwrap();
    goes_through(&client, &unique("web ü"), 1).await;
    goes_through(&client, &manage.partitioned("web-parts", 3).await, 3).await;

    let error = client
        .producer("nobody/nowhere/x")
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(error.code(), Some(&ErrorCode::TOPIC_NOT_FOUND));
    let error = Client::from_url("http://127.0.0.1:1").unwrap();
    let error = error.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_lookup_what_speaks_another_protocol_is_told_so() {
    let asked = now();
    let brokers_port = url().replace("pulsar://", "http://");
    let short = Duration::from_secs(2);
    let options = Client::from_url(&brokers_port).unwrap();
    let client = options.operation_timeout(short).connect().await.unwrap();
    let error = client.producer("x").build().await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Disconnected),
        "{error}"
    );
    let web_port = told("ADMIN_URL").replace("http://", "pulsar://");
    let builder = Client::from_url(&web_port).unwrap();
    let error = builder.connect_timeout(short).connect().await.unwrap_err();
    assert!(error.to_string().contains("http://"), "{error}");
    assert!(now() - asked < 10 * short);
}

#[tokio::test]
#[ignore = "needs Pulsar (MQ_PULSAR_URL)"]
async fn real_pulsar_lookup_names_the_address_of_the_listener_that_is_asked_for() {
    let topic = Manage::shared().topic("listener").await;
    for url in [url(), told("ADMIN_URL")] {
        let options = Client::from_url(&url).unwrap().listener(LISTENER);
        let client = options.connect().await.unwrap();
        goes_through(&client, &topic, 1).await;
        let unknown = Client::from_url(&url).unwrap().listener("none");
        let unknown = unknown.operation_timeout(Duration::from_secs(3));
        let client = unknown.connect().await.unwrap();
        let error = client.producer(&topic).build().await.unwrap_err();
        // Over HTTP the broker says no more than a status.
        let told = error.to_string();
        assert!(
            told.contains("listener") || told.contains("status"),
            "{told}"
        );
    }
}
