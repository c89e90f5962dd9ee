//! That theirs and ours read the same in a description.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mq_cmq::control::{QueueDetail, SubscriptionDetail, TopicDetail};
use mq_cmq::{ContentFormat, Filter, Named, PushRetry, Target};
use serde_json::{Map, Value, json};

use super::world::World;

impl World {
    /// What both describe a queue as.
    pub(crate) async fn queue_as_both_see_it(&mut self, name: &str) -> QueueDetail {
        let given = json!({"QueueName": name});
        let theirs = self.they("DescribeCmqQueueDetail", given).await;
        let ours = self.control.describe_queue(name).await.unwrap();
        same(&theirs["QueueDescribe"], &queue(&ours));
        ours
    }

    /// What both describe a topic as.
    pub(crate) async fn topic_as_both_see_it(&mut self, name: &str) -> TopicDetail {
        let given = json!({"TopicName": name});
        let theirs = self.they("DescribeCmqTopicDetail", given).await;
        let ours = self.control.describe_topic(name).await.unwrap();
        same(&theirs["TopicDescribe"], &topic(&ours));
        ours
    }

    /// What both list as the subscriptions of a topic.
    pub(crate) async fn subscriptions_as_both_see_them(
        &mut self,
        topic: &str,
    ) -> Vec<SubscriptionDetail> {
        let given = json!({"TopicName": topic, "Limit": 50});
        let theirs = self.they("DescribeCmqSubscriptionDetail", given).await;
        let ours = self.control.subscriptions(topic).all().await.unwrap();
        assert_eq!(theirs["TotalCount"], ours.len());
        for (theirs, ours) in list(&theirs, "SubscriptionSet").iter().zip(&ours) {
            same(theirs, &subscription(ours));
        }
        ours
    }
}

/// A list in an answer; the SDK for Go leaves an empty one out.
pub(crate) fn list(answer: &Value, name: &str) -> Vec<Value> {
    answer[name].as_array().cloned().unwrap_or_default()
}

/// What theirs has of a thing, by the fields that ours has; nothing is as good as empty.
pub(crate) fn same(theirs: &Value, ours: &Value) {
    let said = ours.as_object().unwrap();
    let of_theirs = said.keys().map(|name| (name.clone(), theirs[name].clone()));
    let of_theirs: Map<String, Value> = of_theirs.collect();
    assert_eq!(filled(&of_theirs), filled(said));
}

fn filled(fields: &Map<String, Value>) -> Map<String, Value> {
    let empty = |value: &Value| value.is_null() || *value == json!([]);
    let some = fields.iter().filter(|(_, value)| !empty(value));
    some.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

pub(crate) fn queue(it: &QueueDetail) -> Value {
    let told = &it.attributes;
    let seconds = |time: Duration| time.as_secs();
    let sources: Vec<Value> = it.dead_letter_sources.iter().map(source).collect();
    let asks = it.transactions.map(|asks| {
        json!({"FirstQueryInterval": seconds(asks.first_query), "MaxQueryCount": asks.max_queries})
    });
    let oldest = told.oldest.map_or(0, |at| since_1970(at).as_secs());
    let mut all = json!({
        "QueueName": it.name, "QueueId": it.id, "MaxMsgHeapNum": told.max_messages, "MaxMsgSize": told.max_body,
        "PollingWaitSeconds": seconds(told.wait), "VisibilityTimeout": seconds(told.visibility),
        "MsgRetentionSeconds": seconds(told.retention), "RewindSeconds": seconds(told.rewind),
        "CreateTime": ms(told.created), "LastModifyTime": ms(told.changed),
        "ActiveMsgNum": told.active, "InactiveMsgNum": told.inactive, "DelayMsgNum": told.delayed, "RewindMsgNum": told.rewindable,
        "MinMsgTime": oldest, "DeadLetterSource": sources,
        "Transaction": it.transactions.is_some(), "TransactionPolicy": asks,
        "MaxDelaySeconds": seconds(it.max_delay), "Qps": it.messages_per_second, "Bps": it.bytes_per_second, "Trace": it.trace,
        "MaxUnackedMsgNum": it.max_unacked, "MaxMsgBacklogSize": it.max_bytes, "RetentionSizeInMB": it.rewind_room,
    });
    all["Tags"] = tags(&it.tags);
    all
}

pub(crate) fn source(it: &Named) -> Value {
    json!({"QueueName": it.name, "QueueId": it.id})
}

pub(crate) fn topic(it: &TopicDetail) -> Value {
    let told = &it.attributes;
    let filter = told.filter.map(|filter| match filter {
        Filter::Routing => 2,
        _ => 1,
    });
    json!({
        "TopicName": it.name, "TopicId": it.id, "MaxMsgSize": told.max_body, "MsgCount": told.messages, "FilterType": filter,
        "MsgRetentionSeconds": told.retention.as_secs(), "CreateTime": ms(told.created), "LastModifyTime": ms(told.changed),
        "SubscriptionCount": it.subscriptions, "Qps": it.messages_per_second, "Trace": it.trace, "Tags": tags(&it.tags),
    })
}

pub(crate) fn subscription(it: &SubscriptionDetail) -> Value {
    let told = &it.attributes;
    let (protocol, endpoint) = match &told.target {
        Target::Queue(name) => ("queue", name),
        Target::Http(url) => ("http", url),
        other => panic!("{other:?}"),
    };
    let retry = told.retry.map(|retry| match retry {
        PushRetry::Backoff => "BACKOFF_RETRY",
        _ => "EXPONENTIAL_DECAY_RETRY",
    });
    let format = told.format.map(|format| match format {
        ContentFormat::Simplified => "SIMPLIFIED",
        _ => "JSON",
    });
    json!({
        "SubscriptionName": it.name, "SubscriptionId": it.id, "TopicName": it.topic, "Protocol": protocol, "Endpoint": endpoint,
        "NotifyStrategy": retry, "NotifyContentFormat": format, "FilterTags": told.filter_tags, "BindingKey": told.binding_keys,
        "MsgCount": told.messages, "TopicOwner": told.owner, "CreateTime": ms(told.created), "LastModifyTime": ms(told.changed),
    })
}

fn tags(of: &[(String, String)]) -> Value {
    let tag = |(key, value): &(String, String)| json!({"TagKey": key, "TagValue": value});
    of.iter().map(tag).collect()
}

fn ms(at: Option<SystemTime>) -> u128 {
    at.map_or(0, |at| since_1970(at).as_millis())
}

fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap()
}
