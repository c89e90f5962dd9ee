//! A CMQ server for development and tests: queues and topics in memory, over HTTP and TCP, for this workspace's clients and for the
//! official SDKs.
//!
//! ```text
//!  HTTP (hyper) ─► signature ─► faults ─► action ─► engine (one short lock; no clock, no sockets) ─► answer
//!                                                      ├─► who waits gets messages ─► their answers
//!                                                      ├─► what is for a URL ─► pushes
//!  TCP ─► frames ─► login ─► faults ─► command ─► engine ──┴─► half messages nobody decided ─► questions
//!  one timer: the earliest of all delays, visibilities, waits, retentions, retries and questions
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use mq_dev::cmq::{DevServer, Fault, QueueSpec};
//!
//! let server = DevServer::builder().start().await?;
//! server.create_queue(QueueSpec::new("orders").visibility(Duration::from_secs(5)))?;
//! let client = mq_cmq::Client::from_url(&server.url())?.build()?;
//! server.inject(Fault::drop_reply().on("send").nth(2));
//! client.queue("orders")?.send("hello").await?;
//! # Ok(())
//! # }
//! ```
//!
//! **What it is like.** The data plane, and the older management actions of the same plane. Where the documents leave something open, it is
//! chosen, and said here: a time stamp may be 5 minutes off, and a request is accepted once; ids and handles are decimal numbers of 64 bits;
//! a delay is shorter than the queue keeps messages, from when they were sent; a queue's deletion unbinds the dead letters that went there; a topic that
//! has subscriptions is not deleted; a message that becomes a
//! dead letter keeps its id and is as new otherwise; the larger `maxMsgSize` of TDMQ is accepted, the older default of 64 KiB kept; a
//! request may have 4 MiB on the wire, since encoding makes three bytes of one.
//!
//! **What it is not.** A server for production: nothing is on disk but a [`snapshot`](DevServer::snapshot), and there is no TLS. What it
//! does not know is answered with CMQ's own error, 4000/10430. The TCP gateway, and with it transactions, are there where
//! [`Builder::gateway`] asks for it. Of the control plane of API 3.0 it has
//! the actions of CMQ, with the header `X-TC-Action` at `/`; it accepts traces and tags of resources, and does not keep them.

mod auth;
mod clock;
mod counts;
mod dispatch;
mod engine;
mod faults;
mod front;
mod gateway;
mod push;
mod room;
mod server;
mod shared;
mod spec;
mod tc3;

pub use self::clock::VirtualClock;
pub use self::faults::Fault;
pub use self::push::PushTargets;
pub use self::server::{Builder, DevServer, QueueCounts, Refused};
pub use self::spec::{
    ContentFormat, DeadLetterPolicy, DeadLetterSpec, Filter, Limits, QueueSpec, RetryStrategy,
    Seed, SubscriptionSpec, Target, TopicSpec, TransactionSpec,
};
