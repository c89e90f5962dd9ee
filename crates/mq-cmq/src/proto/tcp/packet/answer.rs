//! What a server answers.

use std::fmt;

use bytes::Bytes;

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
