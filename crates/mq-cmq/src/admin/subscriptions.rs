//! Subscriptions: what of a topic goes where.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use super::{ContentFormat, PushRetry, Target, time};
use crate::client::Call;
use crate::error::{Result, invalid, refused};
use crate::proto::action::{
    self, ClearSubscriptionFilterTags, GetSubscriptionAttributes, SetSubscriptionAttributes,
    SubscriptionSettings, SubscriptionState, Unsubscribe,
};
use crate::proto::limits::{self, Refusal};
use crate::topic::Topic;

#[derive(Debug, Clone, Default)]
struct Wishes {
    retry: Option<PushRetry>,
    format: Option<ContentFormat>,
    tags: Vec<String>,
    keys: Vec<String>,
}

impl Wishes {
    fn settings(&self) -> Result<SubscriptionSettings<'_>, Refusal> {
        limits::filter_tags(&self.tags)?;
        limits::binding_keys(&self.keys)?;
        Ok(SubscriptionSettings {
            strategy: self.retry.map(PushRetry::wire_name),
            format: self.format.map(ContentFormat::wire_name),
            filter_tags: &self.tags,
            binding_keys: &self.keys,
        })
    }
}

macro_rules! settings {
    ($builder:ident) => {
        impl $builder {
            /// Only messages with one of these tags: up to 5, of up to 16 characters. For topics that filter by tags.
            pub fn filter_tags(
                mut self,
                tags: impl IntoIterator<Item = impl Into<String>>,
            ) -> Self {
                self.wishes.tags = tags.into_iter().map(Into::into).collect();
                self
            }

            /// Only messages whose routing key matches one of these: up to 5, of up to 64 bytes and 15 dots, in which `*` stands for one word
            /// and `#` for any number of them. For topics that filter by routing key.
            pub fn binding_keys(
                mut self,
                keys: impl IntoIterator<Item = impl Into<String>>,
            ) -> Self {
                self.wishes.keys = keys.into_iter().map(Into::into).collect();
                self
            }

            /// How the service tries again that could not deliver.
            pub const fn retry(mut self, retry: PushRetry) -> Self {
                self.wishes.retry = Some(retry);
                self
            }

            /// How a message looks that is pushed; JSON by the service's default, and what goes to a queue is always
            /// [`Simplified`](ContentFormat::Simplified).
            pub const fn format(mut self, format: ContentFormat) -> Self {
                self.wishes.format = Some(format);
                self
            }
        }

        impl fmt::Debug for $builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("wishes", &self.wishes)
                    .finish_non_exhaustive()
            }
        }
    };
}

/// Makes a subscription: say [where to](Subscribe::queue), and await it. Made by [`Topic::subscribe`].
///
/// # Errors
///
/// Kind `Invalid`, with the service's code: no target, a URL that is none, a queue with JSON, too many tags or keys; nothing was sent.
/// [`ErrorCode::SUBSCRIPTION_EXISTS`](crate::ErrorCode::SUBSCRIPTION_EXISTS), … as the service says. Kind `NotFound`: there is no such topic. Kind
/// `Unsupported`: the endpoint has no management. Outcome `Unknown`: it may exist.
///
/// # Cancel safety
///
/// Dropped, the subscription may or may not exist.
#[must_use = "nothing is made until it is awaited"]
#[derive(Clone)]
pub struct Subscribe {
    topic: Topic,
    name: String,
    target: Option<Target>,
    wishes: Wishes,
}

impl Subscribe {
    /// Its messages go into this queue.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.target = Some(Target::Queue(name.into()));
        self
    }

    /// Its messages go to this URL (`http://…`) by POST.
    pub fn http(mut self, url: impl Into<String>) -> Self {
        self.target = Some(Target::Http(url.into()));
        self
    }

    async fn make(mut self) -> Result<Subscription> {
        let refuse = |refusal| refused(SUBSCRIBE, refusal);
        let subscription = self.topic.subscription(&self.name)?;
        let (protocol, endpoint) = match &self.target {
            Some(Target::Queue(name)) => {
                limits::queue_target(name, self.wishes.format == Some(ContentFormat::Json))
                    .map_err(refuse)?;
                self.wishes.format = Some(ContentFormat::Simplified);
                ("queue", name)
            }
            Some(Target::Http(url)) => {
                limits::push_url(url).map_err(refuse)?;
                ("http", url)
            }
            _ => return Err(invalid(SUBSCRIBE, "neither queue nor URL is given")),
        };
        let action = action::Subscribe {
            topic: self.topic.name(),
            subscription: &self.name,
            protocol,
            endpoint,
            settings: self.wishes.settings().map_err(refuse)?,
        };
        let call = Call::new(SUBSCRIBE);
        self.topic.shared().call(&action, call).await?;
        Ok(subscription)
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<Subscription>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

/// Changes what a subscription was told: await it. Made by [`Subscription::change`].
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
    subscription: Subscription,
    wishes: Wishes,
}

