//! Topics: make, describe, change and delete them.

use std::fmt;
use std::time::Duration;

use super::list::tag_pairs;
use super::{ControlClient, Result, awaited, seconds_up};
use crate::admin::{Filter, Named, TopicAttributes, time_ms};
use crate::proto::tc3::action::{
    CreateCmqTopic, DeleteCmqTopic, DescribeCmqTopicDetail, ModifyCmqTopicAttribute, Tag,
    TopicState,
};

/// Makes a topic: await it, for its name and id. Made by [`ControlClient::create_topic`].
///
/// # Errors
///
/// Kind `Invalid`: a name or setting is out of the documented range; nothing was sent.
/// [`ControlCode::TOPIC_EXISTS`](super::ControlCode::TOPIC_EXISTS), [`ControlCode::TOO_MANY_TOPICS`](super::ControlCode::TOO_MANY_TOPICS), … as the
/// service says. Kind `Busy`: retryable. Outcome `Unknown`: it may exist.
///
/// # Cancel safety
///
/// Dropped, the topic may or may not exist.
#[must_use = "nothing is made until it is awaited"]
#[derive(Clone)]
pub struct CreateTopic {
    client: ControlClient,
    action: CreateCmqTopic,
}

/// Changes what a topic was told: await it. Made by [`ControlClient::change_topic`].
///
/// # Errors
///
/// As for [`CreateTopic`], and kind `NotFound`, or the service's own code.
///
/// # Cancel safety
///
/// Dropped, it may or may not be changed.
#[must_use = "nothing is changed until it is awaited"]
#[derive(Clone)]
pub struct ChangeTopic {
    client: ControlClient,
    action: ModifyCmqTopicAttribute,
}

macro_rules! settings {
    ($builder:ident) => {
        impl $builder {
            /// The largest body, in bytes; 1 KiB to 64 KiB, which is the service's default.
            pub const fn max_body(mut self, bytes: u64) -> Self {
                self.action.max_msg_size = Some(bytes);
                self
            }

            /// For how long it tries to deliver a message, in whole seconds rounded up; 1 minute to 1 day, which is the service's default.
            pub fn retention(mut self, time: Duration) -> Self {
                self.action.msg_retention_seconds = Some(seconds_up(time));
                self
            }

            /// Whether the service keeps a trace of its messages; not by its default.
            pub const fn trace(mut self, yes: bool) -> Self {
                self.action.trace = Some(yes);
                self
            }
        }

        impl fmt::Debug for $builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("action", &self.action)
                    .finish_non_exhaustive()
            }
        }
    };
}

settings!(CreateTopic);
settings!(ChangeTopic);
awaited!(CreateTopic => Named);
awaited!(ChangeTopic => ());

impl CreateTopic {
    /// By what its subscriptions choose messages; tags by the service's default. It can't be changed later.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.action.filter_type = Some(match filter {
            Filter::Tags => 1,
            Filter::Routing => 2,
        });
        self
    }

    /// Adds a tag of the resource, by which the account sorts what it has. It has nothing to do with the tags of messages.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let tags = self.action.tags.get_or_insert_default();
        tags.push(Tag {
            tag_key: key.into(),
            tag_value: value.into(),
        });
        self
    }

    async fn ask(self) -> Result<Named> {
        let call = self.client.shared.call(&self.action, "create topic");
        let id = call.await?.topic_id;
        Ok(Named {
            name: self.action.topic_name,
            id,
        })
    }
}

impl ChangeTopic {
    async fn ask(self) -> Result<()> {
        let changed = self.client.shared.call(&self.action, "change topic").await;
        changed.map(|_| ())
    }
}

/// A topic as the control plane describes it; where it leaves something out, empty, 0, `false` or `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDetail {
    /// The name.
    pub name: String,
    /// The id that the service gave it.
    pub id: String,
    /// What it was told, and what it holds.
    pub attributes: TopicAttributes,
    /// How many subscriptions it has.
    pub subscriptions: u64,
    /// How many messages a second it takes.
    pub messages_per_second: u64,
    /// Whether the service keeps a trace of its messages.
    pub trace: bool,
    /// The tags of the resource, as keys and values.
    pub tags: Vec<(String, String)>,
}

impl From<TopicState> for TopicDetail {
    fn from(state: TopicState) -> Self {
        Self {
            attributes: TopicAttributes {
                messages: state.msg_count,
                max_body: state.max_msg_size,
                retention: Duration::from_secs(state.msg_retention_seconds),
                created: time_ms(state.create_time),
                changed: time_ms(state.last_modify_time),
                filter: match state.filter_type {
                    1 => Some(Filter::Tags),
                    2 => Some(Filter::Routing),
                    _ => None,
                },
            },
            name: state.topic_name,
            id: state.topic_id,
            subscriptions: state.subscription_count,
            messages_per_second: state.qps,
            trace: state.trace,
            tags: tag_pairs(state.tags),
        }
    }
}

impl ControlClient {
    /// Makes the topic `name`. Names that differ in the case of letters only are the same.
    pub fn create_topic(&self, name: impl Into<String>) -> CreateTopic {
        CreateTopic {
            client: self.clone(),
            action: CreateCmqTopic {
                topic_name: name.into(),
                ..CreateCmqTopic::default()
            },
        }
    }

    /// Changes what the topic `name` was told. What is not given stays.
    pub fn change_topic(&self, name: impl Into<String>) -> ChangeTopic {
        ChangeTopic {
            client: self.clone(),
            action: ModifyCmqTopicAttribute {
                topic_name: name.into(),
                ..ModifyCmqTopicAttribute::default()
            },
        }
    }

    /// What the topic `name` was told, and what it holds.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: not a name of a topic. Kind `NotFound`, or the service's own code: there is none. Kinds `Connect`, `Busy`: retryable.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn describe_topic(&self, name: impl Into<String> + Send) -> Result<TopicDetail> {
        let action = DescribeCmqTopicDetail {
            topic_name: name.into(),
        };
        let detail = self.shared.call(&action, "describe topic").await?;
        Ok(detail.topic_describe.into())
    }

    /// Deletes the topic `name`. The service may refuse while it has subscriptions.
    ///
    /// # Errors
    ///
    /// As for [`ControlClient::describe_topic`]; with outcome `Unknown` it may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the topic may or may not be deleted.
    pub async fn delete_topic(&self, name: impl Into<String> + Send) -> Result<()> {
        let action = DeleteCmqTopic {
            topic_name: name.into(),
        };
        let deleted = self.shared.call(&action, "delete topic").await;
        deleted.map(|_| ())
    }
}
