//! What is refused, by which code, and that the connection stays as it was.

use bytes::Bytes;
use mq_cmq::proto::tcp::{Packet, cmd};
use mq_dev::cmq::QueueSpec;

use crate::wire::{
    Tcp, batch_delete, batch_pull, batch_send, confirm, delete, half, pull, pull_as, send, send_as,
    server,
};

#[tokio::test]
async fn what_is_wrong_has_its_code() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let long = "x".repeat(65_537);
    let seventeen = [""; 17].map(|_| "x");
    for (packet, expected) in vec![
        (send("none", "x"), 10_100),
        (send("a b", "x"), 10_020),
        (send("q", ""), 10_120),
        (send_as("q", "", |send| send.body = None), 10_120),
        (send("q", &long), 10_230),
        (
            send_as("q", "x", |send| send.delay_seconds = Some(345_600)),
            10_692,
        ),
        (batch_send("q", &[]), 10_370),
        (batch_send("q", &seventeen), 10_370),
        (pull("none", 0), 10_100),
        (pull("q", 31), 10_350),
        (pull("q", -1), 10_350),
        (pull_as("q", Some(0), Some(0)), 10_350),
        (pull_as("q", Some(0), Some(43_201)), 10_350),
        (batch_pull("q", 0, None), 10_370),
        (batch_pull("q", -1, None), 10_370),
        (batch_pull("q", 17, None), 10_370),
        (batch_pull("q", 1, Some(0)), 10_350),
        (delete("none", 1), 10_100),
        (delete("q", 1), 10_260),
        (batch_delete("none", &[1]), 10_100),
        (batch_delete("q", &[]), 10_370),
        (batch_delete("q", &[1; 17]), 10_370),
        (half("q", "x"), 10_790),
        (confirm("none", &[(1, 1)]), 10_100),
        (Packet::new(0, 7), 10_280),
        (Packet::new(0, i32::MIN), 10_280),
        (Packet::new(0, cmd::TRANSACTION_QUERY), 10_280),
    ] {
        let (result, text) = tcp.refused(packet.clone()).await;
        assert_eq!(result, expected, "{packet:?}: {text}");
        assert!(text.starts_with(&format!("({expected})")), "{text}");
    }
    let (_, text) = tcp.refused(send("none", "x")).await;
    assert_eq!(text, "(10100)queue is not existed, or deleted");
    assert_eq!(server.counts("q").unwrap().active, 0);
    tcp.sent(send("q", "still there")).await;
}

#[tokio::test]
async fn a_command_without_its_part_is_refused() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    for cmd in [
        cmd::SEND,
        cmd::BATCH_SEND,
        cmd::PULL,
        cmd::BATCH_PULL,
        cmd::DELETE,
        cmd::BATCH_DELETE,
        cmd::PUBLISH,
        cmd::BATCH_PUBLISH,
        cmd::TRANSACTION_CONFIRM,
    ] {
        let (result, text) = tcp.refused(Packet::new(0, cmd)).await;
        assert_eq!(result, 10_390, "{cmd}: {text}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_text_is_refused() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    let bytes = send_as("q", "", |send| {
        send.body = Some(Bytes::from_static(b"\xff\x00"));
    });
    let (result, text) = tcp.refused(bytes).await;
    assert_eq!(result, 10_110, "{text}");
    assert!(text.contains("UTF-8"), "{text}");
    let zero = tcp.sent(send("q", "\0 is text")).await;
    assert_eq!(tcp.pulled("q").await.unwrap().message_id, zero[0]);
}

#[tokio::test]
async fn a_mebibyte_passes_and_no_more() {
    let server = server().await;
    let large = QueueSpec::new("large").max_body(1 << 20);
    server.create_queue(large).unwrap();
    let mut tcp = Tcp::login(&server).await;
    let body = "x".repeat(1 << 20);
    for _ in 0..16 {
        tcp.sent(send("large", &body)).await;
    }
    // Sixteen times a mebibyte in one answer.
    let got = tcp.ask(batch_pull("large", 16, None)).await;
    let got = got.pulled_batch.unwrap().messages;
    assert!(
        got.iter()
            .all(|it| it.body.as_ref().unwrap().len() == 1 << 20)
    );
    assert_eq!(got.len(), 16);
    let over = "x".repeat((1 << 20) + 1);
    assert_eq!(tcp.refused(send("large", &over)).await.0, 10_230);
    let two = batch_send("large", &[&body, "x"]);
    assert_eq!(tcp.refused(two).await.0, 10_300);
}

#[tokio::test]
async fn so_many_pulls_wait_on_a_connection_and_no_more() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    for _ in 0..256 {
        tcp.send(pull("q", 30)).await;
    }
    tcp.nothing_came().await;
    let (result, text) = tcp.refused(pull("q", 30)).await;
    assert_eq!(result, 10_250, "{text}");
    let mut other = Tcp::login(&server).await;
    other.sent(send("q", "x")).await;
    let came = tcp.next().await.unwrap();
    assert_eq!(came.result, Some(0), "{:?}", came.error);
}
