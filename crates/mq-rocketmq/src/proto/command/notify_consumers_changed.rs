//! The broker's word that a group's members changed (40), oneway.

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Tells a consumer to rebalance.
    // apache/rocketmq: NotifyConsumerIdsChangedRequestHeader
    struct NotifyConsumersChanged {
        /// The group whose members changed.
        consumer_group: Arc<str> = "consumerGroup",
    }
}

ext_request!(NotifyConsumersChanged, NOTIFY_CONSUMER_IDS_CHANGED -> Done);
