//! The control plane of the dev server: our client makes what the data plane then uses; each mistake is named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::harness::{now, wall};
use mq_cmq::proto::tc3::{Authorization, Canonical, Key, Scope, date::utc_date};
use mq_cmq::{
    Client, Clock, ControlClient, ControlClientBuilder, ControlCode, Credentials, DeadLetter,
    ErrorKind, Filter, Outcome, PushRetry, Target, TopicMessage,
};
use mq_dev::cmq::{DevServer, Fault};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn builder(server: &DevServer) -> ControlClientBuilder {
    ControlClient::from_url(&server.control_url()).unwrap()
}

fn control(server: &DevServer) -> ControlClient {
    builder(server).build().unwrap()
}

fn data(server: &DevServer) -> Client {
    Client::from_url(&server.url()).unwrap().build().unwrap()
}

/// The steps of Tencent Cloud's guide for its SDK for Python (product 1496): queue with dead letters, topic, subscription; messages by the data plane.
#[tokio::test]
async fn cmq_control_makes_what_the_data_plane_uses() {
    let server = DevServer::builder().start().await.unwrap();
    let (control, client) = (control(&server), data(&server));
    control.create_queue("dead_queue_api").await.unwrap();
    let rule = DeadLetter::after_receives("dead_queue_api", 3);
    let made = control.create_queue("queue_api").dead_letter(rule.clone());
    assert!(!made.await.unwrap().id.is_empty());
    let topic = control.create_topic("topic_api").filter(Filter::Tags);
    topic.retention(Duration::from_secs(86_400)).await.unwrap();
    control.create_queue("topic_queue_api").await.unwrap();
    let subscribe = control
        .subscribe("topic_api", "sub")
        .queue("topic_queue_api");
    let subscribe = subscribe.retry(PushRetry::Backoff).filter_tags(["TAG"]);
    subscribe.await.unwrap();

    let queue = client.queue("queue_api").unwrap();
    queue.send("I am test message.").await.unwrap();
    let received = queue
        .receive(Duration::from_secs(3))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(received.body(), "I am test message.");
    queue.delete(received.handle()).await.unwrap();
    let topic = client.topic("topic_api").unwrap();
    topic
        .publish(TopicMessage::new("tagged").tag("TAG"))
        .await
        .unwrap();
    control
        .publish("topic_api", TopicMessage::new("again").tag("TAG"))
        .await
        .unwrap();
    let nobody = TopicMessage::new("x").tag("TAG1");
    let error = control.publish("topic_api", nobody).await.unwrap_err();
    assert_eq!(error.code(), Some(&ControlCode::CMQ_BACKEND_ERROR));
    assert!(error.message().starts_with("(10730)"), "{error}");
    control.send("topic_queue_api", "sent").await.unwrap();
    let target = client.queue("topic_queue_api").unwrap();
    for expected in ["tagged", "again", "sent"] {
        let received = target.receive(Duration::from_secs(3)).await.unwrap();
        assert_eq!(received.unwrap().body(), expected);
    }

    let detail = control.describe_queue("QUEUE_API").await.unwrap();
    assert_eq!(detail.name, "queue_api", "as it was made");
    assert_eq!(detail.attributes.dead_letter, Some(rule));
    assert_eq!(detail.attributes.max_body, 1024 * 1024);
    assert_eq!(detail.attributes.retention, Duration::from_secs(3_600));
    let age = wall().duration_since(detail.attributes.created.unwrap());
    assert!(age.unwrap() < Duration::from_secs(60), "milliseconds");
    let held = control.describe_queue("topic_queue_api").await.unwrap();
    assert_eq!(held.attributes.inactive, 3);
    let sources = control.dead_letter_sources("dead_queue_api").all().await;
    assert_eq!(sources.unwrap()[0].name, "queue_api");
    let dead = control.describe_queue("dead_queue_api").await.unwrap();
    assert_eq!(dead.dead_letter_sources[0].name, "queue_api");
}

#[tokio::test]
async fn cmq_control_lists_page_by_page() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    for at in 0..120 {
        control.create_queue(format!("q-{at:03}")).await.unwrap();
    }
    let queues = control.queues().all().await.unwrap();
    let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
    let expected: Vec<String> = (0..120).map(|at| format!("q-{at:03}")).collect();
    assert_eq!(names, expected);
    assert_eq!(
        control
            .queues()
            .containing("q-11")
            .all()
            .await
            .unwrap()
            .len(),
        10
    );
    let only = mq_cmq::control::Only::new().named(["q-001", "q-002"]);
    assert_eq!(control.queues_only(only).all().await.unwrap().len(), 2);
}

