//! Subscriptions: what of a topic goes where.

use std::fmt;

use super::{ControlClient, Result, awaited};
use crate::admin::{
    ContentFormat, NamedSubscription, PushRetry, SubscriptionAttributes, Target, time_ms,
};
use crate::error::invalid;
use crate::proto::tc3::action::{
    ClearCmqSubscriptionFilterTags, CreateCmqSubscribe, DeleteCmqSubscribe,
    ModifyCmqSubscriptionAttribute, SubscriptionState,
};

/// Makes a subscription: say [where to](Subscribe::queue), and await it, for its name and id. Made by [`ControlClient::subscribe`].
///
/// # Errors
///
/// Kind `Invalid`: no target, a URL that is none, a queue with JSON, too many tags or keys; nothing was sent.
/// [`ControlCode::SUBSCRIPTION_EXISTS`](super::ControlCode::SUBSCRIPTION_EXISTS), … as the service says. Kind `NotFound`: there is no such topic. Kind
/// `Busy`: retryable. Outcome `Unknown`: it may exist.
///
/// # Cancel safety
///
/// Dropped, the subscription may or may not exist.
#[must_use = "nothing is made until it is awaited"]
#[derive(Clone)]
pub struct Subscribe {
    client: ControlClient,
    action: CreateCmqSubscribe,
    target: Option<Target>,
}

/// Changes what a subscription was told: await it. Made by [`ControlClient::change_subscription`].
///
/// # Errors
///
/// As for [`Subscribe`].
///
/// # Cancel safety
///
/// Dropped, it may or may not be changed.
#[must_use = "nothing is changed until it is awaited"]
#[derive(Clone)]
pub struct ChangeSubscription {
    client: ControlClient,
    action: ModifyCmqSubscriptionAttribute,
}

macro_rules! settings {
    ($builder:ident $tags:ident) => {
        impl $builder {
            /// Only messages with one of these tags: up to 5, of up to 16 characters. For topics that filter by tags.
            pub fn filter_tags(
                mut self,
                tags: impl IntoIterator<Item = impl Into<String>>,
            ) -> Self {
                self.action.$tags = Some(tags.into_iter().map(Into::into).collect());
                self
            }

            /// Only messages whose routing key matches one of these: up to 5, of up to 64 bytes and 15 dots, in which `*` stands for one word
            /// and `#` for any number of them. For topics that filter by routing key.
            pub fn binding_keys(
                mut self,
                keys: impl IntoIterator<Item = impl Into<String>>,
            ) -> Self {
                self.action.binding_key = Some(keys.into_iter().map(Into::into).collect());
                self
            }

            /// How the service tries again that could not deliver; [`ExponentialDecay`](PushRetry::ExponentialDecay) by its default.
            pub fn retry(mut self, retry: PushRetry) -> Self {
                self.action.notify_strategy = Some(retry.wire_name().to_owned());
                self
            }

            /// How a message looks that is pushed; JSON by the service's default, and what goes to a queue is always
            /// [`Simplified`](ContentFormat::Simplified).
            pub fn format(mut self, format: ContentFormat) -> Self {
                self.action.notify_content_format = Some(format.wire_name().to_owned());
                self
            }
        }

        impl fmt::Debug for $builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("topic", &self.action.topic_name)
                    .field("subscription", &self.action.subscription_name)
                    .finish_non_exhaustive()
            }
        }
    };
}

settings!(Subscribe filter_tag);
settings!(ChangeSubscription filter_tags);
awaited!(Subscribe => NamedSubscription);
awaited!(ChangeSubscription => ());

