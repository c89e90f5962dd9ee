//! `ReceiveMessage` and `BatchReceiveMessage`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Action, Destination, FromParams, Given};
use crate::proto::answer::{number, text};
use crate::proto::limits::Refusal;
use crate::proto::tcp::{BatchPull, Packet, Pull, Pulled, cmd};
use crate::proto::{ErrorCode, Params};

/// Takes one message: it is invisible to others until its visibility timeout ends.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveMessage<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// How long to wait for a message, 0 to 30; if not given, as the queue's attribute says.
    pub wait_seconds: Option<u32>,
    /// For how long others don't receive it, if not as the queue's attribute says. Over TCP only.
    pub visibility_seconds: Option<u32>,
}

impl Action for ReceiveMessage<'_> {
    const NAME: &'static str = "ReceiveMessage";
    const ANSWERS: &'static [u64] = &[7000];
    type Reply = ReceivedMessage;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        to.number_if(WAIT, self.wait_seconds);
    }

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let pull = Pull {
            queue: self.queue.to_owned(),
            wait_seconds: self.wait_seconds.map(u32::cast_signed),
            visibility_seconds: self.visibility_seconds,
        };
        let packet = Packet {
            pull: Some(pull),
            ..Packet::new(0, cmd::PULL)
        };
        Some((Destination::Queue(self.queue), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<ReceivedMessage> {
        received(answer.pulled.as_ref()?)
    }
}

impl<'p> FromParams<'p> for ReceiveMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            queue: given.text("queueName")?,
            wait_seconds: given.number_if(WAIT, ErrorCode::OUT_OF_RANGE)?,
            visibility_seconds: None,
        })
    }
}

/// Takes up to 16 messages; it does not wait for more once there is one.
#[derive(Debug, Clone, Copy)]
pub struct BatchReceiveMessage<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// 1 to 16.
    pub count: u32,
    /// As for [`ReceiveMessage`].
    pub wait_seconds: Option<u32>,
    /// As for [`ReceiveMessage`].
    pub visibility_seconds: Option<u32>,
}

impl Action for BatchReceiveMessage<'_> {
    const NAME: &'static str = "BatchReceiveMessage";
    const ANSWERS: &'static [u64] = &[7000];
    type Reply = Messages;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        to.number("numOfMsg", self.count);
        to.number_if(WAIT, self.wait_seconds);
    }

    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        let batch_pull = BatchPull {
            queue: self.queue.to_owned(),
            most: self.count.cast_signed(),
            wait_seconds: self.wait_seconds.map(u32::cast_signed),
            visibility_seconds: self.visibility_seconds,
        };
        let packet = Packet {
            batch_pull: Some(batch_pull),
            ..Packet::new(0, cmd::BATCH_PULL)
        };
        Some((Destination::Queue(self.queue), Box::new(packet)))
    }

    fn unpack(answer: &Packet) -> Option<Messages> {
        let batch = answer.pulled_batch.as_ref()?.messages.iter();
        let messages = batch.map(received).collect::<Option<_>>()?;
        Some(Messages { messages })
    }
}

impl<'p> FromParams<'p> for BatchReceiveMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            queue: given.text("queueName")?,
            count: given.number("numOfMsg", ErrorCode::BATCH_SIZE)?,
            wait_seconds: given.number_if(WAIT, ErrorCode::OUT_OF_RANGE)?,
            visibility_seconds: None,
        })
    }
}

/// The answer to a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// At least one.
    #[serde(rename = "msgInfoList")]
    pub messages: Vec<ReceivedMessage>,
}

/// A message as it is received. Times are seconds since the Unix epoch; what the service leaves out is 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedMessage {
    /// The body.
    #[serde(rename = "msgBody", deserialize_with = "text")]
    pub body: String,
    /// The message's id, the same at every receive.
    #[serde(rename = "msgId", deserialize_with = "text")]
    pub id: String,
    /// What deletes the message, until it is visible again.
    #[serde(rename = "receiptHandle", deserialize_with = "text")]
    pub handle: String,
    /// When it was sent.
    #[serde(default, rename = "enqueueTime", deserialize_with = "number")]
    pub enqueued: u64,
    /// When it was first received.
    #[serde(default, rename = "firstDequeueTime", deserialize_with = "number")]
    pub first_dequeued: u64,
    /// When it becomes visible again.
    #[serde(default, rename = "nextVisibleTime", deserialize_with = "number")]
    pub next_visible: u64,
    /// How often it was received, this time included.
    #[serde(default, rename = "dequeueCount", deserialize_with = "number")]
    pub dequeue_count: u64,
    /// Of a dead letter, over TCP only: where it was before.
    #[serde(skip)]
    pub origin: Option<Origin>,
    /// The body as it came, where it is no text. Over TCP only.
    #[serde(skip)]
    pub bytes: Option<Bytes>,
}

/// Where a dead letter was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The id of the queue.
    pub queue_id: String,
    /// When it was sent there, in seconds since the Unix epoch.
    pub enqueued: u64,
    /// How often it was received there.
    pub dequeue_count: u32,
}

/// A message as it is received over HTTP, from a packet; `None` without a handle.
fn received(from: &Pulled) -> Option<ReceivedMessage> {
    let seconds = |of: Option<i64>| of.and_then(|it| u64::try_from(it).ok()).unwrap_or_default();
    let body = from.body.clone().unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    let origin = from.original_queue.as_ref().map(|queue| Origin {
        queue_id: queue.clone(),
        enqueued: from.original_enqueued.unwrap_or_default(),
        dequeue_count: from.original_dequeue_count.unwrap_or_default(),
    });
    Some(ReceivedMessage {
        bytes: (text.as_bytes() != body).then_some(body),
        body: text,
        id: from.message_id.to_string(),
        handle: from.handle?.to_string(),
        enqueued: seconds(from.enqueued),
        first_dequeued: seconds(from.first_dequeued),
        next_visible: seconds(from.next_visible),
        dequeue_count: seconds(from.dequeue_count),
        origin,
    })
}

const WAIT: &str = "pollingWaitSeconds";
