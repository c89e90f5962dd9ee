//! The topic model: what one publishes, by tag and by route, the other finds in the subscribed queues.

use integration_tests::foreign::cmq::Sdk;
use mq_cmq::{Filter, TopicMessage};
use serde_json::json;

use super::world::{DEFAULT, NOW, Promise, World, take, text};

const TOPIC: &str = "events_1";

const TAGS: &str =
    "published by one with tags, received by the other where one of the tags is asked for";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_topic_tags_python() {
    tags("real_cmq_interop_topic_tags_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_topic_tags_java() {
    tags("real_cmq_interop_topic_tags_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_topic_tags_node() {
    tags("real_cmq_interop_topic_tags_node", Sdk::Node).await;
}

async fn tags(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: TAGS,
    };
    promise.kept(sdk, DEFAULT, by_tag).await;
}

/// The topic and one subscription are made by theirs, the other one by ours.
async fn by_tag(world: &mut World) {
    let (red, all) = (world.queue("red"), world.queue("all"));
    let given = json!({"topicName": TOPIC, "filterType": 1});
    world.they("CreateTopic", given).await;
    let given = json!({
        "topicName": TOPIC, "subscriptionName": "to-red", "protocol": "queue", "endpoint": "red",
        "notifyContentFormat": "SIMPLIFIED", "filterTag": ["red", "红"],
    });
    world.they("Subscribe", given).await;
    let topic = world.ours.topic(TOPIC).unwrap();
    topic.subscribe("to-all").queue("all").await.unwrap();

    // Theirs to ours.
    let given = json!({"topicName": TOPIC, "msgBody": "is red", "msgTag": ["big", "red"]});
    let sent = world.they("PublishMessage", given).await;
    assert!(!text(&sent, "msgId").is_empty());
    let given = json!({"topicName": TOPIC, "msgBody": ["blue 0", "blue 1"], "msgTag": ["blue"]});
    let sent = world.they("BatchPublishMessage", given).await;
    assert_eq!(sent["msgList"].as_array().unwrap().len(), 2);
    let given = json!({"topicName": TOPIC, "msgBody": "has none"});
    world.they("PublishMessage", given).await;
    assert_eq!(take(&red).await, "is red");
    assert_eq!(red.receive(NOW).await.unwrap(), None);
    for body in ["is red", "blue 0", "blue 1", "has none"] {
        assert_eq!(take(&all).await, body);
    }

    // Ours to theirs.
    let message = TopicMessage::new("ours is red").tag("红");
    topic.publish(message).await.unwrap();
    let others = ["x", "y"].map(|body| TopicMessage::new(body).tag("blue"));
    for result in topic.publish_batch(others).await {
        result.unwrap();
    }
    assert_eq!(world.they_take("red").await, "ours is red");
    world.they_find_nothing("red").await;
    for body in ["ours is red", "x", "y"] {
        assert_eq!(world.they_take("all").await, body);
    }

    // Where nobody asks for it, both are told.
    topic
        .subscription("to-all")
        .unwrap()
        .unsubscribe()
        .await
        .unwrap();
    let given = json!({"topicName": TOPIC, "msgBody": "lost", "msgTag": ["blue"]});
    assert_eq!(world.refused("PublishMessage", given).await, 6030);
    let lost = topic.publish(TopicMessage::new("lost").tag("blue")).await;
    let error = lost.unwrap_err().error;
    assert_eq!(error.code().map(|code| code.number()), Some(6030));
}

const ROUTES: &str =
    "published by one with a routing key, received by the other where a binding key fits";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_topic_routes_python() {
    routes("real_cmq_interop_topic_routes_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs JDK 17 and Maven"]
async fn real_cmq_interop_topic_routes_java() {
    routes("real_cmq_interop_topic_routes_java", Sdk::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_topic_routes_node() {
    routes("real_cmq_interop_topic_routes_node", Sdk::Node).await;
}

async fn routes(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "send, receive",
        text: ROUTES,
    };
    promise.kept(sdk, DEFAULT, by_route).await;
}

/// The topic and one subscription are made by ours, the other one by theirs.
async fn by_route(world: &mut World) {
    let (star, hash) = (world.queue("star"), world.queue("hash"));
    let topic = world.ours.create_topic(TOPIC).filter(Filter::Routing);
    let topic = topic.await.unwrap();
    let to_star = topic.subscribe("to-star").queue("star");
    to_star.binding_keys(["order.*.paid"]).await.unwrap();
    let given = json!({
        "topicName": TOPIC, "subscriptionName": "to-hash", "protocol": "queue", "endpoint": "hash",
        "notifyContentFormat": "SIMPLIFIED", "bindingKey": ["order.#", "ad.hoc"],
    });
    world.they("Subscribe", given).await;

    for (body, key) in [
        ("1", "order.7.paid"),
        ("2", "order.7.8.paid"),
        ("3", "ad.hoc"),
        ("4", "order"),
    ] {
        let given = json!({"topicName": TOPIC, "msgBody": body, "routingKey": key});
        world.they("PublishMessage", given).await;
    }
    let given = json!({"topicName": TOPIC, "msgBody": ["5", "6"], "routingKey": "order.9.paid"});
    world.they("BatchPublishMessage", given).await;
    for body in ["1", "5", "6"] {
        assert_eq!(take(&star).await, body);
    }
    assert_eq!(star.receive(NOW).await.unwrap(), None);
    for body in ["1", "2", "3", "4", "5", "6"] {
        assert_eq!(take(&hash).await, body);
    }

    for (body, key) in [
        ("a", "order.7.paid"),
        ("b", "order.7.8.paid"),
        ("c", "ad.hoc"),
    ] {
        let message = TopicMessage::new(body).routing_key(key);
        topic.publish(message).await.unwrap();
    }
    assert_eq!(world.they_take("star").await, "a");
    world.they_find_nothing("star").await;
    for body in ["a", "b", "c"] {
        assert_eq!(world.they_take("hash").await, body);
    }

    let given = json!({"topicName": TOPIC, "msgBody": "lost", "routingKey": "nobody"});
    assert_eq!(world.refused("PublishMessage", given).await, 6030);
    let lost = topic
        .publish(TopicMessage::new("lost").routing_key("nobody"))
        .await;
    let error = lost.unwrap_err().error;
    assert_eq!(error.code().map(|code| code.number()), Some(6030));
}
