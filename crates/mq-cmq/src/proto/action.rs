//! The actions of the data plane and of its older management, one type each: its name, its parameters, what answers it.
//!
//! Source: Tencent Cloud's documents of the CMQ API (product 406) and its SDKs for Python and Java.

mod dead_letter;
mod delete;
mod given;
mod lists;
mod publish;
mod queues;
mod receive;
mod route;
mod send;
mod subscriptions;
mod topics;
mod transaction;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::dead_letter::{DeadLetterRule, DeadLetterState};
pub use self::delete::{BatchDeleteMessage, DeleteErrors, DeleteMessage, NotDeleted};
pub use self::given::Given;
pub use self::lists::{
    ListDeadLetterSourceQueues, ListQueue, ListSubscriptionByTopic, ListTopic, Page, QueueList,
    SourceList, SubscriptionList, TopicList,
};
pub use self::publish::{BatchPublishMessage, PublishMessage};
pub use self::queues::{
    ClearQueue, CreateQueue, DeleteQueue, Done, GetQueueAttributes, QueueCreated, QueueName,
    QueueSettings, QueueState, RewindQueue, SetQueueAttributes, UnbindDeadLetter,
};
pub use self::receive::{BatchReceiveMessage, Messages, Origin, ReceiveMessage, ReceivedMessage};
pub use self::route::{QueryQueueRoute, QueryTopicRoute, Route};
pub use self::send::{BatchSendMessage, MessageId, SendMessage, Stored, StoredBatch};
pub use self::subscriptions::{
    ClearSubscriptionFilterTags, GetSubscriptionAttributes, SetSubscriptionAttributes, Subscribe,
    Subscribed, SubscriptionName, SubscriptionSettings, SubscriptionState, Unsubscribe,
};
pub use self::topics::{
    CreateTopic, DeleteTopic, GetTopicAttributes, SetTopicAttributes, TopicCreated, TopicName,
    TopicState,
};
pub use self::transaction::{ConfirmTransaction, Confirmation, SendHalf};
use super::Params;
use super::limits::Refusal;
use super::tcp::Packet;

/// Something that CMQ can be asked for.
pub trait Action {
    /// The value of the parameter `Action`.
    const NAME: &'static str;
    /// Numbers of error codes that are an answer to this action, not a failure of it.
    const ANSWERS: &'static [u64] = &[];
    /// What a successful answer has beside the envelope.
    type Reply: DeserializeOwned + Serialize;

    /// Adds its parameters, without the common ones.
    fn params<'a>(&'a self, to: &mut Params<'a>);

    /// It as a packet of the TCP protocol, without a number, and for whom; `None` where that protocol does not have it.
    fn packet(&self) -> Option<(Destination<'_>, Box<Packet>)> {
        None
    }

    /// The reply in the packet that answers [`Action::packet`]; `None` if something is missing there.
    fn unpack(_answer: &Packet) -> Option<Self::Reply> {
        None
    }
}

/// Whose route a packet takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination<'a> {
    /// A queue's, by its name.
    Queue(&'a str),
    /// A topic's, by its name.
    Topic(&'a str),
}

/// The server's side of an [`Action`]: read from the parameters of a request.
pub trait FromParams<'p>: Sized {
    /// Reads it. Parameters that it does not know are left alone.
    ///
    /// # Errors
    ///
    /// What is missing or can't be read, with the code for that. Ranges and names are for the server to judge.
    fn from_params(given: &Given<'p>) -> Result<Self, Refusal>;
}
