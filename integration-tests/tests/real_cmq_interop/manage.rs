//! Management: what one makes, changes and deletes, the other sees.

use std::time::Duration;

use integration_tests::foreign::cmq::Sdk;
use mq_cmq::{ContentFormat, Filter, PushRetry, Target};
use serde_json::json;

use super::world::{DEFAULT, Promise, World, take};

const MANAGED: &str = "what one makes, changes, lists and deletes, the other sees";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_manage_python() {
    manage("real_cmq_interop_manage_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_manage_java() {
    manage("real_cmq_interop_manage_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_manage_node() {
    manage("real_cmq_interop_manage_node", Sdk::Node).await;
}

async fn manage(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "manage",
        text: MANAGED,
    };
    let scenario = async |world: &mut World| {
        queues_of_theirs(world).await;
        queues_of_ours(world).await;
        topics(world).await;
        subscriptions_of_theirs(world).await;
        subscriptions_of_ours(world).await;
    };
    promise.kept(sdk, DEFAULT, scenario).await;
}

async fn queues_of_theirs(world: &mut World) {
    let settings = json!({
        "queueName": "theirs", "maxMsgHeapNum": 2_000_000, "pollingWaitSeconds": 3, "visibilityTimeout": 40, "maxMsgSize": 2048,
        "msgRetentionSeconds": 86_400, "rewindSeconds": 60,
    });
    world.they("CreateQueue", settings.clone()).await;
    assert_eq!(world.refused("CreateQueue", settings.clone()).await, 4460);
    let queue = world.ours.queue("theirs").unwrap();
    let seen = queue.attributes().await.unwrap();
    assert_eq!((seen.max_messages, seen.max_body), (2_000_000, 2048));
    let seconds = [seen.wait, seen.visibility, seen.retention, seen.rewind].map(|it| it.as_secs());
    assert_eq!(seconds, [3, 40, 86_400, 60]);

    let mut changed = settings;
    changed["visibilityTimeout"] = 50.into();
    world.they("SetQueueAttributes", changed).await;
    let seen = queue.attributes().await.unwrap();
    assert_eq!(
        (seen.visibility, seen.max_body),
        (Duration::from_secs(50), 2048)
    );

    // What is deleted can be had again.
    let given = json!({"queueName": "theirs", "msgBody": "again"});
    world.they("SendMessage", given).await;
    assert_eq!(take(&queue).await, "again");
    let before = world.clock().now() - Duration::from_secs(30);
    let since = before
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let given = json!({"queueName": "theirs", "startConsumeTime": since});
    world.they("RewindQueue", given).await;
    assert_eq!(take(&queue).await, "again");

    world
        .they("DeleteQueue", json!({"queueName": "theirs"}))
        .await;
    let gone = queue.attributes().await.unwrap_err();
    assert_eq!(gone.code(), Some(&mq_cmq::ErrorCode::QUEUE_NOT_FOUND));
}

async fn queues_of_ours(world: &mut World) {
    for name in ["ours-1", "ours-2", "other"] {
        let made = world
            .ours
            .create_queue(name)
            .visibility(Duration::from_secs(70));
        made.max_body(4096).await.unwrap();
    }
    world.ours.queue("ours-1").unwrap().send("x").await.unwrap();
    let seen = world
        .they("GetQueueAttributes", json!({"queueName": "ours-1"}))
        .await;
    let numbers = [
        "visibilityTimeout",
        "maxMsgSize",
        "activeMsgNum",
        "delayMsgNum",
        "inactiveMsgNum",
    ];
    let numbers = numbers.map(|name| seen[name].as_u64().unwrap());
    assert_eq!(numbers, [70, 4096, 1, 0, 0]);

    let given = json!({"searchWord": "ours", "offset": 0, "limit": 1});
    let listed = world.they("ListQueue", given).await;
    assert_eq!(listed["totalCount"], 2);
    assert_eq!(names(&listed["queueList"], "queueName").len(), 1);
    let listed = world.they("ListQueue", json!({})).await;
    assert_eq!(
        names(&listed["queueList"], "queueName"),
        ["other", "ours-1", "ours-2"]
    );

    world.ours.delete_queue("ours-1").await.unwrap();
    let gone = json!({"queueName": "ours-1"});
    assert_eq!(world.refused("GetQueueAttributes", gone).await, 4440);
    world
        .they("DeleteQueue", json!({"queueName": "ours-2"}))
        .await;
    world
        .they("DeleteQueue", json!({"queueName": "other"}))
        .await;
    assert_eq!(world.ours.queues().all().await.unwrap(), []);
}

async fn topics(world: &mut World) {
    let given = json!({"topicName": "theirs", "maxMsgSize": 2048, "filterType": 2});
    world.they("CreateTopic", given).await;
    let topic = world.ours.topic("theirs").unwrap();
    let seen = topic.attributes().await.unwrap();
    assert_eq!((seen.max_body, seen.filter), (2048, Some(Filter::Routing)));
    world
        .they(
            "SetTopicAttributes",
            json!({"topicName": "theirs", "maxMsgSize": 3072}),
        )
        .await;
    assert_eq!(topic.attributes().await.unwrap().max_body, 3072);

    let made = world.ours.create_topic("ours").max_body(4096);
    made.await.unwrap();
    let seen = world
        .they("GetTopicAttributes", json!({"topicName": "ours"}))
        .await;
    assert_eq!(
        (&seen["maxMsgSize"], &seen["filterType"]),
        (&4096.into(), &1.into())
    );
    let listed = world
        .they("ListTopic", json!({"offset": 0, "limit": 10}))
        .await;
    assert_eq!(listed["totalCount"], 2);
    assert_eq!(names(&listed["topicList"], "topicName"), ["ours", "theirs"]);

    world
        .they("DeleteTopic", json!({"topicName": "ours"}))
        .await;
    world.ours.delete_topic("theirs").await.unwrap();
    let gone = json!({"topicName": "theirs"});
    assert_eq!(world.refused("GetTopicAttributes", gone).await, 4440);
    assert_eq!(world.ours.topics().all().await.unwrap(), []);
}

async fn subscriptions_of_theirs(world: &mut World) {
    world.queue("q");
    world
        .they("CreateTopic", json!({"topicName": "t", "filterType": 1}))
        .await;
    let given = json!({
        "topicName": "t", "subscriptionName": "s", "protocol": "queue", "endpoint": "q", "notifyStrategy": "BACKOFF_RETRY",
        "notifyContentFormat": "SIMPLIFIED", "filterTag": ["a", "b"],
    });
    world.they("Subscribe", given.clone()).await;
    assert_eq!(world.refused("Subscribe", given).await, 4490);
    let subscription = world.ours.topic("t").unwrap().subscription("s").unwrap();
    let seen = subscription.attributes().await.unwrap();
    assert_eq!(seen.target, Target::Queue("q".to_owned()));
    assert_eq!(
        (seen.retry, seen.format),
        (Some(PushRetry::Backoff), Some(ContentFormat::Simplified))
    );
    assert_eq!(seen.filter_tags, ["a", "b"]);

    let given = json!({
        "topicName": "t", "subscriptionName": "s", "notifyStrategy": "EXPONENTIAL_DECAY_RETRY", "notifyContentFormat": "SIMPLIFIED",
        "filterTag": ["c"],
    });
    world.they("SetSubscriptionAttributes", given).await;
    let seen = subscription.attributes().await.unwrap();
    assert_eq!(
        (seen.retry, seen.filter_tags),
        (Some(PushRetry::ExponentialDecay), vec!["c".to_owned()])
    );
    world
        .they(
            "ClearSubscriptionFilterTags",
            json!({"topicName": "t", "subscriptionName": "s"}),
        )
        .await;
    assert_eq!(
        subscription.attributes().await.unwrap().filter_tags,
        [""; 0]
    );
    world
        .they(
            "Unsubscribe",
            json!({"topicName": "t", "subscriptionName": "s"}),
        )
        .await;
    let topic = world.ours.topic("t").unwrap();
    assert_eq!(topic.subscriptions().all().await.unwrap(), []);
}

async fn subscriptions_of_ours(world: &mut World) {
    let topic = world.ours.topic("t").unwrap();
    let made = topic.subscribe("s").queue("q").filter_tags(["x", "y"]);
    made.retry(PushRetry::Backoff).await.unwrap();
    topic.subscribe("other").queue("q").await.unwrap();
    let of = json!({"topicName": "t", "subscriptionName": "s"});
    let seen = world.they("GetSubscriptionAttributes", of.clone()).await;
    assert_eq!(
        (&seen["endpoint"], &seen["notifyStrategy"]),
        (&"q".into(), &"BACKOFF_RETRY".into())
    );
    assert_eq!(
        (&seen["notifyContentFormat"], &seen["filterTags"]),
        (&"SIMPLIFIED".into(), &json!(["x", "y"]))
    );
    assert_eq!(seen["protocol"], "queue");

    let given = json!({"topicName": "t", "searchWord": "", "offset": 0, "limit": 10});
    let listed = world.they("ListSubscriptionByTopic", given).await;
    assert_eq!(listed["totalCount"], 2);
    assert_eq!(
        names(&listed["subscriptionList"], "subscriptionName"),
        ["other", "s"]
    );
    topic
        .subscription("s")
        .unwrap()
        .unsubscribe()
        .await
        .unwrap();
    assert_eq!(
        world.refused("GetSubscriptionAttributes", of).await / 10,
        444
    );
}

/// The names in a list, sorted; the SDK for Java gives nothing but them.
fn names(list: &serde_json::Value, name: &str) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    let name = |it: &serde_json::Value| {
        it.as_str()
            .or_else(|| it[name].as_str())
            .unwrap()
            .to_owned()
    };
    let mut names: Vec<String> = list.map(name).collect();
    names.sort();
    names
}
