#![doc = include_str!("../README.md")]

mod auth;
mod client;
mod conn;
mod consumer;
mod error;
mod inspect;
mod message;
mod message_id;
mod producer;
#[cfg(feature = "unstable-proto")]
pub mod proto;
#[cfg(not(feature = "unstable-proto"))]
#[allow(
    dead_code,
    unnameable_types,
    unreachable_pub,
    unused_imports,
    reason = "it is public with the feature, and some of it is for servers"
)]
mod proto;
mod topic;
mod trace;

pub use mq_core::{Endpoint, ErrorKind, Outcome, Propagator, Retry, Secret};

pub use self::auth::{Auth, OAuth2};
pub use self::client::{Client, ClientBuilder};
pub use self::consumer::{
    Acker, Consumer, ConsumerBuilder, ConsumerEvent, ConsumerEvents, ConsumerHandle, Counts,
    DeadLetter, Delivery, Reader, ReaderBuilder, Received, RetryLetter, Settle, Settling,
    SubscriptionType,
};
pub use self::error::{Error, ErrorCode, Result};
pub use self::message::Message;
pub use self::message_id::MessageId;
pub use self::producer::{
    AccessMode, Confirm, Enqueue, Hashing, Producer, ProducerBuilder, Receipt, Routing, Send,
    SendError, Unheard,
};
pub use self::proto::Compression;
