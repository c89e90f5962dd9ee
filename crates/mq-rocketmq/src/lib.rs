#![doc = include_str!("../README.md")]

mod admin;
mod auth;
mod client;
mod conn;
mod consumer;
mod error;
mod id;
mod message;
mod name;
mod producer;
#[cfg(feature = "unstable-proto")]
pub mod proto;
#[cfg(not(feature = "unstable-proto"))]
mod proto;
mod schedule;
mod tls;

pub use mq_core::{Endpoint, ErrorKind, Outcome, Properties, RateLimit, Retry, Secret};

pub use self::admin::{
    Admin, ChangeError, Changed, GroupLag, QueueLag, QueueRange, TopicDescription, TopicOptions,
    TopicType,
};
pub use self::auth::{Credentials, CredentialsProvider, Provided};
pub use self::client::{Client, ClientBuilder, Event, Events, Health, PeerHealth};
pub use self::consumer::{
    Acker, Allocation, AllocationInput, ConsumeFrom, Consumer, ConsumerBuilder, ConsumerHandle,
    Delivery, QueueRef, Received, SeekTo, Settle, Settling, Undecoded,
};
pub use self::error::{Error, ResponseCode, Result, SendError};
pub use self::message::Message;
pub use self::producer::{
    Begin, CheckedMessage, Compression, Confirm, Durability, Enqueue, KeyHash, Producer,
    ProducerBuilder, Receipt, Send, SendBatch, SendOneway, TransactError, Transaction,
    TransactionalProducer, TransactionalProducerBuilder, Unheard, Verdict,
};
pub use self::proto::HeaderCodec;
pub use self::schedule::{Cancel, Dialect, Schedule, ScheduledHandle};
#[cfg(feature = "tls")]
pub use self::tls::Tls;
pub use self::tls::{TlsError, TlsFault};
