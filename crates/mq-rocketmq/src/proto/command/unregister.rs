//! Leaving (35): the broker forgets the client's groups at once and tells the others.

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Takes a client out of a producer group, a consumer group, or both.
    // apache/rocketmq: UnregisterClientRequestHeader
    struct Unregister {
        /// The client's id.
        client_id: Arc<str> = "clientID",
        /// The producer group it leaves.
        producer_group: Option<Arc<str>> = "producerGroup",
        /// The consumer group it leaves.
        consumer_group: Option<Arc<str>> = "consumerGroup",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(Unregister, UNREGISTER_CLIENT -> Done);
