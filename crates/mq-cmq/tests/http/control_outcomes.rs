//! The control plane: how requests are signed, what is refused before, what is said of failures, and which requests are sent again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mq_cmq::control::Result;
use mq_cmq::{
    ContentFormat, ControlCode, ControlError, Credentials, DeadLetter, ErrorKind, Message, Outcome,
    Retry, TopicMessage,
};
use mq_core::{Clock as _, ManualClock, SystemClock};

use crate::server::{Reply, SECRET_ID, SECRET_KEY, Server, nobody};

const DESCRIBED: &str = r#""QueueDescribe":{"QueueName":"q"}"#;

#[tokio::test]
async fn a_request_says_who_what_when_and_where() {
    let server = Server::start([Reply::did(""), Reply::did("")]).await;
    let clock = ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_millis(1_551_113_065_999));
    let builder = server.control_builder().clock(Arc::new(clock));
    let client = builder.clone().build().unwrap();
    client.delete_queue("q").await.unwrap();
    let keys = Credentials::new(SECRET_ID, SECRET_KEY).token("canary-token");
    let client = builder.credentials(keys).build().unwrap();
    client.delete_queue("q").await.unwrap();
    let seen = server.seen();
    for (header, value) in [
        ("x-tc-action", "DeleteCmqQueue"),
        ("x-tc-version", "2020-02-17"),
        ("x-tc-timestamp", "1551113065"),
        ("x-tc-region", "ap-guangzhou"),
        ("content-type", "application/json"),
        ("host", server.address.as_str()),
    ] {
        assert_eq!(seen[0].value(header), Some(value));
    }
    let authorization = seen[0].value("authorization").unwrap();
    assert!(
        authorization.contains("/2019-02-25/tdmq/tc3_request"),
        "{authorization}"
    );
    assert_eq!(seen[0].value("x-tc-token"), None);
    assert_eq!(seen[1].value("x-tc-token"), Some("canary-token"));
    assert!(!format!("{client:?}").contains("canary"));
}

#[tokio::test]
async fn the_services_no_is_typed_final_and_in_its_own_words() {
    for (code, known, kind) in [
        (
            "ResourceInUse.Queue",
            ControlCode::QUEUE_EXISTS,
            ErrorKind::Rejected,
        ),
        (
            "ResourceNotFound",
            ControlCode::RESOURCE_NOT_FOUND,
            ErrorKind::NotFound,
        ),
        (
            "AuthFailure.SignatureFailure",
            ControlCode::SIGNATURE_FAILURE,
            ErrorKind::Auth,
        ),
        (
            "AuthFailure.SignatureExpire",
            ControlCode::SIGNATURE_EXPIRED,
            ErrorKind::Auth,
        ),
        (
            "LimitExceeded.Topics",
            ControlCode::TOO_MANY_TOPICS,
            ErrorKind::Rejected,
        ),
        (
            "InvalidAction",
            ControlCode::INVALID_ACTION,
            ErrorKind::Unsupported,
        ),
        (
            "FailedOperation.CmqBackendError",
            ControlCode::CMQ_BACKEND_ERROR,
            ErrorKind::Rejected,
        ),
        (
            "AuthFailure.New",
            ControlCode::new("AuthFailure.New"),
            ErrorKind::Auth,
        ),
    ] {
        let server = Server::start([Reply::declined(code, "no, 因为 such is life")]).await;
        let error = server.control().create_queue("q").await.unwrap_err();
        assert_eq!(error.code(), Some(&known));
        assert_eq!(
            (error.kind(), error.outcome()),
            (kind, Outcome::Rejected),
            "{code}"
        );
        assert_eq!(error.retry(), Retry::Never, "{code}");
        assert_eq!(error.message(), "no, 因为 such is life [request id-1]");
        assert_eq!(error.operation(), "create queue");
        assert_eq!(error.endpoint(), Some(server.address.as_str()));
        assert_eq!(server.seen().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_no_is_the_services_own_whatever_its_status() {
    let Reply::Json(text) = Reply::declined("UnauthorizedOperation", "no") else {
        unreachable!()
    };
    let server = Server::start([Reply::Status(403, text)]).await;
    let error = server.control().delete_queue("q").await.unwrap_err();
    assert_eq!(error.code(), Some(&ControlCode::UNAUTHORIZED_OPERATION));
}

#[tokio::test]
async fn throttling_backs_off_whatever_the_action() {
    let throttled = || Reply::declined("RequestLimitExceeded.UinLimitExceeded", "slower");
    let script = [
        throttled(),
        throttled(),
        Reply::did(r#""QueueId":"cmqq-1""#),
    ];
    let server = Server::start(script).await;
    let began = SystemClock.now();
    let made = server.control().create_queue("q").await.unwrap();
    assert_eq!((made.id.as_str(), server.seen().len()), ("cmqq-1", 3));
    // 0.1 s, and then twice as long, at least.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");

    let server = Server::start([throttled(), throttled()]).await;
    let client = server.control_builder().attempts(2).build().unwrap();
    let error = client.create_queue("q").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Busy, Outcome::Rejected)
    );
    assert_eq!(error.retry(), Retry::Later);
    assert!(error.message().ends_with("(attempt 2)"), "{error}");
}

/// Of a request that changes something and fails so, it is not known what became of it; of one that reads it doesn't matter.
fn uncertain() -> [Reply; 5] {
    [
        Reply::Drop,
        Reply::Half,
        Reply::Status(502, "canary".into()),
        Reply::declined("InternalError", "oh"),
        Reply::declined("InternalError.New", "oh"),
    ]
}

#[tokio::test]
async fn what_is_unknown_is_sent_again_only_if_it_reads_or_where_that_is_asked_for() {
    for reply in uncertain() {
        let server = Server::start([reply.clone(), Reply::did(DESCRIBED)]).await;
        server.control().describe_queue("q").await.unwrap();
        assert_eq!(server.seen().len(), 2, "{reply:?}");

        let server = Server::start([reply.clone(), Reply::did("")]).await;
        let error = server.control().delete_queue("q").await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{reply:?}");
        assert_eq!(error.retry(), Retry::Later, "{reply:?}");
        assert!(!format!("{error:#?}").contains("canary"), "{error:#?}");
        assert_eq!(server.seen().len(), 1, "{reply:?}");

        let server = Server::start([reply, Reply::did("")]).await;
        let client = server.control_builder().resend_unknown(true).build();
        client.unwrap().delete_queue("q").await.unwrap();
    }
}

#[tokio::test]
async fn what_may_be_made_stays_unknown_and_what_was_read_is_certain() {
    let exists = || Reply::declined("ResourceInUse.Queue", "there is one");
    let server = Server::start([Reply::Drop, exists()]).await;
    let client = server.control_builder().resend_unknown(true).build();
    let error = client.unwrap().create_queue("q").await.unwrap_err();
    assert_eq!(error.code(), Some(&ControlCode::QUEUE_EXISTS));
    assert_eq!(error.outcome(), Outcome::Unknown);

    let missing = Reply::declined("ResourceNotFound", "there is none");
    let server = Server::start([Reply::Drop, missing]).await;
    let error = server.control().describe_queue("q").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::NotFound, Outcome::Rejected)
    );
}

