//! Pulsar's binary protocol on the wire, both roles, without sockets, clocks and tasks.
//!
//! ```text
//!  bytes ─► FrameDecoder ─► Incoming ┬ Message(Entry) ─ content: Metadata, payload ─► decompress ─► BatchReader ─► Single
//!                                    ├ Receipt, Send (to brokers)
//!                                    └ Command: any other one, read by prost
//!  SingleMetadata, payload ─► BatchWriter ─► compress ─► Metadata, encode::send ─► head │ payload, uncopied
//! ```

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    reason = "generated; the definition beside it says what each field is"
)]
#[rustfmt::skip]
pub mod api;
mod batch;
mod compress;
pub mod encode;
mod entry;
mod frame;
pub mod hash;
mod malformed;
mod metadata;
mod redact;
mod wire;

pub use self::batch::{BatchReader, BatchWriter, Single};
pub use self::compress::{Compression, compress, decompress};
pub use self::entry::{Content, Entry, EntryId, Invalid, Receipt, SendHead, Sent, TxnId};
pub use self::frame::{FRAME_PADDING, FrameDecoder, Incoming, MAX_MESSAGE_SIZE};
pub use self::malformed::Malformed;
pub use self::metadata::{EncryptionKey, Metadata, SingleMetadata};

#[cfg(test)]
mod tests;
