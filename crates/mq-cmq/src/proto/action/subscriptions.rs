//! Subscriptions of a topic: `Subscribe` and its relatives.
//!
//! Source: Tencent Cloud's documents of the CMQ API (product 406), `subscription.py` of its SDK for Python and `Subscription.java` of that
//! for Java, which read two fields under different names.

use serde::{Deserialize, Serialize};

use super::{Action, Done};
use crate::proto::Params;
use crate::proto::answer::{number, text};

/// Makes a subscription.
#[derive(Debug, Clone)]
pub struct Subscribe<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The subscription's name.
    pub subscription: &'a str,
    /// `queue` or `http`.
    pub protocol: &'a str,
    /// A queue's name, or a URL.
    pub endpoint: &'a str,
    /// How it is delivered and chosen.
    pub settings: SubscriptionSettings<'a>,
}

/// What a subscription can be told. What is not given is not sent.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionSettings<'a> {
    /// `BACKOFF_RETRY` or `EXPONENTIAL_DECAY_RETRY`.
    pub strategy: Option<&'a str>,
    /// `JSON` or `SIMPLIFIED`.
    pub format: Option<&'a str>,
    /// Up to 5: messages with one of them.
    pub filter_tags: &'a [String],
    /// Up to 5: messages whose routing key matches one of them.
    pub binding_keys: &'a [String],
}

impl SubscriptionSettings<'_> {
    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text_if("notifyStrategy", self.strategy);
        to.text_if("notifyContentFormat", self.format);
        to.list("filterTag", self.filter_tags.iter().map(String::as_str));
        to.list("bindingKey", self.binding_keys.iter().map(String::as_str));
    }
}

impl Action for Subscribe<'_> {
    const NAME: &'static str = "Subscribe";
    type Reply = Subscribed;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.text("subscriptionName", self.subscription);
        to.text("protocol", self.protocol);
        to.text("endpoint", self.endpoint);
        self.settings.params(to);
    }
}

/// The answer to [`Subscribe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The service's id of the subscription.
    #[serde(default, rename = "subscriptionId", deserialize_with = "text")]
    pub id: String,
}

/// Changes what a subscription was told.
#[derive(Debug, Clone)]
pub struct SetSubscriptionAttributes<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The subscription's name.
    pub subscription: &'a str,
    /// What is to change.
    pub settings: SubscriptionSettings<'a>,
}

impl Action for SetSubscriptionAttributes<'_> {
    const NAME: &'static str = "SetSubscriptionAttributes";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.text("subscriptionName", self.subscription);
        self.settings.params(to);
    }
}

/// Reads what a subscription was told, and what it holds.
#[derive(Debug, Clone, Copy)]
pub struct GetSubscriptionAttributes<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The subscription's name.
    pub subscription: &'a str,
}

impl Action for GetSubscriptionAttributes<'_> {
    const NAME: &'static str = "GetSubscriptionAttributes";
    type Reply = SubscriptionState;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.text("subscriptionName", self.subscription);
    }
}

/// The answer to [`GetSubscriptionAttributes`]. Times are seconds since the Unix epoch; what the service leaves out is 0 or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Fields", into = "Fields")]
pub struct SubscriptionState {
    /// The account that owns the topic.
    pub owner: u64,
    /// A queue's name, or a URL.
    pub endpoint: String,
    /// `queue` or `http`.
    pub protocol: String,
    /// `BACKOFF_RETRY` or `EXPONENTIAL_DECAY_RETRY`.
    pub strategy: String,
    /// `JSON` or `SIMPLIFIED`.
    pub format: String,
    /// When it was made.
    pub created: u64,
    /// When its settings were changed.
    pub changed: u64,
    /// Messages that are still to be delivered, about.
    pub messages: u64,
    /// Messages with one of these.
    pub filter_tags: Vec<String>,
    /// Messages whose routing key matches one of these.
    pub binding_keys: Vec<String>,
}

