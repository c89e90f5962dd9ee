//! Every action that the SDKs can send, once at least: what is recorded as fixtures.

use serde_json::{Value, json};

use super::{Failure, Session};

/// Bodies of a batch: eleven, so that `msgBody.10` is among them, and what signatures and forms get wrong.
pub fn bodies() -> Vec<String> {
    let odd = ["a b&c=d+e/f%41", "中文 🦀", "@at first", "two\nlines"];
    let plain = (odd.len()..11).map(|number| format!("number {number}"));
    odd.iter().map(ToString::to_string).chain(plain).collect()
}

/// Plays it to a server that holds nothing. Every parameter is given, since the SDKs' defaults differ.
///
/// # Errors
/// As [`Session::call`], for the first call that is refused.
pub async fn play(theirs: &mut Session) -> Result<(), Failure> {
    queue(theirs).await?;
    messages(theirs).await?;
    topic_by_tag(theirs).await?;
    topic_by_route(theirs).await?;
    theirs
        .call("DeleteQueue", json!({"queueName": "q_1"}))
        .await?;
    Ok(())
}

async fn queue(theirs: &mut Session) -> Result<(), Failure> {
    let settings = |visibility: u32| {
        json!({
            "queueName": "q_1", "maxMsgHeapNum": 2_000_000, "pollingWaitSeconds": 3, "visibilityTimeout": visibility,
            "maxMsgSize": 2048, "msgRetentionSeconds": 86_400, "rewindSeconds": 60,
        })
    };
    theirs.call("CreateQueue", settings(40)).await?;
    theirs.call("SetQueueAttributes", settings(50)).await?;
    let of = json!({"queueName": "q_1"});
    theirs.call("GetQueueAttributes", of).await?;
    let page = json!({"searchWord": "q", "offset": 0, "limit": 50});
    theirs.call("ListQueue", page).await?;
    Ok(())
}

async fn messages(theirs: &mut Session) -> Result<(), Failure> {
    let given = json!({"queueName": "q_1", "msgBody": "hello & 中=文", "delaySeconds": 0});
    theirs.call("SendMessage", given).await?;
    let given = json!({"queueName": "q_1", "pollingWaitSeconds": 0});
    let got = theirs.call("ReceiveMessage", given).await?;
    let given = json!({"queueName": "q_1", "receiptHandle": got.get("receiptHandle")});
    theirs.call("DeleteMessage", given).await?;

    let given = json!({"queueName": "q_1", "msgBody": bodies(), "delaySeconds": 0});
    theirs.call("BatchSendMessage", given).await?;
    let given = json!({"queueName": "q_1", "numOfMsg": 11, "pollingWaitSeconds": 0});
    let got = theirs.call("BatchReceiveMessage", given).await?;
    let messages = got.get("msgInfoList").and_then(Value::as_array);
    let handles = messages.into_iter().flatten();
    let handles: Vec<_> = handles.map(|it| it.get("receiptHandle")).collect();
    let given = json!({"queueName": "q_1", "receiptHandle": handles});
    theirs.call("BatchDeleteMessage", given).await?;

    let given = json!({"queueName": "q_1", "startConsumeTime": 2_000_000_000});
    // Nothing was sent that late.
    theirs.ask("RewindQueue", given).await?;
    Ok(())
}

async fn topic_by_tag(theirs: &mut Session) -> Result<(), Failure> {
    let given = json!({"topicName": "t_1", "maxMsgSize": 2048, "filterType": 1});
    theirs.call("CreateTopic", given).await?;
    theirs
        .call(
            "SetTopicAttributes",
            json!({"topicName": "t_1", "maxMsgSize": 4096}),
        )
        .await?;
    theirs
        .call("GetTopicAttributes", json!({"topicName": "t_1"}))
        .await?;
    let page = json!({"searchWord": "t", "offset": 0, "limit": 50});
    theirs.call("ListTopic", page).await?;

    let of = json!({"topicName": "t_1", "subscriptionName": "s-1"});
    let given = json!({
        "topicName": "t_1", "subscriptionName": "s-1", "protocol": "queue", "endpoint": "q_1", "notifyStrategy": "BACKOFF_RETRY",
        "notifyContentFormat": "SIMPLIFIED", "filterTag": ["red", "红"],
    });
    theirs.call("Subscribe", given).await?;
    let given = json!({
        "topicName": "t_1", "subscriptionName": "s-1", "notifyStrategy": "BACKOFF_RETRY", "notifyContentFormat": "SIMPLIFIED",
        "filterTag": ["red", "红"],
    });
    theirs.call("SetSubscriptionAttributes", given).await?;
    theirs.call("GetSubscriptionAttributes", of.clone()).await?;
    let page = json!({"topicName": "t_1", "searchWord": "s", "offset": 0, "limit": 50});
    theirs.call("ListSubscriptionByTopic", page).await?;

    let given = json!({"topicName": "t_1", "msgBody": "tagged", "msgTag": ["big", "红"]});
    theirs.call("PublishMessage", given).await?;
    let given = json!({"topicName": "t_1", "msgBody": bodies(), "msgTag": ["red"]});
    theirs.call("BatchPublishMessage", given).await?;
    theirs
        .call("ClearSubscriptionFilterTags", of.clone())
        .await?;
    theirs.call("Unsubscribe", of).await?;
    theirs
        .call("DeleteTopic", json!({"topicName": "t_1"}))
        .await?;
    Ok(())
}

async fn topic_by_route(theirs: &mut Session) -> Result<(), Failure> {
    let given = json!({"topicName": "t_2", "maxMsgSize": 2048, "filterType": 2});
    theirs.call("CreateTopic", given).await?;
    let given = json!({
        "topicName": "t_2", "subscriptionName": "s-2", "protocol": "queue", "endpoint": "q_1", "notifyStrategy": "EXPONENTIAL_DECAY_RETRY",
        "notifyContentFormat": "SIMPLIFIED", "bindingKey": ["order.*.paid", "ad.#"],
    });
    theirs.call("Subscribe", given).await?;
    let given = json!({"topicName": "t_2", "msgBody": "routed", "routingKey": "order.7.paid"});
    theirs.call("PublishMessage", given).await?;
    let given = json!({"topicName": "t_2", "msgBody": ["x", "y"], "routingKey": "ad.hoc"});
    theirs.call("BatchPublishMessage", given).await?;
    Ok(())
}
