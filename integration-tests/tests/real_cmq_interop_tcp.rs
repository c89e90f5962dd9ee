//! CMQ's SDK for Java over TCP and the dev server's gateway; what it sends is received over HTTP and by our client, and back.
//!
//! ```text
//!   cmq-tcp-client 1.1.8 ──► QueryQueueRoute (HTTP) ─► gateway ─┐
//!                                                              ├─ one state
//!   ours, by TCP and by HTTP ──────────────────────────────────┘
//! ```
//!
//! They start the server themselves. What they need is JDK 17 and Maven.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "real_cmq_interop_tcp/messages.rs"]
mod messages;
#[path = "real_cmq_interop_tcp/transactions.rs"]
mod transactions;
#[path = "real_cmq_interop_tcp/world.rs"]
mod world;
