//! Messages: there is sending and publishing, and no receiving. Source: Tencent Cloud, product 1110: `SendCmqMsg`, `PublishCmqMsg`.

use super::Action;
use crate::proto::tc3::limits::{Refusal, body, name, tags, within};

request! {
    /// Sends a message to a queue.
    SendCmqMsg {
        /// The queue's name.
        queue_name: String,
        /// The body.
        msg_content: String,
        ;
        /// After how many seconds it is visible; not longer than the queue keeps messages.
        delay_seconds ? u64,
    }
}

impl Action for SendCmqMsg {
    const NAME: &'static str = "SendCmqMsg";
    type Reply = Stored;

    fn check(&self) -> Result<(), Refusal> {
        name("QueueName", &self.queue_name)?;
        within("DelaySeconds", self.delay_seconds, 0..=u32::MAX.into(), "s")?;
        body("MsgContent", &self.msg_content)
    }
}

request! {
    /// Publishes a message to a topic.
    PublishCmqMsg {
        /// The topic's name.
        topic_name: String,
        /// The body.
        msg_content: String,
        ;
        /// Tags, or one routing key; each of up to 64 characters.
        msg_tag ? Vec<String>,
    }
}

impl Action for PublishCmqMsg {
    const NAME: &'static str = "PublishCmqMsg";
    type Reply = Stored;

    fn check(&self) -> Result<(), Refusal> {
        name("TopicName", &self.topic_name)?;
        tags("MsgTag", self.msg_tag.as_deref().unwrap_or_default(), 64)?;
        body("MsgContent", &self.msg_content)
    }
}

reply! {
    /// A message was stored, or not.
    Stored {
        /// Whether it was, where that is said.
        result: Option<bool>,
        /// Its id.
        msg_id: String,
        ;
    }
}
