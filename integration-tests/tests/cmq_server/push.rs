//! Pushes to URLs: what arrives, where none goes, and when it is tried again.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use integration_tests::harness::{Capture, until, within};
use mq_cmq::{Client, TopicMessage};
use mq_dev::cmq::{
    ContentFormat, DevServer, PushTargets, RetryStrategy, SubscriptionSpec, TopicSpec,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

const SECOND: Duration = Duration::from_secs(1);

fn log() -> &'static Capture {
    static LOG: OnceLock<Capture> = OnceLock::new();
    LOG.get_or_init(Capture::install)
}

/// An endpoint that answers each request with the next of these (the last one for ever), and hands out what came.
async fn endpoint(answers: &'static [&'static str]) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (came, take) = mpsc::channel(100);
    let turn = Arc::new(Mutex::new(0));
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (came, turn) = (came.clone(), Arc::clone(&turn));
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !is_whole(&read) {
                    if socket.read_buf(&mut read).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let mut turn = turn.lock().await;
                let answer = answers[(*turn).min(answers.len() - 1)];
                *turn += 1;
                drop(turn);
                came.send(String::from_utf8(read).unwrap()).await.unwrap();
                if answer.is_empty() {
                    // For ever.
                    std::future::pending::<()>().await;
                }
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, take)
}

fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.to_lowercase();
    let length = length
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// A server whose clock stands still, with the topic `t`, and its client.
async fn server(push: PushTargets) -> (DevServer, Client) {
    started(push, Duration::from_millis(300)).await
}

async fn started(push: PushTargets, timeout: Duration) -> (DevServer, Client) {
    log();
    let server = DevServer::builder()
        .virtual_clock(UNIX_EPOCH + 1_700_000_000 * SECOND)
        .push(push)
        .push_timeout(timeout)
        .start()
        .await
        .unwrap();
    server.create_topic(TopicSpec::new("t")).unwrap();
    let client = Client::from_url(&server.url()).unwrap().build().unwrap();
    (server, client)
}

async fn publish(client: &Client, message: impl Into<TopicMessage>) -> String {
    let topic = client.topic("t").unwrap();
    topic
        .publish(message)
        .await
        .unwrap()
        .message_id()
        .to_owned()
}

async fn audited(words: &[&str]) {
    let there = async || {
        let text = log().text();
        text.lines().any(|line| {
            line.contains("mq_dev::cmq::push") && words.iter().all(|word| line.contains(word))
        })
    };
    until(10 * SECOND, &format!("an audit line with {words:?}"), there).await;
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const NO: &str = "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_message_arrives_with_its_headers_in_both_formats() {
    let (server, client) = server(PushTargets::Any).await;
    let (json, mut json_came) = endpoint(&[OK]).await;
    let (plain, mut plain_came) = endpoint(&[OK]).await;
    let spec = SubscriptionSpec::to_url("t", "json", format!("http://{json}/a/b?c=d"));
    server.subscribe(spec).unwrap();
    let spec = SubscriptionSpec::to_url("t", "plain", format!("http://{plain}"));
    server
        .subscribe(spec.format(ContentFormat::Simplified))
        .unwrap();
    let id = publish(&client, TopicMessage::new("中 \"x\"").tag("a").tag("b")).await;

    let plain = plain_came.recv().await.unwrap();
    let (head, body) = plain.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "中 \"x\"");
    assert!(head.starts_with("POST / HTTP/1.1"), "{head}");
    for header in [
        "user-agent: Qcloud Notification Service Agent",
        "content-type: text/plain",
        &format!("x-cmq-message-id: {id}"),
        "x-cmq-message-tag: a, b",
        "x-cmq-request-id: ",
    ] {
        assert!(head.contains(header), "no {header} in {head}");
    }
    let json = json_came.recv().await.unwrap();
    let (head, body) = json.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /a/b?c=d HTTP/1.1"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({
        "TopicOwner": 100_015_036, "topicName": "t", "subscriptionName": "json",
        "msgId": id, "msgBody": "中 \"x\"", "publishTime": 1_700_000_000,
    });
    assert_eq!(body, expected);
}

