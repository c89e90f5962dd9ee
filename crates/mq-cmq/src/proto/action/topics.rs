//! Managing topics: `CreateTopic` and its relatives.
//!
//! Source: Tencent Cloud's documents of the CMQ API (product 406), and `topic.py` of its SDK for Python.

use serde::{Deserialize, Serialize};

use super::{Action, Done};
use crate::proto::Params;
use crate::proto::answer::{number, text};

/// Makes a topic.
#[derive(Debug, Clone, Copy)]
pub struct CreateTopic<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The largest body, in bytes.
    pub max_body: Option<u64>,
    /// 1: subscriptions choose by tags; 2: by routing key.
    pub filter: Option<u32>,
}

impl Action for CreateTopic<'_> {
    const NAME: &'static str = "CreateTopic";
    type Reply = TopicCreated;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.number_if("maxMsgSize", self.max_body);
        to.number_if("filterType", self.filter);
    }
}

/// The answer to [`CreateTopic`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicCreated {
    /// The service's id of the topic, such as `topic-1a2b3c4d`.
    #[serde(default, rename = "topicId", deserialize_with = "text")]
    pub id: String,
}

/// Changes what a topic was told.
#[derive(Debug, Clone, Copy)]
pub struct SetTopicAttributes<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The largest body, in bytes.
    pub max_body: Option<u64>,
}

impl Action for SetTopicAttributes<'_> {
    const NAME: &'static str = "SetTopicAttributes";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.number_if("maxMsgSize", self.max_body);
    }
}

/// Reads what a topic was told, and what it holds.
#[derive(Debug, Clone, Copy)]
pub struct GetTopicAttributes<'a> {
    /// The topic's name.
    pub topic: &'a str,
}

impl Action for GetTopicAttributes<'_> {
    const NAME: &'static str = "GetTopicAttributes";
    type Reply = TopicState;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
    }
}

/// The answer to [`GetTopicAttributes`]. Times are seconds since the Unix epoch; what the service leaves out is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicState {
    /// Messages that are still to be delivered to a subscription, about.
    #[serde(rename = "msgCount", deserialize_with = "number")]
    pub messages: u64,
    /// The largest body, in bytes.
    #[serde(rename = "maxMsgSize", deserialize_with = "number")]
    pub max_body: u64,
    /// How long it tries to deliver.
    #[serde(rename = "msgRetentionSeconds", deserialize_with = "number")]
    pub retention_seconds: u64,
    /// When it was made.
    #[serde(rename = "createTime", deserialize_with = "number")]
    pub created: u64,
    /// When its settings were changed.
    #[serde(rename = "lastModifyTime", deserialize_with = "number")]
    pub changed: u64,
    /// 1: subscriptions choose by tags; 2: by routing key.
    #[serde(rename = "filterType", deserialize_with = "number")]
    pub filter: u64,
}

/// Deletes a topic.
#[derive(Debug, Clone, Copy)]
pub struct DeleteTopic<'a> {
    /// The topic's name.
    pub topic: &'a str,
}

impl Action for DeleteTopic<'_> {
    const NAME: &'static str = "DeleteTopic";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
    }
}

/// Name and id of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicName {
    /// The service's id.
    #[serde(default, rename = "topicId", deserialize_with = "text")]
    pub id: String,
    /// The name.
    #[serde(rename = "topicName", deserialize_with = "text")]
    pub name: String,
}
