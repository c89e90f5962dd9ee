//! Committing a group's offset for a queue (15), mostly oneway.

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Stores a group's offset.
    // apache/rocketmq: UpdateConsumerOffsetRequestHeader
    struct UpdateOffset {
        /// The consumer's group.
        consumer_group: Arc<str> = "consumerGroup",
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The next offset to be consumed.
        commit_offset: i64 = "commitOffset",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(UpdateOffset, UPDATE_CONSUMER_OFFSET -> Done);
