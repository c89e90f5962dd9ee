//! `ReceiveMessage` and `BatchReceiveMessage`.

use serde::{Deserialize, Serialize};

use super::{Action, FromParams, Given};
use crate::proto::answer::{number, text};
use crate::proto::limits::Refusal;
use crate::proto::{ErrorCode, Params};

/// Takes one message: it is invisible to others until its visibility timeout ends.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveMessage<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// How long to wait for a message, 0 to 30; if not given, as the queue's attribute says.
    pub wait_seconds: Option<u32>,
}

impl Action for ReceiveMessage<'_> {
    const NAME: &'static str = "ReceiveMessage";
    const ANSWERS: &'static [u64] = &[7000];
    type Reply = ReceivedMessage;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        to.number_if(WAIT, self.wait_seconds);
    }
}

impl<'p> FromParams<'p> for ReceiveMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            queue: given.text("queueName")?,
            wait_seconds: given.number_if(WAIT, ErrorCode::OUT_OF_RANGE)?,
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
}

impl<'p> FromParams<'p> for BatchReceiveMessage<'p> {
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal> {
        Ok(Self {
            queue: given.text("queueName")?,
            count: given.number("numOfMsg", ErrorCode::BATCH_SIZE)?,
            wait_seconds: given.number_if(WAIT, ErrorCode::OUT_OF_RANGE)?,
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
}

const WAIT: &str = "pollingWaitSeconds";
