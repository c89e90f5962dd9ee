//! The heartbeat (34): who the client is, and what its groups subscribe to.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Request, ext_reply, ext_struct, to_json};
use crate::proto::{ExtFields, FieldSink, Fields, Malformed, RequestCode, json};

/// All groups of a client; a group that is left out is forgotten after two minutes.
// apache/rocketmq: HeartbeatData; its names, `clientID` among them
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Heartbeat {
    /// The client's id.
    #[serde(rename = "clientID", deserialize_with = "json::null_as_default")]
    pub client_id: String,
    /// Its consumer groups.
    #[serde(rename = "consumerDataSet", deserialize_with = "json::null_as_default")]
    pub consumers: Vec<ConsumerData>,
    /// A hash of the subscriptions, for the second form of the heartbeat; 0 in the first.
    #[serde(rename = "heartbeatFingerprint")]
    pub fingerprint: i32,
    /// Its producer groups.
    #[serde(rename = "producerDataSet", deserialize_with = "json::null_as_default")]
    pub producers: Vec<ProducerData>,
    /// Whether the subscriptions are left out, since the fingerprint is known.
    pub without_sub: bool,
}

/// A producer group.
// apache/rocketmq: ProducerData
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// Its name.
    #[serde(deserialize_with = "json::null_as_default")]
    pub group_name: String,
}

/// A consumer group.
// apache/rocketmq: ConsumerData
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// `CONSUME_FROM_LAST_OFFSET`, `CONSUME_FROM_FIRST_OFFSET` or `CONSUME_FROM_TIMESTAMP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consume_from_where: Option<String>,
    /// `CONSUME_PASSIVELY` for push, `CONSUME_ACTIVELY` for pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consume_type: Option<String>,
    /// Its name.
    #[serde(deserialize_with = "json::null_as_default")]
    pub group_name: String,
    /// `CLUSTERING` or `BROADCASTING`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_model: Option<String>,
    /// What it subscribes to.
    #[serde(
        rename = "subscriptionDataSet",
        deserialize_with = "json::null_as_default"
    )]
    pub subscriptions: Vec<Subscription>,
    /// Unit mode, Alibaba's own; false elsewhere.
    pub unit_mode: bool,
}

/// A group's subscription to one topic.
// apache/rocketmq: SubscriptionData
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subscription {
    /// Whether the filter is a class.
    pub class_filter_mode: bool,
    /// Java's hash of each tag.
    #[serde(deserialize_with = "json::null_as_default")]
    pub code_set: Vec<i32>,
    /// `TAG` or `SQL92`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression_type: Option<String>,
    /// The filter expression; `*` for everything.
    #[serde(deserialize_with = "json::null_as_default")]
    pub sub_string: String,
    /// When the subscription was made, in ms since 1970; the broker keeps the newest.
    pub sub_version: i64,
    /// The tags.
    #[serde(rename = "tagsSet", deserialize_with = "json::null_as_default")]
    pub tags: Vec<String>,
    /// The topic, with its namespace.
    #[serde(deserialize_with = "json::null_as_default")]
    pub topic: String,
}

impl Fields for Heartbeat {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Request for Heartbeat {
    const CODE: RequestCode = RequestCode::HEART_BEAT;
    type Reply = HeartbeatReply;

    fn body(&self) -> Bytes {
        to_json(self)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        json::read("heartbeat", body)
    }
}

ext_struct! {
    /// What a broker answers to a heartbeat; its version is the header's.
    struct HeartbeatReply {
        /// Whether it understands fingerprints (5.1.1 and later).
        supports_v2: Option<bool> = "IS_SUPPORT_HEART_BEAT_V2",
        /// Whether the subscription changed.
        subscription_changed: Option<bool> = "IS_SUB_CHANGE",
    }
}

ext_reply!(HeartbeatReply);
