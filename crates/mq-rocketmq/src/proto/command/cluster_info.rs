//! Listing clusters and their brokers (106); a nameserver answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BrokerData, Reply, Request, to_json};
use crate::proto::{ExtFields, FieldSink, Fields, Malformed, RequestCode, json};

/// Asks for all clusters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GetClusterInfo;

impl Fields for GetClusterInfo {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Request for GetClusterInfo {
    const CODE: RequestCode = RequestCode::GET_BROKER_CLUSTER_INFO;
    type Reply = ClusterInfo;

    fn parse(_ext: &ExtFields, _body: &Bytes) -> Result<Self, Malformed> {
        Ok(Self)
    }
}

/// The brokers that a nameserver knows, and which cluster each belongs to.
// apache/rocketmq: ClusterInfo
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterInfo {
    /// Brokers by name.
    #[serde(rename = "brokerAddrTable", deserialize_with = "json::null_as_default")]
    pub brokers: BTreeMap<String, BrokerData>,
    /// Names of brokers by cluster.
    #[serde(
        rename = "clusterAddrTable",
        deserialize_with = "json::null_as_default"
    )]
    pub clusters: BTreeMap<String, Vec<String>>,
}

impl Fields for ClusterInfo {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Reply for ClusterInfo {
    fn body(&self) -> Bytes {
        to_json(self)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        json::read("cluster info", body)
    }
}