/// As it travels: with both names of what Java's and Python's clients call differently.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Fields {
    #[serde(deserialize_with = "number")]
    topic_owner: u64,
    #[serde(deserialize_with = "text")]
    endpoint: String,
    #[serde(deserialize_with = "text")]
    protocol: String,
    #[serde(deserialize_with = "text")]
    protocal: String,
    #[serde(deserialize_with = "text")]
    notify_strategy: String,
    #[serde(deserialize_with = "text")]
    notify_content_format: String,
    #[serde(deserialize_with = "number")]
    create_time: u64,
    #[serde(deserialize_with = "number")]
    last_modify_time: u64,
    #[serde(deserialize_with = "number")]
    msg_count: u64,
    filter_tags: Option<Vec<String>>,
    filter_tag: Option<Vec<String>>,
    binding_key: Option<Vec<String>>,
}

impl From<Fields> for SubscriptionState {
    fn from(fields: Fields) -> Self {
        let tags = fields.filter_tags.or(fields.filter_tag);
        Self {
            owner: fields.topic_owner,
            endpoint: fields.endpoint,
            protocol: if fields.protocol.is_empty() {
                fields.protocal
            } else {
                fields.protocol
            },
            strategy: fields.notify_strategy,
            format: fields.notify_content_format,
            created: fields.create_time,
            changed: fields.last_modify_time,
            messages: fields.msg_count,
            filter_tags: tags.unwrap_or_default(),
            binding_keys: fields.binding_key.unwrap_or_default(),
        }
    }
}

impl From<SubscriptionState> for Fields {
    fn from(state: SubscriptionState) -> Self {
        Self {
            topic_owner: state.owner,
            endpoint: state.endpoint,
            protocol: state.protocol.clone(),
            protocal: state.protocol,
            notify_strategy: state.strategy,
            notify_content_format: state.format,
            create_time: state.created,
            last_modify_time: state.changed,
            msg_count: state.messages,
            filter_tags: Some(state.filter_tags.clone()),
            filter_tag: Some(state.filter_tags),
            binding_key: Some(state.binding_keys),
        }
    }
}

/// Deletes a subscription.
#[derive(Debug, Clone, Copy)]
pub struct Unsubscribe<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The subscription's name.
    pub subscription: &'a str,
}

impl Action for Unsubscribe<'_> {
    const NAME: &'static str = "Unsubscribe";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.text("subscriptionName", self.subscription);
    }
}

/// Takes a subscription's filter tags away: it gets all messages.
#[derive(Debug, Clone, Copy)]
pub struct ClearSubscriptionFilterTags<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The subscription's name.
    pub subscription: &'a str,
}

impl Action for ClearSubscriptionFilterTags<'_> {
    const NAME: &'static str = "ClearSubscriptionFilterTags";
    type Reply = Done;

    fn params<'a>(&'a self, to: &mut Params<'a>) {
        to.text("topicName", self.topic);
        to.text("subscriptionName", self.subscription);
    }
}

/// Name, id and target of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionName {
    /// The service's id.
    #[serde(default, rename = "subscriptionId", deserialize_with = "text")]
    pub id: String,
    /// The name.
    #[serde(rename = "subscriptionName", deserialize_with = "text")]
    pub name: String,
    /// `queue` or `http`.
    #[serde(default, deserialize_with = "text")]
    pub protocol: String,
    /// A queue's name, or a URL.
    #[serde(default, deserialize_with = "text")]
    pub endpoint: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::answer;

    #[test]
    fn a_state_is_read_by_all_names_and_written_with_both() {
        let state = SubscriptionState {
            protocol: "queue".into(),
            filter_tags: vec!["a".into()],
            ..SubscriptionState::default()
        };
        let text = serde_json::to_string(&state).unwrap();
        for field in [
            r#""protocol":"queue""#,
            r#""protocal":"queue""#,
            r#""filterTag":["a"]"#,
            r#""filterTags":["a"]"#,
        ] {
            assert!(text.contains(field), "{text}");
        }
        for text in [
            text.as_str(),
            r#"{"protocal":"queue","filterTag":["a"],"bindingKey":null}"#,
            r#"{"protocol":"queue","filterTags":["a"],"msgCount":"0"}"#,
        ] {
            let read = answer::parse::<SubscriptionState>(text.as_bytes());
            assert_eq!(read.unwrap(), state, "{text}");
        }
    }
}
