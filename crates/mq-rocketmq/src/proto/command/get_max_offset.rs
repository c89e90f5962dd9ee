//! Reading the offset after a queue's last message (30).

use std::sync::Arc;

use super::{ext_reply, ext_request, ext_struct};

ext_struct! {
    /// Asks for the offset after a queue's last message.
    // apache/rocketmq: GetMaxOffsetRequestHeader
    struct GetMaxOffset {
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// Whether only what is flushed counts; absent means yes (5.x).
        committed: Option<bool> = "committed",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(GetMaxOffset, GET_MAX_OFFSET -> MaxOffset);

ext_struct! {
    /// The offset after a queue's last message.
    // apache/rocketmq: GetMaxOffsetResponseHeader
    struct MaxOffset {
        /// The offset.
        offset: i64 = "offset",
    }
}

ext_reply!(MaxOffset);
