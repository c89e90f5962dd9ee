//! What is answered about queues. Source: Tencent Cloud, product 1110: `CmqQueue` and its parts.

use super::Tag;

reply! {
    /// A queue was made.
    QueueCreated {
        /// Its id.
        queue_id: String,
        ;
    }
}

reply! {
    /// The description of one queue.
    QueueDetail {
        ;
        /// It.
        queue_describe: QueueState,
    }
}

reply! {
    /// A page of queues.
    Queues {
        /// The page.
        queue_list: Vec<QueueState>,
        ;
        /// How many there are on all pages.
        total_count: u64,
    }
}

reply! {
    /// A page of sources of dead letters.
    Sources {
        /// The page.
        queue_set: Vec<DeadLetterSource>,
        ;
        /// How many there are on all pages.
        total_count: u64,
    }
}

reply! {
    /// A queue as it is described.
    QueueState {
        /// Its id.
        queue_id: String,
        /// How many messages a second it takes.
        qps: u64,
        /// How many bytes a second.
        bps: u64,
        /// The longest delay, in seconds.
        max_delay_seconds: u64,
        /// How many messages it holds at most.
        max_msg_heap_num: u64,
        /// How long a receive waits that does not say, in seconds.
        polling_wait_seconds: u64,
        /// How long a message may stay undeleted, in seconds.
        msg_retention_seconds: u64,
        /// How long a received message is invisible, in seconds.
        visibility_timeout: u64,
        /// The largest body, in bytes.
        max_msg_size: u64,
        /// For how long deleted messages can be had again, in seconds.
        rewind_seconds: u64,
        /// When it was made, in milliseconds since 1970.
        create_time: u64,
        /// When it was changed, in milliseconds since 1970.
        last_modify_time: u64,
        /// Messages that can be received, about.
        active_msg_num: u64,
        /// Messages that were received and not deleted, about.
        inactive_msg_num: u64,
        /// Messages whose delay has not ended.
        delay_msg_num: u64,
        /// Messages that were deleted and can be had again.
        rewind_msg_num: u64,
        /// When the oldest message was sent that was not deleted, in seconds.
        min_msg_time: u64,
        /// Whether it is a queue of transactions.
        transaction: bool,
        /// Queues whose dead letters come to it.
        dead_letter_source: Vec<DeadLetterSource>,
        /// Where its dead letters go.
        dead_letter_policy: Option<DeadLetterPolicy>,
        /// How the service asks about its transactions.
        transaction_policy: Option<TransactionPolicy>,
        /// Who made it.
        create_uin: u64,
        /// Its tags.
        tags: Vec<Tag>,
        /// Whether its messages are traced.
        trace: bool,
        /// The tenant.
        tenant_id: String,
        /// The namespace.
        namespace_name: String,
        /// 0 being made, 1 normal, 2 being deleted, 3 deleted, 4 isolated, 5 not made, 6 not deleted.
        status: u64,
        /// How many messages may be received and not deleted.
        max_unacked_msg_num: u64,
        /// How many bytes of messages it holds at most.
        max_msg_backlog_size: u64,
        /// Room for messages that can be had again, in MB.
        #[serde(rename = "RetentionSizeInMB")]
        retention_size_in_mb: u64,
        ;
        /// Its name.
        queue_name: String,
    }
}

reply! {
    /// A queue whose dead letters come to another.
    DeadLetterSource {
        /// Its id.
        queue_id: String,
        ;
        /// Its name.
        queue_name: String,
    }
}

reply! {
    /// Where dead letters go, and when.
    DeadLetterPolicy {
        /// The other queue.
        dead_letter_queue: String,
        /// 0 after so many receives, 1 after such a time.
        policy: u64,
        /// After how many seconds.
        max_time_to_live: u64,
        /// After how many receives.
        max_receive_count: u64,
        ;
    }
}

reply! {
    /// How the service asks about transactions.
    TransactionPolicy {
        /// After how many seconds it asks first.
        first_query_interval: u64,
        /// How often it asks at most.
        max_query_count: u64,
        ;
    }
}
