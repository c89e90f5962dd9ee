//! The queue model: messages, batches, delays, dead letters, long polls.

use std::time::Duration;

use integration_tests::foreign::Failure;
use integration_tests::foreign::cmq::Sdk;
use mq_cmq::{ErrorCode, ErrorKind, Message, ReceiptHandle};
use mq_dev::cmq::QueueSpec;
use serde_json::{Value, json};

use super::world::{DEFAULT, NOW, Promise, VISIBILITY, World, next, take, text};

const QUEUE: &str = "orders_1";
/// What signatures and forms get wrong.
const BODIES: [&str; 6] = [
    "plain",
    "a b&c=d+e/f%41?g#h~",
    "中文 München 🦀",
    "@begins with what the SDK for Python leaves out of its signature",
    "\n two lines \r\n and blanks ",
    "{\"json\": [1, null, \"\\u00e9\"]}",
];

const BOTH_WAYS: &str =
    "one sends, the other receives and deletes; empty, stale and unknown are told, not lost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_queue_python() {
    both_ways("real_cmq_interop_queue_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_queue_java() {
    both_ways("real_cmq_interop_queue_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_queue_node() {
    both_ways("real_cmq_interop_queue_node", Sdk::Node).await;
}

async fn both_ways(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: BOTH_WAYS,
    };
    let scenario = async |world: &mut World| {
        theirs_to_ours(world).await;
        ours_to_theirs(world).await;
        what_is_refused(world).await;
    };
    promise.kept(sdk, sdk.ways(), scenario).await;
}

async fn theirs_to_ours(world: &mut World) {
    let queue = world.queue(QUEUE);
    for body in BODIES {
        let given = json!({"queueName": QUEUE, "msgBody": body});
        let sent = world.they("SendMessage", given).await;
        let message = next(&queue).await;
        assert_eq!(message.body(), body);
        assert_eq!(message.message_id(), text(&sent, "msgId"));
        assert_eq!(message.attempt(), 1);
        queue.delete(message.handle()).await.unwrap();
    }
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
}

async fn ours_to_theirs(world: &mut World) {
    let queue = world.ours.queue(QUEUE).unwrap();
    for body in BODIES {
        let receipt = queue.send(body).await.unwrap();
        let given = json!({"queueName": QUEUE, "pollingWaitSeconds": 0});
        let got = world.they("ReceiveMessage", given).await;
        assert_eq!(text(&got, "msgBody"), body);
        assert_eq!(text(&got, "msgId"), receipt.message_id());
        assert_eq!(got["dequeueCount"], 1);
        let visible = got["nextVisibleTime"].as_u64().unwrap();
        let first = got["firstDequeueTime"].as_u64().unwrap();
        assert_eq!(visible - first, VISIBILITY.as_secs());
        // A handle of theirs is one of ours.
        let handle = text(&got, "receiptHandle");
        queue.delete(&ReceiptHandle::new(&handle)).await.unwrap();
        let stale = json!({"queueName": QUEUE, "receiptHandle": handle});
        assert_eq!(world.refused("DeleteMessage", stale).await, 4430);
    }
    world.they_find_nothing(QUEUE).await;
}

