//! Topics and subscriptions: made by one, published to by all, described by both.

use integration_tests::foreign::cmq::control::Sdk;
use mq_cmq::{ContentFormat, ErrorCode, Filter, PushRetry, Target, TopicMessage};
use serde_json::json;

use super::world::{Promise, World, text};

const QUEUE: &str = "target";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_control_topic_python() {
    topic("real_cmq_interop_control_topic_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_control_topic_node() {
    topic("real_cmq_interop_control_topic_node", Sdk::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go 1.24"]
async fn real_cmq_interop_control_topic_go() {
    topic("real_cmq_interop_control_topic_go", Sdk::Go).await;
}

async fn topic(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "manage",
        text: "topics and subscriptions by the control plane: what one makes filters what all publish, and both describe it the same",
    };
    let scenario = async |world: &mut World| {
        let queue = json!({"QueueName": QUEUE});
        world.they("CreateCmqQueue", queue).await;
        tags(world).await;
        routes(world).await;
        made_by_ours(world).await;
    };
    promise.kept(sdk, scenario).await;
}

async fn tags(world: &mut World) {
    let given = json!({
        "TopicName": "tags", "MaxMsgSize": 2048, "FilterType": 1, "MsgRetentionSeconds": 86_400, "Trace": false,
        "Tags": [{"TagKey": "team", "TagValue": "中文"}],
    });
    let made = world.they("CreateCmqTopic", given).await;
    let given = json!({
        "TopicName": "tags", "SubscriptionName": "s", "Protocol": "queue", "Endpoint": QUEUE, "NotifyStrategy": "BACKOFF_RETRY",
        "NotifyContentFormat": "SIMPLIFIED", "FilterTag": ["red", "红"],
    });
    let subscribed = world.they("CreateCmqSubscribe", given).await;
    let seen = world.topic_as_both_see_it("tags").await;
    assert_eq!((seen.id, seen.subscriptions), (text(&made, "TopicId"), 1));
    let told = seen.attributes;
    assert_eq!((told.max_body, told.filter), (2048, Some(Filter::Tags)));
    let seen = world.subscriptions_as_both_see_them("tags").await;
    let [seen] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(seen.id, text(&subscribed, "SubscriptionId"));
    let told = &seen.attributes;
    assert_eq!(told.target, Target::Queue(QUEUE.into()));
    assert_eq!(told.retry, Some(PushRetry::Backoff));
    assert_eq!(told.format, Some(ContentFormat::Simplified));
    assert_eq!(told.filter_tags, ["red", "红"]);

    published(world, "tags", "红", "blue").await;
    let changed = json!({"TopicName": "tags", "SubscriptionName": "s", "FilterTags": ["blue"]});
    world.they("ModifyCmqSubscriptionAttribute", changed).await;
    published(world, "tags", "blue", "red").await;
    let of = json!({"TopicName": "tags", "SubscriptionName": "s"});
    world
        .they("ClearCmqSubscriptionFilterTags", of.clone())
        .await;
    let seen = world.subscriptions_as_both_see_them("tags").await;
    assert_eq!(seen[0].attributes.filter_tags, [""; 0]);
    let given = json!({"TopicName": "tags", "MsgContent": "anything", "MsgTag": ["red"]});
    world.they("PublishCmqMsg", given).await;
    assert_eq!(world.take_by_tcp(QUEUE).await.body(), "anything");

    let given = json!({"TopicName": "tags", "MaxMsgSize": 4096});
    world.they("ModifyCmqTopicAttribute", given).await;
    let told = world.topic_as_both_see_it("tags").await.attributes;
    assert_eq!((told.max_body, told.filter), (4096, Some(Filter::Tags)));
    deleted(world, "tags").await;
}

async fn routes(world: &mut World) {
    let given = json!({"TopicName": "routes", "FilterType": 2});
    world.they("CreateCmqTopic", given).await;
    let given = json!({
        "TopicName": "routes", "SubscriptionName": "s", "Protocol": "queue", "Endpoint": QUEUE, "NotifyContentFormat": "SIMPLIFIED",
        "BindingKey": ["order.*.paid", "ad.#"],
    });
    world.they("CreateCmqSubscribe", given).await;
    let told = world.topic_as_both_see_it("routes").await.attributes;
    assert_eq!(told.filter, Some(Filter::Routing));
    let seen = world.subscriptions_as_both_see_them("routes").await;
    let told = &seen[0].attributes;
    assert_eq!(told.binding_keys, ["order.*.paid", "ad.#"]);
    assert_eq!(told.retry, Some(PushRetry::ExponentialDecay), "by default");

    published(world, "routes", "order.7.paid", "order.paid").await;
    published(world, "routes", "ad.hoc.at.all", "order.7.8.paid").await;
    let given = json!({"TopicName": "routes", "SubscriptionName": "s", "BindingKey": ["#.8.paid"]});
    world.they("ModifyCmqSubscriptionAttribute", given).await;
    published(world, "routes", "order.7.8.paid", "ad.hoc").await;
    deleted(world, "routes").await;
}

/// By ours over HTTP and TCP, and by theirs: what fits arrives, the rest is refused.
async fn published(world: &mut World, topic: &str, fits: &str, other: &str) {
    let message = |word: &str| {
        let message = TopicMessage::new(format!("中文 {word}"));
        if topic == "routes" {
            message.routing_key(word)
        } else {
            message.tag(word)
        }
    };
    let expected = format!("中文 {fits}");
    let http = world.http.topic(topic).unwrap();
    let tcp = world.tcp.topic(topic).unwrap();
    http.publish(message(fits)).await.unwrap();
    assert_eq!(world.take_by_tcp(QUEUE).await.body(), expected);
    tcp.publish(message(fits)).await.unwrap();
    assert_eq!(world.take(QUEUE).await.body(), expected);
    let given = json!({"TopicName": topic, "MsgContent": expected, "MsgTag": [fits]});
    let sent = world.they("PublishCmqMsg", given).await;
    assert_eq!(sent["Result"], true);
    let message_of_theirs = world.take(QUEUE).await;
    assert_eq!(message_of_theirs.body(), expected);
    assert_eq!(message_of_theirs.message_id(), text(&sent, "MsgId"));

    for topic in [&http, &tcp] {
        let error = topic.publish(message(other)).await.unwrap_err().error;
        assert_eq!(error.code(), Some(&ErrorCode::NOTHING_MATCHES), "{other}");
    }
    let given = json!({"TopicName": topic, "MsgContent": "x", "MsgTag": [other]});
    let no = world.refused("PublishCmqMsg", given).await;
    assert_eq!(no.code, "FailedOperation.CmqBackendError");
    assert!(no.message.starts_with("(10730)"), "{no:?}");
    world.nothing(QUEUE).await;
}

async fn deleted(world: &mut World, topic: &str) {
    let given = json!({"TopicName": topic, "SubscriptionName": "s"});
    world.they("DeleteCmqSubscribe", given).await;
    assert_eq!(world.subscriptions_as_both_see_them(topic).await, []);
    let given = json!({"TopicName": topic});
    world.they("DeleteCmqTopic", given).await;
    let gone = world.http.topic(topic).unwrap().publish("x").await;
    let gone = gone.unwrap_err().error;
    assert_eq!(gone.code(), Some(&ErrorCode::TOPIC_NOT_FOUND));
}

async fn made_by_ours(world: &mut World) {
    let made = world.control.create_topic("routes").filter(Filter::Routing);
    made.max_body(2048).await.unwrap();
    let made = world.control.subscribe("routes", "s").queue(QUEUE);
    let made = made
        .binding_keys(["order.*.paid"])
        .retry(PushRetry::Backoff);
    made.await.unwrap();
    published(world, "routes", "order.7.paid", "ad.hoc").await;
    let url = "http://127.0.0.1:1/hook?a=b";
    let made = world.control.subscribe("routes", "url").http(url);
    made.binding_keys(["nobody"])
        .format(ContentFormat::Json)
        .await
        .unwrap();
    let seen = world.topic_as_both_see_it("routes").await;
    assert_eq!((seen.subscriptions, seen.attributes.max_body), (2, 2048));
    let seen = world.subscriptions_as_both_see_them("routes").await;
    let names: Vec<&str> = seen.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["s", "url"]);
    assert_eq!(seen[1].attributes.target, Target::Http(url.into()));

    let given = json!({"TopicName": "routes", "SubscriptionName": "url"});
    world.they("DeleteCmqSubscribe", given).await;
    world.control.unsubscribe("routes", "s").await.unwrap();
    assert_eq!(world.subscriptions_as_both_see_them("routes").await, []);
    world.control.delete_topic("routes").await.unwrap();
    let gone = json!({"TopicName": "routes"});
    let no = world.refused("DescribeCmqTopicDetail", gone).await;
    assert_eq!(no.code, "ResourceNotFound.Topic");
}
