//! What became of a half message (37): the producer's decision, or its answer to the broker's question.

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Ends a transaction. The broker answers a commit and a rollback, never [`UNKNOWN`](EndTransaction::UNKNOWN).
    // apache/rocketmq: EndTransactionRequestHeader; EndTransactionProcessor returns nothing for TRANSACTION_NOT_TYPE
    struct EndTransaction {
        /// The topic, with its namespace; 5.x decides by it whether the producer may.
        topic: Option<Arc<str>> = "topic",
        /// The producer's group, which must be the half message's.
        producer_group: Arc<str> = "producerGroup",
        /// The half message's offset in its queue of half messages.
        half_offset: i64 = "tranStateTableOffset",
        /// Where the half message is in the broker's log.
        physical_offset: i64 = "commitLogOffset",
        /// [`COMMIT`](EndTransaction::COMMIT), [`ROLLBACK`](EndTransaction::ROLLBACK) or [`UNKNOWN`](EndTransaction::UNKNOWN).
        decision: i32 = "commitOrRollback",
        /// Whether the broker has asked.
        from_check: Option<bool> = "fromTransactionCheck",
        /// The message's unique id.
        message_id: String = "msgId",
        /// The transaction's id: the same.
        transaction_id: Option<String> = "transactionId",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
}

ext_request!(EndTransaction, END_TRANSACTION -> Done);

// apache/rocketmq: MessageSysFlag, TRANSACTION_NOT_TYPE, _COMMIT_TYPE and _ROLLBACK_TYPE
impl EndTransaction {
    /// Not decided (yet).
    pub const UNKNOWN: i32 = 0;
    /// The message is to be delivered.
    pub const COMMIT: i32 = 0x8;
    /// The message is to be forgotten.
    pub const ROLLBACK: i32 = 0xC;
}
