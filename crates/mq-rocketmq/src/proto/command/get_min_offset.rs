//! Reading the first offset of a queue (31).

use std::sync::Arc;

use super::{ext_reply, ext_request, ext_struct};

ext_struct! {
    /// Asks for the first offset of a queue.
    // apache/rocketmq: GetMinOffsetRequestHeader
    struct GetMinOffset {
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(GetMinOffset, GET_MIN_OFFSET -> MinOffset);

ext_struct! {
    /// The first offset of a queue.
    // apache/rocketmq: GetMinOffsetResponseHeader
    struct MinOffset {
        /// The offset.
        offset: i64 = "offset",
    }
}

ext_reply!(MinOffset);
