//! Commands: for every one a request type, which names its code and its reply, and a reply type.

use bytes::Bytes;

use super::{ExtFields, Fields, Malformed, RequestCode};

mod check_transaction;
mod cluster_info;
mod consume_stats;
mod consumer_list;
mod create_topic;
mod delete_group;
mod delete_topic;
mod end_transaction;
mod get_max_offset;
mod get_min_offset;
mod group_config;
mod heartbeat;
mod lock;
mod notify_consumers_changed;
mod pull;
mod query_offset;
mod recall;
mod reset_offset;
mod route;
mod search_offset;
mod send;
mod send_back;
mod topic_list;
mod unregister;
mod update_offset;
mod view_message;

pub use self::{
    check_transaction::CheckTransaction,
    cluster_info::{ClusterInfo, GetClusterInfo},
    consume_stats::{ConsumeStats, GetConsumeStats, QueueKey, QueueOffsets, QueueStats},
    consumer_list::{ConsumerList, GetConsumerList},
    create_topic::CreateTopic,
    delete_group::DeleteGroup,
    delete_topic::{DeleteTopicAtBroker, DeleteTopicAtNameserver},
    end_transaction::EndTransaction,
    get_max_offset::{GetMaxOffset, MaxOffset},
    get_min_offset::{GetMinOffset, MinOffset},
    group_config::{CreateGroup, GetGroups, GroupConfig, Groups},
    heartbeat::{ConsumerData, Heartbeat, HeartbeatReply, ProducerData, Subscription},
    lock::{LockQueues, LockedQueues, UnlockQueues},
    notify_consumers_changed::NotifyConsumersChanged,
    pull::{PullMessage, PullReply, pull_flag},
    query_offset::{ConsumerOffset, QueryOffset},
    recall::{RecallHandle, RecallMessage, RecallReply},
    reset_offset::ResetOffset,
    route::{BrokerData, GetRoute, QueueData, TopicRoute},
    search_offset::{FoundOffset, SearchOffset},
    send::{SendBatch, SendMessage, SendMessageLong, SendReply},
    send_back::SendBack,
    topic_list::{GetTopicList, TopicList},
    unregister::Unregister,
    update_offset::UpdateOffset,
    view_message::{ViewMessage, ViewedMessage},
};

/// What one side asks of the other.
pub trait Request: Fields + Sized {
    /// The code that says what is asked.
    const CODE: RequestCode;
    /// What a successful answer holds.
    type Reply: Reply;

    /// The body to send after the header.
    fn body(&self) -> Bytes {
        Bytes::new()
    }

    /// Reads a request of this code.
    ///
    /// # Errors
    /// [`Malformed`] if a required field is absent, or a field or the body can't be read.
    fn parse(ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed>;
}

/// What a successful answer holds. Which codes count as success is the caller's to know.
pub trait Reply: Fields + Sized {
    /// The body to send after the header.
    fn body(&self) -> Bytes {
        Bytes::new()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Malformed`] if a required field is absent, or a field or the body can't be read.
    fn parse(ext: &ExtFields, body: &Bytes) -> Result<Self, Malformed>;
}

/// An answer that is nothing but its code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done;

impl Fields for Done {
    fn fields(&self, _sink: &mut dyn super::FieldSink) {}
}

impl Reply for Done {
    fn parse(_ext: &ExtFields, _body: &Bytes) -> Result<Self, Malformed> {
        Ok(Self)
    }
}

/// Declares a struct whose fields are ext fields, and perhaps one more, which is the raw body.
///
/// `struct Name { field: Type = "wireName", … } body: name` gives the struct with `Fields`, `read` and `raw_body`.
/// `Debug` shows the body by its length only.
macro_rules! ext_struct {
    (
        $(#[$meta:meta])*
        struct $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $key:literal,)* }
        $($(#[$body_doc:meta])* body: $body:ident)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
            $($(#[$body_doc])* pub $body: ::bytes::Bytes,)?
        }

        impl $name {
            fn read(
                ext: &$crate::proto::ExtFields,
                _body: &::bytes::Bytes,
            ) -> Result<Self, $crate::proto::Malformed> {
                Ok(Self {
                    $($field: $crate::proto::Field::read(ext, $key)?,)*
                    $($body: _body.clone(),)?
                })
            }

            fn raw_body(&self) -> ::bytes::Bytes {
                None$(.or_else(|| Some(self.$body.clone())))?.unwrap_or_default()
            }
        }

        impl $crate::proto::Fields for $name {
            fn fields(&self, sink: &mut dyn $crate::proto::FieldSink) {
                $($crate::proto::Field::write(&self.$field, $key, sink);)*
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &self.$field))*
                    $(.field(concat!(stringify!($body), ".len"), &self.$body.len()))?
                    .finish()
            }
        }
    };
}

/// Makes an `ext_struct!` a [`Request`].
macro_rules! ext_request {
    ($name:ident, $code:ident -> $reply:ty) => {
        impl $crate::proto::Request for $name {
            const CODE: $crate::proto::RequestCode = $crate::proto::RequestCode::$code;
            type Reply = $reply;

            fn body(&self) -> ::bytes::Bytes {
                self.raw_body()
            }

            fn parse(
                ext: &$crate::proto::ExtFields,
                body: &::bytes::Bytes,
            ) -> Result<Self, $crate::proto::Malformed> {
                Self::read(ext, body)
            }
        }
    };
}

/// Makes an `ext_struct!` a [`Reply`].
macro_rules! ext_reply {
    ($name:ident) => {
        impl $crate::proto::Reply for $name {
            fn body(&self) -> ::bytes::Bytes {
                self.raw_body()
            }

            fn parse(
                ext: &$crate::proto::ExtFields,
                body: &::bytes::Bytes,
            ) -> Result<Self, $crate::proto::Malformed> {
                Self::read(ext, body)
            }
        }
    };
}

use {ext_reply, ext_request, ext_struct};

/// A body of JSON. Only maps with other than text keys could fail to be written, and no body has one.
fn to_json(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
