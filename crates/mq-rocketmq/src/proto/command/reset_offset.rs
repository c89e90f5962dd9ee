//! The broker's order to a consumer to go on from other offsets (220), oneway; the body's keys are objects.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::{
    Done, Request,
    consume_stats::{ObjectKeyed, QueueKey, object_keyed},
};
use crate::proto::{ExtFields, Field, FieldSink, Fields, Malformed, RequestCode, json};

/// Tells a consumer where to go on in each queue.
// apache/rocketmq: ResetOffsetRequestHeader, ResetOffsetBody
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResetOffset {
    /// The topic, with its namespace.
    pub topic: Arc<str>,
    /// The consumer's group.
    pub group: Arc<str>,
    /// The time that the offsets belong to, in ms since 1970.
    pub timestamp_ms: i64,
    /// Whether offsets may go forward too.
    pub is_force: Option<bool>,
    /// The offsets to go on from.
    pub offsets: Vec<(QueueKey, i64)>,
}

impl Fields for ResetOffset {
    fn fields(&self, sink: &mut dyn FieldSink) {
        self.topic.write("topic", sink);
        self.group.write("group", sink);
        self.timestamp_ms.write("timestamp", sink);
        self.is_force.write("isForce", sink);
    }
}

impl Request for ResetOffset {
    const CODE: RequestCode = RequestCode::RESET_CONSUMER_CLIENT_OFFSET;
    type Reply = Done;

    fn body(&self) -> Bytes {
        let table = object_keyed(self.offsets.iter().map(|(queue, offset)| (queue, offset)));
        format!("{{\"offsetTable\":{table}}}").into()
    }

    fn parse(ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default)]
            offset_table: ObjectKeyed<i64>,
        }
        let raw: Raw = json::read("reset offset", body)?;
        Ok(Self {
            topic: Field::read(ext, "topic")?,
            group: Field::read(ext, "group")?,
            timestamp_ms: Field::read(ext, "timestamp")?,
            is_force: Field::read(ext, "isForce")?,
            offsets: raw.offset_table.0,
        })
    }
}
