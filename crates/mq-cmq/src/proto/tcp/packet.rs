//! What is in a frame: one envelope for everything.
//!
//! Field numbers and types are those of tencentyun/cmq-java-tcp-sdk, `cmq.proto` (`cmq_tcp_*`, `cmq_transaction_*`); proto2, `required` as
//! there. Bodies are raw bytes, whatever its comments say: the SDK sends UTF-8 as it is.

mod answer;
mod request;
mod transaction;

use std::fmt;

pub use self::answer::{NotDeleted, Pulled, PulledBatch};
pub use self::request::{
    Auth, BatchDelete, BatchPublish, BatchPull, BatchSend, Delete, Publish, Pull, Send,
};
pub use self::transaction::{
    Confirm, ConfirmItem, Confirmed, ConfirmedItem, TransactionQuery, state,
};

/// A request, an answer, or the server's question.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct Packet {
    /// By which an answer finds its request.
    #[prost(int64, required, tag = "1")]
    pub seqno: i64,
    /// What it is about: see [`cmd`](super::cmd).
    #[prost(int32, required, tag = "2")]
    pub cmd: i32,
    /// Of an answer: 0, or a module code such as 10200.
    #[prost(int32, optional, tag = "3")]
    pub result: Option<i32>,
    /// Of an answer, in words.
    #[prost(string, optional, tag = "4")]
    pub error: Option<String>,
    /// The server's, to be found by.
    #[prost(uint64, optional, tag = "10")]
    pub request_id: Option<u64>,
    /// Answer to [`Pull`].
    #[prost(message, optional, tag = "26")]
    pub pulled: Option<Pulled>,
    /// Answer to [`BatchPull`].
    #[prost(message, optional, tag = "27")]
    pub pulled_batch: Option<PulledBatch>,
    /// Answer to [`BatchDelete`]: what was not deleted.
    #[prost(message, repeated, tag = "28")]
    pub not_deleted: Vec<NotDeleted>,
    /// Answer to sends and publishes, in their order.
    #[prost(uint64, repeated, packed = "false", tag = "29")]
    pub message_ids: Vec<u64>,
    /// With [`cmd::AUTH`](super::cmd::AUTH).
    #[prost(message, optional, tag = "199")]
    pub auth: Option<Auth>,
    /// With [`cmd::SEND`](super::cmd::SEND).
    #[prost(message, optional, tag = "200")]
    pub send: Option<Send>,
    /// With [`cmd::BATCH_SEND`](super::cmd::BATCH_SEND).
    #[prost(message, optional, tag = "201")]
    pub batch_send: Option<BatchSend>,
    /// With [`cmd::PULL`](super::cmd::PULL).
    #[prost(message, optional, tag = "202")]
    pub pull: Option<Pull>,
    /// With [`cmd::BATCH_PULL`](super::cmd::BATCH_PULL).
    #[prost(message, optional, tag = "204")]
    pub batch_pull: Option<BatchPull>,
    /// With [`cmd::DELETE`](super::cmd::DELETE).
    #[prost(message, optional, tag = "206")]
    pub delete: Option<Delete>,
    /// With [`cmd::BATCH_DELETE`](super::cmd::BATCH_DELETE).
    #[prost(message, optional, tag = "207")]
    pub batch_delete: Option<BatchDelete>,
    /// With [`cmd::PUBLISH`](super::cmd::PUBLISH).
    #[prost(message, optional, tag = "208")]
    pub publish: Option<Publish>,
    /// With [`cmd::BATCH_PUBLISH`](super::cmd::BATCH_PUBLISH).
    #[prost(message, optional, tag = "209")]
    pub batch_publish: Option<BatchPublish>,
    /// With [`cmd::TRANSACTION_CONFIRM`](super::cmd::TRANSACTION_CONFIRM), of the client.
    #[prost(message, optional, tag = "221")]
    pub confirm: Option<Confirm>,
    /// With [`cmd::TRANSACTION_CONFIRM`](super::cmd::TRANSACTION_CONFIRM), of the server.
    #[prost(message, optional, tag = "222")]
    pub confirmed: Option<Confirmed>,
    /// With [`cmd::TRANSACTION_QUERY`](super::cmd::TRANSACTION_QUERY).
    #[prost(message, optional, tag = "223")]
    pub query: Option<TransactionQuery>,
}

impl Packet {
    /// An empty one.
    pub fn new(seqno: i64, cmd: i32) -> Self {
        Self {
            seqno,
            cmd,
            ..Self::default()
        }
    }
}

/// Without bodies and signature.
impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("seqno", &self.seqno)
            .field("cmd", &self.cmd)
            .field("result", &self.result)
            .finish_non_exhaustive()
    }
}
