//! The older management actions, and topics, by requests written by hand.

use serde_json::{Value, json};

use crate::raw::{code, said, server};

#[tokio::test]
async fn a_queue_is_made_changed_and_shown() {
    let server = server().await;
    let create = "CreateQueue queueName=Orders_1 visibilityTimeout=7 maxMsgHeapNum=1000000 rewindSeconds=60 \
                  deadLetterQueueName=q policy=0 maxReceiveCount=3";
    let made = said(&server, create).await;
    assert!(
        made["queueId"].as_str().unwrap().starts_with("queue-"),
        "{made}"
    );
    let set = said(
        &server,
        "SetQueueAttributes queueName=orders_1 pollingWaitSeconds=3",
    )
    .await;
    assert_eq!(set["code"], 0);
    let state = said(&server, "GetQueueAttributes queueName=ORDERS_1").await;
    for (name, value) in [
        ("visibilityTimeout", 7),
        ("pollingWaitSeconds", 3),
        ("maxMsgSize", 65_536),
        ("msgRetentionSeconds", 345_600),
        ("activeMsgNum", 0),
        ("rewindmsgNum", 0),
    ] {
        assert_eq!(state[name], value, "{state}");
    }
    assert_eq!(state["deadLetterPolicy"]["deadLetterQueueName"], "q");
    let sources = said(&server, "ListDeadLetterSourceQueues deadLetterQueueName=q").await;
    assert_eq!(sources["queueSet"][0]["queueName"], "Orders_1");
    let list = said(&server, "ListQueue searchWord=order limit=1 offset=0").await;
    assert_eq!(list["totalCount"], 1);
    assert_eq!(list["queueList"][0]["queueName"], "Orders_1");
}

#[tokio::test]
async fn what_is_done_to_queues_has_its_code() {
    let server = server().await;
    for (request, expected) in [
        ("CreateQueue queueName=a", (0, 0)),
        ("CreateQueue queueName=A", (4460, 10210)),
        ("CreateQueue queueName=b visibilityTimeout=0", (4000, 10350)),
        ("CreateQueue queueName=b visibilityTimeout=x", (4000, 10360)),
        (
            "CreateQueue queueName=b deadLetterQueueName=none maxReceiveCount=1",
            (4440, 10100),
        ),
        (
            "CreateQueue queueName=b deadLetterQueueName=a policy=0",
            (4000, 10390),
        ),
        ("RewindQueue queueName=a startConsumeTime=1", (6050, 10670)),
        ("SetQueueAttributes queueName=a rewindSeconds=60", (0, 0)),
        ("RewindQueue queueName=a startConsumeTime=1", (4000, 10680)),
        (
            "SetQueueAttributes queueName=a deadLetterQueueName=q maxReceiveCount=3",
            (0, 0),
        ),
        ("UnbindDeadLetter sourceQueueName=a", (0, 0)),
        ("ClearQueue queueName=a", (0, 0)),
        ("DeleteQueue queueName=a", (0, 0)),
        ("DeleteQueue queueName=a", (4440, 10100)),
        ("CreateQueue queueName=a", (6040, 10660)),
    ] {
        let answer = said(&server, request).await;
        assert_eq!(code(&answer), expected, "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_topic_is_made_subscribed_to_and_shown() {
    let server = server().await;
    let topic = said(&server, "CreateTopic topicName=news filterType=1").await;
    assert!(topic["topicId"].is_string(), "{topic}");
    let subscribe = "Subscribe topicName=news subscriptionName=s protocol=queue endpoint=q \
                     notifyStrategy=BACKOFF_RETRY notifyContentFormat=SIMPLIFIED filterTag.1=a filterTag.2=b";
    let made = said(&server, subscribe).await;
    assert!(made["subscriptionId"].is_string(), "{made}");
    let attributes = "GetSubscriptionAttributes topicName=news subscriptionName=s";
    let state = said(&server, attributes).await;
    // Python's client reads one, Java's the other.
    assert_eq!(state["protocal"], "queue");
    assert_eq!(state["protocol"], "queue");
    assert_eq!(state["filterTags"], json!(["a", "b"]));
    let tagged =
        "BatchPublishMessage topicName=news msgBody.0=x msgBody.1=y msgTag.0=b routingKey=";
    let ids = said(&server, tagged).await;
    let first = said(&server, "ReceiveMessage queueName=q").await;
    assert_eq!(first["msgId"], ids["msgList"][0]["msgId"]);
    let list = said(&server, "ListSubscriptionByTopic topicName=news").await;
    assert_eq!(list["subscriptionList"][0]["endpoint"], "q");
    said(&server, "SetTopicAttributes topicName=news maxMsgSize=2048").await;
    let state: Value = said(&server, "GetTopicAttributes topicName=news").await;
    assert_eq!(state["maxMsgSize"], 2048);
    let list = said(&server, "ListTopic").await;
    assert_eq!(list["topicList"][0]["topicName"], "news");
}

#[tokio::test]
async fn what_is_done_to_topics_has_its_code() {
    let server = server().await;
    for (request, expected) in [
        ("CreateTopic topicName=t", (0, 0)),
        ("CreateTopic topicName=t", (4460, 10210)),
        ("CreateTopic topicName=u filterType=3", (4000, 10350)),
        ("PublishMessage topicName=t msgBody=x", (6030, 10650)),
        (
            "Subscribe topicName=t subscriptionName=s protocol=mail endpoint=q",
            (4000, 10510),
        ),
        (
            "Subscribe topicName=t subscriptionName=s protocol=http endpoint=q",
            (4000, 10630),
        ),
        (
            "Subscribe topicName=t subscriptionName=s protocol=queue endpoint=none",
            (4440, 10100),
        ),
        (
            "Subscribe topicName=t subscriptionName=s protocol=queue endpoint=q filterTag.0=a",
            (0, 0),
        ),
        (
            "Subscribe topicName=t subscriptionName=s protocol=queue endpoint=q",
            (4490, 10470),
        ),
        (
            "PublishMessage topicName=t msgBody=x msgTag.1=c",
            (6030, 10730),
        ),
        // As the SDK for Java writes it.
        (
            "ClearSUbscriptionFIlterTags topicName=t subscriptionName=s",
            (0, 0),
        ),
        ("PublishMessage topicName=t msgBody=x", (0, 0)),
        ("DeleteTopic topicName=t", (4000, 10540)),
        ("Unsubscribe topicName=t subscriptionName=s", (0, 0)),
        ("Unsubscribe topicName=t subscriptionName=s", (4440, 10600)),
        ("DeleteTopic topicName=t", (0, 0)),
        ("GetTopicAttributes topicName=t", (4440, 10600)),
    ] {
        let answer = said(&server, request).await;
        assert_eq!(code(&answer), expected, "{request}: {answer}");
    }
}