impl Subscribe {
    /// Its messages go into this queue.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.target = Some(Target::Queue(name.into()));
        self
    }

    /// Its messages go to this URL (`http://…`) by POST. The service reaches public addresses only.
    pub fn http(mut self, url: impl Into<String>) -> Self {
        self.target = Some(Target::Http(url.into()));
        self
    }

    async fn ask(mut self) -> Result<NamedSubscription> {
        let action = &mut self.action;
        let (protocol, endpoint) = match &self.target {
            Some(Target::Queue(name)) => {
                let simplified = || ContentFormat::Simplified.wire_name().to_owned();
                let format = &mut action.notify_content_format;
                format.get_or_insert_with(simplified);
                ("queue", name)
            }
            Some(Target::Http(url)) => ("http", url),
            _ => return Err(invalid(SUBSCRIBE, "neither queue nor URL is given")),
        };
        protocol.clone_into(&mut action.protocol);
        endpoint.clone_into(&mut action.endpoint);
        let made = self.client.shared.call(&self.action, SUBSCRIBE).await?;
        Ok(NamedSubscription {
            target: Target::read(&self.action.protocol, self.action.endpoint),
            name: self.action.subscription_name,
            id: made.subscription_id,
        })
    }
}

impl ChangeSubscription {
    async fn ask(self) -> Result<()> {
        let call = self.client.shared.call(&self.action, CHANGE);
        call.await.map(|_| ())
    }
}

/// A subscription as the control plane describes it; where it leaves something out, empty, 0 or `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionDetail {
    /// The name.
    pub name: String,
    /// The id that the service gave it.
    pub id: String,
    /// The topic's name.
    pub topic: String,
    /// What it was told, and what it holds.
    pub attributes: SubscriptionAttributes,
}

impl From<SubscriptionState> for SubscriptionDetail {
    fn from(state: SubscriptionState) -> Self {
        Self {
            attributes: SubscriptionAttributes {
                target: Target::read(&state.protocol, state.endpoint),
                retry: PushRetry::read(&state.notify_strategy),
                format: ContentFormat::read(&state.notify_content_format),
                filter_tags: state.filter_tags,
                binding_keys: state.binding_key,
                messages: state.msg_count,
                owner: state.topic_owner,
                created: time_ms(state.create_time),
                changed: time_ms(state.last_modify_time),
            },
            name: state.subscription_name,
            id: state.subscription_id,
            topic: state.topic_name,
        }
    }
}

impl ControlClient {
    /// Makes the subscription `name` of a topic.
    pub fn subscribe(&self, topic: impl Into<String>, name: impl Into<String>) -> Subscribe {
        Subscribe {
            client: self.clone(),
            action: CreateCmqSubscribe {
                topic_name: topic.into(),
                subscription_name: name.into(),
                ..CreateCmqSubscribe::default()
            },
            target: None,
        }
    }

    /// Changes what the subscription `name` of a topic was told. What is not given stays; tags that are given replace the others.
    pub fn change_subscription(
        &self,
        topic: impl Into<String>,
        name: impl Into<String>,
    ) -> ChangeSubscription {
        ChangeSubscription {
            client: self.clone(),
            action: ModifyCmqSubscriptionAttribute {
                topic_name: topic.into(),
                subscription_name: name.into(),
                ..ModifyCmqSubscriptionAttribute::default()
            },
        }
    }

    /// Takes the filter tags from the subscription `name`: it gets all messages of its topic.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: not a name. Kind `NotFound`, or the service's own code: there is none. Kinds `Connect`, `Busy`: retryable.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be done.
    pub async fn clear_filter_tags(
        &self,
        topic: impl Into<String> + Send,
        name: impl Into<String> + Send,
    ) -> Result<()> {
        let action = ClearCmqSubscriptionFilterTags {
            topic_name: topic.into(),
            subscription_name: name.into(),
        };
        self.shared.call(&action, CHANGE).await.map(|_| ())
    }

    /// Deletes the subscription `name` of a topic.
    ///
    /// # Errors
    ///
    /// As for [`ControlClient::clear_filter_tags`]; with outcome `Unknown` it may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be deleted.
    pub async fn unsubscribe(
        &self,
        topic: impl Into<String> + Send,
        name: impl Into<String> + Send,
    ) -> Result<()> {
        let action = DeleteCmqSubscribe {
            topic_name: topic.into(),
            subscription_name: name.into(),
        };
        self.shared.call(&action, "unsubscribe").await.map(|_| ())
    }
}

const SUBSCRIBE: &str = "subscribe";
const CHANGE: &str = "change subscription";
