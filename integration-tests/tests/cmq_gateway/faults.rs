//! What goes wrong on purpose.

use std::time::Duration;

use integration_tests::harness::now;
use mq_cmq::proto::tcp::state;
use mq_dev::cmq::Fault;

use crate::wire::{SECOND, Tcp, batch_pull, body, clock, confirm, half, send, server};

#[tokio::test]
async fn an_answer_is_lost_and_the_message_is_not() {
    for fault in [Fault::drop_reply(), Fault::half_body()] {
        let server = server().await;
        let fault = server.inject(fault.on("send").nth(2));
        let mut tcp = Tcp::login(&server).await;
        tcp.sent(send("q", "1")).await;
        let seqno = tcp.send(send("q", "2")).await;
        assert!(tcp.answer(seqno).await.is_none());
        assert_eq!((fault.times(), fault.seen()), (1, 2));
        assert_eq!(server.counts("q").unwrap().active, 2);
    }
}

#[tokio::test]
async fn a_request_is_lost_and_so_is_the_message() {
    for fault in [Fault::cut(), Fault::restart()] {
        let server = server().await;
        let mut other = Tcp::login(&server).await;
        let restarts = format!("{fault:?}").contains("Restart");
        server.inject(fault.on("SendMessage"));
        let mut tcp = Tcp::login(&server).await;
        let seqno = tcp.send(send("q", "1")).await;
        assert!(tcp.answer(seqno).await.is_none());
        assert_eq!(server.counts("q").unwrap().active, 0);
        if restarts {
            other.ended().await;
        } else {
            other.nothing_came().await;
        }
        let mut tcp = Tcp::login(&server).await;
        tcp.sent(send("q", "2")).await;
    }
}

#[tokio::test]
async fn an_answer_is_late_and_others_are_not() {
    let server = server().await;
    let late = Fault::delay(Duration::from_millis(200)).on("send").nth(1);
    server.inject(late);
    let mut tcp = Tcp::login(&server).await;
    let started = now();
    let first = tcp.send(send("q", "1")).await;
    let second = tcp.send(send("q", "2")).await;
    assert_eq!(tcp.next().await.unwrap().seqno, second);
    assert_eq!(tcp.next().await.unwrap().seqno, first);
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_message_is_lost_and_a_server_fails() {
    let server = server().await;
    server.inject(Fault::lose_one().nth(2));
    let mut tcp = Tcp::login(&server).await;
    for at in 0..3 {
        assert_eq!(tcp.sent(send("q", &at.to_string())).await.len(), 1);
    }
    let got = tcp.ask(batch_pull("q", 16, None)).await;
    let got = got.pulled_batch.unwrap().messages;
    assert_eq!(got.iter().map(body).collect::<Vec<_>>(), ["0", "2"]);
    server.inject(Fault::status_500().on("send").nth(1));
    let (result, text) = tcp.refused(send("q", "x")).await;
    assert_eq!(result, 10_050, "{text}");
    assert_eq!(server.counts("q").unwrap().active, 0);
    // A half message is lost as well.
    server.inject(Fault::lose_one());
    assert_eq!(tcp.sent(half("t", "x")).await.len(), 1);
    assert_eq!(server.counts("t").unwrap().half, 0);
}

#[tokio::test]
async fn a_question_is_lost_and_comes_again() {
    let server = server().await;
    let lost = server.inject(Fault::drop_reply().on("query").nth(1));
    let mut tcp = Tcp::login(&server).await;
    let id = tcp.sent(half("t", "x")).await[0];
    clock(&server).advance(5 * SECOND);
    tcp.nothing_came().await;
    assert!(lost.fired());
    clock(&server).advance(5 * SECOND);
    assert_eq!(tcp.question().await, (id, "t".to_owned()));
}

#[tokio::test]
async fn the_answer_to_a_commit_is_lost_and_it_can_be_repeated() {
    let server = server().await;
    server.inject(Fault::drop_reply().on("confirm").nth(1));
    let mut tcp = Tcp::login(&server).await;
    let id = tcp.sent(half("t", "x")).await[0];
    let commit = confirm("t", &[(id, state::COMMIT)]);
    let seqno = tcp.send(commit.clone()).await;
    assert!(tcp.answer(seqno).await.is_none());
    let mut tcp = Tcp::login(&server).await;
    assert_eq!(tcp.ask(commit).await.result, Some(0));
    assert_eq!(server.counts("t").unwrap().active, 1);
}

#[tokio::test]
async fn a_restart_ends_all_connections_and_keeps_the_state() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    tcp.sent(send("q", "x")).await;
    server.restart();
    tcp.ended().await;
    let mut tcp = Tcp::login(&server).await;
    assert_eq!(body(&tcp.pulled("q").await.unwrap()), "x");
}
