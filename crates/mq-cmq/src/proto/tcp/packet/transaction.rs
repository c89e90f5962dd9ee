//! Half messages, and what becomes of them.

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