#[tokio::test]
async fn cmq_control_changes_rewinds_and_deletes_queues() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    control.create_queue("q-000").await.unwrap();
    let change = control
        .change_queue("q-000")
        .visibility(Duration::from_secs(7));
    change.rewind(Duration::from_secs(600)).await.unwrap();
    let attributes = control.describe_queue("q-000").await.unwrap().attributes;
    assert_eq!(attributes.visibility, Duration::from_secs(7));
    assert_eq!(
        attributes.retention,
        Duration::from_secs(3_600),
        "as it was"
    );
    let client = data(&server);
    let queue = client.queue("q-000").unwrap();
    control.send("q-000", "again").await.unwrap();
    let received = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    queue.delete(received.handle()).await.unwrap();
    let before = wall() - Duration::from_secs(60);
    control.rewind_queue("q-000", before).await.unwrap();
    assert!(queue.receive(Duration::ZERO).await.unwrap().is_some());
    control.clear_queue("q-000").await.unwrap();
    control.unbind_dead_letter("q-000").await.unwrap();
    control.delete_queue("q-000").await.unwrap();
    assert!(control.queues().all().await.unwrap().is_empty());
}

#[tokio::test]
async fn cmq_control_changes_lists_and_deletes_topics_and_subscriptions() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    for name in ["q-001", "q-002"] {
        control.create_queue(name).await.unwrap();
    }
    control
        .create_topic("t")
        .filter(Filter::Routing)
        .await
        .unwrap();
    control.change_topic("t").max_body(2_048).await.unwrap();
    let subscribe = control.subscribe("t", "s").queue("q-001");
    subscribe.binding_keys(["a.#"]).await.unwrap();
    let routed = TopicMessage::new("routed").routing_key("a.b");
    control.publish("t", routed).await.unwrap();
    control
        .change_subscription("t", "s")
        .binding_keys(["b"])
        .await
        .unwrap();
    let detail = control.describe_topic("t").await.unwrap();
    assert_eq!(
        (detail.attributes.max_body, detail.subscriptions),
        (2_048, 1)
    );
    for list in [
        control.subscriptions("t"),
        control.subscriptions_to("q-001"),
    ] {
        let list = list.all().await.unwrap();
        assert_eq!((list[0].name.as_str(), list[0].topic.as_str()), ("s", "t"));
        assert_eq!(list[0].attributes.binding_keys, ["b"]);
        assert_eq!(list[0].attributes.target, Target::Queue("q-001".into()));
    }
    assert!(
        control
            .subscriptions_to("q-002")
            .all()
            .await
            .unwrap()
            .is_empty()
    );
    control.unsubscribe("t", "s").await.unwrap();
    control.delete_topic("t").await.unwrap();
    assert!(control.topics().all().await.unwrap().is_empty());
}

#[tokio::test]
async fn cmq_control_makes_queues_of_transactions() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    let made = control.create_queue("q").transactional(true);
    made.first_query(Duration::from_secs(7)).await.unwrap();
    control.change_queue("q").max_queries(3).await.unwrap();
    let asks = control.describe_queue("q").await.unwrap().transactions;
    let asks = asks.unwrap();
    assert_eq!(
        (asks.first_query, asks.max_queries),
        (Duration::from_secs(7), 3)
    );
    // It takes no delays, as others do.
    let delayed = mq_cmq::Message::new("x").deliver_after(Duration::from_secs(1));
    let error = control.send("q", delayed).await.unwrap_err();
    assert_eq!(error.code(), Some(&ControlCode::INVALID_PARAMETER_VALUE));
    let error = control.change_queue("q").transactional(false).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    control.create_queue("plain").await.unwrap();
    let plain = control.describe_queue("plain").await.unwrap();
    assert_eq!(plain.transactions, None);
}

#[tokio::test]
async fn cmq_control_names_each_mistake() {
    let server = DevServer::builder().start().await.unwrap();
    let good = control(&server);
    good.create_queue("q").await.unwrap();
    good.create_topic("t").await.unwrap();
    good.subscribe("t", "s").queue("q").await.unwrap();
    let code = |error: mq_cmq::ControlError| {
        assert_eq!(error.outcome(), Outcome::Rejected, "{error}");
        error.code().unwrap().clone()
    };
    let exists = good.create_queue("Q").await.unwrap_err();
    assert!(
        exists.message().contains("queue Q already existed"),
        "{exists}"
    );
    assert_eq!(code(exists), ControlCode::QUEUE_EXISTS);
    let error = good.create_topic("T").await.unwrap_err();
    assert_eq!(code(error), ControlCode::TOPIC_EXISTS);
    let error = good.subscribe("t", "s").queue("q").await.unwrap_err();
    assert_eq!(code(error), ControlCode::SUBSCRIPTION_EXISTS);
    let error = good.describe_queue("none").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(code(error), ControlCode::RESOURCE_NOT_FOUND);
    let error = good.describe_topic("none").await.unwrap_err();
    assert_eq!(code(error), ControlCode::TOPIC_NOT_FOUND);
    let error = good.unsubscribe("t", "none").await.unwrap_err();
    assert_eq!(code(error), ControlCode::SUBSCRIPTION_NOT_FOUND);
    let error = good.delete_topic("t").await.unwrap_err();
    assert!(
        error.message().contains("still has 1 subscriptions"),
        "{error}"
    );
    assert!(error.message().starts_with("(10540)"), "{error}");
    assert_eq!(code(error), ControlCode::CMQ_BACKEND_ERROR);
}

