//! What is in a frame: one envelope for everything.
//!
//! Field numbers and types are those of tencentyun/cmq-java-tcp-sdk, `cmq.proto` (`cmq_tcp_*`, `cmq_transaction_*`); proto2, `required` as
//! there. Bodies are raw bytes, whatever its comments say: the SDK sends UTF-8 as it is.

use std::fmt;

use bytes::Bytes;

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

/// Who the client is.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct Auth {
    /// The secret id.
    #[prost(string, required, tag = "1")]
    pub secret_id: String,
    /// See [`signature`](super::signature).
    #[prost(string, required, tag = "2")]
    pub signature: String,
    /// The client's name for itself.
    #[prost(string, required, tag = "3")]
    pub client_id: String,
    /// `HmacSHA1` or `HmacSHA256`.
    #[prost(string, required, tag = "4")]
    pub method: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("secret_id", &self.secret_id)
            .field("client_id", &self.client_id)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// One message to a queue.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct Send {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// The body.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub body: Option<Bytes>,
    /// For so long nobody receives it.
    #[prost(uint32, optional, tag = "3")]
    pub delay_seconds: Option<u32>,
    /// 1: a half message.
    #[prost(int32, optional, tag = "4")]
    pub transaction: Option<i32>,
    /// When the server asks first what became of a half message. The SDK's own default is 5000, its sample passes 5.
    #[prost(int32, optional, tag = "5")]
    pub first_query_interval: Option<i32>,
}

impl fmt::Debug for Send {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send")
            .field("queue", &self.queue)
            .field("delay_seconds", &self.delay_seconds)
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

/// Up to 16 messages to a queue.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct BatchSend {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// The bodies.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub bodies: Vec<Bytes>,
    /// For so long nobody receives it.
    #[prost(uint32, optional, tag = "3")]
    pub delay_seconds: Option<u32>,
    /// 1: a half message.
    #[prost(int32, optional, tag = "4")]
    pub transaction: Option<i32>,
    /// When the server asks first what became of a half message. The SDK's own default is 5000, its sample passes 5.
    #[prost(int32, optional, tag = "5")]
    pub first_query_interval: Option<i32>,
}

impl fmt::Debug for BatchSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchSend")
            .field("queue", &self.queue)
            .field("delay_seconds", &self.delay_seconds)
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

/// Receives one message.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Pull {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// How long the server waits for one; as the queue was told if not given.
    #[prost(int32, optional, tag = "2")]
    pub wait_seconds: Option<i32>,
    /// For how long nobody else receives it; as the queue was told if not given. No SDK offers it.
    #[prost(uint32, optional, tag = "3")]
    pub visibility_seconds: Option<u32>,
}

/// Receives up to 16 messages.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct BatchPull {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// How many, 1 to 16.
    #[prost(int32, required, tag = "2")]
    pub most: i32,
    /// As of [`Pull`].
    #[prost(int32, optional, tag = "3")]
    pub wait_seconds: Option<i32>,
    /// As of [`Pull`].
    #[prost(uint32, optional, tag = "4")]
    pub visibility_seconds: Option<u32>,
}

/// Deletes one message.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Delete {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// Its receipt handle.
    #[prost(uint64, required, tag = "2")]
    pub handle: u64,
}

/// Deletes up to 16 messages.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct BatchDelete {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// Their receipt handles.
    #[prost(uint64, repeated, packed = "false", tag = "2")]
    pub handles: Vec<u64>,
}

/// One message to a topic.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct Publish {
    /// The topic's name.
    #[prost(string, required, tag = "1")]
    pub topic: String,
    /// The body.
    #[prost(bytes = "bytes", required, tag = "2")]
    pub body: Bytes,
    /// Up to 5.
    #[prost(string, repeated, tag = "3")]
    pub tags: Vec<String>,
    /// For topics that route.
    #[prost(string, optional, tag = "4")]
    pub routing_key: Option<String>,
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("tags", &self.tags)
            .field("routing_key", &self.routing_key)
            .finish_non_exhaustive()
    }
}

