//! Sending a message back, so that it is delivered again later (36).

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Asks the broker to deliver a message to the group again, or to move it to the dead-letter queue.
    // apache/rocketmq: ConsumerSendMsgBackRequestHeader
    struct SendBack {
        /// Where the message is in the broker's log.
        physical_offset: i64 = "offset",
        /// The consumer's group.
        group: Arc<str> = "group",
        /// 0: the broker chooses by the number of deliveries; negative: the dead-letter queue.
        delay_level: i32 = "delayLevel",
        /// The message's id.
        origin_message_id: Option<String> = "originMsgId",
        /// The message's topic.
        origin_topic: Option<Arc<str>> = "originTopic",
        /// Unit mode, Alibaba's own; false elsewhere.
        unit_mode: Option<bool> = "unitMode",
        /// How many deliveries before the dead-letter queue.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(SendBack, CONSUMER_SEND_MSG_BACK -> Done);
