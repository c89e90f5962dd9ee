//! The CMQ dev server, over its wire: by requests written by hand, and by our client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints figures"
)]

#[path = "cmq_server/auth.rs"]
mod auth;
#[path = "cmq_server/faults.rs"]
mod faults;
#[path = "cmq_server/hostile.rs"]
mod hostile;
#[path = "cmq_server/manage.rs"]
mod manage;
#[path = "cmq_server/push.rs"]
mod push;
#[path = "cmq_server/queues.rs"]
mod queues;
#[path = "cmq_server/raw.rs"]
mod raw;
#[path = "cmq_server/requests.rs"]
mod requests;
