//! Managing queues: `CreateQueue` and its relatives.
//!
//! Source: Tencent Cloud's documents of the CMQ API (product 406), and `queue.py` of its SDK for Python.

use serde::{Deserialize, Serialize};

use super::Action;
use super::dead_letter::{self, DeadLetterRule, DeadLetterState};
use crate::proto::Params;
use crate::proto::answer::{number, text};

/// What a queue can be told. What is not given is not sent: the service's default on creation, unchanged later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueSettings<'a> {
    /// How many messages the queue holds at most.
    pub max_messages: Option<u64>,
    /// How long a receive waits that does not say, 0 to 30.
    pub wait_seconds: Option<u32>,
    /// How long a received message is invisible, 1 to 43200.
    pub visibility_seconds: Option<u32>,
    /// The largest body, in bytes.
    pub max_body: Option<u64>,
    /// How long messages are kept.
    pub retention_seconds: Option<u32>,
    /// For how long deleted messages can be had again; 0 for not at all.
    pub rewind_seconds: Option<u32>,
    /// Where messages go that can't be consumed.
    pub dead_letter: Option<DeadLetterRule<'a>>,
}

impl QueueSettings<'_> {
    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.number_if("maxMsgHeapNum", self.max_messages);
        to.number_if("pollingWaitSeconds", self.wait_seconds);
        to.number_if("visibilityTimeout", self.visibility_seconds);
        to.number_if("maxMsgSize", self.max_body);
        to.number_if("msgRetentionSeconds", self.retention_seconds);
        to.number_if("rewindSeconds", self.rewind_seconds);
        if let Some(rule) = &self.dead_letter {
            to.text("deadLetterPolicy", rule.json());
        }
    }
}

/// Makes a queue.
#[derive(Debug, Clone, Copy)]
pub struct CreateQueue<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// What is not left to the service.
    pub settings: QueueSettings<'a>,
}

impl Action for CreateQueue<'_> {
    const NAME: &'static str = "CreateQueue";
    type Reply = QueueCreated;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        self.settings.params(to);
    }
}

/// The answer to [`CreateQueue`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCreated {
    /// The service's id of the queue, such as `queue-1a2b3c4d`.
    #[serde(default, rename = "queueId", deserialize_with = "text")]
    pub id: String,
}

/// Changes what a queue was told.
#[derive(Debug, Clone, Copy)]
pub struct SetQueueAttributes<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// What is to change.
    pub settings: QueueSettings<'a>,
}

impl Action for SetQueueAttributes<'_> {
    const NAME: &'static str = "SetQueueAttributes";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        self.settings.params(to);
    }
}

/// An answer without fields of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// Reads what a queue was told, and what it holds.
#[derive(Debug, Clone, Copy)]
pub struct GetQueueAttributes<'a> {
    /// The queue's name.
    pub queue: &'a str,
}

impl Action for GetQueueAttributes<'_> {
    const NAME: &'static str = "GetQueueAttributes";
    type Reply = QueueState;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
    }
}

/// The answer to [`GetQueueAttributes`]. Times are seconds since the Unix epoch; what the service leaves out is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueState {
    /// How many messages it holds at most.
    #[serde(rename = "maxMsgHeapNum", deserialize_with = "number")]
    pub max_messages: u64,
    /// How long a receive waits that does not say.
    #[serde(rename = "pollingWaitSeconds", deserialize_with = "number")]
    pub wait_seconds: u64,
    /// How long a received message is invisible.
    #[serde(rename = "visibilityTimeout", deserialize_with = "number")]
    pub visibility_seconds: u64,
    /// The largest body, in bytes.
    #[serde(rename = "maxMsgSize", deserialize_with = "number")]
    pub max_body: u64,
    /// How long messages are kept.
    #[serde(rename = "msgRetentionSeconds", deserialize_with = "number")]
    pub retention_seconds: u64,
    /// For how long deleted messages can be had again.
    #[serde(rename = "rewindSeconds", deserialize_with = "number")]
    pub rewind_seconds: u64,
    /// When it was made.
    #[serde(rename = "createTime", deserialize_with = "number")]
    pub created: u64,
    /// When its settings were changed.
    #[serde(rename = "lastModifyTime", deserialize_with = "number")]
    pub changed: u64,
    /// Messages that can be received, about.
    #[serde(rename = "activeMsgNum", deserialize_with = "number")]
    pub active: u64,
    /// Messages that were received and not deleted, about.
    #[serde(rename = "inactiveMsgNum", deserialize_with = "number")]
    pub inactive: u64,
    /// Messages that were deleted and can be had again.
    #[serde(rename = "rewindmsgNum", deserialize_with = "number")]
    pub rewindable: u64,
    /// The same, under the name that the SDK for Java reads, and can't do without.
    #[serde(rename = "rewindMsgNum", deserialize_with = "number")]
    pub rewindable_too: u64,
    /// When the oldest message was sent that was not deleted.
    #[serde(rename = "minMsgTime", deserialize_with = "number")]
    pub oldest: u64,
    /// Messages whose delay has not ended.
    #[serde(rename = "delayMsgNum", deserialize_with = "number")]
    pub delayed: u64,
    /// Where messages go that can't be consumed.
    #[serde(
        rename = "deadLetterPolicy",
        deserialize_with = "dead_letter::state",
        skip_serializing_if = "Option::is_none"
    )]
    pub dead_letter: Option<DeadLetterState>,
    /// The queues whose dead letters come here.
    #[serde(rename = "deadLetterSource", skip_serializing_if = "Option::is_none")]
    pub dead_letter_sources: Option<Vec<QueueName>>,
}

