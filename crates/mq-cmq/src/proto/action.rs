//! The actions of the data plane, one type each: its name, its parameters, what answers it.
//!
//! Source: Tencent Cloud's documents of the CMQ API (product 406) and its SDKs for Python and Java.

mod delete;
mod given;
mod publish;
mod receive;
mod send;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::delete::{BatchDeleteMessage, DeleteErrors, DeleteMessage, Deleted, NotDeleted};
pub use self::given::Given;
pub use self::publish::{BatchPublishMessage, PublishMessage};
pub use self::receive::{BatchReceiveMessage, Messages, ReceiveMessage, ReceivedMessage};
pub use self::send::{BatchSendMessage, MessageId, SendMessage, Stored, StoredBatch};
use super::Params;
use super::limits::Refusal;

/// Something that CMQ can be asked for.
pub trait Action {
    /// The value of the parameter `Action`.
    const NAME: &'static str;
    /// Numbers of error codes that are an answer to this action, not a failure of it.
    const ANSWERS: &'static [u64] = &[];
    /// What a successful answer has beside the envelope.
    type Reply: DeserializeOwned + Serialize;

    /// Adds its parameters, without the common ones.
    fn params<'a>(&'a self, to: &mut Params<'a>);
}

/// The server's side of an [`Action`]: read from the parameters of a request.
pub trait FromParams<'p>: Sized {
    /// Reads it. Parameters that it does not know are left alone.
    ///
    /// # Errors
    ///
    /// What is missing or can't be read, with the code for that. Ranges and names are for the server to judge.
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal>;
}
