//! Queues, by our client: visibility, long polls, delays, dead letters; with a clock that stands still where times count.

use std::time::{Duration, UNIX_EPOCH};

use integration_tests::harness::{until, within};
use mq_cmq::{ErrorKind, Message, Queue, ReceiptHandle};
use mq_dev::cmq::{DevServer, QueueSpec, VirtualClock};
use tokio::task::JoinHandle;

use crate::raw::{client, q, server};

const SECOND: Duration = Duration::from_secs(1);

/// A server whose clock stands still, and its queue `q`, whose visibility is 5 s.
async fn still(specs: impl IntoIterator<Item = QueueSpec>) -> (DevServer, VirtualClock, Queue) {
    let builder = DevServer::builder().virtual_clock(UNIX_EPOCH + 1_700_000_000 * SECOND);
    let server = builder.start().await.unwrap();
    for spec in specs {
        server.create_queue(spec).unwrap();
    }
    let queue = client(&server).queue("q").unwrap();
    let clock = server.clock().unwrap();
    (server, clock, queue)
}

async fn body(queue: &Queue) -> Option<String> {
    let message = queue.receive(Duration::ZERO).await.unwrap();
    message.map(mq_cmq::Received::into_body)
}

#[track_caller]
fn is_stale(result: mq_cmq::Result<()>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
}

#[tokio::test]
async fn an_old_handle_is_never_accepted() {
    let (_server, clock, queue) = still([q()]).await;
    queue.send("x").await.unwrap();
    let mut old: Vec<ReceiptHandle> = Vec::new();
    for round in 1..=3 {
        let message = queue.receive(Duration::ZERO).await.unwrap().unwrap();
        assert_eq!(message.attempt(), round);
        for handle in &old {
            is_stale(queue.delete(handle).await);
        }
        assert!(
            queue
                .delete_batch(&old)
                .await
                .into_iter()
                .all(|one| one.is_err())
        );
        old.push(message.handle().clone());
        clock.advance(5 * SECOND);
        // Visible again, not yet received again.
        is_stale(queue.delete(message.handle()).await);
    }
    let last = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    queue.delete(last.handle()).await.unwrap();
    is_stale(queue.delete(last.handle()).await);
    clock.advance(60 * SECOND);
    assert_eq!(body(&queue).await, None);
}

#[tokio::test]
async fn long_polls_are_served_in_the_order_of_their_coming() {
    let server = server().await;
    let queue = client(&server).queue("q").unwrap();
    let mut polls = Vec::new();
    for count in 1..=8 {
        let queue = queue.clone();
        polls.push(tokio::spawn(
            async move { queue.receive(20 * SECOND).await },
        ));
        until(5 * SECOND, "the poll", async || {
            server.counts("q").unwrap().waiting == count
        })
        .await;
    }
    for at in 0..8 {
        queue.send(at.to_string()).await.unwrap();
    }
    for (at, poll) in polls.into_iter().enumerate() {
        let message = within(5 * SECOND, "a message", poll)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(message.unwrap().body(), at.to_string());
    }
}

/// A long poll of 4 s, which the server has.
async fn poll(server: &DevServer, queue: &Queue) -> JoinHandle<Option<String>> {
    let queue = queue.clone();
    let poll = tokio::spawn(async move {
        let message = queue.receive(4 * SECOND).await.unwrap();
        message.map(mq_cmq::Received::into_body)
    });
    let there = async || server.counts("q").unwrap().waiting == 1;
    until(5 * SECOND, "the poll", there).await;
    poll
}

#[tokio::test]
async fn a_long_poll_is_woken_by_send_delay_and_visibility_and_ends_at_its_time() {
    let (server, clock, queue) = still([q()]).await;
    queue.send("held").await.unwrap();
    let held = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(held.visible_again(), UNIX_EPOCH + 1_700_000_005 * SECOND);
    let later = Message::new("delayed").deliver_after(3 * SECOND);
    queue.send(later).await.unwrap();

    let waiting = poll(&server, &queue).await;
    clock.advance(3 * SECOND);
    assert_eq!(waiting.await.unwrap().as_deref(), Some("delayed"));
    let waiting = poll(&server, &queue).await;
    clock.advance(2 * SECOND);
    assert_eq!(waiting.await.unwrap().as_deref(), Some("held"));
    let waiting = poll(&server, &queue).await;
    queue.send("sent").await.unwrap();
    assert_eq!(waiting.await.unwrap().as_deref(), Some("sent"));
    // "delayed" would be visible again a second later.
    let waiting = poll(&server, &queue).await;
    clock.advance(Duration::from_millis(2_999));
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_millis(1));
    assert_eq!(waiting.await.unwrap().as_deref(), Some("delayed"));
    server.create_queue(QueueSpec::new("empty")).unwrap();
    let empty = client(&server).queue("empty").unwrap();
    let waiting = tokio::spawn(async move { empty.receive(4 * SECOND).await });
    let there = async || server.counts("empty").unwrap().waiting == 1;
    until(5 * SECOND, "the poll", there).await;
    clock.advance(4 * SECOND);
    assert!(waiting.await.unwrap().unwrap().is_none());
}

