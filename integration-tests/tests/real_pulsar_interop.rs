//! Pulsar's clients for Java, Python and Go, and ours, on one broker, both ways.
//!
//! ```text
//!   theirs ──► Pulsar ──► ours        everything on a message, alone and in batches, each compression; keys and their partitions;
//!   ours   ──► Pulsar ──► theirs      subscriptions that both consume; acknowledgements inside of batches
//! ```
//!
//! Dead letters are to follow, in a room of their own beside these: theirs read of ours, and ours of Java's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "real_pulsar_interop/acks.rs"]
mod acks;
#[path = "real_pulsar_interop/keys.rs"]
mod keys;
#[path = "real_pulsar_interop/messages.rs"]
mod messages;
#[path = "real_pulsar_interop/together.rs"]
mod together;
#[path = "real_pulsar_interop/world.rs"]
mod world;
