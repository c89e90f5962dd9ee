//! How sends end, and who is told.

use mq_core::{ErrorKind, Outcome, Retry};
use tokio::sync::oneshot;

use super::shared::ProducerShared;
use crate::Message;
use crate::conn::QueueId;
use crate::error::{Error, Result};
use crate::proto::ResponseCode;
use crate::proto::command::SendReply;
use crate::schedule::ScheduledHandle;

/// What is sent in one request.
#[derive(Debug)]
pub(crate) enum Payload {
    One(Box<Message>),
    /// All for one topic, none compressed.
    Batch(Vec<Message>),
}

/// The broker's word.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) reply: SendReply,
    pub(crate) code: ResponseCode,
    pub(crate) queue: QueueId,
    pub(crate) payload: Payload,
    pub(crate) scheduled: Option<Box<ScheduledHandle>>,
}

/// A send that failed, with what was to be sent.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) payload: Payload,
}

/// How a send ends. A one-way send ends without a [`Stored`].
pub(crate) type Ended = Result<Option<Stored>, Failed>;

/// What the caller keeps of an operation.
pub(crate) struct Hearing {
    pub(crate) admission: oneshot::Receiver<()>,
    pub(crate) end: oneshot::Receiver<Ended>,
}

/// Tells the one who waits; a failure that nobody waits for is kept for the next flush.
pub(super) fn tell(
    listener: Option<oneshot::Sender<Ended>>,
    ended: Ended,
    producer: &ProducerShared,
) {
    let unheard = match listener {
        Some(listener) => listener.send(ended).err(),
        None => Some(ended),
    };
    if let Some(Err(failed)) = unheard {
        for failed in failed.into_send_errors() {
            producer.window.keep_unheard(failed);
        }
    }
}

pub(super) fn no_queue(topic: &str) -> Error {
    Error::builder(
        ErrorKind::NotFound,
        format!("topic \"{topic}\" has no queue to send to"),
    )
    .operation("send")
    .retry(Retry::Later)
    .build()
}

impl Failed {
    /// One error a message.
    pub(crate) fn into_send_errors(self) -> Vec<crate::SendError> {
        let messages = match self.payload {
            Payload::One(message) => vec![*message],
            Payload::Batch(messages) => messages,
        };
        messages
            .into_iter()
            .map(|message| crate::SendError::new(self.error.clone(), message))
            .collect()
    }
}

/// One of its lane failed before it: it is not sent.
pub(super) fn overtaken(cause: Error) -> Error {
    let what = "not sent, since one before it with the same ordering key or queue failed";
    Error::builder(cause.kind(), what)
        .operation("send")
        .outcome(Outcome::NotSent)
        .retry(Retry::Later)
        .hint("send the one that failed again, then this one")
        .source(cause)
        .build()
}

/// Its turn did not come: one of its lane took so long.
pub(super) fn no_turn() -> Error {
    let what = "one before it with the same ordering key or queue was not done in time";
    Error::builder(ErrorKind::Timeout, what)
        .operation("send")
        .hint("sends of one key or queue go one by one: allow them more time, or spread them over more keys")
        .build()
}
