//! Topics and their subscriptions.

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::{self, Refusal};
use serde::{Deserialize, Serialize};

use super::within;

/// A topic: its name and its attributes, with the service's defaults and ranges.
///
/// In a seed file the fields of this struct are the keys of a `[[topic]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TopicSpec {
    /// As a queue's.
    pub name: String,
    /// How its subscriptions choose.
    #[serde(default)]
    pub filter: Filter,
    /// The largest body in bytes, 1024 to 1 048 576; default 65 536.
    #[serde(default = "max_body")]
    pub max_body: u32,
}

/// How the subscriptions of a topic choose messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// By tags: `filterType` 1, the default.
    #[default]
    Tags,
    /// By routing and binding keys: `filterType` 2.
    Routing,
}

impl TopicSpec {
    /// A topic that filters by tags.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            filter: Filter::Tags,
            max_body: max_body(),
        }
    }

    /// Filters by routing keys.
    #[must_use]
    pub const fn routing(mut self) -> Self {
        self.filter = Filter::Routing;
        self
    }

    /// The largest body in bytes.
    #[must_use]
    pub const fn max_body(mut self, bytes: u32) -> Self {
        self.max_body = bytes;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Refusal> {
        limits::topic_name(&self.name)?;
        within("maxMsgSize", self.max_body.into(), 1024..=1_048_576)
    }
}

/// A subscription of a topic: where to, and which messages.
///
/// In a seed file the fields of this struct are the keys of a `[[subscription]]`; its target is `queue = "name"` or `url = "http://…"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SubscriptionSpec {
    /// The topic's name.
    pub topic: String,
    /// As a queue's, unique in its topic.
    pub name: String,
    /// Where messages go.
    #[serde(flatten)]
    pub target: Target,
    /// Messages with one of these, up to 5; all if there is none.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Messages whose routing key matches one of these, up to 5: words with dots between, `*` for one word, `#` for any number.
    #[serde(default)]
    pub binding_keys: Vec<String>,
    /// What happens when a URL does not answer.
    #[serde(default)]
    pub strategy: RetryStrategy,
    /// What is sent to a URL; a queue gets the body alone. `SIMPLIFIED` for a queue, `JSON` for a URL if not given.
    #[serde(default)]
    pub format: Option<ContentFormat>,
}

/// Where the messages of a subscription go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Into a queue of this server.
    Queue(String),
    /// To a URL that begins with `http://`.
    Url(String),
}

/// How often a push is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RetryStrategy {
    /// Three times more, each 19 to 29 seconds later.
    #[serde(rename = "BACKOFF_RETRY")]
    Backoff,
    /// After 1, 2, 4, 8 … seconds, for a day. The default.
    #[default]
    #[serde(rename = "EXPONENTIAL_DECAY_RETRY")]
    ExponentialDecay,
}

/// What is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentFormat {
    /// An object with topic, subscription, id, time and body.
    #[serde(rename = "JSON")]
    Json,
    /// The body alone.
    #[serde(rename = "SIMPLIFIED")]
    Simplified,
}

impl SubscriptionSpec {
    /// Messages of `topic` go into `queue`.
    pub fn to_queue(
        topic: impl Into<String>,
        name: impl Into<String>,
        queue: impl Into<String>,
    ) -> Self {
        Self::new(topic.into(), name.into(), Target::Queue(queue.into()))
    }

    /// Messages of `topic` go to `url`, if the server pushes.
    pub fn to_url(
        topic: impl Into<String>,
        name: impl Into<String>,
        url: impl Into<String>,
    ) -> Self {
        Self::new(topic.into(), name.into(), Target::Url(url.into()))
    }

    pub(crate) const fn new(topic: String, name: String, target: Target) -> Self {
        Self {
            topic,
            name,
            target,
            tags: Vec::new(),
            binding_keys: Vec::new(),
            strategy: RetryStrategy::ExponentialDecay,
            format: None,
        }
    }

    /// Messages with this tag, too.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Messages whose routing key matches this, too.
    #[must_use]
    pub fn binding_key(mut self, key: impl Into<String>) -> Self {
        self.binding_keys.push(key.into());
        self
    }

    /// How often a push is tried.
    #[must_use]
    pub const fn strategy(mut self, strategy: RetryStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// What is pushed.
    #[must_use]
    pub const fn format(mut self, format: ContentFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// What is pushed, or would be.
    pub(crate) fn content(&self) -> ContentFormat {
        self.format.unwrap_or(match self.target {
            Target::Queue(_) => ContentFormat::Simplified,
            Target::Url(_) => ContentFormat::Json,
        })
    }

    pub(crate) fn check(&self, filter: Filter) -> Result<(), Refusal> {
        limits::subscription_name(&self.name)?;
        if self.tags.len() > limits::MAX_TAGS {
            let message = format!("{} filter tags, over {}", self.tags.len(), limits::MAX_TAGS);
            return Err(Refusal::new(ErrorCode::TOO_MANY_FILTER_TAGS, message));
        }
        limits::tags(&self.tags)?;
        if self.binding_keys.len() > limits::MAX_TAGS {
            let message = format!("{} binding keys, over 5", self.binding_keys.len());
            return Err(Refusal::new(ErrorCode::TOO_MANY_BINDING_KEYS, message));
        }
        for key in &self.binding_keys {
            limits::routing_key(key)?;
        }
        if filter == Filter::Routing && self.binding_keys.is_empty() {
            let message = "the topic filters by routing keys, and there is no binding key";
            return Err(Refusal::new(ErrorCode::BINDING_KEY_MISSING, message));
        }
        match &self.target {
            Target::Queue(_) if self.content() != ContentFormat::Simplified => Err(Refusal::new(
                ErrorCode::QUEUE_NEEDS_SIMPLIFIED,
                "a subscription with the protocol queue needs the format SIMPLIFIED",
            )),
            Target::Queue(queue) => limits::queue_name(queue)
                .map_err(|refusal| Refusal::new(ErrorCode::ENDPOINT_FORMAT, refusal.message)),
            Target::Url(url) => check_url(url),
        }
    }
}

fn check_url(url: &str) -> Result<(), Refusal> {
    if url.contains(char::is_whitespace) {
        let message = "the endpoint has blanks";
        return Err(Refusal::new(ErrorCode::URL_WITH_BLANKS, message));
    }
    let host = url.strip_prefix("http://").unwrap_or_default();
    if host.is_empty() || host.starts_with(['/', ':', '?']) {
        let message = "the endpoint of the protocol http is http://host[:port][/path]";
        return Err(Refusal::new(ErrorCode::ENDPOINT_FORMAT, message));
    }
    Ok(())
}

const fn max_body() -> u32 {
    65_536
}
