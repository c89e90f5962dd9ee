//! Listing the members of a consumer group (38).

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Reply, ext_request, ext_struct, to_json};
use crate::proto::{ExtFields, FieldSink, Fields, Malformed, json};

ext_struct! {
    /// Asks a broker for the clients of a group.
    // apache/rocketmq: GetConsumerListByGroupRequestHeader
    struct GetConsumerList {
        /// The group.
        consumer_group: Arc<str> = "consumerGroup",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(GetConsumerList, GET_CONSUMER_LIST_BY_GROUP -> ConsumerList);

/// The clients of a group, in no order.
// apache/rocketmq: GetConsumerListByGroupResponseBody
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerList {
    /// Client ids.
    #[serde(
        rename = "consumerIdList",
        default,
        deserialize_with = "json::null_as_default"
    )]
    pub client_ids: Vec<String>,
}

impl Fields for ConsumerList {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Reply for ConsumerList {
    fn body(&self) -> Bytes {
        to_json(self)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        json::read("consumer list", body)
    }
}
