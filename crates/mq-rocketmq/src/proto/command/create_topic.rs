//! Creating or changing a topic at a broker (17).

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Gives a topic these settings at one broker, which makes it if there is none of this name.
    // apache/rocketmq: CreateTopicRequestHeader
    struct CreateTopic {
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// Any topic: brokers don't read it.
        default_topic: Arc<str> = "defaultTopic",
        /// Queues to read from.
        read_queue_nums: i32 = "readQueueNums",
        /// Queues to write to.
        write_queue_nums: i32 = "writeQueueNums",
        /// 4 readable, 2 writable, 1 inherited.
        perm: i32 = "perm",
        /// `SINGLE_TAG`, or `MULTI_TAG`, which nobody uses.
        topic_filter_type: Arc<str> = "topicFilterType",
        /// The topic's flags (unit mode).
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// Whether it is a statically ordered topic.
        order: bool = "order",
        /// Changes of attributes, joined by commas, `+name=value` or `-name` (5.x).
        attributes: Option<Arc<str>> = "attributes",
        /// Whether it may take the name of a static topic (5.x).
        force: Option<bool> = "force",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(CreateTopic, UPDATE_AND_CREATE_TOPIC -> Done);
