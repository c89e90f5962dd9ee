//! The control plane: what is sent, against what Tencent Cloud's SDK for Python sends for the same calls, and how answers are read.

use std::time::{Duration, SystemTime};

use mq_cmq::control::Only;
use mq_cmq::{
    ContentFormat, ControlClient, DeadLetter, Filter, Message, PushRetry, Target, TopicMessage,
};
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const PYTHON: &str = include_str!("../fixtures/control/python.http");

/// Actions and bodies, as they were recorded; the last one is a repetition with a token.
fn recorded() -> Vec<(String, Value)> {
    let parts = PYTHON.split("=== ").skip(1);
    let read = |part: &str| {
        let (head, body) = part.split_once("\n\n").unwrap();
        let action = head.lines().next().unwrap();
        (action.to_owned(), serde_json::from_str(body).unwrap())
    };
    let mut all: Vec<_> = parts.map(read).collect();
    all.pop();
    all
}

fn sent(server: &Server) -> Vec<(String, Value)> {
    let seen = server.seen().into_iter();
    seen.map(|seen| (seen.value("x-tc-action").unwrap().to_owned(), seen.json))
        .collect()
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

async fn queues(client: &ControlClient) {
    let rule = DeadLetter::after_receives("dead_queue_api", 3);
    let made = client.create_queue("queue_api").dead_letter(rule).await;
    let made = made.unwrap();
    assert_eq!(
        (made.name.as_str(), made.id.as_str()),
        ("queue_api", "cmqq-1")
    );
    client
        .create_queue("q_2")
        .max_messages(1_000_000)
        .wait(seconds(3))
        .visibility(Duration::from_millis(59_001))
        .max_body(65_536)
        .retention(seconds(43_200))
        .rewind(seconds(1_296_000))
        .transactional(true)
        .first_query(seconds(30))
        .max_queries(5)
        .dead_letter(DeadLetter::after("dead_queue_api", seconds(300)))
        .trace(true)
        .tag("团队", "订单")
        .rewind_room(10_240)
        .await
        .unwrap();
    client
        .change_queue("q_2")
        .visibility(seconds(30))
        .retention(seconds(3_600))
        .transactional(false)
        .trace(false)
        .await
        .unwrap();
    client.describe_queue("q_2").await.unwrap();
    let only = Only::new().named(["q_2"]).tagged("团队", ["订单"]);
    let list = client.queues_only(only).containing("q").all().await;
    assert!(list.unwrap().is_empty());
    client.clear_queue("q_2").await.unwrap();
    let from = SystemTime::UNIX_EPOCH + seconds(1_582_108_595);
    client.rewind_queue("q_2", from).await.unwrap();
    client.unbind_dead_letter("q_2").await.unwrap();
    let message = Message::new("a \"b\" 中文 🦀\nline").deliver_after(Duration::from_millis(6_500));
    let receipt = client.send("q_2", message).await.unwrap();
    assert_eq!(receipt.message_id(), "7");
    assert!(receipt.due().is_some());
}

async fn topics(client: &ControlClient) {
    let topic = client.create_topic("topic_api").filter(Filter::Tags);
    let made = topic.retention(seconds(86_400)).await.unwrap();
    assert_eq!(
        (made.name.as_str(), made.id.as_str()),
        ("topic_api", "cmqt-1")
    );
    client
        .create_topic("t_2")
        .max_body(65_536)
        .filter(Filter::Routing)
        .trace(true)
        .tag("k", "v")
        .await
        .unwrap();
    client
        .change_topic("topic_api")
        .max_body(2_048)
        .retention(seconds(60))
        .trace(false)
        .await
        .unwrap();
    client.describe_topic("topic_api").await.unwrap();
    let only = Only::new().named(["topic_api"]).tagged("k", ["v", "w"]);
    let list = client.topics_only(only).containing("t").all().await;
    assert!(list.unwrap().is_empty());
}

async fn subscriptions(client: &ControlClient) {
    let made = client
        .subscribe("topic_api", "sub")
        .queue("topic_queue_api")
        .retry(PushRetry::Backoff)
        .filter_tags(["TAG"])
        .await
        .unwrap();
    assert_eq!((made.name.as_str(), made.id.as_str()), ("sub", "subsc-1"));
    assert_eq!(made.target, Target::Queue("topic_queue_api".into()));
    client
        .subscribe("t_2", "sub_2")
        .http("http://example.com/push")
        .retry(PushRetry::ExponentialDecay)
        .format(ContentFormat::Json)
        .binding_keys(["a.b.c", "x.#"])
        .await
        .unwrap();
    client
        .change_subscription("topic_api", "sub")
        .retry(PushRetry::ExponentialDecay)
        .format(ContentFormat::Simplified)
        .filter_tags(["TAG", "红"])
        .binding_keys(["a.*"])
        .await
        .unwrap();
    let of_topic = client.subscriptions("topic_api").containing("s");
    assert!(of_topic.all().await.unwrap().is_empty());
    let of_queue = client.subscriptions_to("topic_queue_api");
    assert!(of_queue.all().await.unwrap().is_empty());
    let message = TopicMessage::new("tagged").tag("TAG").tag("TAG1");
    let receipt = client.publish("topic_api", message).await.unwrap();
    assert_eq!(receipt.message_id(), "8");
    client.clear_filter_tags("topic_api", "sub").await.unwrap();
    client.unsubscribe("topic_api", "sub").await.unwrap();
    client.delete_topic("topic_api").await.unwrap();
    client.delete_queue("q_2").await.unwrap();
}

#[tokio::test]
async fn every_action_is_sent_as_the_python_sdk_sends_it() {
    let script = [
        r#""QueueId":"cmqq-1""#,
        r#""QueueId":"cmqq-2""#,
        "",
        r#""QueueDescribe":{"QueueName":"q_2"}"#,
        r#""TotalCount":0,"QueueList":[]"#,
        "",
        "",
        "",
        r#""Result":true,"MsgId":"7""#,
        r#""TopicId":"cmqt-1""#,
        r#""TopicId":"cmqt-2""#,
        "",
        r#""TopicDescribe":{"TopicName":"topic_api"}"#,
        r#""TotalCount":0,"TopicList":null"#,
        r#""SubscriptionId":"subsc-1""#,
        r#""SubscriptionId":"subsc-2""#,
        "",
        r#""TotalCount":0,"SubscriptionSet":null"#,
        r#""TotalCount":0,"SubscriptionSet":[]"#,
        r#""Result":true,"MsgId":"8""#,
        "",
        "",
        "",
        "",
    ];
    let server = Server::start(script.map(Reply::did)).await;
    let client = server.control();
    queues(&client).await;
    topics(&client).await;
    subscriptions(&client).await;
    let (sent, recorded) = (sent(&server), recorded());
    assert_eq!(recorded.len(), script.len());
    for (ours, theirs) in sent.iter().zip(&recorded) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(sent.len(), recorded.len());
}

/// It is in the SDK for Go v1.0.900 and not in that for Python.
#[tokio::test]
async fn sources_of_dead_letters_are_listed() {
    let page = r#""TotalCount":1,"QueueSet":[{"QueueId":"cmqq-1","QueueName":"orders"}]"#;
    let server = Server::start([Reply::did(page)]).await;
    let sources = server.control().dead_letter_sources("dead");
    let sources = sources.containing("o").all().await.unwrap();
    assert_eq!(sources[0].name, "orders");
    let expected =
        json!({"DeadLetterQueueName": "dead", "Offset": 0, "Limit": 50, "SourceQueueName": "o"});
    let action = "DescribeCmqDeadLetterSourceQueues".to_owned();
    assert_eq!(sent(&server), [(action, expected)]);
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let page = |total: usize, range: std::ops::Range<usize>| {
        let names: Vec<String> = range
            .map(|at| format!(r#"{{"QueueName":"q{at}"}}"#))
            .collect();
        Reply::did(&format!(
            r#""TotalCount":{total},"QueueList":[{}]"#,
            names.join(",")
        ))
    };
    let script = [page(120, 0..50), page(120, 50..100), page(120, 100..120)];
    let server = Server::start(script).await;
    let all = server.control().queues().all().await.unwrap();
    let names: Vec<&str> = all.iter().map(|queue| queue.name.as_str()).collect();
    let expected: Vec<String> = (0..120).map(|at| format!("q{at}")).collect();
    assert_eq!(names, expected);
    let asked: Vec<Value> = sent(&server).into_iter().map(|it| it.1).collect();
    let expected = [0, 50, 100].map(|offset| json!({"Offset": offset, "Limit": 50}));
    assert_eq!(asked, expected);
}

/// The service gives a total that it does not reach.
#[tokio::test]
async fn a_list_ends_with_an_empty_page() {
    let script = [
        Reply::did(r#""TotalCount":9,"TopicList":[{"TopicName":"t"}]"#),
        Reply::did(r#""TotalCount":9,"TopicList":[]"#),
    ];
    let server = Server::start(script).await;
    assert_eq!(server.control().topics().all().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_queue_is_described() {
    let state = r#""QueueDescribe":{"QueueId":"cmqq-1","QueueName":"q","Qps":5000,"Bps":1048576,"MaxDelaySeconds":3600,
        "MaxMsgHeapNum":100000000,"PollingWaitSeconds":3,"MsgRetentionSeconds":600,"VisibilityTimeout":40,"MaxMsgSize":65536,
        "RewindSeconds":300,"CreateTime":1700000000123,"LastModifyTime":1700000001000,"ActiveMsgNum":1,"InactiveMsgNum":2,
        "DelayMsgNum":3,"RewindMsgNum":4,"MinMsgTime":1700000002,"Transaction":true,
        "DeadLetterSource":[{"QueueId":"cmqq-3","QueueName":"source"}],
        "DeadLetterPolicy":{"DeadLetterQueue":"dead","Policy":1,"MaxTimeToLive":300,"MaxReceiveCount":null},
        "TransactionPolicy":{"FirstQueryInterval":30,"MaxQueryCount":5},"CreateUin":1,"Tags":[{"TagKey":"k","TagValue":"v"}],
        "Trace":true,"TenantId":"t","NamespaceName":"n","Status":1,"MaxUnackedMsgNum":10000,"MaxMsgBacklogSize":1073741824,
        "RetentionSizeInMB":10240}"#;
    let server = Server::start([Reply::did(state)]).await;
    let queue = server.control().describe_queue("q").await.unwrap();
    let at = |millis| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
    let attributes = &queue.attributes;
    assert_eq!((queue.name.as_str(), queue.id.as_str()), ("q", "cmqq-1"));
    assert_eq!(attributes.created, at(1_700_000_000_123));
    assert_eq!(attributes.changed, at(1_700_000_001_000));
    assert_eq!(attributes.oldest, at(1_700_000_002_000));
    assert_eq!(
        (attributes.visibility, attributes.retention, attributes.wait),
        (seconds(40), seconds(600), seconds(3))
    );
    assert_eq!(
        [
            attributes.active,
            attributes.inactive,
            attributes.delayed,
            attributes.rewindable
        ],
        [1, 2, 3, 4]
    );
    let rule = DeadLetter::after("dead", seconds(300));
    assert_eq!(attributes.dead_letter.as_ref(), Some(&rule));
    let asks = queue.transactions.unwrap();
    assert_eq!((asks.first_query, asks.max_queries), (seconds(30), 5));
    assert_eq!(queue.dead_letter_sources[0].name, "source");
    assert_eq!(queue.max_delay, seconds(3_600));
    assert_eq!(
        [
            queue.max_unacked,
            queue.max_bytes,
            queue.rewind_room,
            queue.messages_per_second,
            queue.bytes_per_second
        ],
        [10_000, 1 << 30, 10_240, 5_000, 1 << 20]
    );
    assert!(queue.trace);
    assert_eq!(queue.tags, [("k".to_owned(), "v".to_owned())]);
}

#[tokio::test]
async fn topics_and_subscriptions_are_described() {
    let script = [
        Reply::did(
            r#""TopicDescribe":{"TopicId":"cmqt-1","TopicName":"t","MsgRetentionSeconds":86400,"MaxMsgSize":65536,"Qps":5000,
            "FilterType":2,"CreateTime":1700000000123,"LastModifyTime":null,"MsgCount":7,"Trace":true,"SubscriptionCount":3}"#,
        ),
        Reply::did(
            r#""TotalCount":1,"SubscriptionSet":[{"SubscriptionName":"s","SubscriptionId":"subsc-1","TopicOwner":1300957330,
            "MsgCount":2,"CreateTime":1700000000123,"BindingKey":["a.#"],"Endpoint":"http://example.com/","FilterTags":null,
            "Protocol":"HTTP","NotifyStrategy":"BACKOFF_RETRY","NotifyContentFormat":"JSON","TopicName":"t"}]"#,
        ),
    ];
    let server = Server::start(script).await;
    let topic = server.control().describe_topic("t").await.unwrap();
    assert_eq!(topic.attributes.filter, Some(Filter::Routing));
    assert_eq!((topic.attributes.messages, topic.subscriptions), (7, 3));
    assert_eq!(topic.attributes.changed, None);
    let list = server.control().subscriptions("t").all().await.unwrap();
    let attributes = &list[0].attributes;
    assert_eq!((list[0].name.as_str(), list[0].topic.as_str()), ("s", "t"));
    assert_eq!(
        attributes.target,
        Target::Http("http://example.com/".into())
    );
    assert_eq!(attributes.retry, Some(PushRetry::Backoff));
    assert_eq!(attributes.format, Some(ContentFormat::Json));
    assert_eq!(attributes.binding_keys, ["a.#"]);
    assert!(attributes.filter_tags.is_empty());
    let made = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    assert_eq!(attributes.created, Some(made));
}
