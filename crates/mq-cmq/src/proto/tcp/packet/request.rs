//! What a client asks for.

use std::fmt;

use bytes::Bytes;

/// Who the client is.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct Auth {
    /// The secret id.
    #[prost(string, required, tag = "1")]
    pub secret_id: String,
    /// See [`signature`](crate::proto::tcp::signature).
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
