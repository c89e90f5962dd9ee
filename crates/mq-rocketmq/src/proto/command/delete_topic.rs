//! Deleting a topic: at a broker (215), then at a nameserver (216), which would name its route for ever.

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Deletes a topic and its messages from one broker; one that is not there is deleted as well.
    // apache/rocketmq: DeleteTopicRequestHeader
    struct DeleteTopicAtBroker {
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(DeleteTopicAtBroker, DELETE_TOPIC_IN_BROKER -> Done);

ext_struct! {
    /// Has one nameserver forget a topic's route.
    // apache/rocketmq: DeleteTopicFromNamesrvRequestHeader
    struct DeleteTopicAtNameserver {
        /// The topic, with its namespace.
        topic: Arc<str> = "topic",
        /// Only the share of this cluster (5.x).
        cluster_name: Option<Arc<str>> = "clusterName",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(DeleteTopicAtNameserver, DELETE_TOPIC_IN_NAMESRV -> Done);
