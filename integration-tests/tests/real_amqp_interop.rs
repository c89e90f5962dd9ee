//! pika and RabbitMQ's client for Java, and ours, on one RabbitMQ, both ways.
//!
//! ```text
//!   theirs ──► RabbitMQ ──► ours        everything on a message, confirms and returns, each kind of exchange and queue,
//!   ours   ──► RabbitMQ ──► theirs      requests, queues that both consume; and the sample programs of TDMQ as they are
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "real_amqp_interop/consuming.rs"]
mod consuming;
#[path = "real_amqp_interop/exchanges.rs"]
mod exchanges;
#[path = "real_amqp_interop/messages.rs"]
mod messages;
#[path = "real_amqp_interop/ordered.rs"]
mod ordered;
#[path = "real_amqp_interop/publishing.rs"]
mod publishing;
#[path = "real_amqp_interop/queues.rs"]
mod queues;
#[path = "real_amqp_interop/requests.rs"]
mod requests;
#[path = "real_amqp_interop/samples.rs"]
mod samples;
#[path = "real_amqp_interop/scheduled.rs"]
mod scheduled;
#[path = "real_amqp_interop/traces.rs"]
mod traces;
#[path = "real_amqp_interop/transactions.rs"]
mod transactions;
#[path = "real_amqp_interop/world.rs"]
mod world;
