//! Topics: make, describe, change and delete them.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use super::time;
use crate::client::{Call, Client};
use crate::error::{Result, refused};
use crate::proto::action::{self, DeleteTopic, GetTopicAttributes, SetTopicAttributes, TopicState};
use crate::proto::limits;
use crate::topic::Topic;

/// By what subscriptions of a topic choose messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filter {
    /// By tags: the service's default.
    Tags,
    /// By routing key.
    Routing,
}

/// Makes a topic: await it. Made by [`Client::create_topic`].
///
/// # Errors
///
/// Kind `Invalid`: a name or size that can't be; nothing was sent. Kind `Unsupported`: the endpoint has no management. The service's own
/// codes, such as [`ErrorCode::TOO_MANY_TOPICS`](crate::ErrorCode::TOO_MANY_TOPICS). Outcome `Unknown`: it may exist.
///
/// # Cancel safety
///
/// Dropped, the topic may or may not exist.
#[must_use = "nothing is made until it is awaited"]
#[derive(Clone)]
pub struct CreateTopic {
    client: Client,
    name: String,
    max_body: Option<usize>,
    filter: Option<Filter>,
}

impl CreateTopic {
    /// By what its subscriptions choose messages; tags by the service's default. It can't be changed later.
    pub const fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// The largest body, in bytes; 1 KiB to 1 MiB (64 KiB on the older service).
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = Some(bytes);
        self
    }
}

impl IntoFuture for CreateTopic {
    type Output = Result<Topic>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let topic = self.client.topic(&self.name)?;
            let max_body = self.max_body.map(limits::max_body).transpose();
            let action = action::CreateTopic {
                topic: topic.name(),
                max_body: max_body.map_err(|refusal| refused(CREATE, refusal))?,
                filter: self.filter.map(|filter| match filter {
                    Filter::Tags => 1,
                    Filter::Routing => 2,
                }),
            };
            topic.shared().call(&action, Call::new(CREATE)).await?;
            Ok(topic)
        })
    }
}

impl fmt::Debug for CreateTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateTopic")
            .field("name", &self.name)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

/// What a topic was told, and what it holds; of a service that leaves something out, 0 or `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicAttributes {
    /// Messages that are still to be delivered to a subscription, about.
    pub messages: u64,
    /// The largest body, in bytes.
    pub max_body: u64,
    /// For how long it tries to deliver.
    pub retention: Duration,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// When its settings were changed.
    pub changed: Option<SystemTime>,
    /// By what its subscriptions choose messages; `None` where the service says neither.
    pub filter: Option<Filter>,
}

impl From<TopicState> for TopicAttributes {
    fn from(state: TopicState) -> Self {
        Self {
            messages: state.messages,
            max_body: state.max_body,
            retention: Duration::from_secs(state.retention_seconds),
            created: time(state.created),
            changed: time(state.changed),
            filter: match state.filter {
                1 => Some(Filter::Tags),
                2 => Some(Filter::Routing),
                _ => None,
            },
        }
    }
}

impl Client {
    /// Makes the topic `name`, and gives a handle of it. On TDMQ topics are made by its control plane ([`ControlClient`](crate::ControlClient)) or in the console.
    pub fn create_topic(&self, name: impl Into<String>) -> CreateTopic {
        CreateTopic {
            client: self.clone(),
            name: name.into(),
            max_body: None,
            filter: None,
        }
    }

    /// Deletes the topic `name`. The service may refuse while it has subscriptions.
    ///
    /// # Errors
    ///
    /// Kind `NotFound`: there is none.
    /// [`ErrorCode::TOPIC_HAS_SUBSCRIPTIONS`](crate::ErrorCode::TOPIC_HAS_SUBSCRIPTIONS). Kind `Invalid`: not a name of a topic. Outcome
    /// `Unknown`: it may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the topic may or may not be deleted.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        let topic = self.topic(name)?;
        let action = DeleteTopic { topic: name };
        let deleted = topic.shared().call(&action, Call::new("delete topic"));
        deleted.await.map(|_| ())
    }
}

impl Topic {
    /// What the topic was told, and what it holds.
    ///
    /// # Errors
    ///
    /// Kind `NotFound`: there is no such topic. Kind `Unsupported`: the endpoint has no management. Kinds `Connect`, `Busy`: retryable.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn attributes(&self) -> Result<TopicAttributes> {
        let action = GetTopicAttributes { topic: self.name() };
        let call = Call::new("read attributes");
        Ok(self.shared().call(&action, call).await?.into())
    }

    /// Changes the largest body: 1 KiB to 1 MiB (64 KiB on the older service).
    ///
    /// # Errors
    ///
    /// As for [`Topic::attributes`], and kind `Invalid` for a size that can't be.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be changed.
    pub async fn set_max_body(&self, bytes: usize) -> Result<()> {
        let max_body = limits::max_body(bytes).map_err(|refusal| refused(CHANGE, refusal))?;
        let action = SetTopicAttributes {
            topic: self.name(),
            max_body: Some(max_body),
        };
        let changed = self.shared().call(&action, Call::new(CHANGE));
        changed.await.map(|_| ())
    }
}

const CREATE: &str = "create topic";
const CHANGE: &str = "change topic";
