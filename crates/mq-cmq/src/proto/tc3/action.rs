//! The `*Cmq*` actions, one type each: its name, its fields, what answers it. Both roles use them: what the client writes, a server reads.
//!
//! Fields are those of the documents, in the wire's units: seconds for spans, milliseconds for times.

/// A request: fields with `?` are left out unless they are given.
macro_rules! request {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$of:meta])* $field:ident: $type:ty),* $(,)?
        ;
        $($(#[$of_optional:meta])* $optional:ident ? $optional_type:ty),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name {
            $($(#[$of])* pub $field: $type,)*
            $(
                $(#[$of_optional])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $optional: Option<$optional_type>,
            )*
        }
    };
}

/// A reply: what the service leaves out, or gives as `null`, is empty, 0 or `None`; fields behind the `;` have to be there.
macro_rules! reply {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$of:meta])* $field:ident: $type:ty),* $(,)?
        ;
        $($(#[$of_needed:meta])* $needed:ident: $needed_type:ty),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name {
            $(
                $(#[$of])*
                #[serde(default, deserialize_with = "crate::proto::tc3::answer::or_default")]
                pub $field: $type,
            )*
            $($(#[$of_needed])* pub $needed: $needed_type,)*
        }
    };
}

mod messages;
mod queue_replies;
mod queues;
mod subscriptions;
mod topics;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::messages::{PublishCmqMsg, SendCmqMsg, Stored};
pub use self::queue_replies::{
    DeadLetterPolicy, DeadLetterSource, QueueCreated, QueueDetail, QueueState, Queues, Sources,
    TransactionPolicy,
};
pub use self::queues::{
    ClearCmqQueue, CreateCmqQueue, DeleteCmqQueue, DescribeCmqDeadLetterSourceQueues,
    DescribeCmqQueueDetail, DescribeCmqQueues, ModifyCmqQueueAttribute, QueueSettings,
    RewindCmqQueue, UnbindCmqDeadLetter,
};
pub use self::subscriptions::{
    ClearCmqSubscriptionFilterTags, CreateCmqSubscribe, DeleteCmqSubscribe,
    DescribeCmqSubscriptionDetail, ModifyCmqSubscriptionAttribute, SubscriptionCreated,
    SubscriptionState, Subscriptions,
};
pub use self::topics::{
    CreateCmqTopic, DeleteCmqTopic, DescribeCmqTopicDetail, DescribeCmqTopics,
    ModifyCmqTopicAttribute, TopicCreated, TopicDetail, TopicState, Topics,
};
use super::limits::{self, Refusal};

/// Something that the control plane can be asked for.
pub trait Action: Serialize + DeserializeOwned {
    /// The value of the header `X-TC-Action`.
    const NAME: &'static str;
    /// Whether it changes nothing, so that it may be sent again whatever became of it.
    const READS: bool = false;
    /// What a successful answer has beside the request's id.
    type Reply: Serialize + DeserializeOwned;

    /// Checks it against the documented limits.
    ///
    /// # Errors
    ///
    /// The first field that is out of them.
    fn check(&self) -> Result<(), Refusal>;
}

/// A reply without fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

request! {
    /// A tag of a resource.
    Tag {
        /// Its key.
        tag_key: String,
        /// Its value.
        tag_value: String,
        ;
    }
}

request! {
    /// A filter of a list: by tags, whose key stands behind `tag:`.
    Filter {
        /// `tag:` and the key.
        name: String,
        /// Any of these.
        values: Vec<String>,
        ;
    }
}

fn page(offset: Option<u64>, limit: Option<u64>) -> Result<(), Refusal> {
    limits::within("Limit", limit, 1..=MAX_PAGE, "")?;
    match (offset, limit) {
        (Some(_), None) => Err(Refusal::missing("Limit", "an Offset needs it")),
        _ => Ok(()),
    }
}

fn resource_tags(tags: Option<&[Tag]>) -> Result<(), Refusal> {
    let mut tags = tags.unwrap_or_default().iter();
    if tags.any(|tag| tag.tag_key.is_empty()) {
        return Err(Refusal::value("TagKey", "is empty"));
    }
    Ok(())
}

/// The largest page.
pub const MAX_PAGE: u64 = 50;

#[cfg(test)]
#[path = "action/tests.rs"]
mod tests;
