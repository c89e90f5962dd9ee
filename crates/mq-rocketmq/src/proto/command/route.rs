//! Reading a topic's route from a nameserver (105): its queues, and the addresses of their brokers.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use mq_core::Endpoint;
use serde::{Deserialize, Serialize};

use super::{Reply, ext_request, ext_struct, to_json};
use crate::proto::{ExtFields, FieldSink, Fields, Malformed, json};

ext_struct! {
    /// Asks for a topic's route; an unknown topic is answered by `17 TOPIC_NOT_EXIST`.
    // apache/rocketmq: GetRouteInfoRequestHeader
    struct GetRoute {
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// Whether the answer should be JSON as everyone reads it; otherwise integer keys come without quotes.
        standard_json_only: Option<bool> = "acceptStandardJsonOnly",
    }
}

impl GetRoute {
    /// Asks for an answer in JSON as everyone reads it.
    pub fn new(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            standard_json_only: Some(true),
        }
    }
}

ext_request!(GetRoute, GET_ROUTEINFO_BY_TOPIC -> TopicRoute);

/// Where a topic's queues are.
// apache/rocketmq: TopicRouteData
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRoute {
    /// For a statically ordered topic: `broker:queues` pairs, joined by semicolons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// How many queues each broker has.
    #[serde(rename = "queueDatas", deserialize_with = "json::null_as_default")]
    pub queues: Vec<QueueData>,
    /// Where each broker is.
    #[serde(rename = "brokerDatas", deserialize_with = "json::null_as_default")]
    pub brokers: Vec<BrokerData>,
    /// Filter servers of each broker; gone since 5.0, but every nameserver writes it.
    #[serde(deserialize_with = "json::null_as_default")]
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// For static topics: which broker leads which logical queue, as JSON.
    #[serde(skip_serializing_if = "Option::is_none", with = "json::raw")]
    pub topic_queue_mapping_by_broker: Option<String>,
}

/// A broker's share of a topic.
// apache/rocketmq: QueueData
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueData {
    /// The broker's name.
    #[serde(deserialize_with = "json::null_as_default")]
    pub broker_name: String,
    /// Queues to read from.
    pub read_queue_nums: i32,
    /// Queues to write to.
    pub write_queue_nums: i32,
    /// 4 readable, 2 writable, 1 inherited.
    pub perm: i32,
    /// The topic's flags (unit mode).
    pub topic_sys_flag: i32,
}

impl QueueData {
    /// Whether the topic may be read here.
    pub const fn is_readable(&self) -> bool {
        self.perm & 4 != 0
    }

    /// Whether the topic may be written here.
    pub const fn is_writable(&self) -> bool {
        self.perm & 2 != 0
    }
}

/// A broker and its replicas.
// apache/rocketmq: BrokerData
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// The cluster it belongs to.
    #[serde(deserialize_with = "json::null_as_default")]
    pub cluster: String,
    /// Its name.
    #[serde(deserialize_with = "json::null_as_default")]
    pub broker_name: String,
    /// Addresses by replica id; 0 is the master.
    #[serde(deserialize_with = "json::null_as_default")]
    pub broker_addrs: BTreeMap<i64, String>,
    /// Its zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
    /// Whether a slave may act as master.
    pub enable_acting_master: bool,
}

impl BrokerData {
    /// The addresses that can be read, by replica id.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (i64, Endpoint)> {
        self.broker_addrs
            .iter()
            .filter_map(|(id, address)| Some((*id, Endpoint::parse(address, None).ok()?)))
    }
}

impl Fields for TopicRoute {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Reply for TopicRoute {
    fn body(&self) -> Bytes {
        to_json(self)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        json::read("topic route", body)
    }
}
