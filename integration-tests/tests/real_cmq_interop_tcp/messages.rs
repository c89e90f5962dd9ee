//! Messages: sent, received, deleted, published, refused.

use std::time::Duration;

use integration_tests::foreign::cmq::Sdk;
use integration_tests::harness::until;
use mq_dev::cmq::{DevServer, QueueSpec, SubscriptionSpec, TopicSpec};
use serde_json::{Value, json};

use super::world::{NOW, Promise, QUEUE, World, text};

const BODIES: [&str; 3] = ["plain", "中文 München 🦀", "{\"json\": \"a&b=c\"}\n"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_tcp_messages() {
    let promise = Promise {
        test: "real_cmq_interop_tcp_messages",
        flow: "send, receive",
        text: "one sends over TCP, the other receives and deletes over TCP or HTTP; empty, stale and unknown are told",
    };
    let scenario = async |world: &mut World| {
        one_by_one(world).await;
        batches(world).await;
        waiting(world).await;
        refused(world).await;
    };
    promise.kept(Sdk::JavaTcp.ways(), scenario).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_tcp_topics() {
    let promise = Promise {
        test: "real_cmq_interop_tcp_topics",
        flow: "send, receive",
        text: "what theirs publishes over TCP by tag or route is received by ours",
    };
    let ways = Sdk::JavaTcp.ways().split_at(1).0;
    promise.kept(ways, async |world| topics(world).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_tcp_wrong_key_and_lost_login() {
    let promise = Promise {
        test: "real_cmq_interop_tcp_wrong_key_and_lost_login",
        flow: "send, receive",
        text: "a wrong key is refused; a login that the server forgot is made again",
    };
    let ways = Sdk::JavaTcp.ways().split_at(1).0;
    let scenario = async |world: &mut World| {
        wrong_key(ways[0]).await;
        lost_login(world).await;
    };
    promise.kept(ways, scenario).await;
}

async fn one_by_one(world: &mut World) {
    let ours = world.tcp.queue(QUEUE).unwrap();
    for body in BODIES {
        let given = json!({"queueName": QUEUE, "msgBody": body});
        let sent = world.they("SendMessage", given).await;
        let message = ours.receive(NOW).await.unwrap().expect("a message");
        assert_eq!((message.body(), message.attempt()), (body, 1));
        assert_eq!(message.message_id(), text(&sent, "msgId"));
        ours.delete(message.handle()).await.unwrap();
        ours.send(body).await.unwrap();
        assert_eq!(world.they_take(QUEUE).await, body);
        world.http.queue(QUEUE).unwrap().send(body).await.unwrap();
        assert_eq!(world.they_take(QUEUE).await, body);
    }
    world.they_find_nothing(QUEUE).await;
    let late = json!({"queueName": QUEUE, "msgBody": "late", "delaySeconds": 7});
    world.they("SendMessage", late).await;
    world.nothing(QUEUE).await;
    world.clock().advance(Duration::from_secs(7));
    assert_eq!(world.take(QUEUE).await.body(), "late");
}

async fn batches(world: &mut World) {
    let bodies: Vec<String> = (0..16).map(|at| format!("{at} 中")).collect();
    let given = json!({"queueName": QUEUE, "msgBody": bodies});
    let sent = world.they("BatchSendMessage", given).await;
    assert_eq!(sent["msgList"].as_array().unwrap().len(), 16);
    let given = json!({"queueName": QUEUE, "numOfMsg": 16, "pollingWaitSeconds": 0});
    let got = world.they("BatchReceiveMessage", given).await;
    let got = got["msgInfoList"].as_array().unwrap();
    let came: Vec<String> = got.iter().map(|it| text(it, "msgBody")).collect();
    assert_eq!(came, bodies);
    let mut handles: Vec<Value> = got.iter().map(|it| it["receiptHandle"].clone()).collect();
    handles.push(json!("7"));
    let given = json!({"queueName": QUEUE, "receiptHandle": handles[1..]});
    let partly = world.theirs.ask("BatchDeleteMessage", given).await.unwrap();
    assert_eq!(partly["code"], 10_150, "{partly}");
    let errors = json!([{"code": 10_260, "receiptHandle": "7"}]);
    assert_eq!(partly["errorList"], errors);
    let given = json!({"queueName": QUEUE, "receiptHandle": handles[..1]});
    world.they("BatchDeleteMessage", given.clone()).await;
    assert_eq!(world.refused("BatchDeleteMessage", given).await.0, 10_290);
    assert_eq!(world.server.counts(QUEUE).unwrap().held, 0);
}

async fn waiting(world: &mut World) {
    let queue = world.http.queue(QUEUE).unwrap();
    let server = &world.server;
    let send = async {
        let waits = async || server.counts(QUEUE).unwrap().waiting == 1;
        until(Duration::from_secs(60), "theirs to wait", waits).await;
        queue.send("awaited").await.unwrap();
    };
    let given = json!({"queueName": QUEUE, "pollingWaitSeconds": 20});
    let (got, ()) = tokio::join!(world.theirs.call("ReceiveMessage", given), send);
    let got = got.unwrap();
    assert_eq!(text(&got, "msgBody"), "awaited");
    let given = json!({"queueName": QUEUE, "receiptHandle": got["receiptHandle"]});
    world.they("DeleteMessage", given.clone()).await;
    assert_eq!(world.refused("DeleteMessage", given).await.0, 10_260);
}

async fn refused(world: &mut World) {
    // The name server says so: the SDK finds no route then.
    let missing = json!({"queueName": "nobody", "msgBody": "x"});
    world.refused("SendMessage", missing).await;
    let large = json!({"queueName": QUEUE, "msgBody": "x".repeat(65_537)});
    let (code, error) = world.refused("SendMessage", large).await;
    assert_eq!(code, 10_230, "{error}");
    assert!(error.starts_with("(10230)"), "{error}");
    let late = json!({"queueName": "paid", "msgBody": "x", "delaySeconds": 1});
    assert_eq!(world.refused("SendMessage", late).await.0, 10_692);
    assert_eq!(world.server.counts(QUEUE).unwrap().active, 0);
}

async fn topics(world: &mut World) {
    for topic in [TopicSpec::new("tags"), TopicSpec::new("ways").routing()] {
        world.server.create_topic(topic).unwrap();
    }
    for spec in [
        SubscriptionSpec::to_queue("tags", "s", QUEUE).tag("red"),
        SubscriptionSpec::to_queue("ways", "s", QUEUE).binding_key("order.*.paid"),
    ] {
        world.server.subscribe(spec).unwrap();
    }
    for (action, given, bodies) in [
        (
            "PublishMessage",
            json!({"topicName": "tags", "msgBody": "tagged 中", "msgTag": ["big", "red"]}),
            &["tagged 中"][..],
        ),
        (
            "BatchPublishMessage",
            json!({"topicName": "tags", "msgBody": ["1", "2"], "msgTag": ["red"]}),
            &["1", "2"],
        ),
        (
            "PublishMessage",
            json!({"topicName": "ways", "msgBody": "routed", "routingKey": "order.7.paid"}),
            &["routed"],
        ),
        (
            "BatchPublishMessage",
            json!({"topicName": "ways", "msgBody": ["3", "4"], "routingKey": "order.8.paid"}),
            &["3", "4"],
        ),
    ] {
        world.they(action, given).await;
        for body in bodies {
            assert_eq!(world.take(QUEUE).await.body(), *body, "{action}");
        }
    }
    let nobody = json!({"topicName": "tags", "msgBody": "x", "msgTag": ["blue"]});
    assert_eq!(world.refused("PublishMessage", nobody).await.0, 10_730);
}

async fn wrong_key(way: integration_tests::foreign::cmq::Signed) {
    // Over HTTP it is let in, so that the login is what fails.
    let server = DevServer::builder()
        .credentials("AKIDdev", "another-secret")
        .gateway("127.0.0.1:0");
    let server = server.start().await.unwrap();
    server.create_queue(QueueSpec::new(QUEUE)).unwrap();
    let good = DevServer::builder().gateway("127.0.0.1:0");
    let gateway = server.gateway_addr().unwrap().to_string();
    let good = good.advertise(gateway).start().await.unwrap();
    good.create_queue(QueueSpec::new(QUEUE)).unwrap();
    let mut theirs = Sdk::JavaTcp.start(good.addr(), way).await.unwrap();
    let given = json!({"queueName": QUEUE, "msgBody": "x"});
    let answer = theirs.ask("SendMessage", given).await.unwrap();
    assert_ne!(answer["code"], 0, "{answer}");
    assert_eq!(server.counts(QUEUE).unwrap().active, 0);
    assert_eq!(good.requests("QueryQueueRoute"), 1);
}

async fn lost_login(world: &mut World) {
    let given = json!({"queueName": QUEUE, "msgBody": "x"});
    world.they("SendMessage", given.clone()).await;
    world.server.expire_logins();
    // It hears 306, closes the connection, and logs in anew with the next request.
    assert_eq!(world.refused("SendMessage", given.clone()).await.0, 306);
    world.they("SendMessage", given.clone()).await;
    world.server.restart();
    let sent = async || {
        let answer = world.theirs.ask("SendMessage", given.clone()).await;
        answer.unwrap()["code"] == 0
    };
    until(Duration::from_secs(60), "a new connection", sent).await;
}
