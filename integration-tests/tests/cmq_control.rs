//! The control plane of the dev server: our client makes what the data plane then uses; each mistake is named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "cmq_control/by_hand.rs"]
mod by_hand;
#[path = "cmq_control/manage.rs"]
mod manage;
#[path = "cmq_control/refusals.rs"]
mod refusals;
#[path = "cmq_control/world.rs"]
mod world;