/// Name and id of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueName {
    /// The service's id.
    #[serde(default, rename = "queueId", deserialize_with = "text")]
    pub id: String,
    /// The name.
    #[serde(rename = "queueName", deserialize_with = "text")]
    pub name: String,
}

/// Deletes a queue and all of its messages.
#[derive(Debug, Clone, Copy)]
pub struct DeleteQueue<'a> {
    /// The queue's name.
    pub queue: &'a str,
}

impl Action for DeleteQueue<'_> {
    const NAME: &'static str = "DeleteQueue";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
    }
}

/// Deletes all messages of a queue.
#[derive(Debug, Clone, Copy)]
pub struct ClearQueue<'a> {
    /// The queue's name.
    pub queue: &'a str,
}

impl Action for ClearQueue<'_> {
    const NAME: &'static str = "ClearQueue";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
    }
}

/// Makes messages visible again that were deleted.
#[derive(Debug, Clone, Copy)]
pub struct RewindQueue<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// What was sent then and later comes again; in seconds since the Unix epoch.
    pub from: u64,
}

impl Action for RewindQueue<'_> {
    const NAME: &'static str = "RewindQueue";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("queueName", self.queue);
        to.number("startConsumeTime", self.from);
    }
}

/// Takes a queue's dead letters from it: they stay where they are.
#[derive(Debug, Clone, Copy)]
pub struct UnbindDeadLetter<'a> {
    /// The name of the queue that the letters come from.
    pub source: &'a str,
}

impl Action for UnbindDeadLetter<'_> {
    const NAME: &'static str = "UnbindDeadLetter";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("sourceQueueName", self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::answer;

    #[test]
    fn settings_are_sent_as_far_as_they_are_given() {
        let rule = DeadLetterRule {
            queue: "dead",
            policy: 0,
            max_receives: Some(3),
            max_age_seconds: None,
        };
        let action = CreateQueue {
            queue: "q",
            settings: QueueSettings {
                visibility_seconds: Some(7),
                dead_letter: Some(rule),
                ..QueueSettings::default()
            },
        };
        let mut params = Params::new();
        action.params(&mut params);
        let pairs: Vec<_> = params.pairs().iter().map(|(k, v)| (&**k, &**v)).collect();
        let expected = [
            ("queueName", "q"),
            ("visibilityTimeout", "7"),
            (
                "deadLetterPolicy",
                r#"{"deadLetterQueue":"dead","policy":0,"maxReceiveCount":3}"#,
            ),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_state_comes_back_with_the_types_that_clients_read() {
        let state = QueueState {
            retention_seconds: 345_600,
            active: 7,
            dead_letter: Some(DeadLetterState {
                queue: "dead".into(),
                max_receives: 3,
                ..DeadLetterState::default()
            }),
            ..QueueState::default()
        };
        let text = serde_json::to_string(&state).unwrap();
        // Python's client indexes all of them, Java's reads ints.
        assert!(text.contains(r#""msgRetentionSeconds":345600"#), "{text}");
        assert!(text.contains(r#""delayMsgNum":0"#), "{text}");
        assert!(text.contains(r#""rewindmsgNum":0"#), "{text}");
        assert!(text.contains(r#""rewindMsgNum":0"#), "{text}");
        assert_eq!(answer::parse::<QueueState>(text.as_bytes()).unwrap(), state);
        let sparse = answer::parse::<QueueState>(br#"{"code":0,"visibilityTimeout":"30"}"#);
        assert_eq!(sparse.unwrap().visibility_seconds, 30);
    }
}
