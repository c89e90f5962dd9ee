//! Deleting a consumer group's settings at a broker (207).

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Deletes a group from one broker; one that is not there is deleted as well.
    ///
    /// Whether its offsets go too has two names: a broker reads the one that it knows.
    // apache/rocketmq: DeleteSubscriptionGroupRequestHeader
    struct DeleteGroup {
        /// The group, with its namespace.
        group_name: Arc<str> = "groupName",
        /// Whether its offsets are deleted (5.x).
        clean_offset: Option<bool> = "cleanOffset",
        /// The same (4.9).
        remove_offset: Option<bool> = "removeOffset",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(DeleteGroup, DELETE_SUBSCRIPTIONGROUP -> Done);
