//! `SendMessage` and `BatchSendMessage`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Action, Destination, FromParams, Given};
use crate::proto::answer::text;
use crate::proto::limits::Refusal;
use crate::proto::tcp::{BatchSend, Packet, Send, cmd};
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

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let send = Send {
            queue: self.queue.to_owned(),
            body: Some(Bytes::copy_from_slice(self.body.as_bytes())),
            delay_seconds: self.delay_seconds,
            ..Send::default()
        };
        let packet = Packet {
            send: Some(send),
            ..Packet::new(0, cmd::SEND)
        };
        Some((Destination::Queue(self.queue), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<Stored> {
        stored(answer)
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

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let batch_send = BatchSend {
            queue: self.queue.to_owned(),
            bodies: bodies(&self.bodies),
            delay_seconds: self.delay_seconds,
            ..BatchSend::default()
        };
        let packet = Packet {
            batch_send: Some(batch_send),
            ..Packet::new(0, cmd::BATCH_SEND)
        };
        Some((Destination::Queue(self.queue), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<StoredBatch> {
        Some(stored_batch(answer))
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

/// Bodies as packets have them.
pub(super) fn bodies(texts: &[&str]) -> Vec<Bytes> {
    let bytes = texts
        .iter()
        .map(|text| Bytes::copy_from_slice(text.as_bytes()));
    bytes.collect()
}

/// The id in an answer to one message.
pub(super) fn stored(answer: &Packet) -> Option<Stored> {
    let id = answer.message_ids.first()?.to_string();
    Some(Stored { id })
}

/// The ids in an answer to a batch.
pub(super) fn stored_batch(answer: &Packet) -> StoredBatch {
    let ids = answer.message_ids.iter();
    let ids = ids.map(|id| MessageId { id: id.to_string() });
    StoredBatch { ids: ids.collect() }
}
