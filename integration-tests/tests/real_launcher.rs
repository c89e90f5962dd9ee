//! The launcher with real brokers: codes are passed on, and nothing outlives it.
//!
//! Each test has its own state directory, so brokers that run beside it are not touched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "real_launcher/pulsar.rs"]
mod pulsar;
#[path = "real_launcher/rabbitmq.rs"]
mod rabbitmq;
#[path = "real_launcher/rocketmq.rs"]
mod rocketmq;
#[path = "real_launcher/sandbox.rs"]
mod sandbox;
