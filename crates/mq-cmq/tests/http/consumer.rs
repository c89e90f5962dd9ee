//! The consumer: what it asks for, how long messages are its own, what it deletes, and what ends it.

use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::StreamExt as _;
use mq_cmq::{Client, Consumer, ErrorCode, ErrorKind, Outcome, Settle};
use mq_core::{Clock as _, SystemClock};

use crate::server::{Reply, Server};

const EMPTY: &str = r#"{"code":7000,"message":"(10200)no message"}"#;

fn one(at: usize) -> String {
    format!(
        r#"{{"msgBody":"m{at}","msgId":"{at}","receiptHandle":"h{at}","enqueueTime":1700000000,
        "firstDequeueTime":1700000001,"nextVisibleTime":1700000031,"dequeueCount":1}}"#
    )
}

fn messages(range: std::ops::Range<usize>) -> Reply {
    let all: Vec<String> = range.map(one).collect();
    Reply::ok(&format!(r#""msgInfoList":[{}]"#, all.join(",")))
}

fn client(server: &Server) -> Client {
    server.builder().build().unwrap()
}

fn consumer(server: &Server, concurrency: usize) -> Consumer {
    let queue = client(server).queue("q").unwrap();
    queue.consumer().concurrency(concurrency).build().unwrap()
}

fn asked(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let of = |key: &str| {
        let values = seen.iter().filter_map(|it| it.value(key));
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    of("numOfMsg")
}

#[tokio::test]
async fn a_message_is_received_and_deleted() {
    let server = Server::start([messages(0..1), Reply::ok(""), Reply::Hang]).await;
    let consumer = consumer(&server, 1);
    let delivery = consumer.recv().await.unwrap().unwrap();
    assert_eq!((delivery.body(), delivery.attempt()), ("m0", 1));
    delivery.ack().await.unwrap();
    server.saw(3).await;
    let seen = server.seen();
    assert_eq!(seen[0].value("Action"), Some("BatchReceiveMessage"));
    assert_eq!(seen[0].value("pollingWaitSeconds"), Some("3"));
    assert_eq!(seen[1].value("Action"), Some("DeleteMessage"));
    assert_eq!(seen[1].value("receiptHandle"), Some("h0"));
    let counts = consumer.counts();
    assert_eq!(
        (counts.received, counts.deleted, counts.in_flight),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn no_more_is_asked_for_than_there_is_room_for() {
    let script = [
        messages(0..2),
        Reply::Json(EMPTY.into()),
        messages(2..3),
        Reply::ok(""),
        Reply::Hang,
    ];
    let server = Server::start(script).await;
    let mut consumer = consumer(&server, 3);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(consumer.next().await.unwrap().unwrap());
    }
    assert_eq!(asked(&server), ["3", "1", "1"]);
    assert_eq!(consumer.counts().in_flight, 3);
    // Full: nothing is asked for before one is deleted.
    held.pop().unwrap().ack().await.unwrap();
    server.saw(5).await;
    assert_eq!(asked(&server), ["3", "1", "1", "1"]);
    assert_eq!(server.seen()[3].value("receiptHandle"), Some("h2"));
}

#[tokio::test]
async fn a_refused_key_is_asked_for_once_and_ends_it() {
    let refusals = std::iter::repeat_n(Reply::no(4100, 10030), 20);
    let server = Server::start(refusals).await;
    let consumer = consumer(&server, 128);
    let error = consumer.recv().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(error.code(), Some(&ErrorCode::AUTHENTICATION_FAILED));
    assert!(consumer.recv().await.unwrap().is_none());
    consumer.close().await;
    assert_eq!(server.seen().len(), 1, "of eight pollers one has asked");
}

#[tokio::test]
async fn what_passes_is_ridden_out() {
    let script = [
        Reply::Drop,
        Reply::Status(503, "busy".into()),
        Reply::no(6000, 10050),
        messages(0..1),
        Reply::Hang,
    ];
    let server = Server::start(script).await;
    let consumer = consumer(&server, 1);
    let delivery = consumer.recv().await.unwrap().unwrap();
    assert_eq!(delivery.body(), "m0");
}

#[tokio::test]
async fn another_endpoint_ends_it_and_a_missing_queue_too() {
    for (reply, kind) in [
        (Reply::Status(404, "not here".into()), ErrorKind::Protocol),
        (Reply::no(4440, 10100), ErrorKind::NotFound),
    ] {
        let server = Server::start([reply]).await;
        let consumer = consumer(&server, 1);
        let error = consumer.recv().await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(consumer.recv().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn what_messages_show_outranks_an_attribute_that_was_read_before() {
    let attributes = Reply::ok(r#""visibilityTimeout":600,"msgRetentionSeconds":3600"#);
    let server = Server::start([attributes, messages(0..1), Reply::Hang]).await;
    let queue = client(&server).queue("q").unwrap();
    assert_eq!(queue.attributes().await.unwrap().visibility.as_secs(), 600);
    let begun = SystemClock.now();
    let delivery = queue.consumer().build().unwrap().recv().await;
    let left = delivery.unwrap().unwrap().deadline() - begun;
    assert!(
        left < Duration::from_secs(40),
        "{left:?}: it is 30 s by now"
    );
}

#[tokio::test]
async fn a_slow_handler_is_warned_told_and_its_delete_refused() {
    let server = Server::start([messages(0..1), Reply::Hang]).await;
    let queue = client(&server).queue("q").unwrap();
    let visibility = Duration::from_secs(1);
    let consumer = queue.consumer().visibility(visibility).build().unwrap();
    let delivery = consumer.recv().await.unwrap().unwrap();
    assert!(!delivery.is_expired());
    delivery.expiry().cancelled().await;
    assert!(delivery.is_expired());
    let counts = consumer.counts();
    assert_eq!((counts.warned, counts.expired, counts.refused), (1, 1, 0));
    // Given up after as long again: its place is free, and its message can't be deleted.
    server.saw(2).await;
    let error = delivery.ack().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Stale, Outcome::NotSent)
    );
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
    assert_eq!(consumer.counts().refused, 1);
    let seen = server.seen();
    assert!(seen.iter().all(|it| it.value("receiptHandle").is_none()));
    assert_eq!(
        seen[0].value("pollingWaitSeconds"),
        Some("0"),
        "a third of 1 s"
    );
}

#[tokio::test]
async fn a_delete_is_refused_here_once_its_time_is_certainly_over() {
    let server = Server::start([messages(0..1)]).await;
    let queue = client(&server).queue("q").unwrap();
    let visibility = Duration::from_secs(2);
    let consumer = queue.consumer().visibility(visibility).build().unwrap();
    let delivery = consumer.recv().await.unwrap().unwrap();
    // Two seconds and one, since its end is told in whole ones; after four its place would be free.
    tokio::time::sleep_until((delivery.deadline() + Duration::from_millis(1_300)).into()).await;
    assert_eq!(consumer.counts().in_flight, 1);
    let error = delivery.ack().await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert_eq!(error.code(), Some(&ErrorCode::HANDLE_EXPIRED));
    let seen = server.seen();
    assert!(seen.iter().all(|it| it.value("receiptHandle").is_none()));
}

#[tokio::test]
async fn what_expires_in_the_buffer_is_not_handed_out() {
    let server = Server::start([messages(0..1), messages(1..2), Reply::Hang]).await;
    let queue = client(&server).queue("q").unwrap();
    let visibility = Duration::from_secs(1);
    let consumer = queue.consumer().visibility(visibility).build().unwrap();
    server.saw(1).await;
    // Its time passes twice: nobody receives, so nothing more is asked for.
    while consumer.counts().expired == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(visibility + Duration::from_millis(200)).await;
    assert_eq!(asked(&server), ["1"]);
    let delivery = consumer.recv().await.unwrap().unwrap();
    assert_eq!(delivery.body(), "m1");
    assert_eq!(
        asked(&server),
        ["1", "1"],
        "the first kept its place until then"
    );
}

#[tokio::test]
async fn the_service_refuses_an_old_handle() {
    let script = [messages(0..1), Reply::no(4430, 10260), Reply::Hang];
    let server = Server::start(script).await;
    let consumer = consumer(&server, 1);
    let delivery = consumer.recv().await.unwrap().unwrap();
    let error = delivery.ack().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Stale, Outcome::Rejected)
    );
    assert_eq!(consumer.counts().refused, 1);
}

#[tokio::test]
async fn a_delete_without_an_answer_is_sent_again_and_then_known() {
    let script = [
        messages(0..1),
        Reply::Drop,
        Reply::no(4430, 10260),
        Reply::Hang,
    ];
    let server = Server::start(script).await;
    let consumer = consumer(&server, 1);
    let delivery = consumer.recv().await.unwrap().unwrap();
    // The first has deleted it: nothing else could within the visibility timeout.
    delivery.ack().await.unwrap();
    assert_eq!(consumer.counts().deleted, 1);
}

#[tokio::test]
async fn a_delete_that_hangs_holds_nobody_up_and_is_sent_again_in_time() {
    let script = [
        messages(0..2),
        Reply::Hang,
        Reply::ok(""),
        Reply::Hang,
        Reply::ok(""),
        Reply::Hang,
    ];
    let server = Server::start(script).await;
    let queue = client(&server).queue("q").unwrap();
    let consumer = queue.consumer().visibility(Duration::from_secs(4));
    let consumer = consumer.concurrency(2).build().unwrap();
    let hangs = consumer.recv().await.unwrap().unwrap();
    let other = consumer.recv().await.unwrap().unwrap();
    let deadline = hangs.deadline();
    let hangs = hangs.ack();
    server.saw(2).await;
    let soon = Duration::from_secs(1);
    let other = tokio::time::timeout(soon, other.ack()).await;
    other.expect("it does not wait for the first").unwrap();
    hangs.await.unwrap();
    assert!(
        SystemClock.now() < deadline,
        "the client's own time is 10 s"
    );
    assert_eq!(consumer.counts().deleted, 2);
}

#[tokio::test]
async fn deletes_that_come_together_go_together_and_fail_alone() {
    let partly = r#"{"code":6010,"message":"(10150)partially","requestId":"1",
        "errorList":[{"code":4430,"message":"(10260)invalid","receiptHandle":"h2"}]}"#;
    let late = r#"{"code":0,"message":""}"#;
    let script = [
        messages(0..4),
        Reply::After(Duration::from_millis(200), late.into()),
        Reply::Json(partly.into()),
    ];
    let server = Server::start(script).await;
    let consumer = consumer(&server, 4);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(consumer.recv().await.unwrap().unwrap());
    }
    let first = held.remove(0).ack();
    server.saw(2).await;
    let others: Vec<_> = held.into_iter().map(mq_cmq::Delivery::ack).collect();
    first.await.unwrap();
    for (at, other) in others.into_iter().enumerate() {
        let result = other.await;
        assert_eq!(result.is_err(), at == 1, "{at}: {result:?}");
    }
    let seen = server.seen();
    let deletes: Vec<_> = seen
        .iter()
        .filter(|it| it.value("Action").is_some_and(|it| it.contains("Delete")))
        .collect();
    assert_eq!(deletes.len(), 2);
    assert_eq!(deletes[1].list("receiptHandle"), ["h1", "h2", "h3"]);
}

#[tokio::test]
async fn a_handler_settles_by_its_answer_and_a_panic_is_a_retry() {
    let server = Server::start([messages(0..4), Reply::ok(""), Reply::Hang]).await;
    let consumer = consumer(&server, 4);
    let (handle, ran) = (consumer.handle(), Arc::new(AtomicUsize::new(0)));
    let done = Arc::clone(&ran);
    let running = consumer.run(move |held| {
        let done = Arc::clone(&done);
        async move {
            done.fetch_add(1, Ordering::SeqCst);
            match held.body() {
                "m0" => Ok(Settle::Ack),
                "m1" => Ok(Settle::Retry),
                "m2" => Err("no"),
                _ => panic!("on purpose"),
            }
        }
    });
    let closing = async {
        while handle.counts().deleted == 0 || ran.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        handle.close().await;
    };
    let (ended, ()) = tokio::join!(running, closing);
    ended.unwrap();
    let seen = server.seen();
    let deleted: Vec<_> = seen
        .iter()
        .filter_map(|it| it.value("receiptHandle"))
        .collect();
    assert_eq!(deleted, ["h0"]);
}

#[tokio::test]
async fn who_runs_and_then_drops_it_has_deleted_what_was_handled() {
    let late = r#"{"code":0,"message":""}"#;
    let late = Reply::After(Duration::from_millis(300), late.into());
    let server = Server::start([messages(0..1), late, Reply::Hang]).await;
    let consumer = consumer(&server, 1);
    let handle = consumer.handle();
    let ended = consumer.run(move |_| {
        let handle = handle.clone();
        async move {
            tokio::spawn(async move { handle.close().await });
            Ok::<_, &str>(Settle::Ack)
        }
    });
    ended.await.unwrap();
    assert_eq!(consumer.counts().deleted, 1);
    drop(consumer);
}

#[tokio::test]
async fn a_visibility_that_no_queue_can_have_is_not_believed() {
    let fields = format!(
        r#""visibilityTimeout":{},"msgRetentionSeconds":60"#,
        u64::MAX
    );
    // Received before: its times say nothing.
    let again = one(0).replace(r#""dequeueCount":1"#, r#""dequeueCount":2"#);
    let again = Reply::ok(&format!(r#""msgInfoList":[{again}]"#));
    let server = Server::start([Reply::ok(&fields), again, Reply::Hang]).await;
    let queue = client(&server).queue("q").unwrap();
    queue.attributes().await.unwrap();
    let begun = SystemClock.now();
    let delivery = queue.consumer().build().unwrap().recv().await;
    let left = delivery.unwrap().unwrap().deadline() - begun;
    assert!(left < Duration::from_secs(40), "{left:?}");
}

#[tokio::test]
async fn sixteen_bodies_of_escapes_are_an_answer() {
    let body = "\\u4e2d".repeat(349_525);
    let one = one(0).replace("m0", &body);
    let all = vec![one; 16].join(",");
    let server = Server::start([Reply::ok(&format!(r#""msgInfoList":[{all}]"#))]).await;
    let queue = client(&server).queue("q").unwrap();
    let got = queue.receive_batch(16, Duration::ZERO).await.unwrap();
    assert_eq!((got.len(), got[0].body().len()), (16, 1_048_575));
}

#[tokio::test]
async fn a_batch_is_handed_over_full_or_after_its_linger() {
    let server = Server::start([messages(0..3), Reply::Hang]).await;
    let consumer = consumer(&server, 3);
    let handle = consumer.handle();
    let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let linger = Duration::from_millis(50);
    let running = consumer.run_batch(2, linger, move |batch| {
        seen.lock().unwrap().push(batch.len());
        async { Ok::<_, &str>(Settle::Retry) }
    });
    let closing = async {
        while sizes.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        handle.close().await;
    };
    let (ended, ()) = tokio::join!(running, closing);
    ended.unwrap();
    assert_eq!(*sizes.lock().unwrap(), [2, 1]);
}

#[tokio::test]
async fn closing_waits_for_what_is_held() {
    let server = Server::start([messages(0..1), Reply::ok("")]).await;
    let consumer = consumer(&server, 1);
    let delivery = consumer.recv().await.unwrap().unwrap();
    let handle = consumer.handle();
    let closing = handle.close();
    tokio::pin!(closing);
    assert!(futures_util::poll!(closing.as_mut()).is_pending());
    assert!(consumer.recv().await.unwrap().is_none());
    delivery.ack().await.unwrap();
    closing.await;
    assert!(handle.is_closed());
    assert_eq!(
        server.seen().len(),
        2,
        "nothing is received while it closes"
    );
}

#[tokio::test]
async fn what_outlives_the_consumer_says_so() {
    let server = Server::start([messages(0..2), Reply::Hang]).await;
    let consumer = consumer(&server, 2);
    let first = consumer.recv().await.unwrap().unwrap();
    let handle = consumer.handle();
    drop(consumer);
    assert!(first.is_expired());
    assert_eq!(first.ack().await.unwrap_err().kind(), ErrorKind::Closed);
    assert!(handle.is_closed());
    handle.close().await;
    assert_eq!(handle.counts().in_flight, 0);
}

#[tokio::test]
async fn a_closed_client_ends_its_consumers() {
    let server = Server::start([Reply::Hang]).await;
    let client = client(&server);
    let consumer = client.queue("q").unwrap().consumer().build().unwrap();
    server.saw(1).await;
    client.close();
    assert!(consumer.recv().await.unwrap().is_none());
    consumer.close().await;
}

#[tokio::test]
async fn who_was_polled_once_and_left_alone_keeps_nothing() {
    let late = Reply::After(
        Duration::from_millis(100),
        format!(r#"{{"code":0,"msgInfoList":[{}]}}"#, one(0)),
    );
    let server = Server::start([late, Reply::Hang]).await;
    let consumer = consumer(&server, 1);
    let forgotten = consumer.recv();
    tokio::pin!(forgotten);
    // By a task that does not look again.
    let mut nobody = Context::from_waker(Waker::noop());
    assert!(forgotten.as_mut().poll(&mut nobody).is_pending());
    let delivery = consumer.recv().await.unwrap().unwrap();
    assert_eq!(delivery.body(), "m0");
}

#[tokio::test]
async fn options_that_cannot_be_are_refused() {
    let server = Server::start([]).await;
    let queue = client(&server).queue("q").unwrap();
    for builder in [
        queue.consumer().concurrency(0),
        queue.consumer().concurrency(10_001),
        queue.consumer().wait(Duration::from_secs(31)),
        queue.consumer().visibility(Duration::ZERO),
        queue.consumer().visibility(Duration::from_secs(43_201)),
    ] {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(server.seen().is_empty());
}
