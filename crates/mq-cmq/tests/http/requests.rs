//! What is sent, and how answers are read.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mq_cmq::{
    Client, Credentials, ErrorCode, ErrorKind, HttpMethod, Message, Outcome, ReceiptHandle,
    SignatureMethod, TopicMessage,
};
use mq_core::ManualClock;

use crate::server::{Reply, SECRET_ID, SECRET_KEY, Server};

#[tokio::test]
async fn every_method_of_signing_and_travelling_is_verified() {
    for method in [HttpMethod::Post, HttpMethod::Get] {
        for (signature, name) in [
            (SignatureMethod::HmacSha1, "HmacSHA1"),
            (SignatureMethod::HmacSha256, "HmacSHA256"),
        ] {
            let server = Server::start([Reply::stored("7"), Reply::stored("8")]).await;
            let builder = server.builder().method(method).signature(signature);
            let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
            let client = builder
                .region("gz")
                .credentials(Credentials::new(SECRET_ID, SECRET_KEY).token("a token"))
                .clock(Arc::new(ManualClock::new(wall)))
                .build()
                .unwrap();
            let queue = client.queue("q_1").unwrap();
            let body = "hello world & 中=文+%_@";
            let receipt = queue.send(body).await.unwrap();
            assert_eq!((receipt.message_id(), receipt.due()), ("7", None));
            queue.send(body).await.unwrap();
            let seen = server.seen();
            let values = |key| seen.iter().map(move |seen| seen.value(key));
            assert!(values("Action").all(|it| it == Some("SendMessage")));
            assert!(values("queueName").all(|it| it == Some("q_1")));
            assert!(values("msgBody").all(|it| it == Some(body)));
            assert!(values("Timestamp").all(|it| it == Some("1700000000")));
            assert!(values("SignatureMethod").all(|it| it == Some(name)));
            assert!(values("Token").all(|it| it == Some("a token")));
            assert!(values("Region").all(|it| it == Some("gz")));
            assert!(values("delaySeconds").all(|it| it.is_none()));
            assert!(seen.iter().all(|seen| seen.method == method.as_str()));
            assert_ne!(seen[0].value("Nonce"), seen[1].value("Nonce"));
        }
    }
}

#[tokio::test]
async fn a_url_is_enough_and_its_path_is_signed() {
    let server = Server::start([Reply::stored("1"), Reply::stored("2")]).await;
    for path in ["", "/x/y.php"] {
        let url = format!(
            "cmq+http://{SECRET_ID}:{SECRET_KEY}@{}{path}",
            server.address
        );
        let client = Client::from_url(&url).unwrap().build().unwrap();
        client.queue("q").unwrap().send("x").await.unwrap();
    }
}

#[tokio::test]
async fn a_delay_is_sent_in_seconds_rounded_up() {
    let server = Server::start([Reply::stored("1"), Reply::stored("2")]).await;
    let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(5_500);
    let clock = Arc::new(ManualClock::new(wall));
    let client = server.builder().clock(clock).build().unwrap();
    let queue = client.queue("q").unwrap();
    let after = Message::new("x").deliver_after(Duration::from_millis(1_001));
    let receipt = queue.send(after).await.unwrap();
    assert_eq!(receipt.due(), Some(wall + Duration::from_secs(2)));
    let passed = Message::new("x").deliver_at(SystemTime::UNIX_EPOCH);
    assert_eq!(queue.send(passed).await.unwrap().due(), Some(wall));
    let seen = server.seen();
    assert_eq!(seen[0].value("delaySeconds"), Some("2"));
    assert_eq!(seen[1].value("delaySeconds"), Some("0"));
}

const MESSAGE: &str = r#""msgBody":"中\n\u0001","msgId":"281474976710656","receiptHandle":"18446744073709551615",
    "enqueueTime":1700000000,"firstDequeueTime":1700000001,"nextVisibleTime":1700000031,"dequeueCount":2"#;

#[tokio::test]
async fn a_message_is_received_and_deleted() {
    let loose = r#""msgBody":"x","msgId":7,"receiptHandle":8,"enqueueTime":"3""#;
    let script = [
        Reply::ok(MESSAGE),
        Reply::ok(""),
        Reply::ok(loose),
        Reply::no(7000, 10200),
    ];
    let server = Server::start(script).await;
    let queue = server.queue();
    let message = queue.receive(Duration::from_millis(1_500)).await.unwrap();
    let message = message.unwrap();
    let second = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(message.body(), "中\n\u{1}");
    assert_eq!(message.message_id(), "281474976710656");
    assert_eq!(message.handle().as_str(), "18446744073709551615");
    assert_eq!(message.attempt(), 2);
    assert_eq!(message.enqueued(), second(1_700_000_000));
    assert_eq!(message.first_received(), Some(second(1_700_000_001)));
    assert_eq!(message.visible_again(), second(1_700_000_031));
    queue.delete(message.handle()).await.unwrap();
    let loose = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((loose.message_id(), loose.handle().as_str()), ("7", "8"));
    assert_eq!(
        (loose.enqueued(), loose.first_received()),
        (second(3), None)
    );
    assert_eq!(queue.receive(Duration::ZERO).await.unwrap(), None);
    let seen = server.seen();
    assert_eq!(seen[0].value("Action"), Some("ReceiveMessage"));
    assert_eq!(seen[0].value("pollingWaitSeconds"), Some("2"));
    assert_eq!(seen[1].value("Action"), Some("DeleteMessage"));
    assert_eq!(seen[1].value("receiptHandle"), Some("18446744073709551615"));
    assert_eq!(seen[2].value("pollingWaitSeconds"), Some("0"));
}

