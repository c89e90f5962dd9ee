//! Queues: made by one, described by both, used over HTTP and TCP, changed, rewound, cleared, deleted.

use std::time::{Duration, UNIX_EPOCH};

use integration_tests::foreign::cmq::control::Sdk;
use mq_cmq::{ControlCode, ErrorCode};
use serde_json::json;

use super::world::{NOW, Promise, World, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_control_queue_python() {
    queue("real_cmq_interop_control_queue_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_control_queue_node() {
    queue("real_cmq_interop_control_queue_node", Sdk::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go 1.24"]
async fn real_cmq_interop_control_queue_go() {
    queue("real_cmq_interop_control_queue_go", Sdk::Go).await;
}

async fn queue(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "manage",
        text: "queues by the control plane: what one makes and changes, the other describes the same, and HTTP and TCP use",
    };
    let scenario = async |world: &mut World| {
        made_by_theirs(world).await;
        used(world, "theirs").await;
        sent_by_theirs(world, "theirs").await;
        rewound(world, "theirs").await;
        changed(world, "theirs").await;
        cleared_and_deleted(world, "theirs").await;
        made_by_ours(world).await;
    };
    promise.kept(sdk, scenario).await;
}

async fn made_by_theirs(world: &mut World) {
    let settings = json!({
        "QueueName": "theirs", "MaxMsgHeapNum": 2_000_000, "PollingWaitSeconds": 3, "VisibilityTimeout": 40, "MaxMsgSize": 2048,
        "MsgRetentionSeconds": 7200, "RewindSeconds": 600, "Trace": false, "RetentionSizeInMB": 10_240,
        "Tags": [{"TagKey": "team", "TagValue": "中文 München"}],
    });
    let made = world.they("CreateCmqQueue", settings).await;
    let seen = world.queue_as_both_see_it("theirs").await;
    assert_eq!(seen.id, text(&made, "QueueId"));
    // Whatever the case of the letters in which it is asked for.
    let given = json!({"QueueName": "THEIRS"});
    let shouted = world.they("DescribeCmqQueueDetail", given).await;
    assert_eq!(text(&shouted["QueueDescribe"], "QueueName"), "theirs");
    let told = seen.attributes;
    assert_eq!((told.max_messages, told.max_body), (2_000_000, 2048));
    let seconds = [told.wait, told.visibility, told.retention, told.rewind].map(|it| it.as_secs());
    assert_eq!(seconds, [3, 40, 7200, 600]);
    let now = world.clock().now();
    assert!(
        now.duration_since(told.created.unwrap()).unwrap() < Duration::from_secs(10),
        "{told:?}"
    );
}

/// One way over HTTP and TCP, and the other.
async fn used(world: &mut World, name: &str) {
    for body in ["plain", "中文 München 🦀", "{\"json\": \"a&b=c\"}\n"] {
        world.http.queue(name).unwrap().send(body).await.unwrap();
        assert_eq!(world.take_by_tcp(name).await.body(), body);
        world.tcp.queue(name).unwrap().send(body).await.unwrap();
        assert_eq!(world.take(name).await.body(), body);
    }
    // The largest that it was made for, over both.
    let large = "x".repeat(2049);
    let error = world.http.queue(name).unwrap().send(large.as_str()).await;
    assert_eq!(
        error.unwrap_err().error.code(),
        Some(&ErrorCode::BODY_TOO_LARGE)
    );
    let held = world.tcp.queue(name).unwrap().send(&large[1..]).await;
    held.unwrap();
    let message = world.http.queue(name).unwrap().receive(NOW).await.unwrap();
    assert_eq!(message.unwrap().body().len(), 2048);
    let seen = world.queue_as_both_see_it(name).await.attributes;
    assert_eq!((seen.active, seen.inactive, seen.rewindable), (0, 1, 6));
    // As long invisible as it was made for.
    world.clock().advance(Duration::from_secs(39));
    world.nothing(name).await;
    world.clock().advance(Duration::from_secs(1));
    world.take(name).await;
}

async fn sent_by_theirs(world: &mut World, name: &str) {
    for (at, delay) in [0_u64, 7].into_iter().enumerate() {
        let body = format!("{at} 中文 a&b=c");
        let given = json!({"QueueName": name, "MsgContent": body, "DelaySeconds": delay});
        let sent = world.they("SendCmqMsg", given).await;
        assert_eq!(sent["Result"], true);
        if delay > 0 {
            let seen = world.queue_as_both_see_it(name).await.attributes;
            assert_eq!((seen.delayed, seen.active), (1, 0));
            world.clock().advance(Duration::from_secs(delay - 1));
            world.nothing(name).await;
            world.clock().advance(Duration::from_secs(1));
        }
        let message = world.take_by_tcp(name).await;
        assert_eq!(message.body(), body);
        assert_eq!(message.message_id(), text(&sent, "MsgId"));
    }
}

/// What was deleted and sent at a time or later comes again; the time may be in milliseconds or seconds.
async fn rewound(world: &mut World, name: &str) {
    world.clock().advance(Duration::from_secs(120));
    let now = world.clock().now().duration_since(UNIX_EPOCH).unwrap();
    let middle = now + Duration::from_secs(30);
    world.http.queue(name).unwrap().send("early").await.unwrap();
    world.take(name).await;
    world.clock().advance(Duration::from_secs(60));
    world.tcp.queue(name).unwrap().send("late").await.unwrap();
    world.take_by_tcp(name).await;
    world.nothing(name).await;
    for time in [
        u64::try_from(middle.as_millis()).unwrap(),
        middle.as_secs() + 1,
    ] {
        let given = json!({"QueueName": name, "StartConsumeTime": time});
        world.they("RewindCmqQueue", given).await;
        assert_eq!(world.take_by_tcp(name).await.body(), "late");
        world.nothing(name).await;
    }
    let given = json!({"QueueName": name, "StartConsumeTime": now.as_millis()});
    world.they("RewindCmqQueue", given).await;
    for body in ["early", "late"] {
        assert_eq!(world.take(name).await.body(), body);
    }
}

/// By theirs and by ours; what is not given stays.
async fn changed(world: &mut World, name: &str) {
    world.clock().advance(Duration::from_secs(1));
    let given = json!({"QueueName": name, "VisibilityTimeout": 50, "PollingWaitSeconds": 0});
    world.they("ModifyCmqQueueAttribute", given).await;
    let told = world.queue_as_both_see_it(name).await.attributes;
    let seconds = [told.wait, told.visibility, told.retention, told.rewind].map(|it| it.as_secs());
    assert_eq!(seconds, [0, 50, 7200, 600]);
    assert!(told.changed > told.created, "{told:?}");
    let change = world.control.change_queue(name);
    change.retention(Duration::from_secs(1200)).await.unwrap();
    let told = world.queue_as_both_see_it(name).await.attributes;
    let seconds = [told.wait, told.visibility, told.retention, told.rewind].map(|it| it.as_secs());
    assert_eq!((seconds, told.max_body), ([0, 50, 1200, 600], 2048));
}

async fn cleared_and_deleted(world: &mut World, name: &str) {
    world.http.queue(name).unwrap().send("x").await.unwrap();
    let only = json!({"QueueName": name});
    world.they("ClearCmqQueue", only.clone()).await;
    world.nothing(name).await;
    let seen = world.queue_as_both_see_it(name).await.attributes;
    assert_eq!((seen.active, seen.rewindable), (0, 0));

    world.they("DeleteCmqQueue", only.clone()).await;
    let error = world.http.queue(name).unwrap().send("x").await.unwrap_err();
    assert_eq!(error.error.code(), Some(&ErrorCode::QUEUE_NOT_FOUND));
    let error = world.tcp.queue(name).unwrap().send("x").await.unwrap_err();
    assert_eq!(error.error.code(), Some(&ErrorCode::QUEUE_NOT_FOUND));
    let error = world.control.describe_queue(name).await.unwrap_err();
    assert_eq!(error.code(), Some(&ControlCode::RESOURCE_NOT_FOUND));
    let no = world.refused("DescribeCmqQueueDetail", only).await;
    assert_eq!(no.code, "ResourceNotFound");
}

async fn made_by_ours(world: &mut World) {
    let made = world.control.create_queue("ours").wait(NOW);
    let made = made.visibility(Duration::from_secs(40)).max_body(2048);
    let made = made.rewind(Duration::from_secs(600)).await.unwrap();
    assert_eq!(world.queue_as_both_see_it("ours").await.id, made.id);
    used(world, "ours").await;
    sent_by_theirs(world, "ours").await;
    world.control.delete_queue("ours").await.unwrap();
    let no = json!({"QueueName": "ours"});
    let no = world.refused("DeleteCmqQueue", no).await;
    assert_eq!(no.code, "ResourceNotFound");
}
