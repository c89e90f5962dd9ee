#![doc = include_str!("../README.md")]

mod admin;
mod auth;
mod batch;
mod client;
mod conn;
mod consumer;
pub mod control;
mod error;
mod message;
pub mod ordered;
#[cfg(feature = "unstable-proto")]
pub mod proto;
#[cfg(not(feature = "unstable-proto"))]
mod proto;
#[cfg(feature = "push")]
pub mod push;
mod queue;
mod tcp;
mod topic;

pub use mq_core::{Clock, ErrorKind, Outcome, Retry, Secret};
pub use tokio_util::sync::CancellationToken;

pub use self::admin::{
    ChangeQueue, ChangeSubscription, ContentFormat, CreateQueue, CreateTopic, DeadLetter, Filter,
    Listing, Named, NamedSubscription, PushRetry, QueueAttributes, Subscribe, Subscription,
    SubscriptionAttributes, Target, TopicAttributes,
};
pub use self::auth::Credentials;
pub use self::client::{Client, ClientBuilder};
pub use self::consumer::{
    Acker, Consumer, ConsumerBuilder, ConsumerHandle, Counts, Delivery, Held, Settle, Settling,
};
pub use self::control::{ControlClient, ControlClientBuilder, ControlCode, ControlError};
pub use self::error::{Error, ErrorCode, Result, SendError};
pub use self::message::{Message, Receipt, Scheduled, TopicMessage};
pub use self::proto::{HttpMethod, SignatureMethod};
pub use self::queue::{DeadLetterOrigin, Queue, ReceiptHandle, Received, Send};
pub use self::tcp::{
    Begin, Pending, Prepared, TcpClient, TcpClientBuilder, TcpQueue, TransactError,
    TransactionalProducer, Verdict,
};
pub use self::topic::{Publish, Topic};
