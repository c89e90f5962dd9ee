//! Reading the offset that a group has committed for a queue (14).

use std::sync::Arc;

use super::{ext_reply, ext_request, ext_struct};

ext_struct! {
    /// Asks for a group's offset; without one the answer is `22 QUERY_NOT_FOUND`.
    // apache/rocketmq: QueryConsumerOffsetRequestHeader
    struct QueryOffset {
        /// The consumer's group.
        consumer_group: Arc<str> = "consumerGroup",
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// Whether the broker may answer 0 for a queue still wholly in memory; absent means yes.
        zero_if_not_found: Option<bool> = "setZeroIfNotFound",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(QueryOffset, QUERY_CONSUMER_OFFSET -> ConsumerOffset);

ext_struct! {
    /// A group's offset.
    // apache/rocketmq: QueryConsumerOffsetResponseHeader
    struct ConsumerOffset {
        /// The next offset to be consumed.
        offset: i64 = "offset",
    }
}

ext_reply!(ConsumerOffset);
