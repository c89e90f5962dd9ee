//! CMQ's SDKs for Python, Java and Node, and our client, on one dev server, both ways.
//!
//! ```text
//!   theirs ──► dev server ──► ours        by queue, by topic with tags and with routes, delayed, as dead letters, in batches
//!   ours   ──► dev server ──► theirs
//! ```
//!
//! They start the server themselves. What they need is Python 3 with venv, JDK 17, Maven, Node.js and npm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "real_cmq_interop/batch.rs"]
mod batch;
#[path = "real_cmq_interop/dead_letter.rs"]
mod dead_letter;
#[path = "real_cmq_interop/delay.rs"]
mod delay;
#[path = "real_cmq_interop/long_poll.rs"]
mod long_poll;
#[path = "real_cmq_interop/manage.rs"]
mod manage;
#[path = "real_cmq_interop/queue.rs"]
mod queue;
#[path = "real_cmq_interop/topic.rs"]
mod topic;
#[path = "real_cmq_interop/world.rs"]
mod world;
#[path = "real_cmq_interop/wrong_key.rs"]
mod wrong_key;