#[tokio::test]
async fn what_is_not_the_protocol_is_said_and_not_asked_twice() {
    for reply in [
        Reply::Json("canary".into()),
        Reply::Json(r#"{"code":4000,"message":"canary"}"#.into()),
        Reply::did(r#""QueueDescribe":null"#),
        Reply::did(""),
        Reply::Status(404, "canary".into()),
    ] {
        let server = Server::start([reply.clone(), Reply::did(DESCRIBED)]).await;
        let error = server.control().describe_queue("q").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{reply:?}");
        assert_eq!(error.outcome(), Outcome::Unknown, "{reply:?}");
        assert!(!format!("{error:#?}").contains("canary"), "{error:#?}");
        assert_eq!(server.seen().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn without_a_connection_or_in_silence() {
    let server = Server::start([Reply::Hang]).await;
    let builder = server.control_builder().timeout(Duration::from_millis(300));
    let error = builder.clone().build().unwrap().delete_queue("q").await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );

    let nowhere = builder.http(nobody().await).attempts(2).build().unwrap();
    let error = nowhere.delete_queue("q").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Connect, Outcome::NotSent)
    );

    nowhere.close();
    let error = nowhere.delete_queue("q").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

/// Nothing was sent, and field, value and bound are named.
fn named<T: std::fmt::Debug>(result: Result<T>, expected: &str) -> ControlError {
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Invalid, Outcome::NotSent)
    );
    assert_eq!(error.message(), expected);
    error
}

#[tokio::test]
async fn queues_that_the_service_would_refuse_are_not_sent() {
    let server = Server::start([]).await;
    let client = server.control();
    let queue = || client.create_queue("q");
    let error = named(
        queue().visibility(Duration::from_millis(43_200_001)).await,
        "VisibilityTimeout is 43201 s, expected 1 to 43200 s",
    );
    assert_eq!(error.code(), Some(&ControlCode::INVALID_PARAMETER_VALUE));
    let rule = DeadLetter::after_receives("dead", 1_001);
    named(
        queue().dead_letter(rule).await,
        "MaxReceiveCount is 1001 receives, expected 1 to 1000 receives",
    );
    let rule = DeadLetter::after("dead", Duration::from_secs(299));
    named(
        client.change_queue("q").dead_letter(rule).await,
        "MaxTimeToLive is 299 s, expected 300 to 43200 s",
    );
    named(
        queue().max_queries(3).await,
        "MaxQueryCount is 3, and Transaction is not 1",
    );
    let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    named(client.rewind_queue("q", early).await, "a time before 1970");
    named(
        client.delete_queue("1").await,
        "QueueName \"1\" (1 characters) is not a letter and then letters, digits, - and _, up to 64 in all",
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn topics_and_messages_that_the_service_would_refuse_are_not_sent() {
    let server = Server::start([]).await;
    let client = server.control();
    let subscribe = || client.subscribe("t", "s");
    let short = Duration::from_secs(59);
    named(
        client.create_topic("t").retention(short).await,
        "MsgRetentionSeconds is 59 s, expected 60 to 86400 s",
    );
    named(subscribe().await, "neither queue nor URL is given");
    named(
        subscribe().http("http://e").filter_tags(["a"; 6]).await,
        "FilterTag has 6 entries, expected up to 5",
    );
    named(
        subscribe().queue("q").format(ContentFormat::Json).await,
        "NotifyContentFormat is JSON, expected SIMPLIFIED for a queue",
    );
    named(
        client.send("q", "").await,
        "MsgContent has 0 bytes, expected 1 to 1048576",
    );
    let never = Message::new("x").deliver_after(Duration::MAX);
    named(
        client.send("q", never).await,
        "DelaySeconds is over 4294967295 s",
    );
    let both = TopicMessage::new("x").tag("a").routing_key("a.b");
    named(
        client.publish("t", both).await,
        "MsgTag has 1 tags and a routing key, expected either",
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_message_that_was_not_stored_is_no_success() {
    for reply in [
        Reply::did(r#""Result":false,"MsgId":"7""#),
        Reply::did(r#""Result":true"#),
        Reply::did(""),
    ] {
        let server = Server::start([reply.clone()]).await;
        let error = server.control().send("q", "x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{reply:?}");
    }
}
