//! Lists: page by page, by name, by names; the same for both.

use integration_tests::foreign::cmq::control::Sdk;
use serde_json::{Value, json};

use super::same::{list, queue, same, subscription, topic};
use super::world::{Promise, World, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_control_list_python() {
    lists("real_cmq_interop_control_list_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_control_list_node() {
    lists("real_cmq_interop_control_list_node", Sdk::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go 1.24"]
async fn real_cmq_interop_control_list_go() {
    lists("real_cmq_interop_control_list_go", Sdk::Go).await;
}

async fn lists(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "manage",
        text: "lists by the control plane: each page of theirs, and the list of ours, hold what is there, once and in order",
    };
    let scenario = async |world: &mut World| {
        queues(world).await;
        topics(world).await;
        subscriptions(world).await;
    };
    promise.kept(sdk, scenario).await;
}

/// What stands on the pages of such a size, until one is empty.
async fn pages(world: &mut World, of: &Listed, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let mut given = of.given.clone();
        given["Offset"] = all.len().into();
        given["Limit"] = limit.into();
        let answer = world.they(of.action, given).await;
        assert_eq!(answer["TotalCount"], of.count, "{}", of.action);
        let page = list(&answer, of.list);
        let left = of.count - all.len();
        assert_eq!(
            page.len(),
            left.min(limit),
            "{} at {}",
            of.action,
            all.len()
        );
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// An action that lists, with what it needs, where its list is, and how much it has to find.
struct Listed {
    action: &'static str,
    given: Value,
    list: &'static str,
    count: usize,
}

/// That theirs has the same things in the same order, on pages of three sizes, and 20 of them if it does not ask for a size.
async fn all_the_same(world: &mut World, of: &Listed, ours: &[Value]) {
    assert_eq!(ours.len(), of.count);
    for limit in [1, 20, 50] {
        let theirs = pages(world, of, limit).await;
        for (theirs, ours) in theirs.iter().zip(ours) {
            same(theirs, ours);
        }
    }
    let first = world.they(of.action, of.given.clone()).await;
    assert_eq!(list(&first, of.list).len(), 20);
    for (field, value) in [("Limit", 51), ("Limit", 0)] {
        let mut given = of.given.clone();
        given[field] = value.into();
        let no = world.refused(of.action, given).await;
        assert_eq!(no.code, "InvalidParameterValue", "{no:?}");
        assert!(no.message.contains("Limit"), "{no:?}");
    }
}

async fn queues(world: &mut World) {
    // Not in the order of their names.
    for at in (0..53).rev() {
        let given = json!({"QueueName": format!("q-{at:02}")});
        world.they("CreateCmqQueue", given).await;
    }
    let of = Listed {
        action: "DescribeCmqQueues",
        given: json!({}),
        list: "QueueList",
        count: 53,
    };
    let ours = world.control.queues().all().await.unwrap();
    assert_eq!(names(ours.iter().map(|it| &it.name)), numbered("q", 0..53));
    let ours: Vec<Value> = ours.iter().map(queue).collect();
    all_the_same(world, &of, &ours).await;
    for (given, expected) in [
        (json!({"QueueName": "q-1"}), numbered("q", 10..20)),
        (
            json!({"QueueNameList": ["q-07", "q-33", "none"]}),
            vec!["q-07".to_owned(), "q-33".to_owned()],
        ),
        (json!({"QueueName": "none"}), Vec::new()),
    ] {
        let found = world.they(of.action, given).await;
        assert_eq!(found["TotalCount"], expected.len());
        let found = list(&found, of.list);
        assert_eq!(named(&found, "QueueName"), expected);
    }
}

async fn topics(world: &mut World) {
    for at in (0..23).rev() {
        let given = json!({"TopicName": format!("t-{at:02}"), "FilterType": 1 + at % 2});
        world.they("CreateCmqTopic", given).await;
    }
    let of = Listed {
        action: "DescribeCmqTopics",
        given: json!({}),
        list: "TopicList",
        count: 23,
    };
    let ours = world.control.topics().all().await.unwrap();
    assert_eq!(names(ours.iter().map(|it| &it.name)), numbered("t", 0..23));
    let ours: Vec<Value> = ours.iter().map(topic).collect();
    all_the_same(world, &of, &ours).await;
    for (given, expected) in [
        (json!({"TopicName": "t-2"}), numbered("t", 20..23)),
        (json!({"TopicNameList": ["t-07"]}), vec!["t-07".to_owned()]),
    ] {
        let found = list(&world.they(of.action, given).await, of.list);
        assert_eq!(named(&found, "TopicName"), expected);
    }
}

async fn subscriptions(world: &mut World) {
    for at in (0..23).rev() {
        let name = format!("s-{at:02}");
        let given = json!({
            "TopicName": "t-00", "SubscriptionName": name, "Protocol": "queue", "Endpoint": "q-00", "NotifyContentFormat": "SIMPLIFIED",
        });
        world.they("CreateCmqSubscribe", given).await;
    }
    let by_topic = world.control.subscriptions("t-00").all().await.unwrap();
    let found = names(by_topic.iter().map(|it| &it.name));
    assert_eq!(found, numbered("s", 0..23));
    let by_queue = world.control.subscriptions_to("q-00").all().await.unwrap();
    assert_eq!(by_queue, by_topic);
    let ours: Vec<Value> = by_topic.iter().map(subscription).collect();
    for given in [
        json!({"TopicName": "t-00"}),
        json!({"TopicName": "t-00", "QueryType": "topic"}),
        json!({"QueueName": "q-00", "QueryType": "queue"}),
    ] {
        let of = Listed {
            action: "DescribeCmqSubscriptionDetail",
            given,
            list: "SubscriptionSet",
            count: 23,
        };
        all_the_same(world, &of, &ours).await;
    }
    let given = json!({"TopicName": "t-00", "SubscriptionName": "s-1"});
    let found = world.they("DescribeCmqSubscriptionDetail", given).await;
    let found = named(&list(&found, "SubscriptionSet"), "SubscriptionName");
    assert_eq!(found, numbered("s", 10..20));
}

fn names<'a>(of: impl Iterator<Item = &'a String>) -> Vec<String> {
    of.cloned().collect()
}

fn named(list: &[Value], field: &str) -> Vec<String> {
    list.iter().map(|it| text(it, field)).collect()
}

fn numbered(what: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|at| format!("{what}-{at:02}")).collect()
}
