//! The broker's question what became of a half message (39), oneway; the body is the message.

use std::sync::Arc;

use super::{Done, ext_request, ext_struct};

ext_struct! {
    /// Asks a producer of the half message's group. The answer is a request of its own, [`EndTransaction`](super::EndTransaction).
    // apache/rocketmq: CheckTransactionStateRequestHeader, AbstractTransactionalMessageCheckListener.sendCheckMessage
    struct CheckTransaction {
        /// The topic of half messages, not the message's own.
        topic: Option<Arc<str>> = "topic",
        /// The offset in the queue of half messages: each question has another.
        half_offset: i64 = "tranStateTableOffset",
        /// Where the half message is in the broker's log: each question has another.
        physical_offset: i64 = "commitLogOffset",
        /// The message's unique id.
        message_id: Option<String> = "msgId",
        /// The transaction's id: the same.
        transaction_id: Option<String> = "transactionId",
        /// The broker's id of this copy of the half message.
        offset_message_id: Option<String> = "offsetMsgId",
        /// The broker's name.
        broker_name: Option<Arc<str>> = "bname",
    }
    /// The message, as it is stored.
    body: body
}

ext_request!(CheckTransaction, CHECK_TRANSACTION_STATE -> Done);