/// The same codes for both, and nothing is done.
async fn what_is_refused(world: &mut World) {
    let missing = json!({"queueName": "nobody", "msgBody": "x"});
    assert_eq!(world.refused("SendMessage", missing).await, 4440);
    let queue = world.ours.queue("nobody").unwrap();
    let error = queue.send("x").await.unwrap_err().error;
    assert_eq!(error.code(), Some(&ErrorCode::QUEUE_NOT_FOUND));

    // What theirs holds too long is ours to receive, and the old handle is worth nothing.
    let queue = world.ours.queue(QUEUE).unwrap();
    queue.send("again").await.unwrap();
    let (_, handle) = world.they_receive(QUEUE).await;
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
    world.clock().advance(VISIBILITY);
    let again = next(&queue).await;
    assert_eq!(again.attempt(), 2);
    let stale = json!({"queueName": QUEUE, "receiptHandle": handle});
    assert_eq!(world.refused("DeleteMessage", stale).await, 4430);
    queue.delete(again.handle()).await.unwrap();

    // And the other way around.
    queue.send("and again").await.unwrap();
    let held = next(&queue).await;
    world.clock().advance(VISIBILITY);
    assert_eq!(world.they_take(QUEUE).await, "and again");
    let error = queue.delete(held.handle()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert_eq!(
        world.server.counts(QUEUE).unwrap(),
        mq_dev::cmq::QueueCounts::default()
    );
}

const BATCHES: &str = "batches of 16, one handle of which has expired: the others are deleted";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_batch_python() {
    batches("real_cmq_interop_batch_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_batch_java() {
    batches("real_cmq_interop_batch_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_batch_node() {
    batches("real_cmq_interop_batch_node", Sdk::Node).await;
}

async fn batches(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: BATCHES,
    };
    let scenario = async |world: &mut World| {
        batch_of_theirs(world).await;
        batch_of_ours(world).await;
    };
    promise.kept(sdk, DEFAULT, scenario).await;
}

/// Sixteen: `msgBody.10` sorts before `msgBody.2` in what is signed, and nowhere else.
fn sixteen() -> Vec<String> {
    (0..16).map(|number| format!("number {number}")).collect()
}

async fn batch_of_theirs(world: &mut World) {
    let queue = world.queue(QUEUE);
    let given = json!({"queueName": QUEUE, "msgBody": sixteen()});
    let sent = world.they("BatchSendMessage", given).await;
    let got = queue.receive_batch(16, NOW).await.unwrap();
    let bodies: Vec<&str> = got.iter().map(mq_cmq::Received::body).collect();
    assert_eq!(bodies, sixteen());
    let ids: Vec<String> = sent["msgList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(it, "msgId"))
        .collect();
    let received: Vec<&str> = got.iter().map(mq_cmq::Received::message_id).collect();
    assert_eq!(received, ids);

    // The first one is gone: one result says so, and the other fifteen are deleted.
    queue.delete(got[0].handle()).await.unwrap();
    let handles: Vec<ReceiptHandle> = got.iter().map(|it| it.handle().clone()).collect();
    let results = queue.delete_batch(&handles).await;
    let failed: Vec<usize> = (0..16).filter(|at| results[*at].is_err()).collect();
    assert_eq!(failed, [0]);
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(world.server.counts(QUEUE).unwrap().held, 0);
}

async fn batch_of_ours(world: &mut World) {
    let queue = world.ours.queue(QUEUE).unwrap();
    for result in queue.send_batch(sixteen()).await {
        result.unwrap();
    }
    let given = json!({"queueName": QUEUE, "numOfMsg": 16, "pollingWaitSeconds": 0});
    let got = world.they("BatchReceiveMessage", given).await;
    let got = got["msgInfoList"].as_array().unwrap();
    let bodies: Vec<String> = got.iter().map(|it| text(it, "msgBody")).collect();
    assert_eq!(bodies, sixteen());

    let handles: Vec<String> = got.iter().map(|it| text(it, "receiptHandle")).collect();
    queue
        .delete(&ReceiptHandle::new(&handles[3]))
        .await
        .unwrap();
    let given = json!({"queueName": QUEUE, "receiptHandle": handles});
    let partly = world
        .theirs
        .ask("BatchDeleteMessage", given.clone())
        .await
        .unwrap();
    assert_eq!(partly["code"], 6010, "{partly}");
    if world.sdk == Sdk::Node {
        // The others do not show it.
        let errors = partly["errorList"].as_array().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0]["receiptHandle"], handles[3]);
        assert_eq!(errors[0]["code"], 4430);
    }
    assert_eq!(world.server.counts(QUEUE).unwrap().held, 0);
    // Now none of them is there.
    assert_eq!(world.refused("BatchDeleteMessage", given).await, 6020);
    let given = json!({"queueName": QUEUE, "numOfMsg": 16, "pollingWaitSeconds": 0});
    assert_eq!(world.refused("BatchReceiveMessage", given).await, 7000);
}

const DELAYED: &str = "delayed by one, received by the other, not before its time";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_delay_python() {
    delays("real_cmq_interop_delay_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_delay_java() {
    delays("real_cmq_interop_delay_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_delay_node() {
    delays("real_cmq_interop_delay_node", Sdk::Node).await;
}

async fn delays(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "scheduled",
        text: DELAYED,
    };
    promise.kept(sdk, DEFAULT, delayed).await;
}

/// The server's clock stands still but where it is moved: "not before" is exact.
async fn delayed(world: &mut World) {
    let queue = world.queue(QUEUE);
    let almost = Duration::from_millis(4_999);
    let rest = Duration::from_millis(1);

    let given = json!({"queueName": QUEUE, "msgBody": "theirs", "delaySeconds": 5});
    world.they("SendMessage", given).await;
    world.clock().advance(almost);
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
    world.clock().advance(rest);
    assert_eq!(take(&queue).await, "theirs");

    let given = json!({"queueName": QUEUE, "msgBody": ["a", "b"], "delaySeconds": 5});
    world.they("BatchSendMessage", given).await;
    world.clock().advance(almost);
    assert_eq!(world.server.counts(QUEUE).unwrap().delayed, 2);
    world.clock().advance(rest);
    assert_eq!([take(&queue).await, take(&queue).await], ["a", "b"]);

    let delay = Duration::from_secs(5);
    queue
        .send(Message::new("ours").deliver_after(delay))
        .await
        .unwrap();
    world.clock().advance(almost);
    world.they_find_nothing(QUEUE).await;
    world.clock().advance(rest);
    assert_eq!(world.they_take(QUEUE).await, "ours");
}

const DEAD: &str = "what one does not delete in three receives is a dead letter of the other";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_dead_letter_python() {
    dead_letters("real_cmq_interop_dead_letter_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_dead_letter_java() {
    dead_letters("real_cmq_interop_dead_letter_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_dead_letter_node() {
    dead_letters("real_cmq_interop_dead_letter_node", Sdk::Node).await;
}

async fn dead_letters(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: DEAD,
    };
    promise.kept(sdk, DEFAULT, dead_lettered).await;
}

/// The SDKs for Python and Java have no parameters for it: there the rule is made by ours.
async fn dead_lettered(world: &mut World) {
    let dead = world.queue("dead");
    if world.sdk == Sdk::Node {
        let given = json!({
            "queueName": QUEUE, "visibilityTimeout": 30,
            "deadLetterPolicy": r#"{"deadLetterQueue": "dead", "policy": 0, "maxReceiveCount": 3}"#,
        });
        world.they("CreateQueue", given).await;
    } else {
        let made = world.ours.create_queue(QUEUE).visibility(VISIBILITY);
        made.dead_letter(mq_cmq::DeadLetter::after_receives("dead", 3))
            .await
            .unwrap();
    }
    let queue = world.ours.queue(QUEUE).unwrap();
    let rule = queue.attributes().await.unwrap().dead_letter.unwrap();
    assert_eq!((rule.queue(), rule.receives()), ("dead", Some(3)));

    let given = json!({"queueName": QUEUE, "msgBody": "theirs"});
    world.they("SendMessage", given).await;
    for attempt in 1..=3 {
        assert_eq!(next(&queue).await.attempt(), attempt);
        world.clock().advance(VISIBILITY);
    }
    world.they_find_nothing(QUEUE).await;
    assert_eq!(world.they_take("dead").await, "theirs");

    queue.send("ours").await.unwrap();
    for _ in 0..3 {
        let (body, _) = world.they_receive(QUEUE).await;
        assert_eq!(body, "ours");
        world.clock().advance(VISIBILITY);
    }
    assert_eq!(queue.receive(NOW).await.unwrap(), None);
    assert_eq!(take(&dead).await, "ours");
}

const POLLED: &str = "a long poll of one ends when the other sends";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_long_poll_python() {
    long_polls("real_cmq_interop_long_poll_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_long_poll_java() {
    long_polls("real_cmq_interop_long_poll_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_long_poll_node() {
    long_polls("real_cmq_interop_long_poll_node", Sdk::Node).await;
}

async fn long_polls(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: POLLED,
    };
    promise.kept(sdk, DEFAULT, polled).await;
}

/// Nobody moves the clock: no wait ends by itself, but for the last two.
async fn polled(world: &mut World) {
    let waits = QueueSpec::new(QUEUE).wait(Duration::from_secs(20));
    world.server.create_queue(waits).unwrap();
    let queue = world.ours.queue(QUEUE).unwrap();
    // Told by the request, and by the queue's attribute.
    for given in [
        json!({"queueName": QUEUE, "pollingWaitSeconds": 20}),
        json!({"queueName": QUEUE}),
        json!({"queueName": QUEUE, "pollingWaitSeconds": 20, "numOfMsg": 16}),
    ] {
        let action = if given.get("numOfMsg").is_some() {
            "BatchReceiveMessage"
        } else {
            "ReceiveMessage"
        };
        let polling = world.theirs.call(action, given);
        let sending = async {
            waiting(&world.server).await;
            queue.send("woken").await.unwrap();
        };
        let (got, ()) = tokio::join!(polling, sending);
        let got: Value = got.unwrap();
        let one = got["msgInfoList"].get(0).unwrap_or(&got);
        assert_eq!(text(one, "msgBody"), "woken");
        queue
            .delete(&ReceiptHandle::new(text(one, "receiptHandle")))
            .await
            .unwrap();
    }

    let polling = queue.receive(Duration::from_secs(20));
    let sending = async {
        waiting(&world.server).await;
        let given = json!({"queueName": QUEUE, "msgBody": "woken by theirs"});
        world.theirs.call("SendMessage", given).await.unwrap();
    };
    let (got, ()) = tokio::join!(polling, sending);
    let got = got.unwrap().expect("a message");
    assert_eq!(got.body(), "woken by theirs");
    queue.delete(got.handle()).await.unwrap();

    // One that ends empty.
    let clock = world.clock();
    let given = json!({"queueName": QUEUE, "pollingWaitSeconds": 20});
    let polling = world.theirs.call("ReceiveMessage", given);
    let passing = async {
        waiting(&world.server).await;
        clock.advance(Duration::from_secs(20));
    };
    let (got, ()) = tokio::join!(polling, passing);
    assert!(
        matches!(got, Err(Failure::Failed { code: 7000, .. })),
        "{got:?}"
    );
}

/// Until a receive is in the line.
async fn waiting(server: &mq_dev::cmq::DevServer) {
    while server.counts(QUEUE).unwrap().waiting == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const KEYS: &str = "a wrong key is refused to both, and nothing is done";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv, JDK 17, Maven, Node.js and npm"]
async fn real_cmq_interop_wrong_key() {
    let sdks = [Sdk::Python, Sdk::Java, Sdk::Node];
    for sdk in sdks {
        let promise = Promise {
            test: "real_cmq_interop_wrong_key",
            flow: "send, receive",
            text: KEYS,
        };
        promise.kept(sdk, DEFAULT, wrong_key).await;
    }
}

async fn wrong_key(world: &mut World) {
    // Another server, which knows the same id with another key.
    let server = mq_dev::cmq::DevServer::builder().credentials("AKIDdev", "another-secret");
    let server = server.start().await.unwrap();
    server.create_queue(QueueSpec::new(QUEUE)).unwrap();
    let mut theirs = world.sdk.start(server.addr(), DEFAULT[0]).await.unwrap();
    let given = json!({"queueName": QUEUE, "msgBody": "x"});
    let refused = theirs.call("SendMessage", given).await.unwrap_err();
    let Failure::Refused { code: 4100, error } = refused else {
        panic!("{refused}")
    };
    assert!(error.contains("(10030)"), "{error}");
    assert!(!error.contains("another-secret"), "{error}");
    assert_eq!(
        server.counts(QUEUE).unwrap(),
        mq_dev::cmq::QueueCounts::default()
    );

    let url = world.server.url();
    let url = url.replace(&world.server.addr().to_string(), &server.addr().to_string());
    let ours = mq_cmq::Client::from_url(&url).unwrap().build().unwrap();
    let refused = ours
        .queue(QUEUE)
        .unwrap()
        .send("x")
        .await
        .unwrap_err()
        .error;
    assert_eq!(refused.kind(), ErrorKind::Auth);
    server.close().await;
}
