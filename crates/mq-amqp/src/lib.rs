#![doc = include_str!("../README.md")]

mod checked;
mod client;
mod conn;
mod consumer;
mod error;
mod message;
mod ordered;
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
mod publisher;
mod rpc;
mod scheduled;
mod topology;
mod trace;
mod tx;

pub use mq_core::{Endpoint, ErrorKind, Outcome, Propagator, Retry, Secret};

pub use self::checked::{
    Begin, CheckedMessage, TransactError, Transaction, TransactionalPublisher,
    TransactionalPublisherBuilder, Verdict,
};
pub use self::client::{Client, ClientBuilder, Event, Events, Role};
pub use self::conn::Mechanism;
pub use self::consumer::{
    Acker, Consumer, ConsumerBuilder, ConsumerHandle, Counts, Delivery, Received, RetryPolicy,
    Settle, Settling,
};
pub use self::error::{Error, Result};
pub use self::message::Message;
pub use self::ordered::{
    OrderedConfirm, OrderedConsumer, OrderedConsumerBuilder, OrderedConsumerHandle,
    OrderedDelivery, OrderedPublisher, OrderedPublisherBuilder, OrderedTopic, OrderedTopicBuilder,
};
pub use self::proto::{Properties, ReplyCode, Table, Value};
pub use self::publisher::{
    Confirm, Enqueue, Publisher, PublisherBuilder, Receipt, Send, SendError, Unheard,
};
pub use self::rpc::{Call, RpcClient};
pub use self::scheduled::{Cancel, Deliver, ScheduledHandle, Scheduler, SchedulerBuilder};
pub use self::topology::{Binding, DeadLetterStrategy, Exchange, Overflow, Queue, QueueInfo};
pub use self::tx::{CommitError, Publish, Tx, TxChannel, TxChannelBuilder, TxDelivery, Unroutable};
