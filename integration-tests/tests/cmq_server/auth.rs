//! Who is let in: each mistake is named, and our client makes a typed error of it and no storm.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use integration_tests::harness::wall;
use mq_cmq::proto::SignatureMethod;
use mq_cmq::{Client, ClientBuilder, Clock, ErrorCode, ErrorKind, HttpMethod, Outcome, Retry};
use mq_dev::cmq::DevServer;

use crate::raw::{Request, code, number, seconds, server};

fn list() -> Request {
    Request::new("ListQueue", &[])
}

#[tokio::test]
async fn all_ways_of_signing_are_accepted() {
    let server = server().await;
    for signature in [
        None,
        Some(SignatureMethod::HmacSha1),
        Some(SignatureMethod::HmacSha256),
    ] {
        for method in ["GET", "POST"] {
            for path in ["/", "/v2/index.php"] {
                let mut request = list().set("a_b", "x_y & 中").set("routingKey", "");
                (request.signature, request.method, request.path) = (signature, method, path);
                let answer = request.ask(&server).await;
                assert_eq!(answer["code"], 0, "{request:?}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn each_mistake_is_named() {
    let server = server().await;
    let now = seconds();
    let mut wrong_key = list();
    wrong_key.key = "canary".to_owned();
    for (request, expected, words) in [
        (
            wrong_key,
            (4100, 10030),
            "expected HmacSHA256 over: POST127.0.0.1:",
        ),
        (
            list().set("Timestamp", now - 600),
            (4100, 10030),
            "600 s behind",
        ),
        (
            list().set("Timestamp", now + 700),
            (4100, 10030),
            "s ahead of",
        ),
        (
            list().set("SecretId", "AKIDother"),
            (4100, 10270),
            "AKIDother",
        ),
        (list().set("SecretId", "other"), (4000, 10450), "AKID"),
        (list().set("Timestamp", "soon"), (4000, 10360), "Timestamp"),
    ] {
        let answer = request.ask(&server).await;
        assert_eq!(code(&answer), expected, "{answer}");
        // A second may pass on the way.
        let text = answer["message"]
            .as_str()
            .unwrap()
            .replace("601 s", "600 s");
        assert!(text.contains(words), "{text}");
        assert!(
            !text.contains("canary") && !text.contains("dev-secret"),
            "{text}"
        );
    }
    let mut unsigned = list();
    unsigned.pairs.retain(|pair| pair.0 != "Nonce");
    assert_eq!(code(&unsigned.ask(&server).await), (4000, 10390));
}

#[tokio::test]
async fn a_request_is_accepted_once() {
    let server = server().await;
    let request = Request::new("SendMessage", &[("queueName", "q"), ("msgBody", "x")]);
    assert_eq!(request.ask(&server).await["code"], 0);
    let again = request.ask(&server).await;
    assert_eq!(code(&again), (4100, 10030));
    assert!(
        again["message"].as_str().unwrap().contains("made before"),
        "{again}"
    );
    assert_eq!(server.counts("q").unwrap().active, 1);
    // Another nonce is another request.
    assert_eq!(request.set("Nonce", 77_777).ask(&server).await["code"], 0);
}

#[tokio::test]
async fn a_temporary_key_needs_its_token() {
    let server = DevServer::builder()
        .credentials("AKIDdev", "dev-secret")
        .temporary_credentials("AKIDtemp", "dev-secret", "canary-token")
        .start()
        .await
        .unwrap();
    let request = || list().set("SecretId", "AKIDtemp");
    assert_eq!(
        request().set("Token", "canary-token").ask(&server).await["code"],
        0
    );
    for (request, expected) in [
        (request().set("Token", "canary"), (4100, 10030)),
        (request(), (4000, 10390)),
    ] {
        let answer = request.ask(&server).await;
        assert_eq!(code(&answer), expected);
        assert!(!answer.to_string().contains("canary"), "{answer}");
    }
}

#[derive(Debug)]
struct Slow(Duration);

impl Clock for Slow {
    fn now(&self) -> std::time::Instant {
        integration_tests::harness::now()
    }

    fn wall(&self) -> SystemTime {
        wall() - self.0
    }
}

fn builder(url: &str) -> ClientBuilder {
    Client::from_url(url).unwrap().attempts(5)
}

#[tokio::test]
async fn our_client_says_which_and_asks_once() {
    let server = server().await;
    let ten_minutes = Arc::new(Slow(Duration::from_secs(600)));
    let other_key = server.url().replace("dev-secret", "canary");
    let other_id = server.url().replace("AKIDdev", "AKIDother");
    for (builder, code, words) in [
        (
            builder(&other_key),
            ErrorCode::AUTHENTICATION_FAILED,
            "Signature does not fit",
        ),
        (
            builder(&other_id),
            ErrorCode::SECRET_ID_NOT_FOUND,
            "AKIDother",
        ),
        (
            builder(&server.url()).clock(ten_minutes),
            ErrorCode::AUTHENTICATION_FAILED,
            "s behind",
        ),
    ] {
        for method in [HttpMethod::Post, HttpMethod::Get] {
            let client = builder.clone().method(method).build().unwrap();
            let before = number(&server).await;
            let failed = client.queue("q").unwrap().send("x").await.unwrap_err();
            assert_eq!(
                number(&server).await - before,
                2,
                "one request, and the one that asks"
            );
            let error = failed.error;
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Auth, Outcome::Rejected)
            );
            assert_eq!((error.code(), error.retry()), (Some(&code), Retry::Never));
            assert!(error.to_string().contains(words), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
    assert_eq!(server.counts("q").unwrap().active, 0);
}
