//! Subscriptions. Source: Tencent Cloud, product 1110: `CreateCmqSubscribe` and its relatives.

use super::{Action, Done, page};
use crate::proto::tc3::limits::{Refusal, keys, name, tags, target};

request! {
    /// Makes a subscription.
    CreateCmqSubscribe {
        /// The topic's name.
        topic_name: String,
        /// The subscription's name.
        subscription_name: String,
        /// `queue` or `http`.
        protocol: String,
        /// A queue's name, or a URL.
        endpoint: String,
        ;
        /// `BACKOFF_RETRY` or `EXPONENTIAL_DECAY_RETRY`.
        notify_strategy ? String,
        /// Only messages with one of these tags; up to 5, of up to 16 characters.
        filter_tag ? Vec<String>,
        /// Only messages whose routing key matches one of these; up to 5.
        binding_key ? Vec<String>,
        /// `JSON` or `SIMPLIFIED`.
        notify_content_format ? String,
    }
}

impl Action for CreateCmqSubscribe {
    const NAME: &'static str = "CreateCmqSubscribe";
    type Reply = SubscriptionCreated;

    fn check(&self) -> Result<(), Refusal> {
        names(&self.topic_name, &self.subscription_name)?;
        let format = self.notify_content_format.as_deref();
        words(self.notify_strategy.as_deref(), format)?;
        target(&self.protocol, &self.endpoint, format)?;
        let (of_tags, of_keys) = (self.filter_tag.as_deref(), self.binding_key.as_deref());
        filters("FilterTag", of_tags, of_keys)
    }
}

request! {
    /// Changes what a subscription was told.
    ModifyCmqSubscriptionAttribute {
        /// The topic's name.
        topic_name: String,
        /// The subscription's name.
        subscription_name: String,
        ;
        /// `BACKOFF_RETRY` or `EXPONENTIAL_DECAY_RETRY`.
        notify_strategy ? String,
        /// `JSON` or `SIMPLIFIED`.
        notify_content_format ? String,
        /// As `filter_tag` of [`CreateCmqSubscribe`], under another name.
        filter_tags ? Vec<String>,
        /// Only messages whose routing key matches one of these; up to 5.
        binding_key ? Vec<String>,
    }
}

impl Action for ModifyCmqSubscriptionAttribute {
    const NAME: &'static str = "ModifyCmqSubscriptionAttribute";
    type Reply = Done;

    fn check(&self) -> Result<(), Refusal> {
        names(&self.topic_name, &self.subscription_name)?;
        words(
            self.notify_strategy.as_deref(),
            self.notify_content_format.as_deref(),
        )?;
        let (of_tags, of_keys) = (self.filter_tags.as_deref(), self.binding_key.as_deref());
        filters("FilterTags", of_tags, of_keys)
    }
}

macro_rules! by_name {
    ($(#[$doc:meta])* $name:ident) => {
        request! {
            $(#[$doc])*
            $name {
                /// The topic's name.
                topic_name: String,
                /// The subscription's name.
                subscription_name: String,
                ;
            }
        }

        impl Action for $name {
            const NAME: &'static str = stringify!($name);
            type Reply = Done;

            fn check(&self) -> Result<(), Refusal> {
                names(&self.topic_name, &self.subscription_name)
            }
        }
    };
}

by_name!(
    /// Deletes a subscription.
    DeleteCmqSubscribe
);
by_name!(
    /// Takes the filter tags from a subscription.
    ClearCmqSubscriptionFilterTags
);

request! {
    /// Describes the subscriptions of a topic, or those that deliver to a queue, a page at a time.
    DescribeCmqSubscriptionDetail {
        ;
        /// The topic, unless a queue's are asked for.
        topic_name ? String,
        /// Where the page begins.
        offset ? u64,
        /// How many at most; up to 50, 20 by default.
        limit ? u64,
        /// A filter by name.
        subscription_name ? String,
        /// The queue, where its subscriptions are asked for.
        queue_name ? String,
        /// `topic`, which is the default, or `queue`.
        query_type ? String,
    }
}

impl Action for DescribeCmqSubscriptionDetail {
    const NAME: &'static str = "DescribeCmqSubscriptionDetail";
    const READS: bool = true;
    type Reply = Subscriptions;

    fn check(&self) -> Result<(), Refusal> {
        let (field, given) = match self.query_type.as_deref() {
            None | Some("topic") => ("TopicName", self.topic_name.as_deref()),
            Some("queue") => ("QueueName", self.queue_name.as_deref()),
            Some(_) => return Err(Refusal::value("QueryType", "is neither topic nor queue")),
        };
        name(field, given.unwrap_or_default())?;
        page(self.offset, self.limit)
    }
}

fn names(topic: &str, subscription: &str) -> Result<(), Refusal> {
    name("TopicName", topic)?;
    name("SubscriptionName", subscription)
}

fn filters(
    field: &'static str,
    of_tags: Option<&[String]>,
    of_keys: Option<&[String]>,
) -> Result<(), Refusal> {
    tags(field, of_tags.unwrap_or_default(), 16)?;
    keys("BindingKey", of_keys.unwrap_or_default())
}

fn words(strategy: Option<&str>, format: Option<&str>) -> Result<(), Refusal> {
    if !matches!(
        strategy,
        None | Some("BACKOFF_RETRY" | "EXPONENTIAL_DECAY_RETRY")
    ) {
        let why = "is neither BACKOFF_RETRY nor EXPONENTIAL_DECAY_RETRY";
        return Err(Refusal::value("NotifyStrategy", why));
    }
    if !matches!(format, None | Some("JSON" | "SIMPLIFIED")) {
        let why = "is neither JSON nor SIMPLIFIED";
        return Err(Refusal::value("NotifyContentFormat", why));
    }
    Ok(())
}

reply! {
    /// A subscription was made.
    SubscriptionCreated {
        /// Its id.
        subscription_id: String,
        ;
    }
}

reply! {
    /// A page of subscriptions.
    Subscriptions {
        /// The page.
        subscription_set: Vec<SubscriptionState>,
        ;
        /// How many there are on all pages.
        total_count: u64,
    }
}

reply! {
    /// A subscription as it is described.
    SubscriptionState {
        /// Its id.
        subscription_id: String,
        /// The account that owns the topic.
        topic_owner: u64,
        /// Messages that are still to be delivered.
        msg_count: u64,
        /// When it was changed, in milliseconds since 1970.
        last_modify_time: u64,
        /// When it was made, in milliseconds since 1970.
        create_time: u64,
        /// Only messages whose routing key matches one of these.
        binding_key: Vec<String>,
        /// A queue's name, or a URL.
        endpoint: String,
        /// Only messages with one of these tags.
        filter_tags: Vec<String>,
        /// `queue` or `http`, in any case.
        protocol: String,
        /// `BACKOFF_RETRY` or `EXPONENTIAL_DECAY_RETRY`.
        notify_strategy: String,
        /// `JSON` or `SIMPLIFIED`.
        notify_content_format: String,
        /// The topic's name.
        topic_name: String,
        ;
        /// Its name.
        subscription_name: String,
    }
}