impl IntoFuture for ChangeSubscription {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let settings = self.wishes.settings();
            let topic = &self.subscription.topic;
            let action = SetSubscriptionAttributes {
                topic: topic.name(),
                subscription: &self.subscription.name,
                settings: settings.map_err(|refusal| refused(CHANGE, refusal))?,
            };
            let changed = topic.shared().call(&action, Call::new(CHANGE));
            changed.await.map(|_| ())
        })
    }
}

settings!(Subscribe);
settings!(ChangeSubscription);

/// A subscription of a topic. Cheap to clone; made by [`Topic::subscribe`] and [`Topic::subscription`].
#[derive(Debug, Clone)]
pub struct Subscription {
    topic: Topic,
    name: Arc<str>,
}

/// What a subscription was told, and what it holds; of a service that leaves something out, empty, 0 or `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionAttributes {
    /// Where its messages go.
    pub target: Target,
    /// How the service tries again.
    pub retry: Option<PushRetry>,
    /// How a message looks that is pushed.
    pub format: Option<ContentFormat>,
    /// Only messages with one of these tags.
    pub filter_tags: Vec<String>,
    /// Only messages whose routing key matches one of these.
    pub binding_keys: Vec<String>,
    /// Messages that are still to be delivered, about.
    pub messages: u64,
    /// The account that owns the topic.
    pub owner: u64,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// When its settings were changed.
    pub changed: Option<SystemTime>,
}

impl From<SubscriptionState> for SubscriptionAttributes {
    fn from(state: SubscriptionState) -> Self {
        Self {
            target: Target::read(&state.protocol, state.endpoint),
            retry: PushRetry::read(&state.strategy),
            format: ContentFormat::read(&state.format),
            filter_tags: state.filter_tags,
            binding_keys: state.binding_keys,
            messages: state.messages,
            owner: state.owner,
            created: time(state.created),
            changed: time(state.changed),
        }
    }
}

impl Topic {
    /// Makes the subscription `name`. On TDMQ subscriptions are made by its control plane ([`ControlClient`](crate::ControlClient)) or in the console.
    pub fn subscribe(&self, name: impl Into<String>) -> Subscribe {
        Subscribe {
            topic: self.clone(),
            name: name.into(),
            target: None,
            wishes: Wishes::default(),
        }
    }

    /// A handle of the subscription `name`; nothing is sent.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`,
    /// [`ErrorCode::SUBSCRIPTION_NAME_FORMAT`](crate::ErrorCode::SUBSCRIPTION_NAME_FORMAT): as for [`Client::queue`](crate::Client::queue).
    pub fn subscription(&self, name: &str) -> Result<Subscription> {
        limits::subscription_name(name).map_err(|refusal| refused(SUBSCRIBE, refusal))?;
        Ok(Subscription {
            topic: self.clone(),
            name: name.into(),
        })
    }
}

impl Subscription {
    /// The subscription's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the subscription was told, and what it holds.
    ///
    /// # Errors
    ///
    /// Kind `NotFound`, or the service's own code: there is none. Kind `Unsupported`: the endpoint has no management. Kinds `Connect`, `Busy`: retryable.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has changed.
    pub async fn attributes(&self) -> Result<SubscriptionAttributes> {
        let action = GetSubscriptionAttributes {
            topic: self.topic.name(),
            subscription: &self.name,
        };
        let call = Call::new("read attributes");
        Ok(self.topic.shared().call(&action, call).await?.into())
    }

    /// Changes what the subscription was told. What is not given stays; tags that are given replace the others.
    pub fn change(&self) -> ChangeSubscription {
        ChangeSubscription {
            subscription: self.clone(),
            wishes: Wishes::default(),
        }
    }

    /// Takes the filter tags away: it gets all messages.
    ///
    /// # Errors
    ///
    /// As for [`Subscription::attributes`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be done.
    pub async fn clear_filter_tags(&self) -> Result<()> {
        let action = ClearSubscriptionFilterTags {
            topic: self.topic.name(),
            subscription: &self.name,
        };
        let cleared = self.topic.shared().call(&action, Call::new(CHANGE));
        cleared.await.map(|_| ())
    }

    /// Deletes the subscription.
    ///
    /// # Errors
    ///
    /// As for [`Subscription::attributes`]; with outcome `Unknown` it may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not be deleted.
    pub async fn unsubscribe(&self) -> Result<()> {
        let action = Unsubscribe {
            topic: self.topic.name(),
            subscription: &self.name,
        };
        let deleted = self.topic.shared().call(&action, Call::new("unsubscribe"));
        deleted.await.map(|_| ())
    }
}

const SUBSCRIBE: &str = "subscribe";
const CHANGE: &str = "change subscription";
