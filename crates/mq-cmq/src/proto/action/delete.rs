//! `DeleteMessage` and `BatchDeleteMessage`.

use serde::{Deserialize, Serialize};

use super::{Action, Done, FromParams, Given};
use crate::proto::answer::{number, text};
use crate::proto::limits::Refusal;
use crate::proto::{Envelope, ErrorCode, Params};

/// Deletes a message that was received.
#[derive(Debug, Clone, Copy)]
pub struct DeleteMessage<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// As it was received.
    pub handle: &'a str,
}

impl Action for DeleteMessage<'_> {
    const NAME: &'static str = "DeleteMessage";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        to.text("receiptHandle", self.handle);
    }
}

impl<'p> FromParams<'p> for DeleteMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            queue: given.text("queueName")?,
            handle: given.text("receiptHandle")?,
        })
    }
}

/// Deletes up to 16 messages, as many of them as can be.
#[derive(Debug, Clone)]
pub struct BatchDeleteMessage<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// Up to 16.
    pub handles: Vec<&'a str>,
}

impl Action for BatchDeleteMessage<'_> {
    const NAME: &'static str = "BatchDeleteMessage";
    /// Partly and not at all: which ones is in the list.
    const ANSWERS: &'static [u64] = &[6010, 6020];
    type Reply = DeleteErrors;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        to.list("receiptHandle", self.handles.iter().copied());
    }
}

impl<'p> FromParams<'p> for BatchDeleteMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            queue: given.text("queueName")?,
            handles: given.list("receiptHandle")?,
        })
    }
}

/// The answer to a batch of deletes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteErrors {
    /// What was not deleted; left out by the service when all was.
    #[serde(default, rename = "errorList", skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<NotDeleted>,
}

/// One message that was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotDeleted {
    /// As in an envelope.
    #[serde(deserialize_with = "number")]
    pub code: u64,
    /// As in an envelope.
    #[serde(default, deserialize_with = "text")]
    pub message: String,
    /// Which one.
    #[serde(rename = "receiptHandle", deserialize_with = "text")]
    pub handle: String,
}

impl NotDeleted {
    /// The entry in the words of an envelope.
    pub fn envelope(&self) -> Envelope {
        Envelope {
            code: self.code,
            message: self.message.clone(),
            request_id: String::new(),
        }
    }

    /// Its code; some servers write 0 there.
    pub fn code(&self) -> ErrorCode {
        let envelope = self.envelope();
        envelope.error().unwrap_or(ErrorCode::HANDLE_EXPIRED)
    }
}
