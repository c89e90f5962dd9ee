//! Who is let in, and what happens before and after.

use mq_cmq::proto::SignatureMethod;
use mq_cmq::proto::tcp::{Packet, cmd};

use crate::wire::{
    SECOND, Tcp, batch_delete, batch_publish, batch_pull, batch_send, builder, confirm, delete,
    login, login_by, publish, pull, send, server,
};

#[tokio::test]
async fn nothing_is_done_before_a_login() {
    let server = server().await;
    let mut tcp = Tcp::connect(&server).await;
    for packet in [
        send("q", "x"),
        batch_send("q", &["x"]),
        pull("q", 0),
        batch_pull("q", 1, None),
        delete("q", 1),
        batch_delete("q", &[1]),
        publish("none", "x", &[], None),
        batch_publish("none", &["x"], &[]),
        confirm("t", &[(1, 1)]),
        Packet::new(0, cmd::HEARTBEAT),
        Packet::new(0, 4711),
    ] {
        let (result, text) = tcp.refused(packet).await;
        assert_eq!(result, 306);
        assert!(text.contains("not authed"), "{text}");
    }
    assert_eq!(server.counts("q").unwrap().active, 0);
    assert_eq!(server.requests("SendMessage"), 0);
    // The connection is as good as before.
    assert_eq!(
        tcp.ask(login("AKIDdev", "dev-secret")).await.result,
        Some(0)
    );
    assert_eq!(tcp.sent(send("q", "x")).await.len(), 1);
}

#[tokio::test]
async fn a_login_is_accepted_by_both_methods_and_once() {
    let server = server().await;
    for method in [SignatureMethod::HmacSha1, SignatureMethod::HmacSha256] {
        let mut tcp = Tcp::connect(&server).await;
        let good = login_by("AKIDdev", "dev-secret", method);
        assert_eq!(tcp.ask(good.clone()).await.result, Some(0), "{method:?}");
        let (result, text) = tcp.refused(good).await;
        assert_eq!(result, 307, "{text}");
        assert_eq!(tcp.sent(send("q", "x")).await.len(), 1);
    }
}

#[tokio::test]
async fn each_mistake_of_a_login_is_named_and_no_secret_is() {
    let server = builder()
        .credentials("AKIDdev", "canary")
        .temporary_credentials("AKIDtemp", "canary", "canary-token")
        .start()
        .await
        .unwrap();
    let mut tcp = Tcp::connect(&server).await;
    let mut other_client = login("AKIDdev", "canary");
    other_client.auth.as_mut().unwrap().client_id = "client@2".to_owned();
    for (packet, expected, words) in [
        (
            login("AKIDdev", "wrong"),
            10_030,
            "(10030)authentication failed: the Signature does not fit; expected HmacSHA256 over: client@1AKIDdev",
        ),
        (
            login_by("AKIDdev", "wrong", SignatureMethod::HmacSha1),
            10_030,
            "expected HmacSHA1 over",
        ),
        (other_client, 10_030, "over: client@2AKIDdev"),
        (login("AKIDother", "x"), 10_270, "(10270)SecretId AKIDother"),
        (login("other", "x"), 10_450, "AKID"),
        (login("AKIDtemp", "canary"), 10_030, "temporary"),
        (Packet::new(0, cmd::AUTH), 10_390, "tcp_auth is missing"),
    ] {
        let (result, text) = tcp.refused(packet).await;
        assert_eq!(result, expected, "{text}");
        assert!(text.contains(words), "{text}");
        assert!(!text.contains("canary"), "{text}");
        assert_eq!(tcp.refused(send("q", "x")).await.0, 306);
    }
}

#[tokio::test]
async fn a_login_that_was_forgotten_is_made_again() {
    let server = server().await;
    let mut tcp = Tcp::login(&server).await;
    tcp.sent(send("q", "x")).await;
    server.expire_logins();
    assert_eq!(tcp.refused(send("q", "y")).await.0, 306);
    assert_eq!(
        tcp.ask(login("AKIDdev", "dev-secret")).await.result,
        Some(0)
    );
    tcp.sent(send("q", "z")).await;
    assert_eq!(server.counts("q").unwrap().active, 2);
}

#[tokio::test]
async fn who_does_not_log_in_is_sent_away() {
    let server = builder().patience(SECOND / 5).start().await.unwrap();
    let mut silent = Tcp::connect(&server).await;
    let mut chatty = Tcp::connect(&server).await;
    let mut known = Tcp::login(&server).await;
    assert_eq!(chatty.refused(pull("q", 0)).await.0, 306);
    silent.ended().await;
    chatty.ended().await;
    known.nothing_came().await;
}
