//! Messages by way of the control plane: single ones, for tests and tools. There is no receiving here.

use std::time::Duration;

use super::{ControlClient, Result, shared};
use crate::message::{Message, Receipt, TopicMessage};
use crate::proto::tc3::Refusal;
use crate::proto::tc3::action::{PublishCmqMsg, SendCmqMsg, Stored};

impl ControlClient {
    /// Sends one message to the queue `queue`; resolves when the service has it. The control plane takes some tens of requests a second: for more there
    /// is [`Queue::send`](crate::Queue::send).
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: name, body or delay are not acceptable; nothing was sent. Kind `NotFound`, or the service's own code: there is no such queue.
    /// Kinds `Connect`, `Busy`: nothing was stored; retryable. Outcome `Unknown`: it may be stored, and sent again it may be stored twice.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the message may or may not be stored.
    pub async fn send(
        &self,
        queue: impl Into<String> + Send,
        message: impl Into<Message> + Send,
    ) -> Result<Receipt> {
        let message = message.into();
        let now = self.shared.clock.wall();
        let delay = message.delay_seconds(now, None).map_err(|_| {
            let refusal = Refusal::value("DelaySeconds", format!("is over {} s", u32::MAX));
            shared::refused(SEND, refusal)
        })?;
        let action = SendCmqMsg {
            queue_name: queue.into(),
            msg_content: message.body().to_owned(),
            delay_seconds: delay.map(u64::from),
        };
        let stored = self.shared.call(&action, SEND).await?;
        let due = delay.and_then(|delay| now.checked_add(Duration::from_secs(delay.into())));
        self.receipt(stored, due, SEND)
    }

    /// Publishes one message to the topic `topic`; resolves when the service has it. Tags and routing key travel in one field: a message has either.
    ///
    /// # Errors
    ///
    /// As for [`ControlClient::send`]; kind `Invalid`, too, for a message with tags and a routing key.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the message may or may not be stored.
    pub async fn publish(
        &self,
        topic: impl Into<String> + Send,
        message: impl Into<TopicMessage> + Send,
    ) -> Result<Receipt> {
        let message = message.into();
        let mut tags = message.tags().to_vec();
        if let Some(key) = message.key() {
            if !tags.is_empty() {
                let why = format!("has {} tags and a routing key, expected either", tags.len());
                return Err(shared::refused(PUBLISH, Refusal::value("MsgTag", why)));
            }
            tags.push(key.to_owned());
        }
        let action = PublishCmqMsg {
            topic_name: topic.into(),
            msg_content: message.body().to_owned(),
            msg_tag: Some(tags).filter(|tags| !tags.is_empty()),
        };
        let stored = self.shared.call(&action, PUBLISH).await?;
        self.receipt(stored, None, PUBLISH)
    }

    fn receipt(
        &self,
        stored: Stored,
        due: Option<std::time::SystemTime>,
        operation: &'static str,
    ) -> Result<Receipt> {
        match stored {
            Stored {
                result: None | Some(true),
                msg_id,
            } if !msg_id.is_empty() => Ok(Receipt::new(msg_id, due)),
            _ => {
                let message = "the service did not store the message, and did not say why";
                Err(self.shared.not_done(operation, message))
            }
        }
    }
}

const SEND: &str = "send";
const PUBLISH: &str = "publish";
