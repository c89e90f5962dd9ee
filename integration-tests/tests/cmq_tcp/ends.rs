//! How a transaction ends that can't be committed any more: typed, and as the pages say. The server's clock is moved by the tests.

use std::time::Duration;

use integration_tests::harness::wall;
use mq_cmq::{Error, ErrorCode, ErrorKind, Outcome, Retry, TransactionalProducer, Verdict};
use mq_dev::cmq::{DevServer, QueueSpec};

use crate::world::{client, until};

const SECOND: Duration = Duration::from_secs(1);

/// Asks twice, every 5 s.
async fn server() -> DevServer {
    let builder = DevServer::builder().virtual_clock(wall());
    let server = builder.gateway("127.0.0.1:0").start().await.unwrap();
    let queue = QueueSpec::new("t").transactional(5 * SECOND, 2);
    server.create_queue(queue).unwrap();
    server
}

fn producer(server: &DevServer, verdict: Verdict) -> TransactionalProducer {
    let producer = client(server).transactional("t", move |_| async move { verdict });
    producer.unwrap()
}

/// It is final, and the server's own code is kept.
fn refused(error: &Error, code: ErrorCode) {
    assert_eq!(error.code(), Some(&code), "{error}");
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Rejected, Outcome::Rejected)
    );
    assert_eq!(error.retry(), Retry::Never);
}

fn visible(server: &DevServer) -> u64 {
    server.counts("t").unwrap().active
}

/// A question whose sender is busy goes to the next producer of the account, which does not know of the work under way.
#[tokio::test]
async fn cmq_tcp_a_commit_behind_a_rollback_is_refused() {
    let server = server().await;
    let orders = producer(&server, Verdict::Unknown);
    let held = orders.begin("x").await.unwrap();
    let other = producer(&server, Verdict::Rollback);
    other.connect().await.unwrap();
    // Logged in is who has been answered.
    other.begin("y").await.unwrap().commit().await.unwrap();
    for _ in 0..2 {
        server.clock().unwrap().advance(5 * SECOND);
    }
    until("the other's rollback", || {
        server.counts("t").unwrap().half == 0
    })
    .await;
    refused(
        &held.commit().await.unwrap_err(),
        ErrorCode::TRANSACTION_STATE,
    );
    let counts = server.counts("t").unwrap();
    assert_eq!((counts.active, counts.unanswered), (1, 0), "y alone");
}

#[tokio::test]
async fn cmq_tcp_an_id_that_the_server_does_not_know_is_refused() {
    let server = server().await;
    let mut before = Vec::new();
    server.snapshot(&mut before).unwrap();
    let orders = producer(&server, Verdict::Unknown);
    let held = [
        orders.begin("x").await.unwrap(),
        orders.begin("y").await.unwrap(),
    ];
    server.restart_from(before.as_slice()).unwrap();
    let [first, second] = held;
    let lost = ErrorCode::TRANSACTION_NOT_FOUND;
    // The restart may have cut an attempt off, and what is forgotten may have been ended by it.
    let error = first.commit().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, Some(&lost))
    );
    assert_ne!(error.outcome(), Outcome::NotSent);
    refused(&second.rollback().await.unwrap_err(), lost);
    assert_eq!(visible(&server), 0);
}

/// The queue is made again as one without transactions while one is under way.
#[tokio::test]
async fn cmq_tcp_a_commit_to_a_plain_queue_is_refused() {
    let server = server().await;
    let plain = DevServer::builder().virtual_clock(wall());
    let plain = plain.start().await.unwrap();
    plain.create_queue(QueueSpec::new("t")).unwrap();
    let mut other = Vec::new();
    plain.snapshot(&mut other).unwrap();
    let orders = producer(&server, Verdict::Unknown);
    let held = orders.begin("x").await.unwrap();
    server.restart_from(other.as_slice()).unwrap();
    refused(
        &held.commit().await.unwrap_err(),
        ErrorCode::NOT_TRANSACTIONAL,
    );
    assert_eq!(visible(&server), 0);
}

/// The end that the pages tell of: asked as often as may be, it is rolled back.
#[tokio::test]
async fn cmq_tcp_a_transaction_about_which_nobody_knows_is_rolled_back() {
    let server = server().await;
    let orders = producer(&server, Verdict::Unknown);
    let held = orders.begin("held").await.unwrap();
    drop(orders.begin("left").await.unwrap());
    for asked in 0..3 {
        assert_eq!(server.counts("t").unwrap().half, 2, "{asked}");
        server.clock().unwrap().advance(5 * SECOND);
    }
    let counts = server.counts("t").unwrap();
    assert_eq!((counts.half, counts.unanswered, counts.active), (0, 2, 0));
    refused(
        &held.commit().await.unwrap_err(),
        ErrorCode::TRANSACTION_STATE,
    );
    assert_eq!(visible(&server), 0);
}

/// Everything is asked about at once, as behind a restart: each question is answered, in the first round, though few checkers run at a time.
#[tokio::test]
async fn cmq_tcp_many_questions_at_once_are_all_answered() {
    const HALVES: u64 = 500;
    let server = server().await;
    let slow = |_| async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        Verdict::Commit
    };
    let orders = client(&server).transactional("t", slow).unwrap();
    orders.connect().await.unwrap();
    for _ in 0..HALVES {
        drop(orders.begin("x").await.unwrap());
    }
    let clock = server.clock().unwrap();
    clock.advance(5 * SECOND);
    // Not as long as it is to the second round.
    for _ in 0..80 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        clock.advance(Duration::from_millis(50));
    }
    until("all answers", || visible(&server) == HALVES).await;
    assert_eq!(server.counts("t").unwrap().half, 0);
}