/// Up to 16 messages to a topic.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct BatchPublish {
    /// The topic's name.
    #[prost(string, required, tag = "1")]
    pub topic: String,
    /// The bodies.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub bodies: Vec<Bytes>,
    /// Up to 5.
    #[prost(string, repeated, tag = "3")]
    pub tags: Vec<String>,
    /// For topics that route.
    #[prost(string, optional, tag = "4")]
    pub routing_key: Option<String>,
}

impl fmt::Debug for BatchPublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchPublish")
            .field("topic", &self.topic)
            .field("tags", &self.tags)
            .field("routing_key", &self.routing_key)
            .finish_non_exhaustive()
    }
}

/// A message that was received. Times are seconds since the Unix epoch.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct Pulled {
    /// Its id.
    #[prost(uint64, required, tag = "1")]
    pub message_id: u64,
    /// What it is deleted by.
    #[prost(uint64, optional, tag = "3")]
    pub handle: Option<u64>,
    /// Its body.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub body: Option<Bytes>,
    /// When it was sent.
    #[prost(int64, optional, tag = "5")]
    pub enqueued: Option<i64>,
    /// When others can receive it again.
    #[prost(int64, optional, tag = "6")]
    pub next_visible: Option<i64>,
    /// When it was received first.
    #[prost(int64, optional, tag = "7")]
    pub first_dequeued: Option<i64>,
    /// How often it was received, this time included.
    #[prost(int64, optional, tag = "8")]
    pub dequeue_count: Option<i64>,
    /// Of a dead letter: the id of the queue where it died.
    #[prost(string, optional, tag = "9")]
    pub original_queue: Option<String>,
    /// Of a dead letter: when it was sent there.
    #[prost(uint64, optional, tag = "10")]
    pub original_enqueued: Option<u64>,
    /// Of a dead letter: how often it was received there.
    #[prost(uint32, optional, tag = "11")]
    pub original_dequeue_count: Option<u32>,
}

impl fmt::Debug for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulled")
            .field("message_id", &self.message_id)
            .field("handle", &self.handle)
            .field("dequeue_count", &self.dequeue_count)
            .finish_non_exhaustive()
    }
}

/// Messages that were received.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct PulledBatch {
    /// At least one, if the result is 0.
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<Pulled>,
}

/// A message that was not deleted.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct NotDeleted {
    /// Which one.
    #[prost(uint64, required, tag = "1")]
    pub handle: u64,
    /// Why, as a module code.
    #[prost(int32, required, tag = "2")]
    pub code: i32,
    /// Why, in words.
    #[prost(string, required, tag = "3")]
    pub message: String,
}

/// What is to become of one half message.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ConfirmItem {
    /// Which one.
    #[prost(uint64, required, tag = "1")]
    pub message_id: u64,
    /// [`state::COMMIT`] or [`state::ROLLBACK`].
    #[prost(int32, required, tag = "2")]
    pub state: i32,
}

/// What is to become of half messages.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Confirm {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// Each of them.
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<ConfirmItem>,
}

/// What became of one half message.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ConfirmedItem {
    /// Which one.
    #[prost(uint64, required, tag = "1")]
    pub message_id: u64,
    /// One of [`state`].
    #[prost(int32, required, tag = "2")]
    pub state: i32,
    /// With [`state::UNKNOWN`]: why, as a module code.
    #[prost(int32, optional, tag = "3")]
    pub code: Option<i32>,
    /// With [`state::UNKNOWN`]: why, in words.
    #[prost(string, optional, tag = "4")]
    pub message: Option<String>,
}

/// What became of half messages.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Confirmed {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// In the order of the request.
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<ConfirmedItem>,
}

/// The server asks what became of a half message.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct TransactionQuery {
    /// The queue's name.
    #[prost(string, required, tag = "1")]
    pub queue: String,
    /// Which one.
    #[prost(uint64, required, tag = "2")]
    pub message_id: u64,
}

/// States of a half message.
pub mod state {
    /// It is a message, and can be received.
    pub const COMMIT: i32 = 1;
    /// It is gone.
    pub const ROLLBACK: i32 = 2;
    /// It could not be confirmed.
    pub const UNKNOWN: i32 = 3;
}
