//! Management: what is sent, what is refused before, and how answers are read.

use std::time::{Duration, SystemTime};

use mq_cmq::{
    ContentFormat, DeadLetter, ErrorCode, ErrorKind, Filter, Message, Outcome, PushRetry, Target,
};

use crate::server::{Reply, Seen, Server};

fn of(seen: &Seen, keys: &[&str]) -> Vec<Option<String>> {
    let value = |key: &&str| seen.value(key).map(str::to_owned);
    keys.iter().map(value).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|it| Some((*it).to_owned())).collect()
}

#[tokio::test]
async fn a_queue_is_made_as_it_is_wished() {
    let script = [
        Reply::ok(r#""queueId":"queue-1""#),
        Reply::ok(""),
        Reply::ok(""),
    ];
    let server = Server::start(script).await;
    let client = server.builder().build().unwrap();
    let queue = client
        .create_queue("q")
        .visibility(Duration::from_millis(6_500))
        .retention(Duration::from_secs(600))
        .rewind(Duration::from_secs(600))
        .wait(Duration::from_secs(3))
        .max_body(2048)
        .max_messages(1_000_000)
        .dead_letter(DeadLetter::after_receives("dead", 5))
        .await
        .unwrap();
    let rule = DeadLetter::after("dead", Duration::from_secs(300));
    queue.change().dead_letter(rule).await.unwrap();
    client.delete_queue("q").await.unwrap();
    let seen = server.seen();
    let keys = [
        "Action",
        "queueName",
        "visibilityTimeout",
        "msgRetentionSeconds",
        "rewindSeconds",
        "pollingWaitSeconds",
        "maxMsgSize",
        "maxMsgHeapNum",
        "deadLetterPolicy",
    ];
    let values = [
        "CreateQueue",
        "q",
        "7",
        "600",
        "600",
        "3",
        "2048",
        "1000000",
        r#"{"deadLetterQueue":"dead","policy":0,"maxReceiveCount":5}"#,
    ];
    assert_eq!(of(&seen[0], &keys), some(&values));
    let rule = r#"{"deadLetterQueue":"dead","policy":1,"maxTimeToLive":300}"#;
    assert_eq!(
        of(&seen[1], &["Action", "deadLetterPolicy"]),
        some(&["SetQueueAttributes", rule])
    );
    assert_eq!(seen[1].value("visibilityTimeout"), None);
    assert_eq!(
        of(&seen[2], &["Action", "queueName"]),
        some(&["DeleteQueue", "q"])
    );
}

#[tokio::test]
async fn attributes_are_read_and_remembered() {
    let state = r#""maxMsgHeapNum":1000000,"pollingWaitSeconds":0,"visibilityTimeout":40,"maxMsgSize":65536,
        "msgRetentionSeconds":60,"rewindSeconds":0,"createTime":1700000000,"lastModifyTime":1700000001,
        "activeMsgNum":3,"inactiveMsgNum":2,"rewindmsgNum":0,"minMsgTime":0,"delayMsgNum":1,
        "deadLetterPolicy":{"deadLetterQueueName":"dead","policy":0,"maxReceiveCount":5}"#;
    let server = Server::start([Reply::ok(state), Reply::stored("1")]).await;
    let queue = server.queue();
    let attributes = queue.attributes().await.unwrap();
    assert_eq!(attributes.visibility, Duration::from_secs(40));
    assert_eq!(
        (attributes.active, attributes.inactive, attributes.delayed),
        (3, 2, 1)
    );
    let made = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    assert_eq!((attributes.created, attributes.oldest), (Some(made), None));
    assert_eq!(attributes.dead_letter.unwrap().receives(), Some(5));
    // Shorter than the queue keeps messages, and not sent else.
    let after = |seconds| Message::new("x").deliver_after(Duration::from_secs(seconds));
    let error = queue.clone().send(after(60)).await.unwrap_err();
    assert_eq!(error.error.code(), Some(&ErrorCode::DELAY_OUT_OF_RANGE));
    assert_eq!(error.outcome(), Outcome::NotSent);
    let results = queue.send_batch([after(61), after(59)]).await;
    assert!(results[0].is_err() && results[1].is_ok());
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_delay_is_left_to_the_service_unless_the_handle_was_told() {
    let server = Server::start([Reply::stored("7"), Reply::no(4000, 10692)]).await;
    let queue = server.queue();
    let month = Message::new("x").deliver_after(Duration::from_secs(30 * 24 * 3600));
    let receipt = queue.send(month.clone()).await.unwrap();
    let scheduled = receipt.scheduled().unwrap();
    assert_eq!(
        (scheduled.message_id(), Some(scheduled.due())),
        ("7", receipt.due())
    );
    let kept = serde_json::to_string(&scheduled).unwrap();
    assert_eq!(
        serde_json::from_str::<mq_cmq::Scheduled>(&kept).unwrap(),
        scheduled
    );
    let error = queue.send(month.clone()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Rejected);
    let queue = queue.retention(Duration::from_secs(3600));
    let error = queue.send(month).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let page = |range: std::ops::Range<usize>| {
        let entries: Vec<_> = range
            .map(|at| format!(r#"{{"queueId":"queue-{at}","queueName":"q{at}"}}"#))
            .collect();
        Reply::ok(&format!(
            r#""totalCount":70,"queueList":[{}]"#,
            entries.join(",")
        ))
    };
    let script = [page(0..50), page(50..70), Reply::ok(r#""totalCount":0"#)];
    let server = Server::start(script).await;
    let client = server.builder().build().unwrap();
    let queues = client.queues().containing("q").all().await.unwrap();
    assert_eq!(queues.len(), 70);
    assert_eq!(
        (queues[69].name.as_str(), queues[69].id.as_str()),
        ("q69", "queue-69")
    );
    assert!(client.topics().all().await.unwrap().is_empty());
    let seen = server.seen();
    let keys = ["Action", "searchWord", "offset", "limit"];
    assert_eq!(of(&seen[0], &keys), some(&["ListQueue", "q", "0", "50"]));
    assert_eq!(of(&seen[1], &keys), some(&["ListQueue", "q", "50", "50"]));
    assert_eq!(seen[2].value("Action"), Some("ListTopic"));
}

#[tokio::test]
async fn a_topic_is_made_and_subscribed() {
    let script = [
        Reply::ok(r#""topicId":"topic-1""#),
        Reply::ok(r#""subscriptionId":"s-1""#),
        Reply::ok(""),
        Reply::ok(r#""msgCount":3,"filterType":2"#),
    ];
    let server = Server::start(script).await;
    let client = server.builder().build().unwrap();
    let topic = client.create_topic("t").filter(Filter::Routing);
    let topic = topic.await.unwrap();
    let tagged = topic.subscribe("s").queue("q").filter_tags(["a", "b"]);
    tagged.retry(PushRetry::Backoff).await.unwrap();
    let pushed = topic.subscribe("p").http("http://h:1/x");
    pushed.binding_keys(["a.*", "#"]).await.unwrap();
    let attributes = topic.attributes().await.unwrap();
    let read = (attributes.messages, attributes.filter);
    assert_eq!(read, (3, Some(Filter::Routing)));
    let seen = server.seen();
    let keys = ["Action", "filterType"];
    assert_eq!(of(&seen[0], &keys), some(&["CreateTopic", "2"]));
    let keys = [
        "protocol",
        "endpoint",
        "notifyContentFormat",
        "notifyStrategy",
    ];
    let values = ["queue", "q", "SIMPLIFIED", "BACKOFF_RETRY"];
    assert_eq!(of(&seen[1], &keys), some(&values));
    assert_eq!(seen[1].list("filterTag"), ["a", "b"]);
    let keys = ["protocol", "endpoint"];
    assert_eq!(of(&seen[2], &keys), some(&["http", "http://h:1/x"]));
    assert_eq!(seen[2].list("bindingKey"), ["a.*", "#"]);
}

#[tokio::test]
async fn a_subscription_is_read_listed_changed_and_deleted() {
    let state = r#""topicOwner":1,"endpoint":"q","protocal":"queue","notifyStrategy":"BACKOFF_RETRY",
        "notifyContentFormat":"SIMPLIFIED","filterTags":["a"],"bindingKey":null"#;
    let list = r#""totalCount":1,"subscriptionList":[{"subscriptionId":"s-1","subscriptionName":"s",
        "protocol":"http","endpoint":"http://h/"}]"#;
    let script = [state, list, "", "", ""].map(Reply::ok);
    let server = Server::start(script).await;
    let topic = server.builder().build().unwrap().topic("t").unwrap();
    let subscription = topic.subscription("s").unwrap();
    let attributes = subscription.attributes().await.unwrap();
    assert_eq!(attributes.target, Target::Queue("q".into()));
    assert_eq!(attributes.retry, Some(PushRetry::Backoff));
    assert_eq!(attributes.format, Some(ContentFormat::Simplified));
    assert_eq!(attributes.filter_tags, ["a"]);
    assert!(attributes.binding_keys.is_empty());
    let all = topic.subscriptions().all().await.unwrap();
    assert_eq!(all[0].target, Target::Http("http://h/".into()));
    subscription.change().filter_tags(["c"]).await.unwrap();
    subscription.clear_filter_tags().await.unwrap();
    subscription.unsubscribe().await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[2].list("filterTag"), ["c"]);
    let actions: Vec<_> = seen.iter().filter_map(|it| it.value("Action")).collect();
    let expected = [
        "GetSubscriptionAttributes",
        "ListSubscriptionByTopic",
        "SetSubscriptionAttributes",
        "ClearSubscriptionFilterTags",
        "Unsubscribe",
    ];
    assert_eq!(actions, expected);
}

async fn refused<T, F>(call: F, code: ErrorCode)
where
    T: std::fmt::Debug,
    F: IntoFuture<Output = mq_cmq::Result<T>>,
{
    let error = call.await.unwrap_err();
    assert_eq!(error.code(), Some(&code), "{error}");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(error.outcome(), Outcome::NotSent);
}

#[tokio::test]
async fn what_a_queue_cannot_be_told_is_not_sent() {
    let server = Server::start([]).await;
    let client = server.builder().build().unwrap();
    let queue = || client.create_queue("q");
    let (second, range) = (Duration::from_secs(1), ErrorCode::OUT_OF_RANGE);
    refused(client.create_queue("a b"), ErrorCode::QUEUE_NAME_FORMAT).await;
    refused(queue().visibility(second * 43_201), range).await;
    refused(queue().visibility(Duration::ZERO), range).await;
    refused(queue().retention(second * 29), range).await;
    refused(queue().wait(second * 31), range).await;
    refused(queue().max_body(1023), range).await;
    let rewind = queue().retention(second * 60).rewind(second * 61);
    refused(rewind, ErrorCode::REWIND_OVER_RETENTION).await;
    let never = DeadLetter::after_receives("d", 0);
    refused(queue().dead_letter(never), range).await;
    let soon = DeadLetter::after("d", second);
    refused(queue().dead_letter(soon), range).await;
    let late = DeadLetter::after("d", second * 600);
    refused(queue().retention(second * 600).dead_letter(late), range).await;
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn what_a_subscription_cannot_be_told_is_not_sent() {
    let server = Server::start([]).await;
    let topic = server.builder().build().unwrap().topic("t").unwrap();
    let to = |name: &str| topic.subscribe(name).queue("q");
    let push = |url: &str| topic.subscribe("s").http(url);
    refused(to("a b"), ErrorCode::SUBSCRIPTION_NAME_FORMAT).await;
    refused(push("http://a b"), ErrorCode::URL_WITH_BLANKS).await;
    refused(push("ftp://a"), ErrorCode::ENDPOINT_FORMAT).await;
    refused(push("http:///x"), ErrorCode::ENDPOINT_FORMAT).await;
    let json = to("s").format(ContentFormat::Json);
    refused(json, ErrorCode::QUEUE_NEEDS_SIMPLIFIED).await;
    let six = || vec!["a"; 6];
    refused(to("s").filter_tags(six()), ErrorCode::TOO_MANY_FILTER_TAGS).await;
    refused(
        to("s").binding_keys(six()),
        ErrorCode::TOO_MANY_BINDING_KEYS,
    )
    .await;
    let nowhere = topic.subscribe("s").await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::Invalid);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn an_endpoint_without_management_says_so() {
    let server = Server::start([Reply::no(4000, 10430)]).await;
    let client = server.builder().build().unwrap();
    let error = client.create_queue("q").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
