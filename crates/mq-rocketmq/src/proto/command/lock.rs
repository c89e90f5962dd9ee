//! Locking queues for ordered consumption (41), and unlocking them (42).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Done, QueueKey, Reply, Request, to_json};
use crate::proto::{ExtFields, FieldSink, Fields, Malformed, RequestCode, json};

/// Asks a broker to let nobody else of the group have these queues. The broker forgets a lock that is not renewed for 60 s, and all of
/// them when it restarts.
// apache/rocketmq: LockBatchRequestBody; RebalanceLockManager.REBALANCE_LOCK_MAX_LIVE_TIME
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockQueues {
    /// The client's id.
    #[serde(deserialize_with = "json::null_as_default")]
    pub client_id: String,
    /// The consumer's group.
    #[serde(deserialize_with = "json::null_as_default")]
    pub consumer_group: String,
    /// The queues, in no order.
    #[serde(rename = "mqSet", deserialize_with = "json::null_as_default")]
    pub queues: Vec<QueueKey>,
    /// Whether the broker is not to ask its replicas too.
    pub only_this_broker: bool,
}

/// Which of the queues are locked for who asked, in no order.
// apache/rocketmq: LockBatchResponseBody
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LockedQueues {
    /// The queues.
    #[serde(rename = "lockOKMQSet", deserialize_with = "json::null_as_default")]
    pub queues: Vec<QueueKey>,
}

/// Gives up locks. One that is somebody else's stays.
// apache/rocketmq: UnlockBatchRequestBody, the same fields
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnlockQueues(pub LockQueues);

impl Fields for LockQueues {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Request for LockQueues {
    const CODE: RequestCode = RequestCode::LOCK_BATCH_MQ;
    type Reply = LockedQueues;

    fn body(&self) -> Bytes {
        to_json(self)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        json::read("lock", body)
    }
}

impl Fields for LockedQueues {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Reply for LockedQueues {
    fn body(&self) -> Bytes {
        to_json(self)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        json::read("locked queues", body)
    }
}

impl Fields for UnlockQueues {
    fn fields(&self, _sink: &mut dyn FieldSink) {}
}

impl Request for UnlockQueues {
    const CODE: RequestCode = RequestCode::UNLOCK_BATCH_MQ;
    type Reply = Done;

    fn body(&self) -> Bytes {
        to_json(&self.0)
    }

    fn parse(_ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        json::read("unlock", body).map(Self)
    }
}
