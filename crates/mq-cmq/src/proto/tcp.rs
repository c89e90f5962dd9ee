//! CMQ's TCP protocol, without a socket: frames, packets, and what is signed at the beginning of a connection.
//!
//! ```text
//!  | 00 00 | u32 length, little-endian, of the whole frame | Packet: seqno, cmd, [result, error], one body |
//! ```
//!
//! A client sends [`cmd::AUTH`] first; an answer has the `seqno` and the `cmd` of its request, in any order. The server asks by
//! [`cmd::TRANSACTION_QUERY`] on its own account. Source: tencentyun/cmq-java-tcp-sdk, `cmq.proto`, `CmqDecoder`, `CMQClientHandler`.

mod frame;
mod packet;

pub use self::frame::{FrameDecoder, MAX_FRAME, encode};
pub use self::packet::{
    Auth, BatchDelete, BatchPublish, BatchPull, BatchSend, Confirm, ConfirmItem, Confirmed,
    ConfirmedItem, Delete, NotDeleted, Packet, Publish, Pull, Pulled, PulledBatch, Send,
    TransactionQuery, state,
};
use super::SigningKey;

/// What a packet is about.
pub mod cmd {
    /// The first packet of a connection.
    pub const AUTH: i32 = 1020;
    /// One message to a queue.
    pub const SEND: i32 = 1021;
    /// Up to 16 messages to a queue.
    pub const BATCH_SEND: i32 = 1022;
    /// Receives one message.
    pub const PULL: i32 = 1023;
    /// Receives up to 16 messages.
    pub const BATCH_PULL: i32 = 1024;
    /// Deletes one message.
    pub const DELETE: i32 = 1025;
    /// Deletes up to 16 messages.
    pub const BATCH_DELETE: i32 = 1026;
    /// One message to a topic.
    pub const PUBLISH: i32 = 1027;
    /// Up to 16 messages to a topic.
    pub const BATCH_PUBLISH: i32 = 1028;
    /// Nothing but a sign of life.
    pub const HEARTBEAT: i32 = 1040;
    /// Commits or rolls back half messages; also the answer to it.
    pub const TRANSACTION_CONFIRM: i32 = 1041;
    /// The server asks what became of a half message.
    pub const TRANSACTION_QUERY: i32 = 1042;
}

/// `result` of a packet on a connection that has not authenticated.
pub const NOT_AUTHENTICATED: i32 = 306;
/// `result` of a second authentication.
pub const ALREADY_AUTHENTICATED: i32 = 307;

/// The signature of an [`Auth`], in Base64.
pub fn signature(key: &SigningKey, client_id: &str, secret_id: &str) -> String {
    key.sign(&format!("{client_id}{secret_id}"))
}

#[cfg(test)]
mod tests;
