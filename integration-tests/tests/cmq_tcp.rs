//! `TcpClient` on the dev server: messages, consumers that go on by themselves, transactions that converge.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

#[path = "cmq_tcp/ends.rs"]
mod ends;
#[path = "cmq_tcp/gone.rs"]
mod gone;
#[path = "cmq_tcp/killed.rs"]
mod killed;
#[path = "cmq_tcp/messages.rs"]
mod messages;
#[path = "cmq_tcp/moved.rs"]
mod moved;
#[path = "cmq_tcp/transactions.rs"]
mod transactions;
#[path = "cmq_tcp/world.rs"]
mod world;