/// Nothing but the server's own timer wakes these two.
#[tokio::test]
async fn the_machines_clock_ends_delays_and_waits() {
    let server = server().await;
    let queue = client(&server).queue("q").unwrap();
    assert!(queue.receive(SECOND).await.unwrap().is_none());
    let later = Message::new("x").deliver_after(SECOND);
    queue.send(later).await.unwrap();
    let started = integration_tests::harness::now();
    let message = within(5 * SECOND, "a message", queue.receive(20 * SECOND));
    assert_eq!(message.await.unwrap().unwrap().body(), "x");
    assert!(started.elapsed() > Duration::from_millis(900));
}

#[tokio::test]
async fn a_poll_whose_client_is_gone_takes_no_message() {
    let server = server().await;
    let queue = client(&server).queue("q").unwrap();
    let gone = queue.clone();
    let poll = tokio::spawn(async move { gone.receive(20 * SECOND).await });
    until(5 * SECOND, "the poll", async || {
        server.counts("q").unwrap().waiting == 1
    })
    .await;
    poll.abort();
    until(5 * SECOND, "its end", async || {
        server.counts("q").unwrap().waiting == 0
    })
    .await;
    queue.send("x").await.unwrap();
    let message = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(message.attempt(), 1);
}

#[tokio::test]
async fn what_was_received_too_often_is_a_dead_letter() {
    let specs = [QueueSpec::new("dead"), q().dead_letter("dead", 2)];
    let (server, clock, queue) = still(specs).await;
    let receipt = queue.send("x").await.unwrap();
    for _ in 0..2 {
        assert_eq!(body(&queue).await.as_deref(), Some("x"));
        clock.advance(5 * SECOND);
    }
    assert_eq!(body(&queue).await, None);
    let dead = client(&server).queue("dead").unwrap();
    let letter = dead.receive(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(
        (letter.message_id(), letter.attempt()),
        (receipt.message_id(), 1)
    );
}

#[tokio::test]
async fn a_snapshot_goes_on_where_it_stopped() {
    let (server, _clock, queue) = still([q()]).await;
    for text in ["held", "ready"] {
        queue.send(text).await.unwrap();
    }
    let held = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    let mut snapshot = Vec::new();
    server.snapshot(&mut snapshot).unwrap();
    let builder = DevServer::builder().virtual_clock(UNIX_EPOCH + 1_700_000_001 * SECOND);
    let next = builder
        .restore(snapshot.as_slice())
        .unwrap()
        .start()
        .await
        .unwrap();
    let queue = client(&next).queue("q").unwrap();
    assert_eq!(body(&queue).await.as_deref(), Some("ready"));
    queue.delete(held.handle()).await.unwrap();
    next.clock().unwrap().advance(10 * SECOND);
    assert_eq!(body(&queue).await.as_deref(), Some("ready"));
    assert_eq!(body(&queue).await, None);

    next.restart_from(snapshot.as_slice()).unwrap();
    let counts = next.counts("q").unwrap();
    assert_eq!(
        (counts.active, counts.held),
        (2, 0),
        "the visibility has ended meanwhile"
    );
    assert!(next.restart_from(&b"{}"[..]).is_err());
    assert!(DevServer::builder().restore(&b"canary"[..]).is_err());
}

#[tokio::test]
async fn a_thousand_polls_cost_nothing_while_they_wait() {
    let server = server().await;
    let queue = client(&server).queue("q").unwrap();
    let polls: Vec<_> = (0..1000)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.receive(20 * SECOND).await })
        })
        .collect();
    until(10 * SECOND, "the polls", async || {
        server.counts("q").unwrap().waiting == 1000
    })
    .await;
    let sent = queue.send_batch((0..1000).map(|at| at.to_string())).await;
    assert!(sent.iter().all(Result::is_ok));
    let mut seen = std::collections::HashSet::new();
    for poll in polls {
        let message = within(10 * SECOND, "a message", poll)
            .await
            .unwrap()
            .unwrap();
        assert!(
            seen.insert(message.unwrap().into_body()),
            "one message twice"
        );
    }
}