#[tokio::test]
async fn a_batch_is_received_and_an_empty_queue_is_empty() {
    let two = format!(r#""msgInfoList":[{{{MESSAGE}}},{{{MESSAGE}}}]"#);
    let server = Server::start([Reply::ok(&two), Reply::no(7000, 10200)]).await;
    let queue = server.queue();
    let messages = queue.receive_batch(16, Duration::ZERO).await.unwrap();
    assert_eq!(messages.len(), 2);
    assert!(
        queue
            .receive_batch(1, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(server.seen()[0].value("numOfMsg"), Some("16"));
}

#[tokio::test]
async fn a_topic_takes_tags_or_a_routing_key() {
    let script = [
        Reply::stored("1"),
        Reply::stored("2"),
        Reply::no(6030, 10650),
    ];
    let server = Server::start(script).await;
    let topic = server.builder().build().unwrap().topic("t").unwrap();
    let tagged = TopicMessage::new("x").tag("a").tag("b");
    assert_eq!(topic.publish(tagged).await.unwrap().message_id(), "1");
    let routed = TopicMessage::new("x").routing_key("");
    topic.publish(routed).await.unwrap();
    let error = topic.publish("x").await.unwrap_err();
    assert_eq!(error.error.code(), Some(&ErrorCode::NO_SUBSCRIPTION));
    assert_eq!(error.message.body(), "x");
    let seen = server.seen();
    assert_eq!(seen[0].value("Action"), Some("PublishMessage"));
    assert_eq!(seen[0].value("topicName"), Some("t"));
    assert_eq!(seen[0].list("msgTag"), ["a", "b"]);
    assert_eq!(seen[0].value("routingKey"), None);
    assert_eq!(seen[1].value("routingKey"), Some(""), "empty, and signed");
}

#[tokio::test]
async fn what_the_service_would_refuse_is_not_sent() {
    let server = Server::start([]).await;
    let client = server.builder().build().unwrap();
    let queue = client.queue("q").unwrap();
    let topic = client.topic("t").unwrap();
    let tags = |count: usize| (0..count).fold(TopicMessage::new("x"), |it, _| it.tag("t"));
    let long = Message::new("x").deliver_after(Duration::MAX);
    let errors = [
        (
            client.queue("a b").unwrap_err(),
            ErrorCode::QUEUE_NAME_FORMAT,
        ),
        (
            client.topic("a b").unwrap_err(),
            ErrorCode::TOPIC_NAME_FORMAT,
        ),
        (
            queue.send("").await.unwrap_err().into(),
            ErrorCode::EMPTY_BODY,
        ),
        (
            queue
                .send("x".repeat((1 << 20) + 1))
                .await
                .unwrap_err()
                .into(),
            ErrorCode::BODY_TOO_LARGE,
        ),
        (
            queue.send(long).await.unwrap_err().into(),
            ErrorCode::DELAY_OUT_OF_RANGE,
        ),
        (
            queue.receive(Duration::from_secs(31)).await.unwrap_err(),
            ErrorCode::OUT_OF_RANGE,
        ),
        (
            queue.receive_batch(17, Duration::ZERO).await.unwrap_err(),
            ErrorCode::BATCH_SIZE,
        ),
        (
            topic.publish("").await.unwrap_err().into(),
            ErrorCode::EMPTY_BODY,
        ),
        (
            topic.publish(tags(6)).await.unwrap_err().into(),
            ErrorCode::TOO_MANY_TAGS,
        ),
    ];
    for (error, code) in errors {
        assert_eq!(error.code(), Some(&code), "{error}");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_url_that_is_too_long_is_not_sent() {
    let server = Server::start([Reply::stored("1")]).await;
    let client = server.builder().method(HttpMethod::Get).build().unwrap();
    let queue = client.queue("q").unwrap();
    let error = queue.send("x".repeat(2048)).await.unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("use POST"), "{error}");
    queue.send("x".repeat(1500)).await.unwrap();
    assert_eq!(server.seen().len(), 1);
    // A handle that was kept as a text.
    assert_eq!(ReceiptHandle::new("h").as_str(), "h");
}
