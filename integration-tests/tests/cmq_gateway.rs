//! The CMQ dev server's TCP gateway, over its wire: by packets written by hand, and by our client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

#[path = "cmq_gateway/commands.rs"]
mod commands;
#[path = "cmq_gateway/faults.rs"]
mod faults;
#[path = "cmq_gateway/frames.rs"]
mod frames;
#[path = "cmq_gateway/login.rs"]
mod login;
#[allow(dead_code, reason = "it is that of the tests over HTTP")]
#[path = "cmq_server/raw.rs"]
mod raw;
#[path = "cmq_gateway/refusals.rs"]
mod refusals;
#[path = "cmq_gateway/transactions.rs"]
mod transactions;
#[path = "cmq_gateway/wire.rs"]
mod wire;
