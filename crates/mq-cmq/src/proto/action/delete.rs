//! `DeleteMessage` and `BatchDeleteMessage`.

use serde::{Deserialize, Serialize};

use super::{Action, Destination, Done, FromParams, Given};
use crate::proto::answer::{number, text};
use crate::proto::limits::Refusal;
use crate::proto::tcp::{BatchDelete, Delete, Packet, cmd};
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

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let delete = Delete {
            queue: self.queue.to_owned(),
            handle: handle(self.handle),
        };
        let packet = Packet {
            delete: Some(delete),
            ..Packet::new(0, cmd::DELETE)
        };
        Some((Destination::Queue(self.queue), Box::new(packet)))
    }

    fn unpack(_answer: &Packet) -> Option<Done> {
        Some(Done {})
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

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let batch_delete = BatchDelete {
            queue: self.queue.to_owned(),
            handles: self.handles.iter().map(|text| handle(text)).collect(),
        };
        let packet = Packet {
            batch_delete: Some(batch_delete),
            ..Packet::new(0, cmd::BATCH_DELETE)
        };
        Some((Destination::Queue(self.queue), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<DeleteErrors> {
        let errors = answer.not_deleted.iter().map(|one| NotDeleted {
            code: ErrorCode::of_result(one.code).number().into(),
            message: format!("({}){}", one.code, one.message),
            handle: one.handle.to_string(),
        });
        Some(DeleteErrors {
            errors: errors.collect(),
        })
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

/// A handle as packets have it. Those that CMQ gives are numbers; of any other, 0, which no message has, is as unknown.
fn handle(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}
