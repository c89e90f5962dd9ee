//! `TcpClient` on the dev server: messages, consumers that go on by themselves, transactions that converge.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "cmq_tcp/messages.rs"]
mod messages;
#[path = "cmq_tcp/transactions.rs"]
mod transactions;
#[path = "cmq_tcp/world.rs"]
mod world;
