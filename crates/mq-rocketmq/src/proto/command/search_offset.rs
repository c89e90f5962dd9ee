//! Finding the offset of a point in time (29).

use std::sync::Arc;

use super::{ext_reply, ext_request, ext_struct};

ext_struct! {
    /// Asks for the offset of the first message stored at a time or later.
    // apache/rocketmq: SearchOffsetRequestHeader
    struct SearchOffset {
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The time, in ms since 1970.
        timestamp_ms: i64 = "timestamp",
        /// `LOWER` or `UPPER`: which of several messages stored at that time; absent means the lower.
        boundary: Option<String> = "boundaryType",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(SearchOffset, SEARCH_OFFSET_BY_TIMESTAMP -> FoundOffset);

ext_struct! {
    /// The offset found.
    // apache/rocketmq: SearchOffsetResponseHeader
    struct FoundOffset {
        /// The offset.
        offset: i64 = "offset",
    }
}

ext_reply!(FoundOffset);
