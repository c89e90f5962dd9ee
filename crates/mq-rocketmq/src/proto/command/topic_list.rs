//! Listing every topic a nameserver knows (206).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Reply, Request, to_json};
use crate::proto::{ExtFields, FieldSink, Fields, Malformed, RequestCode, json};

/// Asks for all topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GetTopicList;

impl Fields for GetTopicList {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Request for GetTopicList {
    const CODE: RequestCode = RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER;
    type Reply = TopicList;

    fn parse(_ext: &ExtFields, _body: &Bytes) -> Result<Self, Malformed> {
        Ok(Self)
    }
}

/// All topics, in no order, retry and system topics among them.
// apache/rocketmq: TopicList
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicList {
    /// Topic names, with their namespaces.
    #[serde(
        rename = "topicList",
        default,
        deserialize_with = "json::null_as_default"
    )]
    pub topics: Vec<String>,
    /// A broker's address; a nameserver leaves it out.
    #[serde(
        rename = "brokerAddr",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub broker_addr: Option<String>,
}

impl Fields for TopicList {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Reply for TopicList {
    fn body(&self) -> Bytes {
        to_json(self)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        json::read("topic list", body)
    }
}
