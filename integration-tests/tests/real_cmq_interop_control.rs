//! Tencent Cloud's SDKs for Python, Node and Go on the dev server's control plane: what they make, our clients use, and what ours makes, they describe.
//!
//! ```text
//!   theirs ──► TC3-HMAC-SHA256 ─┐
//!                               ├─► one state ◄── ours, over HTTP and TCP
//!   ours   ──► TC3-HMAC-SHA256 ─┘
//! ```
//!
//! They start the server themselves. What they need is Python 3 with venv, Node.js, npm and Go 1.24.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "real_cmq_interop_control/dead_letter.rs"]
mod dead_letter;
#[path = "real_cmq_interop_control/list.rs"]
mod list;
#[path = "real_cmq_interop_control/queue.rs"]
mod queue;
#[path = "real_cmq_interop_control/refused.rs"]
mod refused;
#[path = "real_cmq_interop_control/same.rs"]
mod same;
#[path = "real_cmq_interop_control/topic.rs"]
mod topic;
#[path = "real_cmq_interop_control/transaction.rs"]
mod transaction;
#[path = "real_cmq_interop_control/world.rs"]
mod world;
