//! What is consumed from Pulsar: each message of a batch settled for itself, and nothing lost or handed out twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "real_pulsar_consumer/batches.rs"]
mod batches;
#[path = "real_pulsar_consumer/credit.rs"]
mod credit;
#[path = "real_pulsar_consumer/reading.rs"]
mod reading;
#[path = "real_pulsar_consumer/receipts.rs"]
mod receipts;
#[path = "real_pulsar_consumer/seeking.rs"]
mod seeking;
#[path = "real_pulsar_consumer/settling.rs"]
mod settling;
#[path = "real_pulsar_consumer/topics.rs"]
mod topics;
#[path = "real_pulsar_consumer/watching.rs"]
mod watching;
