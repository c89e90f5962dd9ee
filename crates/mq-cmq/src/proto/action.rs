//! The actions of the data plane, one type each: its name, its parameters, what answers it.
//!
//! Source: Tencent Cloud's documents of the CMQ API (product 406) and its SDKs for Python and Java.

mod delete;
mod publish;
mod receive;
mod send;

use serde::de::DeserializeOwned;

pub use self::delete::{BatchDeleteMessage, DeleteErrors, DeleteMessage, Deleted, NotDeleted};
pub use self::publish::{BatchPublishMessage, PublishMessage};
pub use self::receive::{BatchReceiveMessage, Messages, ReceiveMessage, ReceivedMessage};
pub use self::send::{BatchSendMessage, MessageId, SendMessage, Stored, StoredBatch};
use super::Params;

/// Something that CMQ can be asked for.
pub trait Action {
    /// The value of the parameter `Action`.
    const NAME: &'static str;
    /// Numbers of error codes that are an answer to this action, not a failure of it.
    const ANSWERS: &'static [u64] = &[];
    /// What a successful answer has beside the envelope.
    type Reply: DeserializeOwned;

    /// Adds its parameters, without the common ones.
    fn params<'a>(&'a self, to: &mut Params<'a>);
}
