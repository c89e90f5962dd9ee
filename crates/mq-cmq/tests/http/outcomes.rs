//! What is said of requests that failed, and which are sent again.

use std::error::Error as _;
use std::time::{Duration, Instant};

use mq_cmq::{
    Client, Credentials, ErrorCode, ErrorKind, Message, Outcome, Queue, Retry, SendError,
};
use mq_core::Clock as _;

use crate::server::{Reply, SECRET_ID, SECRET_KEY, Server, nobody};

async fn fails(queue: &Queue) -> SendError {
    let sent = queue.send(Message::new("canary-body")).await;
    let error = sent.unwrap_err();
    assert_eq!(
        error.message.body(),
        "canary-body",
        "the message is given back"
    );
    let told = format!("{error} {error:?} {:#?}", error.error);
    assert!(!told.contains("canary"), "{told}");
    error
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent() {
    let address = nobody().await;
    let client = Client::builder()
        .http(address.as_str())
        .credentials(Credentials::new(SECRET_ID, SECRET_KEY));
    let queue = client.attempts(2).build().unwrap().queue("q").unwrap();
    let error = fails(&queue).await.error;
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Connect, Outcome::NotSent)
    );
    assert_eq!(error.retry(), Retry::Later);
    assert_eq!(error.endpoint(), Some(address.as_str()));
    assert!(error.source().is_some());
    assert!(error.message().contains("attempt 2"), "{error}");
}

#[tokio::test]
async fn what_is_cut_after_it_left_is_unknown_and_not_sent_again() {
    for (reply, kind) in [
        (Reply::Drop, ErrorKind::Disconnected),
        (Reply::Half, ErrorKind::Disconnected),
        (Reply::Json("canary".into()), ErrorKind::Protocol),
        (Reply::Json("{}".into()), ErrorKind::Protocol),
        (Reply::ok(""), ErrorKind::Protocol),
        (Reply::Status(500, "canary".into()), ErrorKind::Protocol),
        (
            Reply::Status(502, r#"{"code":0}"#.into()),
            ErrorKind::Protocol,
        ),
        (Reply::Hang, ErrorKind::Timeout),
    ] {
        let server = Server::start([reply.clone(), Reply::stored("1")]).await;
        let patience = if kind == ErrorKind::Timeout {
            300
        } else {
            10_000
        };
        let builder = server.builder().timeout(Duration::from_millis(patience));
        let queue = builder.build().unwrap().queue("q").unwrap();
        let error = fails(&queue).await;
        assert_eq!(error.error.kind(), kind, "{reply:?}: {error}");
        assert_eq!(error.outcome(), Outcome::Unknown, "{reply:?}");
        assert_eq!(server.seen().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn what_is_unknown_is_sent_again_where_that_is_asked_for() {
    let script = || [Reply::Drop, Reply::Half, Reply::stored("3")];
    let server = Server::start(script()).await;
    let client = server.builder().resend_unknown(true).build().unwrap();
    let receipt = client.queue("q").unwrap().send("x").await.unwrap();
    assert_eq!(receipt.message_id(), "3");
    assert_eq!(server.seen().len(), 3);

    let server = Server::start(script()).await;
    let queue = server.queue();
    queue.send("x").resend_unknown(true).await.unwrap();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn what_may_have_been_stored_stays_unknown_whatever_the_last_answer_says() {
    let server = Server::start([Reply::Drop, Reply::no(4410, 10240)]).await;
    let queue = server.queue();
    let failed = queue.send("x").resend_unknown(true).await.unwrap_err();
    assert_eq!(failed.error.code(), Some(&ErrorCode::HEAP_FULL));
    assert_eq!(failed.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn the_services_no_is_typed_and_final() {
    for (code, kind, retry) in [
        (
            ErrorCode::QUEUE_NOT_FOUND,
            ErrorKind::NotFound,
            Retry::Never,
        ),
        (
            ErrorCode::AUTHENTICATION_FAILED,
            ErrorKind::Auth,
            Retry::Never,
        ),
        (ErrorCode::HEAP_FULL, ErrorKind::Busy, Retry::Later),
        (ErrorCode::INTERNAL_ERROR, ErrorKind::Rejected, Retry::Later),
        (ErrorCode::NO_MESSAGE, ErrorKind::NotFound, Retry::Later),
    ] {
        let reply = Reply::no(code.number(), code.module().unwrap());
        let server = Server::start([reply, Reply::stored("1")]).await;
        let error = fails(&server.queue()).await.error;
        assert_eq!(error.code(), Some(&code));
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{error}");
        assert_eq!(error.outcome(), Outcome::Rejected);
        assert_eq!(server.seen().len(), 1, "not sent again: {code}");
    }
    // An answer of CMQ's counts whatever the HTTP status before it.
    let no = r#"{"code":4440,"message":"(10100)no"}"#;
    let server = Server::start([Reply::Status(400, no.into())]).await;
    let error = fails(&server.queue()).await;
    assert_eq!(error.outcome(), Outcome::Rejected);
}

#[tokio::test]
async fn an_expired_handle_is_stale() {
    let server = Server::start([Reply::no(4430, 10260)]).await;
    let handle = mq_cmq::ReceiptHandle::new("1");
    let error = server.queue().delete(&handle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
}

#[tokio::test]
async fn throttling_backs_off() {
    let script = [
        Reply::no(4420, 10250),
        Reply::no(4480, 10460),
        Reply::stored("1"),
    ];
    let server = Server::start(script).await;
    let start = now();
    server.queue().send("x").await.unwrap();
    assert!(
        now() - start >= Duration::from_millis(300),
        "0.1 s and 0.2 s at least"
    );
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert_ne!(
        seen[0].value("Nonce"),
        seen[1].value("Nonce"),
        "signed anew"
    );
}

#[tokio::test]
async fn backing_off_is_bounded_by_attempts_and_by_the_deadline() {
    let throttled = || std::iter::repeat_n(Reply::no(4420, 10250), 9);
    let server = Server::start(throttled()).await;
    let queue = server.builder().attempts(2).build().unwrap();
    let error = fails(&queue.queue("q").unwrap()).await.error;
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.message().contains("(attempt 2)"), "{error}");
    assert_eq!(server.seen().len(), 2);

    let server = Server::start(throttled()).await;
    let queue = server.builder().attempts(9).build().unwrap();
    let (start, short) = (now(), Duration::from_secs(1));
    let sent = queue.queue("q").unwrap().send("x").timeout(short).await;
    // The next pause would be longer than what is left: what was answered is told, at once.
    assert_eq!(sent.unwrap_err().error.code(), Some(&ErrorCode::THROTTLED));
    assert!(now() - start < short && server.seen().len() > 1);
}

#[tokio::test]
async fn a_long_poll_may_take_its_wait_and_the_time_out() {
    let empty = r#"{"code":7000,"message":"(10200)no message"}"#;
    let late = Reply::After(Duration::from_millis(700), empty.into());
    let server = Server::start([late, Reply::Hang]).await;
    let builder = server.builder().timeout(Duration::from_millis(300));
    let queue = builder.build().unwrap().queue("q").unwrap();
    let received = queue.receive(Duration::from_secs(1)).await.unwrap();
    assert_eq!(received, None);
    let start = now();
    let error = queue.receive(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    assert!(now() - start >= Duration::from_millis(1_300));
}

fn now() -> Instant {
    mq_core::SystemClock.now()
}