/// Whose endpoint it is may keep its secrets in the URL: they go to it, or nowhere.
#[tokio::test]
async fn the_secrets_of_a_url_are_in_no_log_and_no_host() {
    let (server, client) = server(PushTargets::Any).await;
    let (address, mut came) = endpoint(&[NO]).await;
    let url = format!("http://push-user:push-password@{address}/hook?token=push-token#push-part");
    server
        .subscribe(SubscriptionSpec::to_url("t", "secretive", url))
        .unwrap();
    let id = publish(&client, "x").await;
    let request = came.recv().await.unwrap();
    let host = request.lines().find(|line| line.starts_with("host:"));
    assert_eq!(host, Some(&*format!("host: {address}")));
    assert!(request.starts_with("POST /hook?token=push-token HTTP/1.1"));
    assert!(!request.contains("push-password"), "{request}");
    let url = format!("url=\"http://{address}/hook\"");
    audited(&["secretive", &id, &url, "done=false"]).await;
    for secret in ["push-user", "push-password", "push-token", "push-part"] {
        assert!(!log().text().contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_push_that_failed_is_tried_again_by_its_strategy() {
    let (server, client) = server(PushTargets::Any).await;
    let (decay, mut decay_came) = endpoint(&[NO, NO, OK]).await;
    let (backoff, mut backoff_came) = endpoint(&[NO]).await;
    server
        .subscribe(SubscriptionSpec::to_url(
            "t",
            "decay",
            format!("http://{decay}"),
        ))
        .unwrap();
    let spec = SubscriptionSpec::to_url("t", "backoff", format!("http://{backoff}"));
    server
        .subscribe(spec.strategy(RetryStrategy::Backoff))
        .unwrap();
    let id = publish(&client, "x").await;
    let clock = server.clock().unwrap();
    decay_came.recv().await.unwrap();
    backoff_came.recv().await.unwrap();
    for failed in 1..=2 {
        audited_times("decay", &id, failed).await;
        clock.advance(SECOND * failed);
        decay_came.recv().await.unwrap();
    }
    audited(&["decay", &id, "done=true"]).await;
    for failed in 1..=3 {
        audited_times("backoff", &id, failed).await;
        clock.advance(29 * SECOND);
        backoff_came.recv().await.unwrap();
    }
    audited_times("backoff", &id, 4).await;
    clock.advance(3600 * SECOND);
    assert!(backoff_came.try_recv().is_err() && decay_came.try_recv().is_err());
}

/// Until so many tries of this subscription have failed.
async fn audited_times(subscription: &str, id: &str, times: u32) {
    let there = async || {
        let text = log().text();
        let of_it = |line: &&str| {
            line.contains("mq_dev::cmq::push")
                && line.contains(subscription)
                && line.contains(id)
                && line.contains("done=false")
        };
        text.lines().filter(of_it).count() >= times as usize
    };
    until(10 * SECOND, "a failed push", there).await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_or_redirects_has_failed() {
    let (server, client) = server(PushTargets::Any).await;
    let (target, mut target_came) = endpoint(&[OK]).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n");
    let redirect: &'static [&'static str] = Box::leak(vec![&*redirect.leak()].into_boxed_slice());
    let (redirecting, mut redirected) = endpoint(redirect).await;
    let (hanging, mut hung) = endpoint(&[""]).await;
    server
        .subscribe(SubscriptionSpec::to_url(
            "t",
            "redirects",
            format!("http://{redirecting}"),
        ))
        .unwrap();
    server
        .subscribe(SubscriptionSpec::to_url(
            "t",
            "hangs",
            format!("http://{hanging}"),
        ))
        .unwrap();
    let id = publish(&client, "x").await;
    redirected.recv().await.unwrap();
    hung.recv().await.unwrap();
    audited(&["redirects", &id, "status 302", "done=false"]).await;
    audited(&["hangs", &id, "no answer in time", "done=false"]).await;
    assert!(target_came.try_recv().is_err(), "the redirect was followed");
    server.clock().unwrap().advance(SECOND);
    redirected.recv().await.unwrap();
    hung.recv().await.unwrap();
}

#[tokio::test]
async fn private_targets_are_refused_and_tried_again() {
    let (server, client) = server(PushTargets::Public).await;
    let (inside, mut came) = endpoint(&[OK]).await;
    let port = inside.port();
    let urls = [
        ("loopback", format!("http://127.0.0.1:{port}/")),
        ("name", format!("http://localhost:{port}/")),
        ("metadata", "http://169.254.169.254/latest/".to_owned()),
        ("six", "http://[::1]:1/".to_owned()),
        ("mapped", format!("http://[::ffff:127.0.0.1]:{port}/")),
        ("number", format!("http://2130706433:{port}/")),
    ];
    for (name, url) in &urls {
        server
            .subscribe(SubscriptionSpec::to_url("t", *name, url.clone()))
            .unwrap();
    }
    let id = publish(&client, "x").await;
    for (name, _) in &urls {
        audited(&[
            &format!("subscription=\"{name}\""),
            &id,
            "done=false",
            "why=\"refused",
        ])
        .await;
    }
    server.clock().unwrap().advance(SECOND);
    audited_times("loopback", &id, 2).await;
    assert!(came.try_recv().is_err(), "something was pushed inside");
}

#[tokio::test]
async fn nothing_is_pushed_unless_it_is_asked_for() {
    let (server, client) = server(PushTargets::Off).await;
    let (address, mut came) = endpoint(&[OK]).await;
    server
        .subscribe(SubscriptionSpec::to_url(
            "t",
            "off",
            format!("http://{address}"),
        ))
        .unwrap();
    publish(&client, "x").await;
    server.clock().unwrap().advance(60 * SECOND);
    assert!(came.try_recv().is_err());
    assert!(log().text().contains("does not push to URLs"));
}

/// The next push, read whole, and the socket that waits for its answer.
async fn pushed(listener: &TcpListener) -> (String, TcpStream) {
    let accepted = within(10 * SECOND, "a push", listener.accept());
    let (mut socket, _) = accepted.await.unwrap();
    let mut read = Vec::new();
    while !is_whole(&read) {
        assert!(socket.read_buf(&mut read).await.unwrap() > 0);
    }
    (String::from_utf8(read).unwrap(), socket)
}

#[tokio::test]
async fn a_push_of_before_a_restart_says_nothing_about_one_behind_it() {
    let (server, client) = started(PushTargets::Any, 10 * SECOND).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let spec = SubscriptionSpec::to_url("t", "again", url);
    server.subscribe(spec).unwrap();
    let kept = publish(&client, "kept").await;
    let (_, _kept) = pushed(&listener).await;
    let mut snapshot = Vec::new();
    server.snapshot(&mut snapshot).unwrap();
    // Of this one the snapshot knows nothing, its number neither.
    let forgotten = publish(&client, "forgotten").await;
    let (_, mut open) = pushed(&listener).await;

    server.restart_from(snapshot.as_slice()).unwrap();
    let (text, mut again) = pushed(&listener).await;
    assert!(text.contains("kept"), "{text}");
    again.write_all(NO.as_bytes()).await.unwrap();
    audited(&["\"again\"", &kept, "done=false"]).await;
    open.write_all(OK.as_bytes()).await.unwrap();
    audited(&["\"again\"", &forgotten, "done=true"]).await;
    server.clock().unwrap().advance(SECOND);
    let (text, _) = pushed(&listener).await;
    assert!(text.contains("kept"), "{text}");
}
