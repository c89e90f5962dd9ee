//! Pulling messages off a queue (11), with a long poll.

use std::sync::Arc;

use super::{ext_reply, ext_request, ext_struct};

ext_struct! {
    /// Asks for the messages of one queue from an offset on.
    // apache/rocketmq: PullMessageRequestHeader
    struct PullMessage {
        /// The consumer's group.
        consumer_group: Arc<str> = "consumerGroup",
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The first offset wanted.
        queue_offset: i64 = "queueOffset",
        /// The most messages wanted.
        max_messages: i32 = "maxMsgNums",
        /// Bits of [`pull_flag`].
        sys_flag: i32 = "sysFlag",
        /// The offset to commit, if [`pull_flag::COMMIT`] is set.
        commit_offset: i64 = "commitOffset",
        /// How long the broker may hold the request when there is nothing new, in ms.
        suspend_timeout_ms: i64 = "suspendTimeoutMillis",
        /// The filter expression, if [`pull_flag::SUBSCRIPTION`] is set.
        subscription: Option<Arc<str>> = "subscription",
        /// The version of the subscription in the heartbeat.
        subscription_version: i64 = "subVersion",
        /// `TAG` or `SQL92`.
        expression_type: Option<Arc<str>> = "expressionType",
        /// The most bytes wanted (5.x).
        max_bytes: Option<i32> = "maxMsgBytes",
        /// Who pulls: absent for a client.
        request_source: Option<i32> = "requestSource",
        /// The client's id, if a proxy asks for it.
        proxy_client_id: Option<Arc<str>> = "proxyFrowardClientId",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(PullMessage, PULL_MESSAGE -> PullReply);

ext_struct! {
    /// Messages, or where to go on when there are none (codes 0, 19, 20 and 21 all carry it).
    // apache/rocketmq: PullMessageResponseHeader
    struct PullReply {
        /// The replica to pull from next; 0 is the master.
        suggested_broker_id: i64 = "suggestWhichBrokerId",
        /// The offset to pull from next.
        next_offset: i64 = "nextBeginOffset",
        /// The queue's first offset.
        min_offset: i64 = "minOffset",
        /// The offset after the queue's last.
        max_offset: i64 = "maxOffset",
        /// What to add to the offsets of the messages (static topics).
        offset_delta: Option<i64> = "offsetDelta",
        /// The topic's flags, if a broker answers a broker.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// The group's flags, if a broker answers a broker.
        group_sys_flag: Option<i32> = "groupSysFlag",
        /// Why a pull is forbidden, with code 16.
        forbidden_type: Option<i32> = "forbiddenType",
    }
    /// Stored messages, one after another: see [`decode_messages`](crate::proto::message::decode_messages).
    body: messages
}

ext_reply!(PullReply);

/// The bits of a pull's `sysFlag`.
pub mod pull_flag {
    // apache/rocketmq: PullSysFlag
    /// Commit the offset that comes along.
    pub const COMMIT: i32 = 1;
    /// Hold the request until there is something, or its time is over.
    pub const SUSPEND: i32 = 1 << 1;
    /// The filter comes along; without it the broker takes that of the heartbeat.
    pub const SUBSCRIPTION: i32 = 1 << 2;
    /// The filter is a class.
    pub const CLASS_FILTER: i32 = 1 << 3;
    /// A lite pull.
    pub const LITE: i32 = 1 << 4;
}
