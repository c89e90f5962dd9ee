//! TLS on a broker as it is without a word: it takes both, with a certificate that nobody has signed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::error::Error as _;

use integration_tests::harness::{Capture, from_first, nameserver, next, producer, topic, unique};
use mq_rocketmq::{Client, Message, Tls, TlsError, TlsFault};

#[tokio::test]
#[ignore = "needs a RocketMQ broker (MQ_ROCKETMQ_URL)"]
async fn real_rocketmq_tls_of_nobody_is_refused_and_accepted_only_loudly() {
    let log = Capture::install();
    let topic = topic("stock-tls", 4).await;
    let builder = || Client::builder().nameserver(nameserver());
    let error = builder().tls(Tls::new()).connect().await.unwrap_err();
    let tls = error
        .source()
        .and_then(|cause| cause.downcast_ref::<TlsError>());
    assert_eq!(tls.unwrap().fault(), TlsFault::UnknownIssuer, "{error}");

    assert!(!log.text().contains(LOUD), "nobody was accepted");
    let insecure = Tls::new().danger_accept_invalid_certificates();
    let client = builder().tls(insecure).connect().await.unwrap();
    assert!(log.text().contains(LOUD), "{}", log.text());
    let producer = producer(&client).await;
    producer.send(Message::new(&topic, "hello")).await.unwrap();
    let consumer = from_first(&client, &unique("stock-tls"), &topic)
        .build()
        .await
        .unwrap();
    let delivery = next(&consumer).await;
    assert_eq!(delivery.body(), "hello");
    delivery.ack().await.unwrap();
    consumer.close().await;
    client.close().await.unwrap();
}

const LOUD: &str = "the server's certificate is NOT verified";
