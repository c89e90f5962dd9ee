//! `SendMessage` and `BatchSendMessage`.

use serde::{Deserialize, Serialize};

use super::{Action, FromParams, Given};
use crate::proto::answer::text;
use crate::proto::limits::Refusal;
use crate::proto::{ErrorCode, Params};

/// Puts one message into a queue.
#[derive(Debug, Clone, Copy)]
pub struct SendMessage<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// At least one byte.
    pub body: &'a str,
    /// After how many seconds it becomes visible; at once if not given.
    pub delay_seconds: Option<u32>,
}

impl Action for SendMessage<'_> {
    const NAME: &'static str = "SendMessage";
    type Reply = Stored;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        to.text("msgBody", self.body);
        to.number_if("delaySeconds", self.delay_seconds);
    }
}

impl<'p> FromParams<'p> for SendMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            queue: given.text("queueName")?,
            body: given.text("msgBody")?,
            delay_seconds: given.number_if("delaySeconds", ErrorCode::DELAY_OUT_OF_RANGE)?,
        })
    }
}

/// Puts up to 16 messages into a queue: all or none.
#[derive(Debug, Clone)]
pub struct BatchSendMessage<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// Up to 16.
    pub bodies: Vec<&'a str>,
    /// One for all.
    pub delay_seconds: Option<u32>,
}

impl Action for BatchSendMessage<'_> {
    const NAME: &'static str = "BatchSendMessage";
    type Reply = StoredBatch;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        to.list("msgBody", self.bodies.iter().copied());
        to.number_if("delaySeconds", self.delay_seconds);
    }
}

impl<'p> FromParams<'p> for BatchSendMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            queue: given.text("queueName")?,
            bodies: given.list("msgBody")?,
            delay_seconds: given.number_if("delaySeconds", ErrorCode::DELAY_OUT_OF_RANGE)?,
        })
    }
}

/// The answer to a send or publish of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The message's id.
    #[serde(rename = "msgId", deserialize_with = "text")]
    pub id: String,
}

/// The answer to a batch, in the order of its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBatch {
    /// One a message.
    #[serde(rename = "msgList")]
    pub ids: Vec<MessageId>,
}

/// One entry of a batch's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageId {
    /// The message's id.
    #[serde(rename = "msgId", deserialize_with = "text")]
    pub id: String,
}