#[tokio::test]
async fn cmq_control_names_who_may_not_ask_and_why() {
    let server = DevServer::builder().start().await.unwrap();
    let slow = |by| Arc::new(Shifted(by)) as Arc<dyn Clock>;
    for (builder, expected, words) in [
        (
            builder(&server).credentials(Credentials::new("AKIDdev", "canary")),
            ControlCode::SIGNATURE_FAILURE,
            "expected string to sign: TC3-HMAC-SHA256\\n",
        ),
        (
            builder(&server).credentials(Credentials::new("AKIDother", "canary")),
            ControlCode::SECRET_ID_NOT_FOUND,
            "AKIDother",
        ),
        (
            builder(&server).clock(slow(-600)),
            ControlCode::SIGNATURE_EXPIRED,
            "s behind the server's clock",
        ),
        (
            builder(&server).clock(slow(700)),
            ControlCode::SIGNATURE_EXPIRED,
            "s ahead of the server's clock",
        ),
    ] {
        let before = server.requests("DescribeCmqQueueDetail");
        let error = builder.build().unwrap().describe_queue("q").await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.message().contains(words), "{error}");
        assert!(!format!("{error:#?}").contains("canary"));
        assert_eq!(error.outcome(), Outcome::Rejected);
        assert_eq!(error.code(), Some(&expected));
        assert_eq!(server.requests("DescribeCmqQueueDetail"), before);
    }
}

#[tokio::test]
async fn cmq_control_checks_the_token_of_a_temporary_key() {
    let dev = DevServer::builder().temporary_credentials("AKIDtemp", "k", "canary-token");
    let server = dev.start().await.unwrap();
    let with = |credentials| builder(&server).credentials(credentials).build().unwrap();
    let keys = || Credentials::new("AKIDtemp", "k");
    with(keys().token("canary-token"))
        .queues()
        .all()
        .await
        .unwrap();
    for keys in [keys(), keys().token("other")] {
        let error = with(keys).queues().all().await.unwrap_err();
        assert_eq!(error.code(), Some(&ControlCode::TOKEN_FAILURE));
        assert!(!format!("{error:#?}").contains("canary"));
    }
}

#[tokio::test]
async fn cmq_control_rides_faults_out_where_it_reads() {
    let server = DevServer::builder().start().await.unwrap();
    let control = control(&server);
    control.create_queue("q").await.unwrap();
    // Made anew for each use: clones are one fault.
    for fault in [
        Fault::drop_reply as fn() -> Fault,
        Fault::half_body,
        Fault::status_500,
        Fault::cut,
    ] {
        server.inject(fault().on("DescribeCmqQueueDetail").nth(1));
        control.describe_queue("q").await.unwrap();
        server.inject(fault().on("ClearCmqQueue").nth(1));
        let error = control.clear_queue("q").await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        control.clear_queue("q").await.unwrap();
    }
}

/// As SDKs sign that differ from ours: the one for Node takes the service from the endpoint and the host without its port.
#[tokio::test]
async fn cmq_control_takes_foreign_scopes_and_hosts_without_port() {
    let server = DevServer::builder().start().await.unwrap();
    let address = server.addr().to_string();
    let (host, _) = address.rsplit_once(':').unwrap();
    for (service, signed_host, fits) in [
        ("tdmq", address.as_str(), true),
        ("127", host, true),
        ("tdmq", "example.com", false),
    ] {
        let answer = by_hand(&address, service, signed_host).await;
        assert!(
            answer.contains("\r\ncontent-type: application/json\r\n"),
            "{answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let code = body["Response"]["Error"]["Code"].as_str();
        let expected = (!fits).then_some("AuthFailure.SignatureFailure");
        assert_eq!(code, expected, "{service} {signed_host}: {body}");
    }
}

async fn by_hand(address: &str, service: &str, signed_host: &str) -> String {
    let seconds = wall().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let date = utc_date(seconds);
    let scope = Scope {
        date: &date,
        service,
    };
    let body = "{}";
    let headers = [("content-type", "application/json"), ("host", signed_host)];
    let canonical = Canonical {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        payload: body.as_bytes(),
    };
    let text = canonical.string_to_sign(&seconds.to_string(), scope);
    let authorization = Authorization {
        secret_id: "AKIDdev",
        scope,
        signed_headers: vec!["content-type", "host"],
        signature: &Key::new("dev-secret").unwrap().sign(scope, &text).unwrap(),
    };
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nX-TC-Action: DescribeCmqQueues\r\nX-TC-Version: 2020-02-17\r\n\
         X-TC-Region: ap-guangzhou\r\nX-TC-Timestamp: {seconds}\r\nAuthorization: {authorization}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A clock that is so many seconds off.
#[derive(Debug)]
struct Shifted(i64);

impl Clock for Shifted {
    fn now(&self) -> std::time::Instant {
        now()
    }

    fn wall(&self) -> SystemTime {
        let by = Duration::from_secs(self.0.unsigned_abs());
        if self.0 < 0 { wall() - by } else { wall() + by }
    }
}
